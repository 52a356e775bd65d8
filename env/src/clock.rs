//! Time.

use std::time::Duration;

/// A source of time. Monotonic time measures durations, wall time makes timestamps.
pub trait Clock: Send + Sync {
    /// Time since an arbitrary point; it never goes back.
    fn mono(&self) -> Duration;

    /// Microseconds since the epoch, as the machine believes; it may jump.
    fn wall_micros(&self) -> i64;

    /// Seconds since the epoch.
    fn wall_seconds(&self) -> i64 {
        self.wall_micros().div_euclid(1_000_000)
    }
}

/// Waits. Tokio's timer follows the simulated clock in a simulation.
pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}
