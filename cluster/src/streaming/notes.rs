//! What this node has fetched already of the change of members that is under way: a file in the data directory, so that a
//! node that was stopped meanwhile fetches the rest alone.
//!
//! A range is noted once all of it is on disk. A change is known by the version of the members that it began with: no other
//! one ever has the same, so that what was fetched for one never counts for a later one. The file is removed when members
//! change again. It is of use to nobody else: what cannot be read or written of it is fetched again.

use super::Missing;
use crate::ring::Member;
use dodona_env::{Disk, Mutants};
use dodona_storage::StorageError;
use dodona_storage::journal::{self, Format, Journal};
use dodona_types::read_command::RangeBound;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use uuid::Uuid;

const FILE: &str = "fetched";
const NEXT: &str = "fetched.next";
const FORMAT: Format =
    Format { magic: *b"DODONAFE", version: 1, marked_since: 1, name: "the notes of what was fetched" };

/// A range that was fetched, of whom it was to come, and from how many of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Note {
    table: Uuid,
    /// The token behind which it begins, and the last one; none where nothing bounds it.
    behind: Option<i64>,
    last: Option<i64>,
    holders: Vec<Uuid>,
    needed: usize,
}

impl Note {
    /// The note of a range whose holders are among these members. None of a range that is not one of tokens.
    pub(super) fn of(missing: &Missing, members: &[Member]) -> Option<Self> {
        let behind = match missing.range.start {
            RangeBound::Unbounded => None,
            RangeBound::Token(token, false) => Some(token.0),
            _ => return None,
        };
        let last = match missing.range.end {
            RangeBound::Unbounded => None,
            RangeBound::Token(token, true) => Some(token.0),
            _ => return None,
        };
        let holders = missing.holders.iter().map(|index| members[*index].host).collect();
        Some(Self { table: missing.table.0, behind, last, holders, needed: missing.needed })
    }
}

/// The first record of a file says for which change, each further one what was fetched.
#[derive(Serialize, Deserialize)]
enum Record {
    Change(u64),
    Fetched(Vec<Note>),
}

/// The notes of a node.
pub(crate) struct Notes {
    disk: Arc<dyn Disk>,
    mutants: Mutants,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// The version of the members that the change began with.
    change: u64,
    fetched: BTreeSet<Note>,
    /// None before the first note of a life.
    journal: Option<Journal>,
}

impl Notes {
    /// The notes that the data directory has. Those that cannot be read count as none.
    pub(crate) fn open(disk: Arc<dyn Disk>, mutants: Mutants) -> Self {
        let kept = read(&*disk).unwrap_or_else(|error| {
            tracing::warn!(%error, "what was fetched before the start is not known, and fetched again");
            Kept::default()
        });
        Self { disk, mutants, kept: Mutex::new(kept) }
    }

    /// True if a range was fetched for a change.
    pub(super) fn has(&self, change: u64, note: &Note) -> bool {
        let kept = self.kept.lock();
        if kept.change == change {
            return kept.fetched.contains(note);
        }
        self.takes_any() && kept.fetched.iter().any(|other| other.table == note.table)
    }

    /// Notes that ranges were fetched, which are on disk. Waits for it.
    ///
    /// # Errors
    /// The disk does not take it: they are known as long as the node runs.
    pub(super) fn add(&self, change: u64, notes: Vec<Note>) -> Result<(), StorageError> {
        let mut kept = self.kept.lock();
        match kept.change.cmp(&change) {
            Ordering::Less => *kept = Kept { change, ..Kept::default() },
            Ordering::Equal => {}
            // Whoever fetched that has not heard of it yet.
            Ordering::Greater => return Ok(()),
        }
        kept.fetched.extend(notes.iter().cloned());
        let journal = kept.journal.take().filter(|journal| !journal.needs_successor());
        let journal = match journal {
            Some(mut journal) => journal.append(&encode(&Record::Fetched(notes)), true).map(|()| journal),
            None => begin(&*self.disk, change, kept.fetched.iter().cloned().collect()),
        };
        kept.journal = Some(journal?);
        Ok(())
    }

    /// Forgets what was fetched for other changes than this one.
    pub(crate) fn forget_others(&self, change: u64) {
        let mut kept = self.kept.lock();
        if kept.change == change || self.takes_any() {
            return;
        }
        *kept = Kept { change, ..Kept::default() };
        if let Err(error) = journal::remove_if_there(&*self.disk, FILE) {
            tracing::debug!(%error, "notes that are over could not be removed");
        }
    }

    fn takes_any(&self) -> bool {
        self.mutants.has("notes-of-another-change-count")
    }
}

fn encode(record: &Record) -> Vec<u8> {
    serde_json::to_vec(record).unwrap_or_default()
}

fn begin(disk: &dyn Disk, change: u64, fetched: Vec<Note>) -> Result<Journal, StorageError> {
    let records = [Record::Change(change), Record::Fetched(fetched)];
    let mut journal = Journal::begin(disk, &FORMAT, NEXT, records.iter().map(encode))?;
    let failed = |action: &'static str| {
        move |source: io::Error| StorageError::Io { action, path: FILE.to_owned(), source: Arc::new(source) }
    };
    disk.rename(NEXT, FILE).map_err(failed("renaming to"))?;
    disk.sync_dir("").map_err(failed("syncing the directory of"))?;
    journal.renamed(FILE);
    Ok(journal)
}

