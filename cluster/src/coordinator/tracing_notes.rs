//! What is noted of reads and writes that are traced.

use super::plan::{Plan, Target};
use crate::trace::note;
use dodona_types::read_command::{PartitionSelection, ReadCommand};

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
