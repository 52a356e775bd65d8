//! Reads over partitions: the ring's ranges one after another, or several at a time, each from its
//! own replicas.

use super::Coordinator;
use super::asking::Want;
use super::latency::Latencies;
use super::plan::{Plan, Planner};
use super::tracing_notes::note_read;
use crate::error::ClusterError;
use crate::placement::Placement;
use crate::replica::MAX_ANSWER_BYTES;
use crate::trace::note;
use dodona_storage::Page;
use dodona_storage::reconcile::Assembly;
use dodona_types::read_command::{PartitionRange, PartitionSelection, RangeBound, ReadCommand};
use dodona_types::{Consistency, Token};
use futures_util::future::join_all;

/// Ranges that are read at the same time, at most.
const MAX_CONCURRENCY: usize = 32;

/// A part of the range that is read, and who is asked for it.
struct Stretch {
    range: PartitionRange,
    plan: Plan,
}

/// The parts of a range that have replicas of their own, in the order of the ring, each worked out
/// when its turn comes. Neighbours with the same replicas are one.
struct Stretches<'a> {
    planner: Planner<'a>,
    latencies: &'a Latencies,
    command: &'a ReadCommand,
    range: &'a PartitionRange,
    consistency: Consistency,
    /// Ends of the ring's ranges, and the end before the first of them.
    ends: std::vec::IntoIter<Token>,
    before: Option<Token>,
    /// Where the part begins that the last one was found not to hold.
    ahead: Option<(PartitionRange, Result<Plan, ClusterError>)>,
}

impl Stretches<'_> {
    /// The next part of the range between two tokens of the ring.
    fn part(&mut self) -> Option<(PartitionRange, Result<Plan, ClusterError>)> {
        if let Some(ahead) = self.ahead.take() {
            return Some(ahead);
        }
        loop {
            let end = self.ends.next()?;
            let start = self.before.replace(end);
            if let Some(part) = part_of(self.range, start, end) {
                let plan = self.planner.read(self.command.table, end, self.consistency, self.latencies);
                return Some((part, plan));
            }
        }
    }

    fn stretch(&mut self) -> Result<Option<Stretch>, ClusterError> {
        let Some((mut range, plan)) = self.part() else { return Ok(None) };
        let plan = plan?;
        while let Some((part, next)) = self.part() {
            match next {
                Ok(next) if same_replicas(&plan, &next) => range.end = part.end,
                // Too few may be alive of what comes: that is told when it comes.
                next => {
                    self.ahead = Some((part, next));
                    break;
                }
            }
        }
        Ok(Some(Stretch { range, plan }))
    }

    /// As many of the next parts as there are, at most `count`. An error stands behind those that
    /// can be read before it.
    fn some(&mut self, count: usize) -> Result<Vec<Stretch>, ClusterError> {
        let mut stretches = Vec::new();
        while stretches.len() < count {
            if !stretches.is_empty() && matches!(self.ahead, Some((_, Err(_)))) {
                break;
            }
            match self.stretch()? {
                Some(stretch) => stretches.push(stretch),
                None => break,
            }
        }
        Ok(stretches)
    }
}

impl Coordinator {
    /// Reads a page of a range of partitions.
    pub(super) async fn read_range(
        &self,
        placement: &Placement,
        command: ReadCommand,
        consistency: Consistency,
        max_bytes: usize,
    ) -> Result<Page, ClusterError> {
        let PartitionSelection::Range(range) = &command.partitions else {
            return Err(ClusterError::Invalid("a range of partitions is needed".into()));
        };
        let mut stretches = self.stretches(placement, &command, range, consistency);
        let mut next = stretches.some(1)?;
        if let Some(stretch) = next.first() {
            note_read(&stretch.plan, &command);
        }
        if let ([Stretch { plan, .. }], None) = (next.as_slice(), &stretches.ahead)
            && plan.block_for == 1
            && plan.replicas.first().is_some_and(|target| target.local)
        {
            let only_local = plan.only_local();
            let read = self.read_here(command.clone(), max_bytes).await;
            if read.is_ok() || only_local {
                return read;
            }
        }
        let table = self.tables.get(&placement.schema, command.table)?;
        let mut assembly = Assembly::new(command.limits, command.now_seconds, max_bytes);
        let mut done = 0;
        while !next.is_empty() {
            let mut of_stretch = command.clone();
            of_stretch.limits.rows = assembly.rows_left();
            let bytes = assembly.bytes_left();
            note(|| format!("Reading {} parts of the ring at once", next.len()));
            let rounds = next.iter().map(|stretch| {
                let partitions = PartitionSelection::Range(stretch.range.clone());
                let command = ReadCommand { partitions, ..of_stretch.clone() };
                let table = &table;
                async move {
                    let read = self.read_round(&stretch.plan, table, &command, bytes, Want::Data).await;
                    read.map(|answers| (command, answers))
                }
            });
            let rounds = join_all(rounds).await;
            for (stretch, round) in next.iter().zip(rounds) {
                let (command, answers) = round?;
                assembly.begin(command.clone());
                assembly.take(&command, &answers)?;
                self.fill(&mut assembly, &stretch.plan, &table, Want::Data).await?;
                if assembly.is_complete() {
                    return Ok(assembly.finish());
                }
            }
            done += next.len();
            if self.env.mutants.has("range-read-skips-a-range") {
                drop(stretches.some(1)?);
            }
            let left = assembly.rows_left();
            let rows = Come { so_far: command.limits.rows.saturating_sub(left), left };
            let left = assembly.bytes_left();
            let so_far = max_bytes.saturating_sub(left) as u64;
            let bytes = Come { so_far, left: left.min(MAX_ANSWER_BYTES) as u64 };
            next = stretches.some(concurrency(rows, bytes, done))?;
        }
        Ok(assembly.finish())
    }

