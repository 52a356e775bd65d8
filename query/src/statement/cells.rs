//! What a modification does to the columns of a row, and the cells that it makes.

mod lists;

use super::existing::RowLists;
use crate::binding::{Binding, Val};
use crate::error::{CqlError, invalid};
use crate::functions::add_numbers;
use crate::keys::element_path;
use crate::term::Expression;
use dodona_types::row::{RowBuilder, RowHeader};
use dodona_types::schema::Column;
use dodona_types::value::{self, elements, map_entries};
use dodona_types::{Cell, CellKind, ColumnId, CqlType, Deletion, Liveness, MutationBuilder};
use std::borrow::Cow;

/// What happens to a column.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// The column, whole, takes a value.
    Set(Expression),
    /// Elements are added to a collection; a list's at its end.
    Append(Expression),
    /// Something is added to a number, or put behind a text: the value is read first.
    Plus(Expression),
    /// Elements are added at the start of a list.
    Prepend(Expression),
    /// Elements of a set, or keys of a map, are removed.
    Remove(Expression),
    /// Elements of a list with these values are removed: the list is read first.
    RemoveFromList(Expression),
    /// The element of a list at an index takes a value, or goes with null: the list is read first.
    SetIndex(Expression, Expression),
    /// The element of a list at an index is deleted: the list is read first.
    DeleteIndex(Expression),
    /// One entry of a map takes a value, or goes with null.
    SetEntry(Expression, Expression),
    /// One field of a user-defined type takes a value, or goes with null.
    SetField(u16, Expression),
    /// A counter is added to, or taken from.
    Count { delta: Expression, negative: bool },
    /// The column, whole, is deleted.
    Delete,
    /// One entry of a map, or element of a set, is deleted.
    DeleteEntry(Expression),
    /// One field of a user-defined type is deleted.
    DeleteField(u16),
}

impl Change {
    /// True if the column is replaced.
    pub(crate) const fn is_whole(&self) -> bool {
        matches!(self, Self::Set(_) | Self::Delete)
    }

    /// True if the list, or the value, is read before it is changed.
    pub(crate) const fn reads_first(&self) -> bool {
        matches!(self, Self::RemoveFromList(_) | Self::SetIndex(..) | Self::DeleteIndex(_) | Self::Plus(_))
    }
}

/// A change of a column.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) column: Column,
    pub(crate) change: Change,
}

/// Timestamp and time to live of one execution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) timestamp_micros: i64,
    /// 0 for none.
    pub(crate) ttl_seconds: u32,
    pub(crate) now_seconds: i64,
    /// The statements are executed on a condition.
    pub(crate) is_conditional: bool,
}

impl Times {
    pub(crate) const fn deletion(&self) -> Deletion {
        Deletion { timestamp_micros: self.timestamp_micros, deleted_at_seconds: self.now_seconds }
    }

    /// The deletion of a partition or of a range of rows. In a conditional batch it is older than the rows that are
    /// written, as in Cassandra (`PartitionUpdate.Builder.updateAllTimestamp`).
    pub(crate) const fn deletion_of_many(&self) -> Deletion {
        if self.is_conditional { self.deletion_before() } else { self.deletion() }
    }

    const fn expires_at_seconds(&self) -> i64 {
        self.now_seconds + self.ttl_seconds as i64
    }

    pub(crate) const fn liveness(&self) -> Liveness {
        if self.ttl_seconds == 0 {
            Liveness::new(self.timestamp_micros)
        } else {
            Liveness::expiring(self.timestamp_micros, self.ttl_seconds, self.expires_at_seconds())
        }
    }

    const fn cell<'a>(&self, column: ColumnId, path: Option<&'a [u8]>, value: &'a [u8]) -> Cell<'a> {
        let kind = if self.ttl_seconds == 0 {
            CellKind::Live
        } else {
            CellKind::Expiring {
                ttl_seconds: self.ttl_seconds,
                expires_at_seconds: self.expires_at_seconds(),
            }
        };
        Cell { column, path, timestamp_micros: self.timestamp_micros, kind, value }
    }

