//! What waits for members that missed it: in memory first, then in files of the folder `hints/`.

use super::format::{self, BadHeader, HEADER_BYTES, Header, MAX_MUTATION_BYTES};
use crate::error::ClusterError;
use dodona_env::Env;
use dodona_env::disk::DiskWriter;
use dodona_storage::StorageError;
use dodona_types::{MutationView, TableId};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

const FOLDER: &str = "hints";
const SUFFIX: &str = ".hints";

/// Settings of hints: plain data.
#[derive(Clone, Debug)]
pub struct HintSettings {
    /// Bytes that may wait for one target; no further hints are kept for it then.
    pub max_bytes_per_target: u64,
    /// Bytes that may wait in all.
    pub max_bytes: u64,
    /// Bytes that may wait in memory for the next write to the disk.
    pub max_buffered_bytes: u64,
    /// How long hints are gathered for one target.
    pub max_hint_window: Duration,
    /// A file that is longer is not added to.
    pub file_bytes: u64,
    /// How often hints are written and synced.
    pub sync_period: Duration,
    /// Bytes that are delivered to one target in a second, about.
    pub delivered_bytes_per_second: u64,
    /// How long a target may take for a hint.
    pub timeout: Duration,
}

impl Default for HintSettings {
    fn default() -> Self {
        Self {
            max_bytes_per_target: 4 << 30,
            max_bytes: 16 << 30,
            max_buffered_bytes: 32 << 20,
            max_hint_window: Duration::from_secs(3 * 3_600),
            file_bytes: 16 << 20,
            sync_period: Duration::from_secs(1),
            delivered_bytes_per_second: 1 << 20,
            timeout: Duration::from_secs(10),
        }
    }
}

/// Gives a table's present `gc_grace_seconds`, and none for a table that is dropped.
pub type GcGrace = Arc<dyn Fn(TableId) -> Option<u32> + Send + Sync>;

/// What has happened to hints since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Hints that were kept.
    pub written: u64,
    /// Hints that were not kept: past a bound, or past the window.
    pub refused: u64,
    /// Hints that the disk did not take.
    pub lost: u64,
    /// Hints that targets have acknowledged.
    pub delivered: u64,
    /// Hints that were too old to deliver, or of dropped tables.
    pub expired: u64,
    /// Files that were damaged and set aside.
    pub damaged_files: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) written: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) delivered: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) damaged_files: AtomicU64,
}

/// What waits for a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Files.
    pub files: usize,
    /// Bytes, of hints in memory too.
    pub bytes: u64,
    /// When the oldest hint was made, or its file begun, in seconds since the epoch.
    pub oldest_seconds: i64,
    /// When the newest file was begun, in seconds since the epoch.
    pub newest_seconds: i64,
}

/// A file of hints.
#[derive(Clone, Debug)]
pub(super) struct HintFile {
    pub(super) path: String,
    number: u64,
    created_seconds: i64,
    bytes: u64,
}

/// Hints of a target, in memory and in files.
#[derive(Default)]
struct Waiting {
    /// Records that no file has.
    buffer: Vec<u8>,
    buffered_hints: u64,
    buffered_since_seconds: i64,
    /// The oldest first.
    files: VecDeque<HintFile>,
    /// Up to where the oldest file is delivered.
    offset: u64,
}

impl Waiting {
    fn bytes(&self) -> u64 {
        self.buffer.len() as u64 + self.files.iter().map(|file| file.bytes).sum::<u64>()
    }

    fn oldest_seconds(&self) -> Option<i64> {
        let buffered = (!self.buffer.is_empty()).then_some(self.buffered_since_seconds);
        self.files.front().map(|file| file.created_seconds).or(buffered)
    }
}

#[derive(Default)]
struct State {
    targets: BTreeMap<Uuid, Waiting>,
    bytes: u64,
    buffered_bytes: u64,
    next_number: u64,
    /// Files of targets that were forgotten.
    to_remove: Vec<String>,
    /// Targets that are delivered to.
    delivering: BTreeSet<Uuid>,
}

impl State {
    fn lists(&self, target: Uuid, number: u64) -> bool {
        let waiting = self.targets.get(&target);
        waiting.is_some_and(|waiting| waiting.files.iter().any(|file| file.number == number))
    }
}

/// A file that takes hints.
struct OpenFile {
    number: u64,
    path: String,
    writer: Arc<dyn DiskWriter>,
    bytes: u64,
    is_dirty: bool,
}

