//! What a member keeps of the metadata log: a [`dodona_storage::journal`].
//!
//! The first record of a file is a `Base`, each further one a `Record`. Every start writes a new
//! file with what it found, and so does a node that runs when the file has become long or a full
//! disk did not take a record. Files of versions 1 and 2 are those of nodes that were alone: a
//! schema, then changes of it.

use super::schema_change::{self, SchemaChange};
use super::state::{Change, Metadata, Outcome};
use super::types::{Entry, LogId, SnapshotMeta, StoredMembership, Vote};
use crate::error::ClusterError;
use crate::ring::{Member, Status};
use dodona_env::Disk;
use dodona_env::{Mutants, watch};
use dodona_storage::StorageError;
use dodona_storage::journal::{self, Format, Journal};
use dodona_types::schema::Schema;
use openraft::entry::RaftEntry;
use openraft::{EntryPayload, Membership};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

const DIRECTORY: &str = "metadata";
const FILE: &str = "metadata/log";
const FORMAT: Format = Format { magic: *b"DODONAML", version: 3, marked_since: 2, name: "the metadata log" };

/// How far the terms and the versions of a recovered log are beyond those before.
const BEYOND: u64 = 1 << 32;
/// How far its versions are beyond those of a log that the member of the number below has recovered.
const BETWEEN_MEMBERS: u64 = 1 << 24;

/// Everything, at one moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Base {
    /// What is applied.
    metadata: Arc<Metadata>,
    /// The last entry that is applied.
    applied: Option<LogId>,
    /// Who votes, by what is applied.
    voters: StoredMembership,
    /// The last vote that was given.
    vote: Option<Vote>,
    /// The last entry that is no longer kept.
    purged: Option<LogId>,
    /// Entries behind it.
    entries: Vec<Entry>,
}

/// What happened since.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Record {
    Vote(Vote),
    Entries(Vec<Entry>),
    /// Entries behind this index do not count any more.
    Truncated(Option<u64>),
    Applied(LogId),
    Purged(LogId),
}

/// An entry of files of the first versions.
#[derive(Deserialize)]
struct EntryBefore {
    expected_epoch: u64,
    changes: Vec<SchemaChange>,
}

/// The log on a disk, and what it comes to.
pub struct Store {
    disk: Arc<dyn Disk>,
    mutants: Mutants,
    kept: Mutex<Kept>,
    version: watch::Sender<u64>,
}

struct Kept {
    base: Base,
    entries: BTreeMap<u64, Entry>,
    journal: Journal,
}

fn failed(action: &'static str, path: &str, source: io::Error) -> ClusterError {
    StorageError::Io { action, path: path.to_owned(), source: Arc::new(source) }.into()
}

/// An error of the store as Raft takes it.
pub(super) fn for_raft(error: ClusterError) -> io::Error {
    io::Error::other(error)
}

impl Store {
    /// True if there is a log on the disk.
    ///
    /// # Errors
    /// The operating system's.
    pub fn exists(disk: &dyn Disk) -> Result<bool, ClusterError> {
        match disk.list(DIRECTORY) {
            Ok(names) => Ok(names.iter().any(|name| name == "log")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("listing", DIRECTORY, error)),
        }
    }

    /// Begins a log: of a new cluster whose members all vote, the first of them to lead if
    /// `leads`; or, without voters, of a member that pulls what others agree on.
    ///
    /// # Errors
    /// The operating system's.
    pub fn create(
        disk: Arc<dyn Disk>,
        metadata: Metadata,
        voters: &[u64],
        leads: bool,
    ) -> Result<Self, ClusterError> {
        disk.create_dir_all(DIRECTORY).map_err(|error| failed("creating", DIRECTORY, error))?;
        Self::begin_with(disk, base_of(metadata, voters, leads))
    }

    /// Opens the log of the member `here`, which is taken for the only one if it was alone and kept its
    /// log in a file of the first versions. A node that is alone is where `here` says: nobody else has
    /// the log, so that this needs no entry. What others know changes by [`super::Change::Moved`].
    ///
    /// # Errors
    /// The operating system's; the log is damaged or of a newer version.
    pub fn open(disk: Arc<dyn Disk>, here: &Member) -> Result<Self, ClusterError> {
        let mut base = read(&*disk, here)?;
        if base.is_alone() {
            base.relocate(here);
        }
        Self::begin_with(disk, base)
    }

