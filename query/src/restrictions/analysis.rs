//! Which conditions choose by keys, and which may not stand together.

use super::column::column_of;
use super::tuple::TupleCondition;
use super::{Condition, Exact, Purpose, Restrictions, is_slice};
use crate::ast::{Operand, Operator, Relation};
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::term::{Expression, Receiver};
use dodona_types::CqlType;
use dodona_types::schema::{Column, ColumnKind, CompactStorage};
use std::collections::BTreeMap;
use std::sync::Arc;

const FILTERING: &str = "Cannot execute this query as it might involve data filtering and thus may have unpredictable performance. If you want to execute this query despite the performance unpredictability, use ALLOW FILTERING";

impl Restrictions {
    pub(super) fn token_condition(
        &mut self,
        context: &mut Context<'_>,
        relation: &Relation,
        names: &[String],
    ) -> Result<(), CqlError> {
        let expected: Vec<&str> = self.table.partition_key().map(|column| &*column.name).collect();
        for name in names {
            if column_of(&self.table, name)?.kind != ColumnKind::PartitionKey && names.len() > expected.len()
            {
                return invalid("The token() function must contains only partition key components");
            }
        }
        if names.iter().map(String::as_str).ne(expected.iter().copied()) {
            let is_permutation = names.len() == expected.len()
                && expected.iter().all(|name| names.iter().any(|given| given == name));
            if is_permutation {
                return invalid(format!(
                    "The token function arguments must be in the partition key order: {}",
                    expected.join(", ")
                ));
            }
            return invalid(
                "The token() function must be applied to all partition key components or none of them",
            );
        }
        let Operand::One(term) = &relation.operand else {
            return invalid(format!("{} cannot be used with the token function", relation.operator.text()));
        };
        let receiver = Receiver::new("partition key token", CqlType::Bigint);
        let expression = Expression::prepare(context, term, &receiver)?;
        match relation.operator {
            Operator::Equal
            | Operator::Less
            | Operator::LessOrEqual
            | Operator::Greater
            | Operator::GreaterOrEqual => {
                self.token.push((relation.operator, expression));
                Ok(())
            }
            other => invalid(format!("{} cannot be used with the token function", other.text())),
        }
    }

    /// Refuses conditions on the token that cannot stand together.
    pub(super) fn check_tokens(&self) -> Result<(), CqlError> {
        let [_, _, ..] = self.token.as_slice() else { return Ok(()) };
        let names = self.table.partition_key().map(|column| &*column.name).collect::<Vec<_>>().join(", ");
        let count =
            |test: fn(Operator) -> bool| self.token.iter().filter(|(operator, _)| test(*operator)).count();
        if count(|operator| operator == Operator::Equal) > 0 {
            return invalid(format!(
                "{names} cannot be restricted by more than one relation if it includes an Equal"
            ));
        }
        for (bound, test) in [
            (
                "start",
                (|operator| matches!(operator, Operator::Greater | Operator::GreaterOrEqual)) as fn(_) -> _,
            ),
            ("end", |operator| matches!(operator, Operator::Less | Operator::LessOrEqual)),
        ] {
            if count(test) > 1 {
                return invalid(format!(
                    "More than one restriction was found for the {bound} bound on {names}"
                ));
            }
        }
        Ok(())
    }

    pub(super) fn take_partition(&mut self, by_column: &mut BTreeMap<Arc<str>, Vec<Condition>>) {
        let table = Arc::clone(&self.table);
        let exact = |column: &Column| {
            by_column.get(&column.name).is_some_and(|conditions| {
                matches!(conditions.as_slice(), [Condition { operator: Operator::Equal | Operator::In, .. }])
            })
        };
        if table.partition_key().all(exact) {
            let conditions = table.partition_key().filter_map(|column| by_column.remove(&column.name));
            self.partition = Some(conditions.flatten().collect());
        }
    }

    /// Checks the conditions on the partition key. Returns whether some of them must be checked
    /// row by row.
    pub(super) fn check_partition(
        &self,
        by_column: &BTreeMap<Arc<str>, Vec<Condition>>,
        purpose: Purpose,
    ) -> Result<bool, CqlError> {
        let statement = purpose.statement;
        let has_filters = self.partition.is_none()
            && self.table.partition_key().any(|column| by_column.contains_key(&column.name));
        if purpose.is_select() {
            return if has_filters && !purpose.allow_filtering {
                invalid(FILTERING)
            } else {
                Ok(has_filters)
            };
        }
        if !self.token.is_empty() {
            return invalid(format!(
                "The token function cannot be used in WHERE clauses for {statement} statements"
            ));
        }
        if self.partition.is_some() {
            return Ok(false);
        }
        let missing: Vec<&str> = self
            .table
            .partition_key()
            .filter(|column| !by_column.contains_key(&column.name))
            .map(|column| &*column.name)
            .collect();
        if !missing.is_empty() {
            return invalid(format!("Some partition key parts are missing: {}", missing.join(", ")));
        }
        invalid(format!(
            "Only EQ and IN relation are supported on the partition key (unless you use the token() function) for {statement} statements"
        ))
    }

    /// Refuses conditions on clustering columns where only static ones are read or changed.
    pub(super) fn check_only_static(
        &self,
        by_column: &BTreeMap<Arc<str>, Vec<Condition>>,
        purpose: Purpose,
    ) -> Result<(), CqlError> {
        let restricts_clustering = !self.tuples.is_empty()
            || self.table.clustering_key().any(|column| by_column.contains_key(&column.name));
        match (purpose.only_static && restricts_clustering, purpose.statement) {
            (true, "SELECT") => {
                invalid("Cannot restrict clustering columns when selecting only static columns")
            }
            (true, statement @ ("UPDATE" | "DELETE")) => invalid(format!(
                "Invalid restrictions on clustering columns since the {statement} statement modifies only static columns"
            )),
            _ => Ok(()),
        }
    }

