//! The manifest: which files make up each table, and which parts of the commit log they cover.
//! A change counts once its record is on disk.
//!
//! It is a [`journal`](crate::journal) of [`Edit`]s.
//! Version 1 has no levels and no marks; it is read, and all its files
//! are of level 0.
//!
//! The file `manifest/CURRENT` names the file in use, with a checksum. Every start writes a new one, with the state
//! it found as its first records; so does a node that runs, when the file has become long or ends in
//! a record that a full disk did not take.

use crate::error::{IoContext, Result, corrupt};
use crate::journal::{Format, Journal, read, remove_if_there};
use crate::sstable::{FileSummary, Sstable, SstableId};
use dodona_env::{Disk, Mutants};
use dodona_types::TableId;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::Arc;

const DIRECTORY: &str = "manifest";
const CURRENT: &str = "manifest/CURRENT";
const FORMAT: Format = Format { magic: *b"DODONAMF", version: 2, marked_since: 2, name: "the manifest" };

/// A change of one table's files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The table.
    pub table: TableId,
    /// Files that belong to it from now on.
    pub added: Vec<SstableId>,
    /// What there is to know of files, added now or before, as long as they are not open.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub summaries: BTreeMap<SstableId, Arc<FileSummary>>,
    /// Files that do not any more.
    pub removed: Vec<SstableId>,
    /// Levels of files, added now or before, that have another than 0.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub levels: BTreeMap<SstableId, u8>,
    /// Files, added now or before, that are repaired: the second since the epoch at which the repair began.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub repaired: BTreeMap<SstableId, i64>,
    /// A part of the commit log whose changes to the table are in its files, or are gone for good.
    pub covered: Option<Range<u64>>,
    /// The table is dropped: all its files go.
    pub dropped: bool,
}

impl Edit {
    /// A change of nothing yet.
    #[must_use]
    pub const fn new(table: TableId) -> Self {
        Self {
            table,
            added: Vec::new(),
            summaries: BTreeMap::new(),
            removed: Vec::new(),
            levels: BTreeMap::new(),
            repaired: BTreeMap::new(),
            covered: None,
            dropped: false,
        }
    }
}

impl Edit {
    /// Tells of files, added now or before, what there is to know of them.
    pub fn describe(&mut self, files: &[Arc<Sstable>]) {
        self.summaries.extend(files.iter().map(|file| (file.id(), Arc::clone(file.file_summary()))));
    }
}

/// The files of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableFiles {
    /// The files.
    pub sstables: BTreeSet<SstableId>,
    /// What there is to know of them. Version 2 tells nothing of files that were added before it did.
    pub summaries: BTreeMap<SstableId, Arc<FileSummary>>,
    /// The levels of those of another level than 0.
    pub levels: BTreeMap<SstableId, u8>,
    /// Those that are repaired, and the second at which the repair began.
    pub repaired: BTreeMap<SstableId, i64>,
    /// The parts of the commit log they cover: disjoint, sorted.
    pub covered: Vec<Range<u64>>,
}

impl TableFiles {
    /// True if the change at this position of the commit log is in the files.
    #[must_use]
    pub fn covers(&self, position: u64) -> bool {
        self.covered.iter().any(|range| range.contains(&position))
    }

    fn apply(&mut self, edit: &Edit) {
        self.sstables.extend(&edit.added);
        self.sstables.retain(|id| !edit.removed.contains(id));
        self.summaries.extend(edit.summaries.iter().map(|(id, summary)| (*id, Arc::clone(summary))));
        self.summaries.retain(|id, _| self.sstables.contains(id));
        self.levels.extend(&edit.levels);
        self.levels.retain(|id, level| *level > 0 && self.sstables.contains(id));
        self.repaired.extend(&edit.repaired);
        self.repaired.retain(|id, _| self.sstables.contains(id));
        if let Some(range) = edit.covered.clone().filter(|range| !range.is_empty()) {
            self.covered.push(range);
            self.covered = union_of(std::mem::take(&mut self.covered));
        }
    }
}

/// Ranges that cover the same positions: disjoint, sorted, none next to another.
pub(crate) fn union_of(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    ranges.into_iter().fold(Vec::new(), |mut merged: Vec<Range<u64>>, range| {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
        merged
    })
}

/// The files of all tables.
pub type State = BTreeMap<TableId, TableFiles>;

fn apply(state: &mut State, edit: &Edit) {
    if edit.dropped {
        state.remove(&edit.table);
    } else {
        state.entry(edit.table).or_default().apply(edit);
    }
}

/// The manifest, open for changes.
pub struct Manifest {
    disk: Arc<dyn Disk>,
    mutants: Mutants,
    number: u64,
    journal: Journal,
    state: State,
}

