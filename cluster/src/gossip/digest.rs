//! What one node knows of another, in short.

use super::state::{Generation, Version, put_version, take_version};
use dodona_types::codec::{DecodeError, Reader, put_zigzag};
use uuid::Uuid;

/// The most bytes of a digest.
pub const MAX_DIGEST_BYTES: usize = 16 + 10 + 5;

/// How much is known of a node. Of one that nothing is known of, generation and version are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// The node.
    pub host: Uuid,
    /// The life it is in.
    pub generation: Generation,
    /// The greatest version that is known of that life.
    pub version: Version,
}

impl Digest {
    /// Appends its bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.host.as_bytes());
        put_zigzag(out, self.generation.0);
        put_version(out, self.version);
    }

    /// Reads a digest.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (host, generation) = (reader.uuid()?, Generation(reader.zigzag()?));
        Ok(Self { host, generation, version: take_version(reader)? })
    }
}