/// The hints that wait on a node. Clones are the same.
#[derive(Clone)]
pub struct Hints {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) env: Env,
    pub(super) settings: HintSettings,
    pub(super) gc_grace: GcGrace,
    pub(super) counters: Counters,
    /// Held for moments only.
    state: Mutex<State>,
    /// The files that take hints, by target; held while the disk works, taken before `state`.
    open: Mutex<BTreeMap<Uuid, OpenFile>>,
    is_full: Notify,
}

pub(super) fn failed(action: &'static str, path: &str, source: io::Error) -> StorageError {
    StorageError::Io { action, path: path.to_owned(), source: Arc::new(source) }
}

impl Hints {
    /// The hints that an earlier life of the node left, and those to come. [`Self::run`] has to be
    /// spawned.
    ///
    /// # Errors
    /// The operating system refuses, or a newer version left hints.
    pub fn open(env: Env, settings: HintSettings, gc_grace: GcGrace) -> Result<Self, ClusterError> {
        env.disk.create_dir_all(FOLDER).map_err(|error| failed("creating", FOLDER, error))?;
        let inner = Inner {
            env,
            settings,
            gc_grace,
            counters: Counters::default(),
            state: Mutex::default(),
            open: Mutex::default(),
            is_full: Notify::new(),
        };
        inner.find_files()?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Keeps a mutation for a member that missed it. False if it is not kept: too much waits, or the
    /// member has been away for too long, or the table is dropped.
    #[must_use]
    pub fn write(&self, target: Uuid, mutation: &[u8]) -> bool {
        let is_kept = self.inner.write(target, mutation);
        let Counters { written, refused, .. } = &self.inner.counters;
        let counter = if is_kept { written } else { refused };
        counter.fetch_add(1, Relaxed);
        is_kept
    }

    /// Writes what is in memory to files, and syncs it. It waits for the disk.
    ///
    /// # Errors
    /// The operating system's, the first of them. Hints that the disk did not take are counted as
    /// lost; those that come later go to another file.
    pub fn sync(&self) -> Result<(), ClusterError> {
        self.inner.sync(None).map(drop).map_err(ClusterError::from)
    }

    /// Writes and syncs once a period, and sooner when much waits in memory, for ever.
    pub async fn run(self) {
        loop {
            let period = self.inner.settings.sync_period;
            // Either is a reason.
            let _ = tokio::time::timeout(period, self.inner.is_full.notified()).await;
            let hints = self.clone();
            let synced = self.inner.env.tasks.blocking(move || hints.sync()).await;
            if let Ok(Err(error)) = synced {
                tracing::error!(%error, "hints could not be written");
            }
        }
    }

    /// What waits, by target.
    #[must_use]
    pub fn pending(&self) -> BTreeMap<Uuid, Pending> {
        let state = self.inner.state.lock();
        let of = |waiting: &Waiting| {
            let oldest_seconds = waiting.oldest_seconds()?;
            let newest = waiting.files.back().map(|file| file.created_seconds);
            Some(Pending {
                files: waiting.files.len(),
                bytes: waiting.bytes(),
                oldest_seconds,
                newest_seconds: newest.unwrap_or(oldest_seconds),
            })
        };
        state.targets.iter().filter_map(|(target, waiting)| Some((*target, of(waiting)?))).collect()
    }

    /// What has happened since the start.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Relaxed);
        let counters = &self.inner.counters;
        Counts {
            written: of(&counters.written),
            refused: of(&counters.refused),
            lost: of(&counters.lost),
            delivered: of(&counters.delivered),
            expired: of(&counters.expired),
            damaged_files: of(&counters.damaged_files),
        }
    }

    /// Drops what waits for a member that is no more. Its files go with the next sync.
    pub fn forget(&self, target: Uuid) {
        let mut state = self.inner.state.lock();
        if let Some(waiting) = state.targets.remove(&target) {
            state.bytes -= waiting.bytes();
            state.buffered_bytes -= waiting.buffer.len() as u64;
            state.to_remove.extend(waiting.files.into_iter().map(|file| file.path));
        }
    }
}

impl Inner {
    fn find_files(&self) -> Result<(), ClusterError> {
        let disk = &self.env.disk;
        let mut state = self.state.lock();
        for name in disk.list(FOLDER).map_err(|error| failed("listing", FOLDER, error))? {
            let path = format!("{FOLDER}/{name}");
            let number = name.strip_suffix(SUFFIX).and_then(|name| name.split('.').next_back()?.parse().ok());
            let Some(number) = number else { continue };
            state.next_number = state.next_number.max(number + 1);
            let read = || {
                let reader = disk.open(&path)?;
                let bytes = reader.len()?;
                let mut header = vec![0; HEADER_BYTES.min(bytes as usize)];
                reader.read_at(0, &mut header)?;
                Ok((bytes, Header::decode(&header)))
            };
            let (bytes, header) = read().map_err(|error| failed("reading", &path, error))?;
            match header {
                Ok(Header { target, created_seconds }) => {
                    let file = HintFile { path, number, created_seconds, bytes };
                    state.targets.entry(target).or_default().files.push_back(file);
                    state.bytes += bytes;
                }
                Err(BadHeader::Torn) => state.to_remove.push(path),
                Err(BadHeader::Newer(found)) => {
                    return Err(StorageError::NewerFormat { path, found, supported: format::VERSION }.into());
                }
                Err(BadHeader::Damaged(reason)) => self.set_aside(&path, 0, reason),
            }
        }
        for waiting in state.targets.values_mut() {
            waiting.files.make_contiguous().sort_unstable_by_key(|file| file.number);
        }
        Ok(())
    }

