//! How long the data blocks of a file are.
//!
//! A read by name decompresses a block, and the cache keeps it: short ones are better, until rows repeat one another so
//! much that compression finds little of it in a short block. The first blocks of a file tell.

use super::compression::Compression;

/// Long blocks are taken where they need this share of the short ones' bytes at most.
const WORTH: (usize, usize) = (2, 3);

/// The length of a file's data blocks before compression.
pub(crate) struct BlockSize {
    bytes: usize,
    long: usize,
    compression: Compression,
    /// The first blocks, until it is settled, and what they take compressed one by one.
    first: Vec<u8>,
    apart: usize,
}

impl BlockSize {
    /// Short blocks at first.
    pub(crate) const fn new(short: usize, long: usize, compression: Compression) -> Self {
        Self { bytes: short, long, compression, first: Vec::new(), apart: 0 }
    }

    /// Bytes at which a block ends.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Notes a block that has ended, and what it takes compressed.
    pub(crate) fn note(&mut self, block: &[u8], compressed: usize) {
        if self.bytes >= self.long || self.compression == Compression::None {
            return;
        }
        self.first.extend_from_slice(block);
        self.apart += compressed;
        if self.first.len() < self.long {
            return;
        }
        let mut together = Vec::new();
        self.compression.compress(&self.first, &mut together);
        if together.len() * WORTH.1 <= self.apart * WORTH.0 {
            self.bytes = self.long;
        }
        // Settled, whatever came of it.
        self.long = 0;
        self.first = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The block size behind so many rows of 1 KB, of which `row` gives the bytes.
    fn settled(compression: Compression, row: impl Fn(u64, usize) -> u8) -> usize {
        let mut size = BlockSize::new(4 << 10, 16 << 10, compression);
        for block in 0..8 {
            let rows = (block * 4..block * 4 + 4).flat_map(|n| (0..1024).map(move |at| (n, at)));
            let bytes: Vec<u8> = rows.map(|(n, at)| row(n, at)).collect();
            let mut compressed = Vec::new();
            compression.compress(&bytes, &mut compressed);
            size.note(&bytes, compressed.len());
        }
        size.bytes()
    }

    /// Bytes that look random, and are the same for the same numbers.
    fn noise(n: u64, at: usize) -> u8 {
        let mixed = (n << 32 | at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9).to_be_bytes()[0]
    }

    #[test]
    fn rows_that_repeat_one_another_get_long_blocks() {
        let same = |_, at| noise(0, at);
        assert_eq!(settled(Compression::Lz4, same), 16 << 10);
        assert_eq!(settled(Compression::Zstd(1), same), 16 << 10);
        assert_eq!(settled(Compression::None, same), 4 << 10);
        assert_eq!(settled(Compression::Lz4, noise), 4 << 10, "what does not compress");
        assert_eq!(
            settled(Compression::Lz4, |n, at| noise(n, at % 32)),
            4 << 10,
            "what compresses by itself"
        );
    }
}
