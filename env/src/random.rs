//! Randomness: one root seed, a stream of its own for every subsystem.

use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use uuid::Uuid;

/// A stream of random numbers. Clones share the stream; [`Self::split`] makes another.
#[derive(Clone)]
pub struct Random {
    seed: u64,
    stream: Arc<Mutex<SmallRng>>,
}

impl Random {
    /// The stream of a seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        Self { seed, stream: Arc::new(Mutex::new(SmallRng::seed_from_u64(seed))) }
    }

    /// An independent stream for the subsystem `label`; the same label gives the same stream.
    #[must_use]
    pub fn split(&self, label: &str) -> Self {
        let mut hasher = foldhash::fast::FixedState::with_seed(self.seed).build_hasher();
        hasher.write(label.as_bytes());
        Self::from_seed(hasher.finish())
    }

    /// A uniformly distributed number.
    #[must_use]
    pub fn next_u64(&self) -> u64 {
        self.stream.lock().next_u64()
    }

    /// A uniformly distributed number below `end`, which must not be 0.
    ///
    /// # Panics
    /// `end` is 0.
    #[must_use]
    pub fn below(&self, end: u64) -> u64 {
        self.stream.lock().random_range(0..end)
    }

    /// True with this probability.
    #[must_use]
    pub fn chance(&self, probability: f64) -> bool {
        self.stream.lock().random_bool(probability.clamp(0.0, 1.0))
    }

    /// Fills `bytes` with random ones.
    pub fn fill(&self, bytes: &mut [u8]) {
        self.stream.lock().fill_bytes(bytes);
    }

    /// A random (version 4) UUID.
    #[must_use]
    pub fn uuid_v4(&self) -> Uuid {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// A UUID that sorts by time (version 7), for `wall_micros` since the epoch.
    #[must_use]
    pub fn uuid_v7(&self, wall_micros: i64) -> Uuid {
        let mut bytes = [0; 10];
        self.fill(&mut bytes);
        let millis = (wall_micros / 1_000).max(0).cast_unsigned();
        uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
    }
}