    /// Names a damaged file, and takes it out of the way for somebody to look at.
    pub(super) fn set_aside(&self, path: &str, offset: u64, reason: &str) {
        tracing::error!(path, offset, reason, "a file of hints is damaged and set aside: repair the member");
        self.counters.damaged_files.fetch_add(1, Relaxed);
        let disk = &self.env.disk;
        let renamed = disk.rename(path, &format!("{path}.damaged")).and_then(|()| disk.sync_dir(FOLDER));
        if let Err(error) = renamed {
            tracing::error!(%error, path, "it could not be renamed");
        }
    }

    fn write(&self, target: Uuid, mutation: &[u8]) -> bool {
        let Ok(table) = MutationView::parse(mutation).map(|view| view.table) else { return false };
        let Some(gc_grace_seconds) = (self.gc_grace)(table) else { return false };
        let now = self.env.clock.wall_seconds();
        let settings = &self.settings;
        let bytes = format::hint_bytes(mutation.len()) as u64;
        let mut state = self.state.lock();
        let waiting = state.targets.get(&target);
        let window = i64::try_from(settings.max_hint_window.as_secs()).unwrap_or(i64::MAX);
        let since = waiting.and_then(Waiting::oldest_seconds).unwrap_or(now);
        if mutation.len() > MAX_MUTATION_BYTES
            || now.saturating_sub(since) > window
            || waiting.map_or(0, Waiting::bytes) + bytes > settings.max_bytes_per_target
            || state.bytes + bytes > settings.max_bytes
            || state.buffered_bytes + bytes > settings.max_buffered_bytes
        {
            return false;
        }
        state.bytes += bytes;
        state.buffered_bytes += bytes;
        if state.buffered_bytes > settings.max_buffered_bytes / 4 {
            self.is_full.notify_one();
        }
        let waiting = state.targets.entry(target).or_default();
        if waiting.buffer.is_empty() {
            waiting.buffered_since_seconds = now;
        }
        waiting.buffered_hints += 1;
        format::put_hint(&mut waiting.buffer, now, gc_grace_seconds, mutation);
        true
    }

    /// Writes and syncs everything, and ends the file of a target, so that it can be read. Returns the
    /// number below which that target's files have ended.
    pub(super) fn sync(&self, to_end: Option<Uuid>) -> Result<u64, StorageError> {
        let mut open = self.open.lock();
        let (buffered, to_remove) = {
            let mut state = self.state.lock();
            // The others were forgotten.
            open.retain(|target, file| state.lists(*target, file.number));
            let waiting = state.targets.iter().filter(|(_, waiting)| !waiting.buffer.is_empty());
            let buffered: Vec<Uuid> = waiting.map(|(target, _)| *target).collect();
            (buffered, std::mem::take(&mut state.to_remove))
        };
        let mut result = Ok(());
        for target in buffered {
            result = result.and(self.flush(&mut open, target));
        }
        let mut kept = BTreeMap::new();
        for (target, mut file) in std::mem::take(&mut *open) {
            let is_to_end = to_end == Some(target) || file.bytes > self.settings.file_bytes;
            match self.bring_to_disk(target, &mut file, is_to_end) {
                Ok(()) if is_to_end => {}
                Ok(()) => drop(kept.insert(target, file)),
                // What is on disk of it is unknown: the next hints go to another file.
                Err(error) => result = result.and(Err(error)),
            }
        }
        *open = kept;
        for path in to_remove {
            // What is still there is found again by the next start.
            let _ = self.env.disk.remove(&path);
        }
        result.map(|()| self.state.lock().next_number)
    }

