//! Reads over partitions: the ring's ranges one after another, or several at a time, each from its
//! own replicas.

use super::Coordinator;
use super::asking::Want;
use super::plan::Plan;
use crate::error::ClusterError;
use crate::placement::Placement;
use dodona_storage::Page;
use dodona_storage::reconcile::{Assembly, MergedAnswers};
use dodona_types::read_command::{PartitionRange, PartitionSelection, RangeBound, ReadCommand};
use dodona_types::{Consistency, Token};
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

/// Ranges that are read at the same time, at most.
const MAX_CONCURRENCY: usize = 32;

/// A part of the range that is read, and who is asked for it.
struct Stretch {
    range: PartitionRange,
    plan: Plan,
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
        let mut stretches = self.stretches(placement, &command, range, consistency)?;
        if let [Stretch { plan, .. }] = stretches.as_slice()
            && plan.block_for == 1
            && plan.replicas.first().is_some_and(|target| target.local)
        {
            let only_local = plan.only_local();
            let read = self.read_here(command.clone(), max_bytes).await;
            if read.is_ok() || only_local {
                return read;
            }
        }
        if self.env.mutants.has("range-read-skips-a-range") && stretches.len() > 2 {
            stretches.remove(1);
        }
        let table = self.tables.get(&placement.schema, command.table)?;
        let mut assembly = Assembly::new(command.limits, command.now_seconds, max_bytes);
        let (mut at_once, mut done) = (1, 0);
        while done < stretches.len() && !assembly.is_complete() {
            let next = &stretches[done..stretches.len().min(done + at_once)];
            let mut of_stretch = command.clone();
            of_stretch.limits.rows = assembly.rows_left();
            let rounds = next.iter().map(|stretch| {
                let partitions = PartitionSelection::Range(stretch.range.clone());
                let command = ReadCommand { partitions, ..of_stretch.clone() };
                let (table, bytes) = (&table, assembly.bytes_left());
                async move {
                    let read = self.read_round(&stretch.plan, table, &command, bytes, Want::Data).await;
                    read.map(|answers| (command, answers))
                }
            });
            let rounds = all(rounds).await;
            for (stretch, round) in next.iter().zip(rounds) {
                let (command, answers): (ReadCommand, MergedAnswers) = round?;
                assembly.begin(command.clone());
                assembly.take(&command, &answers)?;
                self.fill(&mut assembly, &stretch.plan, &table, Want::Data).await?;
                if assembly.is_complete() {
                    break;
                }
            }
            done += next.len();
            at_once = concurrency(command.limits.rows, assembly.rows_left(), done);
        }
        Ok(assembly.finish())
    }

    /// The parts of a range that have replicas of their own, in the order of the ring. Neighbours
    /// with the same replicas are one.
    fn stretches(
        &self,
        placement: &Placement,
        command: &ReadCommand,
        range: &PartitionRange,
        consistency: Consistency,
    ) -> Result<Vec<Stretch>, ClusterError> {
        let planner = self.planner(placement);
        let mut ends: Vec<Token> = placement.ring.ranges().map(|range| range.end).collect();
        ends.sort_unstable();
        // What lies behind the last token belongs to the owner of the first range.
        ends.push(Token::MAX);
        ends.dedup();
        let mut stretches: Vec<Stretch> = Vec::new();
        let mut before: Option<Token> = None;
        for end in ends {
            let start = before.replace(end);
            let Some(part) = part_of(range, start, end) else { continue };
            let plan = planner.read(command.table, end, consistency, &self.latencies)?;
            match stretches.last_mut() {
                Some(last) if same_replicas(&last.plan, &plan) => last.range.end = part.end,
                _ => stretches.push(Stretch { range: part, plan }),
            }
        }
        Ok(stretches)
    }
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

/// How many ranges are to be read next, by how many rows came of those that were (Cassandra
/// `RangeCommandIterator`).
fn concurrency(wanted: u64, left: u64, done: usize) -> usize {
    let found = wanted.saturating_sub(left);
    if found == 0 {
        return MAX_CONCURRENCY;
    }
    let per_range = found.div_ceil(done.max(1) as u64).max(1);
    usize::try_from(left.div_ceil(per_range)).unwrap_or(MAX_CONCURRENCY).clamp(1, MAX_CONCURRENCY)
}

/// Runs futures together until all have ended.
async fn all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<(Pin<Box<_>>, Option<T>)> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, output) in &mut running {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(value) => *output = Some(value),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    running.into_iter().filter_map(|(_, output)| output).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dodona_types::PartitionKey;

    fn keys() -> Vec<PartitionKey> {
        (0..=255u8).map(|byte| PartitionKey::new(vec![byte].into())).collect()
    }

    fn contains(range: &PartitionRange, key: &PartitionKey) -> bool {
        range.starts_before(key.as_ref()) && range.ends_after(key.as_ref())
    }

    #[test]
    fn parts_hold_each_partition_once() {
        let keys = keys();
        let mut ends: Vec<Token> = [3usize, 40, 90, 200].map(|index| keys[index].token()).to_vec();
        ends.extend([Token(0), Token::MAX]);
        ends.sort_unstable();
        let bounds = [
            RangeBound::Unbounded,
            RangeBound::Token(keys[40].token(), true),
            RangeBound::Token(keys[40].token(), false),
            RangeBound::Key(keys[90].clone(), true),
            RangeBound::Key(keys[90].clone(), false),
            RangeBound::Key(keys[7].clone(), true),
            RangeBound::Token(Token(0), false),
        ];
        for start in &bounds {
            for end in &bounds {
                let range = PartitionRange { start: start.clone(), end: end.clone() };
                let starts = std::iter::once(None).chain(ends.iter().copied().map(Some));
                let parts: Vec<PartitionRange> =
                    starts.zip(&ends).filter_map(|(start, end)| part_of(&range, start, *end)).collect();
                for key in &keys {
                    let holding = parts.iter().filter(|part| contains(part, key)).count();
                    assert_eq!(holding, usize::from(contains(&range, key)), "{range:?} {key:?} {parts:?}");
                }
            }
        }
    }

    #[test]
    fn more_ranges_are_read_at_once_the_fewer_rows_come() {
        assert_eq!(concurrency(100, 100, 1), MAX_CONCURRENCY);
        assert_eq!(concurrency(100, 50, 1), 1);
        assert_eq!(concurrency(100, 90, 1), 9);
        assert_eq!(concurrency(u64::MAX, u64::MAX - 5, 1), MAX_CONCURRENCY);
    }
}
