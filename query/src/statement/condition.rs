//! IF: conditions on what is there before a statement changes it.

use crate::ast::{self, ColumnPart, IfClause, Operand, Operator};
use crate::binding::{Binding, Val};
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::restrictions::{column_of, kinds_with_parts};
use crate::term::{Expression, Receiver};
use dodona_types::CqlType;
use dodona_types::schema::{Column, ColumnKind, Table};
use dodona_types::value::{self, elements, map_entries};
use std::borrow::Cow;

/// Conditional writes are in the order of their ballots.
pub(crate) const CUSTOM_TIMESTAMP: &str = "Cannot provide custom timestamp for conditional updates";

/// What must hold before a statement has an effect.
#[derive(Clone, Debug, Default)]
pub(crate) enum Conditions {
    /// Nothing: the statement is not conditional.
    #[default]
    None,
    /// The row must not be there.
    NotExists,
    /// The row must be there.
    Exists,
    /// All of these must hold.
    Columns(Vec<ColumnCondition>),
}

impl Conditions {
    /// The conditions of an UPDATE or a DELETE. Those on static columns come last.
    pub(crate) fn prepare(
        context: &mut Context<'_>,
        table: &Table,
        clause: &IfClause,
        has_timestamp: bool,
    ) -> Result<Self, CqlError> {
        match clause {
            IfClause::None => Ok(Self::None),
            IfClause::Exists => Ok(Self::Exists),
            IfClause::Conditions(_) if has_timestamp => invalid(CUSTOM_TIMESTAMP),
            IfClause::Conditions(conditions) => {
                let prepared = conditions.iter().map(|one| ColumnCondition::prepare(context, table, one));
                let mut prepared = prepared.collect::<Result<Vec<_>, _>>()?;
                prepared.sort_by_key(|condition| condition.column.kind == ColumnKind::Static);
                Ok(Self::Columns(prepared))
            }
        }
    }

    /// Refuses what is bound and is no value, before anything is compared.
    pub(crate) fn check_bound(&self, binding: &Binding<'_>) -> Result<(), CqlError> {
        match self {
            Self::Columns(conditions) => conditions.iter().try_for_each(|it| it.check_bound(binding)),
            Self::None | Self::Exists | Self::NotExists => Ok(()),
        }
    }

    /// Refuses conditions that cannot stand beside those of another statement on the same row.
    pub(crate) fn check_beside(&self, other: Option<&Self>) -> Result<(), CqlError> {
        match (other, self) {
            (Some(Self::NotExists), Self::Exists) | (Some(Self::Exists), Self::NotExists) => {
                invalid("Cannot mix IF EXISTS and IF NOT EXISTS conditions for the same row")
            }
            (Some(Self::Columns(_)), Self::Exists) => {
                invalid("Cannot mix IF conditions and IF EXISTS for the same row")
            }
            (Some(Self::NotExists | Self::Exists), Self::Columns(_))
            | (Some(Self::Columns(_)), Self::NotExists) => {
                invalid("Cannot mix IF conditions and IF NOT EXISTS for the same row")
            }
            _ => Ok(()),
        }
    }

