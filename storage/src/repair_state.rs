//! What repairs know of a file. The manifest keeps which files are repaired, not the files themselves; what a repair is
//! still at nobody keeps: a start that interrupts it leaves everything unrepaired.
//!
//! Files are compacted only with others of the same [`Set`]: what was repaired would else have to be repaired again.

use crate::sstable::SstableId;
use dodona_types::token::TokenRange;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// Whether replicas are known to hold what a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RepairState {
    /// Not known.
    #[default]
    Unrepaired,
    /// An incremental repair, named by its id, is about to see to it.
    Pending(Uuid),
    /// All replicas had it when a repair began at this second since the epoch.
    Repaired(i64),
}

/// Files that may be compacted with one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Set {
    /// Those that are not repaired.
    Unrepaired,
    /// Those of a repair.
    Pending(Uuid),
    /// Those that are repaired.
    Repaired,
}

/// What a read sees of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// All of it.
    #[default]
    All,
    /// What was set aside for a repair.
    Aside(Uuid),
    /// What is not repaired, in memory and in files.
    Unrepaired,
    /// What is repaired.
    Repaired,
}

impl Part {
    /// True if a file of this state belongs to it.
    #[must_use]
    pub fn has(self, state: RepairState) -> bool {
        match self {
            Self::All => true,
            Self::Aside(repair) => state == RepairState::Pending(repair),
            Self::Unrepaired => state.set() != Set::Repaired,
            Self::Repaired => state.set() == Set::Repaired,
        }
    }

    /// True if what is in memory belongs to it.
    #[must_use]
    pub const fn has_memory(self) -> bool {
        matches!(self, Self::All | Self::Unrepaired)
    }
}

/// The states of files that are not [`RepairState::Unrepaired`].
pub type RepairStates = BTreeMap<SstableId, RepairState>;

/// The repairs that a table takes part in, each with its ranges.
pub(crate) type UnderWay = BTreeMap<Uuid, Arc<[TokenRange]>>;

impl RepairState {
    /// The files with which one of this state may be compacted.
    #[must_use]
    pub const fn set(self) -> Set {
        match self {
            Self::Unrepaired => Set::Unrepaired,
            Self::Pending(session) => Set::Pending(session),
            Self::Repaired(_) => Set::Repaired,
        }
    }

    /// The second at which the repair began, if it is repaired.
    #[must_use]
    pub const fn repaired_at(self) -> Option<i64> {
        match self {
            Self::Repaired(at) => Some(at),
            Self::Unrepaired | Self::Pending(_) => None,
        }
    }

    /// The state of what files of the same set are merged to.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        match (self, other) {
            (Self::Repaired(one), Self::Repaired(other)) => Self::Repaired(one.min(other)),
            (one, other) if one == other => one,
            _ => Self::Unrepaired,
        }
    }
}
