//! Conditions on several clustering columns at once.

use super::column::as_equal;
use super::{Condition, OperandValues, Operands, column_of, is_slice, narrow, shown};
use crate::ast::{Operand, Operator, Relation, Term, TermKind};
use crate::binding::{Binding, Val};
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::keys;
use crate::term::{Expression, Receiver};
use dodona_types::key::{ABOVE, BELOW};
use dodona_types::schema::{Column, ColumnKind, Table};
use dodona_types::value;
use dodona_types::{ClusteringSlice, CqlType};

/// A condition on several clustering columns: `(a, b) > (1, 2)`.
#[derive(Clone, Debug)]
pub(super) struct TupleCondition {
    pub(super) columns: Vec<Column>,
    pub(super) operator: Operator,
    pub(super) operands: Operands,
}

impl TupleCondition {
    /// The condition as one on a single column, if it is on one, and its values are written out.
    pub(super) fn as_single(&self) -> Option<Condition> {
        let [column] = self.columns.as_slice() else { return None };
        let only = |expression: &Expression| match expression {
            Expression::Elements(_, elements) => elements.first().cloned(),
            _ => None,
        };
        let operands = match &self.operands {
            Operands::One(expression) => Operands::One(only(expression)?),
            Operands::Many(expressions) => {
                Operands::Many(expressions.iter().map(only).collect::<Option<_>>()?)
            }
            Operands::ListOf(_) => return None,
        };
        Some(Condition {
            column: column.clone(),
            operator: self.operator,
            operands,
            element: None,
            in_parentheses: true,
        })
    }

    /// The tuples on the right side.
    pub(super) fn values<'v>(&'v self, binding: &'v Binding<'_>) -> Result<OperandValues<'v>, CqlError> {
        let names = || self.columns.iter().map(|column| &*column.name).collect::<Vec<_>>().join(",");
        match &self.operands {
            Operands::One(tuple) if tuple.evaluate(binding)? == Val::Unset => {
                return invalid(format!("Invalid unset value for tuple ({})", names()));
            }
            Operands::Many(tuples) => {
                for tuple in tuples {
                    match tuple.evaluate(binding)? {
                        Val::Unset => return invalid(format!("Invalid unset value for tuple ({})", names())),
                        Val::Null => return Err(self.null_in()),
                        Val::Bytes(_) => {}
                    }
                }
            }
            Operands::ListOf(list) => match list.evaluate(binding)? {
                Val::Null => return invalid("Invalid null value for IN restriction"),
                Val::Unset => return invalid(format!("Invalid unset value for in({})", names())),
                Val::Bytes(_) => {}
            },
            _ => {}
        }
        self.operands.evaluate(binding, "tuple")
    }

    fn null_in(&self) -> CqlError {
        let names: Vec<&str> = self.columns.iter().map(|column| &*column.name).collect();
        CqlError::Invalid(format!("Invalid null value in condition for columns: [{}]", names.join(", ")))
    }

    /// The values of a tuple, one for each column.
    pub(super) fn parts<'v>(&self, value: &'v [u8]) -> Result<Vec<&'v [u8]>, CqlError> {
        let mut rest = value;
        let mut parts = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            match value::read_bytes(&mut rest) {
                Some(Some(part)) => parts.push(part),
                _ if is_slice(self.operator) => {
                    return invalid(format!("Invalid null value in condition for column {}", column.name));
                }
                _ if self.operator == Operator::In => return Err(self.null_in()),
                _ => return invalid(format!("Invalid null value for column {}", column.name)),
            }
        }
        Ok(parts)
    }

    /// Appends the columns' values in comparable bytes.
    pub(super) fn put(&self, value: &[u8], point: &mut Vec<u8>) -> Result<(), CqlError> {
        let mut parts = self.columns.iter().zip(self.parts(value)?);
        parts.try_for_each(|(column, part)| keys::put_component(column, part, point))
    }

    /// The parts of `slices` that satisfy the condition. Where columns run in different
    /// directions, what is greater than a tuple is a slice for each of its columns.
    pub(super) fn narrow(
        &self,
        prefix: &[u8],
        value: &[u8],
        slices: &[ClusteringSlice],
    ) -> Result<Vec<ClusteringSlice>, CqlError> {
        let parts = self.parts(value)?;
        let last = self.columns.len() - 1;
        let strict = match self.operator {
            Operator::Greater | Operator::GreaterOrEqual => Operator::Greater,
            _ => Operator::Less,
        };
        let mut pieces = Vec::new();
        let mut equal = prefix.to_vec();
        for (index, (column, part)) in self.columns.iter().zip(&parts).enumerate() {
            let mut piece = if equal.is_empty() {
                ClusteringSlice::all()
            } else {
                ClusteringSlice {
                    start: [equal.as_slice(), &[BELOW]].concat(),
                    end: [equal.as_slice(), &[ABOVE]].concat(),
                }
            };
            keys::put_component(column, part, &mut equal)?;
            narrow(&mut piece, &equal, if index == last { self.operator } else { strict }, column.descending);
            pieces.push(piece);
        }
        let mut out = Vec::new();
        for slice in slices {
            for piece in &pieces {
                let start = slice.start.clone().max(piece.start.clone());
                let end = slice.end.clone().min(piece.end.clone());
                out.push(ClusteringSlice { start, end });
            }
        }
        out.retain(|slice| !slice.is_empty());
        out.sort_unstable();
        Ok(out)
    }
}

