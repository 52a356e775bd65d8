//! Merges sources into new files, in steps: flushes and compactions alike.

use super::Split;
use super::shadow::Shadow;
use crate::error::Result;
use crate::mapping::Mapping;
use crate::purge::{Purge, PurgeRule};
use crate::scan::{Merged, MergedScan};
use crate::sstable::statistics::{Statistics, StoredColumn};
use crate::sstable::{SstableId, SstableWriter, WriterOptions};
use dodona_env::Env;
use dodona_types::row::RowView;
use dodona_types::token::TokenRange;
use dodona_types::{ClusteringSlice, Deletion, HiddenCells, KeyRef, PartitionKey, TableId};
use std::sync::Arc;
use uuid::Uuid;

/// What a job writes.
pub struct JobOutput {
    /// The table.
    pub table: TableId,
    /// Its columns.
    pub columns: Vec<StoredColumn>,
    /// Cells that are left out: those of columns from before their drops.
    pub dropped_cells: HiddenCells,
    /// How files are written.
    pub options: WriterOptions,
    /// Where files are split, between partitions.
    pub split: Split,
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
    /// Deletions of other files that take effect on what is written.
    shadow: Option<Shadow>,
    /// What the scan gives has columns of elsewhere.
    mapping: Option<Mapping>,
    /// Partitions elsewhere are left out.
    keep: Option<Arc<[TokenRange]>>,
    writer: Option<SstableWriter>,
    finished: Vec<SstableId>,
    in_partition: bool,
    /// The key of the partition that was begun last.
    key: Option<PartitionKey>,
    /// The present partition has something in the present file.
    begun: bool,
    /// A range deletion is open in the output.
    open: bool,
    written_before: u64,
    row: Vec<u8>,
    spare: Vec<u8>,
    /// The part of the ring that the present file is for.
    shard: u32,
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
            shadow: None,
            mapping: None,
            keep: None,
            writer: None,
            finished: Vec::new(),
            in_partition: false,
            key: None,
            begun: false,
            open: false,
            written_before: 0,
            row: Vec::new(),
            spare: Vec::new(),
            shard: 0,
        }
    }

    /// Lets deletions of other files take effect.
    #[must_use]
    pub fn with_shadow(mut self, shadow: Option<Shadow>) -> Self {
        self.shadow = shadow;
        self
    }

    /// Makes columns of elsewhere the table's. What is shadowed is not mapped.
    #[must_use]
    pub fn mapped(mut self, mapping: Mapping) -> Self {
        self.mapping = Some(mapping);
        self
    }

    /// Leaves partitions out that lie in none of these ranges.
    #[must_use]
    pub fn keeping(mut self, ranges: Arc<[TokenRange]>) -> Self {
        self.keep = Some(ranges);
        self
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
                if !self.is_kept() {
                    continue;
                }
                self.begin_partition()?;
            }
            self.in_partition = !self.copy_items(stop_at)?;
        }
        Ok(false)
    }

    fn is_kept(&self) -> bool {
        let (Some(keep), Some(key)) = (&self.keep, self.scan.key()) else { return true };
        keep.iter().any(|range| range.contains(key.token))
    }

    /// The partition's deletion, if it must be written.
    fn partition_deletion(&self, purge: &Purge<'_>) -> Deletion {
        let deletion = self.scan.deletion();
        let newer = self.shadow.as_ref().map_or(Deletion::NONE, Shadow::deletion);
        if newer.timestamp_micros > deletion.timestamp_micros {
            return Deletion::NONE;
        }
        purge.deletion(deletion)
    }

    fn begin_partition(&mut self) -> Result<()> {
        let Some(key) = self.scan.key().map(KeyRef::to_owned_key) else {
            return Ok(());
        };
        let shard = self.output.split.shard_of(key.token());
        let is_long = match self.output.split {
            Split::Bytes(bytes) => self.writer.as_ref().is_some_and(|writer| writer.written_bytes() >= bytes),
            Split::Never | Split::Shards(_) => false,
        };
        if is_long || shard != self.shard {
            self.end_file()?;
        }
        self.shard = shard;
        if let Some(shadow) = &mut self.shadow {
            shadow.partition(key.as_ref())?;
        }
        let purge = self.purge.of(key.as_ref());
        let deletion = self.partition_deletion(&purge);
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
        if let Some(row) = self.scan.static_row() {
            self.spare.clear();
            let (left, row) = match (&mut self.shadow, &self.mapping) {
                (None, None) => (true, row),
                (Some(shadow), _) => (shadow.static_row(row, &mut self.spare)?, self.spare.as_slice()),
                (None, Some(mapping)) => {
                    (mapping.row(&RowView::parse(row)?, &mut self.spare)?, self.spare.as_slice())
                }
            };
            if left && purge.row(&RowView::parse(row)?, &self.output.dropped_cells, &mut self.row)? {
                writer.begin()?.static_row(&self.row)?;
            }
        }
        let begun = writer.begun;
        self.key = Some(key);
        self.scan.seek_slice(&ClusteringSlice::all(), false)?;
        self.open = false;
        self.begun = begun;
        Ok(())
    }

    /// Copies rows and markers. True at the end of the partition.
    fn copy_items(&mut self, stop_at: u64) -> Result<bool> {
        let Some(key) = self.key.clone() else {
            return Ok(true);
        };
        let purge = self.purge.of(key.as_ref());
        let deletion = self.partition_deletion(&purge);
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
                    self.spare.clear();
                    let (left, row) = match (&mut self.shadow, &self.mapping) {
                        (None, None) => (true, row),
                        (Some(shadow), _) => {
                            (shadow.row(clustering, row, &mut self.spare)?, self.spare.as_slice())
                        }
                        (None, Some(mapping)) => {
                            (mapping.row(&RowView::parse(row)?, &mut self.spare)?, self.spare.as_slice())
                        }
                    };
                    if left && purge.row(&RowView::parse(row)?, &self.output.dropped_cells, &mut self.row)? {
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
    key: &'a PartitionKey,
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
                let mut statistics =
                    Statistics::new(self.output.table, self.output.columns.clone(), self.output.host);
                statistics.origin.log_intervals.clone_from(&self.output.log_intervals);
                statistics.summary.covered_tokens = self.output.split.covered_tokens();
                let options = self.output.options.clone();
                self.job.insert(SstableWriter::create(self.env, options, statistics)?)
            }
        };
        if !self.begun {
            self.begun = true;
            writer.partition(self.key.as_ref(), self.deletion)?;
        }
        Ok(writer)
    }
}
