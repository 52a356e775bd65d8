//! Appends to the commit log.

mod ended;
mod turn;

use super::DIRECTORY;
use super::archive::Archive;
use super::format::{self, RecordKind};
use super::reader::Replayed;
use super::segment::{Active, SegmentFiles};
use crate::error::{IoContext, Result, StorageError};
use crate::settings::{ArchiveSettings, SyncMode};
use crate::sync::Mutex;
use crate::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use dodona_env::disk::DiskWriter;
use dodona_env::{Disk, Env};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Poll, Waker};
use tokio::sync::Notify;
use turn::SyncTurn;

/// The log that all tables share. See [the module](super) for how writes are grouped.
pub struct CommitLog {
    env: Env,
    mode: SyncMode,
    segment_bytes: u64,
    buffer: Mutex<Buffer>,
    segments: SegmentFiles,
    archive: Archive,
    file: Mutex<Files>,
    /// Told when a segment has ended, or has no file to follow it.
    upkeep: Notify,
    /// Everything below is with the operating system.
    written: AtomicU64,
    /// Everything below is on disk.
    synced: AtomicU64,
    waiting: Mutex<Waiting>,
    /// Held while files are synced: one after another.
    turn: Arc<SyncTurn>,
    /// Held by the one that syncs for [`Self::wait_synced`].
    syncing: tokio::sync::Mutex<()>,
    /// Positions whose records a full disk did not take.
    lost: Mutex<Vec<Range<u64>>>,
    has_lost: AtomicBool,
}

struct Buffer {
    bytes: Vec<u8>,
    /// The position of the first byte of `bytes`.
    start: u64,
    /// Why nothing is taken any more.
    failed: Option<String>,
}

struct Files {
    active: Option<Active>,
    /// The number of the segment begun last.
    last_sequence: u64,
    /// Segments that ended before they were synced.
    unsynced: Vec<Arc<dyn DiskWriter>>,
    /// Segments by base position, the active one as well.
    segments: BTreeMap<u64, Extent>,
    /// Buffers given back, to be filled again.
    spare: Vec<u8>,
}

/// A segment's file and what it holds.
#[derive(Clone, Copy)]
struct Extent {
    sequence: u64,
    /// The position behind the last record.
    end: u64,
    is_allocated: bool,
    /// No table needs it: it waits to be archived.
    is_spent: bool,
}

/// Segments to bring to the disk, of which the first `ended` have ended.
struct ToSync {
    writers: Vec<Arc<dyn DiskWriter>>,
    ended: usize,
}

#[derive(Default)]
struct Waiting {
    has_leader: bool,
    wakers: Vec<Waker>,
}

impl CommitLog {
    /// Opens the log to go on at `end`, behind what [`super::reader::replay`] found.
    #[must_use]
    pub fn open(
        env: Env,
        (mode, segment_bytes): (SyncMode, u64),
        archive: ArchiveSettings,
        replayed: &Replayed,
        end: u64,
    ) -> Self {
        let segments = replayed.segments.iter().map(|segment| {
            let extent = Extent {
                sequence: segment.sequence,
                end: segment.end_position,
                is_allocated: false,
                is_spent: false,
            };
            (segment.base_position, extent)
        });
        let files = Files {
            active: None,
            last_sequence: replayed.segments.last().map_or(0, |segment| segment.sequence),
            unsynced: Vec::new(),
            segments: segments.collect(),
            spare: Vec::new(),
        };
        Self {
            mode,
            segment_bytes,
            buffer: Mutex::new(Buffer { bytes: Vec::new(), start: end, failed: None }),
            segments: SegmentFiles::new(env.clone(), segment_bytes, replayed.next_sequence.max(1)),
            archive: Archive::new(env.clone(), archive),
            file: Mutex::new(files),
            upkeep: Notify::new(),
            written: AtomicU64::new(end),
            synced: AtomicU64::new(end),
            waiting: Mutex::default(),
            turn: Arc::default(),
            syncing: tokio::sync::Mutex::new(()),
            lost: Mutex::new(replayed.gaps(end)),
            has_lost: AtomicBool::new(false),
            env,
        }
    }

