//! Literals against what receives them.

use super::Expression;
use crate::ast::{Term, TermKind};
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::functions::{self, Assignment};
use crate::receiver::Receiver;
use dodona_types::CqlType;
use dodona_types::value::{LiteralError, LiteralKind, is_now, literal_to_wire};

pub(super) fn literal(kind: LiteralKind, text: &str, receiver: &Receiver) -> Result<Expression, CqlError> {
    if kind == LiteralKind::String && receiver.cql_type == CqlType::Timestamp && is_now(text) {
        return Ok(Expression::Call(functions::current_timestamp(), Vec::new()));
    }
    let mut wire = Vec::new();
    match literal_to_wire(kind, text, &receiver.cql_type, &mut wire) {
        Ok(()) => Ok(Expression::Constant(Some(wire.into()))),
        Err(LiteralError::Value(error)) if kind == LiteralKind::Hex => {
            Ok(Expression::Malformed(error.into()))
        }
        Err(LiteralError::Value(error)) => Err(error.into()),
        Err(LiteralError::WrongKind) => invalid(format!(
            "Invalid {kind} constant ({text}) for \"{}\" of type {}",
            receiver.name, receiver.cql_type
        )),
    }
}

fn wrong_type(what: &str, receiver: &Receiver) -> CqlError {
    CqlError::Invalid(format!("Invalid {what} literal for {} of type {}", receiver.name, receiver.cql_type))
}

/// Checks that a part of a literal may be of the type it has there.
fn check_part(
    context: &Context<'_>,
    what: &str,
    receiver: &Receiver,
    part: &str,
    term: &Term,
    ty: &CqlType,
) -> Result<(), CqlError> {
    let takes_list = matches!(ty, CqlType::List { .. } | CqlType::Vector { .. });
    if matches!(term.kind, TermKind::List(_)) && !takes_list {
        return invalid(format!("Unexpected receiver type '{ty}'; only list and vector are expected"));
    }
    if functions::of_term(context, term, ty) == Assignment::Not {
        return invalid(format!("Invalid {what} literal for {}: {part} is not of type {ty}", receiver.name));
    }
    Ok(())
}

/// Lists, sets and maps are written without bind markers inside (those in vectors and tuples are
/// taken).
fn check_markers<'t>(
    what: &str,
    receiver: &Receiver,
    mut terms: impl Iterator<Item = &'t Term>,
) -> Result<(), CqlError> {
    if what != "vector" && terms.any(Term::has_marker) {
        return invalid(format!(
            "Invalid {what} literal for {}: bind variables are not supported inside collection literals",
            receiver.name
        ));
    }
    Ok(())
}

fn elements_of(
    context: &mut Context<'_>,
    what: &str,
    elements: &[Term],
    receiver: &Receiver,
    element: &CqlType,
) -> Result<Expression, CqlError> {
    for term in elements {
        check_part(context, what, receiver, &format!("value {term}"), term, element)?;
    }
    check_markers(what, receiver, elements.iter())?;
    let inner = Receiver::new(format!("value({})", receiver.name), element.clone());
    let elements = elements
        .iter()
        .map(|term| Expression::prepare_part(context, term, &inner))
        .collect::<Result<_, _>>()?;
    Ok(Expression::Elements(receiver.clone(), elements))
}

pub(super) fn list(
    context: &mut Context<'_>,
    elements: &[Term],
    receiver: &Receiver,
) -> Result<Expression, CqlError> {
    match &receiver.cql_type {
        CqlType::List { element, .. } => elements_of(context, "list", elements, receiver, element),
        CqlType::Vector { element, dimensions } => {
            if elements.len() != usize::from(*dimensions) {
                return invalid(format!(
                    "Invalid vector literal for {} of type {}; expected {dimensions} elements, but given {}",
                    receiver.name,
                    receiver.cql_type,
                    elements.len()
                ));
            }
            elements_of(context, "vector", elements, receiver, element)
        }
        other => invalid(format!("Unexpected receiver type '{other}'; only list and vector are expected")),
    }
}

