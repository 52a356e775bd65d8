//! Takes what is there of a partition out of what was read.

use super::{Current, Values};
use crate::error::CqlError;
use crate::row_values::RowValues;
use dodona_types::{KeyRef, LiveRow, RowVisitor};
use std::ops::ControlFlow;

pub(super) struct Collector<'a> {
    pub(super) values: RowValues<'a>,
    pub(super) columns: usize,
    pub(super) current: Current,
    pub(super) error: Option<CqlError>,
}

impl Collector<'_> {
    fn snapshot(&self) -> Values {
        (0..self.columns).map(|place| self.values.value(place).map(<[u8]>::to_vec)).collect()
    }

    fn note(&mut self, result: Result<(), CqlError>) -> ControlFlow<()> {
        match result {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.error = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}

impl RowVisitor for Collector<'_> {
    fn partition(&mut self, key: KeyRef<'_>, static_row: Option<&LiveRow<'_>>) -> ControlFlow<()> {
        let entered = self.values.enter_partition(key, static_row);
        self.note(entered)?;
        if static_row.is_some() {
            let entered = self.values.enter_row(None);
            self.note(entered)?;
            self.current.static_row = Some(self.snapshot());
        }
        ControlFlow::Continue(())
    }

    fn row(&mut self, clustering: &[u8], row: &LiveRow<'_>) -> ControlFlow<()> {
        let entered = self.values.enter_row(Some((clustering, row)));
        self.note(entered)?;
        let values = self.snapshot();
        self.current.rows.insert(clustering.to_vec(), values);
        ControlFlow::Continue(())
    }
}
