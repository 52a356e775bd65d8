//! The answers of several replicas to one command, merged; and what each of them lacks.

use super::answer::{Answer, Part, Reading, read_answer};
use super::digest::DigestRules;
use super::position::{nearer, up_to};
use crate::error::Result;
use crate::memtable::Memtable;
use crate::read;
use crate::sstable::reader::Access;
use crate::table::TableView;
use crate::tombstones::TombstoneRules;
use dodona_types::codec::DecodeError;
use dodona_types::merge::shadow_row;
use dodona_types::mutation::Fragment;
use dodona_types::read_command::{PartitionSelection, ReadCommand, ReadLimits};
use dodona_types::row::RowView;
use dodona_types::{ClusteringSlice, Deletion, MutationBuilder, MutationView, PartitionKey, RowVisitor};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A mutation that brings a replica what it lacks ends once it has so many bytes; another follows.
const REPAIR_BYTES: usize = 1 << 20;

/// A partition of merged answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedPart {
    /// Its key.
    pub key: PartitionKey,
    /// How far every answer goes in it, in the direction of the read; none if all have everything.
    pub covered: Option<Vec<u8>>,
}

/// Answers to one command as one.
pub struct MergedAnswers {
    view: TableView,
    /// The partitions that every answer has come to, in order.
    pub parts: Vec<MergedPart>,
    /// Nothing is said of the partitions behind the last one.
    pub stops: bool,
    /// The most tombstones that a replica met.
    pub tombstones: u64,
}

fn view_of<'a>(parts: impl Iterator<Item = &'a Part<'a>>) -> Result<TableView> {
    let merged = Memtable::new(1, u64::MAX, Duration::ZERO);
    for part in parts {
        merged.apply(&part.mutation)?;
    }
    Ok(TableView::new(Arc::new(merged), Vec::new(), BTreeMap::new()))
}

/// The command, of one partition as far as answers go in it, without limits.
fn within(command: &ReadCommand, part: &MergedPart) -> ReadCommand {
    let clustering = match &part.covered {
        None => command.clustering.clone(),
        Some(position) => up_to(&command.clustering, position, command.reversed),
    };
    let partitions = PartitionSelection::Key(part.key.clone());
    ReadCommand { partitions, clustering, limits: ReadLimits::NONE, ..command.clone() }
}

impl MergedAnswers {
    /// Merges answers to `command`.
    ///
    /// # Errors
    /// A row is malformed.
    pub fn new(command: &ReadCommand, answers: &[Answer<'_>]) -> Result<Self> {
        let view = view_of(answers.iter().flat_map(|answer| &answer.parts))?;
        let mut parts: BTreeMap<PartitionKey, Option<Vec<u8>>> = BTreeMap::new();
        if let PartitionSelection::Key(key) = &command.partitions {
            parts.insert(key.clone(), None);
        }
        for part in answers.iter().flat_map(|answer| &answer.parts) {
            let present = parts.entry(part.mutation.key.to_owned_key()).or_default();
            if let Some(covered) = part.covered {
                let nearest = present.as_deref().map_or(covered, |at| nearer(at, covered, command.reversed));
                *present = Some(nearest.to_vec());
            }
        }
        let last = |answer: &Answer<'_>| answer.parts.last().map(|part| part.mutation.key.to_owned_key());
        let stop = answers.iter().filter(|answer| answer.stops).filter_map(last).min();
        if let Some(stop) = &stop {
            parts.retain(|key, _| key <= stop);
        }
        let parts = parts.into_iter().map(|(key, covered)| MergedPart { key, covered }).collect();
        let tombstones = answers.iter().map(|answer| answer.tombstones).max().unwrap_or(0);
        Ok(Self { view, parts, stops: stop.is_some(), tombstones })
    }

    /// Shows the live rows of one of the parts, as far as every answer goes in it.
    ///
    /// # Errors
    /// A row is malformed.
    pub fn show(
        &self,
        command: &ReadCommand,
        part: &MergedPart,
        rows: u64,
        visitor: &mut dyn RowVisitor,
    ) -> Result<()> {
        let limits = ReadLimits { rows, per_partition: rows };
        let command = ReadCommand { limits, ..within(command, part) };
        read::read(&self.view, &command, Access::Disk, TombstoneRules::ANY, visitor).map(drop)
    }

    /// What the replica that gave `answer` lacks, as far as every answer goes: mutations to bring it.
    ///
    /// # Errors
    /// A row is malformed.
    pub fn lacking(&self, command: &ReadCommand, answer: &Answer<'_>) -> Result<Vec<Vec<u8>>> {
        let theirs = view_of(answer.parts.iter())?;
        let mut out = Vec::new();
        for part in &self.parts {
            let command = within(command, part);
            let all = restated(&self.view, &command)?;
            let theirs = restated(&theirs, &command)?;
            let (all, theirs) = (Answer::parse(&all)?, Answer::parse(&theirs)?);
            if let Some(all) = all.parts.first() {
                let theirs = theirs.parts.first().map(|part| &part.mutation);
                difference(&all.mutation, theirs, &mut out)?;
            }
        }
        Ok(out)
    }
}

fn restated(view: &TableView, command: &ReadCommand) -> Result<Vec<u8>> {
    let rules = DigestRules::new(command.now_seconds, 0);
    read_answer(view, command, Reading::unbounded(rules)).map(|found| found.answer)
}

/// What a mutation says, to be looked up.
#[derive(Default)]
struct Content<'a> {
    deletion: Option<Deletion>,
    static_row: Option<&'a [u8]>,
    rows: BTreeMap<&'a [u8], &'a [u8]>,
    /// By where they begin and end.
    ranges: BTreeMap<(&'a [u8], &'a [u8]), Deletion>,
}