impl Manifest {
    /// Reads the manifest, and begins a new file that holds what was read.
    ///
    /// # Errors
    /// The operating system's; the manifest is damaged or of a newer version.
    pub fn open(disk: Arc<dyn Disk>, mutants: Mutants) -> Result<Self> {
        disk.create_dir_all(DIRECTORY).during("creating", DIRECTORY)?;
        let current = read_current(&*disk)?;
        let state = match &current {
            Some(path) => read_state(&*disk, path)?,
            None => State::new(),
        };
        for name in disk.list(DIRECTORY).during("listing", DIRECTORY)? {
            let path = format!("{DIRECTORY}/{name}");
            if number_of(&path).is_some() && current.as_deref() != Some(&path) {
                remove_if_there(&*disk, &path)?;
            }
        }
        let number = current.as_deref().and_then(number_of).unwrap_or(0) + 1;
        let journal = begin(&*disk, number, &state)?;
        if let Some(old) = current.filter(|old| *old != journal.path()) {
            remove_if_there(&*disk, &old)?;
        }
        Ok(Self { disk, mutants, number, journal, state })
    }

    /// The files of all tables.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Makes a change durable.
    ///
    /// # Errors
    /// The disk is full: nothing has changed, and a later call may succeed. Or the disk has failed,
    /// and no change is taken any more.
    pub fn commit(&mut self, edit: &Edit) -> Result<()> {
        if self.mutants.has("manifest-goes-on-behind-a-tear") {
            self.journal.ignore_tear();
        }
        if self.journal.needs_successor() {
            self.begin_next()?;
        }
        let mut edit = Cow::Borrowed(edit);
        if self.mutants.has("manifest-tells-of-one-partition") {
            edit.to_mut().summaries.values_mut().map(Arc::make_mut).for_each(|it| {
                it.summary.last_token = it.summary.first_token;
            });
        }
        let payload = serde_json::to_vec(&*edit).unwrap_or_default();
        self.journal.append(&payload, !self.mutants.has("manifest-no-sync"))?;
        apply(&mut self.state, &edit);
        Ok(())
    }

    /// Goes on in another file. Until `CURRENT` names it the old one counts, and both say the same.
    fn begin_next(&mut self) -> Result<()> {
        self.number += 1;
        let old = std::mem::replace(&mut self.journal, begin(&*self.disk, self.number, &self.state)?);
        if let Err(error) = remove_if_there(&*self.disk, old.path()) {
            tracing::warn!(path = old.path(), %error, "an old manifest could not be removed; it goes at the next start");
        }
        Ok(())
    }

    /// The disk that the manifest is on.
    #[must_use]
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }
}

/// Writes a file that holds `state`, and makes it the one in use.
fn begin(disk: &dyn Disk, number: u64, state: &State) -> Result<Journal> {
    let path = format!("{DIRECTORY}/{number:010}.manifest");
    let edits = state.iter().flat_map(|(table, files)| edits_of(*table, files));
    let payloads = edits.map(|edit| serde_json::to_vec(&edit).unwrap_or_default());
    let journal = Journal::begin(disk, &FORMAT, &path, payloads)?;
    disk.sync_dir(DIRECTORY).during("syncing", DIRECTORY)?;
    let current = format!("{path} {:08x}", crc32c::crc32c(path.as_bytes()));
    disk.replace(CURRENT, current.as_bytes()).during("writing", CURRENT)?;
    Ok(journal)
}

/// The file in use, if there is one.
fn read_current(disk: &dyn Disk) -> Result<Option<String>> {
    let bytes = match disk.read(CURRENT) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).during("reading", CURRENT),
    };
    let damaged = || corrupt(CURRENT, 0, "it names no manifest");
    let text = String::from_utf8(bytes).map_err(|_| damaged())?;
    // Version 1 of the manifest had no checksum here.
    let (path, checksum) = text.split_once(' ').map_or((&*text, None), |(path, sum)| (path, Some(sum)));
    let is_right = checksum.is_none_or(|sum| *sum == format!("{:08x}", crc32c::crc32c(path.as_bytes())));
    if is_right && number_of(path).is_some() { Ok(Some(path.to_owned())) } else { Err(damaged()) }
}

fn edits_of(table: TableId, files: &TableFiles) -> Vec<Edit> {
    let mut first = Edit::new(table);
    first.added = files.sstables.iter().copied().collect();
    first.summaries.clone_from(&files.summaries);
    first.levels.clone_from(&files.levels);
    first.repaired.clone_from(&files.repaired);
    let mut edits = vec![first];
    edits.extend(files.covered.iter().map(|range| Edit { covered: Some(range.clone()), ..Edit::new(table) }));
    edits
}

fn number_of(path: &str) -> Option<u64> {
    path.strip_prefix(DIRECTORY)?.strip_prefix('/')?.strip_suffix(".manifest")?.parse().ok()
}