pub(super) fn set(
    context: &mut Context<'_>,
    elements: &[Term],
    receiver: &Receiver,
) -> Result<Expression, CqlError> {
    match &receiver.cql_type {
        CqlType::Set { element, .. } => elements_of(context, "set", elements, receiver, element),
        // `{}` is an empty map just as well.
        CqlType::Map { .. } if elements.is_empty() => Ok(Expression::Entries(receiver.clone(), Vec::new())),
        _ => Err(wrong_type("set", receiver)),
    }
}

pub(super) fn map(
    context: &mut Context<'_>,
    entries: &[(Term, Term)],
    receiver: &Receiver,
) -> Result<Expression, CqlError> {
    let CqlType::Map { key, value, .. } = &receiver.cql_type else {
        return Err(wrong_type("map", receiver));
    };
    for (k, v) in entries {
        check_part(context, "map", receiver, &format!("key {k}"), k, key)?;
        check_part(context, "map", receiver, &format!("value {v}"), v, value)?;
    }
    check_markers("map", receiver, entries.iter().flat_map(|(k, v)| [k, v]))?;
    let key = Receiver::new(format!("key({})", receiver.name), CqlType::clone(key));
    let value = Receiver::new(format!("value({})", receiver.name), CqlType::clone(value));
    let entries = entries
        .iter()
        .map(|(k, v)| {
            Ok((Expression::prepare_part(context, k, &key)?, Expression::prepare_part(context, v, &value)?))
        })
        .collect::<Result<_, CqlError>>()?;
    Ok(Expression::Entries(receiver.clone(), entries))
}

pub(super) fn user_defined(
    context: &mut Context<'_>,
    fields: &[(String, Term)],
    receiver: &Receiver,
) -> Result<Expression, CqlError> {
    let CqlType::UserDefined { definition, .. } = &receiver.cql_type else {
        return Err(wrong_type("user type", receiver));
    };
    if let Some((unknown, _)) = fields.iter().find(|(name, _)| definition.field_position(name).is_none()) {
        return invalid(format!(
            "Unknown field '{unknown}' in value of user defined type {}",
            definition.name
        ));
    }
    let given = |name: &str| fields.iter().rev().find(|(given, _)| given == name).map(|(_, term)| term);
    for (name, ty) in &definition.fields {
        if let Some(term) = given(name) {
            check_part(context, "user type", receiver, &format!("field {name}"), term, ty)?;
        }
    }
    let expressions = definition
        .fields
        .iter()
        .map(|(name, ty)| match given(name) {
            Some(term) => Expression::prepare_part(
                context,
                term,
                &Receiver::new(format!("{}.{name}", receiver.name), ty.freeze()),
            ),
            None => Ok(Expression::Constant(None)),
        })
        .collect::<Result<_, _>>()?;
    Ok(Expression::Elements(receiver.clone(), expressions))
}

pub(super) fn tuple(
    context: &mut Context<'_>,
    elements: &[Term],
    receiver: &Receiver,
) -> Result<Expression, CqlError> {
    let CqlType::Tuple(types) = &receiver.cql_type else {
        if let [only] = elements {
            // Parentheses.
            return Expression::prepare_part(context, only, receiver);
        }
        return Err(wrong_type("tuple type", receiver));
    };
    if elements.len() > types.len() {
        return invalid(format!(
            "Invalid tuple literal for {}: too many elements. Type {} expects {} but got {}",
            receiver.name,
            receiver.cql_type,
            types.len(),
            elements.len()
        ));
    }
    for (index, (element, ty)) in elements.iter().zip(types.iter()).enumerate() {
        check_part(context, "tuple", receiver, &format!("component {index}"), element, ty)?;
    }
    let expressions = elements
        .iter()
        .zip(types.iter())
        .enumerate()
        .map(|(index, (element, ty))| {
            Expression::prepare_part(
                context,
                element,
                &Receiver::new(format!("{}[{index}]", receiver.name), ty.clone()),
            )
        })
        .collect::<Result<_, _>>()?;
    Ok(Expression::Elements(receiver.clone(), expressions))
}
