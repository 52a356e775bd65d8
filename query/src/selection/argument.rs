//! The types of what is selected, before it is prepared.

use super::metadata;
use super::names::{column_name, counts_rows};
use super::path::{self, PathTypes};
use crate::ast::{FunctionName, Selectable};
use crate::context::Context;
use crate::error::CqlError;
use crate::functions::{
    Argument, Assignment, Call, assignment_of_all, assignment_of_type, of_elements, resolve, system_name,
};
use crate::restrictions::column_of;
use dodona_types::CqlType;

/// The start of a chain of operators: its first operand and those behind it.
pub(super) struct Prefix<'s>(
    pub(super) &'s Selectable,
    pub(super) &'s [(crate::ast::ArithmeticOperator, Selectable)],
);

impl Prefix<'_> {
    /// The call of the last operator.
    pub(super) fn resolve(&self, context: &Context<'_>) -> Result<Call, CqlError> {
        let Self(first, rest) = self;
        let Some(((operator, right), before)) = rest.split_last() else {
            return Err(CqlError::Server("an operator without operands".into()));
        };
        let name = system_name(operator.function_name());
        let call = if before.is_empty() {
            resolve(context, &name, &[*first as &dyn Argument, right], None)
        } else {
            resolve(context, &name, &[&Prefix(first, before) as &dyn Argument, right], None)
        };
        call?.ok_or_else(|| CqlError::Server("an operator without a function".into()))
    }
}

impl Argument for Prefix<'_> {
    fn exact_type(&self, context: &Context<'_>) -> Result<Option<CqlType>, CqlError> {
        self.resolve(context).map(|call| Some(call.signature.result))
    }

    fn likely_type(&self, context: &Context<'_>) -> Result<Option<CqlType>, CqlError> {
        self.exact_type(context)
    }

    fn assignment(&self, context: &Context<'_>, to: &CqlType) -> Assignment {
        context.remembered(self.0, self.1.len(), to, || of_exact(self, context, to))
    }

    fn list_length(&self) -> Option<usize> {
        None
    }

    fn text(&self) -> String {
        let rest =
            self.1.iter().map(|(operator, item)| format!(" {} {}", operator.symbol(), column_name(item)));
        std::iter::once(column_name(self.0)).chain(rest).collect()
    }
}

fn of_exact(argument: &dyn Argument, context: &Context<'_>, to: &CqlType) -> Assignment {
    match argument.exact_type(context) {
        Ok(Some(ty)) => assignment_of_type(&ty, to),
        _ => Assignment::Not,
    }
}

/// Checks every call inside of what is selected, from the inside out and from left to right, before
/// anything else is looked at, as Cassandra does.
pub(super) fn check_calls(context: &Context<'_>, selectable: &Selectable) -> Result<(), CqlError> {
    let all = |items: &[Selectable]| items.iter().try_for_each(|item| check_calls(context, item));
    match selectable {
        Selectable::Column(name) => column_of(context.known_table()?, name).map(drop),
        Selectable::Term(_) | Selectable::CountRows => Ok(()),
        Selectable::Function(_, items) => {
            all(items)?;
            selectable.exact_type(context).map(drop)
        }
        Selectable::Negation(inner) => {
            check_calls(context, inner)?;
            selectable.exact_type(context).map(drop)
        }
        Selectable::Arithmetic(first, rest) => {
            check_calls(context, first)?;
            for (index, (_, right)) in rest.iter().enumerate() {
                check_calls(context, right)?;
                Prefix(first, &rest[..=index]).resolve(context)?;
            }
            Ok(())
        }
        Selectable::Metadata(_, inner) | Selectable::Cast(inner, _) | Selectable::Path(inner, _) => {
            check_calls(context, inner)
        }
        Selectable::TypeHint(raw, inner) => {
            context.hinted_type(raw)?;
            check_calls(context, inner)
        }
        Selectable::List(items) | Selectable::Set(items) | Selectable::Tuple(items) => all(items),
        Selectable::Map(entries) => entries.iter().try_for_each(|(key, value)| {
            // The names of fields look like columns.
            if !matches!(key, Selectable::Column(_)) {
                check_calls(context, key)?;
            }
            check_calls(context, value)
        }),
    }
}

/// The call that a function, a sign or a chain of operators makes; none if there is no such
/// function.
pub(super) fn resolve_selectable(
    context: &Context<'_>,
    selectable: &Selectable,
) -> Result<Option<Call>, CqlError> {
    match selectable {
        Selectable::Function(name, arguments) => {
            let arguments: Vec<&dyn Argument> = arguments.iter().map(|item| item as &dyn Argument).collect();
            resolve(context, name, &arguments, None)
        }
        Selectable::Negation(inner) => resolve(context, &system_name("_negate"), &[&**inner], None),
        Selectable::Arithmetic(first, rest) => Prefix(first, rest).resolve(context).map(Some),
        _ => Ok(None),
    }
}

