//! What is on its way to a table from other nodes.

use crate::sync::Mutex;
use std::collections::BTreeSet;

/// What comes to one table from elsewhere and does not count yet: it goes by numbers.
#[derive(Debug, Default)]
pub(crate) struct Arriving(Mutex<(u64, BTreeSet<u64>)>);

impl Arriving {
    /// Something comes: its number.
    pub(crate) fn begin(&self) -> u64 {
        let mut arriving = self.0.lock();
        arriving.0 += 1;
        let number = arriving.0;
        arriving.1.insert(number);
        number
    }

    /// True if it still is to count.
    pub(crate) fn has(&self, number: u64) -> bool {
        self.0.lock().1.contains(&number)
    }

    /// It counts, or never will.
    pub(crate) fn end(&self, number: u64) {
        self.0.lock().1.remove(&number);
    }

    /// True if something is on its way.
    pub(crate) fn is_any(&self) -> bool {
        !self.0.lock().1.is_empty()
    }

    /// Nothing that is on its way counts any more.
    pub(crate) fn clear(&self) {
        self.0.lock().1.clear();
    }
}
