//! Compression of blocks.

use crate::error::{Result, corrupt};
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use std::io::{Read, Write};

/// How a table's blocks are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// LZ4: quick.
    Lz4,
    /// Zstandard at a level from 1 to 22: small.
    Zstd(i32),
    /// Snappy: quick.
    Snappy,
    /// Deflate, in zlib's format: small, and slow.
    Deflate,
}

const RAW: u8 = 0;
const LZ4: u8 = 1;
const ZSTD: u8 = 2;
const SNAPPY: u8 = 3;
const DEFLATE: u8 = 4;

/// Blocks are at most this long before compression: one row may fill a block of its own.
const MAX_BLOCK_BYTES: usize = dodona_types::limits::MAX_MUTATION_BYTES + (64 << 10);

impl Compression {
    /// Appends the compressed block, or the block as it is where that gains less than an eighth.
    /// Returns the code to store with it.
    pub fn compress(self, block: &[u8], out: &mut Vec<u8>) -> u8 {
        let start = out.len();
        let code = match self {
            Self::None => RAW,
            Self::Lz4 => {
                out.resize(start + lz4_flex::block::get_maximum_output_size(block.len()), 0);
                match lz4_flex::block::compress_into(block, &mut out[start..]) {
                    Ok(length) => {
                        out.truncate(start + length);
                        LZ4
                    }
                    Err(_) => RAW,
                }
            }
            Self::Zstd(level) => match zstd::bulk::compress(block, level) {
                Ok(compressed) => {
                    out.extend_from_slice(&compressed);
                    ZSTD
                }
                Err(_) => RAW,
            },
            Self::Snappy => {
                out.resize(start + snap::raw::max_compress_len(block.len()), 0);
                match snap::raw::Encoder::new().compress(block, &mut out[start..]) {
                    Ok(length) => {
                        out.truncate(start + length);
                        SNAPPY
                    }
                    Err(_) => RAW,
                }
            }
            Self::Deflate => {
                let mut encoder = ZlibEncoder::new(&mut *out, flate2::Compression::default());
                match encoder.write_all(block).and_then(|()| encoder.finish().map(drop)) {
                    Ok(()) => DEFLATE,
                    Err(_) => RAW,
                }
            }
        };
        if code == RAW || out.len() - start > block.len() - block.len() / 8 {
            out.truncate(start);
            out.extend_from_slice(block);
            return RAW;
        }
        code
    }
}

/// Decompresses a block.
///
/// # Errors
/// The payload does not give `uncompressed_bytes` bytes.
pub fn decompress(
    path: &str,
    offset: u64,
    code: u8,
    payload: &[u8],
    uncompressed_bytes: usize,
) -> Result<Box<[u8]>> {
    let damaged = |reason: &str| corrupt(path, offset, reason);
    if uncompressed_bytes > MAX_BLOCK_BYTES.max(payload.len()) {
        return Err(damaged("the block claims to be larger than any"));
    }
    let block = match code {
        RAW => payload.to_vec(),
        LZ4 => lz4_flex::block::decompress(payload, uncompressed_bytes)
            .map_err(|error| damaged(&format!("LZ4: {error}")))?,
        ZSTD => zstd::bulk::decompress(payload, uncompressed_bytes)
            .map_err(|error| damaged(&format!("Zstandard: {error}")))?,
        SNAPPY => {
            let mut block = vec![0; uncompressed_bytes];
            let length = snap::raw::Decoder::new()
                .decompress(payload, &mut block)
                .map_err(|error| damaged(&format!("Snappy: {error}")))?;
            block.truncate(length);
            block
        }
        DEFLATE => {
            let mut block = Vec::with_capacity(uncompressed_bytes);
            // One byte more tells that there is more.
            let mut decoder = ZlibDecoder::new(payload).take(uncompressed_bytes as u64 + 1);
            decoder.read_to_end(&mut block).map_err(|error| damaged(&format!("Deflate: {error}")))?;
            block
        }
        _ => return Err(damaged("unknown compression")),
    };
    if block.len() != uncompressed_bytes {
        return Err(damaged("the block has another length than it says"));
    }
    Ok(block.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Compression; 6] = [
        Compression::None,
        Compression::Lz4,
        Compression::Zstd(1),
        Compression::Zstd(3),
        Compression::Snappy,
        Compression::Deflate,
    ];

    fn blocks() -> impl Strategy<Value = Vec<u8>> {
        let words = prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 1..8);
        let repeated = (words, prop::collection::vec(any::<prop::sample::Index>(), 0..2_000))
            .prop_map(|(words, which)| which.iter().flat_map(|at| at.get(&words).clone()).collect());
        prop_oneof![repeated, prop::collection::vec(any::<u8>(), 0..3_000)]
    }

    proptest! {
        #[test]
        fn blocks_come_back_and_say_how_long_they_are(block in blocks(), before in 0..5usize) {
            for compression in ALL {
                let mut out = vec![7; before];
                let code = compression.compress(&block, &mut out);
                let payload = &out[before..];
                prop_assert!(payload.len() <= block.len());
                prop_assert_eq!(&*decompress("f", 0, code, payload, block.len()).unwrap(), &block[..]);
                for other in [block.len().wrapping_sub(1), block.len() + 1, usize::MAX] {
                    prop_assert!(decompress("f", 0, code, payload, other).is_err(), "{:?}", compression);
                }
            }
        }

        #[test]
        fn any_bytes_are_a_block_of_that_length_or_damage(
            payload in prop::collection::vec(any::<u8>(), 0..200),
            code in 0..6u8,
            uncompressed_bytes in 0..5_000usize,
        ) {
            if let Ok(block) = decompress("f", 0, code, &payload, uncompressed_bytes) {
                prop_assert_eq!(block.len(), uncompressed_bytes);
            }
        }
    }

    /// What zlib and Snappy of other makes have written.
    #[test]
    fn blocks_of_other_makes_are_read() {
        let deflated = b"\x78\x9c\x73\xc9\x4f\xc9\xcf\x4b\x54\x70\x21\x4c\x01\x00\x40\x22\x0e\xbf";
        let snappy = b"\x2a\x18Dodona \x8a\x07\x00";
        for (code, payload) in [(DEFLATE, &deflated[..]), (SNAPPY, &snappy[..])] {
            let block = decompress("f", 0, code, payload, 42).unwrap();
            assert_eq!(&*block, "Dodona ".repeat(6).as_bytes());
        }
    }

    #[test]
    fn each_compression_makes_what_repeats_shorter() {
        let block = b"a line of which there are many\n".repeat(200);
        for (compression, expected) in ALL.into_iter().zip([RAW, LZ4, ZSTD, ZSTD, SNAPPY, DEFLATE]) {
            let mut out = Vec::new();
            assert_eq!(compression.compress(&block, &mut out), expected);
            assert_eq!(out.len() < block.len() / 10, compression != Compression::None, "{compression:?}");
        }
    }
}
