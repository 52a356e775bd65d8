//! What is selected, as the names of columns show it.

use crate::ast::{QualifiedName, RawType, Selectable};
use crate::context::Context;
use crate::error::CqlError;
use crate::functions::Argument;
use crate::restrictions::column_of;
use dodona_types::CqlType;

/// The selectable with its types in their keyspaces, and without casts to the type that it has.
pub(super) fn named(
    context: &Context<'_>,
    keyspace: &str,
    selectable: &Selectable,
) -> Result<Selectable, CqlError> {
    let one = |inner: &Selectable| named(context, keyspace, inner);
    let boxed = |inner: &Selectable| one(inner).map(Box::new);
    let all = |items: &[Selectable]| items.iter().map(one).collect::<Result<Vec<_>, _>>();
    Ok(match selectable {
        Selectable::Column(_) | Selectable::Term(_) | Selectable::CountRows => selectable.clone(),
        Selectable::Metadata(function, inner) => Selectable::Metadata(*function, boxed(inner)?),
        Selectable::Function(name, arguments) => Selectable::Function(name.clone(), all(arguments)?),
        Selectable::Cast(inner, target) if is_of_type(context, inner, target)? => one(inner)?,
        Selectable::Cast(inner, target) => Selectable::Cast(boxed(inner)?, target.clone()),
        Selectable::Path(base, steps) => Selectable::Path(boxed(base)?, steps.clone()),
        Selectable::TypeHint(ty, inner) => Selectable::TypeHint(in_keyspace(ty, keyspace), boxed(inner)?),
        Selectable::List(items) => Selectable::List(all(items)?),
        Selectable::Set(items) => Selectable::Set(all(items)?),
        Selectable::Tuple(items) => Selectable::Tuple(all(items)?),
        Selectable::Map(entries) => Selectable::Map(
            entries
                .iter()
                .map(|(key, value)| Ok((one(key)?, one(value)?)))
                .collect::<Result<_, CqlError>>()?,
        ),
        Selectable::Negation(inner) => Selectable::Negation(boxed(inner)?),
        Selectable::Arithmetic(first, rest) => {
            let rest = rest.iter().map(|(operator, item)| Ok((*operator, one(item)?)));
            Selectable::Arithmetic(boxed(first)?, rest.collect::<Result<_, CqlError>>()?)
        }
    })
}

/// True if a cast does nothing. To Cassandra a column of descending order has another type.
fn is_of_type(context: &Context<'_>, inner: &Selectable, target: &CqlType) -> Result<bool, CqlError> {
    if let Selectable::Column(name) = inner
        && column_of(context.known_table()?, name)?.descending
    {
        return Ok(false);
    }
    Ok(inner.exact_type(context)?.as_ref() == Some(target))
}

/// The type with the keyspace in the names of user-defined types that come without.
fn in_keyspace(ty: &RawType, keyspace: &str) -> RawType {
    let boxed = |ty: &RawType| Box::new(in_keyspace(ty, keyspace));
    match ty {
        RawType::Native(_) | RawType::Custom(_) => ty.clone(),
        RawType::List(element) => RawType::List(boxed(element)),
        RawType::Set(element) => RawType::Set(boxed(element)),
        RawType::Map(key, value) => RawType::Map(boxed(key), boxed(value)),
        RawType::Vector(element, dimensions) => RawType::Vector(boxed(element), *dimensions),
        RawType::Tuple(fields) => {
            RawType::Tuple(fields.iter().map(|field| in_keyspace(field, keyspace)).collect())
        }
        RawType::UserDefined(name) => RawType::UserDefined(QualifiedName {
            keyspace: Some(name.keyspace.clone().unwrap_or_else(|| keyspace.to_owned())),
            name: name.name.clone(),
        }),
        RawType::Frozen(inner) => RawType::Frozen(boxed(inner)),
    }
}
