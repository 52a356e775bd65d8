//! Conditions that are checked row by row.

use super::{Condition, OperandValues, Restrictions};
use crate::ast::Operator;
use crate::binding::Binding;
use crate::error::CqlError;
use dodona_types::CqlType;
use dodona_types::schema::Column;
use dodona_types::value;
use std::borrow::Cow;

/// The elements of a list's wire bytes.
pub(crate) fn elements(list: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = list;
    let count = value::read_length(&mut rest).unwrap_or(0).max(0);
    (0..count).map_while(move |_| value::read_bytes(&mut rest))
}

/// The entries of a map's wire bytes.
pub(crate) fn map_entries(map: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = map;
    let count = value::read_length(&mut rest).unwrap_or(0).max(0);
    (0..count).map_while(move |_| Some((value::read_bytes(&mut rest)??, value::read_bytes(&mut rest)??)))
}

/// A condition, its operands, and the key of the entry that it is on.
type Evaluated<'r> = (&'r Condition, OperandValues<'r>, Option<Cow<'r, [u8]>>);

/// The values of the filters, evaluated once for an execution.
pub(crate) struct Filter<'r> {
    conditions: Vec<Evaluated<'r>>,
}

impl<'r> Filter<'r> {
    pub(crate) fn new(restrictions: &'r Restrictions, binding: &'r Binding<'_>) -> Result<Self, CqlError> {
        let mut conditions = Vec::with_capacity(restrictions.filters.len());
        for condition in &restrictions.filters {
            let values = condition.operands.evaluate(binding, &condition.column.name)?;
            let element = match &condition.element {
                Some(element) => Some(element.evaluate_set(binding, &condition.column.name)?),
                None => None,
            };
            conditions.push((condition, values, element));
        }
        Ok(Self { conditions })
    }

    /// True without conditions.
    pub(crate) fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// True if all conditions hold for a row whose values `value_of` gives.
    pub(crate) fn accepts<'v>(&self, value_of: impl Fn(&Column) -> Option<&'v [u8]>) -> bool {
        self.conditions.iter().all(|(condition, values, element)| {
            value_of(&condition.column)
                .is_some_and(|value| holds(condition, value, values, element.as_deref()))
        })
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
