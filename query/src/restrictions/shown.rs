//! Relations as messages show them.

use crate::ast::{Operand, Relation, Subject};
use dodona_types::cql_type::quote_identifier;

fn names(names: &[String]) -> String {
    names.iter().map(|name| quote_identifier(name)).collect::<Vec<_>>().join(", ")
}

/// The right side of a relation.
pub(super) fn operand(operand: &Operand) -> String {
    match operand {
        Operand::One(term) => term.to_string(),
        Operand::Many(terms) => {
            format!("({})", terms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
        }
        Operand::Range(range) => format!("{} AND {}", range.0, range.1),
        Operand::Nothing => "NULL".into(),
    }
}

/// A relation.
pub(super) fn relation(relation: &Relation) -> String {
    let subject = match &relation.subject {
        Subject::Column(name) => quote_identifier(name).into_owned(),
        Subject::Element(name, key) => format!("{}[{key}]", quote_identifier(name)),
        Subject::Tuple(columns) => format!("({})", names(columns)),
        Subject::Token(columns) => format!("token({})", names(columns)),
        Subject::Expression(index) => format!("expr({index})"),
    };
    format!("{subject} {} {}", relation.operator.text(), operand(&relation.operand))
}