    const fn tombstone<'a>(&self, column: ColumnId, path: Option<&'a [u8]>) -> Cell<'a> {
        let kind = CellKind::Tombstone { deleted_at_seconds: self.now_seconds };
        Cell { column, path, timestamp_micros: self.timestamp_micros, kind, value: &[] }
    }

    /// The deletion that makes way for a collection's new value, written at the same time.
    const fn deletion_before(&self) -> Deletion {
        Deletion { timestamp_micros: self.timestamp_micros - 1, deleted_at_seconds: self.now_seconds }
    }
}

/// What cells are made of.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a, 'b> {
    pub(crate) binding: &'a Binding<'b>,
    pub(crate) times: &'a Times,
    /// The row's lists that were read, if any had to be.
    pub(crate) lists: Option<&'a RowLists>,
}

/// Adds a row with the cells of these operations, which are sorted by column; the static row if
/// there is no clustering.
pub(crate) fn put_row<'o>(
    builder: &mut MutationBuilder,
    clustering: Option<&[u8]>,
    header: &RowHeader<'_>,
    source: &Source<'_, '_>,
    operations: impl Iterator<Item = &'o Operation>,
) -> Result<(), CqlError> {
    let times = source.times;
    let cells = Cells { binding: source.binding, times, lists: source.lists };
    let mut result = Ok(());
    let fill = |row: &mut RowBuilder<'_>| {
        let mut operations = operations.peekable();
        while let Some(first) = operations.next() {
            result = match operations.peek() {
                Some(next) if next.column.id == first.column.id => {
                    // Several changes of one column (`m['a'] = 1, m['b'] = 2`) are put together.
                    let mut group = vec![first];
                    while let Some(next) = operations.next_if(|next| next.column.id == first.column.id) {
                        group.push(next);
                    }
                    cells.put_parts(row, &group)
                }
                _ => cells.put(row, first),
            };
            if result.is_err() {
                return;
            }
        }
    };
    match clustering {
        Some(clustering) => builder.row(clustering, times.timestamp_micros, header, fill),
        None => builder.static_row(times.timestamp_micros, header, fill),
    }
    result
}

/// Bytes of a list element's path: a timeuuid.
const LIST_PATH_BYTES: usize = 16;

/// Makes the cells of one row.
struct Cells<'a, 'b> {
    binding: &'a Binding<'b>,
    times: &'a Times,
    lists: Option<&'a RowLists>,
}

/// Cells of a multi-cell column by path; no value is a tombstone.
#[derive(Default)]
struct Parts {
    deletion: Option<Deletion>,
    cells: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// Which of two values of one cell at one time counts: none, a deletion, before any other, then
/// the greater bytes (the merge rule of cells).
fn winner(a: Option<Vec<u8>>, b: Option<Vec<u8>>) -> Option<Vec<u8>> {
    Some(a?.max(b?))
}

impl Cells<'_, '_> {
    fn put(&self, row: &mut RowBuilder<'_>, operation: &Operation) -> Result<(), CqlError> {
        let Operation { column, change } = operation;
        if column.cql_type.is_multi_cell() {
            return self.put_parts(row, &[operation]);
        }
        match change {
            Change::Set(expression) => match expression.evaluate(self.binding)? {
                Val::Unset => {}
                Val::Null => row.push_cell(&self.times.tombstone(column.id, None)),
                Val::Bytes(bytes) => {
                    self.judge(column, &bytes)?;
                    row.push_cell(&self.times.cell(column.id, None, &bytes));
                }
            },
            Change::Plus(expression) => {
                if let Some(sum) = self.sum(column, expression)? {
                    row.push_cell(&self.times.cell(column.id, None, &sum));
                }
            }
            _ => row.push_cell(&self.times.tombstone(column.id, None)),
        }
        Ok(())
    }

