//! The steps of a history. A history is plain data: it can be printed, cut shorter and run again.

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// For ever.
    Live(u8),
    /// For so many seconds.
    For(u8, u32),
    /// Not at all: a tombstone.
    Delete,
}

/// A change within a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Cells of a row, or of the static row without a clustering key.
    Row {
        /// The row.
        row: Option<u8>,
        /// Its marker, if one is written: for so many seconds, or for ever with 0.
        marker: Option<u32>,
        /// The column of many cells is emptied before.
        empty_map: bool,
        /// Column or element of the column of many cells, and what is written to it.
        cells: Vec<(Place, Put)>,
    },
    /// A row is deleted.
    DeleteRow(u8),
    /// Rows from one to before another are deleted.
    DeleteRange(u8, u8),
    /// The partition is deleted.
    DeletePartition,
}

/// Where a value is: a column of one cell, or an element of the column of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A column of one cell.
    Column(u8),
    /// An element.
    Element(u8),
}

/// When a write claims to have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Behind everything before.
    Now,
    /// At the time of the latest.
    Same,
    /// So much earlier, as hints and repair bring writes.
    Earlier(i64),
}

/// Changes to one partition, at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The partition.
    pub partition: u8,
    /// When it claims to have happened.
    pub when: When,
    /// The changes.
    pub changes: Vec<Change>,
}

/// What a read asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// One partition, or all.
    pub partition: Option<u8>,
    /// Rows by name.
    pub names: Vec<u8>,
    /// Slices, if no names are given; all rows without any.
    pub slices: Vec<(u8, u8)>,
    /// From the last row to the first.
    pub reversed: bool,
    /// At most so many rows in all, and in each partition; 0 for no limit.
    pub limits: (u8, u8),
    /// So many rows a page; 0 for all at once. Only of one partition.
    pub page_rows: u8,
}

impl Query {
    /// Everything of a partition, or of all of them.
    #[must_use]
    pub const fn all(partition: Option<u8>, reversed: bool) -> Self {
        Self { partition, names: Vec::new(), slices: Vec::new(), reversed, limits: (0, 0), page_rows: 0 }
    }
}

/// How a life of the engine ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The process is killed: the operating system keeps what it has.
    Kill,
    /// The power is cut; the number says what is lost.
    PowerCut(u64),
}

/// A compaction strategy, sized for a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrategyKind {
    /// Size-tiered.
    SizeTiered,
    /// Leveled.
    Leveled,
    /// Time-window.
    TimeWindow,
    /// Unified, with this scaling parameter.
    Unified(i32),
}

/// What is set of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSetup {
    /// The strategy.
    pub strategy: StrategyKind,
    /// Seconds that tombstones are kept.
    pub gc_grace_seconds: u32,
    /// Blocks are compressed.
    pub compressed: bool,
    /// Deletions of other files take effect in compactions: rows', or (`true`) cells' as well.
    pub overlapping: Option<bool>,
    /// Tombstones of what is not repaired stay.
    pub only_purge_repaired: bool,
    /// There is no column of many cells: a row can say all by itself.
    pub plain: bool,
    /// Files say what columns are called.
    pub named: bool,
}

/// A step of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Writes of one record of the commit log.
    Write(Vec<Write>),
    /// A read, compared with the model.
    Read(Query),
    /// Everything is read and compared.
    ReadAll,
    /// Seconds pass.
    Pass(u32),
    /// The commit log is synced.
    SyncLog,
    /// The commit log's upkeep.
    TendLog,
    /// The table is flushed.
    Flush,
    /// One piece of the work that is due.
    Maintain,
    /// A compaction that is due is begun.
    BeginCompaction,
    /// The compaction of this number, of those under way, goes on, to its end if `true`.
    StepCompaction(u8, bool),
    /// The compaction of this number is given up.
    AbandonCompaction(u8),
    /// All files are merged.
    CompactAll,
    /// Files are rewritten without what deletions in others cover; `true` for cells as well.
    CollectGarbage(bool),
    /// What lies between the tokens of two partitions is set aside for a repair.
    BeginRepair(u8, u8),
    /// The repair ends, with what was set aside repaired if `true`.
    EndRepair(bool),
    /// The table is emptied.
    Truncate,
    /// A snapshot is taken.
    Snapshot(u8),
    /// The table's settings change.
    Alter(TableSetup),
    /// A column is dropped, and added again: the one of this number, or the one of many cells.
    DropColumn(u8),
    /// The table is dropped, and another created.
    Recreate,
    /// So many bytes can still be written; `None` for as many as one likes.
    LimitSpace(Option<u32>),
    /// A sync fails behind so many that succeed.
    FailSync(u8),
    /// A bit of a file flips and is read; afterwards it flips back.
    Rot(u64),
    /// A bit of a file flips for good, and the table is scrubbed; afterwards it is emptied.
    Scrub(u64),
    /// A bit of a file flips between two lives: the start heals what it reads of files.
    RotAtRest(u64),
    /// The engine ends and starts again.
    Restart(End),
    /// Segments of the commit log that have ended are archived.
    Archive,
    /// The whole log is archived and restored elsewhere, as a whole and up to so long before the latest write.
    RestoreLog(u8),
    /// What was backed up is restored elsewhere.
    RestoreBackups,
    /// Files of another table are imported, whose columns have other numbers.
    Import(Vec<Write>),
}

/// What a history begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// 0 for batch, 1 for group, 2 for periodic.
    pub sync_mode: u8,
    /// The table.
    pub table: TableSetup,
    /// Bytes of memtables.
    pub memtable_bytes: u32,
    /// Bytes of a segment of the commit log.
    pub segment_bytes: u32,
    /// Writes note themselves in the table itself as well: what is left of a write that was refused
    /// can then be told. Without, whole files can expire.
    pub inner_journal: bool,
    /// The log is archived, files are backed up, and files of other tables come.
    pub elsewhere: bool,
}

/// A history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// What it begins with.
    pub setup: Setup,
    /// The steps.
    pub steps: Vec<Step>,
}
