//! What the items of SET and DELETE mean for a column.

use super::cells::Change;
use crate::ast::{ColumnPart, Operation, Term, TermKind};
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::functions::is_number;
use crate::term::{Expression, Receiver};
use dodona_types::CqlType;
use dodona_types::schema::Column;

/// What an assignment of an UPDATE does. A conditional one may add to what the column has.
pub(crate) fn change_of(
    context: &mut Context<'_>,
    column: &Column,
    operation: &Operation,
    is_conditional: bool,
) -> Result<Change, CqlError> {
    let (name, ty) = (&column.name, &column.cql_type);
    let mut prepare = |term: &Term, receiver: CqlType, receiver_name: String| {
        Expression::prepare(context, term, &Receiver::new(receiver_name, receiver))
    };
    if *ty == CqlType::Counter {
        let (term, negative) = match operation {
            Operation::Add(term) => (term, false),
            Operation::Subtract(term) => (term, true),
            Operation::Prepend(term) => {
                return invalid(format!(
                    "Invalid operation ({name} = {term} - {name}) for non list column {name}"
                ));
            }
            _ => {
                return invalid(format!(
                    "Cannot set the value of counter column {name} (counters can only be incremented/decremented, not set)"
                ));
            }
        };
        return Ok(Change::Count { delta: prepare(term, CqlType::Counter, name.to_string())?, negative });
    }
    match operation {
        Operation::Set(term) => Ok(Change::Set(prepare(term, ty.clone(), name.to_string())?)),
        Operation::Add(term) => {
            let shown = format!("{name} = {name} + {term}");
            match ty {
                CqlType::UserDefined { .. } | CqlType::Tuple(_) => {
                    return invalid(format!("Invalid operation ({shown}) for tuple column {name}"));
                }
                CqlType::List { .. } | CqlType::Set { .. } | CqlType::Map { .. } => {}
                _ if is_conditional => {
                    if !(is_number(ty) || matches!(ty, CqlType::Text | CqlType::Ascii)) {
                        return invalid(format!(
                            "Invalid operation ({shown}) for non-numeric and non-text type {name}"
                        ));
                    }
                    return Ok(Change::Plus(prepare(term, ty.clone(), name.to_string())?));
                }
                _ => {}
            }
            check_addable(column, &shown)?;
            check_map_operand(ty, term, "addition")?;
            match prepare(term, ty.clone(), name.to_string()) {
                Ok(expression) => Ok(Change::Append(expression)),
                Err(_) if matches!(ty, CqlType::Map { .. }) => Err(not_a_map_operand("addition", term)),
                Err(error) => Err(error),
            }
        }
        Operation::Prepend(term) => {
            let shown = format!("{name} = {term} - {name}");
            match ty {
                CqlType::List { frozen: false, .. } => {
                    Ok(Change::Prepend(prepare(term, ty.clone(), name.to_string())?))
                }
                CqlType::List { .. } => {
                    invalid(format!("Invalid operation ({shown}) for frozen list column {name}"))
                }
                _ => invalid(format!("Invalid operation ({shown}) for non list column {name}")),
            }
        }
        Operation::Subtract(term) => {
            check_addable(column, &format!("{name} = {name} - {term}"))?;
            match ty {
                CqlType::Set { .. } => Ok(Change::Remove(prepare(term, ty.clone(), name.to_string())?)),
                CqlType::Map { key, .. } => {
                    let keys = CqlType::set(CqlType::clone(key), true);
                    let removed = prepare(term, keys, name.to_string());
                    Ok(Change::Remove(removed.map_err(|_| not_a_map_operand("substraction", term))?))
                }
                _ => Ok(Change::RemoveFromList(prepare(term, ty.clone(), name.to_string())?)),
            }
        }
        Operation::SetElement(key, term) => {
            let shown = format!("{name}[{key}] = {term}");
            match ty {
                CqlType::Map { key: key_type, value, frozen: false } => Ok(Change::SetEntry(
                    prepare(key, CqlType::clone(key_type), format!("key({name})"))?,
                    prepare(term, CqlType::clone(value), format!("value({name})"))?,
                )),
                CqlType::List { element, frozen: false } => Ok(Change::SetIndex(
                    prepare(key, CqlType::Int, format!("idx({name})"))?,
                    prepare(term, CqlType::clone(element), format!("value({name})"))?,
                )),
                CqlType::Set { frozen: false, .. } => {
                    invalid(format!("Invalid operation ({shown}) for set column {name}"))
                }
                CqlType::List { .. } | CqlType::Map { .. } | CqlType::Set { .. } => {
                    invalid(format!("Invalid operation ({shown}) for frozen collection column {name}"))
                }
                _ => invalid(format!("Invalid operation ({shown}) for non collection column {name}")),
            }
        }
        Operation::SetField(field, term) => {
            let shown = format!("{name}.{field} = {term}");
            let (index, field_type) = field_of(
                column,
                field,
                &format!("Invalid operation ({shown}) for non-UDT column {name}"),
                &format!("Invalid operation ({shown}) for frozen UDT column {name}"),
            )?;
            Ok(Change::SetField(index, prepare(term, field_type, format!("{name}.{field}"))?))
        }
    }
}

