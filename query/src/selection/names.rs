//! The names of a result's columns, as Cassandra makes them.

use crate::ast::{FunctionName, MetadataFunction, PathStep, Selectable, Term, TermKind};

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

/// The name of a column of the result. Names in it are not in quotes, whatever they are.
pub(super) fn column_name(selectable: &Selectable) -> String {
    let list = |items: &[Selectable]| items.iter().map(column_name).collect::<Vec<_>>().join(", ");
    match selectable {
        Selectable::Column(name) => name.clone(),
        Selectable::Term(term) => term.to_string(),
        Selectable::CountRows => "count".into(),
        Selectable::Metadata(function, inner) => {
            format!("{}({})", metadata_name(*function), column_name(inner))
        }
        Selectable::Function(name, arguments) if counts_rows(name, arguments) => "count".into(),
        Selectable::Function(name, arguments) => {
            let keyspace = name.keyspace.as_deref().unwrap_or("system");
            format!("{keyspace}.{}({})", name.name, list(arguments))
        }
        Selectable::Cast(inner, target) => format!("cast({} as {target})", column_name(inner)),
        Selectable::Path(base, steps) => steps.iter().fold(column_name(base), |name, step| match step {
            PathStep::Field(field) => format!("{name}.{field}"),
            PathStep::Element(key) => format!("{name}[{key}]"),
            PathStep::Slice(from, to) => format!("{name}[{}..{}]", bound(from.as_ref()), bound(to.as_ref())),
        }),
        Selectable::TypeHint(ty, inner) => format!("({ty}){}", column_name(inner)),
        Selectable::List(items) => format!("[{}]", list(items)),
        Selectable::Set(items) => format!("{{{}}}", list(items)),
        Selectable::Map(entries) => {
            let entries: Vec<_> = entries
                .iter()
                .map(|(key, value)| format!("{}: {}", column_name(key), column_name(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        Selectable::Tuple(items) => format!("({})", list(items)),
        Selectable::Negation(inner) => format!("-{}", column_name(inner)),
        Selectable::Arithmetic(first, rest) => {
            let rest =
                rest.iter().map(|(operator, item)| format!(" {} {}", operator.symbol(), column_name(item)));
            std::iter::once(column_name(first)).chain(rest).collect()
        }
    }
}

/// Calls of `count` with a constant count rows.
pub(super) fn counts_rows(name: &FunctionName, arguments: &[Selectable]) -> bool {
    let is_native = name.keyspace.as_deref().is_none_or(|keyspace| keyspace == "system");
    is_native
        && name.name == "count"
        && matches!(arguments, [Selectable::Term(Term { kind: TermKind::Literal(..), .. })])
}
