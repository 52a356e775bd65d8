//! An SSTable as a source of partitions, rows and markers.

use super::block::{Block, BlockCursor};
use super::format::{self, BlockHandle, KIND_CLUSTERED, KIND_PARTITION, KIND_STATIC, VALUE_MARKER};
use super::reader::{Access, IndexEntry, Sstable};
use crate::error::Result;
use crate::item::Item;
use dodona_types::codec::{DecodeError, Reader};
use dodona_types::read_command::RangeBound;
use dodona_types::{ClusteringSlice, Deletion, KeyRef, Token};
use std::ops::Range;
use std::sync::Arc;

/// Entries of a partition that are walked over before its end is looked up in the index.
const SKIP_ENTRIES: usize = 16;

/// Walks over the entries of a file.
struct Entries {
    table: Arc<Sstable>,
    access: Access,
    /// Which index block is loaded.
    top: usize,
    index: Option<Arc<Block>>,
    index_cursor: BlockCursor,
    data: Option<Arc<Block>>,
    data_at: BlockHandle,
    data_open: Deletion,
    cursor: BlockCursor,
}

impl Entries {
    fn malformed(&self, error: &DecodeError) -> crate::error::StorageError {
        self.table.malformed(self.data_at.offset, error)
    }

    fn load_index(&mut self, top: usize) -> Result<()> {
        if self.index.is_none() || self.top != top {
            self.index = Some(self.table.block(self.table.top_index(self.access)?[top].1, self.access)?);
            self.top = top;
        }
        Ok(())
    }

    /// Loads the data block that the index cursor stands on.
    fn load_data(&mut self) -> Result<()> {
        let Some(index) = &self.index else { return Ok(()) };
        let here = self.table.top_index(self.access)?[self.top].1.offset;
        let entry = IndexEntry::parse(index.value(self.index_cursor.value_range()))
            .map_err(|error| self.table.malformed(here, &error))?;
        if self.data.is_none() || self.data_at != entry.handle {
            self.data = Some(self.table.block(entry.handle, self.access)?);
            self.data_at = entry.handle;
            self.data_open = entry.open;
        }
        Ok(())
    }

    /// Loads the last block whose first key is before `target`, or at it if `inclusive`. False if
    /// there is none.
    fn load_block(&mut self, target: &[u8], inclusive: bool) -> Result<bool> {
        let tops = self.table.top_index(self.access)?;
        let behind = tops.partition_point(|(key, _)| &**key < target || (inclusive && &**key == target));
        let Some(top) = behind.checked_sub(1) else {
            return Ok(false);
        };
        self.load_index(top)?;
        if let Some(index) = &self.index {
            let seek = self.index_cursor.seek_last(index, target, inclusive);
            seek.map_err(|error| self.malformed(&error))?;
        }
        self.load_data()?;
        Ok(true)
    }

    fn load_first_block(&mut self) -> Result<()> {
        self.load_index(0)?;
        if let Some(index) = &self.index {
            let seek = self.index_cursor.seek_first(index);
            seek.map_err(|error| self.malformed(&error))?;
        }
        self.load_data()
    }

    /// Moves to the first entry at or behind `target`.
    fn seek(&mut self, target: &[u8]) -> Result<()> {
        if !self.load_block(target, true)? {
            self.load_first_block()?;
        }
        self.with_data(|cursor, data| cursor.seek(data, target))?;
        self.skip_to_entry()
    }

    fn with_data(
        &mut self,
        step: impl FnOnce(&mut BlockCursor, &Block) -> Result<(), DecodeError>,
    ) -> Result<()> {
        let Some(data) = &self.data else { return Ok(()) };
        let result = step(&mut self.cursor, data);
        result.map_err(|error| self.malformed(&error))
    }

    fn advance(&mut self) -> Result<()> {
        self.with_data(|cursor, data| cursor.advance(data))?;
        self.skip_to_entry()
    }

    /// Goes on to the next block if the present one is at its end.
    fn skip_to_entry(&mut self) -> Result<()> {
        while self.cursor.key().is_none() {
            let Some(index) = &self.index else { return Ok(()) };
            let step = self.index_cursor.advance(index);
            step.map_err(|error| self.malformed(&error))?;
            if self.index_cursor.key().is_none() {
                if self.top + 1 >= self.table.top_index(self.access)?.len() {
                    return Ok(());
                }
                self.load_index(self.top + 1)?;
                if let Some(index) = &self.index {
                    let seek = self.index_cursor.seek_first(index);
                    seek.map_err(|error| self.table.malformed(0, &error))?;
                }
            }
            self.load_data()?;
            self.with_data(|cursor, data| cursor.seek_first(data))?;
        }
        Ok(())
    }

