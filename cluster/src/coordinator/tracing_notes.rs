//! What is noted of reads and writes that are traced.

use super::Coordinator;
use super::plan::{Plan, Target};
use crate::trace::{is_on, note};
use dodona_types::read_command::{PartitionSelection, ReadCommand};

impl Coordinator {
    /// Notes what this node is about to look into.
    pub(super) fn note_sources(&self, command: &ReadCommand) {
        if !is_on() {
            return;
        }
        let Ok(sources) = self.engine.sources_of(command) else { return };
        note(|| format!("Reading {} of {} memtables", sources.holding.len(), sources.memtables));
        for file in &sources.files {
            note(|| format!("SSTable {} may hold it", file.path));
        }
        let by = [
            (sources.left_out_by_tokens, "tokens"),
            (sources.left_out_by_filter.unwrap_or_default(), "filters"),
            (sources.left_out_by_timestamps.unwrap_or_default(), "timestamps"),
        ];
        for (count, why) in by.into_iter().filter(|(count, _)| *count > 0) {
            note(|| format!("Skipping {count} SSTables by their {why}"));
        }
    }
}

/// Notes whom a read of a partition or a part of the ring is planned to ask.
pub(super) fn note_read(plan: &Plan, command: &ReadCommand) {
    note(|| {
        let what = match &command.partitions {
            PartitionSelection::Key(key) => format!("partition of token {}", key.token()),
            PartitionSelection::Range(_) => "range of the ring".into(),
        };
        let replicas: Vec<String> = plan.replicas.iter().map(shown).collect();
        format!(
            "Reading a {what}: {} of {} must answer at {}",
            plan.block_for,
            replicas.join(", "),
            plan.consistency.name()
        )
    });
}

/// A replica as notes show it.
pub(super) fn shown(target: &Target) -> String {
    format!("/{}", target.internode)
}
