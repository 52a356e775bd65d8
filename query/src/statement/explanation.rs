//! The rows of EXPLAIN: what would be done, in its order. What is not known is null.

use crate::error::CqlError;
use crate::host::Host;
use crate::keys::split_partition_key;
use crate::outcome::ColumnSpec;
use dodona_cluster::coordinator::explain::{Asked, HoldingMemtable, PossibleFile, ReadSources};
use dodona_cluster::coordinator::plan::Target;
use dodona_types::cql_type::quote_identifier;
use dodona_types::read_command::{PartitionSelection, ReadCommand};
use dodona_types::schema::Table;
use dodona_types::value::wire_to_literal;
use dodona_types::{CqlType, RowSink};

/// Partitions of which each is explained by itself.
pub(super) const MOST_PARTITIONS: usize = 32;

/// The columns of the answer.
pub(super) fn columns() -> Vec<ColumnSpec> {
    let column = |(name, cql_type): (&str, CqlType)| ColumnSpec {
        keyspace: "system".into(),
        table: "explain".into(),
        name: name.into(),
        cql_type,
    };
    let columns = [
        ("step", CqlType::Int),
        ("what", CqlType::Text),
        ("source", CqlType::Text),
        ("detail", CqlType::Text),
        ("partition", CqlType::Text),
        ("bytes", CqlType::Bigint),
        ("blocks", CqlType::Bigint),
        ("rows", CqlType::Bigint),
        ("tombstones", CqlType::Bigint),
    ];
    columns.into_iter().map(column).collect()
}

/// One row.
#[derive(Default)]
pub(super) struct Line {
    /// What it tells of.
    pub(super) what: &'static str,
    /// The table, node or file.
    pub(super) source: Option<String>,
    /// In words.
    pub(super) detail: String,
    pub(super) bytes: Option<u64>,
    pub(super) blocks: Option<u64>,
    pub(super) rows: Option<u64>,
    pub(super) tombstones: Option<u64>,
}

/// The rows so far.
#[derive(Default)]
pub(crate) struct Explanation {
    lines: Vec<(Option<String>, Line)>,
    /// What the next rows are about.
    partition: Option<String>,
}

impl Explanation {
    /// Adds a row of words alone.
    pub(super) fn say(&mut self, what: &'static str, detail: impl Into<String>) {
        self.put(Line { what, detail: detail.into(), ..Line::default() });
    }

    /// Adds a row.
    pub(super) fn put(&mut self, line: Line) {
        self.lines.push((self.partition.clone(), line));
    }

    /// The next rows are about this partition.
    pub(super) fn enter(&mut self, table: &Table, raw_key: &[u8]) -> Result<(), CqlError> {
        let parts = split_partition_key(raw_key, table.partition_key().count());
        let part = |(column, wire): (&dodona_types::schema::Column, &[u8])| {
            let value = wire_to_literal(&column.cql_type, Some(wire))?;
            Ok::<_, CqlError>(format!("{} = {value}", quote_identifier(&column.name)))
        };
        let parts = table.partition_key().zip(parts).map(part).collect::<Result<Vec<_>, _>>()?;
        self.partition = Some(parts.join(" AND "));
        Ok(())
    }

    /// The next rows are about no partition alone.
    pub(super) fn leave(&mut self) {
        self.partition = None;
    }

    /// Says who is asked for a partition; `role` tells of a replica by its place and whether it must answer.
    pub(super) fn asked(&mut self, asked: &Asked, role: impl Fn(usize, &Target) -> String) {
        for (place, target) in asked.replicas.iter().enumerate() {
            let source = Some(target.internode.to_string());
            self.put(Line { what: "replica", source, detail: role(place, target), ..Line::default() });
        }
        if let Some(error) = &asked.unavailable {
            self.say("error", error.to_string());
        }
    }

    /// Says who is written to for a partition, of whom one leads where counters are changed.
    pub(super) fn written(&mut self, asked: &Asked, leader: Option<&Target>) {
        self.asked(asked, |_, target| {
            let role = role_of_written(asked, target);
            let leads =
                asked.unavailable.is_none() && leader.is_some_and(|leader| leader.host == target.host);
            if leads { format!("leads: {role}") } else { role }
        });
    }

