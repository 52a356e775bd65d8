//! DISTINCT, ORDER BY and GROUP BY.

use crate::ast::{Relation, Select, Subject};
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::restrictions::{Restrictions, column_of};
use crate::selection::{Selection, Selector};
use dodona_types::CqlType;
use dodona_types::schema::{Column, ColumnKind, Table};
use std::collections::VecDeque;
use std::sync::Arc;

/// Refuses conditions of a SELECT DISTINCT on anything but partition keys and static columns.
pub(super) fn check_distinct_relations(table: &Table, relations: &[Relation]) -> Result<(), CqlError> {
    let names = |relation: &Relation| match &relation.subject {
        Subject::Column(name) | Subject::Element(name, _) => vec![name.clone()],
        Subject::Tuple(names) => names.clone(),
        Subject::Token(_) | Subject::Expression(_) => Vec::new(),
    };
    let of_row = |name: &String| {
        table
            .visible_column(name)
            .is_some_and(|column| !matches!(column.kind, ColumnKind::PartitionKey | ColumnKind::Static))
    };
    if relations.iter().flat_map(names).any(|name| of_row(&name)) {
        return invalid(
            "SELECT DISTINCT with WHERE clause only supports restriction by partition key and/or static columns.",
        );
    }
    Ok(())
}

pub(super) fn check_distinct(
    table: &Table,
    selection: &Selection,
    restrictions: &Restrictions,
) -> Result<(), CqlError> {
    for wanted in &selection.wanted {
        if !matches!(wanted.column.kind, ColumnKind::PartitionKey | ColumnKind::Static) {
            return invalid(format!(
                "SELECT DISTINCT queries must only request partition key columns and/or static columns (not {})",
                wanted.column.name
            ));
        }
    }
    // Partitions that are named need not be told apart.
    for column in table.partition_key().filter(|_| !restrictions.has_partition_keys()) {
        if !selection.wanted.iter().any(|wanted| wanted.column.id == column.id) {
            return invalid(format!(
                "SELECT DISTINCT queries must request all the partition key columns (missing {})",
                column.name
            ));
        }
    }
    Ok(())
}

/// Refuses ORDER BY with columns that there are not.
pub(super) fn check_order_names(table: &Table, select: &Select) -> Result<(), CqlError> {
    select.order_by.iter().try_for_each(|order| column_of(table, &order.column).map(drop))
}

/// Whether rows are read backwards, and what they must be sorted by afterwards.
pub(super) fn ordering(
    table: &Table,
    select: &Select,
    restrictions: &Restrictions,
    selection: &mut Selection,
) -> Result<(bool, Vec<(usize, bool)>), CqlError> {
    if select.order_by.is_empty() {
        return Ok((false, Vec::new()));
    }
    if let Some(order) = select.order_by.iter().find(|order| order.ann_of.is_some()) {
        column_of(table, &order.column)?;
        // There are no indexes of that kind.
        return invalid("ANN ordering by vector requires the column to be indexed");
    }
    if !restrictions.has_partition_keys() {
        return invalid("ORDER BY is only supported when the partition key is restricted by an EQ or an IN.");
    }
    let mut reversed = None;
    let mut clustering = table.clustering_key();
    let mut ordered = Vec::with_capacity(select.order_by.len());
    for order in &select.order_by {
        let column = column_of(table, &order.column)?;
        if column.kind != ColumnKind::Clustering {
            return invalid(format!(
                "Order by is currently only supported on the clustered columns of the PRIMARY KEY, got {}",
                column.name
            ));
        }
        if ordered.contains(&column.id) {
            continue;
        }
        ordered.push(column.id);
        let next = clustering.by_ref().find(|next| next.id == column.id || !restrictions.is_fixed(next));
        if next.is_none_or(|next| next.id != column.id) {
            return invalid(
                "Order by currently only supports the ordering of columns following their declared order in the PRIMARY KEY",
            );
        }
        let against = order.descending != column.descending;
        if reversed.is_some_and(|reversed| reversed != against) {
            return invalid("Unsupported order by relation");
        }
        reversed = Some(against);
    }
    let reversed = reversed.unwrap_or(false);
    let mut sort = Vec::new();
    if !restrictions.is_one_partition() {
        for order in &select.order_by {
            sort.push((selection.want(table, &order.column)?, order.descending));
        }
    }
    Ok((reversed, sort))
}

pub(super) fn group_by(
    context: &mut Context<'_>,
    table: &Arc<Table>,
    select: &Select,
    restrictions: &Restrictions,
    selection: &mut Selection,
) -> Result<Vec<(Selector, CqlType)>, CqlError> {
    const ORDER: &str =
        "Group by currently only support groups of columns following their declared order in the PRIMARY KEY";
    let mut items = Vec::with_capacity(select.group_by.len());
    let mut keys: VecDeque<&Column> = table.partition_key().chain(table.clustering_key()).collect();
    let mut after_function = false;
    for selectable in &select.group_by {
        if after_function {
            return invalid("Functions are only supported on the last element of the GROUP BY clause");
        }
        let item = selection.group_item(context, table, selectable)?;
        let (kind, name) = (item.column.kind, &item.column.name);
        if item.is_function && kind != ColumnKind::Clustering {
            return invalid(format!(
                "Group by functions are only supported on clustering columns, got {name}"
            ));
        }
        if !matches!(kind, ColumnKind::PartitionKey | ColumnKind::Clustering) {
            return invalid(format!(
                "Group by is currently only supported on the columns of the PRIMARY KEY, got {name}"
            ));
        }
        loop {
            match keys.pop_front() {
                Some(key) if key.id == item.column.id => break,
                Some(key) if restrictions.is_fixed(key) => {}
                _ => return invalid(ORDER),
            }
        }
        after_function = item.is_function;
        items.push((item.selector, item.cql_type));
    }
    if select.distinct && items.len() > table.partition_key().count() {
        return invalid("Grouping on clustering columns is not allowed for SELECT DISTINCT queries");
    }
    if !items.is_empty() && keys.iter().any(|key| key.kind == ColumnKind::PartitionKey) {
        return invalid("Group by is not supported on only a part of the partition key");
    }
    Ok(items)
}
