//! EXPLAIN SELECT: what [`SelectPlan::execute`] would do.

use super::reads::MOST_AT_ONCE;
use super::{SelectPlan, check_read_consistency};
use crate::binding::Binding;
use crate::error::{CqlError, invalid};
use crate::host::Host;
use crate::restrictions::Filter;
use crate::session::Parameters;
use crate::statement::explanation::{Explanation, Line, MOST_PARTITIONS, counted};
use dodona_cluster::coordinator::explain::Asked;
use dodona_cluster::coordinator::plan::Target;
use dodona_types::Consistency;
use dodona_types::read_command::{
    ClusteringSelection, PartitionRange, PartitionSelection, ReadCommand, ReadLimits,
};
use std::collections::BTreeMap;

/// What is told of the files of other nodes.
const ELSEWHERE: &str = "what other nodes would look into is not known here";

/// Where a range is read.
#[derive(Default)]
struct Reads {
    here: bool,
    elsewhere: bool,
}

impl SelectPlan {
    /// Tells what an execution with these values would do. It reads no rows.
    pub(crate) fn explain(
        &self,
        host: &Host,
        binding: &Binding<'_>,
        parameters: &Parameters<'_>,
        out: &mut Explanation,
    ) -> Result<(), CqlError> {
        check_read_consistency(parameters.consistency)?;
        binding.guard.read_level(parameters.consistency)?;
        let limits = self.limits(binding)?;
        // Its values are checked as those of the read are.
        let filter = Filter::new(&self.restrictions, binding)?;
        let commands = self.commands(binding, ReadLimits::NONE)?;
        out.put(Line {
            what: "SELECT",
            source: Some(format!("{}.{}", self.table.keyspace, self.table.name)),
            detail: self.manner(&commands),
            ..Line::default()
        });
        let consistency = match parameters.consistency {
            serial @ (Consistency::Serial | Consistency::LocalSerial) => {
                if commands.len() > 1 {
                    return invalid(
                        "SERIAL/LOCAL_SERIAL consistency may only be requested for one partition at a time",
                    );
                }
                let level = if serial == Consistency::Serial {
                    Consistency::Quorum
                } else {
                    Consistency::LocalQuorum
                };
                if self.restrictions.has_partition_keys() {
                    let level = level.name();
                    out.say(
                        "Paxos",
                        format!("at {}: ends what is under way, then reads at {level}", serial.name()),
                    );
                }
                level
            }
            level => level,
        };
        if let Some(command) = commands.first() {
            out.say("rows", rows_of(command));
        }
        for command in commands.iter().take(MOST_PARTITIONS) {
            match &command.partitions {
                PartitionSelection::Key(key) => {
                    out.enter(&self.table, key.bytes())?;
                    let (coordinator, token) = (&host.node.coordinator, key.token());
                    let asked = coordinator.asked_to_read(self.table.id, token, consistency)?;
                    out.say("partition", format!("token {token}, {}", must_answer(&asked, consistency)));
                    out.asked(&asked, |place, target| role(&asked, place, target));
                    if asked.begins_here() {
                        out.sources(host, command)?;
                    }
                    if asked.unavailable.is_none() && !(asked.begins_here() && asked.block_for == 1) {
                        out.say("elsewhere", ELSEWHERE);
                    }
                }
                PartitionSelection::Range(range) => {
                    let reads = self.explain_range(host, range, consistency, out)?;
                    if reads.here {
                        out.sources(host, command)?;
                    }
                    if reads.elsewhere {
                        out.say("elsewhere", ELSEWHERE);
                    }
                }
            }
        }
        out.leave();
        if commands.len() > MOST_PARTITIONS {
            out.say("partitions", format!("{} more, in the same way", commands.len() - MOST_PARTITIONS));
        }
        if !filter.is_empty() {
            let mut columns: Vec<&str> =
                self.restrictions.filtered_columns().map(|column| &*column.name).collect();
            columns.dedup();
            out.say("filter", format!("each row by {}, after it was read", columns.join(", ")));
        }
        self.explain_result(limits, parameters, out);
        Ok(())
    }

