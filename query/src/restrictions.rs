//! WHERE: which of its conditions choose partitions and rows by their keys, and which must be
//! checked row by row.

mod analysis;
mod chosen;
mod column;
mod filter;
mod merging;
mod shown;
mod tuple;

pub(crate) use column::{column_of, kinds_with_parts};
pub(crate) use filter::Filter;

use crate::ast::{Operator, Relation, Subject};
use crate::binding::{Binding, Val};
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::term::Expression;
use column::column_condition;
use dodona_types::key::{ABOVE, BELOW};
use dodona_types::schema::{Column, ColumnKind, Table};
use dodona_types::value::elements;
use dodona_types::{ClusteringSlice, PartitionKey};
use merging::Merging;
use smallvec::{SmallVec, smallvec};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use tuple::{TupleCondition, tuple_condition};

/// The values on the right side of a condition.
#[derive(Clone, Debug)]
pub(crate) enum Operands {
    One(Expression),
    /// `IN (a, b)`
    Many(Vec<Expression>),
    /// `IN ?`: a list of this element type.
    ListOf(Expression),
}

/// The values of operands: nearly always one, where it lies.
pub(crate) type OperandValues<'a> = SmallVec<[Cow<'a, [u8]>; 1]>;
/// Raw partition keys: nearly always one.
pub(crate) type RawKeys = SmallVec<[Vec<u8>; 1]>;

impl Operands {
    /// The values; a null or unset one is an error that names the column.
    pub(crate) fn evaluate<'a>(
        &'a self,
        binding: &'a Binding<'_>,
        column: &str,
    ) -> Result<OperandValues<'a>, CqlError> {
        match self {
            Self::One(expression) => Ok(smallvec![expression.evaluate_set(binding, column)?]),
            Self::Many(expressions) => {
                let values = expressions.iter().map(|expression| expression.evaluate_set(binding, column));
                let values = values.collect();
                if Result::is_err(&values) {
                    // What is malformed is said before what is null.
                    expressions.iter().try_for_each(|expression| expression.evaluate(binding).map(drop))?;
                }
                values
            }
            Self::ListOf(expression) => {
                let null =
                    || CqlError::Invalid(format!("Invalid null value in condition for column {column}"));
                if binding.has_null_element(expression.marker_index()) {
                    return Err(null());
                }
                let list = match expression.evaluate(binding)? {
                    Val::Bytes(bytes) => bytes,
                    Val::Null => return invalid(format!("Invalid null value for column {column}")),
                    Val::Unset => return invalid(format!("Invalid unset value for column {column}")),
                };
                elements(&list)
                    .map(|element| element.map(|element| Cow::Owned(element.to_vec())))
                    .collect::<Option<_>>()
                    .ok_or_else(null)
            }
        }
    }
}

/// A condition on one column.
#[derive(Clone, Debug)]
pub(crate) struct Condition {
    pub(crate) column: Column,
    pub(crate) operator: Operator,
    pub(crate) operands: Operands,
    /// `column[key]`
    pub(crate) element: Option<Expression>,
    /// `(column) > (value)`
    in_parentheses: bool,
}

/// = or IN on a clustering column, or on several that follow each other.
#[derive(Clone, Debug)]
enum Exact {
    One(Condition),
    Tuple(TupleCondition),
}

impl Exact {
    fn columns(&self) -> &[Column] {
        match self {
            Self::One(condition) => std::slice::from_ref(&condition.column),
            Self::Tuple(tuple) => &tuple.columns,
        }
    }

    const fn operator(&self) -> Operator {
        match self {
            Self::One(condition) => condition.operator,
            Self::Tuple(tuple) => tuple.operator,
        }
    }

    const fn operands(&self) -> &Operands {
        match self {
            Self::One(condition) => &condition.operands,
            Self::Tuple(tuple) => &tuple.operands,
        }
    }
}

impl Condition {
    /// Refuses a value that is not set, as it is said of tuples if the condition is written as one.
    fn check_set(&self, binding: &Binding<'_>) -> Result<(), CqlError> {
        match &self.operands {
            Operands::One(value) if self.in_parentheses && value.evaluate(binding)? == Val::Unset => {
                invalid("Invalid unset value for tuple field number 0")
            }
            _ => Ok(()),
        }
    }
}

