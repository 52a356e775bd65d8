//! What this node has fetched and fetches from others, for operators.

use super::Progress;
use dodona_env::Clock;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;

/// Fetches that are told of.
const MOST_FETCHES: usize = 100;

/// Why a node fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It joins, or takes the place of another one.
    Join,
    /// A member moves to other tokens.
    Move,
    /// A member leaves.
    Leave,
    /// A member that is lost is removed.
    Remove,
    /// An operator wants it to fetch what it holds.
    Rebuild,
}

/// A fetch of ranges from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// Counts the fetches since the start.
    pub number: u64,
    /// What for.
    pub purpose: Purpose,
    /// Who may be asked.
    pub peers: Vec<SocketAddr>,
    /// Microseconds since the epoch when it began.
    pub began_micros: i64,
    /// When it ended, and what went wrong.
    pub ended: Option<(i64, Option<String>)>,
    /// Ranges of tables to fetch.
    pub ranges: u64,
    /// Of these, done.
    pub ranges_done: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Files received as they are.
    pub files: u64,
}

/// What had been received of all fetches together.
#[derive(Clone, Copy, Debug, Default)]
struct Received {
    bytes: u64,
    files: u64,
}

impl Received {
    fn of(progress: &Progress) -> Self {
        Self { bytes: progress.bytes.load(Relaxed), files: progress.files.load(Relaxed) }
    }
}

impl Fetch {
    fn update(&mut self, progress: &Progress, before: Received) {
        let now = Received::of(progress);
        self.ranges_done = progress.ranges_done.load(Relaxed).min(self.ranges);
        self.bytes = now.bytes.saturating_sub(before.bytes);
        self.files = now.files.saturating_sub(before.files);
    }
}

/// The fetches of a node, one after another.
#[derive(Debug, Default)]
pub(crate) struct History {
    fetches: Mutex<Fetches>,
}

#[derive(Debug, Default)]
struct Fetches {
    begun: u64,
    /// The oldest first.
    last: VecDeque<Fetch>,
    /// What had been received before the last one began.
    before: Received,
}

impl History {
    /// A fetch of so many ranges begins.
    pub(crate) fn begin(
        &self,
        purpose: Purpose,
        peers: Vec<SocketAddr>,
        ranges: usize,
        progress: &Progress,
        clock: &dyn Clock,
    ) {
        let mut fetches = self.fetches.lock();
        fetches.begun += 1;
        fetches.before = Received::of(progress);
        if fetches.last.len() == MOST_FETCHES {
            fetches.last.pop_front();
        }
        let fetch = Fetch {
            number: fetches.begun,
            purpose,
            peers,
            began_micros: clock.wall_micros(),
            ended: None,
            ranges: ranges as u64,
            ranges_done: 0,
            bytes: 0,
            files: 0,
        };
        fetches.last.push_back(fetch);
    }

    /// The last fetch has ended, with what went wrong.
    pub(crate) fn end(&self, failure: Option<String>, progress: &Progress, clock: &dyn Clock) {
        let mut fetches = self.fetches.lock();
        let before = fetches.before;
        if let Some(fetch) = fetches.last.back_mut() {
            fetch.update(progress, before);
            fetch.ended = Some((clock.wall_micros(), failure));
        }
    }

    /// The fetches, the oldest first, the last one as far as it is.
    pub(crate) fn list(&self, progress: &Progress) -> Vec<Fetch> {
        let mut fetches = self.fetches.lock();
        let before = fetches.before;
        if let Some(fetch) = fetches.last.back_mut().filter(|fetch| fetch.ended.is_none()) {
            fetch.update(progress, before);
        }
        fetches.last.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicI64;
    use std::time::Duration;

    struct Ticking(AtomicI64);

    impl Clock for Ticking {
        fn mono(&self) -> Duration {
            Duration::ZERO
        }

        fn wall_micros(&self) -> i64 {
            self.0.fetch_add(10, Relaxed)
        }
    }

    #[test]
    fn each_fetch_is_told_with_what_it_received() {
        let (history, progress, clock) =
            (History::default(), Progress::default(), Ticking(AtomicI64::new(10)));
        let peers = vec![SocketAddr::from(([127, 0, 0, 2], 7000))];
        progress.bytes.store(1_000, Relaxed);
        history.begin(Purpose::Join, peers.clone(), 3, &progress, &clock);
        progress.bytes.store(1_500, Relaxed);
        progress.files.store(2, Relaxed);
        progress.ranges_done.store(1, Relaxed);
        let one = Fetch {
            number: 1,
            purpose: Purpose::Join,
            peers: peers.clone(),
            began_micros: 10,
            ended: None,
            ranges: 3,
            ranges_done: 1,
            bytes: 500,
            files: 2,
        };
        assert_eq!(history.list(&progress).first(), Some(&one));
        history.end(Some("no".into()), &progress, &clock);
        history.begin(Purpose::Rebuild, peers, 1, &progress, &clock);
        progress.bytes.store(1_507, Relaxed);
        let told = history.list(&progress);
        assert_eq!(told[0], Fetch { ended: Some((20, Some("no".into()))), ..one });
        let Fetch { number, bytes, files, ended, .. } = &told[1];
        assert_eq!((*number, *bytes, *files, ended.clone()), (2, 7, 0, None));
        for _ in 0..MOST_FETCHES {
            history.begin(Purpose::Move, Vec::new(), 1, &progress, &clock);
        }
        let told = history.list(&progress);
        assert_eq!((told.len(), told[0].number), (MOST_FETCHES, 3));
    }
}