fn read(disk: &dyn Disk) -> Result<Kept, StorageError> {
    let bytes = match disk.read(FILE) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::default()),
        Err(source) => {
            let (action, path) = ("reading", FILE.to_owned());
            return Err(StorageError::Io { action, path, source: Arc::new(source) });
        }
    };
    let mut kept = Kept::default();
    for (offset, payload) in journal::read(&FORMAT, FILE, &bytes)? {
        match serde_json::from_slice(payload) {
            Ok(Record::Change(change)) => kept.change = change,
            Ok(Record::Fetched(notes)) => kept.fetched.extend(notes),
            Err(error) => {
                let (path, reason) = (FILE.to_owned(), error.to_string());
                return Err(StorageError::Corrupt { path, offset, reason });
            }
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dodona_types::TableId;
    use dodona_types::Token;
    use dodona_types::read_command::PartitionRange;
    use std::net::SocketAddr;

    fn member(number: u128) -> Member {
        Member {
            host: Uuid::from_u128(number),
            status: crate::ring::Status::Normal,
            data_center: "dc1".into(),
            rack: "rack1".into(),
            internode: SocketAddr::from(([127, 0, 0, 1], 7000)),
            native: SocketAddr::from(([127, 0, 0, 1], 9042)),
            tokens: Vec::new(),
            other_tokens: Vec::new(),
        }
    }

    fn note(table: u128, behind: i64, holders: &[usize]) -> Note {
        let start = RangeBound::Token(Token(behind), false);
        let range = PartitionRange { start, end: RangeBound::Unbounded };
        let missing = Missing {
            table: TableId(Uuid::from_u128(table)),
            range,
            holders: holders.to_vec(),
            leaving: 0,
            needed: 1,
        };
        Note::of(&missing, &[member(7), member(8)]).unwrap()
    }

    fn opened(disk: &Arc<dyn Disk>) -> Notes {
        Notes::open(Arc::clone(disk), Mutants::none())
    }

    /// Which of these are noted for a change.
    fn noted<const N: usize>(notes: &Notes, change: u64, of: &[Note; N]) -> [bool; N] {
        of.each_ref().map(|note| notes.has(change, note))
    }

    #[test]
    fn notes_outlast_the_process_and_count_for_their_change_alone() {
        let directory = tempfile::tempdir().unwrap();
        let disk = dodona_env::os::env(directory.path()).unwrap().disk;
        let all = [note(1, 10, &[0]), note(1, 20, &[0]), note(2, 10, &[0])];
        let notes = opened(&disk);
        assert_eq!(noted(&notes, 5, &all), [false; 3]);
        notes.add(5, vec![all[0].clone()]).unwrap();
        let text = String::from_utf8_lossy(&disk.read(FILE).unwrap()).into_owned();
        assert!(text.starts_with("DODONAFE\u{1}\0") && text.contains(r#"{"Change":5}"#), "{text}");
        let fetched = concat!(
            r#"{"Fetched":[{"table":"00000000-0000-0000-0000-000000000001","behind":10,"last":null,"#,
            r#""holders":["00000000-0000-0000-0000-000000000007"],"needed":1}]}"#
        );
        assert!(text.contains(fetched), "{text}");
        notes.add(5, all[1..].to_vec()).unwrap();
        assert_eq!(noted(&notes, 5, &all), [true; 3]);
        let again = opened(&disk);
        again.forget_others(5);
        assert_eq!((noted(&again, 5, &all), noted(&again, 6, &all)), ([true; 3], [false; 3]));
        // Other holders, or another place: not the same.
        assert_eq!(noted(&again, 5, &[note(1, 10, &[1]), note(1, 11, &[0])]), [false; 2]);
        again.add(5, vec![note(3, 1, &[0])]).unwrap();
        assert_eq!(noted(&opened(&disk), 5, &[all[0].clone(), note(3, 1, &[0])]), [true; 2]);
        again.add(6, vec![note(1, 30, &[1])]).unwrap();
        let later = opened(&disk);
        assert_eq!((noted(&later, 5, &all), later.has(6, &note(1, 30, &[1]))), ([false; 3], true));
        later.forget_others(7);
        later.add(6, vec![note(1, 40, &[1])]).unwrap();
        assert!(disk.open(FILE).is_err() && !opened(&disk).has(6, &note(1, 30, &[1])));
    }

    #[test]
    fn notes_that_are_damaged_count_as_none_and_are_written_anew() {
        let directory = tempfile::tempdir().unwrap();
        let disk = dodona_env::os::env(directory.path()).unwrap().disk;
        let both = [note(1, 10, &[0]), note(1, 20, &[0])];
        opened(&disk).add(5, vec![both[0].clone()]).unwrap();
        let mut bytes = disk.read(FILE).unwrap();
        bytes[30] ^= 1;
        disk.replace(FILE, &bytes).unwrap();
        let notes = opened(&disk);
        assert_eq!(noted(&notes, 5, &both), [false; 2]);
        notes.add(5, vec![both[1].clone()]).unwrap();
        assert_eq!(noted(&opened(&disk), 5, &both), [false, true]);
    }
}