    /// Appends a target's hints in memory to its file.
    fn flush(&self, open: &mut BTreeMap<Uuid, OpenFile>, target: Uuid) -> Result<(), StorageError> {
        let (buffer, hints, since) = {
            let mut state = self.state.lock();
            let Some(waiting) = state.targets.get_mut(&target) else { return Ok(()) };
            let taken = std::mem::take(&mut waiting.buffer);
            let hints = std::mem::take(&mut waiting.buffered_hints);
            let since = waiting.buffered_since_seconds;
            state.buffered_bytes -= taken.len() as u64;
            state.bytes -= taken.len() as u64;
            (taken, hints, since)
        };
        let appended = match open.remove(&target) {
            Some(file) => Ok(file),
            None => self.begin_file(target, since),
        }
        .and_then(|mut file| {
            file.writer.append(&buffer).map_err(|error| failed("writing", &file.path, error))?;
            self.grow(target, &mut file, buffer.len() as u64);
            open.insert(target, file);
            Ok(())
        });
        if appended.is_err() {
            self.counters.lost.fetch_add(hints, Relaxed);
        }
        appended
    }

    fn begin_file(&self, target: Uuid, created_seconds: i64) -> Result<OpenFile, StorageError> {
        let number = {
            let mut state = self.state.lock();
            state.next_number += 1;
            state.next_number - 1
        };
        let path = format!("{FOLDER}/{target}.{number:010}{SUFFIX}");
        let writer = self.env.disk.create(&path).map_err(|error| failed("creating", &path, error))?;
        let mut file = OpenFile { number, path, writer, bytes: 0, is_dirty: true };
        let header = Header { target, created_seconds }.encode();
        let written = file.writer.append(&header).and_then(|()| self.env.disk.sync_dir(FOLDER));
        if let Err(error) = written {
            self.state.lock().to_remove.push(file.path.clone());
            return Err(failed("writing", &file.path, error));
        }
        let mut state = self.state.lock();
        let (path, number) = (file.path.clone(), file.number);
        match state.targets.get_mut(&target) {
            Some(waiting) => waiting.files.push_back(HintFile { path, number, created_seconds, bytes: 0 }),
            None => state.to_remove.push(path),
        }
        drop(state);
        self.grow(target, &mut file, HEADER_BYTES as u64);
        Ok(file)
    }

    fn grow(&self, target: Uuid, file: &mut OpenFile, bytes: u64) {
        file.bytes += bytes;
        file.is_dirty = true;
        let mut state = self.state.lock();
        let listed = state.targets.get_mut(&target).map(|waiting| &mut waiting.files);
        if let Some(listed) = listed.and_then(|files| files.iter_mut().find(|f| f.number == file.number)) {
            listed.bytes += bytes;
            state.bytes += bytes;
        }
    }

    fn bring_to_disk(&self, target: Uuid, file: &mut OpenFile, is_to_end: bool) -> Result<(), StorageError> {
        if file.is_dirty {
            file.writer.sync().map_err(|error| failed("syncing", &file.path, error))?;
            file.is_dirty = false;
        }
        if is_to_end {
            let mut end = Vec::new();
            format::put_end(&mut end, file.bytes);
            file.writer.append(&end).map_err(|error| failed("writing", &file.path, error))?;
            self.grow(target, file, end.len() as u64);
        }
        Ok(())
    }

    /// Begins a delivery. False if one is under way.
    pub(super) fn begin_delivery(&self, target: Uuid) -> bool {
        self.state.lock().delivering.insert(target)
    }

    /// Ends a delivery.
    pub(super) fn end_delivery(&self, target: Uuid) {
        self.state.lock().delivering.remove(&target);
    }

    /// The oldest file of a target, if its number is below this one, and up to where it is delivered.
    pub(super) fn oldest(&self, target: Uuid, below: u64) -> Option<(HintFile, u64)> {
        let state = self.state.lock();
        let waiting = state.targets.get(&target)?;
        let oldest = waiting.files.front().filter(|file| file.number < below)?;
        Some((oldest.clone(), waiting.offset.max(HEADER_BYTES as u64)))
    }

    /// Notes up to where the oldest file of a target is delivered.
    pub(super) fn advance(&self, target: Uuid, offset: u64) {
        if let Some(waiting) = self.state.lock().targets.get_mut(&target) {
            waiting.offset = offset;
        }
    }

    /// Takes the oldest file of a target, which is delivered or damaged, from the list.
    pub(super) fn take_oldest(&self, target: Uuid, file: &HintFile) {
        let mut state = self.state.lock();
        let Some(waiting) = state.targets.get_mut(&target) else { return };
        if waiting.files.front().is_some_and(|oldest| oldest.number == file.number) {
            let bytes = waiting.files.pop_front().map_or(0, |oldest| oldest.bytes);
            waiting.offset = 0;
            if waiting.files.is_empty() && waiting.buffer.is_empty() {
                state.targets.remove(&target);
            }
            state.bytes -= bytes;
        }
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