    fn value(&self) -> &[u8] {
        self.data.as_ref().map_or(&[], |data| data.value(self.cursor.value_range()))
    }
}

/// Entries of one block, to be taken from the last to the first.
#[derive(Default)]
struct Backward {
    keys: Vec<u8>,
    /// The end of each key in `keys`, its value's range, and for markers the deletions.
    entries: Vec<(usize, Range<usize>)>,
    /// The first key of the block the entries come from.
    block_first_key: Vec<u8>,
    exhausted: bool,
}

/// One SSTable as a source.
pub struct SstableSource {
    entries: Entries,
    token: Token,
    raw_key: Vec<u8>,
    on_partition: bool,
    /// The kind byte of the present entry, if it belongs to the present partition. Not kept up to date while a slice is
    /// looked for, or read backward.
    kind: Option<u8>,
    /// The part of entry keys that the partition's entries share.
    prefix: Vec<u8>,
    deletion: Deletion,
    static_row: Option<(Arc<Block>, Range<usize>)>,
    open: Deletion,
    /// The slice is all of the partition, read forward; it has no start and end then.
    whole: bool,
    /// The slice's start and end as entry keys.
    start: Vec<u8>,
    end: Vec<u8>,
    /// No slice was asked for yet, and the cursor stands on the partition's first clustered entry.
    fresh: bool,
    reversed: bool,
    backward: Backward,
}

impl SstableSource {
    /// A source that stands nowhere yet.
    #[must_use]
    pub fn new(table: Arc<Sstable>, access: Access) -> Self {
        Self {
            entries: Entries {
                table,
                access,
                top: 0,
                index: None,
                index_cursor: BlockCursor::default(),
                data: None,
                data_at: BlockHandle::default(),
                data_open: Deletion::NONE,
                cursor: BlockCursor::default(),
            },
            token: Token::MIN,
            raw_key: Vec::new(),
            on_partition: false,
            kind: None,
            prefix: Vec::new(),
            deletion: Deletion::NONE,
            static_row: None,
            open: Deletion::NONE,
            whole: false,
            start: Vec::new(),
            end: Vec::new(),
            fresh: false,
            reversed: false,
            backward: Backward::default(),
        }
    }

    pub(crate) fn seek(&mut self, bound: &RangeBound) -> Result<()> {
        let mut target = Vec::new();
        match bound {
            RangeBound::Unbounded => {}
            RangeBound::Token(token, true) => target.extend_from_slice(&token.to_ordered_bytes()),
            RangeBound::Token(Token::MAX, false) => target.resize(10, 0xff),
            RangeBound::Token(token, false) => {
                target.extend_from_slice(&Token(token.0 + 1).to_ordered_bytes());
            }
            RangeBound::Key(key, inclusive) => {
                format::put_partition_prefix(&mut target, key.as_ref());
                if !inclusive {
                    target.push(KIND_CLUSTERED + 1);
                }
            }
        }
        self.entries.seek(&target)?;
        self.enter_partition()
    }

    /// Moves onto one partition. False if the file does not have it.
    ///
    /// # Errors
    /// The file could not be read.
    pub fn seek_exact(&mut self, key: KeyRef<'_>) -> Result<bool> {
        let mut target = Vec::with_capacity(key.bytes.len() + 16);
        format::put_partition_prefix(&mut target, key);
        self.entries.seek(&target)?;
        if !self.entries.cursor.key().is_some_and(|entry| entry.starts_with(&target)) {
            self.on_partition = false;
            return Ok(false);
        }
        self.enter_partition()?;
        Ok(true)
    }

    /// Reads the head of the partition that the cursor stands on.
    fn enter_partition(&mut self) -> Result<()> {
        self.deletion = Deletion::NONE;
        self.static_row = None;
        self.on_partition = false;
        let Some(key) = self.entries.cursor.key() else {
            return Ok(());
        };
        let length = format::partition_prefix_bytes(key).map_err(|error| self.entries.malformed(&error))?;
        self.prefix.clear();
        self.prefix.extend_from_slice(&key[..length]);
        let ordinal = self.prefix.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        self.token = Token::from_ordinal(ordinal);
        self.raw_key.clear();
        format::put_raw_partition_key(&mut self.raw_key, &self.prefix);
        self.on_partition = true;
        self.kind = key_kind(&self.entries, length);
        if self.kind == Some(KIND_PARTITION) {
            let deletion = format::deletion(&mut Reader::new(self.entries.value()));
            self.deletion = deletion.map_err(|error| self.entries.malformed(&error))?;
            self.next_entry()?;
        }
        if self.kind == Some(KIND_STATIC) {
            let range = self.entries.cursor.value_range();
            self.static_row = self.entries.data.clone().map(|block| (block, range));
            self.next_entry()?;
        }
        self.fresh = true;
        self.reversed = false;
        Ok(())
    }

