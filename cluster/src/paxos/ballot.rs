//! Ballots: what proposals are ordered by.

use uuid::Uuid;

/// Microseconds from the start of the Gregorian calendar to 1970.
const EPOCH_MICROS: i64 = 12_219_292_800_000_000;

/// A ballot. Later ones win; of two of the same microsecond, the greater `tie`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ballot {
    /// Microseconds since the epoch: the timestamp of what is written under it. 0 is no ballot.
    pub micros: i64,
    /// Random, so that no two proposers have the same ballot.
    pub tie: u64,
}

impl Ballot {
    /// Before every ballot.
    pub const NONE: Self = Self { micros: 0, tie: 0 };

    /// A ballot of this microsecond; `random` makes it unlike others.
    #[must_use]
    pub const fn new(micros: i64, random: u64) -> Self {
        // The variant's bits, so that a timeuuid gives the same number back.
        Self { micros, tie: (random & !(0b11 << 62)) | (0b10 << 62) }
    }

    /// The ballot as a UUID of version 1, as `system.paxos` has it.
    #[must_use]
    pub fn to_timeuuid(self) -> Uuid {
        let ticks = (self.micros.saturating_add(EPOCH_MICROS) as u64).wrapping_mul(10);
        let high = ((ticks >> 48) as u16 & 0x0FFF) | 0x1000;
        Uuid::from_fields(ticks as u32, (ticks >> 32) as u16, high, &self.tie.to_be_bytes())
    }

    /// The ballot that such a UUID stands for.
    #[must_use]
    pub fn from_timeuuid(id: Uuid) -> Self {
        let (low, middle, high, rest) = id.as_fields();
        let ticks = u64::from(low) | u64::from(middle) << 32 | u64::from(high & 0x0FFF) << 48;
        Self { micros: (ticks / 10) as i64 - EPOCH_MICROS, tie: u64::from_be_bytes(*rest) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_timeuuid_gives_the_ballot_back(micros in 0..4_000_000_000_000_000_i64, random: u64) {
            let ballot = Ballot::new(micros, random);
            let id = ballot.to_timeuuid();
            prop_assert_eq!(id.get_version_num(), 1);
            prop_assert_eq!(Ballot::from_timeuuid(id), ballot);
        }
    }
}
