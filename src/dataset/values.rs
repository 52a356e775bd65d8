//! Values of the types, drawn from a stream of random numbers, as JSON.

use num_bigint::BigInt;
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};
use std::net::{Ipv4Addr, Ipv6Addr};
use time::{Date, Duration};
use uuid::Uuid;

/// Words of 32 bits that a row may take from its partition's stream.
const WORDS_PER_ROW: u128 = 1 << 16;
/// Characters of one to four bytes, and those that quoting gets wrong.
const CHARACTERS: &[char] = &[
    'a', 'e', 'k', 'n', 'R', 'Z', '0', '7', ' ', '\'', '"', '\\', '\n', '\t', '\0', 'é', 'ß', 'Ж', '漢',
    '語', '€', '😀', '𝛿',
];
const NANOS_PER_DAY: i64 = 86_400_000_000_000;

/// A source of values. What it draws depends on the seed, the stream and the row alone, on any
/// machine: ChaCha with 8 rounds is the same everywhere.
pub(super) struct Draw {
    random: ChaCha8Rng,
}

impl Draw {
    /// The source for a row of a stream.
    pub(super) fn new(seed: u64, stream: u64, row: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream);
        random.set_word_pos(u128::from(row) * WORDS_PER_ROW);
        Self { random }
    }

    /// From 0 up to 1, without 1.
    pub(super) fn unit(&mut self) -> f64 {
        self.random.random()
    }

    /// From 0 up to `end`, without `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.random.random_range(0..end)
    }

    /// True once in `n` times.
    pub(super) fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// `count` elements, by a function.
    pub(super) fn several(&mut self, count: Count, mut element: impl FnMut(&mut Self) -> Value) -> Value {
        let length = self.random.random_range(count.0..=count.1);
        (0..length).map(|_| element(self)).collect()
    }

    /// Elements of which no two are equal, in no order.
    pub(super) fn distinct(&mut self, count: Count, element: impl FnMut(&mut Self) -> Value) -> Value {
        let Value::Array(mut elements) = self.several(count, element) else { return Value::Null };
        let mut seen = std::collections::BTreeSet::new();
        elements.retain(|element| seen.insert(element.to_string()));
        Value::Array(elements)
    }

    /// Pairs of which no two have the same key.
    pub(super) fn map(
        &mut self,
        count: Count,
        mut key: impl FnMut(&mut Self) -> Value,
        mut value: impl FnMut(&mut Self) -> Value,
    ) -> Value {
        let Value::Array(keys) = self.distinct(count, |draw| key(draw)) else { return Value::Null };
        keys.into_iter().map(|key| json!([key, value(self)])).collect()
    }

    /// A value, or null once in `n` times.
    pub(super) fn or_null(&mut self, n: u64, value: impl FnOnce(&mut Self) -> Value) -> Value {
        if self.once_in(n) { Value::Null } else { value(self) }
    }

    pub(super) fn ascii(&mut self, longest: u64) -> Value {
        (0..self.below(longest + 1)).map(|_| self.below(128) as u8 as char).collect::<String>().into()
    }

    pub(super) fn text(&mut self, longest: u64) -> Value {
        (0..self.below(longest + 1))
            .map(|_| CHARACTERS[self.below(CHARACTERS.len() as u64) as usize])
            .collect::<String>()
            .into()
    }

    pub(super) fn blob(&mut self, longest: u64) -> Value {
        (0..self.below(longest + 1))
            .map(|_| format!("{:02x}", self.random.random::<u8>()))
            .collect::<String>()
            .into()
    }

    pub(super) fn boolean(&mut self) -> Value {
        self.random.random::<bool>().into()
    }

    pub(super) fn tinyint(&mut self) -> Value {
        self.random.random::<i8>().into()
    }

    pub(super) fn smallint(&mut self) -> Value {
        (self.integer(i64::from(i16::MIN), i64::from(i16::MAX))).into()
    }

    pub(super) fn int(&mut self) -> Value {
        self.integer(i64::from(i32::MIN), i64::from(i32::MAX)).into()
    }

    pub(super) fn bigint(&mut self) -> Value {
        self.integer(i64::MIN, i64::MAX).to_string().into()
    }

    pub(super) fn varint(&mut self) -> Value {
        self.big().to_string().into()
    }

    pub(super) fn decimal(&mut self) -> Value {
        json!({"unscaled": self.big().to_string(), "scale": self.random.random_range(-20..=20)})
    }

    pub(super) fn float(&mut self) -> Value {
        let value = match self.below(8) {
            0 => self.pick(&[
                0.0,
                -0.0,
                f32::MIN,
                f32::MAX,
                f32::MIN_POSITIVE,
                1e-45,
                f32::INFINITY,
                f32::NEG_INFINITY,
            ]),
            1 => f32::from_bits(self.random.random()),
            _ => self.random.random_range(-40_000..60_000) as f32 / 1_000.0,
        };
        // Scientific notation is short, and all languages read it.
        named(value.into()).unwrap_or_else(|| format!("{value:e}")).into()
    }

    pub(super) fn double(&mut self) -> Value {
        let value = match self.below(8) {
            0 => self.pick(&[
                0.0,
                -0.0,
                f64::MIN,
                f64::MAX,
                f64::MIN_POSITIVE,
                5e-324,
                f64::INFINITY,
                f64::NEG_INFINITY,
            ]),
            1 => f64::from_bits(self.random.random()),
            _ => self.unit() * 2_000.0 - 1_000.0,
        };
        named(value).unwrap_or_else(|| format!("{value:e}")).into()
    }

    pub(super) fn inet(&mut self) -> Value {
        match self.boolean() {
            Value::Bool(true) => Ipv4Addr::from_bits(self.random.random()).to_string().into(),
            // Documentation addresses: never an IPv4 address in disguise.
            _ => {
                Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(self.random.next_u64())).to_string().into()
            }
        }
    }

    pub(super) fn uuid(&mut self) -> Value {
        uuid::Builder::from_random_bytes(self.random.random()).into_uuid().to_string().into()
    }

    /// Milliseconds around 1970: a few centuries either way.
    pub(super) fn timestamp(&mut self) -> Value {
        self.integer(-10_000_000_000_000, 10_000_000_000_000).into()
    }

    pub(super) fn time(&mut self) -> Value {
        self.integer(0, NANOS_PER_DAY - 1).into()
    }

    pub(super) fn date(&mut self) -> Value {
        // From the year 1 to the year 9999: what the drivers' own types of dates hold.
        let days = self.random.random_range(1_721_426..=5_373_484);
        Date::from_julian_day(days).map_or(Value::Null, |date| day_text(date).into())
    }

    pub(super) fn duration(&mut self) -> Value {
        // All parts of a duration have the same sign.
        let sign = if self.once_in(4) { -1 } else { 1 };
        json!({
            "months": sign * self.below(1_200) as i64,
            "days": sign * self.below(40_000) as i64,
            "nanos": (sign * self.below(1 << 62) as i64).to_string(),
        })
    }

    /// A `place`: the user-defined type of the data set. Its label is never null, so that the place
    /// is not.
    pub(super) fn place(&mut self) -> Value {
        let mut place = Map::new();
        place.insert("latitude".into(), self.or_null(8, Self::double));
        place.insert("longitude".into(), self.or_null(8, Self::double));
        place.insert("altitude".into(), self.or_null(8, Self::float));
        place.insert("label".into(), self.text(12));
        Value::Object(place)
    }

    fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }

    fn integer(&mut self, lowest: i64, highest: i64) -> i64 {
        match self.below(8) {
            0 => self.pick(&[lowest, highest, 0.clamp(lowest, highest), highest - 1, lowest + 1]),
            1 => self.random.random_range(lowest..=highest),
            _ => self.random.random_range(lowest.max(-1_000)..=highest.min(100_000)),
        }
    }

    fn big(&mut self) -> BigInt {
        let bytes: Vec<u8> = (0..=self.below(20)).map(|_| self.random.random()).collect();
        BigInt::from_signed_bytes_be(&bytes)
    }
}

/// The least and the greatest number of elements.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count(pub(super) u64, pub(super) u64);

/// The name of a value that has no digits.
fn named(value: f64) -> Option<String> {
    match value {
        _ if value.is_nan() => Some("NaN".into()),
        f64::INFINITY => Some("Infinity".into()),
        f64::NEG_INFINITY => Some("-Infinity".into()),
        _ => None,
    }
}

/// A date as `2026-11-24`.
fn day_text(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

/// The day that lies `days` after another, as text.
pub(super) fn day_after(first: Date, days: u64) -> String {
    day_text(first.saturating_add(Duration::days(days as i64)))
}

/// A UUID of version 1 from ticks of 100 ns since 1582 and a node.
pub(super) fn timeuuid(ticks: u64, node: u64) -> Uuid {
    let node = node.to_be_bytes();
    let clock_and_node =
        [0x80 | node[0] & 0x3f, node[1], node[2], node[3], node[4], node[5], node[6], node[7]];
    Uuid::from_fields(
        ticks as u32,
        (ticks >> 32) as u16,
        (ticks >> 48) as u16 & 0x0fff | 0x1000,
        &clock_and_node,
    )
}
