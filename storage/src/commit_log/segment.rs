//! The files of segments: made ahead of time, begun, and used again.

use super::format::Header;
use super::{DIRECTORY, format, segment_path};
use crate::error::{IoContext, Result};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering::Relaxed};
use dodona_env::Env;
use dodona_env::disk::DiskWriter;
use std::sync::Arc;

/// Files kept ready for segments to come.
const READY_FILES: usize = 2;
/// Zeros written by one call. Linux caches what one call writes as one piece, up to megabytes, and each
/// short write into a piece walks over all its blocks: 2.1 µs behind calls of 1 MiB, 0.7 µs behind these.
const ZEROS_BYTES: usize = 64 << 10;

/// A segment that is being written.
pub(super) struct Active {
    pub(super) sequence: u64,
    pub(super) path: String,
    pub(super) base: u64,
    pub(super) writer: Arc<dyn DiskWriter>,
    /// True if its file was made ahead of time, and can be used again.
    pub(super) is_allocated: bool,
}

/// A file whose room on the disk is taken already.
struct Ready {
    sequence: u64,
    writer: Arc<dyn DiskWriter>,
    used_before: bool,
}

/// The files that segments come from and go to.
pub(super) struct SegmentFiles {
    env: Env,
    segment_bytes: u64,
    next_sequence: AtomicU64,
    ready: Mutex<Vec<Ready>>,
}

impl SegmentFiles {
    /// Files of at least `segment_bytes`, numbered from `next_sequence` on.
    pub(super) fn new(env: Env, segment_bytes: u64, next_sequence: u64) -> Self {
        Self { env, segment_bytes, next_sequence: AtomicU64::new(next_sequence), ready: Mutex::default() }
    }

    /// True if the next segment has no file yet.
    pub(super) fn is_empty(&self) -> bool {
        self.ready.lock().is_empty()
    }

    /// Begins a segment: in a file that is ready, else in a new one.
    pub(super) fn begin(&self, base: u64, previous: u64) -> Result<Active> {
        let ready = self.ready.lock().pop();
        let is_allocated = ready.is_some();
        let Ready { sequence, writer, used_before } = match ready {
            Some(ready) => ready,
            None => self.create()?,
        };
        let header_bytes = format::HEADER_BYTES;
        let header = Header { sequence, previous, base_position: base, used_before, header_bytes };
        let path = segment_path(sequence);
        writer.append(&header.encode()).during("appending to", &path)?;
        Ok(Active { sequence, path, base, writer, is_allocated })
    }

    fn create(&self) -> Result<Ready> {
        let sequence = self.next_sequence.fetch_add(1, Relaxed);
        let path = segment_path(sequence);
        let writer = self.env.disk.create(&path).during("creating", &path)?;
        self.sync_directory()?;
        Ok(Ready { sequence, writer, used_before: false })
    }

    fn sync_directory(&self) -> Result<()> {
        if self.env.mutants.has("commit-log-no-dir-sync") {
            return Ok(());
        }
        self.env.disk.sync_dir(DIRECTORY).during("syncing", DIRECTORY)
    }

    /// Makes a file for the next segment, unless there is one.
    pub(super) fn prepare(&self) -> Result<()> {
        if !self.is_empty() {
            return Ok(());
        }
        let sequence = self.next_sequence.fetch_add(1, Relaxed);
        let path = segment_path(sequence);
        let written = self.write_zeros(&path);
        if written.is_err() {
            // The room is worth more to a write.
            self.env.disk.remove(&path).during("removing", &path)?;
        }
        written?;
        self.sync_directory()?;
        self.keep(sequence, false)
    }

    fn write_zeros(&self, path: &str) -> Result<()> {
        let writer = self.env.disk.create(path).during("creating", path)?;
        let zeros = vec![0; ZEROS_BYTES];
        let mut left = self.segment_bytes;
        while left > 0 {
            let length = zeros.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            writer.append(&zeros[..length]).during("appending to", path)?;
            left -= length as u64;
        }
        writer.sync().during("syncing", path)
    }

    fn keep(&self, sequence: u64, used_before: bool) -> Result<()> {
        let path = segment_path(sequence);
        let writer = self.env.disk.overwrite(&path).during("opening", &path)?;
        self.ready.lock().push(Ready { sequence, writer, used_before });
        Ok(())
    }

    /// Takes back the file of a segment that nobody needs: it is used again, or removed.
    pub(super) fn retire(&self, sequence: u64, is_allocated: bool) -> Result<()> {
        let path = segment_path(sequence);
        if !is_allocated || self.ready.lock().len() >= READY_FILES {
            self.env.disk.remove(&path).during("removing", &path)?;
            return self.sync_directory();
        }
        let next = self.next_sequence.fetch_add(1, Relaxed);
        self.env.disk.rename(&path, &segment_path(next)).during("renaming", &path)?;
        self.sync_directory()?;
        self.keep(next, true)
    }
}