    /// The kind byte of the present entry, if it belongs to the present partition.
    fn look_up_kind(&self) -> Option<u8> {
        self.entries.cursor.key()?.strip_prefix(self.prefix.as_slice())?.first().copied()
    }

    /// Goes on to the next entry.
    fn next_entry(&mut self) -> Result<()> {
        self.entries.advance()?;
        let shared = self.entries.cursor.shared();
        // Keys share as much as they can, but for those at a restart.
        self.kind =
            if shared > self.prefix.len() && self.kind.is_some() && self.entries.cursor.key().is_some() {
                self.kind
            } else if shared > 0 && shared < self.prefix.len() {
                None
            } else {
                self.look_up_kind()
            };
        Ok(())
    }

    pub(crate) fn key(&self) -> Option<KeyRef<'_>> {
        self.on_partition.then_some(KeyRef { token: self.token, bytes: &self.raw_key })
    }

    pub(crate) const fn deletion(&self) -> Deletion {
        self.deletion
    }

    pub(crate) fn static_row(&self) -> Option<&[u8]> {
        self.static_row.as_ref().map(|(block, range)| block.value(range.clone()))
    }

    pub(crate) const fn open(&self) -> Deletion {
        self.open
    }

    pub(crate) fn seek_slice(&mut self, slice: &ClusteringSlice, reversed: bool) -> Result<()> {
        self.whole = self.fresh && !reversed && slice.is_all();
        if self.whole {
            self.fresh = false;
            self.open = Deletion::NONE;
            return Ok(());
        }
        for (out, bound) in [(&mut self.start, &slice.start), (&mut self.end, &slice.end)] {
            out.clear();
            out.extend_from_slice(&self.prefix);
            out.push(KIND_CLUSTERED);
            out.extend_from_slice(bound);
        }
        self.reversed = reversed;
        self.open = Deletion::NONE;
        let has_markers = self.entries.table.summary().markers > 0;
        if reversed {
            self.fresh = false;
            self.backward.exhausted = false;
            let end = self.end.clone();
            return self.load_backward(&end, has_markers);
        }
        if !(self.fresh && slice.start.is_empty()) {
            let start = std::mem::take(&mut self.start);
            self.entries.seek(&start)?;
            if has_markers {
                self.open = self.open_before(&start)?;
                self.entries.seek(&start)?;
            }
            self.start = start;
            self.kind = self.look_up_kind();
        }
        self.fresh = false;
        Ok(())
    }

    /// The range deletion in force just before `target`, an entry key of the partition.
    fn open_before(&mut self, target: &[u8]) -> Result<Deletion> {
        if !self.entries.load_block(target, false)? {
            return Ok(Deletion::NONE);
        }
        self.entries.with_data(|cursor, data| cursor.seek_first(data))?;
        let mut open = match self.look_up_kind() {
            Some(KIND_CLUSTERED) => self.entries.data_open,
            _ => Deletion::NONE,
        };
        while self.entries.cursor.key().is_some_and(|key| key < target) {
            if self.look_up_kind() == Some(KIND_CLUSTERED)
                && let Item::Marker { behind, .. } = parse_item(&[], self.entries.value())
            {
                open = behind;
            }
            self.entries.with_data(|cursor, data| cursor.advance(data))?;
        }
        Ok(open)
    }

    /// Collects the entries before `end` of the block that holds the last of them.
    fn load_backward(&mut self, end: &[u8], find_open: bool) -> Result<()> {
        if find_open {
            self.open = self.open_before(end)?;
        }
        self.backward.entries.clear();
        self.backward.keys.clear();
        if !self.entries.load_block(end, false)? {
            self.backward.exhausted = true;
            return Ok(());
        }
        self.entries.with_data(|cursor, data| cursor.seek_first(data))?;
        self.backward.block_first_key.clear();
        self.backward.block_first_key.extend_from_slice(self.entries.cursor.key().unwrap_or_default());
        let start = self.start.clone();
        self.entries.with_data(|cursor, data| cursor.seek(data, &start))?;
        while let Some(key) = self.entries.cursor.key().filter(|key| *key < end) {
            self.backward.keys.extend_from_slice(key);
            self.backward.entries.push((self.backward.keys.len(), self.entries.cursor.value_range()));
            self.entries.with_data(|cursor, data| cursor.advance(data))?;
        }
        self.backward.exhausted = self.backward.block_first_key <= self.start;
        Ok(())
    }

    /// True if the entry with this key, on which the walk forward stands, is in the slice.
    fn is_in_slice(&self, key: &[u8]) -> bool {
        if self.whole { self.kind == Some(KIND_CLUSTERED) } else { key < self.end.as_slice() }
    }

    /// True if it stands on a row, false if on a marker; `None` if nothing is left in the slice.
    pub(crate) fn is_on_row(&self) -> Option<bool> {
        if self.reversed || !self.on_partition {
            return self.item().map(|item| matches!(item, Item::Row(..)));
        }
        let is_in = self.entries.cursor.key().is_some_and(|key| self.is_in_slice(key));
        is_in.then(|| self.entries.value().first() != Some(&VALUE_MARKER))
    }

    /// The row that [`Self::is_on_row`] has just found it to stand on.
    #[inline]
    pub(crate) fn row(&self) -> (&[u8], &[u8]) {
        if self.reversed {
            return match self.item() {
                Some(Item::Row(clustering, row)) => (clustering, row),
                _ => (&[], &[]),
            };
        }
        let key = self.entries.cursor.key().unwrap_or_default();
        let clustering = key.get(self.prefix.len() + 1..).unwrap_or_default();
        (clustering, self.entries.value().get(1..).unwrap_or_default())
    }

    pub(crate) fn item(&self) -> Option<Item<'_>> {
        if !self.on_partition {
            return None;
        }
        let head = self.prefix.len() + 1;
        let (key, value) = if self.reversed {
            let (key_end, value) = self.backward.entries.last()?;
            let key_start =
                self.backward.entries.len().checked_sub(2).map_or(0, |index| self.backward.entries[index].0);
            (&self.backward.keys[key_start..*key_end], self.entries.data.as_ref()?.value(value.clone()))
        } else {
            (self.entries.cursor.key().filter(|key| self.is_in_slice(key))?, self.entries.value())
        };
        Some(parse_item(key.get(head..)?, value))
    }

    pub(crate) fn advance(&mut self) -> Result<()> {
        if !self.reversed {
            return self.next_entry();
        }
        if let Some((_, _)) = self.backward.entries.pop() {
            let end = self.backward.entries.last().map_or(0, |(end, _)| *end);
            self.backward.keys.truncate(end);
        }
        while self.backward.entries.is_empty() && !self.backward.exhausted {
            let end = std::mem::take(&mut self.backward.block_first_key);
            self.load_backward(&end, false)?;
        }
        Ok(())
    }

    pub(crate) fn next_partition(&mut self) -> Result<()> {
        if self.reversed {
            return self.seek_behind_partition();
        }
        for _ in 0..SKIP_ENTRIES {
            if self.kind.is_none() {
                return self.enter_partition();
            }
            self.next_entry()?;
        }
        self.seek_behind_partition()
    }

    fn seek_behind_partition(&mut self) -> Result<()> {
        let mut target = self.prefix.clone();
        target.push(KIND_CLUSTERED + 1);
        self.entries.seek(&target)?;
        self.enter_partition()
    }
}

/// The kind byte of the entry that a walk stands on, whose partition's part is so long.
fn key_kind(entries: &Entries, prefix_bytes: usize) -> Option<u8> {
    entries.cursor.key()?.get(prefix_bytes).copied()
}

/// The row or marker in a value. One that follows neither form is shown as a row without bytes,
/// which no reader takes for a row: it fails when it is parsed.
fn parse_item<'a>(clustering: &'a [u8], value: &'a [u8]) -> Item<'a> {
    let marker = |bytes| {
        let mut reader = Reader::new(bytes);
        let before = format::deletion(&mut reader)?;
        Ok::<_, DecodeError>(Item::Marker {
            position: clustering,
            before,
            behind: format::deletion(&mut reader)?,
        })
    };
    match value.split_first() {
        Some((&VALUE_MARKER, rest)) => marker(rest).unwrap_or(Item::Row(clustering, &[])),
        Some((_, row)) => Item::Row(clustering, row),
        None => Item::Row(clustering, &[]),
    }
}
