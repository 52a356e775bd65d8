//! What replicas send a coordinator that asks several, and what the coordinator makes of it.
//!
//! * [`answer`]: the requested part of each partition with its deletions, as mutations, and how far
//!   it goes; or a [`digest`] of it.
//! * [`merged`]: several answers as one, and what each replica lacks of that.
//! * [`hashes`]: a digest of each partition of a range, for replicas to be compared by.
//! * [`assembly`]: the live rows of a command, asked for piece by piece; [`position`] says what
//!   comes next.

pub mod answer;
pub mod assembly;
pub mod digest;
pub mod hashes;
pub mod merged;
pub mod position;
#[cfg(test)]
mod reconcile_tests;

pub use answer::{Answer, Reading, read_answer};
pub use assembly::Assembly;
pub use digest::{Digest, DigestRules};
pub use hashes::{Hashed, hash_partitions};
pub use merged::MergedAnswers;