    /// Where others know the member `here` to be; none if nobody else has the log. Nothing is written.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn known_at(disk: &dyn Disk, here: &Member) -> Result<Option<SocketAddr>, ClusterError> {
        let base = read(disk, here)?;
        let member = base.metadata.member(here.host).filter(|_| !base.is_alone());
        Ok(member.map(|member| member.internode))
    }

    fn begin_with(disk: Arc<dyn Disk>, mut base: Base) -> Result<Self, ClusterError> {
        let journal = begin(&*disk, &base)?;
        let entries = std::mem::take(&mut base.entries);
        let entries = entries.into_iter().map(|entry| (entry.log_id().index, entry)).collect();
        let version = watch::channel(base.metadata.version).0;
        let kept = Mutex::new(Kept { base, entries, journal });
        Ok(Self { disk, mutants: Mutants::none(), kept, version })
    }

    /// The same with defects, for simulations.
    #[must_use]
    pub fn with(self, mutants: Mutants) -> Self {
        Self { mutants, ..self }
    }

    /// What is applied.
    #[must_use]
    pub fn metadata(&self) -> Arc<Metadata> {
        Arc::clone(&self.kept.lock().base.metadata)
    }

    /// The version of what is applied, and news of it.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// True if the member of this number has a part in the agreement, by what is applied here.
    #[must_use]
    pub fn takes_part(&self, number: u64) -> bool {
        self.kept.lock().base.voters.nodes().any(|(present, _)| *present == number)
    }

    /// Takes over newer metadata that another member has applied. If the log was recovered meanwhile, the one that is kept here
    /// counts no more: Raft must not run on it then.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn replace(&self, metadata: Arc<Metadata>) -> Result<(), ClusterError> {
        let mut kept = self.kept.lock();
        let present = &kept.base.metadata;
        let is_old = (metadata.recovery, metadata.version) <= (present.recovery, present.version);
        if is_old && !self.mutants.has("metadata-goes-back") {
            return Ok(());
        }
        let base = if metadata.recovery > present.recovery {
            kept.entries.clear();
            // Others remember the term of the last vote, and those of the new log are greater.
            Base { vote: kept.base.vote, ..base_of(Metadata::clone(&metadata), &[], false) }
        } else {
            Base { metadata, ..kept.base.clone() }
        };
        self.rewrite(&mut kept, base)
    }

    /// Makes the member of this number the only one that votes, with what it has of the log, whether the others had agreed on that
    /// or not. Terms and versions are beyond all that they can come to by themselves.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn recover(&self, number: u64) -> Result<(), ClusterError> {
        let mut kept = self.kept.lock();
        let mut base = kept.base.clone();
        let next = base.applied.map_or(0, |applied| applied.index + 1);
        for entry in kept.entries.range(next..).map(|(_, entry)| entry) {
            if !matches!(entry.payload, EntryPayload::Membership(_)) {
                // Nobody waits for what comes of it.
                let _ = apply_entry(&mut base, entry);
            }
        }
        let term = base.vote.map_or(0, |vote| vote.leader_id.term) + BEYOND;
        let last = kept.entries.last_key_value().map_or(0, |(index, _)| *index).max(base.metadata.version);
        // If two members do it, one of the logs is the later one to all.
        let at = LogId::new_term_index(term, last + BEYOND + number * BETWEEN_MEMBERS);
        let mut metadata = Metadata::clone(&base.metadata);
        metadata.version = at.index;
        metadata.recovery = (((metadata.recovery >> 32) + 1) << 32) + number;
        let recovered = base_at(metadata, &[number], Some(at));
        kept.entries.clear();
        self.rewrite(&mut kept, Base { vote: Some(Vote::new_committed(term, number)), ..recovered })
    }

    pub(super) fn vote(&self) -> Option<Vote> {
        self.kept.lock().base.vote
    }

    pub(super) fn save_vote(&self, vote: Vote) -> Result<(), ClusterError> {
        let mut kept = self.kept.lock();
        self.append_record(&mut kept, &Record::Vote(vote), true)?;
        kept.base.vote = Some(vote);
        Ok(())
    }

    /// The last entry that is no longer kept, and the last one that is known.
    pub(super) fn bounds(&self) -> (Option<LogId>, Option<LogId>) {
        let kept = self.kept.lock();
        let last = kept.entries.last_key_value().map(|(_, entry)| entry.log_id());
        (kept.base.purged, last.or(kept.base.purged))
    }

    pub(super) fn entries(&self, range: impl std::ops::RangeBounds<u64>) -> Vec<Entry> {
        self.kept.lock().entries.range(range).map(|(_, entry)| entry.clone()).collect()
    }

    pub(super) fn append(&self, entries: Vec<Entry>) -> Result<(), ClusterError> {
        let mut kept = self.kept.lock();
        let record = Record::Entries(entries);
        self.append_record(&mut kept, &record, true)?;
        if let Record::Entries(entries) = record {
            kept.entries.extend(entries.into_iter().map(|entry| (entry.log_id().index, entry)));
        }
        Ok(())
    }

    pub(super) fn truncate_after(&self, last: Option<u64>) -> Result<(), ClusterError> {
        let mut kept = self.kept.lock();
        self.append_record(&mut kept, &Record::Truncated(last), true)?;
        kept.truncate_after(last);
        Ok(())
    }

    pub(super) fn purge(&self, upto: LogId) -> Result<(), ClusterError> {
        let mut kept = self.kept.lock();
        // If it is lost, more entries are kept than need be.
        self.append_record(&mut kept, &Record::Purged(upto), false)?;
        kept.purge(upto);
        Ok(())
    }

    pub(super) fn applied(&self) -> (Option<LogId>, StoredMembership) {
        let kept = self.kept.lock();
        (kept.base.applied, kept.base.voters.clone())
    }

    /// Who votes, by what is applied.
    #[must_use]
    pub fn applied_voters(&self) -> BTreeSet<u64> {
        self.kept.lock().base.voters.voter_ids().collect()
    }

    /// Groups of voters, a majority of each of which has to agree: by the last entry that says so, applied or not.
    #[must_use]
    pub fn quorums(&self) -> Vec<BTreeSet<u64>> {
        let kept = self.kept.lock();
        let last = kept.entries.values().rev().find_map(|entry| match &entry.payload {
            EntryPayload::Membership(membership) => Some(membership),
            _ => None,
        });
        last.unwrap_or_else(|| kept.base.voters.membership()).get_joint_config().clone()
    }

    /// Applies entries, makes that durable, and tells of it: so a start never knows less than what
    /// has been used. Returns what came of each.
    pub(super) fn apply(&self, entries: &[Entry]) -> Result<Vec<Outcome>, ClusterError> {
        let mut kept = self.kept.lock();
        let Some(last) = entries.last() else { return Ok(Vec::new()) };
        let mut base = kept.base.clone();
        let outcomes = entries.iter().map(|entry| self.apply_entry(&mut base, entry)).collect();
        self.append_record(&mut kept, &Record::Applied(last.log_id()), true)?;
        kept.base = base;
        self.version.send_replace(kept.base.metadata.version);
        Ok(outcomes)
    }

    /// Replaces everything that is applied by a snapshot.
    pub(super) fn install(&self, meta: &SnapshotMeta, metadata: Arc<Metadata>) -> Result<(), ClusterError> {
        let mut kept = self.kept.lock();
        // Others may have told of more already.
        let present = &kept.base.metadata;
        let metadata = if present.version > metadata.version { Arc::clone(present) } else { metadata };
        let base = Base {
            metadata,
            applied: meta.last_log_id,
            voters: meta.last_membership.clone(),
            ..kept.base.clone()
        };
        self.rewrite(&mut kept, base)
    }

    fn append_record(&self, kept: &mut Kept, record: &Record, sync: bool) -> Result<(), ClusterError> {
        if kept.journal.needs_successor() {
            let base = kept.base.clone();
            self.rewrite(kept, base)?;
        }
        let sync = sync && !self.mutants.has("metadata-no-sync");
        Ok(kept.journal.append(&serde_json::to_vec(record).unwrap_or_default(), sync)?)
    }

    fn apply_entry(&self, base: &mut Base, entry: &Entry) -> Outcome {
        if !self.mutants.has("schema-epoch-is-not-compared") {
            return apply_entry(base, entry);
        }
        let mut entry = entry.clone();
        if let EntryPayload::Normal(super::Change::Schema { expected_epoch, .. }) = &mut entry.payload {
            *expected_epoch = base.metadata.schema.epoch;
        }
        apply_entry(base, &entry)
    }

    fn rewrite(&self, kept: &mut Kept, base: Base) -> Result<(), ClusterError> {
        let mut whole = base.clone();
        whole.entries = kept.entries.values().cloned().collect();
        kept.journal = begin(&*self.disk, &whole)?;
        kept.base = base;
        self.version.send_replace(kept.base.metadata.version);
        Ok(())
    }
}