    /// True if the statement is conditional.
    pub(crate) const fn is_some(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// True if there is a condition on a static column.
    pub(crate) fn has_static(&self) -> bool {
        matches!(self, Self::Columns(conditions) if conditions.iter().any(|it| it.column.kind == ColumnKind::Static))
    }

    /// True if there are conditions on columns that are not static.
    pub(crate) fn has_regular(&self) -> bool {
        matches!(self, Self::Columns(_)) && !self.are_static()
    }

    /// True if there are conditions on columns, all of them static.
    pub(crate) fn are_static(&self) -> bool {
        match self {
            Self::Columns(conditions) => {
                conditions.iter().all(|condition| condition.column.kind == ColumnKind::Static)
            }
            _ => false,
        }
    }
}

/// A part of a column's value.
#[derive(Clone, Debug)]
enum Part {
    Whole,
    /// An element of a list or an entry of a map.
    Element(Expression),
    /// A field of a user-defined type, by its place.
    Field(usize),
}

/// What a value is compared with.
#[derive(Clone, Debug)]
enum Comparand {
    One(Expression),
    Many(Vec<Expression>),
    /// A list that is bound.
    ListOf(Expression),
}

/// A condition on a column.
#[derive(Clone, Debug)]
pub(crate) struct ColumnCondition {
    pub(crate) column: Column,
    part: Part,
    /// The type of what is compared.
    cql_type: CqlType,
    operator: Operator,
    comparand: Comparand,
}

impl ColumnCondition {
    fn prepare(context: &mut Context<'_>, table: &Table, raw: &ast::Condition) -> Result<Self, CqlError> {
        let column = column_of(table, &raw.column)?.clone();
        let name = &column.name;
        if matches!(column.kind, ColumnKind::PartitionKey | ColumnKind::Clustering) {
            return invalid(format!("PRIMARY KEY column '{name}' cannot have IF conditions"));
        }
        if column.cql_type == CqlType::Counter {
            return invalid("Conditions on counters are not supported");
        }
        let (part, cql_type) = part_of(context, &column, raw.part.as_ref())?;
        let whole = match (&raw.part, &part) {
            (Some(ColumnPart::Field(field)), _) => format!("{name}.{field}"),
            (_, Part::Element(_)) => format!("value({name})"),
            _ => name.to_string(),
        };
        let receiver = match (raw.operator, &cql_type) {
            (Operator::Contains, CqlType::List { element, .. } | CqlType::Set { element, .. }) => {
                Receiver::new(format!("value({name})"), CqlType::clone(element))
            }
            (Operator::Contains, CqlType::Map { value, .. }) => {
                Receiver::new(format!("value({name})"), CqlType::clone(value))
            }
            (Operator::ContainsKey, CqlType::Map { key, .. }) => {
                Receiver::new(format!("key({name})"), CqlType::clone(key))
            }
            (Operator::Contains | Operator::ContainsKey, _) => {
                let kind = if raw.operator == Operator::Contains { "collection" } else { "map" };
                let operator = raw.operator.text();
                return invalid(format!("Cannot use {operator} on non-{kind} column {name}"));
            }
            _ => Receiver::new(whole, cql_type.clone()),
        };
        if cql_type == CqlType::Duration && is_slice(raw.operator) {
            let operator = raw.operator.text();
            return invalid(format!("Slice conditions ( {operator} ) are not supported on durations"));
        }
        if is_slice(raw.operator) && cql_type.references_duration() {
            let what = kinds_with_parts(&cql_type);
            return invalid(format!("Slice conditions are not supported on {what} containing durations"));
        }
        let comparand = match (&raw.operand, raw.operator) {
            (Operand::One(term), Operator::In) => {
                let list =
                    Receiver::new(format!("in({})", receiver.name), CqlType::list(receiver.cql_type, true));
                Comparand::ListOf(Expression::prepare(context, term, &list)?)
            }
            (
                Operand::One(term),
                Operator::Equal
                | Operator::NotEqual
                | Operator::Less
                | Operator::LessOrEqual
                | Operator::Greater
                | Operator::GreaterOrEqual
                | Operator::Contains
                | Operator::ContainsKey,
            ) => Comparand::One(Expression::prepare(context, term, &receiver)?),
            (Operand::Many(terms), Operator::In) => {
                let terms = terms.iter().map(|term| Expression::prepare(context, term, &receiver));
                Comparand::Many(terms.collect::<Result<_, _>>()?)
            }
            (_, operator) => {
                return invalid(format!("{} is not supported in conditions", operator.text()));
            }
        };
        Ok(Self { column, part, cql_type, operator: raw.operator, comparand })
    }

    /// Looks at everything that is bound, before any of it is compared.
    fn check_bound(&self, binding: &Binding<'_>) -> Result<(), CqlError> {
        if let Part::Element(key) = &self.part {
            key.evaluate(binding)?;
        }
        let operands = match &self.comparand {
            Comparand::One(expression) | Comparand::ListOf(expression) => std::slice::from_ref(expression),
            Comparand::Many(expressions) => expressions,
        };
        operands.iter().try_for_each(|expression| expression.evaluate(binding).map(drop))
    }

