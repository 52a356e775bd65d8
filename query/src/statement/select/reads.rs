//! The reads of a SELECT: several at the same time where it names several partitions. What they give comes in the order of the
//! commands, whichever ends first.

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use std::collections::VecDeque;

/// Partitions that are read at the same time, at most.
pub(super) const MOST_AT_ONCE: usize = 32;
/// The same at first, when nothing is known of their length: what does not fit into the page is read in vain.
const FIRST_AT_ONCE: usize = 8;
/// Bytes that are read at a time where rows cannot be shown where they lie.
const CHUNK_BYTES: usize = 1 << 20;
/// Bytes that are read of one of several partitions before its turn has come.
const AHEAD_BYTES: usize = (4 << 20) / MOST_AT_ONCE;

/// Commands that are to be read, and the reads that are under way. `read` takes a command and the bytes that it may bring.
pub(super) struct Reads<C, R, F: Future> {
    read: R,
    waiting: VecDeque<C>,
    /// Once there are several.
    under_way: Option<FuturesOrdered<F>>,
    at_once: usize,
    most: usize,
}

impl<C, R: Fn(C, usize) -> F, F: Future> Reads<C, R, F> {
    /// Of commands whose reads give so many rows, at most: no more partitions are read at the same time than may give one each.
    pub(super) fn new(commands: Vec<C>, rows: u64, read: R) -> Self {
        let most = usize::try_from(rows).unwrap_or(usize::MAX).clamp(1, MOST_AT_ONCE);
        let at_once = most.min(FIRST_AT_ONCE);
        Self { read, waiting: VecDeque::from(commands), under_way: None, at_once, most }
    }

    /// What the next command gave.
    pub(super) async fn next(&mut self) -> Option<F::Output> {
        if !self.is_ahead() && (self.at_once == 1 || self.waiting.len() == 1) {
            let command = self.waiting.pop_front()?;
            return Some((self.read)(command, CHUNK_BYTES).await);
        }
        let under_way = self.under_way.get_or_insert_default();
        while under_way.len() < self.at_once
            && let Some(command) = self.waiting.pop_front()
        {
            under_way.push_back((self.read)(command, AHEAD_BYTES));
        }
        under_way.next().await
    }

    fn is_ahead(&self) -> bool {
        self.under_way.as_ref().is_some_and(|reads| !reads.is_empty())
    }

    /// The last command has been read to its end.
    pub(super) fn ended(&mut self) {
        self.at_once = (self.at_once + 1).min(self.most);
    }

    /// The last command has not been read to its end: these are what is left of it.
    pub(super) fn go_on(&mut self, rest: Vec<C>) {
        self.at_once = (self.at_once / 2).max(1);
        let is_ahead = self.is_ahead();
        for command in rest.into_iter().rev() {
            match &mut self.under_way {
                Some(under_way) if is_ahead => under_way.push_front((self.read)(command, CHUNK_BYTES)),
                _ => self.waiting.push_front(command),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};
    use std::time::Duration;

    /// A number, and where the part of it begins that is read.
    type Part = (u64, usize);

    /// How long those are that are not read at once.
    const LENGTH: usize = 3 << 20;

    fn run<T>(test: impl Future<Output = T>) -> T {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true).build().unwrap().block_on(test)
    }

    #[test]
    fn what_ends_later_comes_in_its_place_and_no_more_are_read_at_once_than_may_be() {
        run(async {
            let (now, most, ended) = (Cell::new(0), Cell::new(0), RefCell::new(Vec::new()));
            let read = |number: u64, _| {
                now.set(now.get() + 1);
                most.set(most.get().max(now.get()));
                let ended = &ended;
                async move {
                    tokio::time::sleep(Duration::from_millis(number * 7 % 100)).await;
                    ended.borrow_mut().push(number);
                    number
                }
            };
            for (rows, expected) in [(u64::MAX, MOST_AT_ONCE), (40, MOST_AT_ONCE), (3, 3), (1, 1), (0, 1)] {
                most.set(0);
                ended.borrow_mut().clear();
                let mut reads = Reads::new((0..200).collect(), rows, read);
                let mut came = Vec::new();
                while let Some(number) = reads.next().await {
                    came.push(number);
                    now.set(now.get() - 1);
                    reads.ended();
                }
                assert_eq!(came, (0..200).collect::<Vec<_>>());
                assert_eq!(most.get(), expected, "{rows}");
                assert_eq!(*ended.borrow() == came, expected == 1, "they end in another order");
            }
            // At first it is not known how long they are.
            most.set(0);
            let mut reads = Reads::new((0..200).collect(), u64::MAX, read);
            assert_eq!((reads.next().await, most.get()), (Some(0), FIRST_AT_ONCE));
        });
    }

    #[test]
    fn what_is_left_of_a_command_comes_before_the_next_one() {
        run(async {
            let read = |(number, from): Part, bytes: usize| async move {
                tokio::time::sleep(Duration::from_millis(number * 7 % 100)).await;
                (number, from, from + bytes)
            };
            let mut reads = Reads::new((0..100).map(|number| (number, 0)).collect(), u64::MAX, read);
            let (mut expected, mut ended) = ((0, 0), Vec::new());
            while let Some((number, from, to)) = reads.next().await {
                assert_eq!((number, from), expected);
                // Every third one is long.
                if number % 3 == 0 && to < LENGTH {
                    expected = (number, to);
                    reads.go_on(vec![(number, to)]);
                } else {
                    expected = (number + 1, 0);
                    reads.ended();
                    ended.push(number);
                }
            }
            assert_eq!(ended, (0..100).collect::<Vec<_>>());
            assert!(reads.at_once < MOST_AT_ONCE);
        });
    }
}
