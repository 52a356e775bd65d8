//! Whether a value of one type, or a term, may stand where another type is wanted.

use super::resolve::{Argument, resolve_cast, resolve_term};
use crate::ast::{Term, TermKind};
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

/// Whether a term may be of a type.
pub(crate) fn of_term(context: &Context<'_>, term: &Term, to: &CqlType) -> Assignment {
    let each = |terms: &[Term], ty: &CqlType| {
        of_elements(context, terms.iter().map(|term| term as &dyn Argument), ty)
    };
    match (&term.kind, to) {
        (TermKind::Literal(kind, text), _) => kind.assignment(text, to),
        (TermKind::Null, CqlType::Counter) => Assignment::Not,
        (TermKind::Null | TermKind::Marker(_), _) => Assignment::Weak,
        (TermKind::List(terms), CqlType::List { element, .. } | CqlType::Vector { element, .. }) => {
            each(terms, element)
        }
        (TermKind::Set(terms), CqlType::Set { element, .. }) => each(terms, element),
        (TermKind::Set(terms), CqlType::Map { .. }) if terms.is_empty() => Assignment::Weak,
        (TermKind::Map(entries), CqlType::Map { key, value, .. }) => {
            all(entries.iter().flat_map(|(k, v)| [of_term(context, k, key), of_term(context, v, value)]))
        }
        (TermKind::UserDefined(fields), CqlType::UserDefined { definition, .. }) => {
            let known = |name: &str| definition.field_position(name).map(|index| &definition.fields[index].1);
            // A field that there is not is reported when the literal is looked at itself.
            if fields.iter().all(|(name, field)| {
                known(name).is_none_or(|ty| of_term(context, field, ty) != Assignment::Not)
            }) {
                Assignment::Weak
            } else {
                Assignment::Not
            }
        }
        (TermKind::Tuple(terms), CqlType::Tuple(types)) => {
            let fits = terms.len() <= types.len()
                && terms
                    .iter()
                    .zip(types.iter())
                    .all(|(term, ty)| of_term(context, term, ty) != Assignment::Not);
            if fits { Assignment::Weak } else { Assignment::Not }
        }
        (TermKind::Tuple(terms), _) if terms.len() == 1 => of_term(context, &terms[0], to),
        (TermKind::TypeHint(raw, _), _) => {
            context.hinted_type(raw).map_or(Assignment::Not, |hinted| of_type(&hinted, to))
        }
        (TermKind::Cast(inner, target), _) => match resolve_cast(context, inner, target, Some(to)) {
            Ok(call) => of_type(&call.signature.result, to),
            Err(_) => Assignment::Weak,
        },
        (TermKind::Function(..) | TermKind::Negation(_) | TermKind::Arithmetic(..), _) => {
            match resolve_term(context, term, Some(to)) {
                Ok(Some(call)) => of_type(&call.signature.result, to),
                // What is wrong with the call is said when the call is looked at itself.
                _ => Assignment::Weak,
            }
        }
        _ => Assignment::Not,
    }
}
