//! Conditions on one column.

use super::shown;
use super::{Condition, Operands, is_slice};
use crate::ast::{Operand, Operator, Relation};
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::term::{Expression, Receiver};
use dodona_types::CqlType;
use dodona_types::cql_type::quote_identifier;
use dodona_types::schema::{Column, Table};
use std::sync::Arc;

/// The column of this name, if statements can name it.
pub(crate) fn column_of<'t>(table: &'t Table, name: &str) -> Result<&'t Column, CqlError> {
    table.visible_column(name).ok_or_else(|| {
        CqlError::Invalid(format!(
            "Undefined column name {} in table {}.{}",
            quote_identifier(name),
            quote_identifier(&table.keyspace),
            quote_identifier(&table.name)
        ))
    })
}

/// What types like this one, which has parts, are called in messages.
pub(crate) const fn kinds_with_parts(ty: &CqlType) -> &'static str {
    match ty {
        CqlType::Tuple(_) => "tuples",
        CqlType::UserDefined { .. } => "UDTs",
        CqlType::Vector { .. } => "vectors",
        _ => "collections",
    }
}

/// A condition on one column, or on an element of it.
pub(super) fn column_condition(
    context: &mut Context<'_>,
    table: &Table,
    relation: &Relation,
    name: &str,
    key: Option<&crate::ast::Term>,
) -> Result<Condition, CqlError> {
    let column = column_of(table, name)?.clone();
    let operator = relation.operator;
    if relation.operand == Operand::Nothing {
        return invalid(format!("Unsupported restriction: {name} IS NOT NULL"));
    }
    if is_slice(operator) && column.cql_type.references_duration() {
        let what = match &column.cql_type {
            CqlType::Duration => "duration columns".to_owned(),
            ty => format!("{} containing durations", kinds_with_parts(ty)),
        };
        return invalid(format!("Slice restrictions are not supported on {what}"));
    }
    if column.cql_type.is_multi_cell()
        && key.is_none()
        && !matches!(operator, Operator::Contains | Operator::ContainsKey)
    {
        if matches!(column.cql_type, CqlType::UserDefined { .. }) {
            return invalid(format!(
                "Non-frozen UDT column '{name}' ({}) cannot be restricted by any relation",
                column.cql_type
            ));
        }
        return invalid(format!(
            "Collection column '{name}' ({}) cannot be restricted by a '{}' relation",
            column.cql_type,
            operator.text()
        ));
    }
    let (receiver, element) = receiver_of(context, &column, operator, key)?;
    let operands = match &relation.operand {
        Operand::One(term) if operator == Operator::In => {
            let list = Receiver::new(format!("in({name})"), CqlType::list(receiver.cql_type.clone(), true));
            Operands::ListOf(Expression::prepare(context, term, &list)?)
        }
        Operand::One(term) => Operands::One(Expression::prepare(context, term, &receiver)?),
        Operand::Many(terms) => {
            let terms = terms
                .iter()
                .map(|term| Expression::prepare(context, term, &receiver))
                .collect::<Result<_, _>>()?;
            Operands::Many(terms)
        }
        Operand::Range(_) => return invalid("BETWEEN is not supported"),
        Operand::Nothing => return invalid(format!("Unsupported restriction: {name} IS NOT NULL")),
    };
    if matches!(operator, Operator::Like | Operator::NotIn | Operator::NotContains | Operator::NotContainsKey)
    {
        return invalid(format!(
            "{} restriction is only supported on properly indexed columns. {} is not valid.",
            operator.text(),
            shown::relation(relation)
        ));
    }
    let (operator, operands) = as_equal(operator, operands);
    Ok(Condition { column, operator, operands, element, in_parentheses: false })
}

/// `IN` with one value in parentheses is `=`.
pub(super) fn as_equal(operator: Operator, operands: Operands) -> (Operator, Operands) {
    match operands {
        Operands::Many(mut values) if operator == Operator::In && values.len() == 1 => {
            (Operator::Equal, Operands::One(values.swap_remove(0)))
        }
        operands => (operator, operands),
    }
}

fn receiver_of(
    context: &mut Context<'_>,
    column: &Column,
    operator: Operator,
    key: Option<&crate::ast::Term>,
) -> Result<(Receiver, Option<Expression>), CqlError> {
    let name = &column.name;
    let not_a_collection =
        || CqlError::Invalid(format!("Cannot use {} on non-collection column {name}", operator.text()));
    let not_a_map = || CqlError::Invalid(format!("Cannot use {} on non-map column {name}", operator.text()));
    match (operator, &column.cql_type, key) {
        (_, CqlType::Map { frozen: true, .. }, Some(_)) => Err(CqlError::Invalid(format!(
            "Map-entry equality predicates on frozen map column {name} are not supported"
        ))),
        (_, CqlType::Map { .. }, Some(_)) if operator != Operator::Equal => {
            invalid("Only EQ relations are supported on map entries")
        }
        (_, CqlType::Map { key: key_type, value, .. }, Some(term)) => {
            let key_receiver = Receiver::new(format!("key({name})"), CqlType::clone(key_type));
            let element = Expression::prepare(context, term, &key_receiver)?;
            Ok((Receiver::new(format!("value({name})"), CqlType::clone(value)), Some(element)))
        }
        (_, CqlType::List { .. }, Some(_)) => Err(CqlError::Invalid(
            "Indexes on list entries (l[index] = value) are not currently supported.".into(),
        )),
        (_, _, Some(_)) => Err(CqlError::Invalid(format!("Column {name} cannot be used as a map"))),
        (Operator::Contains, CqlType::List { element, .. } | CqlType::Set { element, .. }, None) => {
            Ok((Receiver::new(format!("value({name})"), CqlType::clone(element)), None))
        }
        (Operator::Contains, CqlType::Map { value, .. }, None) => {
            Ok((Receiver::new(format!("value({name})"), CqlType::clone(value)), None))
        }
        (Operator::ContainsKey, CqlType::Map { key, .. }, None) => {
            Ok((Receiver::new(format!("key({name})"), CqlType::clone(key)), None))
        }
        (Operator::Contains, _, None) => Err(not_a_collection()),
        (Operator::ContainsKey, _, None) => Err(not_a_map()),
        (_, ty, None) => Ok((Receiver::new(Arc::clone(name), ty.clone()), None)),
    }
}
