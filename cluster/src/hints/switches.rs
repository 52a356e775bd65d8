//! What operators change of hints while the node runs. The settings are what it starts with.

use super::settings::HintSettings;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What is kept, for how long, and whether and how fast it is delivered.
#[derive(Debug)]
pub struct Switches {
    is_enabled: AtomicBool,
    is_paused: AtomicBool,
    max_window_ms: AtomicU64,
    bytes_per_second: AtomicU64,
    disabled_data_centers: Mutex<BTreeSet<String>>,
}

impl Switches {
    pub(super) fn new(settings: &HintSettings) -> Self {
        let switches = Self {
            is_enabled: AtomicBool::new(settings.enabled),
            is_paused: AtomicBool::new(false),
            max_window_ms: AtomicU64::default(),
            bytes_per_second: AtomicU64::new(settings.delivered_bytes_per_second),
            disabled_data_centers: Mutex::new(settings.disabled_data_centers.clone()),
        };
        switches.set_max_window(settings.max_hint_window);
        switches
    }

    /// True if hints are kept. Those that wait are delivered in any case.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.is_enabled.load(Relaxed)
    }

    /// Has hints kept, or none.
    pub fn enable(&self, enabled: bool) {
        self.is_enabled.store(enabled, Relaxed);
    }

    /// True if none is delivered.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.is_paused.load(Relaxed)
    }

    /// Has none delivered, or all again. What is under way arrives.
    pub fn pause(&self, paused: bool) {
        self.is_paused.store(paused, Relaxed);
    }

    /// How long hints are gathered for one target.
    #[must_use]
    pub fn max_window(&self) -> Duration {
        Duration::from_millis(self.max_window_ms.load(Relaxed))
    }

    /// Changes how long hints are gathered for one target; whole milliseconds count.
    pub fn set_max_window(&self, window: Duration) {
        self.max_window_ms.store(u64::try_from(window.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Bytes that are delivered to one target in a second, about; 0 for no limit.
    #[must_use]
    pub fn rate(&self) -> u64 {
        self.bytes_per_second.load(Relaxed)
    }

    /// Changes the bytes that are delivered to one target in a second; 0 for no limit.
    pub fn set_rate(&self, bytes_per_second: u64) {
        self.bytes_per_second.store(bytes_per_second, Relaxed);
    }

    /// The data centres for whose members none is kept, whether there are such or not.
    #[must_use]
    pub fn disabled_data_centers(&self) -> BTreeSet<String> {
        self.disabled_data_centers.lock().clone()
    }

    /// Has hints kept for the members of a data centre, or none.
    pub fn enable_data_center(&self, name: &str, enabled: bool) {
        let mut disabled = self.disabled_data_centers.lock();
        if enabled {
            disabled.remove(name);
        } else {
            disabled.insert(name.to_owned());
        }
    }

    /// True if hints are kept for a member of the data centre that is looked up, if that counts.
    pub(super) fn keep_for(&self, data_center: impl FnOnce() -> Option<String>) -> bool {
        if !self.is_enabled() || self.max_window().is_zero() {
            return false;
        }
        let disabled = self.disabled_data_centers.lock();
        disabled.is_empty() || !data_center().is_some_and(|name| disabled.contains(&name))
    }

    /// How long the delivery of so many bytes is to take.
    pub(super) fn due(&self, bytes: usize) -> Duration {
        match self.rate() {
            0 => Duration::ZERO,
            rate => Duration::from_secs_f64(bytes as f64 / rate as f64),
        }
    }
}
