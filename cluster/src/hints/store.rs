//! Keeps hints: in memory first, then in files of the folder `hints/`.

use super::format::{self, BadHeader, HEADER_BYTES, Header, Hint};
use super::settings::{Counters, Counts, HintSettings, Lookup, Pending};
use super::switches::Switches;
use super::voided::{self, Voided};
use super::waiting::{HintFile, Waiting};
use crate::error::ClusterError;
use dodona_env::Env;
use dodona_env::disk::DiskWriter;
use dodona_storage::StorageError;
use dodona_types::{MutationView, TableId};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::Notify;
use uuid::Uuid;

const FOLDER: &str = "hints";
const SUFFIX: &str = ".hints";

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
    pub(super) switches: Switches,
    pub(super) lookup: Lookup,
    pub(super) counters: Counters,
    /// Held for moments only.
    pub(super) waiting: Mutex<Waiting>,
    /// The files that take hints, by target; held while the disk works, taken before `waiting`.
    open: Mutex<BTreeMap<Uuid, OpenFile>>,
    is_full: Notify,
    pub(super) voided: Mutex<Voided>,
    /// Held while hints are under way.
    pub(super) sending: tokio::sync::RwLock<()>,
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
    pub fn open(env: Env, settings: HintSettings, lookup: Lookup) -> Result<Self, ClusterError> {
        env.disk.create_dir_all(FOLDER).map_err(|error| failed("creating", FOLDER, error))?;
        let inner = Inner {
            env,
            switches: Switches::new(&settings),
            settings,
            lookup,
            counters: Counters::default(),
            waiting: Mutex::default(),
            open: Mutex::default(),
            is_full: Notify::new(),
            voided: Mutex::default(),
            sending: tokio::sync::RwLock::default(),
        };
        inner.find_files()?;
        inner.find_voided()?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What operators change while the node runs.
    #[must_use]
    pub fn switches(&self) -> &Switches {
        &self.inner.switches
    }

    /// Keeps a mutation for a member that missed it. False if it is not kept: too much waits, or the
    /// member has been away for too long, or the table is dropped, or an operator wants none.
    #[must_use]
    pub fn write(&self, target: Uuid, mutation: &[u8]) -> bool {
        let is_kept = self.inner.write(target, mutation);
        let Counters { written, refused, .. } = &self.inner.counters;
        let counter = if is_kept { written } else { refused };
        counter.fetch_add(1, Relaxed);
        is_kept
    }

    /// Keeps hints that another member has kept until now, as a [`crate::message::Body::KeepHints`] has them, and brings them to
    /// the disk. Those of tables that are dropped are left out.
    ///
    /// # Errors
    /// They are malformed, or there is no room for all of them; some may be kept then. Or the operating system refuses.
    pub async fn keep(&self, bytes: Vec<u8>) -> Result<(), ClusterError> {
        let hints = self.clone();
        let kept = self.inner.env.tasks.blocking(move || hints.inner.keep(&bytes)).await;
        kept.map_err(|error| ClusterError::Invalid(error.to_string()))?
    }

    /// Writes what is in memory to files, and syncs it. It waits for the disk.
    ///
    /// # Errors
    /// The operating system's, the first of them. Hints that the disk did not take are counted as
    /// lost; those that come later go to another file.
    pub fn sync(&self) -> Result<(), ClusterError> {
        self.inner.sync(|_| false).map(drop).map_err(ClusterError::from)
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
        self.inner.waiting.lock().pending()
    }

    /// What has happened since the start.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.inner.counters.read()
    }

    /// The present moment, in the order of truncations.
    #[must_use]
    pub fn era(&self) -> u64 {
        self.inner.voided.lock().truncations.era()
    }

    /// True if the table of a mutation was truncated since a moment.
    #[must_use]
    pub fn is_void(&self, mutation: &[u8], era: u64) -> bool {
        let table = MutationView::parse(mutation).map(|view| view.table);
        table.is_ok_and(|table| self.inner.voided.lock().truncations.is_since(table, era))
    }

    /// Has no hint of a table delivered any more that is there, or is of a write that is under way: the table is to be
    /// truncated. Returns once none is on its way.
    ///
    /// # Errors
    /// The operating system's.
    pub async fn void(&self, table: TableId) -> Result<(), ClusterError> {
        if self.inner.env.mutants.has("truncation-leaves-hints") {
            return Ok(());
        }
        self.inner.voided.lock().truncations.begin(table);
        let inner = Arc::clone(&self.inner);
        let voided = self.inner.env.tasks.blocking(move || inner.void(table)).await;
        voided.map_err(|error| ClusterError::Invalid(error.to_string()))??;
        drop(self.inner.sending.write().await);
        Ok(())
    }

    /// Drops what waits for some members, or for all without a choice. Returns once nothing of it is on the disk or on its
    /// way.
    ///
    /// # Errors
    /// The operating system's.
    pub async fn truncate(&self, targets: Option<Vec<Uuid>>) -> Result<(), ClusterError> {
        let targets = targets.unwrap_or_else(|| self.inner.waiting.lock().targets());
        targets.into_iter().for_each(|target| self.forget(target));
        let inner = Arc::clone(&self.inner);
        let removed = self.inner.env.tasks.blocking(move || {
            inner.sync(|_| false)?;
            inner.env.disk.sync_dir(FOLDER).map_err(|error| failed("syncing", FOLDER, error))
        });
        removed.await.map_err(|error| ClusterError::Invalid(error.to_string()))??;
        drop(self.inner.sending.write().await);
        Ok(())
    }

    /// Drops what waits for a member that is no more. Its files go with the next sync.
    pub fn forget(&self, target: Uuid) {
        self.inner.waiting.lock().forget(target);
    }
}

