//! From where on a node's data disk is stuffed or full.

use crate::gossip::disk_usages::DiskUsage;
use dodona_storage::{Engine, StorageError};

/// From where on a disk is stuffed or full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUsageBounds {
    /// Above so many hundredths of the space it is stuffed.
    pub warn_percent: Option<u64>,
    /// Above so many hundredths of the space it is full.
    pub fail_percent: Option<u64>,
    /// The space is so many bytes at most.
    pub max_disk_bytes: Option<u64>,
}

impl DiskUsageBounds {
    pub(crate) const fn are_none(&self) -> bool {
        self.warn_percent.is_none() && self.fail_percent.is_none()
    }

    /// How full a disk is on which data takes so many bytes, memtables will take others, and more are free; and
    /// how many hundredths that is, rounded up.
    fn judge(&self, on_disk: u64, in_memory: u64, free: u64) -> (DiskUsage, u64) {
        let space = on_disk.saturating_add(free).min(self.max_disk_bytes.unwrap_or(u64::MAX)).max(1);
        let used = u128::from(on_disk) + u128::from(in_memory);
        let percent = (used * 100).div_ceil(u128::from(space));
        let percent = u64::try_from(percent).unwrap_or(u64::MAX);
        let is_above = |bound: Option<u64>| bound.is_some_and(|bound| percent > bound);
        let usage = if is_above(self.fail_percent) {
            DiskUsage::Full
        } else if is_above(self.warn_percent) {
            DiskUsage::Stuffed
        } else {
            DiskUsage::Spacious
        };
        (usage, percent)
    }

    /// Looks at a disk. Waits for it.
    pub(crate) fn look(&self, engine: &Engine) -> Result<(DiskUsage, u64), StorageError> {
        let on_disk = engine.data_bytes()?;
        Ok(self.judge(on_disk, engine.memtable_bytes(), engine.available_bytes()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memtables_count_as_used_and_a_part_of_a_hundredth_as_a_whole_one() {
        let bounds = DiskUsageBounds { warn_percent: Some(70), fail_percent: Some(90), max_disk_bytes: None };
        assert_eq!(bounds.judge(600, 100, 400), (DiskUsage::Spacious, 70));
        assert_eq!(bounds.judge(600, 101, 400), (DiskUsage::Stuffed, 71));
        assert_eq!(bounds.judge(900, 0, 100), (DiskUsage::Stuffed, 90));
        assert_eq!(bounds.judge(900, 1, 100), (DiskUsage::Full, 91));
        assert_eq!(bounds.judge(0, 0, 0), (DiskUsage::Spacious, 0));
        let smaller = DiskUsageBounds { max_disk_bytes: Some(500), ..bounds };
        assert_eq!(smaller.judge(600, 0, 400), (DiskUsage::Full, 120));
        let only_warns = DiskUsageBounds { fail_percent: None, ..bounds };
        assert_eq!(only_warns.judge(u64::MAX, u64::MAX, 0), (DiskUsage::Stuffed, 200));
    }
}
