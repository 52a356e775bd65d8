//! Compactions of one file for its tombstones, and files of which everything has expired
//! (Cassandra `AbstractCompactionStrategy`, `CompactionController`).

use super::{Candidate, Choice, Situation, overlap};
use crate::sstable::SstableId;

/// When a file is compacted on its own for its tombstones.
#[derive(Clone, Debug, PartialEq)]
pub struct TombstoneOptions {
    /// Never, unless an option asks for it.
    pub enabled: bool,
    /// The part of a file's cells that must be droppable.
    pub threshold: f64,
    /// Seconds that a file stays as it is before.
    pub interval_seconds: i64,
    /// Whether or not other files overlap.
    pub unchecked: bool,
}

impl TombstoneOptions {
    /// True if a compaction of the file alone would drop enough of it.
    #[must_use]
    pub fn is_worth(&self, file: &Candidate, situation: &Situation<'_>) -> bool {
        if !self.enabled
            || file.written_at_seconds + self.interval_seconds > situation.now_seconds
            || file.droppable <= self.threshold
        {
            return false;
        }
        if self.unchecked {
            return true;
        }
        let others: Vec<_> = situation
            .all()
            .filter(|other| other.id != file.id && overlap::overlap(other, file))
            .map(|other| other.tokens)
            .collect();
        if others.is_empty() {
            return true;
        }
        // Only what lies outside of other files can be dropped for certain.
        let (first, last) = file.tokens;
        let inside: Vec<_> = others.iter().map(|(a, b)| (first.max(*a), last.min(*b))).collect();
        let alone = 1.0 - overlap::union_of_spans(inside) / overlap::span(file.tokens).max(f64::MIN_POSITIVE);
        alone.max(0.0) * file.droppable > self.threshold
    }
}

/// The removal of files that have expired, where it is time to look for them and there are some.
#[must_use]
pub fn choose_expired(situation: &Situation<'_>) -> Option<Choice> {
    let expired = if situation.check_expired { expired(situation) } else { Vec::new() };
    (!expired.is_empty()).then(|| Choice::expired(expired))
}

/// The files that hold nothing but what was deleted or has expired before gc_grace, and that shadow
/// nothing elsewhere: they can go as they are.
#[must_use]
pub fn expired(situation: &Situation<'_>) -> Vec<SstableId> {
    let mut files: Vec<&Candidate> = situation
        .candidates
        .iter()
        .filter(|file| !file.busy && file.max_deletion_seconds < situation.gc_before_seconds)
        .collect();
    // A file whose tombstones cover something older elsewhere must stay, and so must those whose
    // tombstones cover something in it.
    loop {
        let before = files.len();
        let all = files.clone();
        files.retain(|file| {
            let stays = |other: &&Candidate| !all.iter().any(|expired| expired.id == other.id);
            let oldest_elsewhere = situation
                .all()
                .filter(|other| other.id != file.id && overlap::overlap(other, file))
                .filter(stays)
                .map(|other| other.timestamps.0)
                .min()
                .unwrap_or(i64::MAX);
            file.timestamps.1 < oldest_elsewhere.min(situation.memtable_min_timestamp)
        });
        if files.len() == before {
            return files.into_iter().map(|file| file.id).collect();
        }
    }
}
