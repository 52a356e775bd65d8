//! What waits, as it is known in memory: hints that no file has, and lists of files. No I/O.

use super::format::{self, HEADER_BYTES, Hint, MAX_MUTATION_BYTES};
use super::settings::{HintSettings, Pending};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use uuid::Uuid;

/// A file of hints.
#[derive(Clone, Debug)]
pub(super) struct HintFile {
    pub(super) path: String,
    /// Files are numbered in the order in which they were begun.
    pub(super) number: u64,
    pub(super) created_seconds: i64,
    pub(super) bytes: u64,
}

/// Hints that no file has.
#[derive(Default)]
pub(super) struct Buffer {
    pub(super) records: Vec<u8>,
    pub(super) hints: u64,
    /// When the first was made.
    pub(super) since_seconds: i64,
}

/// Hints of a target.
#[derive(Default)]
struct Target {
    buffer: Buffer,
    /// The oldest first.
    files: VecDeque<HintFile>,
    /// Up to where the oldest file is delivered.
    offset: u64,
}

impl Target {
    fn bytes(&self) -> u64 {
        self.buffer.records.len() as u64 + self.files.iter().map(|file| file.bytes).sum::<u64>()
    }

    fn oldest_seconds(&self) -> Option<i64> {
        let buffered = (self.buffer.hints > 0).then_some(self.buffer.since_seconds);
        self.files.front().map(|file| file.created_seconds).or(buffered)
    }

    fn is_oldest(&self, number: u64) -> bool {
        self.files.front().is_some_and(|oldest| oldest.number == number)
    }

    fn pending(&self) -> Option<Pending> {
        let oldest_seconds = self.oldest_seconds()?;
        Some(Pending {
            files: self.files.len(),
            bytes: self.bytes(),
            oldest_seconds,
            newest_seconds: self.files.back().map_or(oldest_seconds, |file| file.created_seconds),
        })
    }
}

/// Hints of all targets.
#[derive(Default)]
pub(super) struct Waiting {
    targets: BTreeMap<Uuid, Target>,
    bytes: u64,
    buffered_bytes: u64,
    next_number: u64,
    /// Files that hold nothing that is wanted.
    to_remove: Vec<String>,
    /// Targets that are delivered to.
    delivering: BTreeSet<Uuid>,
}

impl Waiting {
    /// A number for a file.
    pub(super) fn take_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    /// The number that the next file will have, at least.
    pub(super) fn next_number(&self) -> u64 {
        self.next_number
    }

    /// The number of the oldest file.
    pub(super) fn oldest_number(&self) -> Option<u64> {
        self.targets.values().filter_map(|waiting| waiting.files.front()).map(|file| file.number).min()
    }

    /// The number is taken.
    pub(super) fn skip_number(&mut self, number: u64) {
        self.next_number = self.next_number.max(number.saturating_add(1));
    }

    /// For whom something waits.
    pub(super) fn targets(&self) -> Vec<Uuid> {
        self.targets.keys().copied().collect()
    }

    /// What waits, by target.
    pub(super) fn pending(&self) -> BTreeMap<Uuid, Pending> {
        let pending = |(target, waiting): (&Uuid, &Target)| Some((*target, waiting.pending()?));
        self.targets.iter().filter_map(pending).collect()
    }

    /// Takes a hint in, unless that is past a bound, or past the window since the target's first one.
    pub(super) fn put(
        &mut self,
        target: Uuid,
        hint: &Hint<'_>,
        settings: &HintSettings,
        window: Duration,
    ) -> bool {
        let bytes = format::hint_bytes(hint.mutation.len()) as u64;
        let waiting = self.targets.get(&target);
        let window = i64::try_from(window.as_secs()).unwrap_or(i64::MAX);
        let since = waiting.and_then(Target::oldest_seconds).unwrap_or(hint.written_seconds);
        if hint.mutation.len() > MAX_MUTATION_BYTES
            || hint.written_seconds.saturating_sub(since) > window
            || waiting.map_or(0, Target::bytes) + bytes > settings.max_bytes_per_target
            || self.bytes + bytes > settings.max_bytes
            || self.buffered_bytes + bytes > settings.max_buffered_bytes
        {
            return false;
        }
        self.bytes += bytes;
        self.buffered_bytes += bytes;
        let buffer = &mut self.targets.entry(target).or_default().buffer;
        if buffer.hints == 0 {
            buffer.since_seconds = hint.written_seconds;
        }
        buffer.hints += 1;
        format::put_hint(&mut buffer.records, hint);
        true
    }