fn read_state(disk: &dyn Disk, path: &str) -> Result<State> {
    let bytes = disk.read(path).during("reading", path)?;
    let mut state = State::new();
    for (at, payload) in read(&FORMAT, path, &bytes)? {
        let edit = serde_json::from_slice(payload).map_err(|error| corrupt(path, at, error.to_string()))?;
        apply(&mut state, &edit);
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_long_manifest_is_written_anew_and_says_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Manifest::open(dodona_env::os::env(directory.path()).unwrap().disk, Mutants::none());
        let mut manifest = open().unwrap();
        let table = TableId(Uuid::from_u128(3));
        let first = manifest.journal.path().to_owned();
        let mut edit = Edit::new(table);
        let mut commits = 0;
        while manifest.journal.path() == first {
            edit.removed = std::mem::take(&mut edit.added);
            edit.added = (0..500).map(|_| SstableId(Uuid::from_u128(commits))).collect();
            edit.covered = Some(commits as u64 * 10..commits as u64 * 10 + 5);
            manifest.commit(&edit).unwrap();
            commits += 1;
            assert!(commits < 1000, "the file grows for ever");
        }
        let state = manifest.state().clone();
        assert_eq!(state[&table].covered.len(), commits as usize);
        let files = manifest.disk().list(DIRECTORY).unwrap();
        assert_eq!(files.len(), 2, "{files:?}");
        drop(manifest);
        assert_eq!(*open().unwrap().state(), state);
    }

    /// A manifest of one record, as a version wrote it.
    fn golden(version: u16, json: &str) -> Vec<u8> {
        let mut bytes = FORMAT.magic.to_vec();
        bytes.extend_from_slice(&version.to_le_bytes());
        let length = (json.len() as u32).to_le_bytes();
        let crc = crc32c::crc32c_append(crc32c::crc32c(&length), json.as_bytes());
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(&length);
        bytes.extend_from_slice(json.as_bytes());
        bytes
    }

    #[test]
    fn both_versions_are_read_and_levels_stay() {
        let table = "00000000-0000-0000-0000-000000000003";
        let files = r#"["00000000-0000-0000-0000-000000000001","00000000-0000-0000-0000-000000000002"]"#;
        let old = format!(
            r#"{{"table":"{table}","added":{files},"removed":[],"covered":{{"start":5,"end":9}},"dropped":false}}"#
        );
        let new = format!(
            r#"{{"table":"{table}","added":{files},"removed":[],"levels":{{"00000000-0000-0000-0000-000000000002":3}},"covered":{{"start":5,"end":9}},"dropped":false}}"#
        );
        let id = |n| SstableId(Uuid::from_u128(n));
        for (version, json, levels) in
            [(1, old, BTreeMap::new()), (2, new.clone(), BTreeMap::from([(id(2), 3)]))]
        {
            let directory = tempfile::tempdir().unwrap();
            let disk = dodona_env::os::env(directory.path()).unwrap().disk;
            disk.create_dir_all(DIRECTORY).unwrap();
            disk.replace("manifest/0000000001.manifest", &golden(version, &json)).unwrap();
            disk.replace(CURRENT, b"manifest/0000000001.manifest").unwrap();
            for _ in 0..2 {
                let manifest = Manifest::open(Arc::clone(&disk), Mutants::none()).unwrap();
                let files = &manifest.state()[&TableId(Uuid::from_u128(3))];
                assert_eq!(files.sstables, BTreeSet::from([id(1), id(2)]));
                assert_eq!((&files.levels, files.covers(5), files.covers(9)), (&levels, true, false));
            }
        }
        let edit: Edit = serde_json::from_str(&new).unwrap();
        assert_eq!(serde_json::to_string(&edit).unwrap(), new);
    }

    #[test]
    fn files_stay_repaired_until_they_go() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Manifest::open(dodona_env::os::env(directory.path()).unwrap().disk, Mutants::none());
        let table = TableId(Uuid::from_u128(3));
        let id = |n| SstableId(Uuid::from_u128(n));
        let repaired = r#"{"00000000-0000-0000-0000-000000000001":9}"#;
        let mut edit = Edit::new(table);
        edit.added = vec![id(1), id(2)];
        edit.repaired = serde_json::from_str(repaired).unwrap();
        assert!(serde_json::to_string(&edit).unwrap().contains(repaired));
        open().unwrap().commit(&edit).unwrap();
        for _ in 0..2 {
            assert_eq!(open().unwrap().state()[&table].repaired, BTreeMap::from([(id(1), 9)]));
        }
        let mut manifest = open().unwrap();
        manifest.commit(&Edit { removed: vec![id(1)], ..Edit::new(table) }).unwrap();
        assert!(manifest.state()[&table].repaired.is_empty());
    }
}
