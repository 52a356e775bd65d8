//! Terms: what stands for a value outside a selection.

use std::fmt;

use dodona_types::CqlType;
use dodona_types::cql_type::quote_identifier;
use dodona_types::value::LiteralKind;

use super::{FunctionName, Position, RawType};

/// A term and where it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// What it is.
    pub kind: TermKind,
    /// Where it starts.
    pub position: Position,
}

/// What a term is.
#[derive(Clone, Debug, PartialEq)]
pub enum TermKind {
    /// A constant: its kind, and its text without quotes.
    Literal(LiteralKind, String),
    /// `NULL`.
    Null,
    /// `?` or `:name`.
    Marker(BindMarker),
    /// `[a, b]`: a list, or a vector.
    List(Vec<Term>),
    /// `{a, b}`. `{}` is an empty set here, but may be meant as a map.
    Set(Vec<Term>),
    /// `{a: b}`, the keys being terms.
    Map(Vec<(Term, Term)>),
    /// `{a: b}`, the keys being names: a user-defined type's fields.
    UserDefined(Vec<(String, Term)>),
    /// `(a, b)`: a tuple. A lone term in parentheses is one too, of one field.
    Tuple(Vec<Term>),
    /// A call of a function.
    Function(FunctionName, Vec<Term>),
    /// `(type) term`.
    TypeHint(RawType, Box<Term>),
    /// `CAST(term AS type)`, the type being native.
    Cast(Box<Term>, CqlType),
    /// `-term`.
    Negation(Box<Term>),
    /// `first op second op third`, to be taken from left to right; all operators bind equally
    /// (`*`, `/` and `%` in one, `+` and `-` in another).
    Arithmetic(Box<Term>, Vec<(ArithmeticOperator, Term)>),
}

/// A place for a bound value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindMarker {
    /// Its number, from 0, in the order in which markers appear in the statement.
    pub index: usize,
    /// Its name, if it has one.
    pub name: Option<String>,
}

/// An operator between two numbers, dates or strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArithmeticOperator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Modulo,
}

impl ArithmeticOperator {
    /// The name of the function that the operator is, spelled as in Cassandra.
    #[must_use]
    pub const fn function_name(self) -> &'static str {
        match self {
            Self::Add => "_add",
            Self::Subtract => "_substract",
            Self::Multiply => "_multiply",
            Self::Divide => "_divide",
            Self::Modulo => "_modulo",
        }
    }

    /// The operator's sign.
    #[must_use]
    pub const fn symbol(self) -> char {
        match self {
            Self::Add => '+',
            Self::Subtract => '-',
            Self::Multiply => '*',
            Self::Divide => '/',
            Self::Modulo => '%',
        }
    }
}

/// Writes items with commas between them.
pub(crate) fn write_list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    for (position, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if position > 0 { ", " } else { "" })?;
    }
    Ok(())
}

impl Term {
    /// How many operators and signs there are in the term.
    #[must_use]
    pub fn operators(&self) -> usize {
        let all = |terms: &[Self]| terms.iter().map(Self::operators).sum();
        match &self.kind {
            TermKind::Literal(..) | TermKind::Null | TermKind::Marker(_) => 0,
            TermKind::List(terms)
            | TermKind::Set(terms)
            | TermKind::Tuple(terms)
            | TermKind::Function(_, terms) => all(terms),
            TermKind::Map(entries) => entries.iter().map(|(k, v)| k.operators() + v.operators()).sum(),
            TermKind::UserDefined(fields) => fields.iter().map(|(_, term)| term.operators()).sum(),
            TermKind::TypeHint(_, term) | TermKind::Cast(term, _) => term.operators(),
            TermKind::Negation(term) => 1 + term.operators(),
            TermKind::Arithmetic(first, rest) => {
                first.operators() + rest.iter().map(|(_, term)| 1 + term.operators()).sum::<usize>()
            }
        }
    }

    /// True if a bind marker is the term or inside of it.
    #[must_use]
    pub fn has_marker(&self) -> bool {
        match &self.kind {
            TermKind::Literal(..) | TermKind::Null => false,
            TermKind::Marker(_) => true,
            TermKind::List(terms)
            | TermKind::Set(terms)
            | TermKind::Tuple(terms)
            | TermKind::Function(_, terms) => terms.iter().any(Self::has_marker),
            TermKind::Map(entries) => entries.iter().any(|(k, v)| k.has_marker() || v.has_marker()),
            TermKind::UserDefined(fields) => fields.iter().any(|(_, term)| term.has_marker()),
            TermKind::TypeHint(_, term) | TermKind::Cast(term, _) | TermKind::Negation(term) => {
                term.has_marker()
            }
            TermKind::Arithmetic(first, rest) => {
                first.has_marker() || rest.iter().any(|(_, term)| term.has_marker())
            }
        }
    }
}

impl fmt::Display for Term {
    /// The term as CQL, as messages quote it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            TermKind::Literal(LiteralKind::String, text) => write!(f, "'{text}'"),
            TermKind::Literal(_, text) => f.write_str(text),
            TermKind::Null => f.write_str("NULL"),
            // A name is not shown, as in Cassandra.
            TermKind::Marker(_) => f.write_str("?"),
            TermKind::List(elements) => {
                f.write_str("[")?;
                write_list(f, elements)?;
                f.write_str("]")
            }
            TermKind::Set(elements) => {
                f.write_str("{")?;
                write_list(f, elements)?;
                f.write_str("}")
            }
            TermKind::Tuple(elements) => {
                f.write_str("(")?;
                write_list(f, elements)?;
                f.write_str(")")
            }
            TermKind::Map(entries) => {
                let entries: Vec<_> = entries.iter().map(|(key, value)| format!("{key}: {value}")).collect();
                write!(f, "{{{}}}", entries.join(", "))
            }
            TermKind::UserDefined(fields) => {
                let field = |(name, value): &(String, Self)| format!("{}: {value}", quote_identifier(name));
                write!(f, "{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
            }
            TermKind::Function(name, arguments) => {
                write!(f, "{name}(")?;
                write_list(f, arguments)?;
                f.write_str(")")
            }
            TermKind::TypeHint(ty, term) => write!(f, "({ty}){term}"),
            TermKind::Cast(term, ty) => write!(f, "system.cast_as_{ty}({term})"),
            // Operators are functions, and shown as such, as in Cassandra.
            TermKind::Negation(term) => write!(f, "system.\"_negate\"({term})"),
            TermKind::Arithmetic(first, rest) => {
                rest.iter()
                    .rev()
                    .try_for_each(|(operator, _)| write!(f, "system.\"{}\"(", operator.function_name()))?;
                first.fmt(f)?;
                rest.iter().try_for_each(|(_, term)| write!(f, ", {term})"))
            }
        }
    }
}
