//! Aggregates over the rows of a selection.

use super::Selector;
use crate::binding::Binding;
use crate::error::CqlError;
use crate::functions::{Accumulator, AggregateKind};
use crate::row_values::RowValues;
use dodona_types::CqlType;

/// An aggregate over a selection.
#[derive(Clone, Debug)]
pub(crate) struct Aggregate {
    pub(super) kind: AggregateKind,
    pub(super) argument: Option<Box<Selector>>,
    /// The type of the values it takes.
    pub(super) cql_type: CqlType,
}

impl Aggregate {
    /// `count(*)`
    pub(super) const fn count_rows() -> Self {
        Self { kind: AggregateKind::CountRows, argument: None, cql_type: CqlType::Bigint }
    }

    /// Takes the present row.
    pub(crate) fn take(
        &self,
        state: &mut Accumulator,
        row: &RowValues<'_>,
        binding: &Binding<'_>,
    ) -> Result<(), CqlError> {
        let Some(argument) = &self.argument else {
            state.take_row();
            return Ok(());
        };
        match argument.value(row, &[], binding)? {
            Some(bytes) => state.take(self.kind, &self.cql_type, &bytes),
            None => Ok(()),
        }
    }

    /// The result.
    pub(crate) fn finish(&self, state: Accumulator) -> Result<Option<Vec<u8>>, CqlError> {
        state.finish(self.kind, &self.cql_type)
    }
}
