//! Where the rows of a read go: filtered, grouped, sorted, cut into pages.

mod groups;

use crate::binding::Binding;
use crate::error::CqlError;
use crate::functions::Accumulator;
use crate::paging::PagingState;
use crate::restrictions::Filter;
use crate::row_values::RowValues;
use crate::selection::{Selection, Selector};
use dodona_types::limits::MAX_PAGE_BYTES;
use dodona_types::schema::Table;
use dodona_types::value::{wire_to_json, write_json_string};
use dodona_types::{CqlType, KeyRef, LiveRow, RowSink, RowVisitor};
use smallvec::SmallVec;
use std::ops::ControlFlow;

/// Bytes of a partition key that need no allocation.
const INLINE_KEY_BYTES: usize = 24;

/// What the result looks like.
pub(super) struct Shape<'a> {
    pub(super) table: &'a Table,
    pub(super) selection: &'a Selection,
    pub(super) json: bool,
    pub(super) distinct: bool,
    pub(super) sort: &'a [(usize, bool)],
    /// The rows come against their order.
    pub(super) reversed: bool,
    pub(super) group_by: &'a [(Selector, CqlType)],
    /// A partition without rows but with a static row gives a row.
    pub(super) static_only_rows: bool,
}

/// Takes the rows of a read and gives the result's rows to the sink.
pub(super) struct Output<'a> {
    shape: Shape<'a>,
    filter: Filter<'a>,
    binding: &'a Binding<'a>,
    sink: &'a mut dyn RowSink,
    values: RowValues<'a>,
    rows_left: u64,
    per_partition: u64,
    partition_left: u64,
    page_left: u64,
    /// The present partition, and whether it has given a row.
    key: SmallVec<[u8; INLINE_KEY_BYTES]>,
    has_static: bool,
    rows_in_partition: u64,
    rows_read: u64,
    /// The last row that was given.
    last: Option<PagingState>,
    more: bool,
    done: bool,
    error: Option<CqlError>,
    /// The group that is being worked out.
    group: Option<Box<Group<'a>>>,
    sorted: Vec<SortedRow>,
}

/// A group: its key, its aggregates, and the values of its first row, which columns outside of
/// aggregates take.
struct Group<'a> {
    key: Vec<Option<Vec<u8>>>,
    states: Vec<Accumulator>,
    first: RowValues<'a>,
}

struct SortedRow {
    by: Vec<Option<Vec<u8>>>,
    values: Vec<Option<Vec<u8>>>,
}

impl<'a> Output<'a> {
    pub(super) fn new(
        shape: Shape<'a>,
        filter: Filter<'a>,
        binding: &'a Binding<'a>,
        sink: &'a mut dyn RowSink,
    ) -> Self {
        let values = RowValues::new(shape.table, &shape.selection.wanted);
        Self {
            shape,
            filter,
            binding,
            sink,
            values,
            rows_left: u64::MAX,
            per_partition: u64::MAX,
            partition_left: u64::MAX,
            page_left: u64::MAX,
            key: SmallVec::new(),
            has_static: false,
            rows_in_partition: 0,
            rows_read: 0,
            last: None,
            more: false,
            done: false,
            error: None,
            group: None,
            sorted: Vec::new(),
        }
    }

    pub(super) const fn with_limits(mut self, rows: u64, per_partition: u64, page: u64) -> Self {
        self.rows_left = rows;
        self.per_partition = per_partition;
        self.partition_left = per_partition;
        self.page_left = page;
        self
    }

    /// Goes on in the partition in which the page before ended.
    pub(super) fn resumed(mut self, state: Option<&PagingState>) -> Self {
        if let Some(state) = state.filter(|state| state.in_partition) {
            self.key = SmallVec::from_slice(&state.key);
            self.rows_in_partition = 1;
            self.partition_left = state.partition_rows_left;
        }
        self
    }

    /// Rows that were read, and the key of the partition that was read last.
    pub(super) fn rows_read(&self) -> (u64, &[u8]) {
        (self.rows_read, &self.key)
    }

    /// True once no further row is wanted.
    pub(super) const fn is_done(&self) -> bool {
        self.done
    }

    /// Rows that the present partition may still give. A group that is being worked out takes as many as there are.
    pub(super) const fn partition_rows_left(&self) -> u64 {
        if self.group.is_some() { u64::MAX } else { self.partition_left }
    }