/// The conditions of a WHERE clause, by what they are good for.
#[derive(Clone, Debug)]
pub(crate) struct Restrictions {
    table: Arc<Table>,
    /// On every column of the partition key: = or IN.
    partition: Option<Vec<Condition>>,
    token: Vec<(Operator, Expression)>,
    /// = or IN on the first clustering columns.
    clustering: Vec<Exact>,
    /// <, <=, > or >= on the clustering column that follows them.
    clustering_slice: Vec<Condition>,
    /// <, <=, > or >= on several columns from there on.
    tuples: Vec<TupleCondition>,
    /// The last clustering columns, where what is written has no value in them.
    absent: Vec<Column>,
    /// Checked row by row.
    pub(crate) filters: Vec<Condition>,
    /// Conditions on several columns that are checked row by row.
    tuple_filters: Vec<TupleCondition>,
}

/// What a WHERE clause is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Purpose {
    /// The kind of the statement, as messages name it.
    pub(crate) statement: &'static str,
    /// `ALLOW FILTERING`.
    pub(crate) allow_filtering: bool,
    /// The statement reads or changes static columns and no others of rows.
    pub(crate) only_static: bool,
}

impl Purpose {
    fn is_select(self) -> bool {
        self.statement == "SELECT"
    }
}

impl Restrictions {
    /// Sorts the relations of a WHERE clause. What is wrong is found in Cassandra's order
    /// (`StatementRestrictions`).
    pub(crate) fn prepare(
        context: &mut Context<'_>,
        table: &Arc<Table>,
        relations: &[Relation],
        purpose: Purpose,
    ) -> Result<Self, CqlError> {
        let mut all = Self {
            table: Arc::clone(table),
            partition: None,
            token: Vec::new(),
            clustering: Vec::new(),
            clustering_slice: Vec::new(),
            tuples: Vec::new(),
            absent: Vec::new(),
            filters: Vec::new(),
            tuple_filters: Vec::new(),
        };
        let mut merging = Merging::new(purpose.allow_filtering);
        let mut by_column: BTreeMap<Arc<str>, Vec<Condition>> = BTreeMap::new();
        for relation in relations {
            if relation.operator == Operator::NotEqual {
                return invalid(format!("Unsupported \"!=\" relation: {}", shown::relation(relation)));
            }
            if !purpose.is_select() && matches!(relation.operator, Operator::Contains | Operator::ContainsKey)
            {
                return invalid(format!(
                    "Cannot use {} with {}",
                    purpose.statement,
                    relation.operator.text()
                ));
            }
            let condition = match &relation.subject {
                Subject::Column(name) => column_condition(context, table, relation, name, None)?,
                Subject::Element(name, key) => {
                    let condition = column_condition(context, table, relation, name, Some(key))?;
                    merging.add_element(&condition.column)?;
                    all.filters.push(condition);
                    continue;
                }
                Subject::Tuple(names) => {
                    let tuple = tuple_condition(context, table, relation, names)?;
                    if let Some(single) = tuple.as_single() {
                        single
                    } else {
                        merging.add(&tuple.columns, tuple.operator)?;
                        all.tuples.push(tuple);
                        continue;
                    }
                }
                Subject::Token(names) => {
                    all.token_condition(context, relation, names)?;
                    all.check_tokens()?;
                    continue;
                }
                Subject::Expression(_) => return invalid("Custom index expressions are not supported yet"),
            };
            merging.add(std::slice::from_ref(&condition.column), condition.operator)?;
            by_column.entry(Arc::clone(&condition.column.name)).or_default().push(condition);
        }
        all.take_partition(&mut by_column);
        let has_filters_on_key = all.check_partition(&by_column, purpose)?;
        all.check_only_static(&by_column, purpose)?;
        all.take_clustering(&mut by_column, purpose)?;
        all.take_absent(purpose);
        all.filters.extend(by_column.into_values().flatten());
        all.check_rest(purpose, has_filters_on_key)?;
        Ok(all)
    }

    /// True if one value is given for every column of the partition key.
    pub(crate) fn is_one_partition(&self) -> bool {
        self.partition
            .as_ref()
            .is_some_and(|partition| partition.iter().all(|condition| condition.operator == Operator::Equal))
    }

    /// The columns whose values are checked row by row.
    pub(crate) fn filtered_columns(&self) -> impl Iterator<Item = &Column> {
        let of_tuples = self.tuple_filters.iter().flat_map(|tuple| &tuple.columns);
        self.filters.iter().map(|filter| &filter.column).chain(of_tuples)
    }

