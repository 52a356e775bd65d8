//! RESULT of kind Rows, written row by row into the output buffer.

use std::ops::Range;

use bytes::BufMut;
use dodona_types::RowSink;

use super::EncodedMetadata;
use super::metadata::{count, flag};
use super::result::kind;
use crate::envelope_writer::EnvelopeWriter;
use crate::primitives::{put_bytes_opt, put_int, put_short_bytes};
use crate::version::Version;

/// How the metadata of a page is sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct RowsOptions<'a> {
    /// Leave the columns out, as the client asked. Ignored if `new_metadata_id` is there.
    pub skip_metadata: bool,
    /// The metadata is not what the client said it has: send it, with this id. Ignored before
    /// version 5.
    pub new_metadata_id: Option<&'a [u8]>,
}

/// A page of rows being written. Dropped before [`finish`](Self::finish), for instance because
/// reading failed midway, it leaves the output buffer as it was: an error can take its place.
#[derive(Debug)]
#[must_use = "a page that is not finished is taken back"]
pub struct RowsWriter<'b> {
    envelope: EnvelopeWriter<'b>,
    /// Where the flags stand, from the start of the buffer.
    flags_at: usize,
    /// Where the number of rows stands, from the start of the buffer.
    row_count_at: usize,
    row_count: i32,
    values_in_row: usize,
    column_count: usize,
}

/// Length of the flags and of the number of columns, after which a paging state goes.
const FLAGS_AND_COUNT_BYTES: usize = 8;
const INT_BYTES: usize = 4;

impl<'b> RowsWriter<'b> {
    /// Begins a page in an envelope whose extras have been written.
    #[inline]
    pub(super) fn begin(
        mut envelope: EnvelopeWriter<'b>,
        version: Version,
        metadata: &EncodedMetadata,
        options: &RowsOptions<'_>,
    ) -> Self {
        let new_id = if version >= Version::V5 { options.new_metadata_id } else { None };
        let skip = options.skip_metadata && new_id.is_none();
        let mut flags = if skip { flag::NO_METADATA } else { metadata.flags };
        if new_id.is_some() {
            flags |= flag::METADATA_CHANGED;
        }
        let out = envelope.body();
        put_int(out, kind::ROWS);
        let flags_at = out.len();
        put_int(out, flags);
        put_int(out, count(metadata.column_count));
        if let Some(id) = new_id {
            put_short_bytes(out, id);
        }
        if !skip {
            out.put_slice(metadata.columns(version));
        }
        let row_count_at = out.len();
        put_int(out, 0);
        Self {
            envelope,
            flags_at,
            row_count_at,
            row_count: 0,
            values_in_row: 0,
            column_count: metadata.column_count,
        }
    }

    /// How many rows have ended.
    #[must_use]
    pub const fn row_count(&self) -> usize {
        self.row_count as usize
    }

    /// Ends the page. With a paging state, it is not the last one.
    #[inline]
    pub fn finish(mut self, paging_state: Option<&[u8]>) {
        debug_assert_eq!(self.values_in_row, 0, "the last row has not ended");
        let row_count = self.row_count;
        self.patch_int(self.row_count_at, row_count);
        if let Some(state) = paging_state {
            self.insert_paging_state(state);
        }
        self.envelope.finish();
    }

    /// Moves everything after the number of columns back to make room: a copy within the page,
    /// which costs less than what the rows cost.
    fn insert_paging_state(&mut self, state: &[u8]) {
        let flags_at = self.flags_at;
        let out = self.envelope.body();
        let (start, end) = (flags_at + FLAGS_AND_COUNT_BYTES, out.len());
        let room = INT_BYTES + state.len();
        out.put_bytes(0, room);
        out.copy_within(start..end, start + room);
        out[start..start + INT_BYTES].copy_from_slice(&count(state.len()).to_be_bytes());
        out[start + INT_BYTES..start + room].copy_from_slice(state);
        let flags = &mut out[int_at(flags_at)];
        // The flag is in the last byte of the big-endian number.
        flags[INT_BYTES - 1] |= flag::HAS_MORE_PAGES as u8;
    }

    fn patch_int(&mut self, at: usize, number: i32) {
        self.envelope.body()[int_at(at)].copy_from_slice(&number.to_be_bytes());
    }
}

const fn int_at(at: usize) -> Range<usize> {
    at..at + INT_BYTES
}

impl RowSink for RowsWriter<'_> {
    #[inline]
    fn value(&mut self, value: Option<&[u8]>) {
        self.values_in_row += 1;
        put_bytes_opt(self.envelope.body(), value);
    }

    #[inline]
    fn value_parts(&mut self, parts: &[&[u8]]) {
        self.values_in_row += 1;
        let out = self.envelope.body();
        put_int(out, count(parts.iter().map(|part| part.len()).sum()));
        for part in parts {
            out.put_slice(part);
        }
    }

    #[inline]
    fn end_row(&mut self) {
        debug_assert_eq!(self.values_in_row, self.column_count, "a value for each column");
        self.values_in_row = 0;
        self.row_count += 1;
    }

    #[inline]
    fn bytes_written(&self) -> usize {
        self.envelope.end() - self.row_count_at - INT_BYTES
    }
}