    fn stretches<'a>(
        &'a self,
        placement: &'a Placement,
        command: &'a ReadCommand,
        range: &'a PartitionRange,
        consistency: Consistency,
    ) -> Stretches<'a> {
        Stretches {
            planner: self.planner(placement),
            latencies: &self.latencies,
            command,
            range,
            consistency,
            ends: ends_of(placement).into_iter(),
            before: None,
            ahead: None,
        }
    }
}

/// Where the ring's ranges end, in order.
fn ends_of(placement: &Placement) -> Vec<Token> {
    let mut ends: Vec<Token> = placement.ring.ends().collect();
    // What lies behind the last token belongs to the owner of the first range.
    ends.push(Token::MAX);
    ends.dedup();
    ends
}

/// The parts of a range between two tokens of the ring, each with a token of its replicas.
pub(super) fn parts_of(placement: &Placement, range: &PartitionRange) -> Vec<(PartitionRange, Token)> {
    let mut before = None;
    let part = |end| part_of(range, before.replace(end), end).map(|part| (part, end));
    ends_of(placement).into_iter().filter_map(part).collect()
}

fn same_replicas(a: &Plan, b: &Plan) -> bool {
    a.replicas.len() == b.replicas.len() && a.replicas.iter().all(|target| b.replicas.contains(target))
}

/// What of a range lies behind `start` (none: from the beginning) and at or before `end`.
fn part_of(range: &PartitionRange, start: Option<Token>, end: Token) -> Option<PartitionRange> {
    let begins = match (&range.start, start) {
        (RangeBound::Unbounded, None) => RangeBound::Unbounded,
        (RangeBound::Unbounded, Some(start)) => RangeBound::Token(start, false),
        (bound, start) => {
            let (token, is_behind) = token_of(bound, false)?;
            if token > end || (token == end && is_behind) {
                return None;
            }
            match start {
                Some(start) if token <= start => RangeBound::Token(start, false),
                _ => bound.clone(),
            }
        }
    };
    let ends = match &range.end {
        RangeBound::Unbounded => RangeBound::Token(end, true),
        bound => {
            let (token, is_before) = token_of(bound, true)?;
            if start.is_some_and(|start| token <= start) {
                return None;
            }
            if token > end || (token == end && is_before) {
                RangeBound::Token(end, true)
            } else {
                bound.clone()
            }
        }
    };
    let ends =
        if end == Token::MAX && range.end == RangeBound::Unbounded { RangeBound::Unbounded } else { ends };
    Some(PartitionRange { start: begins, end: ends })
}

/// A bound's token, and whether the bound takes in, of that token's partitions, none (a start) or all
/// (an end).
fn token_of(bound: &RangeBound, is_end: bool) -> Option<(Token, bool)> {
    match bound {
        RangeBound::Unbounded => None,
        RangeBound::Token(token, inclusive) => Some((*token, *inclusive == is_end)),
        RangeBound::Key(key, _) => Some((key.token(), false)),
    }
}

/// How much of a page has come, and how much may still come.
#[derive(Clone, Copy)]
struct Come {
    so_far: u64,
    left: u64,
}

impl Come {
    /// How many ranges it takes to fill the page, if they give as much as those that were read.
    fn ranges_to_fill(self, done: usize) -> usize {
        if self.so_far == 0 {
            return MAX_CONCURRENCY;
        }
        let per_range = self.so_far.div_ceil(done.max(1) as u64);
        usize::try_from(self.left.div_ceil(per_range)).unwrap_or(MAX_CONCURRENCY)
    }
}

/// How many ranges are to be read next, by how many rows came of those that were (Cassandra `RangeCommandIterator`), and
/// how many bytes, so that no more is asked for than a page takes.
fn concurrency(rows: Come, bytes: Come, done: usize) -> usize {
    rows.ranges_to_fill(done).min(bytes.ranges_to_fill(done)).clamp(1, MAX_CONCURRENCY)
}

#[cfg(test)]
#[path = "range_tests.rs"]
mod tests;