    /// Ends the result. Returns where the next page begins, if there is one.
    pub(super) fn finish(mut self) -> Result<Option<PagingState>, CqlError> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        if !self.shape.selection.aggregates.is_empty() || !self.shape.group_by.is_empty() {
            if self.group.is_none() && self.shape.group_by.is_empty() {
                // No row at all: its first has no values.
                self.values = RowValues::new(self.shape.table, &self.shape.selection.wanted);
                self.group = Some(Box::new(self.new_group(Vec::new())));
            }
            self.end_group()?;
        }
        self.give_sorted();
        Ok(if self.more { self.last } else { None })
    }

    fn stop(&mut self) -> ControlFlow<()> {
        self.done = true;
        ControlFlow::Break(())
    }

    fn checked(&mut self, result: Result<ControlFlow<()>, CqlError>) -> ControlFlow<()> {
        match result {
            Ok(flow) => flow,
            Err(error) => {
                self.error = Some(error);
                self.stop()
            }
        }
    }

    /// Takes the row that `values` hold.
    fn take(&mut self, clustering: Option<&[u8]>) -> Result<ControlFlow<()>, CqlError> {
        if !self.filter.is_empty() && !self.filter.accepts(|column| self.values.value_of(column)) {
            return Ok(ControlFlow::Continue(()));
        }
        if !self.shape.selection.aggregates.is_empty() || !self.shape.group_by.is_empty() {
            self.rows_in_partition += 1;
            self.aggregate(clustering)?;
            return Ok(if self.done { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
        }
        if self.partition_left == 0 {
            return Ok(ControlFlow::Continue(()));
        }
        self.rows_in_partition += 1;
        if !self.shape.sort.is_empty() {
            self.partition_left -= 1;
            return self.keep_for_sorting();
        }
        if self.page_is_full() {
            self.more = true;
            return Ok(self.stop());
        }
        self.partition_left -= 1;
        self.page_left -= 1;
        self.rows_left -= 1;
        self.give()?;
        // Wanted only if the next row finds the page full.
        if self.page_is_full() {
            self.note_position(clustering);
        }
        Ok(if self.rows_left == 0 { self.stop() } else { ControlFlow::Continue(()) })
    }

    fn page_is_full(&self) -> bool {
        self.page_left == 0 || self.sink.bytes_written() >= MAX_PAGE_BYTES
    }

    fn note_position(&mut self, clustering: Option<&[u8]>) {
        let (in_partition, distinct) = (clustering.is_some(), self.shape.distinct);
        let last = self.last.get_or_insert_with(|| PagingState {
            key: Vec::new(),
            in_partition: false,
            clustering: None,
            rows_left: 0,
            partition_rows_left: 0,
        });
        last.key.clear();
        last.key.extend_from_slice(&self.key);
        last.in_partition = in_partition && !distinct;
        match (&mut last.clustering, clustering) {
            (Some(place), Some(clustering)) => {
                place.clear();
                place.extend_from_slice(clustering);
            }
            (place, clustering) => *place = clustering.map(<[u8]>::to_vec),
        }
        last.rows_left = self.rows_left;
        last.partition_rows_left = self.partition_left;
    }

    /// Gives the present row.
    fn give(&mut self) -> Result<(), CqlError> {
        if self.shape.selection.is_plain && !self.shape.json {
            for selector in &self.shape.selection.selectors {
                if let Selector::Column(index) = selector {
                    self.sink.value(self.values.value(*index));
                }
            }
            self.sink.end_row();
            return Ok(());
        }
        let row = self.selected(&self.values, &[])?;
        self.give_values(&row)
    }

    fn selected(
        &self,
        values: &RowValues<'_>,
        aggregates: &[Option<Vec<u8>>],
    ) -> Result<Vec<Option<Vec<u8>>>, CqlError> {
        let selectors = self.shape.selection.selectors.iter();
        selectors.map(|selector| selector.value(values, aggregates, self.binding)).collect()
    }

    fn give_values(&mut self, row: &[Option<Vec<u8>>]) -> Result<(), CqlError> {
        if self.shape.json {
            let json = self.json(row)?;
            self.sink.value(Some(json.as_bytes()));
        } else {
            row.iter().for_each(|value| self.sink.value(value.as_deref()));
        }
        self.sink.end_row();
        Ok(())
    }

    fn json(&self, row: &[Option<Vec<u8>>]) -> Result<String, CqlError> {
        let mut out = String::from("{");
        for (index, (column, value)) in self.shape.selection.columns.iter().zip(row).enumerate() {
            if index > 0 {
                out.push_str(", ");
            }
            let plain = !column.name.chars().any(char::is_uppercase);
            let name = if plain { column.name.to_string() } else { format!("\"{}\"", column.name) };
            write_json_string(&name, &mut out);
            out.push_str(": ");
            wire_to_json(&column.cql_type, value.as_deref(), &mut out)?;
        }
        out.push('}');
        Ok(out)
    }
}

impl RowVisitor for Output<'_> {
    fn partition(&mut self, key: KeyRef<'_>, static_row: Option<&LiveRow<'_>>) -> ControlFlow<()> {
        if self.done {
            return ControlFlow::Break(());
        }
        let entered = self.values.enter_partition(key, static_row);
        if let Err(error) = entered {
            self.error = Some(error);
            return self.stop();
        }
        self.has_static = static_row.is_some();
        // A partition that was shown before goes on: see `Processor::execute`.
        if *self.key != *key.bytes || self.rows_in_partition == 0 {
            self.key.clear();
            self.key.extend_from_slice(key.bytes);
            self.rows_in_partition = 0;
            self.partition_left = self.per_partition;
        }
        if self.shape.distinct {
            let entered = self.values.enter_row(None);
            let taken = entered.and_then(|()| self.take(None));
            return self.checked(taken);
        }
        ControlFlow::Continue(())
    }

    fn row(&mut self, clustering: &[u8], row: &LiveRow<'_>) -> ControlFlow<()> {
        self.rows_read += 1;
        if self.shape.distinct {
            return ControlFlow::Continue(());
        }
        let entered = self.values.enter_row(Some((clustering, row)));
        let taken = entered.and_then(|()| self.take(Some(clustering)));
        self.checked(taken)
    }

    fn partition_end(&mut self) -> ControlFlow<()> {
        if self.rows_in_partition > 0
            || !self.has_static
            || !self.shape.static_only_rows
            || self.shape.distinct
        {
            return ControlFlow::Continue(());
        }
        let entered = self.values.enter_row(None);
        let taken = entered.and_then(|()| self.take(None));
        self.checked(taken)
    }
}
