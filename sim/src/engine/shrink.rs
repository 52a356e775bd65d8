//! Cuts a history that fails down to a short one that fails still.

use super::step::{History, Step};

/// The shortest failing history that leaving out steps, and parts of writes, comes to. `fails` runs
/// a history.
pub fn shrink(history: &History, fails: impl Fn(&History) -> bool) -> History {
    let mut best = history.clone();
    let mut size = best.steps.len().div_ceil(2).max(1);
    loop {
        let mut start = 0;
        let mut shorter = false;
        while start < best.steps.len() {
            let mut tried = best.clone();
            tried.steps.drain(start..(start + size).min(tried.steps.len()));
            if fails(&tried) {
                best = tried;
                shorter = true;
            } else {
                start += size;
            }
        }
        if size > 1 {
            size = size.div_ceil(2);
        } else if !shorter {
            break;
        }
    }
    smaller_writes(best, &fails)
}

/// What kind of promise a violation breaks: a shorter history must break the same.
#[must_use]
pub fn kind(violation: &str) -> usize {
    let kinds = ["is lost", "does not start", "but was to show", "is left and belongs", "verify", "scrub"];
    kinds.iter().position(|kind| violation.contains(kind)).unwrap_or(kinds.len())
}

/// Leaves out writes of a batch, and changes of a write.
fn smaller_writes(mut best: History, fails: &impl Fn(&History) -> bool) -> History {
    for step in 0..best.steps.len() {
        let mut at = 0;
        while let Step::Write(writes) = &best.steps[step] {
            let count: usize = writes.iter().map(|write| write.changes.len()).sum();
            if at >= count {
                break;
            }
            let mut tried = best.clone();
            let Step::Write(writes) = &mut tried.steps[step] else { break };
            let mut left = at;
            for write in writes.iter_mut() {
                if left < write.changes.len() {
                    write.changes.remove(left);
                    break;
                }
                left -= write.changes.len();
            }
            writes.retain(|write| !write.changes.is_empty());
            if fails(&tried) {
                best = tried;
            } else {
                at += 1;
            }
        }
    }
    best
}