pub(super) fn tuple_condition(
    context: &mut Context<'_>,
    table: &Table,
    relation: &Relation,
    names: &[String],
) -> Result<TupleCondition, CqlError> {
    let columns =
        names.iter().map(|name| Ok(column_of(table, name)?.clone())).collect::<Result<Vec<_>, CqlError>>()?;
    for (index, column) in columns.iter().enumerate() {
        if column.kind != ColumnKind::Clustering {
            return invalid(format!(
                "Multi-column relations can only be applied to clustering columns but was applied to: {}",
                column.name
            ));
        }
        if columns[..index].iter().any(|other| other.id == column.id) {
            return invalid(format!(
                "Column \"{}\" appeared twice in a relation: {}",
                column.name,
                shown::relation(relation)
            ));
        }
        if index > 0 && columns[index - 1].position + 1 != column.position {
            return invalid(format!(
                "Clustering columns must appear in the PRIMARY KEY order in multi-column relations: {}",
                shown::relation(relation)
            ));
        }
    }
    let tuple = CqlType::Tuple(columns.iter().map(|column| column.cql_type.freeze()).collect());
    let receiver = Receiver::new(format!("({})", names.join(",")), tuple.clone());
    let operands = match &relation.operand {
        Operand::One(term) if relation.operator == Operator::In => {
            let list = Receiver::new(format!("in({})", names.join(",")), CqlType::list(tuple.clone(), true));
            Operands::ListOf(Expression::prepare(context, term, &list)?)
        }
        Operand::One(term) => Operands::One(tuple_of(context, term, &columns, &receiver)?),
        Operand::Many(terms) => Operands::Many(
            terms
                .iter()
                .map(|term| tuple_of(context, term, &columns, &receiver))
                .collect::<Result<_, _>>()?,
        ),
        Operand::Range(_) | Operand::Nothing => return invalid("Unsupported multi-column relation"),
    };
    if !is_slice(relation.operator) && !matches!(relation.operator, Operator::Equal | Operator::In) {
        return invalid(format!("{} cannot be used for multi-column relations", relation.operator.text()));
    }
    let (operator, operands) = as_equal(relation.operator, operands);
    Ok(TupleCondition { columns, operator, operands })
}

/// A tuple of values, each for the column at its place.
fn tuple_of(
    context: &mut Context<'_>,
    term: &Term,
    columns: &[Column],
    receiver: &Receiver,
) -> Result<Expression, CqlError> {
    let TermKind::Tuple(terms) = &term.kind else {
        return Expression::prepare(context, term, receiver);
    };
    if terms.len() != columns.len() {
        return invalid(format!(
            "Expected {} elements in value tuple, but got {}: {term}",
            columns.len(),
            terms.len()
        ));
    }
    let elements = terms
        .iter()
        .zip(columns)
        .map(|(term, column)| {
            let receiver = Receiver::new(std::sync::Arc::clone(&column.name), column.cql_type.clone());
            Expression::prepare(context, term, &receiver)
        })
        .collect::<Result<_, _>>()?;
    Ok(Expression::Elements(receiver.clone(), elements))
}