impl<'a> Content<'a> {
    fn of(mutation: &MutationView<'a>) -> Result<Self> {
        let mut content = Self::default();
        for fragment in mutation.fragments() {
            match fragment? {
                Fragment::PartitionDeletion(deletion) => content.deletion = Some(deletion),
                Fragment::StaticRow(row) => content.static_row = Some(row),
                Fragment::Row(clustering, row) => drop(content.rows.insert(clustering, row)),
                Fragment::RangeDeletion(start, end, deletion) => {
                    _ = content.ranges.insert((start, end), deletion);
                }
            }
        }
        Ok(content)
    }

    fn has(&self, fragment: &Fragment<'_>) -> Result<bool> {
        Ok(match fragment {
            Fragment::PartitionDeletion(deletion) => self.deletion == Some(*deletion),
            Fragment::RangeDeletion(start, end, deletion) => {
                self.ranges.get(&(*start, *end)) == Some(deletion)
            }
            Fragment::StaticRow(row) => self.static_row.map_or(Ok(false), |own| say_the_same(own, row))?,
            Fragment::Row(clustering, row) => {
                self.rows.get(clustering).map_or(Ok(false), |own| say_the_same(own, row))?
            }
        })
    }
}

/// True if two rows differ in nothing but how they are written down.
fn say_the_same(a: &[u8], b: &[u8]) -> Result<bool, DecodeError> {
    if a == b {
        return Ok(true);
    }
    let (mut first, mut second) = (Vec::new(), Vec::new());
    shadow_row(&RowView::parse(a)?, Deletion::NONE, &mut first)?;
    shadow_row(&RowView::parse(b)?, Deletion::NONE, &mut second)?;
    let (a, b) = (RowView::parse(&first)?, RowView::parse(&second)?);
    Ok(a.header == b.header && a.items().eq(b.items()))
}

fn difference(
    all: &MutationView<'_>,
    theirs: Option<&MutationView<'_>>,
    out: &mut Vec<Vec<u8>>,
) -> Result<()> {
    let theirs = theirs.map_or_else(|| Ok(Content::default()), Content::of)?;
    let mut builder = MutationBuilder::new();
    builder.begin(all.table, all.epoch, all.key.bytes);
    let mut bytes = 0;
    for fragment in all.fragments() {
        let fragment = fragment?;
        if theirs.has(&fragment)? {
            continue;
        }
        match fragment {
            Fragment::PartitionDeletion(deletion) => builder.partition_deletion(deletion),
            Fragment::StaticRow(row) => builder.encoded_row(None, row),
            Fragment::Row(clustering, row) => {
                builder.encoded_row(Some(clustering), row);
                bytes += clustering.len() + row.len();
            }
            Fragment::RangeDeletion(start, end, deletion) => {
                let slice = ClusteringSlice { start: start.to_vec(), end: end.to_vec() };
                builder.range_deletion(&slice, deletion);
                bytes += start.len() + end.len() + 16;
            }
        }
        if bytes >= REPAIR_BYTES {
            bytes = 0;
            out.push(builder.view().bytes().to_vec());
            builder.begin(all.table, all.epoch, all.key.bytes);
        }
    }
    if !builder.is_empty() {
        out.push(builder.view().bytes().to_vec());
    }
    Ok(())
}
