//! Versions of the native protocol.

use std::fmt;

/// A version of the native protocol that Dodona speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Version {
    /// Version 3 (Cassandra 2.1).
    V3 = 3,
    /// Version 4 (Cassandra 2.2).
    V4 = 4,
    /// Version 5 (Cassandra 4.0), the first with segments.
    V5 = 5,
}

impl Version {
    /// Every version, the lowest first.
    pub const ALL: [Self; 3] = [Self::V3, Self::V4, Self::V5];
    /// The highest version, which answers to a client of an unknown one carry.
    pub const HIGHEST: Self = Self::V5;

    /// The version with this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            3 => Some(Self::V3),
            4 => Some(Self::V4),
            5 => Some(Self::V5),
            _ => None,
        }
    }

    /// The number in the header of an envelope.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The name in `PROTOCOL_VERSIONS` of SUPPORTED and in error messages, for example `4/v4`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V3 => "3/v3",
            Self::V4 => "4/v4",
            Self::V5 => "5/v5",
        }
    }

    /// True if envelopes travel in segments once STARTUP has been answered.
    #[must_use]
    pub const fn has_segments(self) -> bool {
        matches!(self, Self::V5)
    }

    /// Position in [`Self::ALL`].
    pub(crate) const fn index(self) -> usize {
        self as usize - Self::V3 as usize
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
