//! Live rows, encoded: what a read leaves when it cannot show its rows where they lie, because it
//! ran on another thread or another node.
//!
//! ```text
//! page  := entry*
//! entry := 1, token i64 LE, key length varint, key, static row length + 1 varint (0 for none), static row
//!        | 2, clustering length varint, clustering, row length varint, row
//!        | 3                                               the partition's end
//! ```

use crate::error::Result;
use dodona_types::codec::{Reader, put_length_prefixed, put_varint};
use dodona_types::row::RowView;
use dodona_types::{HiddenCells, KeyRef, LiveRow, RowVisitor, Token};
use std::ops::{ControlFlow, Range};

const PARTITION: u8 = 1;
const ROW: u8 = 2;
const PARTITION_END: u8 = 3;

/// Collects the rows of a read, up to a number of bytes.
#[derive(Debug)]
pub struct PageBuilder {
    bytes: Vec<u8>,
    max_bytes: usize,
    /// Where the key of the last partition lies.
    key: Range<usize>,
    /// Where the clustering of its last row does, if it had one.
    clustering: Option<Range<usize>>,
    full: bool,
    in_partition: bool,
}

impl PageBuilder {
    /// An empty page that takes no more rows once it has `max_bytes`.
    #[must_use]
    pub const fn new(max_bytes: usize) -> Self {
        Self { bytes: Vec::new(), max_bytes, key: 0..0, clustering: None, full: false, in_partition: false }
    }

    /// The page, and the tombstones that were met.
    #[must_use]
    pub fn finish(self, tombstones: u64) -> Page {
        let position = self.full.then(|| PagePosition {
            key: self.bytes[self.key].to_vec(),
            clustering: self.clustering.map(|range| self.bytes[range].to_vec()),
            in_partition: self.in_partition,
        });
        Page { bytes: self.bytes, stopped_at: position, tombstones }
    }

    /// Bytes that it still takes.
    #[must_use]
    pub const fn bytes_left(&self) -> usize {
        self.max_bytes.saturating_sub(self.bytes.len())
    }

    fn flow(&mut self) -> ControlFlow<()> {
        if self.bytes.len() >= self.max_bytes {
            self.full = true;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

impl RowVisitor for PageBuilder {
    fn partition(&mut self, key: KeyRef<'_>, static_row: Option<&LiveRow<'_>>) -> ControlFlow<()> {
        self.bytes.push(PARTITION);
        self.bytes.extend_from_slice(&key.token.0.to_le_bytes());
        put_length_prefixed(&mut self.bytes, key.bytes);
        self.key = self.bytes.len() - key.bytes.len()..self.bytes.len();
        match static_row {
            None => put_varint(&mut self.bytes, 0),
            Some(row) => {
                let row = row.encoded();
                put_varint(&mut self.bytes, row.len() as u64 + 1);
                self.bytes.extend_from_slice(&row);
            }
        }
        self.clustering = None;
        self.in_partition = true;
        ControlFlow::Continue(())
    }

    fn row(&mut self, clustering: &[u8], row: &LiveRow<'_>) -> ControlFlow<()> {
        self.bytes.push(ROW);
        put_length_prefixed(&mut self.bytes, clustering);
        self.clustering = Some(self.bytes.len() - clustering.len()..self.bytes.len());
        put_length_prefixed(&mut self.bytes, &row.encoded());
        self.flow()
    }

    fn partition_end(&mut self) -> ControlFlow<()> {
        self.bytes.push(PARTITION_END);
        self.in_partition = false;
        self.flow()
    }
}

/// Where a page stopped because it was full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PagePosition {
    /// The last partition's raw key.
    pub key: Vec<u8>,
    /// The last row's comparable clustering bytes, if a row was taken.
    pub clustering: Option<Vec<u8>>,
    /// True if the partition may have more rows.
    pub in_partition: bool,
}

/// Encoded live rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The entries.
    pub bytes: Vec<u8>,
    /// Where it stopped, if there may be more.
    pub stopped_at: Option<PagePosition>,
    /// Tombstones that the read of it met.
    pub tombstones: u64,
}

impl Page {
    /// Shows the rows to a visitor. Breaks if the visitor does.
    ///
    /// # Errors
    /// The page is malformed.
    pub fn show(&self, now_seconds: i64, visitor: &mut dyn RowVisitor) -> Result<ControlFlow<()>> {
        let mut reader = Reader::new(&self.bytes);
        // What is hidden was left out.
        let hidden = &HiddenCells::NONE;
        while !reader.is_empty() {
            let flow = match reader.u8()? {
                PARTITION => {
                    let token = Token(reader.i64()?);
                    let key = KeyRef { token, bytes: reader.length_prefixed()? };
                    let static_row = match reader.varint()? {
                        0 => None,
                        length => {
                            let bytes = reader.bytes(usize::try_from(length - 1).unwrap_or(usize::MAX))?;
                            Some(LiveRow { row: RowView::parse(bytes)?, now_seconds, hidden })
                        }
                    };
                    visitor.partition(key, static_row.as_ref())
                }
                ROW => {
                    let clustering = reader.length_prefixed()?;
                    let row = RowView::parse(reader.length_prefixed()?)?;
                    visitor.row(clustering, &LiveRow { row, now_seconds, hidden })
                }
                PARTITION_END => visitor.partition_end(),
                _ => return Err(reader.error("kind of a page entry").into()),
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
