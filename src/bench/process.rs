//! What the operating system knows about processes: CPU time and where they may run.

use rustix::param::clock_ticks_per_second;
use rustix::thread::{CpuSet, sched_setaffinity};

use super::BenchError;

/// Lets the calling thread run on this CPU only.
pub(super) fn pin(cpu: Option<usize>) -> Result<(), BenchError> {
    let Some(cpu) = cpu else { return Ok(()) };
    if cpu >= CpuSet::MAX_CPU {
        return Err(BenchError::Arguments("there is no such CPU"));
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).map_err(|error| BenchError::io("pin to a CPU")(error.into()))
}

/// CPU time that a process had used at some moment.
#[derive(Clone, Debug)]
pub(super) struct CpuTime {
    /// The process's file in /proc.
    path: String,
    ticks: u64,
}

impl CpuTime {
    /// Of the process with this id; `None` if there is none.
    pub(super) fn of(pid: Option<u32>) -> Option<Self> {
        Self::from_path(format!("/proc/{}/stat", pid?))
    }

    /// Of this process.
    pub(super) fn of_self() -> Option<Self> {
        Self::from_path("/proc/self/stat".to_owned())
    }

    fn from_path(path: String) -> Option<Self> {
        let ticks = ticks_in(&std::fs::read_to_string(&path).ok()?)?;
        Some(Self { path, ticks })
    }

    /// CPU time used since, in seconds.
    pub(super) fn elapsed_seconds(self) -> Option<f64> {
        let now = Self::from_path(self.path)?;
        Some(now.ticks.saturating_sub(self.ticks) as f64 / clock_ticks_per_second() as f64)
    }
}

/// User and system time in a line of `/proc/PID/stat` (proc(5)): fields 14 and 15, counted from
/// behind the process's name, which may hold blanks.
fn ticks_in(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_found_behind_a_name_with_blanks_and_brackets() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 90 0 0 0 12 30 0 0 20 0 1 0 5 0 0";
        assert_eq!(ticks_in(stat), Some(42));
        assert_eq!(ticks_in("nonsense"), None);
    }

    #[test]
    fn this_process_has_cpu_time() {
        assert!(CpuTime::of_self().unwrap().elapsed_seconds().is_some());
        assert!(CpuTime::of(Some(u32::MAX)).is_none());
    }
}
