//! Whether a value of one type, or a term, may stand where another type is wanted.

use super::argument::Argument;
use crate::context::Context;
use dodona_types::CqlType;
pub(crate) use dodona_types::value::Assignment;

/// Whether a value of one type may stand for one of another.
pub(crate) fn of_type(from: &CqlType, to: &CqlType) -> Assignment {
    if from == to || from.freeze() == to.freeze() {
        Assignment::Exact
    } else if reads_as(from, to) {
        Assignment::Weak
    } else {
        Assignment::Not
    }
}

/// True if the bytes of one type are read as another without change (Cassandra's
/// `isValueCompatibleWith`).
fn reads_as(from: &CqlType, to: &CqlType) -> bool {
    let all = |from: &mut dyn Iterator<Item = &CqlType>, to: &mut dyn Iterator<Item = &CqlType>| {
        from.zip(to).all(|(from, to)| reads_as(from, to))
    };
    match (from, to) {
        (_, CqlType::Blob)
        | (CqlType::Ascii, CqlType::Text)
        | (CqlType::Timeuuid, CqlType::Uuid)
        | (CqlType::Timestamp, CqlType::Bigint)
        | (CqlType::Bigint, CqlType::Timestamp | CqlType::Time)
        | (CqlType::Int | CqlType::Bigint | CqlType::Timestamp, CqlType::Varint)
        | (CqlType::Int, CqlType::Date) => true,
        (CqlType::List { .. }, CqlType::List { .. })
        | (CqlType::Set { .. }, CqlType::Set { .. })
        | (CqlType::Map { .. }, CqlType::Map { .. }) => all(&mut from.inner(), &mut to.inner()),
        (CqlType::Tuple(a), CqlType::Tuple(b)) => a.len() <= b.len() && all(&mut a.iter(), &mut b.iter()),
        (CqlType::Vector { element: a, dimensions: m }, CqlType::Vector { element: b, dimensions: n }) => {
            m == n && reads_as(a, b)
        }
        _ => from.freeze() == to.freeze(),
    }
}

/// The assignment of all parts together.
pub(crate) fn all(parts: impl Iterator<Item = Assignment>) -> Assignment {
    let mut whole = Assignment::Exact;
    for part in parts {
        match part {
            Assignment::Not => return Assignment::Not,
            Assignment::Weak => whole = Assignment::Weak,
            Assignment::Exact => {}
        }
    }
    whole
}

/// The assignment of the elements of a literal in brackets or braces; none fit any type.
pub(crate) fn of_elements<'a>(
    context: &Context<'_>,
    elements: impl ExactSizeIterator<Item = &'a dyn Argument>,
    element: &CqlType,
) -> Assignment {
    if elements.len() == 0 {
        return Assignment::Weak;
    }
    all(elements.map(|argument| argument.assignment(context, element)))
}
