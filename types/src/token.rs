//! Tokens: Cassandra's Murmur3 partitioner and ranges of its ring.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The class in Cassandra that makes tokens as these are made.
pub const PARTITIONER: &str = "org.apache.cassandra.dht.Murmur3Partitioner";

/// A position on the ring (Cassandra `Murmur3Partitioner.LongToken`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Token(pub i64);

impl Token {
    /// The position before every key: no key has it.
    pub const MIN: Self = Self(i64::MIN);
    /// The last position.
    pub const MAX: Self = Self(i64::MAX);

    /// The token of a partition key's raw wire bytes.
    #[must_use]
    pub fn of_key(key: &[u8]) -> Self {
        if key.is_empty() {
            return Self::MIN;
        }
        match murmur3_first_half(key) {
            i64::MIN => Self::MAX,
            hash => Self(hash),
        }
    }

    /// The token as an unsigned number in ring order.
    #[must_use]
    pub const fn ordinal(self) -> u64 {
        self.0.cast_unsigned() ^ (1 << 63)
    }

    /// The inverse of [`Self::ordinal`].
    #[must_use]
    pub const fn from_ordinal(ordinal: u64) -> Self {
        Self((ordinal ^ (1 << 63)).cast_signed())
    }

    /// Eight bytes whose memcmp order is ring order.
    #[must_use]
    pub const fn to_ordered_bytes(self) -> [u8; 8] {
        self.ordinal().to_be_bytes()
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The ring positions after `start` up to and including `end`; it wraps when `start >= end`,
/// and is the whole ring when they are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenRange {
    /// Excluded.
    pub start: Token,
    /// Included.
    pub end: Token,
}

impl TokenRange {
    /// The whole ring.
    pub const FULL: Self = Self { start: Token::MIN, end: Token::MIN };

    /// How many tokens lie in the range.
    #[must_use]
    pub const fn width(&self) -> u128 {
        match self.end.ordinal().wrapping_sub(self.start.ordinal()) {
            0 => 1 << 64,
            width => width as u128,
        }
    }

    /// True if `token` lies in the range.
    #[must_use]
    pub fn contains(&self, token: Token) -> bool {
        if self.start < self.end {
            self.start < token && token <= self.end
        } else {
            token > self.start || token <= self.end || self.start == self.end
        }
    }

    /// What lies in both: as two ranges if one of them wraps into the other from both sides.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Vec<Self> {
        if other.start == other.end {
            return vec![*self];
        }
        if self.start == self.end {
            return vec![*other];
        }
        // Measured from where this one begins, it does not wrap.
        let offset = |token: Token| token.ordinal().wrapping_sub(self.start.ordinal());
        let at = |offset: u64| Token::from_ordinal(self.start.ordinal().wrapping_add(offset));
        let (length, start, end) = (offset(self.end), offset(other.start), offset(other.end));
        let pieces = if start < end { vec![(start, end)] } else { vec![(0, end), (start, u64::MAX)] };
        let within = pieces.into_iter().map(|(start, end)| (start.min(length), end.min(length)));
        within
            .filter(|(start, end)| start < end)
            .map(|(start, end)| Self { start: at(start), end: at(end) })
            .collect()
    }
}

const C1: u64 = 0x87c3_7b91_1142_53d5;
const C2: u64 = 0x4cf5_ad43_2745_937f;

fn mix_k1(k1: u64) -> u64 {
    k1.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2)
}

fn mix_k2(k2: u64) -> u64 {
    k2.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1)
}

fn finalize(mut k: u64) -> u64 {
    k ^= k >> 33;
    k = k.wrapping_mul(0xff51_afd7_ed55_8ccd);
    k ^= k >> 33;
    k = k.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    k ^ (k >> 33)
}

