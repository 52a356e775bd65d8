//! The requests of a core that wait for other nodes or the disk, as `system_views.queries` shows them.

use dodona_protocol::Opcode;
use dodona_query::Prepared;
use dodona_query::system_tables::RunningView;
use dodona_types::Consistency;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// Characters of a statement that are shown.
const MOST_CHARACTERS: usize = 1_000;

/// A request that waits.
#[derive(Clone, Debug)]
struct Entry {
    opcode: Opcode,
    /// Its statement and level, as soon as they are known.
    asks: Option<(Arc<Prepared>, Consistency)>,
    /// When it came.
    came: Duration,
    /// When its turn came.
    began: Option<Duration>,
}

/// The requests of a core that wait. Each has a place, as in Cassandra each has a thread.
#[derive(Debug, Default)]
pub(crate) struct Running {
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    entries: Vec<Option<Entry>>,
    free: Vec<usize>,
}

impl Running {
    /// A request waits until what this returns is dropped.
    pub(crate) fn enter(&self, opcode: Opcode, came: Duration) -> Place<'_> {
        let entry = Entry { opcode, asks: None, came, began: None };
        let mut places = self.places.lock();
        let number = places.free.pop().unwrap_or(places.entries.len());
        match places.entries.get_mut(number) {
            Some(place) => *place = Some(entry),
            None => places.entries.push(Some(entry)),
        }
        Place { running: self, number }
    }

    /// The requests that wait now.
    pub(crate) fn view(&self, core: usize) -> Vec<RunningView> {
        let entries: Vec<_> = self.places.lock().entries.iter().cloned().enumerate().collect();
        let shown = |(place, entry): (usize, Option<Entry>)| {
            let entry = entry?;
            let task = task(&entry);
            let id = format!("Native-Transport-Requests-{}-{}", core + 1, place + 1);
            Some(RunningView { id, came: entry.came, began: entry.began, task })
        };
        entries.into_iter().filter_map(shown).collect()
    }
}

fn task(entry: &Entry) -> String {
    let Some((statement, consistency)) = &entry.asks else { return entry.opcode.to_string() };
    let text = &*statement.text;
    let (text, rest) = match text.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => (&text[..end], "..."),
        None => (text, ""),
    };
    format!("{} {text}{rest} at consistency {}", entry.opcode, consistency.name())
}

/// The place of a request that waits.
pub(crate) struct Place<'a> {
    running: &'a Running,
    number: usize,
}

impl Place<'_> {
    fn change(&self, change: impl FnOnce(&mut Entry)) {
        if let Some(Some(entry)) = self.running.places.lock().entries.get_mut(self.number) {
            change(entry);
        }
    }

    /// Its turn has come.
    pub(crate) fn begin(&self, now: Duration) {
        self.change(|entry| entry.began = Some(now));
    }

    /// It is known what it asks for.
    pub(crate) fn asks(&self, statement: &Arc<Prepared>, consistency: Consistency) {
        self.change(|entry| entry.asks = Some((Arc::clone(statement), consistency)));
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut places = self.running.places.lock();
        if let Some(place) = places.entries.get_mut(self.number) {
            *place = None;
        }
        places.free.push(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_taken_until_its_request_is_over() {
        let (running, second) = (Running::default(), Duration::from_secs(1));
        let enter = || running.enter(Opcode::Query, second);
        let ids = || running.view(1).into_iter().map(|view| view.id).collect::<Vec<_>>();
        let (one, two) = (enter(), enter());
        assert_eq!(ids(), ["Native-Transport-Requests-2-1", "Native-Transport-Requests-2-2"]);
        two.begin(second * 2);
        assert_eq!(running.view(0)[1].began, Some(second * 2));
        assert_eq!(running.view(0)[1].task, "QUERY");
        drop(one);
        assert_eq!(ids(), ["Native-Transport-Requests-2-2"]);
        let again = enter();
        assert_eq!(ids().len(), 2);
        assert_eq!(running.view(0)[0].began, None);
        drop((again, two));
        assert!(ids().is_empty());
    }
}
