//! Conditions that are checked row by row.

use super::tuple::TupleCondition;
use super::{Condition, OperandValues, Operands, Restrictions, is_slice};
use crate::ast::Operator;
use crate::binding::{Binding, Val};
use crate::error::{CqlError, invalid};
use dodona_types::CqlType;
use dodona_types::schema::Column;
use dodona_types::value::{self, elements, map_entries};
use smallvec::smallvec;
use std::borrow::Cow;

/// A condition, its operands, and the key of the entry that it is on.
type Evaluated<'r> = (&'r Condition, OperandValues<'r>, Option<Cow<'r, [u8]>>);

/// The values of the filters, evaluated once for an execution.
pub(crate) struct Filter<'r> {
    conditions: Vec<Evaluated<'r>>,
    /// Conditions on several columns, and the tuples of values of which one must be theirs.
    tuples: Vec<(&'r TupleCondition, Vec<Vec<Vec<u8>>>)>,
}

impl<'r> Filter<'r> {
    pub(crate) fn new(restrictions: &'r Restrictions, binding: &'r Binding<'_>) -> Result<Self, CqlError> {
        let of_tuples = restrictions.tuple_filters.iter().map(|tuple| tuple.operator);
        let of_tuples = of_tuples.chain(
            restrictions.filters.iter().filter(|filter| filter.in_parentheses).map(|filter| filter.operator),
        );
        if of_tuples.into_iter().any(is_slice) {
            return invalid("Multi-column slice restrictions cannot be used for filtering.");
        }
        let mut conditions = Vec::with_capacity(restrictions.filters.len());
        for condition in &restrictions.filters {
            let name = &condition.column.name;
            let element = match &condition.element {
                Some(element) => Some(supported(element.evaluate(binding)?, " map key", name)?),
                None => None,
            };
            let what = if element.is_some() { " map value" } else { " value" };
            let values = match &condition.operands {
                Operands::One(expression) => {
                    let value = expression.evaluate(binding)?;
                    let is_counter = condition.column.cql_type == CqlType::Counter;
                    if value == Val::Null && is_counter && expression.marker_index().is_none() {
                        // As Cassandra says it of filters as well, if null is written there.
                        return invalid("Invalid null value for counter increment/decrement");
                    }
                    smallvec![supported(value, what, name)?]
                }
                Operands::Many(expressions) => {
                    let mut values = OperandValues::new();
                    for expression in expressions {
                        let value = expression.evaluate(binding)?;
                        // What is bound to a marker and is none is like no value at all.
                        if matches!(value, Val::Bytes(_)) || expression.marker_index().is_none() {
                            values.push(supported(value, what, name)?);
                        }
                    }
                    values
                }
                Operands::ListOf(_) => condition.operands.evaluate(binding, name)?,
            };
            conditions.push((condition, values, element));
        }
        let mut tuples = Vec::with_capacity(restrictions.tuple_filters.len());
        for tuple in &restrictions.tuple_filters {
            let values = tuple.values(binding)?;
            let parts = values
                .iter()
                .map(|value| Ok(tuple.parts(value)?.into_iter().map(<[u8]>::to_vec).collect()))
                .collect::<Result<_, CqlError>>()?;
            tuples.push((tuple, parts));
        }
        Ok(Self { conditions, tuples })
    }

    /// True without conditions.
    pub(crate) fn is_empty(&self) -> bool {
        self.conditions.is_empty() && self.tuples.is_empty()
    }

    /// True if all conditions hold for a row whose values `value_of` gives.
    pub(crate) fn accepts<'v>(&self, value_of: impl Fn(&Column) -> Option<&'v [u8]>) -> bool {
        self.conditions.iter().all(|(condition, values, element)| {
            value_of(&condition.column)
                .is_some_and(|value| holds(condition, value, values, element.as_deref()))
        }) && self.tuples.iter().all(|(tuple, wanted)| {
            wanted.iter().any(|parts| {
                tuple.columns.iter().zip(parts).all(|(column, part)| {
                    value_of(column)
                        .is_some_and(|value| value::compare(&column.cql_type, value, part).is_eq())
                })
            })
        })
    }
}

/// The value of a filter, which must be one.
fn supported<'v>(value: Val<'v>, what: &str, column: &str) -> Result<Cow<'v, [u8]>, CqlError> {
    match value {
        Val::Bytes(bytes) => Ok(bytes),
        Val::Null => invalid(format!("Unsupported null{what} for column {column}")),
        Val::Unset => invalid(format!("Unsupported unset{what} for column {column}")),
    }
}

fn holds(condition: &Condition, value: &[u8], operands: &[Cow<'_, [u8]>], element: Option<&[u8]>) -> bool {
    let ty = &condition.column.cql_type;
    if let (Some(wanted), CqlType::Map { key, value: value_type, .. }) = (element, ty) {
        let found = map_entries(value).find(|(k, _)| value::compare(key, k, wanted).is_eq());
        return found.is_some_and(|(_, found)| {
            operands.iter().any(|operand| value::compare(value_type, found, operand).is_eq())
        });
    }
    let operand = operands.first().map_or(&[][..], |operand| &**operand);
    match condition.operator {
        Operator::Contains => match ty {
            CqlType::List { element, .. } | CqlType::Set { element, .. } => {
                elements(value).flatten().any(|found| value::compare(element, found, operand).is_eq())
            }
            CqlType::Map { value: value_type, .. } => {
                map_entries(value).any(|(_, found)| value::compare(value_type, found, operand).is_eq())
            }
            _ => false,
        },
        Operator::ContainsKey => match ty {
            CqlType::Map { key, .. } => {
                map_entries(value).any(|(found, _)| value::compare(key, found, operand).is_eq())
            }
            _ => false,
        },
        Operator::In => operands.iter().any(|operand| value::compare(ty, value, operand).is_eq()),
        operator => {
            let order = value::compare(ty, value, operand);
            match operator {
                Operator::Equal => order.is_eq(),
                Operator::Less => order.is_lt(),
                Operator::LessOrEqual => order.is_le(),
                Operator::Greater => order.is_gt(),
                Operator::GreaterOrEqual => order.is_ge(),
                _ => false,
            }
        }
    }
}