    /// How partitions are found.
    pub(super) fn manner(&self, commands: &[ReadCommand]) -> String {
        match commands.first().map(|command| &command.partitions) {
            None => "reads nothing: no row can meet the conditions".into(),
            Some(PartitionSelection::Key(_)) if commands.len() == 1 => {
                "reads one partition by its key".into()
            }
            Some(PartitionSelection::Key(_)) => {
                let count = commands.len();
                format!("reads {count} partitions by their keys, at most {MOST_AT_ONCE} at the same time")
            }
            Some(PartitionSelection::Range(range)) if *range == PartitionRange::all() => {
                "reads all partitions, in the order of their tokens".into()
            }
            Some(PartitionSelection::Range(_)) => {
                "reads a range of the ring, in the order of its tokens".into()
            }
        }
    }

    fn explain_range(
        &self,
        host: &Host,
        range: &PartitionRange,
        consistency: Consistency,
        out: &mut Explanation,
    ) -> Result<Reads, CqlError> {
        let parts = host.node.coordinator.asked_to_read_range(self.table.id, range, consistency)?;
        let mut of_replica: BTreeMap<_, usize> = BTreeMap::new();
        let mut error = None;
        let mut reads = Reads::default();
        for (_, asked) in &parts {
            error = error.or(asked.unavailable.as_ref());
            if asked.unavailable.is_some() {
                continue;
            }
            for target in asked.replicas.iter().take(asked.block_for as usize) {
                *of_replica.entry(target.internode).or_default() += 1;
                reads.here |= target.local;
                reads.elsewhere |= !target.local;
            }
        }
        let level = consistency.name();
        out.say(
            "range",
            format!("{} of the ring with replicas of their own, at {level}", counted(parts.len(), "part")),
        );
        for (address, count) in of_replica {
            let detail = format!("asked for data of {}", counted(count, "part"));
            out.put(Line { what: "replica", source: Some(address.to_string()), detail, ..Line::default() });
        }
        if let Some(error) = error {
            out.say("error", error.to_string());
        }
        Ok(reads)
    }

    /// What is made of the rows.
    fn explain_result(&self, limits: ReadLimits, parameters: &Parameters<'_>, out: &mut Explanation) {
        if !self.group_by.is_empty() {
            out.say("group", "rows into groups, as they come");
        }
        if !self.selection.aggregates.is_empty() {
            out.say("aggregate", "of all rows that are read");
        }
        if !self.sort.is_empty() {
            out.say("sort", "all rows in memory, before the first is given");
        }
        if limits.per_partition != u64::MAX {
            out.say("limit", format!("{} of each partition", counted_rows(limits.per_partition)));
        }
        if limits.rows != u64::MAX {
            out.say("limit", format!("ends after {}", counted_rows(limits.rows)));
        }
        if let Some(rows) = parameters.page_size.filter(|_| self.streams()) {
            out.say("page", format!("ends after {}", counted_rows(rows.into())));
        }
        if let Some(warning) = self.warning() {
            out.say("warning", warning);
        }
    }
}

fn counted_rows(rows: u64) -> String {
    counted(usize::try_from(rows).unwrap_or(usize::MAX), "row")
}

/// Which rows of a partition are read.
fn rows_of(command: &ReadCommand) -> String {
    let rows = match &command.clustering {
        selection if selection.is_all() => "all of a partition".to_owned(),
        ClusteringSelection::Names(names) => format!("{} by name", counted(names.len(), "row")),
        ClusteringSelection::Slices(slices) => format!("{} of a partition", counted(slices.len(), "slice")),
    };
    if command.reversed { rows + ", from the last to the first" } else { rows }
}

fn must_answer(asked: &Asked, consistency: Consistency) -> String {
    format!(
        "{} of {} must answer at {}",
        asked.block_for,
        counted(asked.replicas.len(), "replica"),
        consistency.name()
    )
}

/// What a read does with a replica.
fn role(asked: &Asked, place: usize, target: &Target) -> String {
    let is_first = place < asked.block_for as usize;
    let role = match place {
        _ if !target.alive => "is down",
        _ if asked.unavailable.is_some() => "not asked",
        0 if target.local && asked.block_for == 1 => "read here",
        0 => "asked for data",
        _ if is_first => "asked for a digest",
        _ => "asked if another one fails or is slow",
    };
    if target.local && role != "read here" { format!("{role}; this node") } else { role.to_owned() }
}