    /// True if the condition holds where the column has this value.
    pub(crate) fn holds(&self, current: Option<&[u8]>, binding: &Binding<'_>) -> Result<bool, CqlError> {
        let found = self.find(current, binding)?;
        let found = found.as_deref();
        match &self.comparand {
            // What is not set is in no collection; of a frozen one it is refused, as in Cassandra.
            Comparand::One(expression)
                if matches!(self.operator, Operator::Contains | Operator::ContainsKey)
                    && self.column.cql_type.is_multi_cell()
                    && expression.evaluate(binding)? == Val::Unset =>
            {
                Ok(false)
            }
            Comparand::One(expression) => {
                let operand = Self::operand(expression, binding)?;
                self.compare(self.operator, found, operand.as_deref())
            }
            Comparand::Many(expressions) => {
                // What is not set is like no value at all.
                let is_set = |value: &Result<Val<'_>, CqlError>| !matches!(value, Ok(Val::Unset));
                let values = expressions.iter().map(|expression| expression.evaluate(binding));
                for value in values.filter(is_set) {
                    let operand = set(value?)?;
                    if self.compare(Operator::Equal, found, operand.as_deref())? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Comparand::ListOf(expression) => {
                let Some(list) = Self::operand(expression, binding)? else {
                    return invalid("Invalid null list in IN condition");
                };
                for operand in elements(&list) {
                    if self.compare(Operator::Equal, found, operand)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    fn operand<'a>(
        expression: &'a Expression,
        binding: &'a Binding<'_>,
    ) -> Result<Option<Cow<'a, [u8]>>, CqlError> {
        set(expression.evaluate(binding)?)
    }

    /// The value, or the part of it, that is compared.
    fn find<'a>(
        &self,
        current: Option<&'a [u8]>,
        binding: &Binding<'_>,
    ) -> Result<Option<Cow<'a, [u8]>>, CqlError> {
        match (&self.part, &self.column.cql_type) {
            (Part::Whole, _) => Ok(current.map(Cow::Borrowed)),
            (Part::Element(key), CqlType::Map { key: key_type, .. }) => {
                let key = match key.evaluate(binding)? {
                    Val::Bytes(key) => key,
                    Val::Null => return invalid("Invalid null value for map element access"),
                    Val::Unset => return Ok(None),
                };
                let mut entries = map_entries(current.unwrap_or_default());
                let found = entries.find(|(found, _)| value::compare(key_type, found, &key).is_eq());
                Ok(found.map(|(_, value)| Cow::Borrowed(value)))
            }
            (Part::Element(index), _) => {
                let Some(index) = Self::operand(index, binding)? else {
                    return invalid("Invalid null value for list element access");
                };
                let index = index.as_ref().try_into().map_or(0, i32::from_be_bytes);
                let Ok(index) = usize::try_from(index) else {
                    return invalid(format!("Invalid negative list index {index}"));
                };
                Ok(elements(current.unwrap_or_default()).nth(index).flatten().map(Cow::Borrowed))
            }
            (Part::Field(index), _) => {
                let mut rest = current.unwrap_or_default();
                for _ in 0..*index {
                    if value::read_bytes(&mut rest).is_none() {
                        return Ok(None);
                    }
                }
                Ok(value::read_bytes(&mut rest).flatten().map(Cow::Borrowed))
            }
        }
    }

    fn compare(
        &self,
        operator: Operator,
        found: Option<&[u8]>,
        operand: Option<&[u8]>,
    ) -> Result<bool, CqlError> {
        let ty = &self.cql_type;
        // A collection of several cells is null when it is empty.
        let is_empty = |bytes: &[u8]| elements(bytes).next().is_none();
        let is_cells = matches!(self.part, Part::Whole)
            && ty.is_multi_cell()
            && !matches!(ty, CqlType::UserDefined { .. });
        let is_membership = matches!(operator, Operator::Contains | Operator::ContainsKey);
        if is_slice(operator) && is_cells && operand.is_some_and(is_empty) {
            let kind = match ty {
                CqlType::List { .. } => "list",
                CqlType::Map { .. } => "map",
                _ => "set",
            };
            let operator = operator.text();
            return invalid(format!("Invalid comparison with an empty {kind} for operator \"{operator}\""));
        }
        let operand = operand.filter(|bytes| is_membership || !is_cells || !is_empty(bytes));
        let Some(operand) = operand else {
            return match operator {
                Operator::Equal => Ok(found.is_none()),
                Operator::NotEqual => Ok(found.is_some()),
                other => invalid(format!("Invalid comparison with null for operator \"{}\"", other.text())),
            };
        };
        let Some(found) = found else {
            return Ok(operator == Operator::NotEqual);
        };
        if is_membership {
            return Ok(is_member(ty, operator, found, operand));
        }
        let order = value::compare(ty, found, operand);
        Ok(match operator {
            Operator::Equal => order.is_eq(),
            Operator::NotEqual => order.is_ne(),
            Operator::Less => order.is_lt(),
            Operator::LessOrEqual => order.is_le(),
            Operator::Greater => order.is_gt(),
            Operator::GreaterOrEqual => order.is_ge(),
            _ => false,
        })
    }
}

/// A value that has to be set.
fn set(value: Val<'_>) -> Result<Option<Cow<'_, [u8]>>, CqlError> {
    match value {
        Val::Bytes(bytes) => Ok(Some(bytes)),
        Val::Null => Ok(None),
        Val::Unset => invalid("Invalid 'unset' value in condition"),
    }
}

const fn is_slice(operator: Operator) -> bool {
    matches!(operator, Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual)
}

fn is_member(ty: &CqlType, operator: Operator, found: &[u8], operand: &[u8]) -> bool {
    match (ty, operator) {
        (CqlType::Map { key, .. }, Operator::ContainsKey) => {
            map_entries(found).any(|(found, _)| value::compare(key, found, operand).is_eq())
        }
        (CqlType::Map { value: value_type, .. }, _) => {
            map_entries(found).any(|(_, found)| value::compare(value_type, found, operand).is_eq())
        }
        (CqlType::List { element, .. } | CqlType::Set { element, .. }, _) => {
            elements(found).flatten().any(|found| value::compare(element, found, operand).is_eq())
        }
        _ => false,
    }
}

fn part_of(
    context: &mut Context<'_>,
    column: &Column,
    part: Option<&ColumnPart>,
) -> Result<(Part, CqlType), CqlError> {
    let name = &column.name;
    match (part, &column.cql_type) {
        (None, ty) => Ok((Part::Whole, ty.clone())),
        (Some(ColumnPart::Element(term)), CqlType::List { element, .. }) => {
            let index = Receiver::new(format!("idx({name})"), CqlType::Int);
            Ok((Part::Element(Expression::prepare(context, term, &index)?), CqlType::clone(element)))
        }
        (Some(ColumnPart::Element(term)), CqlType::Map { key, value, .. }) => {
            let key = Receiver::new(format!("key({name})"), CqlType::clone(key));
            Ok((Part::Element(Expression::prepare(context, term, &key)?), CqlType::clone(value)))
        }
        (Some(ColumnPart::Element(_)), CqlType::Set { .. }) => {
            invalid(format!("Invalid element access syntax for set column {name}"))
        }
        (Some(ColumnPart::Element(_)), _) => {
            invalid(format!("Invalid element access syntax for non-collection column {name}"))
        }
        (Some(ColumnPart::Field(field)), CqlType::UserDefined { definition, .. }) => {
            match definition.field_position(field) {
                Some(index) => Ok((Part::Field(index), definition.fields[index].1.clone())),
                None => invalid(format!("Unknown field {field} for column {name}")),
            }
        }
        (Some(ColumnPart::Field(_)), _) => {
            invalid(format!("Invalid field access: column {name} is not of a user-defined type"))
        }
    }
}