    /// Says what this node would look into.
    pub(super) fn sources(&mut self, host: &Host, command: &ReadCommand) -> Result<(), CqlError> {
        let sources = host.node.engine.sources_of(command).map_err(dodona_cluster::ClusterError::from)?;
        let is_range = matches!(command.partitions, PartitionSelection::Range(_));
        for memtable in &sources.holding {
            self.memtable(memtable);
        }
        let others = sources.memtables - sources.holding.len();
        if others > 0 {
            self.say(
                "memtables left out",
                format!("{others} without {}", if is_range { "data" } else { "it" }),
            );
        }
        for (place, file) in sources.files.iter().enumerate() {
            self.file(&sources, place, file, is_range);
        }
        self.left_out(&sources);
        Ok(())
    }

    fn memtable(&mut self, memtable: &HoldingMemtable) {
        let mut detail = String::from(if memtable.is_flushing { "is being flushed" } else { "takes writes" });
        if memtable.has_deletions == Some(true) {
            detail.push_str(", has deletions");
        }
        self.put(Line { what: "memtable", detail, rows: memtable.rows, ..Line::default() });
    }

    fn file(&mut self, sources: &ReadSources, place: usize, file: &PossibleFile, is_range: bool) {
        let mut detail = format!("level {}, newest timestamp {}", file.level, file.max_timestamp);
        detail.push_str(if is_range { ", its share of the file" } else { ", the file's average partition" });
        if sources.stops_early && place > 0 {
            detail.push_str(", opened only if what is newer does not settle the rows");
        }
        self.put(Line {
            what: "SSTable",
            source: Some(file.path.clone()),
            detail,
            bytes: Some(file.bytes),
            blocks: Some(file.blocks),
            rows: Some(file.rows),
            tombstones: Some(file.tombstones),
        });
    }

    fn left_out(&mut self, sources: &ReadSources) {
        let counts = [
            (Some(sources.left_out_by_tokens), "tokens"),
            (sources.left_out_by_filter, "filter"),
            (sources.left_out_by_timestamps, "timestamps"),
        ];
        let total: usize = counts.iter().filter_map(|(count, _)| *count).sum();
        if total > 0 {
            let part = |(count, by): &(Option<usize>, &str)| count.map(|count| format!("{count} by {by}"));
            let parts: Vec<String> = counts.iter().filter_map(part).collect();
            self.say("SSTables left out", format!("{total}: {}", parts.join(", ")));
        }
    }

    /// Writes the rows, with their numbers.
    pub(super) fn write(&self, sink: &mut dyn RowSink) {
        for (step, (partition, line)) in (1i32..).zip(&self.lines) {
            let number = |value: Option<u64>| {
                value.map(|value| i64::try_from(value).unwrap_or(i64::MAX).to_be_bytes())
            };
            sink.value(Some(&step.to_be_bytes()));
            sink.value(Some(line.what.as_bytes()));
            sink.value(line.source.as_deref().map(str::as_bytes));
            sink.value(Some(line.detail.as_bytes()));
            sink.value(partition.as_deref().map(str::as_bytes));
            for value in [line.bytes, line.blocks, line.rows, line.tombstones].map(number) {
                sink.value(value.as_ref().map(<[u8; 8]>::as_slice));
            }
            sink.end_row();
        }
    }
}

/// What a write does with a replica.
fn role_of_written(asked: &Asked, target: &Target) -> String {
    let mut role = String::from(match target {
        _ if asked.unavailable.is_some() => {
            if target.alive {
                "not written"
            } else {
                "is down"
            }
        }
        Target { alive: false, .. } => "is down: a hint is kept for it",
        Target { local: true, .. } => "written here",
        _ => "written",
    });
    if target.pending {
        role.push_str("; joins, moves or leaves");
    }
    role
}

/// A count and what is counted, for example `3 rows`.
pub(super) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
