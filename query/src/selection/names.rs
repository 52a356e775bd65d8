//! The names of a result's columns, as Cassandra makes them.

use crate::ast::{MetadataFunction, PathStep, Selectable, Term};
use dodona_types::cql_type::quote_identifier;

/// The function's name.
pub(super) const fn metadata_name(function: MetadataFunction) -> &'static str {
    match function {
        MetadataFunction::WriteTime => "writetime",
        MetadataFunction::MaxWriteTime => "maxwritetime",
        MetadataFunction::Ttl => "ttl",
    }
}

fn bound(term: Option<&Term>) -> String {
    term.map_or_else(String::new, ToString::to_string)
}

/// The name of what is selected. Inside of other names a column's is in quotes if it needs them.
pub(super) fn name_of(selectable: &Selectable) -> String {
    match selectable {
        Selectable::Column(name) => quote_identifier(name).into_owned(),
        _ => column_name(selectable),
    }
}

/// The name of a column of the result.
pub(super) fn column_name(selectable: &Selectable) -> String {
    let list = |items: &[Selectable]| items.iter().map(name_of).collect::<Vec<_>>().join(", ");
    match selectable {
        Selectable::Column(name) => name.clone(),
        Selectable::Term(term) => term.to_string(),
        Selectable::CountRows => "count".into(),
        Selectable::Metadata(function, inner) => format!("{}({})", metadata_name(*function), name_of(inner)),
        Selectable::Function(name, arguments) if super::argument::counts_rows(name, arguments) => {
            "count".into()
        }
        Selectable::Function(name, arguments) => {
            let keyspace = name.keyspace.as_deref().unwrap_or("system");
            // These go by one name, whichever they are called by.
            let name = match name.name.as_str() {
                "tojson" => "to_json",
                "fromjson" => "from_json",
                other => other,
            };
            format!("{keyspace}.{name}({})", list(arguments))
        }
        Selectable::Cast(inner, target) => format!("cast({} as {target})", name_of(inner)),
        Selectable::Path(base, steps) => steps.iter().fold(name_of(base), |name, step| match step {
            PathStep::Field(field) => format!("{name}.{field}"),
            PathStep::Element(key) => format!("{name}[{key}]"),
            PathStep::Slice(from, to) => format!("{name}[{}..{}]", bound(from.as_ref()), bound(to.as_ref())),
        }),
        Selectable::TypeHint(ty, inner) => format!("({ty}){}", name_of(inner)),
        Selectable::List(items) => format!("[{}]", list(items)),
        Selectable::Set(items) => format!("{{{}}}", list(items)),
        Selectable::Map(entries) => {
            let entries: Vec<_> =
                entries.iter().map(|(key, value)| format!("{}: {}", name_of(key), name_of(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        Selectable::Tuple(items) => format!("({})", list(items)),
        Selectable::Negation(inner) => format!("-{}", name_of(inner)),
        Selectable::Arithmetic(first, rest) => {
            let rest =
                rest.iter().map(|(operator, item)| format!(" {} {}", operator.symbol(), name_of(item)));
            std::iter::once(name_of(first)).chain(rest).collect()
        }
    }
}
