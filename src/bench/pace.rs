//! When an operation may start: at once, or at even intervals whatever the server does.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::unix::AsyncFd;

use super::BenchError;

/// Decides when the operations of one connection start. Times are nanoseconds since the phase began.
#[derive(Debug)]
pub(super) enum Pace {
    /// As soon as another has ended.
    Closed,
    /// At these times, and latency counts from them.
    Fixed {
        /// The next operation's time.
        next: f64,
        /// Between two operations of this connection.
        interval: f64,
        /// Rings at `next`.
        timer: Timer,
    },
}

impl Pace {
    /// The pace of one connection of `connections`, at `rate` operations per second on all. The
    /// connections take turns: no two start at the same time.
    pub(super) fn new(rate: Option<f64>, connections: usize, index: usize) -> Result<Self, BenchError> {
        let Some(rate) = rate else { return Ok(Self::Closed) };
        let spacing = 1e9 / rate;
        let (next, interval) = (spacing * index as f64, spacing * connections as f64);
        Ok(Self::Fixed { next, interval, timer: Timer::new()? })
    }

    /// The time that the next operation's latency counts from, if it may start at `now`.
    #[inline]
    pub(super) fn start(&mut self, now: u64) -> Option<u64> {
        match self {
            Self::Closed => Some(now),
            Self::Fixed { next, interval, .. } => {
                let due = *next as u64;
                if due > now {
                    return None;
                }
                *next += *interval;
                Some(due)
            }
        }
    }

    /// Arranges that [`poll_due`](Self::poll_due) wakes at the next operation's time.
    pub(super) fn arm(&mut self, now: u64) -> Result<(), BenchError> {
        match self {
            Self::Closed => Ok(()),
            Self::Fixed { next, timer, .. } => timer.arm((*next as u64).saturating_sub(now)),
        }
    }

    /// Ready when the next operation is due; never in a closed loop.
    pub(super) fn poll_due(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Closed => Poll::Pending,
            Self::Fixed { timer, .. } => timer.poll(context),
        }
    }
}

/// A timer of the kernel: tokio's own are a millisecond coarse.
#[derive(Debug)]
pub(super) struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    pub(super) fn new() -> Result<Self, BenchError> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let made = timerfd_create(TimerfdClockId::Monotonic, flags).map_err(Into::into).and_then(
            |timer: OwnedFd| {
                // SAFETY: an `OwnedFd` is open, and the same descriptor, until it is dropped.
                unsafe { AsyncFd::register(timer) }.map_err(Into::into)
            },
        );
        made.map(Self).map_err(BenchError::io("make a timer"))
    }

    /// Rings after this time, and at no time that was set before.
    pub(super) fn arm(&mut self, nanos: u64) -> Result<(), BenchError> {
        // A time of 0 would disarm it.
        let after = Duration::from_nanos(nanos.max(1));
        let it_value =
            Timespec { tv_sec: after.as_secs().cast_signed(), tv_nsec: after.subsec_nanos().into() };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let set = timerfd_settime(
            self.0.get_ref(),
            TimerfdTimerFlags::empty(),
            &Itimerspec { it_interval, it_value },
        );
        set.map(drop).map_err(|error| BenchError::io("set a timer")(error.into()))
    }

    /// Ready when the time has come.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        // Setting the timer anew takes the readiness away: it need not be read.
        if let Ok(mut guard) = ready!(self.0.poll_read_ready(context)) {
            guard.clear_ready();
        }
        Poll::Ready(())
    }
}