    /// Appends one record of mutations to the buffer. Returns the position of the record and the
    /// one to [`wait`](Self::wait) for.
    ///
    /// # Errors
    /// The log has failed.
    pub fn append<'m>(&self, mutations: impl Iterator<Item = &'m [u8]>) -> Result<(u64, u64)> {
        let mut buffer = self.buffer.lock();
        if let Some(reason) = &buffer.failed {
            return Err(StorageError::LogFailed(reason.clone()));
        }
        let position = buffer.start + buffer.bytes.len() as u64;
        format::put_record(&mut buffer.bytes, position, RecordKind::Mutations, |out| {
            for mutation in mutations {
                out.extend_from_slice(&(mutation.len() as u32).to_le_bytes());
                out.extend_from_slice(mutation);
            }
        });
        Ok((position, buffer.start + buffer.bytes.len() as u64))
    }

    /// The position behind the last record.
    #[must_use]
    pub fn end(&self) -> u64 {
        let buffer = self.buffer.lock();
        buffer.start + buffer.bytes.len() as u64
    }

    /// True if a write up to `position` counts as safe in the log's mode.
    #[must_use]
    pub fn is_safe(&self, position: u64) -> bool {
        self.safe().load(Acquire) >= position && !self.is_lost(position)
    }

    fn safe(&self) -> &AtomicU64 {
        match self.mode {
            SyncMode::Periodic { .. } => &self.written,
            SyncMode::Group { .. } | SyncMode::Batch => &self.synced,
        }
    }

    /// True if the record that ends at `position` could not be written for lack of space.
    fn is_lost(&self, position: u64) -> bool {
        self.has_lost.load(Acquire)
            && self.lost.lock().iter().any(|lost| lost.start < position && position <= lost.end)
    }

    fn note_lost(&self, start: u64, end: u64) {
        let mut lost = self.lost.lock();
        match lost.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => lost.push(start..end),
        }
        self.has_lost.store(true, Release);
    }

    /// Waits until everything below `position` counts as safe in the log's mode.
    ///
    /// # Errors
    /// It could not be written: the disk is full or has failed.
    pub async fn wait(&self, position: u64) -> Result<()> {
        while !self.is_safe(position) {
            if self.is_lost(position) {
                return Err(StorageError::NoSpace);
            }
            self.check_failed()?;
            if let Some(_lead) = self.become_leader(position).await {
                self.lead().await?;
            }
        }
        Ok(())
    }

    /// Waits until everything below `position` is on disk, whatever the log's mode. Those who wait
    /// at the same time share a sync.
    ///
    /// # Errors
    /// It could not be written: the disk is full or has failed.
    pub async fn wait_synced(&self, position: u64) -> Result<()> {
        while self.synced.load(Acquire) < position {
            let _alone = self.syncing.lock().await;
            if self.is_lost(position) {
                return Err(StorageError::NoSpace);
            }
            self.check_failed()?;
            if self.synced.load(Acquire) < position {
                self.write_and_sync().await?;
            }
        }
        if self.is_lost(position) { Err(StorageError::NoSpace) } else { Ok(()) }
    }

    fn check_failed(&self) -> Result<()> {
        match &self.buffer.lock().failed {
            Some(reason) => Err(StorageError::LogFailed(reason.clone())),
            None => Ok(()),
        }
    }

    /// Resolves to the lead for the waiter that must write for all, a turn of the event loop
    /// later; to nothing for the others once something has changed.
    async fn become_leader(&self, position: u64) -> Option<Lead<'_>> {
        let mut lead = None;
        let mut waited = false;
        poll_fn(|context| {
            if lead.is_some() {
                return Poll::Ready(lead.take());
            }
            if waited || self.is_safe(position) {
                return Poll::Ready(None);
            }
            let mut waiting = self.waiting.lock();
            if waiting.has_leader {
                waited = true;
                waiting.wakers.push(context.waker().clone());
            } else {
                waiting.has_leader = true;
                lead = Some(Lead { log: self });
                context.waker().wake_by_ref();
            }
            Poll::Pending
        })
        .await
    }

    async fn lead(&self) -> Result<()> {
        match self.mode {
            SyncMode::Periodic { .. } => self.write(),
            SyncMode::Group { window } => {
                dodona_env::clock::sleep(window).await;
                self.write_and_sync().await
            }
            SyncMode::Batch => self.write_and_sync().await,
        }
    }

    async fn write_and_sync(&self) -> Result<()> {
        self.write()?;
        let target = self.written.load(Acquire);
        let ToSync { writers, ended } = self.to_sync(true);
        if self.env.mutants.has("log-counts-before-the-sync") {
            self.synced.fetch_max(target, Release);
        }
        let (turn, mutants) = (Arc::clone(&self.turn), self.env.mutants.clone());
        let sync = move || {
            if !mutants.has("commit-log-no-sync") {
                turn.sync(&writers, &mutants)?;
            }
            Ok::<_, io::Error>(writers)
        };
        match self.env.tasks.blocking(sync).await {
            Ok(Ok(writers)) => {
                self.forget_synced(&writers, ended);
                let counts_all = self.env.mutants.has("log-counts-what-came-during-the-sync");
                let target = if counts_all { self.written.load(Acquire) } else { target };
                self.synced.fetch_max(target, Release);
                Ok(())
            }
            Ok(Err(error)) => Err(self.fail(&error.to_string())),
            Err(error) => Err(self.fail(&error.to_string())),
        }
    }

    /// The segments that hold what is written but may not be on disk: those that ended, and the
    /// active one if asked for.
    fn to_sync(&self, and_active: bool) -> ToSync {
        let files = self.file.lock();
        let active = files.active.as_ref().filter(|_| and_active).map(|active| &active.writer);
        let ended = files.unsynced.len();
        ToSync { writers: files.unsynced.iter().chain(active).cloned().collect(), ended }
    }

    /// Notes that segments are on disk, of which the first `ended` had ended before. One that has ended
    /// meanwhile may hold more than was synced.
    fn forget_synced(&self, writers: &[Arc<dyn DiskWriter>], ended: usize) {
        let forgets_all = self.env.mutants.has("log-forgets-what-ended-during-the-sync");
        let synced = if forgets_all { writers } else { &writers[..ended] };
        let is_synced = |ended: &Arc<dyn DiskWriter>| synced.iter().any(|writer| Arc::ptr_eq(writer, ended));
        self.file.lock().unsynced.retain(|ended| !is_synced(ended));
    }

    fn sync_files(&self, and_active: bool) -> Result<()> {
        let ToSync { writers, ended } = self.to_sync(and_active);
        let synced = self.turn.sync(&writers, &self.env.mutants);
        synced.map_err(|error| self.fail(&error.to_string()))?;
        self.forget_synced(&writers, ended);
        Ok(())
    }

    /// Waits until [`Self::tend`] has something to do.
    pub async fn wait_for_upkeep(&self) {
        self.upkeep.notified().await;
    }

    /// Brings segments that have ended to the disk, and makes a file for the next one, so that no
    /// write has to wait for either.
    ///
    /// # Errors
    /// The disk is full or has failed; after a failed sync the log takes nothing more.
    pub fn tend(&self) -> Result<()> {
        self.sync_files(false)?;
        self.segments.prepare()
    }

    /// Hands everything appended so far to the operating system.
    ///
    /// # Errors
    /// It was not taken; if the disk is full a later write may be.
    pub fn write(&self) -> Result<()> {
        let mut files = self.file.lock();
        let spare = std::mem::take(&mut files.spare);
        let (bytes, start) = {
            let mut buffer = self.buffer.lock();
            if buffer.bytes.is_empty() {
                files.spare = spare;
                return Ok(());
            }
            let start = buffer.start;
            buffer.start += buffer.bytes.len() as u64;
            (std::mem::replace(&mut buffer.bytes, spare), start)
        };
        let end = start + bytes.len() as u64;
        let result = self.write_bytes(&mut files, &bytes, start);
        files.spare = bytes;
        files.spare.clear();
        files.spare.shrink_to(4 << 20);
        match result {
            Ok(()) => {
                self.written.store(end, Release);
                Ok(())
            }
            Err(error) => {
                // What a failed call left is a torn tail: the next write begins another segment.
                let ended = files.active.take();
                files.unsynced.extend(ended.map(|active| active.writer));
                if !matches!(error, StorageError::NoSpace) {
                    return Err(self.fail(&error.to_string()));
                }
                self.note_lost(start, end);
                Err(error)
            }
        }
    }

    fn write_bytes(&self, files: &mut Files, bytes: &[u8], start: u64) -> Result<()> {
        let end = start + bytes.len() as u64;
        let segment_bytes = self.segment_bytes;
        if let Some(full) = files.active.take_if(|active| start - active.base >= segment_bytes) {
            files.unsynced.push(full.writer);
            self.upkeep.notify_one();
        }
        if files.active.is_none() {
            let active = self.segments.begin(start, files.last_sequence)?;
            files.last_sequence = active.sequence;
            let extent = Extent {
                sequence: active.sequence,
                end: start,
                // A file that a command may have linked is not written over.
                is_allocated: active.is_allocated && !self.archive.may_share_files(),
                is_spent: false,
            };
            files.segments.insert(start, extent);
            files.active = Some(active);
        }
        let Files { active: Some(active), segments, .. } = files else {
            return Ok(());
        };
        active.writer.append(bytes).during("appending to", &active.path)?;
        if let Some(extent) = segments.get_mut(&active.base) {
            extent.end = end;
        }
        let half = active.base + segment_bytes / 2;
        if (start..end).contains(&half) && self.segments.is_empty() {
            self.upkeep.notify_one();
        }
        Ok(())
    }

    fn fail(&self, reason: &str) -> StorageError {
        self.buffer.lock().failed.get_or_insert_with(|| reason.to_owned());
        StorageError::LogFailed(reason.to_owned())
    }

    /// Brings everything appended so far to the disk, and notes in the log that it is there.
    ///
    /// # Errors
    /// The disk is full or has failed; after a failed sync the log takes nothing more.
    pub fn sync(&self) -> Result<()> {
        self.write()?;
        let target = self.written.load(Acquire);
        if self.synced.load(Acquire) >= target {
            return Ok(());
        }
        self.sync_files(true)?;
        self.synced.fetch_max(target, Release);
        let lost = self.lost.lock().clone();
        let mut buffer = self.buffer.lock();
        let position = buffer.start + buffer.bytes.len() as u64;
        format::put_record(&mut buffer.bytes, position, RecordKind::SyncMarker, |out| {
            out.extend_from_slice(&target.to_le_bytes());
            for lost in &lost {
                out.extend_from_slice(&lost.start.to_le_bytes());
                out.extend_from_slice(&lost.end.to_le_bytes());
            }
        });
        drop(buffer);
        self.write()
    }

    /// The position from which on something may not be on disk.
    #[must_use]
    pub fn synced_position(&self) -> u64 {
        self.synced.load(Relaxed)
    }
}

/// Gives up the lead, and wakes the others so that one of them takes it if need be.
struct Lead<'a> {
    log: &'a CommitLog,
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let mut waiting = self.log.waiting.lock();
        waiting.has_leader = false;
        let wakers = std::mem::take(&mut waiting.wakers);
        drop(waiting);
        if !self.log.env.mutants.has("log-lead-wakes-nobody") {
            wakers.into_iter().for_each(Waker::wake);
        }
    }
}

/// Removes leftovers and makes the directory.
///
/// # Errors
/// The operating system's.
pub fn prepare_directory(disk: &dyn Disk) -> Result<()> {
    disk.create_dir_all(DIRECTORY).during("creating", DIRECTORY)
}
