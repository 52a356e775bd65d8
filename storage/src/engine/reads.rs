//! Reads: rows shown where they lie, pages, and what replicas answer.

use super::Engine;
use crate::error::{Result, StorageError};
use crate::metrics::{Operation, Reading as Timing};
use crate::page::{Page, PageBuilder};
use crate::read::{self, Read};
use crate::reconcile::answer::Found;
use crate::reconcile::digest::DIGEST_BYTES;
use crate::reconcile::{self, DigestRules, Hashed, Reading};
use crate::repair_state::Part;
use crate::sstable::reader::Access;
use crate::table::{TableSettings, TableStore};
use crate::tombstones::TombstoneRules;
use dodona_types::RowVisitor;
use dodona_types::read_command::{PartitionSelection, RangeBound, ReadCommand};

/// What a read met.
struct Met {
    rows: u64,
    tombstones: u64,
    files: Option<u32>,
}

impl Met {
    const fn of_read(read: &Read) -> Self {
        Self { rows: read.rows, tombstones: read.tombstones, files: read.files_read }
    }

    const fn of_answer(found: &Found) -> Self {
        Self { rows: found.rows, tombstones: found.tombstones, files: found.files_read }
    }
}

const fn operation_of(command: &ReadCommand) -> Operation {
    match command.partitions {
        PartitionSelection::Key(_) => Operation::Read,
        PartitionSelection::Range(_) => Operation::Scan,
    }
}

impl Engine {
    /// Reads from memory, the operating system's included, and shows the rows where they lie.
    ///
    /// # Errors
    /// [`StorageError::NeedsDisk`] if that does not do: forget what was
    /// shown, and use [`Self::read_page`] where it may block. Else a file is damaged, the table not known, or
    /// there are too many tombstones.
    pub fn try_read(&self, command: &ReadCommand, visitor: &mut dyn RowVisitor) -> Result<Read> {
        let tables = self.tables.load();
        let store = tables.get(&command.table).ok_or(StorageError::NoSuchTable(command.table))?;
        let rules = self.tombstone_rules(&store.settings.load(), command);
        let reading = self.begin_read(store, command, Access::Memory);
        let read = read::read(&store.view.load(), command, Access::Memory, rules, visitor);
        self.noted(store, command, reading, read, Met::of_read)
    }

    /// Reads a page of at most about `max_bytes`. Waits for the disk.
    ///
    /// # Errors
    /// A file is damaged or cannot be read, the table is not known, or there are too many tombstones.
    pub fn read_page(&self, command: &ReadCommand, max_bytes: usize) -> Result<Page> {
        self.read_page_counted(command, max_bytes).map(|(page, _)| page)
    }

    /// As [`Self::read_page`], with the files that the read looked into (see [`Read::files_read`]).
    ///
    /// # Errors
    /// As [`Self::read_page`].
    pub fn read_page_counted(&self, command: &ReadCommand, max_bytes: usize) -> Result<(Page, Option<u32>)> {
        let store = self.store(command.table)?;
        let rules = self.tombstone_rules(&store.settings.load(), command);
        let view = store.view.load_full();
        let mut page = PageBuilder::new(max_bytes);
        let reading = self.begin_read(&store, command, Access::Disk);
        let read = read::read(&view, command, Access::Disk, rules, &mut page);
        let read = self.noted(&store, command, reading, read, Met::of_read)?;
        Ok((page.finish(read.tombstones), read.files_read))
    }

    /// Reads what a coordinator that asks several replicas merges: see [`crate::reconcile::answer`].
    /// Stops once it has about `max_bytes`.
    ///
    /// # Errors
    /// A file is damaged or cannot be read, the table is not known, or there are too many tombstones.
    pub fn read_answer(&self, command: &ReadCommand, max_bytes: usize) -> Result<Vec<u8>> {
        self.answer(command, max_bytes, true, Access::Disk).map(|found| found.answer)
    }

    /// As [`Self::read_answer`], with any number of tombstones, for those who bring data to other nodes: of a part of
    /// the table.
    ///
    /// # Errors
    /// A file is damaged or cannot be read, the table is not known, or the part is that of a repair that has ended.
    pub fn read_all(&self, command: &ReadCommand, max_bytes: usize, part: Part) -> Result<Vec<u8>> {
        let store = self.store(command.table)?;
        let rules = self.digest_rules(&store, command);
        let reading = Reading { max_bytes, ..Reading::unbounded(rules) };
        let view = self.view_of(&store, part)?;
        reconcile::read_answer(&view, command, reading).map(|found| found.answer)
    }

