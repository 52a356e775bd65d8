//! `writetime`, `maxwritetime` and `ttl` of columns and of their parts.

use super::names::metadata_name;
use super::path::{PathTypes, walk};
use crate::ast::{MetadataFunction, PathStep, Selectable};
use crate::binding::{Binding, Val};
use crate::context::Context;
use crate::error::{CqlError, invalid};
use crate::keys::element_path;
use crate::restrictions::column_of;
use crate::row_values::CellTimes;
use crate::term::Expression;
use dodona_types::CqlType;
use dodona_types::schema::{Column, ColumnKind};

/// Which cells of a column times are taken of.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// All of them.
    All,
    /// Those of a user-defined type of so many fields; a field without a value has no times.
    Fields(usize),
    /// The one of this field.
    Field(u16),
    /// The one of this key, which has this type.
    Element(CqlType, Expression),
    /// Those between these keys.
    Slice(CqlType, Option<Expression>, Option<Expression>),
}

/// The column that is named, and the steps into it.
fn named_column<'s>(
    context: &Context<'_>,
    inner: &'s Selectable,
) -> Result<(Column, &'s [PathStep]), CqlError> {
    let (name, steps): (&str, &[PathStep]) = match inner {
        Selectable::Column(name) => (name, &[]),
        Selectable::Path(base, steps) => match &**base {
            Selectable::Column(name) => (name, steps),
            _ => return invalid("Times are stored with columns only"),
        },
        _ => return invalid("Times are stored with columns only"),
    };
    Ok((column_of(context.known_table()?, name)?.clone(), steps))
}

/// The column that times are asked of, and the steps into it.
pub(super) fn column_and_steps<'s>(
    context: &Context<'_>,
    function: MetadataFunction,
    inner: &'s Selectable,
) -> Result<(Column, &'s [PathStep]), CqlError> {
    let (column, steps) = named_column(context, inner)?;
    let (function, name) = (metadata_name(function), &column.name);
    if matches!(column.kind, ColumnKind::PartitionKey | ColumnKind::Clustering) {
        return invalid(format!("Cannot use selection function {function} on PRIMARY KEY part {name}"));
    }
    Ok((column, steps))
}

/// True if the function gives a list: a time for each of several cells.
pub(super) fn gives_many(function: MetadataFunction, column: &Column, steps: &[PathStep]) -> bool {
    column.cql_type.is_multi_cell()
        && function != MetadataFunction::MaxWriteTime
        && matches!(steps, [] | [PathStep::Slice(..)])
}

/// Checks the steps into a column.
pub(super) fn check_steps(column: &Column, steps: &[PathStep]) -> Result<(), CqlError> {
    let base = Selectable::Column(column.name.to_string());
    walk(&base, &column.cql_type, steps, &mut PathTypes).map(drop)
}

/// The type of the function's value. Whether the column has times is for later.
pub(super) fn type_of(
    context: &Context<'_>,
    function: MetadataFunction,
    inner: &Selectable,
) -> Result<CqlType, CqlError> {
    let (column, steps) = named_column(context, inner)?;
    let one = if function == MetadataFunction::Ttl { CqlType::Int } else { CqlType::Bigint };
    Ok(if gives_many(function, &column, steps) { CqlType::list(one, true) } else { one })
}

/// The key's place among the cells of its column.
fn place(ty: &CqlType, key: &Expression, binding: &Binding<'_>) -> Result<Option<Vec<u8>>, CqlError> {
    match key.evaluate(binding)? {
        Val::Bytes(bytes) => element_path(ty, &bytes).map(Some),
        Val::Null | Val::Unset => Ok(None),
    }
}

impl Part {
    /// The times of the part's cells.
    fn select<'t>(&self, times: &'t [CellTimes], binding: &Binding<'_>) -> Result<&'t [CellTimes], CqlError> {
        let exactly = |path: &[u8]| {
            let found = times.iter().position(|times| *times.path == *path);
            found.map_or(&times[..0], |index| &times[index..=index])
        };
        Ok(match self {
            Self::All | Self::Fields(_) => times,
            Self::Field(field) => exactly(&field.to_be_bytes()),
            Self::Element(ty, key) => match place(ty, key, binding)? {
                Some(path) => exactly(&path),
                None => return invalid("Invalid null value for element selection"),
            },
            Self::Slice(ty, from, to) => {
                let bound = |key: &Option<Expression>| match key {
                    Some(key) => place(ty, key, binding),
                    None => Ok(None),
                };
                let (from, to) = (bound(from)?, bound(to)?);
                // Cells are in the order of their paths.
                let start = from.map_or(0, |from| times.partition_point(|times| *times.path < *from));
                let end = to.map_or(times.len(), |to| {
                    times.partition_point(|times| *times.path <= *to || times.path.starts_with(&to))
                });
                times.get(start..end).unwrap_or_default()
            }
        })
    }

    /// The function's value of the part.
    pub(super) fn value(
        &self,
        function: MetadataFunction,
        many: bool,
        times: &[CellTimes],
        binding: &Binding<'_>,
    ) -> Result<Option<Vec<u8>>, CqlError> {
        let times = self.select(times, binding)?;
        let one = |times: &CellTimes| match function {
            MetadataFunction::Ttl => times.ttl_seconds.map(|ttl| (ttl as i32).to_be_bytes().to_vec()),
            _ => Some(times.timestamp_micros.to_be_bytes().to_vec()),
        };
        if function == MetadataFunction::MaxWriteTime {
            let latest = times.iter().map(|times| times.timestamp_micros).max();
            return Ok(latest.map(|latest| latest.to_be_bytes().to_vec()));
        }
        if !many {
            return Ok(times.first().and_then(one));
        }
        if times.is_empty() {
            return Ok(None);
        }
        let all: Vec<Option<&CellTimes>> = match self {
            Self::Fields(fields) => (0..*fields as u16)
                .map(|field| times.iter().find(|times| *times.path == field.to_be_bytes()))
                .collect(),
            _ => times.iter().map(Some).collect(),
        };
        let mut out = (all.len() as i32).to_be_bytes().to_vec();
        for times in all {
            match times.and_then(one) {
                Some(bytes) => {
                    out.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
                    out.extend_from_slice(&bytes);
                }
                None => out.extend_from_slice(&(-1i32).to_be_bytes()),
            }
        }
        Ok(Some(out))
    }
}
