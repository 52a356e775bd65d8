//! What a table held at one moment, for a node that fetches ranges of it: files that hold nothing else go as they are, the
//! rest row by row.
//!
//! Both are of the same moment. A compaction between the two could purge a tombstone of the rest together with what it
//! hides, which has gone in a file already, and would be back where that arrives.

use super::Engine;
use super::cleanup::{Share, lies_within, share_of};
use crate::error::{Result, StorageError};
use crate::reconcile::{self, Reading};
use crate::repair_state::{Part, RepairState};
use crate::sstable::format::BlockHandle;
use crate::sstable::{Sstable, SstableId};
use crate::table::{TableStore, TableView};
use dodona_types::TableId;
use dodona_types::read_command::ReadCommand;
use dodona_types::token::TokenRange;
use std::sync::Arc;

/// Files go as they are as long as the others that hold something of the ranges are not longer by more than this.
const MOST_OTHERS: u64 = 4;

/// A file that goes as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WholeFile {
    /// The file.
    pub id: SstableId,
    /// Its length in bytes.
    pub bytes: u64,
    /// The second at which the repair began that it is repaired by; none if it is not.
    pub repaired_at: Option<i64>,
}

/// What a table held at one moment. Its files stay as long as this does.
pub struct Pinned {
    store: Arc<TableStore>,
    whole: Vec<(Arc<Sstable>, RepairState)>,
    /// Everything else.
    rest: TableView,
}

impl Pinned {
    /// The table.
    #[must_use]
    pub fn table(&self) -> TableId {
        self.store.settings.load().id
    }

    /// The files that go as they are.
    pub fn files(&self) -> impl ExactSizeIterator<Item = WholeFile> {
        self.whole.iter().map(|(file, state)| WholeFile {
            id: file.id(),
            bytes: file.file_bytes(),
            repaired_at: state.repaired_at(),
        })
    }

    /// The earliest second at which a repair began that something of the rest counts as repaired by.
    #[must_use]
    pub fn repaired_since(&self) -> Option<i64> {
        self.rest.repaired_since()
    }

    /// Bytes of a file that goes as it is, not checked. Waits for the disk.
    ///
    /// # Errors
    /// There is no such file, it is not so long, or it cannot be read.
    pub fn read_file(&self, file: SstableId, offset: u64, length: u32) -> Result<Vec<u8>> {
        let known = self.whole.iter().find(|(known, _)| known.id() == file);
        let sstable = known.map(|(sstable, _)| sstable).filter(|sstable| {
            offset.checked_add(u64::from(length)).is_some_and(|end| end <= sstable.file_bytes())
        });
        let no_such = || StorageError::Refused(format!("no {length} bytes at {offset} of a file {}", file.0));
        sstable.ok_or_else(no_such)?.file()?.read(BlockHandle { offset, length })
    }
}

impl Engine {
    /// Holds on to what a table has of ranges, which are disjoint and in order (the first may wrap), and brings what is
    /// in memory to files. Files of `least_bytes` go as they are if they hold nothing else; none of them does if that is
    /// little beside the other files. Waits for the disk.
    ///
    /// # Errors
    /// A file could not be read or written, or the engine does not know the table.
    pub fn pin(&self, table: TableId, ranges: &[TokenRange], least_bytes: u64) -> Result<Pinned> {
        let store = self.store(table)?;
        let meets = |file: &&Arc<Sstable>| share_of(ranges, file.summary().tokens()) != Share::None;
        let there = {
            let view = store.view.load();
            let in_memory: usize = view.memtables().map(|memtable| memtable.bytes()).sum();
            view.sstables.iter().filter(meets).map(|file| file.file_bytes()).sum::<u64>() + in_memory as u64
        };
        if there >= least_bytes && !store.settings.load().volatile {
            self.flush(table)?;
        }
        let mut rest = TableView::clone(&store.view.load());
        let (mut whole, mut others) = (Vec::new(), 0);
        for file in rest.sstables.iter().filter(meets) {
            if file.file_bytes() >= least_bytes && lies_within(file, ranges)? {
                let state = rest.repair_of(file.id());
                whole.push((Arc::clone(file), state));
            } else {
                others += file.file_bytes();
            }
        }
        if whole.iter().map(|(file, _)| file.file_bytes()).sum::<u64>() * MOST_OTHERS < others {
            whole.clear();
        }
        let is_whole = |id: SstableId| whole.iter().any(|(file, _)| file.id() == id);
        rest.sstables.retain(|file| !is_whole(file.id()));
        rest.repairs.retain(|id, _| !is_whole(*id));
        Ok(Pinned { store, whole, rest })
    }

    /// As [`Self::read_all`], of a part of what does not go in files.
    ///
    /// # Errors
    /// A file is damaged or cannot be read.
    pub fn read_rest(
        &self,
        pinned: &Pinned,
        command: &ReadCommand,
        max_bytes: usize,
        part: Part,
    ) -> Result<Vec<u8>> {
        let reading = Reading { max_bytes, ..Reading::unbounded(self.digest_rules(&pinned.store, command)) };
        let seen = self.part_of(&pinned.rest, part);
        reconcile::read_answer(&seen, command, reading).map(|found| found.answer)
    }
}