/// The first 64 bits of MurmurHash3 x64-128 with seed 0, as Cassandra's `MurmurHash` computes it:
/// the bytes behind the last whole block of 16 are taken as signed, so a byte of 0x80 and above
/// also sets the bits over its own. (The `murmur3` crate agrees for keys without such bytes.)
fn murmur3_first_half(key: &[u8]) -> i64 {
    let (blocks, tail) = key.as_chunks::<16>();
    let (mut h1, mut h2) = (0u64, 0u64);
    for block in blocks {
        let (low, high) = block.split_at(8);
        let k1 = u64::from_le_bytes(low.try_into().unwrap_or_default());
        let k2 = u64::from_le_bytes(high.try_into().unwrap_or_default());
        h1 ^= mix_k1(k1);
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= mix_k2(k2);
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let signed_tail = |bytes: &[u8]| {
        bytes
            .iter()
            .enumerate()
            .fold(0u64, |k, (index, byte)| k ^ (i64::from(byte.cast_signed()) << (8 * index)).cast_unsigned())
    };
    if tail.len() > 8 {
        h2 ^= mix_k2(signed_tail(&tail[8..]));
    }
    if !tail.is_empty() {
        h1 ^= mix_k1(signed_tail(&tail[..tail.len().min(8)]));
    }
    let length = key.len() as u64;
    h1 ^= length;
    h2 ^= length;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    finalize(h1).wrapping_add(finalize(h2)).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tokens_equal_those_of_the_python_driver() {
        // From `cassandra.metadata.Murmur3Token.hash_fn` of cassandra-driver.
        let vectors: &[(&[u8], i64)] = &[
            (b"\x61", -8839064797231613815),
            (b"\x64\x6f\x64\x6f\x6e\x61", -2698753861052758876),
            (b"\x31\x32\x33\x34\x35\x36\x37\x38\x31\x32\x33\x34\x35\x36\x37", -1793045953323805534),
            (b"\x31\x32\x33\x34\x35\x36\x37\x38\x31\x32\x33\x34\x35\x36\x37\x38", -1788989593271040755),
            (b"\x78\x79\x7a\x7b\x7c\x7d\x7e\x7f\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f", -7713431650986448319),
            (b"\x80", -5284281814142962636),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", 7071048584287372947),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", -2195530867418009455),
            (b"\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe", 5283996355877163627),
            (b"\x00\x04\x00\x00\x00\x01\x00\x00\x03\xe2\x82\xac\x00", -8940275436220963197),
            (b"\x00", 5048724184180415669),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", 7071048584287372947),
        ];
        for (key, token) in vectors {
            assert_eq!(Token::of_key(key), Token(*token), "{key:02x?}");
        }
        assert_eq!(Token::of_key(b""), Token::MIN);
    }

    #[test]
    fn ranges_wrap() {
        let range = TokenRange { start: Token(10), end: Token(-10) };
        assert!(range.contains(Token(11)) && range.contains(Token(-10)) && range.contains(Token::MAX));
        assert!(!range.contains(Token(10)) && !range.contains(Token(0)));
        assert!(TokenRange::FULL.contains(Token(0)) && TokenRange::FULL.contains(Token::MIN));
    }

    fn range() -> impl Strategy<Value = TokenRange> {
        let token = || prop::sample::select(vec![i64::MIN, -7, -3, 0, 2, 5, i64::MAX]);
        (token(), token()).prop_map(|(start, end)| TokenRange { start: Token(start), end: Token(end) })
    }

    proptest! {
        #[test]
        fn an_intersection_lies_in_both(one in range(), other in range()) {
            let parts = one.intersection(&other);
            for token in [i64::MIN, i64::MIN + 1, -7, -6, -3, -2, 0, 1, 2, 3, 5, 6, i64::MAX].map(Token) {
                let found = parts.iter().filter(|part| part.contains(token)).count();
                prop_assert_eq!(found, usize::from(one.contains(token) && other.contains(token)), "{:?}", parts);
            }
        }

        #[test]
        fn agrees_with_the_murmur3_crate_below_0x80(key in proptest::collection::vec(0u8..0x80, 1..100)) {
            let full = murmur3::murmur3_x64_128(&mut std::io::Cursor::new(&key), 0).unwrap();
            prop_assert_eq!(murmur3_first_half(&key), (full as u64).cast_signed());
        }

        #[test]
        fn ordinals_keep_the_order(a: i64, b: i64) {
            prop_assert_eq!(Token(a) < Token(b), Token(a).to_ordered_bytes() < Token(b).to_ordered_bytes());
            prop_assert_eq!(Token::from_ordinal(Token(a).ordinal()), Token(a));
        }
    }
}
