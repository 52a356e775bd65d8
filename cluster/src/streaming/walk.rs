//! Walks over the partitions of a range, answer by answer.

use dodona_storage::reconcile::{Answer, position};
use dodona_types::PartitionKey;
use dodona_types::read_command::{
    ClusteringSelection, PartitionRange, PartitionSelection, RangeBound, ReadCommand,
};
use dodona_types::schema::Table;

/// What was not answered yet of everything in a range.
pub(crate) struct Walk {
    command: ReadCommand,
    rest: PartitionRange,
}

impl Walk {
    /// All of a range of a table.
    pub(crate) fn new(table: &Table, range: &PartitionRange, now_seconds: i64) -> Self {
        let partitions = PartitionSelection::Range(range.clone());
        let command = ReadCommand::everything(table.id, table.epoch, partitions, now_seconds);
        Self { command, rest: range.clone() }
    }

    /// What is to be asked next.
    pub(crate) const fn command(&self) -> &ReadCommand {
        &self.command
    }

    /// Goes on behind an answer. False at the end.
    pub(crate) fn advance(&mut self, answer: &Answer<'_>) -> bool {
        let last = answer.parts.last().map(|part| {
            let key = PartitionKey::new(part.mutation.key.bytes.to_vec().into());
            (key, part.covered.map(<[u8]>::to_vec))
        });
        let Self { command, rest } = self;
        match last {
            // On in a partition that is too large for one answer.
            Some((key, Some(covered))) => {
                command.clustering = position::behind(&command.clustering, &covered, false);
                rest.start = RangeBound::Key(key.clone(), false);
                command.partitions = PartitionSelection::Key(key);
            }
            Some((key, None)) if answer.stops => {
                rest.start = RangeBound::Key(key, false);
                command.partitions = PartitionSelection::Range(rest.clone());
            }
            _ if matches!(command.partitions, PartitionSelection::Key(_)) => {
                command.clustering = ClusteringSelection::all();
                command.partitions = PartitionSelection::Range(rest.clone());
            }
            _ => return false,
        }
        true
    }
}
