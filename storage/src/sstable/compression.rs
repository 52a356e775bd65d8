//! Compression of blocks.

use crate::error::{Result, corrupt};

/// How a table's blocks are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// LZ4: quick.
    Lz4,
    /// Zstandard at a level from 1 to 22: small.
    Zstd(i32),
}

const RAW: u8 = 0;
const LZ4: u8 = 1;
const ZSTD: u8 = 2;

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
        _ => return Err(damaged("unknown compression")),
    };
    if block.len() != uncompressed_bytes {
        return Err(damaged("the block has another length than it says"));
    }
    Ok(block.into())
}