    /// What is there with something added; none if nothing is there.
    fn sum(&self, column: &Column, expression: &Expression) -> Result<Option<Vec<u8>>, CqlError> {
        let added = expression.evaluate_set(self.binding, &column.name)?;
        let present = self.lists.and_then(|lists| lists.get(&column.id)?.first());
        let Some(present) = present else { return Ok(None) };
        match column.cql_type {
            CqlType::Text | CqlType::Ascii => Ok(Some([&present.value, &*added].concat())),
            _ => add_numbers(&column.cql_type, &present.value, &added),
        }
    }

    fn put_parts(&self, row: &mut RowBuilder<'_>, group: &[&Operation]) -> Result<(), CqlError> {
        let mut parts = Parts::default();
        for operation in group {
            self.collect(&operation.column, &operation.change, &mut parts)?;
        }
        let column = group[0].column.id;
        if let Some(deletion) = parts.deletion {
            row.push_column_deletion(column, deletion);
        }
        parts.cells.sort_by(|a, b| a.0.cmp(&b.0));
        // Several changes of one element are as old as each other.
        parts.cells.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 = winner(kept.1.take(), next.1.take());
            }
            same
        });
        for (path, value) in &parts.cells {
            match value {
                Some(value) => row.push_cell(&self.times.cell(column, Some(path), value)),
                None => row.push_cell(&self.times.tombstone(column, Some(path))),
            }
        }
        Ok(())
    }

    fn collect(&self, column: &Column, change: &Change, parts: &mut Parts) -> Result<(), CqlError> {
        let ty = &column.cql_type;
        match change {
            Change::Set(expression) => match expression.evaluate(self.binding)? {
                Val::Unset => {}
                // As with any other value, what was written at the same time stays.
                Val::Null => parts.deletion = Some(self.times.deletion_before()),
                Val::Bytes(bytes) => {
                    parts.deletion = Some(self.times.deletion_before());
                    self.judge(column, &bytes)?;
                    self.put_elements(ty, &bytes, false, parts)?;
                }
            },
            Change::Append(expression) | Change::Prepend(expression) => {
                if let Val::Bytes(bytes) = expression.evaluate(self.binding)? {
                    if matches!(change, Change::Append(_)) {
                        self.judge(column, &bytes)?;
                    }
                    self.put_elements(ty, &bytes, matches!(change, Change::Prepend(_)), parts)?;
                }
            }
            Change::Remove(expression) => {
                if let Val::Bytes(bytes) = expression.evaluate(self.binding)? {
                    for element in elements(&bytes).flatten() {
                        parts.cells.push((element_path(key_type(ty), element)?, None));
                    }
                }
            }
            Change::RemoveFromList(expression) => {
                if let Val::Bytes(bytes) = expression.evaluate(self.binding)? {
                    let removed: Vec<&[u8]> = elements(&bytes).flatten().collect();
                    let found = self.present(column, parts).into_iter();
                    let found = found.filter(|element| removed.contains(&&*element.value));
                    parts.cells.extend(found.map(|element| (element.path, None)).collect::<Vec<_>>());
                }
            }
            Change::SetIndex(index, expression) => {
                let index_value = index.evaluate(self.binding)?;
                // What is malformed is said before what the list lacks.
                expression.evaluate(self.binding)?;
                if index_value == Val::Unset {
                    return invalid("Invalid unset value for list index");
                }
                if let Some(path) = self.path_at(column, index, "set an element on", parts)? {
                    self.put_part(column, path, expression, parts)?;
                }
            }
            Change::DeleteIndex(index) => {
                if let Some(path) = self.path_at(column, index, "delete an element from", parts)? {
                    parts.cells.push((path, None));
                }
            }
            Change::SetEntry(key, expression) => {
                let path = element_path(key_type(ty), &self.element_key(column, key)?)?;
                self.put_part(column, path, expression, parts)?;
            }
            Change::SetField(field, expression) => {
                self.put_part(column, field.to_be_bytes().to_vec(), expression, parts)?;
            }
            Change::Delete => parts.deletion = Some(self.times.deletion()),
            // These are of one cell; counters are counted elsewhere.
            Change::Count { .. } | Change::Plus(_) => {}
            // Of a set, an element that is not set is left alone.
            Change::DeleteEntry(key)
                if matches!(ty, CqlType::Set { .. }) && key.evaluate(self.binding)? == Val::Unset => {}
            Change::DeleteEntry(key) => {
                parts.cells.push((element_path(key_type(ty), &self.element_key(column, key)?)?, None));
            }
            Change::DeleteField(field) => parts.cells.push((field.to_be_bytes().to_vec(), None)),
        }
        Ok(())
    }

    /// Judges what is written to a column: its size, and that of the elements of a collection.
    fn judge(&self, column: &Column, bytes: &[u8]) -> Result<(), CqlError> {
        let (guard, ty) = (self.binding.guard, &column.cql_type);
        if !guard.judges_values() {
            return Ok(());
        }
        let parts: Vec<(usize, usize)> = match ty {
            CqlType::Map { .. } => map_entries(bytes).map(|(key, value)| (key.len(), value.len())).collect(),
            CqlType::Set { .. } => elements(bytes).flatten().map(|element| (element.len(), 0)).collect(),
            CqlType::List { .. } => {
                elements(bytes).flatten().map(|element| (LIST_PATH_BYTES, element.len())).collect()
            }
            _ => return guard.value(column, bytes.len()),
        };
        if !ty.is_multi_cell() {
            guard.value(column, bytes.len())?;
            return guard.collection(column, parts.len(), bytes.len(), 1);
        }
        parts.iter().try_for_each(|(_, value)| guard.value(column, *value))?;
        let sum = parts.iter().map(|(path, value)| path + value).sum();
        guard.collection(column, parts.len(), sum, parts.len())
    }

    fn element_key<'e>(&'e self, column: &Column, key: &'e Expression) -> Result<Cow<'e, [u8]>, CqlError> {
        let what = if matches!(column.cql_type, CqlType::Map { .. }) { "map key" } else { "set element" };
        match key.evaluate(self.binding)? {
            Val::Bytes(bytes) => Ok(bytes),
            Val::Null => invalid(format!("Invalid null {what}")),
            Val::Unset => invalid(format!("Invalid unset {what}")),
        }
    }

    fn put_part(
        &self,
        column: &Column,
        path: Vec<u8>,
        expression: &Expression,
        parts: &mut Parts,
    ) -> Result<(), CqlError> {
        match expression.evaluate(self.binding)? {
            Val::Unset => {}
            Val::Null => parts.cells.push((path, None)),
            Val::Bytes(value) => {
                self.binding.guard.value(column, value.len())?;
                parts.cells.push((path, Some(value.into_owned())));
            }
        }
        Ok(())
    }

    /// The cells of a collection's or user-defined type's wire bytes.
    fn put_elements(
        &self,
        ty: &CqlType,
        bytes: &[u8],
        prepend: bool,
        parts: &mut Parts,
    ) -> Result<(), CqlError> {
        match ty {
            CqlType::Map { key, .. } => {
                for (k, v) in map_entries(bytes) {
                    parts.cells.push((element_path(key, k)?, Some(v.to_vec())));
                }
            }
            CqlType::Set { element, .. } => {
                for found in elements(bytes).flatten() {
                    parts.cells.push((element_path(element, found)?, Some(Vec::new())));
                }
            }
            CqlType::List { .. } => {
                let mut found: Vec<&[u8]> = elements(bytes).flatten().collect();
                if prepend {
                    found.reverse();
                }
                for element in found {
                    parts.cells.push((self.list_path(prepend)?, Some(element.to_vec())));
                }
            }
            CqlType::UserDefined { .. } => {
                let mut rest = bytes;
                let mut index = 0u16;
                // What was there is deleted by the whole: a field that is null needs no tombstone.
                while let Some(field) = value::read_bytes(&mut rest) {
                    if let Some(field) = field {
                        parts.cells.push((index.to_be_bytes().to_vec(), Some(field.to_vec())));
                    }
                    index += 1;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn key_type(ty: &CqlType) -> &CqlType {
    match ty {
        CqlType::Map { key, .. } => key,
        CqlType::Set { element, .. } | CqlType::List { element, .. } => element,
        other => other,
    }
}