/// The type of the first item whose type is known.
fn first_known(
    items: &[Selectable],
    type_of: impl Fn(&Selectable) -> Result<Option<CqlType>, CqlError>,
) -> Result<Option<CqlType>, CqlError> {
    for item in items {
        if let Some(ty) = type_of(item)? {
            return Ok(Some(ty));
        }
    }
    Ok(None)
}

impl Argument for Selectable {
    fn exact_type(&self, context: &Context<'_>) -> Result<Option<CqlType>, CqlError> {
        let exact = |item: &Self| item.exact_type(context);
        Ok(match self {
            Self::Column(name) => Some(column_of(context.known_table()?, name)?.cql_type.clone()),
            Self::Term(term) => term.exact_type(context)?,
            Self::CountRows => Some(CqlType::Bigint),
            Self::Metadata(function, inner) => Some(metadata::type_of(context, *function, inner)?),
            Self::Function(name, arguments) if counts_rows(name, arguments) => Some(CqlType::Bigint),
            Self::Function(name, _) => match resolve_selectable(context, self)? {
                Some(call) => Some(call.signature.result),
                None => return Err(unknown_function(name)),
            },
            Self::Negation(_) | Self::Arithmetic(..) => {
                resolve_selectable(context, self)?.map(|call| call.signature.result)
            }
            Self::Cast(_, target) => Some(target.clone()),
            Self::Path(base, steps) => match base.exact_type(context)? {
                Some(ty) => Some(path::walk(base, &ty, steps, &mut PathTypes)?),
                None => None,
            },
            Self::TypeHint(raw, _) => Some(context.hinted_type(raw)?),
            Self::List(items) => first_known(items, exact)?.map(|ty| CqlType::list(ty, true)),
            Self::Set(items) => first_known(items, exact)?.map(|ty| CqlType::set(ty, true)),
            // Whether a lone item in parentheses is a tuple, its receiver must say; and braces with
            // colons may be a map or a user-defined type.
            Self::Tuple(items) if items.len() > 1 => {
                let types = items.iter().map(exact).collect::<Result<Option<Vec<_>>, _>>()?;
                types.map(|types| CqlType::Tuple(types.iter().map(CqlType::freeze).collect()))
            }
            Self::Tuple(_) | Self::Map(_) => None,
        })
    }

    fn likely_type(&self, context: &Context<'_>) -> Result<Option<CqlType>, CqlError> {
        let likely = |item: &Self| item.likely_type(context);
        match self {
            Self::Term(term) => term.likely_type(context),
            Self::List(items) => Ok(first_known(items, likely)?.map(|ty| CqlType::list(ty, true))),
            Self::Set(items) => Ok(first_known(items, likely)?.map(|ty| CqlType::set(ty, true))),
            _ => self.exact_type(context),
        }
    }

    fn assignment(&self, context: &Context<'_>, to: &CqlType) -> Assignment {
        context.remembered(self, 0, to, || of_selectable(self, context, to))
    }

    fn is_marker(&self) -> bool {
        matches!(self, Self::Term(term) if term.is_marker())
    }

    fn list_length(&self) -> Option<usize> {
        match self {
            Self::List(items) => Some(items.len()),
            _ => None,
        }
    }

    fn text(&self) -> String {
        column_name(self)
    }
}

fn of_selectable(selectable: &Selectable, context: &Context<'_>, to: &CqlType) -> Assignment {
    let each = |items: &[Selectable], ty: &CqlType| {
        of_elements(context, items.iter().map(|item| item as &dyn Argument), ty)
    };
    match (selectable, to) {
        (Selectable::Term(term), _) => term.assignment(context, to),
        (Selectable::List(items), CqlType::List { element, .. } | CqlType::Vector { element, .. }) => {
            each(items, element)
        }
        (Selectable::Set(items), CqlType::Set { element, .. }) => each(items, element),
        (Selectable::Set(items), CqlType::Map { .. }) if items.is_empty() => Assignment::Weak,
        (Selectable::Map(entries), CqlType::Map { key, value, .. }) => assignment_of_all(
            entries.iter().flat_map(|(k, v)| [k.assignment(context, key), v.assignment(context, value)]),
        ),
        // The fields are checked, and reported, one by one.
        (Selectable::Map(entries), CqlType::UserDefined { .. }) => {
            let named = entries.iter().all(|(name, _)| matches!(name, Selectable::Column(_)));
            if named { Assignment::Weak } else { Assignment::Not }
        }
        (Selectable::Tuple(items), CqlType::Tuple(types)) => {
            let fits = items.len() <= types.len()
                && items
                    .iter()
                    .zip(types.iter())
                    .all(|(item, ty)| item.assignment(context, ty) != Assignment::Not);
            if fits { Assignment::Weak } else { Assignment::Not }
        }
        (Selectable::Tuple(items), _) if items.len() == 1 => items[0].assignment(context, to),
        _ => of_exact(selectable, context, to),
    }
}

/// The error about a function that there is not.
pub(super) fn unknown_function(name: &FunctionName) -> CqlError {
    let keyspace = name.keyspace.as_ref().map_or_else(String::new, |keyspace| format!("{keyspace}."));
    CqlError::Invalid(format!("Unknown function '{keyspace}{}'", name.name))
}
