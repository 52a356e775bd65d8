//! Which conditions choose by keys, and which may not stand together.

use super::column::column_of;
use super::{Condition, Purpose, Restrictions, is_slice};
use crate::ast::{Operand, Operator, Relation};
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::term::{Expression, Receiver};
use dodona_types::CqlType;
use dodona_types::schema::{Column, ColumnKind};
use std::collections::BTreeMap;
use std::sync::Arc;

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

    pub(super) fn take_partition(
        &mut self,
        by_column: &mut BTreeMap<Arc<str>, Vec<Condition>>,
    ) -> Result<(), CqlError> {
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
        Ok(())
    }

    pub(super) fn take_clustering(
        &mut self,
        by_column: &mut BTreeMap<Arc<str>, Vec<Condition>>,
        purpose: Purpose,
    ) -> Result<(), CqlError> {
        if let Some(tuple) = self.tuples.first() {
            // Conditions on the columns before the tuple's first are taken, and slices of the first.
            let first = tuple.columns.first().map_or(0, |column| column.position);
            let is_clash = |column: &&Column| {
                by_column.get(&column.name).is_some_and(|conditions| {
                    column.position > first
                        || (column.position == first
                            && !(is_slice(tuple.operator)
                                && conditions.iter().all(|condition| is_slice(condition.operator))))
                })
            };
            if let Some(column) = self.table.clustering_key().find(is_clash) {
                return invalid(format!(
                    "{} cannot be restricted by more than one relation if it includes an Equal",
                    column.name
                ));
            }
        }
        let table = Arc::clone(&self.table);
        for column in table.clustering_key() {
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
            self.clustering.extend(conditions);
        }
        if let Some(tuple) = self.tuples.first() {
            let first = tuple.columns.first().map_or(0, |column| usize::from(column.position));
            if first != self.clustering.len() && purpose == (Purpose::Select { allow_filtering: true }) {
                if is_slice(tuple.operator) {
                    return invalid("Multi-column slice restrictions cannot be used for filtering.");
                }
                self.tuple_filters.append(&mut self.tuples);
            } else if first != self.clustering.len() {
                let missing = self.table.clustering_key().nth(self.clustering.len());
                return invalid(format!(
                    "PRIMARY KEY column \"{}\" cannot be restricted as preceding column \"{}\" is not restricted",
                    tuple.columns.first().map_or("", |column| &column.name),
                    missing.map_or("", |column| &column.name)
                ));
            }
        }
        Ok(())
    }

    pub(super) fn check(&self, purpose: Purpose) -> Result<(), CqlError> {
        match purpose {
            Purpose::Modify(kind) => self.check_modify(kind),
            Purpose::Select { allow_filtering } => self.check_select(allow_filtering),
        }
    }

    pub(super) fn check_modify(&self, kind: &str) -> Result<(), CqlError> {
        let missing: Vec<&str> = match &self.partition {
            Some(_) => Vec::new(),
            None => self
                .table
                .partition_key()
                .filter(|column| !self.filters.iter().any(|condition| condition.column.id == column.id))
                .map(|column| &*column.name)
                .collect(),
        };
        if !missing.is_empty() {
            return invalid(format!("Some partition key parts are missing: {}", missing.join(", ")));
        }
        if self.partition.is_none() {
            return invalid(format!(
                "Only EQ and IN relation are supported on the partition key (unless you use the token() function) for {kind} statements"
            ));
        }
        if let Some(filter) = self.filters.first() {
            if filter.column.kind == ColumnKind::Clustering {
                if kind != "DELETE" {
                    let missing: Vec<&str> = self
                        .table
                        .clustering_key()
                        .skip(self.clustering.len())
                        .filter(|column| !self.filters.iter().any(|filter| filter.column.id == column.id))
                        .map(|column| &*column.name)
                        .collect();
                    return invalid(format!("Some clustering keys are missing: {}", missing.join(", ")));
                }
                return self.not_contiguous(filter);
            }
            return invalid(format!(
                "Non PRIMARY KEY columns found in where clause: {} ",
                filter.column.name
            ));
        }
        Ok(())
    }

    pub(super) fn check_select(&self, allow_filtering: bool) -> Result<(), CqlError> {
        const FILTERING: &str = "Cannot execute this query as it might involve data filtering and thus may have unpredictable performance. If you want to execute this query despite the performance unpredictability, use ALLOW FILTERING";
        let scans = self.partition.is_none()
            && (!self.clustering.is_empty() || !self.clustering_slice.is_empty() || !self.tuples.is_empty());
        if allow_filtering || (self.filters.is_empty() && !scans) {
            return Ok(());
        }
        if let Some(filter) = self.filters.iter().find(|filter| filter.column.kind == ColumnKind::Clustering)
            && self.partition.is_some()
        {
            let is_exact = |column: &Column| self.clustering.iter().any(|other| other.column.id == column.id);
            if self.table.clustering_key().any(|key| key.position < filter.column.position && !is_exact(key))
            {
                return self.not_contiguous(filter);
            }
        }
        invalid(FILTERING)
    }

    /// The error of a condition on a clustering column whose rows lie in several places.
    pub(super) fn not_contiguous(&self, filter: &Condition) -> Result<(), CqlError> {
        let name = &filter.column.name;
        if let Some(slice) = self.clustering_slice.first() {
            return invalid(format!(
                "Clustering column \"{name}\" cannot be restricted (preceding column \"{}\" is restricted by a non-EQ relation)",
                slice.column.name
            ));
        }
        let missing = self.table.clustering_key().nth(self.clustering.len());
        invalid(format!(
            "PRIMARY KEY column \"{name}\" cannot be restricted as preceding column \"{}\" is not restricted",
            missing.map_or("", |column| &column.name)
        ))
    }
}