impl Inner {
    fn find_files(&self) -> Result<(), ClusterError> {
        let disk = &self.env.disk;
        let mut waiting = self.waiting.lock();
        for name in disk.list(FOLDER).map_err(|error| failed("listing", FOLDER, error))? {
            let path = format!("{FOLDER}/{name}");
            let number = name.strip_suffix(SUFFIX).and_then(|name| name.split('.').next_back()?.parse().ok());
            let Some(number) = number else { continue };
            waiting.skip_number(number);
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
                    waiting.add_file(target, HintFile { path, number, created_seconds, bytes });
                }
                Err(BadHeader::Torn) => waiting.remove(path),
                Err(BadHeader::Newer(found)) => {
                    return Err(StorageError::NewerFormat { path, found, supported: format::VERSION }.into());
                }
                Err(BadHeader::Damaged(reason)) => self.set_aside(&path, 0, reason),
            }
        }
        Ok(())
    }

    fn find_voided(&self) -> Result<(), ClusterError> {
        let mut waiting = self.waiting.lock();
        let voided = Voided::open(&*self.env.disk, waiting.oldest_number())?;
        if let Some(last) = voided.next_number().checked_sub(1) {
            waiting.skip_number(last);
        }
        *self.voided.lock() = voided;
        Ok(())
    }

    fn void(&self, table: TableId) -> Result<(), StorageError> {
        let below = self.sync(|_| true)?;
        // Files that were delivered and removed must not be back after a crash.
        self.env.disk.sync_dir(FOLDER).map_err(|error| failed("syncing", FOLDER, error))?;
        let Some(oldest) = self.waiting.lock().oldest_number() else { return Ok(()) };
        let kept = self.voided.lock().void(table, below, oldest);
        voided::keep(&*self.env.disk, &kept)
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
        let Some(gc_grace_seconds) = (self.lookup.gc_grace)(table) else { return false };
        if !self.switches.keep_for(|| (self.lookup.data_center)(target)) {
            return false;
        }
        let written_seconds = self.env.clock.wall_seconds();
        let hint = Hint { written_seconds, gc_grace_seconds, mutation: mutation.into() };
        let mut waiting = self.waiting.lock();
        let is_kept = waiting.put(target, &hint, &self.settings, self.switches.max_window());
        if is_kept && waiting.is_filling(&self.settings) {
            self.is_full.notify_one();
        }
        is_kept
    }

    fn keep(&self, bytes: &[u8]) -> Result<(), ClusterError> {
        let malformed = || ClusterError::Peer("hints to be kept are malformed".into());
        let (target, records) = bytes.split_at_checked(16).ok_or_else(malformed)?;
        let target = Uuid::from_slice(target).map_err(|_| malformed())?;
        for hint in format::hints_of(records).ok_or_else(malformed)? {
            let table = MutationView::parse(&hint.mutation).map_err(StorageError::from)?.table;
            let (is_wanted, window) = ((self.lookup.gc_grace)(table).is_some(), self.switches.max_window());
            if is_wanted && !self.waiting.lock().put(target, &hint, &self.settings, window) {
                return Err(ClusterError::Invalid(format!("there is no room for hints for {target}")));
            }
        }
        self.sync(|_| false).map(drop).map_err(ClusterError::from)
    }

    /// Writes and syncs everything, and ends the files of some targets, so that they can be read. Returns the
    /// number below which these targets' files have ended.
    pub(super) fn sync(&self, ends: impl Fn(Uuid) -> bool) -> Result<u64, StorageError> {
        let mut open = self.open.lock();
        let (buffered, to_remove) = {
            let mut waiting = self.waiting.lock();
            // The others were forgotten.
            open.retain(|target, file| waiting.lists(*target, file.number));
            (waiting.buffered(), waiting.take_removed())
        };
        let mut result = Ok(());
        for target in buffered {
            result = result.and(self.flush(&mut open, target));
        }
        let mut kept = BTreeMap::new();
        for (target, mut file) in std::mem::take(&mut *open) {
            let is_to_end = ends(target) || file.bytes > self.settings.file_bytes;
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
        result.map(|()| self.waiting.lock().next_number())
    }

    /// Appends a target's hints in memory to its file.
    fn flush(&self, open: &mut BTreeMap<Uuid, OpenFile>, target: Uuid) -> Result<(), StorageError> {
        let Some(buffer) = self.waiting.lock().take_buffer(target) else { return Ok(()) };
        let appended = match open.remove(&target) {
            Some(file) => Ok(file),
            None => self.begin_file(target, buffer.since_seconds),
        }
        .and_then(|mut file| {
            file.writer.append(&buffer.records).map_err(|error| failed("writing", &file.path, error))?;
            self.grow(target, &mut file, buffer.records.len() as u64);
            open.insert(target, file);
            Ok(())
        });
        if appended.is_err() {
            self.counters.lost.fetch_add(buffer.hints, Relaxed);
        }
        appended
    }

    fn begin_file(&self, target: Uuid, created_seconds: i64) -> Result<OpenFile, StorageError> {
        let number = self.waiting.lock().take_number();
        let path = format!("{FOLDER}/{target}.{number:010}{SUFFIX}");
        let writer = self.env.disk.create(&path).map_err(|error| failed("creating", &path, error))?;
        let mut file = OpenFile { number, path, writer, bytes: 0, is_dirty: true };
        let header = Header { target, created_seconds }.encode();
        let written = file.writer.append(&header).and_then(|()| self.env.disk.sync_dir(FOLDER));
        if let Err(error) = written {
            self.waiting.lock().remove(file.path.clone());
            return Err(failed("writing", &file.path, error));
        }
        let path = file.path.clone();
        self.waiting.lock().begin_file(target, HintFile { path, number, created_seconds, bytes: 0 });
        self.grow(target, &mut file, HEADER_BYTES as u64);
        Ok(file)
    }

    fn grow(&self, target: Uuid, file: &mut OpenFile, bytes: u64) {
        file.bytes += bytes;
        file.is_dirty = true;
        self.waiting.lock().grow(target, file.number, bytes);
    }

    fn bring_to_disk(&self, target: Uuid, file: &mut OpenFile, is_to_end: bool) -> Result<(), StorageError> {
        if file.is_dirty && !self.env.mutants.has("hints-no-sync") {
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
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
