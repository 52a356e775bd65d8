//! Groups of rows, and rows that are sorted before they are given.

use super::{Group, Output, SortedRow};
use crate::error::CqlError;
use crate::functions::Accumulator;
use crate::row_values::RowValues;
use dodona_types::value;
use std::cmp::Ordering;
use std::ops::ControlFlow;

impl<'a> Output<'a> {
    pub(super) fn new_group(&self, key: Vec<Option<Vec<u8>>>) -> Group<'a> {
        Group {
            key,
            states: vec![Accumulator::default(); self.shape.selection.aggregates.len()],
            first: self.values.clone(),
        }
    }

    /// True if rows with these keys are of one group: keys that compare as equal are.
    fn is_same_group(&self, a: &[Option<Vec<u8>>], b: &[Option<Vec<u8>>]) -> bool {
        let items = self.shape.group_by.iter();
        items.zip(a.iter().zip(b)).all(|((_, ty), (a, b))| match (a, b) {
            (Some(a), Some(b)) => value::compare(ty, a, b).is_eq(),
            (a, b) => a.is_none() && b.is_none(),
        })
    }

    /// Adds the present row to its group. A page ends in front of a group that has no room on it.
    pub(super) fn aggregate(&mut self, clustering: Option<&[u8]>) -> Result<(), CqlError> {
        let items = self.shape.group_by.iter();
        let key = items
            .map(|(item, _)| item.value(&self.values, &[], self.binding))
            .collect::<Result<Vec<_>, _>>()?;
        if self.group.as_ref().is_some_and(|group| !self.is_same_group(&group.key, &key)) {
            self.end_group()?;
            if self.done {
                return Ok(());
            }
        }
        if self.group.is_none() {
            if self.partition_left == 0 {
                // Groups of this partition are not wanted any more.
                return Ok(());
            }
            if self.pages_groups() && self.page_is_full() {
                self.more = true;
                self.done = true;
                return Ok(());
            }
            self.partition_left -= 1;
            self.group = Some(Box::new(self.new_group(key)));
        }
        if let Some(group) = &mut self.group {
            for (state, aggregate) in group.states.iter_mut().zip(&self.shape.selection.aggregates) {
                aggregate.take(state, &self.values, self.binding)?;
            }
        }
        if self.pages_groups() {
            self.note_position(clustering);
        }
        Ok(())
    }

    const fn pages_groups(&self) -> bool {
        self.page_left < u64::MAX && !self.shape.group_by.is_empty()
    }

    pub(super) fn end_group(&mut self) -> Result<(), CqlError> {
        let Some(group) = self.group.take() else {
            return Ok(());
        };
        if self.rows_left == 0 {
            return Ok(());
        }
        let results = group
            .states
            .into_iter()
            .zip(&self.shape.selection.aggregates)
            .map(|(state, aggregate)| aggregate.finish(state))
            .collect::<Result<Vec<_>, _>>()?;
        let row = self.selected(&group.first, &results)?;
        if !self.shape.sort.is_empty() {
            self.sorted.push(SortedRow { by: self.sort_key(&group.first), values: row });
            return Ok(());
        }
        self.give_values(&row)?;
        self.rows_left -= 1;
        if self.pages_groups() {
            self.page_left -= 1;
        }
        if let Some(last) = &mut self.last {
            last.rows_left = self.rows_left;
        }
        if self.rows_left == 0 {
            self.done = true;
        }
        Ok(())
    }

    pub(super) fn sort_key(&self, values: &RowValues<'_>) -> Vec<Option<Vec<u8>>> {
        self.shape.sort.iter().map(|(index, _)| values.value(*index).map(<[u8]>::to_vec)).collect()
    }

    pub(super) fn keep_for_sorting(&mut self) -> Result<ControlFlow<()>, CqlError> {
        let values = self.selected(&self.values, &[])?;
        self.sorted.push(SortedRow { by: self.sort_key(&self.values), values });
        Ok(ControlFlow::Continue(()))
    }

    pub(super) fn give_sorted(&mut self) {
        if self.sorted.is_empty() {
            return;
        }
        let mut rows = std::mem::take(&mut self.sorted);
        let types: Vec<_> = self
            .shape
            .sort
            .iter()
            .map(|(index, descending)| {
                (self.shape.selection.wanted[*index].column.cql_type.clone(), *descending)
            })
            .collect();
        let reversed = self.shape.reversed;
        rows.sort_by(|a, b| {
            types.iter().zip(a.by.iter().zip(&b.by)).fold(
                Ordering::Equal,
                |order, ((ty, descending), (a, b))| {
                    order.then_with(|| {
                        // What is absent comes first in a column's own order, whichever that is.
                        let (order, against) = match (a, b) {
                            (Some(a), Some(b)) => (value::compare(ty, a, b), *descending),
                            (a, b) => (a.is_some().cmp(&b.is_some()), reversed),
                        };
                        if against { order.reverse() } else { order }
                    })
                },
            )
        });
        let limit = usize::try_from(self.rows_left).unwrap_or(usize::MAX);
        for row in rows.into_iter().take(limit) {
            if let Err(error) = self.give_values(&row.values) {
                self.error.get_or_insert(error);
            }
        }
    }
}