    /// The digest of what [`Self::read_answer`] gives.
    ///
    /// # Errors
    /// A file is damaged or cannot be read, the table is not known, or there are too many tombstones.
    pub fn read_digest(&self, command: &ReadCommand, max_bytes: usize) -> Result<[u8; DIGEST_BYTES]> {
        self.answer(command, max_bytes, false, Access::Disk).map(|found| found.digest.finish())
    }

    /// As [`Self::read_answer`] or, without `with_data`, [`Self::read_digest`], of what is in memory and
    /// short.
    ///
    /// # Errors
    /// [`StorageError::NeedsDisk`] if that does not do: use those two where
    /// they may block.
    pub fn try_read_answer(
        &self,
        command: &ReadCommand,
        max_bytes: usize,
        with_data: bool,
    ) -> Result<(Vec<u8>, [u8; DIGEST_BYTES])> {
        let found = self.answer(command, max_bytes, with_data, Access::Memory)?;
        Ok((found.answer, found.digest.finish()))
    }

    fn answer(
        &self,
        command: &ReadCommand,
        max_bytes: usize,
        with_data: bool,
        access: Access,
    ) -> Result<Found> {
        let store = self.store(command.table)?;
        let rules = self.digest_rules(&store, command);
        let tombstones = self.tombstone_rules(&store.settings.load(), command);
        let view = store.view.load_full();
        let timing = self.begin_read(&store, command, access);
        let reading = Reading { rules, tombstones, max_bytes, with_data, access };
        let found = reconcile::read_answer(&view, command, reading);
        self.noted(&store, command, timing, found, Met::of_answer)
    }

    /// Shows a digest of each partition that a range command reads, until about `budget_bytes` were read:
    /// see [`crate::reconcile::hashes`]. Of a part of the table.
    ///
    /// # Errors
    /// A file is damaged or cannot be read, the table is not known, or the part is that of a repair that has ended.
    pub fn hash_partitions(
        &self,
        command: &ReadCommand,
        budget_bytes: usize,
        part: Part,
        each: &mut dyn FnMut(Hashed),
    ) -> Result<Option<RangeBound>> {
        let store = self.store(command.table)?;
        let rules = self.digest_rules(&store, command);
        let view = self.view_of(&store, part)?;
        reconcile::hash_partitions(&view, command, rules, budget_bytes, each)
    }

    #[inline]
    fn begin_read(&self, store: &TableStore, command: &ReadCommand, access: Access) -> Timing {
        let clock = &*self.env.clock;
        match access {
            Access::Memory => {
                Timing::Sampled(store.metrics(clock).operations.begin(operation_of(command), clock))
            }
            _ => Timing::Timed(clock.mono()),
        }
    }

    /// Notes how a read of a client went.
    #[inline]
    fn noted<T>(
        &self,
        store: &TableStore,
        command: &ReadCommand,
        timing: Timing,
        read: Result<T>,
        met: impl Fn(&T) -> Met,
    ) -> Result<T> {
        match &read {
            Ok(read) => {
                let Met { rows, tombstones, files } = met(read);
                store.files_per_read.note(files);
                let clock = &*self.env.clock;
                store.metrics(clock).end_read(operation_of(command), clock, timing, rows, tombstones);
            }
            Err(StorageError::TooManyTombstones { at_most }) => {
                let table = &store.settings.load().name;
                tracing::warn!(table, at_most, "a read met too many tombstones and was given up");
            }
            Err(_) => {}
        }
        read
    }

    pub(super) fn digest_rules(&self, store: &TableStore, command: &ReadCommand) -> DigestRules {
        DigestRules {
            ignores_deletions: self.env.mutants.has("digest-ignores-deletions"),
            ignores_values: self.env.mutants.has("digest-ignores-values"),
            ..DigestRules::new(command.now_seconds, store.settings.load().gc_grace_seconds)
        }
    }

    fn tombstone_rules(&self, table: &TableSettings, command: &ReadCommand) -> TombstoneRules {
        let now_seconds = command.now_seconds;
        TombstoneRules {
            at_most: if table.limits_tombstones {
                self.settings.tombstone_failure_threshold
            } else {
                u64::MAX
            },
            purged_before_seconds: now_seconds.saturating_sub(i64::from(table.gc_grace_seconds)),
            now_seconds,
        }
    }
}
