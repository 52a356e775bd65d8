//! Consistency levels, with the numbers the native protocol gives them.

use std::fmt;
use std::str::FromStr;

/// How many replicas must answer (native_protocol_v5 section 3, `[consistency]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum Consistency {
    /// A write is accepted once a hint of it is stored. Not for reads.
    Any = 0,
    /// One replica.
    One = 1,
    /// Two replicas.
    Two = 2,
    /// Three replicas.
    Three = 3,
    /// A majority of all replicas.
    Quorum = 4,
    /// Every replica.
    All = 5,
    /// A majority of the replicas in the coordinator's data centre.
    LocalQuorum = 6,
    /// A majority of the replicas in each data centre.
    EachQuorum = 7,
    /// Linearizable, across data centres.
    Serial = 8,
    /// Linearizable, within the coordinator's data centre.
    LocalSerial = 9,
    /// One replica in the coordinator's data centre.
    LocalOne = 10,
}

impl Consistency {
    /// Every level, in the order of its number.
    pub const ALL_LEVELS: [Self; 11] = [
        Self::Any,
        Self::One,
        Self::Two,
        Self::Three,
        Self::Quorum,
        Self::All,
        Self::LocalQuorum,
        Self::EachQuorum,
        Self::Serial,
        Self::LocalSerial,
        Self::LocalOne,
    ];

    /// The level with this number on the wire.
    #[must_use]
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL_LEVELS.get(usize::from(code)).copied()
    }

    /// The level's number on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// True for the two levels of conditional statements.
    #[must_use]
    pub const fn is_serial(self) -> bool {
        matches!(self, Self::Serial | Self::LocalSerial)
    }

    /// The level's name as Cassandra spells it, for example `LOCAL_QUORUM`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Any => "ANY",
            Self::One => "ONE",
            Self::Two => "TWO",
            Self::Three => "THREE",
            Self::Quorum => "QUORUM",
            Self::All => "ALL",
            Self::LocalQuorum => "LOCAL_QUORUM",
            Self::EachQuorum => "EACH_QUORUM",
            Self::Serial => "SERIAL",
            Self::LocalSerial => "LOCAL_SERIAL",
            Self::LocalOne => "LOCAL_ONE",
        }
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Consistency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL_LEVELS
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| format!("unknown consistency level '{text}'"))
    }
}
