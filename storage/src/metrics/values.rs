//! Values of one kind, each of which counts.

use super::distribution::Distribution;
use super::recent::Recent;
use std::sync::OnceLock;
use std::time::Duration;

/// Values of one kind, of the present and the last period of five minutes.
#[derive(Debug, Default)]
pub struct Values {
    recent: OnceLock<Box<Recent>>,
}

impl Values {
    /// Notes a value.
    pub fn note(&self, now: Duration, value: u64) {
        let recent = self.recent.get_or_init(|| Box::new(Recent::new(now)));
        recent.turn(now, || 0);
        recent.add(value, 1);
    }

    /// What there was of late.
    #[must_use]
    pub fn lately(&self, now: Duration) -> Distribution {
        let Some(recent) = self.recent.get() else {
            return Distribution::default();
        };
        recent.turn(now, || 0);
        recent.distribution()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_until_they_are_old() {
        let (values, at) = (Values::default(), Duration::from_secs);
        assert_eq!(values.lately(at(0)).max(), 0);
        values.note(at(10), 3);
        values.note(at(310), 2);
        assert_eq!((values.lately(at(320)).min(), values.lately(at(320)).max()), (2, 3));
        assert_eq!(values.lately(at(620)).max(), 2);
        assert_eq!(values.lately(at(920)).max(), 0);
    }
}
