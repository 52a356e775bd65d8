//! Tells the rest of the node how full the data disks of members are, by their own word (Cassandra
//! `DiskUsageBroadcaster`).

use arc_swap::ArcSwap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use uuid::Uuid;

/// How full a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskUsage {
    /// Neither of the others.
    Spacious,
    /// So full that clients are warned.
    Stuffed,
    /// So full that writes are refused.
    Full,
}

impl fmt::Display for DiskUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spacious => "SPACIOUS",
            Self::Stuffed => "STUFFED",
            Self::Full => "FULL",
        })
    }
}

impl FromStr for DiskUsage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Spacious, Self::Stuffed, Self::Full];
        all.into_iter()
            .find(|usage| usage.to_string() == text)
            .ok_or_else(|| format!("no usage of a disk: {text}"))
    }
}

/// The members whose disks are stuffed or full. Many threads read it without a lock.
#[derive(Default)]
pub struct DiskUsages(ArcSwap<Vec<(Uuid, DiskUsage)>>);

impl DiskUsages {
    /// Takes in what all members tell.
    pub(super) fn publish(&self, told: impl Iterator<Item = (Uuid, DiskUsage)>) {
        let mut usages: Vec<_> = told.filter(|(_, usage)| *usage != DiskUsage::Spacious).collect();
        usages.sort_unstable();
        self.0.store(Arc::new(usages));
    }

    /// True if no disk is stuffed or full.
    #[must_use]
    pub fn are_spacious(&self) -> bool {
        self.0.load().is_empty()
    }

    /// How full a member's disk is, by its own word.
    #[must_use]
    pub fn of(&self, host: Uuid) -> DiskUsage {
        let usages = self.0.load();
        let place = usages.binary_search_by_key(&host, |(host, _)| *host);
        place.map_or(DiskUsage::Spacious, |place| usages[place].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_not_spacious_are_known() {
        let usages = DiskUsages::default();
        assert!(usages.are_spacious());
        let host = Uuid::from_u128;
        let told =
            [(host(9), DiskUsage::Full), (host(5), DiskUsage::Spacious), (host(2), DiskUsage::Stuffed)];
        usages.publish(told.into_iter());
        assert!(!usages.are_spacious());
        assert_eq!(
            [2, 5, 7, 9].map(|id| usages.of(host(id)).to_string()),
            ["STUFFED", "SPACIOUS", "SPACIOUS", "FULL"]
        );
        assert_eq!("FULL".parse(), Ok(DiskUsage::Full));
        assert!("full".parse::<DiskUsage>().is_err());
        usages.publish(std::iter::empty());
        assert!(usages.are_spacious());
    }
}
