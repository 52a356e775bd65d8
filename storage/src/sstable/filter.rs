//! A Bloom filter over partition tokens: says for certain that a table does not hold a partition.
//!
//! ```text
//! filter := hashes u8, bits (a multiple of 64) as u64 LE*
//! ```

use dodona_types::Token;
use dodona_types::codec::{DecodeError, Reader};

/// A Bloom filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    hashes: u8,
    words: Box<[u64]>,
}

impl Filter {
    /// A filter of these tokens that errs with about the probability `false_positives`.
    #[must_use]
    pub fn build(tokens: &[Token], false_positives: f64) -> Self {
        let rate = false_positives.clamp(1e-6, 0.99);
        let bits_per_token = -rate.ln() / (std::f64::consts::LN_2 * std::f64::consts::LN_2);
        let hashes = (bits_per_token * std::f64::consts::LN_2).round().clamp(1.0, 20.0) as u8;
        let bits = ((tokens.len().max(1) as f64) * bits_per_token).ceil() as usize;
        let mut filter = Self { hashes, words: vec![0; bits.div_ceil(64).max(1)].into() };
        for token in tokens {
            for bit in filter.bits(*token) {
                filter.words[bit / 64] |= 1 << (bit % 64);
            }
        }
        filter
    }

    /// A filter that excludes nothing.
    #[must_use]
    pub fn of_everything() -> Self {
        Self { hashes: 1, words: vec![u64::MAX].into() }
    }

    /// A token is a hash already; a second one is mixed from it (Kirsch and Mitzenmacher, "Less
    /// hashing, same performance").
    fn bits(&self, token: Token) -> impl Iterator<Item = usize> + use<> {
        let first = token.0.cast_unsigned();
        let second = (first ^ (first >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(31) | 1;
        let count = self.words.len() as u128 * 64;
        (0..u64::from(self.hashes)).map(move |n| {
            let hash = first.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(second.wrapping_mul(n));
            ((u128::from(hash) * count) >> 64) as usize
        })
    }

    /// False if no partition with this token is in the table.
    #[must_use]
    #[inline]
    pub fn may_contain(&self, token: Token) -> bool {
        self.bits(token).all(|bit| self.words[bit / 64] & (1 << (bit % 64)) != 0)
    }

    /// The filter's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.hashes];
        self.words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        out
    }

    /// Reads a filter.
    ///
    /// # Errors
    /// The length does not fit.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let hashes = reader.u8()?;
        let (words, rest) = reader.remaining().as_chunks::<8>();
        if words.is_empty() || !rest.is_empty() {
            return Err(reader.error("length of a filter"));
        }
        Ok(Self { hashes, words: words.iter().map(|word| u64::from_le_bytes(*word)).collect() })
    }

    /// Bytes of memory.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.words.len() * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_all_it_holds_and_errs_about_as_often_as_asked() {
        let token = |n: u64| Token::of_key(&n.to_be_bytes());
        let tokens: Vec<Token> = (0..20_000).map(token).collect();
        let filter = Filter::decode(&Filter::build(&tokens, 0.01).encode()).unwrap();
        assert!(tokens.iter().all(|token| filter.may_contain(*token)));
        let wrong = (20_000..120_000).filter(|n| filter.may_contain(token(*n))).count();
        assert!((500..1_500).contains(&wrong), "{wrong} of 100,000 at a rate of 0.01");
    }
}