impl Base {
    /// True if this is the only member, and nobody else votes.
    fn is_alone(&self) -> bool {
        self.metadata.members.len() == 1 && self.voters.voter_ids().count() <= 1
    }

    /// True if a change takes a member away that votes, or is the last step of another one that takes its place: the others
    /// might not be enough to agree on anything, not even on others who vote.
    fn takes_a_voter(&self, change: &Change) -> bool {
        let goes = match change {
            Change::Advance { host, from: Status::Leaving | Status::Removing | Status::Departing } => host,
            Change::Advance { from: Status::Succeeding(other), .. } => other,
            _ => return false,
        };
        let number = self.metadata.number_of(*goes);
        number.is_some_and(|number| self.voters.voter_ids().any(|voter| voter == number))
    }

    /// Has the only member be where `here` says.
    fn relocate(&mut self, here: &Member) {
        let is_there = |member: &Member| (member.internode, member.native) == (here.internode, here.native);
        if self.metadata.member(here.host).is_none_or(is_there) {
            return;
        }
        for member in Arc::make_mut(&mut self.metadata).members.values_mut() {
            (member.internode, member.native) = (here.internode, here.native);
        }
        // Whoever votes later gets all of it, not the entries that led there.
        if let Some(applied) = self.applied {
            self.entries.retain(|entry| entry.log_id().index > applied.index);
            self.purged = Some(applied);
        }
    }
}