    /// True if the memory for hints should not wait for the end of the period.
    pub(super) fn is_filling(&self, settings: &HintSettings) -> bool {
        self.buffered_bytes > settings.max_buffered_bytes / 4
    }

    /// Targets with hints that no file has.
    pub(super) fn buffered(&self) -> Vec<Uuid> {
        let buffered = self.targets.iter().filter(|(_, waiting)| waiting.buffer.hints > 0);
        buffered.map(|(target, _)| *target).collect()
    }

    /// Takes the hints of a target that no file has.
    pub(super) fn take_buffer(&mut self, target: Uuid) -> Option<Buffer> {
        let buffer = std::mem::take(&mut self.targets.get_mut(&target)?.buffer);
        self.bytes -= buffer.records.len() as u64;
        self.buffered_bytes -= buffer.records.len() as u64;
        Some(buffer)
    }

    /// True if a file is a target's.
    pub(super) fn lists(&self, target: Uuid, number: u64) -> bool {
        let waiting = self.targets.get(&target);
        waiting.is_some_and(|waiting| waiting.files.iter().any(|file| file.number == number))
    }

    /// A file for a target is begun; it is not wanted if the target was forgotten meanwhile.
    pub(super) fn begin_file(&mut self, target: Uuid, file: HintFile) {
        if self.targets.contains_key(&target) {
            self.add_file(target, file);
        } else {
            self.to_remove.push(file.path);
        }
    }

    /// A file is a target's.
    pub(super) fn add_file(&mut self, target: Uuid, file: HintFile) {
        self.bytes += file.bytes;
        let files = &mut self.targets.entry(target).or_default().files;
        let at = files.partition_point(|other| other.number < file.number);
        files.insert(at, file);
    }

    /// A target's file has become longer.
    pub(super) fn grow(&mut self, target: Uuid, number: u64, bytes: u64) {
        let files = self.targets.get_mut(&target).map(|waiting| &mut waiting.files);
        if let Some(file) = files.and_then(|files| files.iter_mut().find(|file| file.number == number)) {
            file.bytes += bytes;
            self.bytes += bytes;
        }
    }

    /// Drops what waits for a target.
    pub(super) fn forget(&mut self, target: Uuid) {
        if let Some(waiting) = self.targets.remove(&target) {
            self.bytes -= waiting.bytes();
            self.buffered_bytes -= waiting.buffer.records.len() as u64;
            self.to_remove.extend(waiting.files.into_iter().map(|file| file.path));
        }
    }

    /// A file holds nothing that is wanted.
    pub(super) fn remove(&mut self, path: String) {
        self.to_remove.push(path);
    }

    /// Takes the files that hold nothing that is wanted.
    pub(super) fn take_removed(&mut self) -> Vec<String> {
        std::mem::take(&mut self.to_remove)
    }

    /// Begins a delivery. False if one is under way.
    pub(super) fn begin_delivery(&mut self, target: Uuid) -> bool {
        self.delivering.insert(target)
    }

    /// Ends a delivery.
    pub(super) fn end_delivery(&mut self, target: Uuid) {
        self.delivering.remove(&target);
    }

    /// The oldest file of a target, if its number is below this one, and up to where it is delivered.
    pub(super) fn oldest(&self, target: Uuid, below: u64) -> Option<(HintFile, u64)> {
        let waiting = self.targets.get(&target)?;
        let oldest = waiting.files.front().filter(|file| file.number < below)?;
        Some((oldest.clone(), waiting.offset.max(HEADER_BYTES as u64)))
    }

    /// Notes up to where a file, the oldest of its target, is delivered.
    pub(super) fn advance(&mut self, target: Uuid, number: u64, offset: u64) {
        let waiting = self.targets.get_mut(&target);
        if let Some(waiting) = waiting.filter(|waiting| waiting.is_oldest(number)) {
            waiting.offset = offset;
        }
    }

    /// Takes a file, the oldest of its target, which is delivered or damaged, from the list.
    pub(super) fn take_oldest(&mut self, target: Uuid, number: u64) {
        let waiting = self.targets.get_mut(&target);
        let Some(waiting) = waiting.filter(|waiting| waiting.is_oldest(number)) else { return };
        let bytes = waiting.files.pop_front().map_or(0, |file| file.bytes);
        waiting.offset = 0;
        if waiting.oldest_seconds().is_none() {
            self.targets.remove(&target);
        }
        self.bytes -= bytes;
    }
}