/// Checks that elements can be added to the column, or taken from it.
fn check_addable(column: &Column, shown: &str) -> Result<(), CqlError> {
    let name = &column.name;
    match &column.cql_type {
        CqlType::List { frozen, .. } | CqlType::Set { frozen, .. } | CqlType::Map { frozen, .. } => {
            if *frozen {
                return invalid(format!("Invalid operation ({shown}) for frozen collection column {name}"));
            }
            Ok(())
        }
        _ => invalid(format!("Invalid operation ({shown}) for non counter column {name}")),
    }
}

fn not_a_map_operand(operation: &str, term: &Term) -> CqlError {
    let wanted = if operation == "addition" { "map" } else { "set" };
    CqlError::Invalid(format!("Value for a map {operation} has to be a {wanted}, but was: '{term}'"))
}

/// Nulls in what is added to a map are refused before anything is bound.
fn check_map_operand(ty: &CqlType, term: &Term, operation: &str) -> Result<(), CqlError> {
    let TermKind::Map(entries) = &term.kind else { return Ok(()) };
    let is_null = |term: &Term| matches!(term.kind, TermKind::Null);
    if matches!(ty, CqlType::Map { .. }) && entries.iter().any(|(k, v)| is_null(k) || is_null(v)) {
        return Err(not_a_map_operand(operation, term));
    }
    Ok(())
}

/// The place and type of a field; the messages are for columns that have none, or are frozen.
fn field_of(
    column: &Column,
    field: &str,
    not_udt: &str,
    is_frozen: &str,
) -> Result<(u16, CqlType), CqlError> {
    let name = &column.name;
    let CqlType::UserDefined { definition, frozen } = &column.cql_type else {
        return invalid(not_udt);
    };
    if *frozen {
        return invalid(is_frozen);
    }
    match definition.field_position(field) {
        Some(index) => Ok((index as u16, definition.fields[index].1.freeze())),
        None => invalid(format!("UDT column {name} does not have a field named {field}")),
    }
}

/// What a DELETE does to a column.
pub(crate) fn deletion_of(
    context: &mut Context<'_>,
    column: &Column,
    part: Option<&ColumnPart>,
) -> Result<Change, CqlError> {
    let name = &column.name;
    let mut prepare = |term, what: String, ty: &CqlType| {
        Expression::prepare(context, term, &Receiver::new(what, ty.clone()))
    };
    match part {
        None => Ok(Change::Delete),
        Some(ColumnPart::Field(field)) => {
            let (index, _) = field_of(
                column,
                field,
                &format!("Invalid field deletion operation for non-UDT column {name}"),
                &format!("Frozen UDT column {name} does not support field deletions"),
            )?;
            Ok(Change::DeleteField(index))
        }
        Some(ColumnPart::Element(term)) => match &column.cql_type {
            CqlType::Map { key, frozen: false, .. } => {
                Ok(Change::DeleteEntry(prepare(term, format!("key({name})"), key)?))
            }
            CqlType::Set { element, frozen: false } => {
                Ok(Change::DeleteEntry(prepare(term, format!("value({name})"), element)?))
            }
            CqlType::List { frozen: false, .. } => {
                Ok(Change::DeleteIndex(prepare(term, format!("idx({name})"), &CqlType::Int)?))
            }
            CqlType::Map { .. } | CqlType::Set { .. } | CqlType::List { .. } => {
                invalid(format!("Invalid deletion operation for frozen collection column {name}"))
            }
            _ => invalid(format!("Invalid deletion operation for non collection column {name}")),
        },
    }
}
