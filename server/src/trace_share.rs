//! The share of requests that are traced without a client that asks for it.

use dodona_env::Random;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The probability with which a request is traced, until the next start.
#[derive(Debug, Default)]
pub(crate) struct TraceShare {
    /// The bits of an `f64`; those of 0.0 are 0.
    bits: AtomicU64,
}

impl TraceShare {
    /// The share of requests.
    pub(crate) fn get(&self) -> f64 {
        f64::from_bits(self.bits.load(Relaxed))
    }

    /// Sets the share.
    ///
    /// # Errors
    /// It is not one.
    pub(crate) fn set(&self, share: f64) -> Result<(), &'static str> {
        if !(0.0..=1.0).contains(&share) {
            return Err("Trace probability must be between 0 and 1");
        }
        self.bits.store(share.abs().to_bits(), Relaxed);
        Ok(())
    }

    /// True if this request is to be traced.
    #[inline]
    pub(crate) fn takes_one(&self, random: &Random) -> bool {
        self.bits.load(Relaxed) != 0 && random.chance(self.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_requests_are_taken() {
        let (share, random) = (TraceShare::default(), Random::from_seed(1));
        let count = |share: &TraceShare| (0..10_000).filter(|_| share.takes_one(&random)).count();
        assert_eq!(count(&share), 0);
        share.set(0.25).unwrap();
        assert!((2_300..2_700).contains(&count(&share)));
        share.set(1.0).unwrap();
        assert_eq!(count(&share), 10_000);
        for wrong in [-0.1, 1.1, f64::NAN] {
            share.set(wrong).unwrap_err();
        }
        assert_eq!(share.get().to_bits(), 1.0_f64.to_bits());
        share.set(-0.0).unwrap();
        assert_eq!(count(&share), 0);
    }
}
