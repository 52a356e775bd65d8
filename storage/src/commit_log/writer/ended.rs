//! What becomes of segments: they end, are archived, and are given up once nobody needs them.

use super::CommitLog;
use crate::commit_log::archive::Schemas;
use crate::error::Result;

impl CommitLog {
    /// Bytes of the records in all segments that tables need.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        let files = self.file.lock();
        let needed = files.segments.iter().filter(|(_, extent)| !extent.is_spent);
        needed.map(|(base, extent)| extent.end - base).sum()
    }

    /// Archives what tables are, and all segments that have ended. Returns how many.
    ///
    /// # Errors
    /// The archive does not take one: it waits, and is not used again before.
    pub fn archive(&self, schemas: &Schemas) -> Result<usize> {
        if !self.archive.is_on() {
            return Ok(0);
        }
        let _alone = self.archive.alone.lock();
        self.archive.put_schemas(schemas)?;
        let ended: Vec<u64> = {
            let files = self.file.lock();
            let active = files.active.as_ref().map(|active| active.sequence);
            let sequences = files.segments.values().map(|extent| extent.sequence);
            sequences.filter(|sequence| Some(*sequence) != active && !self.archive.has(*sequence)).collect()
        };
        let skipped = usize::from(self.env.mutants.has("archive-skips-a-segment"));
        for sequence in ended.iter().skip(skipped) {
            self.archive.put_segment(*sequence)?;
        }
        Ok(ended.len())
    }

    /// Ends the present segment, so that it can be archived: what comes next begins another one.
    ///
    /// # Errors
    /// The disk is full or has failed.
    pub fn end_segment(&self) -> Result<()> {
        let mut files = self.file.lock();
        let ended = files.active.take();
        files.unsynced.extend(ended.map(|active| active.writer));
        drop(files);
        self.sync_files(false)
    }

    /// Gives up the segments that hold nothing from `position` on. Returns how many went.
    ///
    /// # Errors
    /// The operating system's.
    pub fn discard_below(&self, position: u64) -> Result<usize> {
        let mut obsolete = Vec::new();
        let oldest = {
            let mut files = self.file.lock();
            let active = files.active.as_ref().map(|active| active.base);
            files.segments.retain(|base, extent| {
                extent.is_spent = extent.end <= position && Some(*base) != active;
                let waits = self.archive.is_on() && !self.archive.has(extent.sequence);
                let waits = waits && !self.env.mutants.has("segment-goes-before-it-is-archived");
                let goes = extent.is_spent && !waits;
                if goes {
                    obsolete.push(*extent);
                }
                !goes
            });
            files.segments.keys().next().copied()
        };
        for extent in &obsolete {
            self.segments.retire(extent.sequence, extent.is_allocated)?;
            self.archive.forget(extent.sequence);
        }
        if let Some(oldest) = oldest {
            self.lost.lock().retain(|lost| lost.end > oldest);
        }
        Ok(obsolete.len())
    }
}
