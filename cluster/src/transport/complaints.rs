//! Log lines on peers that are not spoken with: few enough that no peer can fill the log.

use dodona_env::Clock;
use dodona_env::collections::HashMap;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// At most one line in so long for an address.
const PERIOD: Duration = Duration::from_secs(60);
/// At most so many addresses in a period; others are passed over.
const ADDRESSES: usize = 64;

/// Decides which complaints are heard.
pub(super) struct Complaints {
    clock: Arc<dyn Clock>,
    /// When there was a line last.
    last: Mutex<HashMap<SocketAddr, Duration>>,
}

impl Complaints {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, last: Mutex::default() }
    }

    /// True if a line on this address is due; there is to be one then.
    pub(super) fn is_due(&self, address: SocketAddr) -> bool {
        let now = self.clock.mono();
        let mut last = self.last.lock();
        last.retain(|_, then| now.saturating_sub(*then) < PERIOD);
        let is_due = last.len() < ADDRESSES && !last.contains_key(&address);
        if is_due {
            last.insert(address, now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock that a test sets, in seconds.
    struct Set(Mutex<u64>);

    impl Clock for Set {
        fn mono(&self) -> Duration {
            Duration::from_secs(*self.0.lock())
        }

        fn wall_micros(&self) -> i64 {
            0
        }
    }

    #[test]
    fn an_address_is_complained_of_once_in_a_period_and_few_addresses_are() {
        let clock = Arc::new(Set(Mutex::new(1_000)));
        let complaints = Complaints::new(clock.clone());
        let address = |port| SocketAddr::from(([10, 0, 0, 1], port));
        assert!(complaints.is_due(address(0)) && !complaints.is_due(address(0)));
        let heard = (1..1_000).filter(|port| complaints.is_due(address(*port))).count();
        assert_eq!(heard, ADDRESSES - 1);
        *clock.0.lock() += PERIOD.as_secs();
        assert!(complaints.is_due(address(0)) && complaints.is_due(address(999)));
    }
}
