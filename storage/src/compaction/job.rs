//! Merges sources into new files, in steps: flushes and compactions alike.

use crate::error::Result;
use crate::purge::Purge;
use crate::scan::{Merged, MergedScan};
use crate::sstable::statistics::{Statistics, StoredColumn};
use crate::sstable::{SstableId, SstableWriter, WriterOptions};
use dodona_env::Env;
use dodona_types::row::RowView;
use dodona_types::{ClusteringSlice, Deletion, KeyRef, TableId};
use uuid::Uuid;

/// What may be purged of a partition.
pub type PurgeRule = Box<dyn Fn(KeyRef<'_>) -> Purge + Send>;

/// What a job writes.
pub struct JobOutput {
    /// The table.
    pub table: TableId,
    /// Its columns.
    pub columns: Vec<StoredColumn>,
    /// How files are written.
    pub options: WriterOptions,
    /// Files are split between partitions when they grow past this.
    pub target_bytes: u64,
    /// The node.
    pub host: Uuid,
    /// The parts of the commit log that the files cover.
    pub log_intervals: Vec<std::ops::Range<u64>>,
}

/// A merge that is under way.
pub struct MergeJob {
    env: Env,
    scan: MergedScan,
    output: JobOutput,
    purge: PurgeRule,
    writer: Option<SstableWriter>,
    finished: Vec<SstableId>,
    in_partition: bool,
    /// The present partition has something in the present file.
    begun: bool,
    /// A range deletion is open in the output.
    open: bool,
    written_before: u64,
    row: Vec<u8>,
}

impl MergeJob {
    /// A merge of what `scan` gives.
    #[must_use]
    pub const fn new(env: Env, scan: MergedScan, output: JobOutput, purge: PurgeRule) -> Self {
        Self {
            env,
            scan,
            output,
            purge,
            writer: None,
            finished: Vec::new(),
            in_partition: false,
            begun: false,
            open: false,
            written_before: 0,
            row: Vec::new(),
        }
    }

    /// Bytes written so far.
    #[must_use]
    pub fn written_bytes(&self) -> u64 {
        self.written_before + self.writer.as_ref().map_or(0, SstableWriter::written_bytes)
    }

    /// Goes on until about `budget_bytes` more are written. True once everything is.
    ///
    /// # Errors
    /// A file could not be read or written.
    pub fn step(&mut self, budget_bytes: u64) -> Result<bool> {
        let stop_at = self.written_bytes().saturating_add(budget_bytes);
        let mut partitions = 0;
        while self.written_bytes() < stop_at && partitions < 100_000 {
            if !self.in_partition {
                if !self.scan.next_partition()? {
                    self.end_file()?;
                    return Ok(true);
                }
                partitions += 1;
                self.begin_partition()?;
            }
            self.in_partition = !self.copy_items(stop_at)?;
        }
        Ok(false)
    }

    fn purge_of_partition(&self) -> Purge {
        self.scan.key().map_or(Purge::NOTHING, |key| (self.purge)(key.as_ref()))
    }

    fn begin_partition(&mut self) -> Result<()> {
        if self.writer.as_ref().is_some_and(|writer| writer.written_bytes() >= self.output.target_bytes) {
            self.end_file()?;
        }
        let purge = self.purge_of_partition();
        let Some(key) = self.scan.key().cloned() else {
            return Ok(());
        };
        let deletion = purge.deletion(self.scan.deletion());
        let mut writer = PartitionWriter {
            job: &mut self.writer,
            env: &self.env,
            output: &self.output,
            key: &key,
            deletion,
            begun: false,
        };
        if !deletion.is_none() {
            writer.begin()?;
        }
        self.row.clear();
        if let Some(row) = self.scan.static_row()
            && purge.row(&RowView::parse(row)?, &mut self.row)?
        {
            writer.begin()?.static_row(&self.row)?;
        }
        let begun = writer.begun;
        self.scan.seek_slice(&ClusteringSlice::all(), false)?;
        self.open = false;
        self.begun = begun;
        Ok(())
    }

    /// Copies rows and markers. True at the end of the partition.
    fn copy_items(&mut self, stop_at: u64) -> Result<bool> {
        let purge = self.purge_of_partition();
        let Some(key) = self.scan.key().cloned() else {
            return Ok(true);
        };
        let deletion = purge.deletion(self.scan.deletion());
        let mut writer = PartitionWriter {
            job: &mut self.writer,
            env: &self.env,
            output: &self.output,
            key: &key,
            deletion,
            begun: self.begun,
        };
        loop {
            if writer.written_bytes() + self.written_before >= stop_at {
                self.begun = writer.begun;
                return Ok(false);
            }
            match self.scan.next_item()? {
                None => return Ok(true),
                Some(Merged::Row(clustering, row)) => {
                    self.row.clear();
                    if purge.row(&RowView::parse(row)?, &mut self.row)? {
                        writer.begin()?.row(clustering, &self.row)?;
                    }
                }
                Some(Merged::Marker(position, open)) => {
                    let open = purge.deletion(open);
                    if !open.is_none() || self.open {
                        writer.begin()?.marker(position, open)?;
                    }
                    self.open = !open.is_none();
                }
            }
        }
    }

    fn end_file(&mut self) -> Result<()> {
        if let Some(writer) = self.writer.take() {
            self.written_before += writer.written_bytes();
            self.finished.extend(writer.finish()?);
        }
        Ok(())
    }

    /// The files written, once [`Self::step`] has returned true.
    #[must_use]
    pub fn into_outputs(self) -> Vec<SstableId> {
        self.finished
    }

    /// Gives up. Returns the finished files, to be removed.
    pub fn abandon(mut self) -> Vec<SstableId> {
        if let Some(writer) = self.writer.take() {
            writer.abandon();
        }
        self.finished
    }
}

/// Begins a partition in the output only once there is something to write of it.
struct PartitionWriter<'a> {
    job: &'a mut Option<SstableWriter>,
    env: &'a Env,
    output: &'a JobOutput,
    key: &'a dodona_types::PartitionKey,
    deletion: Deletion,
    begun: bool,
}

impl PartitionWriter<'_> {
    fn written_bytes(&self) -> u64 {
        self.job.as_ref().map_or(0, SstableWriter::written_bytes)
    }

    fn begin(&mut self) -> Result<&mut SstableWriter> {
        let writer = match self.job {
            Some(writer) => writer,
            None => {
                let id = SstableId(self.env.random.uuid_v7(self.env.clock.wall_micros()));
                let mut statistics =
                    Statistics::new(self.output.table, self.output.columns.clone(), self.output.host);
                statistics.log_intervals.clone_from(&self.output.log_intervals);
                let options = self.output.options.clone();
                let disk = std::sync::Arc::clone(&self.env.disk);
                self.job.insert(SstableWriter::create(
                    disk,
                    self.env.mutants.clone(),
                    id,
                    options,
                    statistics,
                )?)
            }
        };
        if !self.begun {
            self.begun = true;
            writer.partition(self.key.as_ref(), self.deletion)?;
        }
        Ok(writer)
    }
}