impl Kept {
    fn truncate_after(&mut self, last: Option<u64>) {
        match last {
            Some(last) => drop(self.entries.split_off(&(last + 1))),
            None => self.entries.clear(),
        }
    }

    fn purge(&mut self, upto: LogId) {
        self.entries = self.entries.split_off(&(upto.index + 1));
        self.base.purged = Some(upto);
    }
}

/// The metadata of a new log, as the entry that all of `voters` are taken to have applied.
fn base_of(metadata: Metadata, voters: &[u64], leads: bool) -> Base {
    let first = (!voters.is_empty()).then(|| LogId::new_term_index(1, 1));
    let vote = leads.then(|| Vote::new_committed(1, voters.first().copied().unwrap_or(1)));
    Base { vote, ..base_at(metadata, voters, first) }
}

/// A log that begins behind an entry, in which nobody has been voted for.
fn base_at(metadata: Metadata, voters: &[u64], first: Option<LogId>) -> Base {
    let membership = Membership::new_with_defaults(
        if voters.is_empty() { Vec::new() } else { vec![voters.iter().copied().collect()] },
        [],
    );
    Base {
        metadata: Arc::new(metadata),
        applied: first,
        voters: StoredMembership::new(first, membership),
        vote: None,
        purged: first,
        entries: Vec::new(),
    }
}

fn apply_entry(base: &mut Base, entry: &Entry) -> Outcome {
    base.applied = Some(entry.log_id());
    match &entry.payload {
        EntryPayload::Blank => {}
        EntryPayload::Membership(membership) => {
            base.voters = StoredMembership::new(base.applied, membership.clone());
        }
        // It is in what another member has told already.
        EntryPayload::Normal(_) if entry.log_id().index <= base.metadata.version => {}
        EntryPayload::Normal(change) if base.takes_a_voter(change) => {
            return Outcome::Busy(format!("{change}: but it votes on the metadata log"));
        }
        EntryPayload::Normal(change) => match base.metadata.apply(change, entry.log_id().index) {
            Ok(metadata) => base.metadata = Arc::new(metadata),
            Err(outcome) => return outcome,
        },
    }
    Outcome::Applied(base.metadata.version)
}

