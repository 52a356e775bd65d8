//! What a modification does to the columns of a row, and the cells that it makes.

use super::not_yet;
use crate::ast::{ColumnPart, Operation as AstOperation};
use crate::binding::{Binding, Val};
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::functions;
use crate::restrictions::{elements, map_entries};
use crate::term::{Expression, Receiver};
use dodona_types::comparable;
use dodona_types::row::{RowBuilder, RowHeader};
use dodona_types::schema::Column;
use dodona_types::value;
use dodona_types::{Cell, CellKind, ColumnId, CqlType, Deletion, Liveness, MutationBuilder};
use std::borrow::Cow;
use std::sync::Arc;

/// What happens to a column.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// The column, whole, takes a value.
    Set(Expression),
    /// Elements are added to a collection; a list's at its end.
    Append(Expression),
    /// Elements are added at the start of a list.
    Prepend(Expression),
    /// Elements of a set, or keys of a map, are removed.
    Remove(Expression),
    /// One entry of a map takes a value, or goes with null.
    SetEntry(Expression, Expression),
    /// One field of a user-defined type takes a value, or goes with null.
    SetField(u16, Expression),
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
}

impl Times {
    pub(crate) const fn deletion(&self) -> Deletion {
        Deletion { timestamp_micros: self.timestamp_micros, deleted_at_seconds: self.now_seconds }
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

/// Adds a row with the cells of these operations, which are sorted by column; the static row if
/// there is no clustering.
pub(crate) fn put_row<'o>(
    builder: &mut MutationBuilder,
    clustering: Option<&[u8]>,
    header: &RowHeader<'_>,
    binding: &Binding<'_>,
    times: &Times,
    operations: impl Iterator<Item = &'o Operation>,
) -> Result<(), CqlError> {
    let cells = Cells { binding, times };
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

/// Makes the cells of one row.
struct Cells<'a, 'b> {
    binding: &'a Binding<'b>,
    times: &'a Times,
}

/// Cells of a multi-cell column by path; no value is a tombstone.
#[derive(Default)]
struct Parts {
    deletion: Option<Deletion>,
    cells: Vec<(Vec<u8>, Option<Vec<u8>>)>,
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
                Val::Bytes(bytes) => row.push_cell(&self.times.cell(column.id, None, &bytes)),
            },
            _ => row.push_cell(&self.times.tombstone(column.id, None)),
        }
        Ok(())
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
        for (index, (path, value)) in parts.cells.iter().enumerate() {
            // Of several changes of one element the last in the statement counts.
            if parts.cells.get(index + 1).is_some_and(|next| next.0 == *path) {
                continue;
            }
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
                Val::Null => parts.deletion = Some(self.times.deletion()),
                Val::Bytes(bytes) => {
                    parts.deletion = Some(self.times.deletion_before());
                    self.put_elements(ty, &bytes, false, parts)?;
                }
            },
            Change::Append(expression) | Change::Prepend(expression) => {
                if let Val::Bytes(bytes) = expression.evaluate(self.binding)? {
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
            Change::SetEntry(key, expression) => {
                let path = element_path(key_type(ty), &self.map_key(key)?)?;
                self.put_part(path, expression, parts)?;
            }
            Change::SetField(field, expression) => {
                self.put_part(field.to_be_bytes().to_vec(), expression, parts)?;
            }
            Change::Delete => parts.deletion = Some(self.times.deletion()),
            Change::DeleteEntry(key) => {
                parts.cells.push((element_path(key_type(ty), &self.map_key(key)?)?, None));
            }
            Change::DeleteField(field) => parts.cells.push((field.to_be_bytes().to_vec(), None)),
        }
        Ok(())
    }

    fn map_key<'e>(&'e self, key: &'e Expression) -> Result<Cow<'e, [u8]>, CqlError> {
        match key.evaluate(self.binding)? {
            Val::Bytes(bytes) => Ok(bytes),
            Val::Null => invalid("Invalid null map key"),
            Val::Unset => invalid("Invalid unset map key"),
        }
    }