    /// True with a condition on the partition key's columns or their token.
    pub(crate) fn restricts_partition_key(&self) -> bool {
        self.partition.is_some()
            || !self.token.is_empty()
            || self.filters.iter().any(|filter| filter.column.kind == ColumnKind::PartitionKey)
    }

    /// True if a column of the partition key has IN.
    pub(crate) fn has_partition_in(&self) -> bool {
        // With conditions on the token, those on columns are filters of no other kind.
        let filters = self.filters.iter().filter(|_| self.token.is_empty());
        let of_key = self.partition.iter().flatten().chain(filters);
        of_key.into_iter().any(|condition| {
            condition.column.kind == ColumnKind::PartitionKey && condition.operator == Operator::In
        })
    }

    /// True if a clustering column is restricted by IN.
    pub(crate) fn has_clustering_in(&self) -> bool {
        self.clustering.iter().any(|exact| exact.operator() == Operator::In)
    }

    /// True if the partitions are given by their keys.
    pub(crate) const fn has_partition_keys(&self) -> bool {
        self.partition.is_some()
    }

    /// True without a condition on clustering columns.
    pub(crate) fn is_whole_partition(&self) -> bool {
        self.clustering.is_empty()
            && self.clustering_slice.is_empty()
            && self.tuples.is_empty()
            && !self.filtered_columns().any(|column| column.kind == ColumnKind::Clustering)
    }

    /// True if every clustering column has = or IN, or has no value in what is written.
    pub(crate) fn names_whole_clustering(&self) -> bool {
        self.exact_clustering_columns() + self.absent.len() == self.table.clustering_key().count()
    }

    /// True if a clustering column has <, <=, > or >=.
    pub(crate) const fn has_clustering_slice(&self) -> bool {
        !self.clustering_slice.is_empty() || !self.tuples.is_empty()
    }

    /// True with a condition on a clustering column that reads can use.
    pub(crate) const fn restricts_clustering(&self) -> bool {
        !self.clustering.is_empty() || self.has_clustering_slice()
    }

    /// The number of clustering columns with = or IN.
    pub(crate) fn exact_clustering_columns(&self) -> usize {
        self.clustering.iter().map(|exact| exact.columns().len()).sum()
    }

    /// True if a column has = with one value.
    pub(crate) fn is_fixed(&self, column: &Column) -> bool {
        let of_one = |operator: Operator, operands: &Operands| {
            operator == Operator::Equal
                || (operator == Operator::In && matches!(operands, Operands::Many(terms) if terms.len() == 1))
        };
        let mut partition = self.partition.iter().flatten();
        partition.any(|condition| {
            condition.column.id == column.id && of_one(condition.operator, &condition.operands)
        }) || self.clustering.iter().any(|exact| {
            of_one(exact.operator(), exact.operands())
                && exact.columns().iter().any(|other| other.id == column.id)
        })
    }

    /// The places of the partition key's columns among the markers, if all are given by markers.
    pub(crate) fn partition_key_markers(&self) -> Option<Vec<u16>> {
        self.partition
            .as_ref()?
            .iter()
            .map(|condition| match &condition.operands {
                Operands::One(Expression::Marker(index, _)) => u16::try_from(*index).ok(),
                _ => None,
            })
            .collect()
    }
}

const fn is_slice(operator: Operator) -> bool {
    matches!(operator, Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual)
}

fn narrow(slice: &mut ClusteringSlice, point: &[u8], operator: Operator, descending: bool) {
    let (ends, byte) = match (operator, descending) {
        (Operator::Greater, false) => (false, ABOVE),
        (Operator::GreaterOrEqual, false) => (false, BELOW),
        (Operator::Less, false) => (true, BELOW),
        (Operator::LessOrEqual, false) => (true, ABOVE),
        (Operator::Greater, true) => (true, BELOW),
        (Operator::GreaterOrEqual, true) => (true, ABOVE),
        (Operator::Less, true) => (false, ABOVE),
        _ => (false, BELOW),
    };
    let bound = [point, &[byte]].concat();
    if ends {
        slice.end = std::mem::take(&mut slice.end).min(bound);
    } else {
        slice.start = std::mem::take(&mut slice.start).max(bound);
    }
}

/// The partition key of raw bytes.
pub(crate) fn key_of(raw: Vec<u8>) -> PartitionKey {
    PartitionKey::new(raw.into())
}