    pub(super) fn take_clustering(
        &mut self,
        by_column: &mut BTreeMap<Arc<str>, Vec<Condition>>,
        purpose: Purpose,
    ) -> Result<(), CqlError> {
        let table = Arc::clone(&self.table);
        let restricted = table.clustering_key().filter(|column| {
            let in_tuple =
                self.tuples.iter().flat_map(|tuple| &tuple.columns).any(|other| other.id == column.id);
            in_tuple || by_column.contains_key(&column.name)
        });
        let restricted: Vec<&Column> = restricted.collect();
        let contains = |column: &Column| {
            let mut conditions = by_column.get(&column.name).into_iter().flatten();
            conditions
                .any(|condition| matches!(condition.operator, Operator::Contains | Operator::ContainsKey))
        };
        if purpose.is_select() && !purpose.allow_filtering && table.clustering_key().any(contains) {
            return invalid(
                "Clustering columns can only be restricted with CONTAINS with a secondary index or filtering",
            );
        }
        let must_be_contiguous = match purpose.statement {
            "SELECT" => !purpose.allow_filtering,
            "DELETE" => true,
            _ => table.compact_storage.is_some(),
        };
        if must_be_contiguous {
            for (wanted, found) in table.clustering_key().zip(&restricted) {
                if wanted.id != found.id {
                    return invalid(format!(
                        "PRIMARY KEY column \"{}\" cannot be restricted as preceding column \"{}\" is not restricted",
                        found.name, wanted.name
                    ));
                }
            }
        }
        let columns: Vec<&Column> = table.clustering_key().collect();
        while let Some(column) = columns.get(self.exact_clustering_columns()) {
            let begins = |tuple: &TupleCondition| {
                !is_slice(tuple.operator) && tuple.columns.first().is_some_and(|first| first.id == column.id)
            };
            if let Some(place) = self.tuples.iter().position(begins) {
                self.clustering.push(Exact::Tuple(self.tuples.remove(place)));
                continue;
            }
            let Some(conditions) = by_column.get(&column.name) else {
                break;
            };
            let exact =
                matches!(conditions.as_slice(), [Condition { operator: Operator::Equal | Operator::In, .. }]);
            let slice = conditions.iter().all(|condition| is_slice(condition.operator));
            if !exact && !slice {
                break;
            }
            let conditions = by_column.remove(&column.name).unwrap_or_default();
            if slice {
                self.clustering_slice = conditions;
                break;
            }
            self.clustering.extend(conditions.into_iter().map(Exact::One));
        }
        // In parentheses or not, what follows columns that a tuple fixes is a condition on one column.
        let conditions = by_column.values_mut().flatten();
        for condition in conditions.filter(|condition| condition.column.kind == ColumnKind::Clustering) {
            let follows = |tuple: &TupleCondition| {
                let last = tuple.columns.last();
                matches!(tuple.operator, Operator::Equal | Operator::In)
                    && last.is_some_and(|last| last.position + 1 == condition.column.position)
            };
            condition.in_parentheses &= !self.tuples.iter().any(follows);
        }
        // What does not begin where the exact conditions end is checked row by row.
        let next = self.exact_clustering_columns();
        let is_next = |tuple: &TupleCondition| {
            is_slice(tuple.operator)
                && tuple.columns.first().is_some_and(|column| usize::from(column.position) == next)
        };
        let (tuples, filters): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.tuples).into_iter().partition(is_next);
        (self.tuples, self.tuple_filters) = (tuples, filters);
        Ok(())
    }

    /// Rows of a dense table may end before the last clustering columns.
    pub(super) fn take_absent(&mut self, purpose: Purpose) {
        let writes_rows = matches!(purpose.statement, "INSERT" | "UPDATE");
        let is_dense = self.table.compact_storage == Some(CompactStorage::Dense);
        let given = self.exact_clustering_columns();
        if writes_rows && is_dense && given > 0 && !self.has_clustering_slice() {
            self.absent = self.table.clustering_key().skip(given).cloned().collect();
        }
    }

    /// Checks what is left to be checked row by row.
    pub(super) fn check_rest(&self, purpose: Purpose, has_filters_on_key: bool) -> Result<(), CqlError> {
        let of_rows = |kind| self.filters.iter().find(move |filter| filter.column.kind == kind);
        let value = of_rows(ColumnKind::Regular).or_else(|| of_rows(ColumnKind::Static));
        if purpose.is_select() {
            let needs_filtering = value.is_some() || has_filters_on_key;
            return if needs_filtering && !purpose.allow_filtering { invalid(FILTERING) } else { Ok(()) };
        }
        if of_rows(ColumnKind::Clustering).is_some() {
            let missing: Vec<&str> = self
                .table
                .clustering_key()
                .skip(self.exact_clustering_columns())
                .filter(|column| !self.filters.iter().any(|filter| filter.column.id == column.id))
                .map(|column| &*column.name)
                .collect();
            return invalid(format!("Some clustering keys are missing: {}", missing.join(", ")));
        }
        match value {
            Some(filter) => {
                invalid(format!("Non PRIMARY KEY columns found in where clause: {} ", filter.column.name))
            }
            None => Ok(()),
        }
    }

    /// Refuses a read of all partitions with conditions on rows, unless it may filter.
    pub(crate) fn check_filtering(&self, allow_filtering: bool) -> Result<(), CqlError> {
        let scans = self.partition.is_none() && self.restricts_clustering();
        if scans && !allow_filtering { invalid(FILTERING) } else { Ok(()) }
    }
}