    fn put_part(&self, path: Vec<u8>, expression: &Expression, parts: &mut Parts) -> Result<(), CqlError> {
        match expression.evaluate(self.binding)? {
            Val::Unset => {}
            Val::Null => parts.cells.push((path, None)),
            Val::Bytes(value) => parts.cells.push((path, Some(value.into_owned()))),
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
                let found: Vec<&[u8]> = elements(bytes).flatten().collect();
                for (index, element) in found.iter().enumerate() {
                    let place = if prepend { found.len() - 1 - index } else { index };
                    parts.cells.push((self.list_path(place, prepend)?, Some(element.to_vec())));
                }
            }
            CqlType::UserDefined { .. } => {
                let mut rest = bytes;
                let mut index = 0u16;
                while let Some(field) = value::read_bytes(&mut rest) {
                    parts.cells.push((index.to_be_bytes().to_vec(), field.map(<[u8]>::to_vec)));
                    index += 1;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The path of a list's element: a timeuuid in comparable order. `place` counts from the start
    /// of what is appended, or from the end of what is prepended: there times run backwards from
    /// far in the past, so that what is prepended later comes first (Cassandra `Lists.Prepender`).
    fn list_path(&self, place: usize, prepend: bool) -> Result<Vec<u8>, CqlError> {
        /// 2010-01-01, as in Cassandra.
        const REFERENCE_MICROS: i64 = 1_262_304_000_000_000;
        let mut random = [0; 8];
        self.binding.random.fill(&mut random);
        let now = self.binding.now_micros;
        let (offset, ticks) = ((place / 10) as i64, (place % 10) as u64);
        let uuid = if prepend {
            functions::timeuuid_with(2 * REFERENCE_MICROS - now - offset, 9 - ticks, random)
        } else {
            functions::timeuuid_with(now + offset, ticks, random)
        };
        let mut path = Vec::with_capacity(20);
        comparable::encode_component(&CqlType::Timeuuid, false, Some(uuid.as_bytes()), &mut path)?;
        Ok(path)
    }
}

fn key_type(ty: &CqlType) -> &CqlType {
    match ty {
        CqlType::Map { key, .. } => key,
        CqlType::Set { element, .. } | CqlType::List { element, .. } => element,
        other => other,
    }
}

/// The path of a set's element or a map's key: its comparable bytes, and behind them its wire
/// bytes where the comparable ones do not give them back.
pub(crate) fn element_path(ty: &CqlType, wire: &[u8]) -> Result<Vec<u8>, CqlError> {
    let mut path = Vec::with_capacity(wire.len() + 4);
    comparable::encode_component(ty, false, Some(wire), &mut path)?;
    if comparable::needs_original(ty, wire) {
        path.extend_from_slice(wire);
    }
    Ok(path)
}

/// What an assignment of an UPDATE does.
pub(crate) fn change_of(
    context: &mut Context<'_>,
    column: &Column,
    operation: &AstOperation,
) -> Result<Change, CqlError> {
    let (name, ty) = (&column.name, &column.cql_type);
    let mut prepare = |term, receiver: CqlType, receiver_name: String| {
        Expression::prepare(context, term, &Receiver::new(receiver_name, receiver))
    };
    match operation {
        AstOperation::Set(term) => Ok(Change::Set(prepare(term, ty.clone(), name.to_string())?)),
        AstOperation::Add(_) | AstOperation::Prepend(_) | AstOperation::Subtract(_)
            if !ty.is_multi_cell() || matches!(ty, CqlType::UserDefined { .. }) =>
        {
            if matches!(ty, CqlType::List { .. } | CqlType::Set { .. } | CqlType::Map { .. }) {
                return invalid(format!(
                    "Invalid operation ({name} = {name} + ...) for frozen collection column {name}"
                ));
            }
            invalid(format!("Invalid operation ({name} = {name} + ...) for non counter column {name}"))
        }
        AstOperation::Add(term) => Ok(Change::Append(prepare(term, ty.clone(), name.to_string())?)),
        AstOperation::Prepend(term) => match ty {
            CqlType::List { .. } => Ok(Change::Prepend(prepare(term, ty.clone(), name.to_string())?)),
            _ => invalid(format!("Invalid operation ({name} = ... + {name}) for non list column {name}")),
        },
        AstOperation::Subtract(term) => match ty {
            CqlType::Set { .. } => Ok(Change::Remove(prepare(term, ty.clone(), name.to_string())?)),
            CqlType::Map { key, .. } => {
                Ok(Change::Remove(prepare(term, CqlType::set(CqlType::clone(key), true), name.to_string())?))
            }
            _ => not_yet("Removing elements from a list, which reads before it writes, is"),
        },
        AstOperation::SetElement(key, term) => match ty {
            CqlType::Map { key: key_type, value, frozen: false } => Ok(Change::SetEntry(
                prepare(key, CqlType::clone(key_type), format!("key({name})"))?,
                prepare(term, CqlType::clone(value), format!("value({name})"))?,
            )),
            CqlType::List { frozen: false, .. } => {
                not_yet("Setting an element of a list by its index, which reads before it writes, is")
            }
            CqlType::Set { .. } => {
                invalid(format!("Invalid operation ({name}[...] = ...) for set column {name}"))
            }
            CqlType::List { .. } | CqlType::Map { .. } => {
                invalid(format!("Invalid operation ({name}[...] = ...) for frozen collection column {name}"))
            }
            _ => invalid(format!("Invalid operation ({name}[...] = ...) for non collection column {name}")),
        },
        AstOperation::SetField(field, term) => {
            let (index, field_type) = field_of(column, field)?;
            Ok(Change::SetField(index, prepare(term, field_type, field.clone())?))
        }
    }
}

fn field_of(column: &Column, field: &str) -> Result<(u16, CqlType), CqlError> {
    let name = &column.name;
    let CqlType::UserDefined { definition, frozen } = &column.cql_type else {
        return invalid(format!("Invalid operation ({name}.{field} = ...) for non-UDT column {name}"));
    };
    if *frozen {
        return invalid(format!("Invalid operation ({name}.{field} = ...) for frozen UDT column {name}"));
    }
    match definition.field_position(field) {
        Some(index) => Ok((index as u16, definition.fields[index].1.freeze())),
        None => invalid(format!("UDT column {name} does not have a field named {field}")),
    }
}

/// What a DELETE does to a column.
pub(crate) fn deletion_of(
    context: &mut Context<'_>,
    column: &Column,
    part: Option<&ColumnPart>,
) -> Result<Change, CqlError> {
    let name = &column.name;
    let mut entry = |term, what: String, ty: &Arc<CqlType>| {
        Expression::prepare(context, term, &Receiver::new(what, CqlType::clone(ty))).map(Change::DeleteEntry)
    };
    match part {
        None => Ok(Change::Delete),
        Some(ColumnPart::Field(field)) => Ok(Change::DeleteField(field_of(column, field)?.0)),
        Some(ColumnPart::Element(term)) => match &column.cql_type {
            CqlType::Map { key, frozen: false, .. } => entry(term, format!("key({name})"), key),
            CqlType::Set { element, frozen: false } => entry(term, format!("value({name})"), element),
            CqlType::List { frozen: false, .. } => {
                not_yet("Deleting an element of a list by its index, which reads before it writes, is")
            }
            CqlType::Map { .. } | CqlType::Set { .. } | CqlType::List { .. } => {
                invalid(format!("Invalid deletion operation for frozen collection column {name}"))
            }
            _ => invalid(format!("Invalid deletion operation for non collection column {name}")),
        },
    }
}
