//! Partitions that are large enough to be told of in the log, as files with them are written (Cassandra: the
//! guardrails `partition_size` and `partition_tombstones`).

use std::fmt::Write;

/// Above how much of one partition in one file the log tells of it; `u64::MAX` is never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionBounds {
    /// Bytes before compression: it is warned of.
    pub warn_bytes: u64,
    /// Bytes before compression: it is an error. Nothing fails, since the data is there.
    pub fail_bytes: u64,
    /// Tombstones of every kind: it is warned of.
    pub warn_tombstones: u64,
    /// Tombstones of every kind: it is an error.
    pub fail_tombstones: u64,
}

impl PartitionBounds {
    /// Nothing is told.
    pub const NONE: Self = Self {
        warn_bytes: u64::MAX,
        fail_bytes: u64::MAX,
        warn_tombstones: u64::MAX,
        fail_tombstones: u64::MAX,
    };
}

/// Looks at the partitions of one file.
#[derive(Clone, Debug)]
pub struct PartitionWatch {
    /// Keyspace and name of the table.
    pub table: String,
    /// What is too much.
    pub bounds: PartitionBounds,
}

/// A message for the log.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    is_failure: bool,
    text: String,
}

impl PartitionWatch {
    /// Tells of a partition that has too much.
    pub(super) fn look(&self, key: &[u8], bytes: u64, tombstones: u64) {
        for Told { is_failure, text } in self.judge(key, bytes, tombstones) {
            if is_failure {
                tracing::error!("{text}");
            } else {
                tracing::warn!("{text}");
            }
        }
    }

    fn judge(&self, key: &[u8], bytes: u64, tombstones: u64) -> Vec<Told> {
        let PartitionBounds { warn_bytes, fail_bytes, warn_tombstones, fail_tombstones } = self.bounds;
        let size = told(bytes, warn_bytes, fail_bytes).map(|(is_failure, bound)| Told {
            is_failure,
            text: self.text("partition_size", key, &format!("size {bytes}"), is_failure, bound),
        });
        let deleted = told(tombstones, warn_tombstones, fail_tombstones).map(|(is_failure, bound)| {
            let has = format!("{tombstones} tombstones");
            Told { is_failure, text: self.text("partition_tombstones", key, &has, is_failure, bound) }
        });
        size.into_iter().chain(deleted).collect()
    }

    fn text(&self, rail: &str, key: &[u8], has: &str, is_failure: bool, bound: u64) -> String {
        let kind = if is_failure { "failure" } else { "warning" };
        let mut text = format!("Guardrail {rail} violated: Partition {}:0x", self.table);
        for byte in key {
            // A text takes whatever is written.
            let _ = write!(text, "{byte:02x}");
        }
        let _ = write!(text, " has {has}, this exceeds the {kind} threshold of {bound}.");
        text
    }
}

/// Whether it is a failure, and the bound that is exceeded.
fn told(value: u64, warn: u64, fail: u64) -> Option<(bool, u64)> {
    if value > fail {
        return Some((true, fail));
    }
    (value > warn).then_some((false, warn))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greater_of_two_bounds_is_told_and_what_is_at_a_bound_is_not() {
        let bounds =
            PartitionBounds { warn_bytes: 10, fail_bytes: 20, fail_tombstones: 3, ..PartitionBounds::NONE };
        let watch = PartitionWatch { table: "ks.t".into(), bounds };
        let texts = |bytes, tombstones| {
            let told = watch.judge(&[0, 0xAB], bytes, tombstones);
            told.into_iter().map(|told| (told.is_failure, told.text)).collect::<Vec<_>>()
        };
        assert_eq!(texts(10, 3), []);
        let size = |bytes: u64, kind: &str, bound: u64| {
            format!(
                "Guardrail partition_size violated: Partition ks.t:0x00ab has size {bytes}, this exceeds the {kind} threshold of {bound}."
            )
        };
        assert_eq!(texts(11, 0), [(false, size(11, "warning", 10))]);
        let tombstones = "Guardrail partition_tombstones violated: Partition ks.t:0x00ab has 4 tombstones, this exceeds the failure threshold of 3.";
        assert_eq!(texts(21, 4), [(true, size(21, "failure", 20)), (true, tombstones.into())]);
    }
}