/// Writes a file under another name, and renames it once it is durable. The writer goes on under
/// the new name.
fn begin(disk: &dyn Disk, base: &Base) -> Result<Journal, ClusterError> {
    let temporary = format!("{FILE}.tmp");
    let payload = serde_json::to_vec(base).unwrap_or_default();
    let mut journal = Journal::begin(disk, &FORMAT, &temporary, [payload])?;
    disk.rename(&temporary, FILE).map_err(|error| failed("renaming", &temporary, error))?;
    disk.sync_dir(DIRECTORY).map_err(|error| failed("syncing", DIRECTORY, error))?;
    journal.renamed(FILE);
    Ok(journal)
}

fn damaged(at: u64, reason: impl ToString) -> ClusterError {
    StorageError::Corrupt { path: FILE.into(), offset: at, reason: reason.to_string() }.into()
}

/// A record. Its checksum was right: what is not understood was written by another release.
fn understand<T: serde::de::DeserializeOwned>(at: u64, payload: &[u8]) -> Result<T, ClusterError> {
    serde_json::from_slice(payload).map_err(|error| {
        damaged(at, format!("this release does not understand a record, a later one has written it: {error}"))
    })
}

/// What a file holds, of whichever version it is.
fn read(disk: &dyn Disk, here: &Member) -> Result<Base, ClusterError> {
    let bytes = disk.read(FILE).map_err(|error| failed("reading", FILE, error))?;
    let records = journal::read(&FORMAT, FILE, &bytes)?;
    if bytes[8..10] == [3, 0] {
        return read_base(&records);
    }
    let metadata = Metadata::of_members([here.clone()], read_schema(&records)?);
    Ok(base_of(metadata, &[1], true))
}

fn read_base(records: &[(u64, &[u8])]) -> Result<Base, ClusterError> {
    let ((at, first), rest) = records.split_first().ok_or_else(|| damaged(0, "there is no metadata"))?;
    let mut base: Base = understand(*at, first)?;
    let mut entries: BTreeMap<u64, Entry> =
        std::mem::take(&mut base.entries).into_iter().map(|entry| (entry.log_id().index, entry)).collect();
    for (at, payload) in rest {
        let record: Record = understand(*at, payload)?;
        match record {
            Record::Vote(vote) => base.vote = Some(vote),
            Record::Entries(new) => {
                entries.extend(new.into_iter().map(|entry| (entry.log_id().index, entry)));
            }
            Record::Truncated(Some(last)) => drop(entries.split_off(&(last + 1))),
            Record::Truncated(None) => entries.clear(),
            Record::Applied(upto) => {
                let next = base.applied.map_or(0, |applied| applied.index + 1);
                for (_, entry) in entries.range(next..=upto.index) {
                    // What came of it was told when it was applied first.
                    let _ = apply_entry(&mut base, entry);
                }
                if base.applied != Some(upto) {
                    return Err(damaged(*at, "entries are missing that were applied"));
                }
            }
            Record::Purged(upto) => {
                entries = entries.split_off(&(upto.index + 1));
                base.purged = Some(upto);
            }
        }
    }
    base.entries = entries.into_values().collect();
    Ok(base)
}

/// The schema in a file of the first versions.
fn read_schema(records: &[(u64, &[u8])]) -> Result<Schema, ClusterError> {
    let ((at, first), rest) = records.split_first().ok_or_else(|| damaged(0, "there is no schema"))?;
    let mut schema = serde_json::from_slice(first).map_err(|error| damaged(*at, error))?;
    for (at, payload) in rest {
        let entry: EntryBefore = serde_json::from_slice(payload).map_err(|error| damaged(*at, error))?;
        schema = schema_change::apply(&schema, entry.expected_epoch, &entry.changes)?;
    }
    Ok(schema)
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
