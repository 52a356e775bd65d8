//! What a SELECT gives of each row.

mod aggregate;
mod argument;
mod builder;
mod metadata;
mod named;
mod names;
mod path;
mod selector;

pub(crate) use aggregate::Aggregate;
pub(crate) use selector::Selector;

use crate::ast::{Select, Selectable, Selectors};
use crate::binding::Binding;
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::functions::check_operators;
use crate::outcome::ColumnSpec;
use crate::restrictions::column_of;
use crate::row_values::Wanted;
use argument::check_calls;
use builder::Builder;
use dodona_types::CqlType;
use dodona_types::schema::{Column, ColumnKind, Table};
use named::named;
use std::sync::Arc;

/// What a SELECT gives.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) wanted: Vec<Wanted>,
    pub(crate) selectors: Vec<Selector>,
    pub(crate) aggregates: Vec<Aggregate>,
    pub(crate) columns: Vec<ColumnSpec>,
    /// Every selector is a column.
    pub(crate) is_plain: bool,
}

impl Selection {
    /// True if static columns are selected, and no others of rows. Only as far as that has to be known does Cassandra look
    /// at names and calls before it looks at WHERE.
    pub(crate) fn is_only_static(
        context: &mut Context<'_>,
        table: &Table,
        select: &Select,
    ) -> Result<bool, CqlError> {
        let (true, Selectors::List(list)) = (table.has_static_columns(), &select.selectors) else {
            return Ok(false);
        };
        let mut has = |is_kind: fn(ColumnKind) -> bool| -> Result<bool, CqlError> {
            for (selectable, _) in list {
                check_names(context, selectable)?;
                let mut found = false;
                selectable.each_column(&mut |name| {
                    found |= table.column(name).is_some_and(|column| is_kind(column.kind));
                });
                if found {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        Ok(has(|kind| kind == ColumnKind::Static)?
            && !has(|kind| matches!(kind, ColumnKind::Clustering | ColumnKind::Regular))?)
    }

    /// Checks what is selected.
    pub(crate) fn prepare(
        context: &mut Context<'_>,
        table: &Arc<Table>,
        select: &Select,
    ) -> Result<Self, CqlError> {
        let mut builder = Builder::new(table);
        let mut selectors = Vec::new();
        let mut columns = Vec::new();
        let spec = |name: String, cql_type: CqlType| ColumnSpec {
            keyspace: Arc::clone(&table.keyspace),
            table: Arc::clone(&table.name),
            name: name.into(),
            cql_type,
        };
        match &select.selectors {
            Selectors::All => {
                for column in table.visible_columns() {
                    selectors.push(Selector::Column(builder.want(column.name.as_ref(), false)?));
                    columns.push(spec(column.name.to_string(), column.cql_type.clone()));
                }
            }
            Selectors::List(list) => {
                for (selectable, alias) in list {
                    check_names(context, selectable)?;
                    let (selector, cql_type) = builder.selector(context, selectable, None)?;
                    selectors.push(selector);
                    let name = match (alias, selectable) {
                        (Some(name), _) | (None, Selectable::Column(name)) => name.clone(),
                        _ => names::column_name(&named(context, &table.keyspace, selectable)?),
                    };
                    columns.push(spec(name, cql_type));
                }
            }
        }
        let is_plain = selectors.iter().all(|selector| matches!(selector, Selector::Column(_)));
        let Builder { wanted, aggregates, .. } = builder;
        Ok(Self { wanted, selectors, aggregates, columns, is_plain })
    }

    /// Refuses nulls as keys of what is selected.
    pub(crate) fn check_keys(&self, binding: &Binding<'_>) -> Result<(), CqlError> {
        if self.is_plain {
            return Ok(());
        }
        let of_aggregates = self.aggregates.iter().filter_map(|aggregate| aggregate.argument.as_deref());
        self.selectors.iter().chain(of_aggregates).try_for_each(|selector| selector.check_keys(binding))
    }

    /// The place of a column among the wanted ones; it is added if need be.
    pub(crate) fn want(&mut self, table: &Table, name: &str) -> Result<usize, CqlError> {
        let column = column_of(table, name)?;
        if let Some(index) = self.wanted.iter().position(|wanted| wanted.column.id == column.id) {
            return Ok(index);
        }
        self.wanted.push(Wanted { column: column.clone(), metadata: false });
        Ok(self.wanted.len() - 1)
    }

    /// The selector of an item of GROUP BY: a column, or a function of one.
    pub(crate) fn group_item(
        &mut self,
        context: &mut Context<'_>,
        table: &Arc<Table>,
        selectable: &Selectable,
    ) -> Result<GroupItem, CqlError> {
        if let Selectable::Column(name) = selectable {
            let selector = Selector::Column(self.want(table, name)?);
            let column = column_of(table, name)?.clone();
            let cql_type = column.cql_type.clone();
            return Ok(GroupItem { selector, cql_type, column, is_function: false });
        }
        if !matches!(
            selectable,
            Selectable::Function(..) | Selectable::Negation(_) | Selectable::Arithmetic(..)
        ) {
            return invalid(format!(
                "Group by is only supported on columns of the PRIMARY KEY and functions of them, got {}",
                names::column_name(selectable)
            ));
        }
        check_operators(context, selectable.operators())?;
        check_calls(context, selectable)?;
        let mut builder = Builder::new(table);
        builder.wanted = std::mem::take(&mut self.wanted);
        let prepared = builder.selector(context, selectable, None);
        self.wanted = builder.wanted;
        let (selector, cql_type) = prepared?;
        if !builder.aggregates.is_empty() {
            let Selectable::Function(name, _) = selectable else {
                return invalid("Aggregate functions are not supported within the GROUP BY clause");
            };
            return invalid(format!(
                "Aggregate functions are not supported within the GROUP BY clause, got: system.{}",
                name.name
            ));
        }
        match selector.only_column() {
            Some(index) => {
                let column = self.wanted[index].column.clone();
                Ok(GroupItem { selector, cql_type, column, is_function: true })
            }
            None => invalid(format!(
                "Group by functions must have one clustering column as argument, got {}",
                names::column_name(selectable)
            )),
        }
    }
}

/// Checks the names and calls in an item.
fn check_names(context: &mut Context<'_>, selectable: &Selectable) -> Result<(), CqlError> {
    check_operators(context, selectable.operators())?;
    context.forget_assignments();
    check_calls(context, selectable)
}

/// An item of GROUP BY.
pub(crate) struct GroupItem {
    pub(crate) selector: Selector,
    pub(crate) cql_type: CqlType,
    pub(crate) column: Column,
    pub(crate) is_function: bool,
}

impl Builder {
    fn new(table: &Arc<Table>) -> Self {
        Self { table: Arc::clone(table), wanted: Vec::new(), aggregates: Vec::new(), in_aggregate: false }
    }
}
