//! A record of the repairs that this node leads: `system_distributed.parent_repair_history`, and `repair_history` with a
//! row for each range, with Cassandra's columns.

use crate::internal;
use crate::shared::Shared;
use dodona_cluster::repair::Options;
use dodona_cluster::repair::events::{Event, Led, LedRanges, Step};
use dodona_query::{BoundValue, CqlError, Session};
use dodona_types::Consistency;
use dodona_types::schema::Table;
use dodona_types::token::TokenRange;
use dodona_types::value::{ValueError, elements_to_wire, inet_to_wire, map_to_wire};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

const BEGAN: &str = "INSERT INTO system_distributed.parent_repair_history \
     (parent_id, keyspace_name, columnfamily_names, requested_ranges, started_at, options) \
     VALUES (?, ?, ?, ?, ?, ?)";
const SUCCEEDED: &str = "UPDATE system_distributed.parent_repair_history \
     SET finished_at = ?, successful_ranges = ? WHERE parent_id = ?";
const FAILED: &str = "UPDATE system_distributed.parent_repair_history \
     SET finished_at = ?, exception_message = ? WHERE parent_id = ?";
const RANGE_BEGAN: &str = "INSERT INTO system_distributed.repair_history \
     (keyspace_name, columnfamily_name, id, parent_id, range_begin, range_end, coordinator, coordinator_port, \
     participants, participants_v2, status, started_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'STARTED', ?)";
const RANGE_SUCCEEDED: &str = "UPDATE system_distributed.repair_history SET status = 'SUCCESS', finished_at = ? \
     WHERE keyspace_name = ? AND columnfamily_name = ? AND id = ?";
const RANGE_FAILED: &str = "UPDATE system_distributed.repair_history \
     SET status = 'FAILED', finished_at = ?, exception_message = ? \
     WHERE keyspace_name = ? AND columnfamily_name = ? AND id = ?";

/// Writes down what becomes known of repairs, for as long as the node runs. A record that cannot be written is left out.
pub(crate) async fn keep(shared: Arc<Shared>) {
    let mut events = shared.node.repairs.subscribe();
    loop {
        match events.recv().await {
            Ok(event) => {
                if let Err(error) = write(&shared, &event).await {
                    tracing::info!(%error, "a repair is not recorded");
                }
            }
            Err(RecvError::Lagged(events)) => tracing::info!(events, "repairs are not recorded"),
            Err(RecvError::Closed) => return,
        }
    }
}

async fn write(shared: &Shared, event: &Event) -> Result<(), CqlError> {
    let schema = shared.node.schema();
    let Some(table) = schema.table_by_id(event.led.table) else { return Ok(()) };
    if schema.table("system_distributed", "repair_history").is_none() {
        return Ok(());
    }
    let record = Record { shared, led: &event.led, table, at: event.at_millis.to_be_bytes() };
    match &event.step {
        Step::Began => record.began().await,
        Step::RangesBegan(ranges) => record.ranges_began(ranges).await,
        Step::RangesHashed(_) => Ok(()),
        Step::RangesEnded(ranges, ended) => record.ranges_ended(ranges, ended).await,
        Step::Ended(ended) => record.ended(ended).await,
    }
}

struct Record<'a> {
    shared: &'a Shared,
    led: &'a Led,
    table: &'a Table,
    at: [u8; 8],
}

impl Record<'_> {
    async fn run(&self, statement: &str, values: &[&[u8]]) -> Result<(), CqlError> {
        let values: Vec<BoundValue<'_>> = values.iter().map(|value| BoundValue::Bytes(value)).collect();
        let (processor, session) = (&self.shared.processor, Session::of_server());
        internal::run_at(processor, &session, statement, &values, Consistency::Any).await.map(drop)
    }

    async fn began(&self) -> Result<(), CqlError> {
        let (keyspace, tables) = (self.table.keyspace.as_bytes(), set([self.table.name.as_bytes()])?);
        let (ranges, options) = (texts(&self.led.ranges)?, options(&self.led.options)?);
        self.run(BEGAN, &[self.led.id.as_bytes(), keyspace, &tables, &ranges, &self.at, &options]).await
    }

    async fn ended(&self, ended: &Result<(), String>) -> Result<(), CqlError> {
        let id = self.led.id.as_bytes();
        match ended {
            Ok(()) => self.run(SUCCEEDED, &[&self.at, &texts(&self.led.ranges)?, id]).await,
            Err(reason) => self.run(FAILED, &[&self.at, reason.as_bytes(), id]).await,
        }
    }

    async fn ranges_began(&self, led: &LedRanges) -> Result<(), CqlError> {
        let own = self.shared.node.info.member.internode;
        let (coordinator, port) = (inet_to_wire(own.ip()), i32::from(own.port()).to_be_bytes());
        let participants = set(led.others.iter().map(|other| inet_to_wire(other.ip())))?;
        let with_ports = set(led.others.iter().map(|other| other.to_string().into_bytes()))?;
        for (id, range) in &led.ranges {
            let (start, end) = (range.start.0.to_string(), range.end.0.to_string());
            let values: [&[u8]; 11] = [
                self.table.keyspace.as_bytes(),
                self.table.name.as_bytes(),
                id.as_bytes(),
                self.led.id.as_bytes(),
                start.as_bytes(),
                end.as_bytes(),
                &coordinator,
                &port,
                &participants,
                &with_ports,
                &self.at,
            ];
            self.run(RANGE_BEGAN, &values).await?;
        }
        Ok(())
    }

    async fn ranges_ended(&self, led: &LedRanges, ended: &Result<(), String>) -> Result<(), CqlError> {
        let (keyspace, table) = (self.table.keyspace.as_bytes(), self.table.name.as_bytes());
        for (id, _) in &led.ranges {
            match ended {
                Ok(()) => self.run(RANGE_SUCCEEDED, &[&self.at, keyspace, table, id.as_bytes()]).await?,
                Err(reason) => {
                    let values = [&self.at, reason.as_bytes(), keyspace, table, id.as_bytes()];
                    self.run(RANGE_FAILED, &values).await?;
                }
            }
        }
        Ok(())
    }
}

/// What was asked for, by the names that Cassandra's `RepairOption` gives it.
fn options(options: &Options) -> Result<Vec<u8>, ValueError> {
    let flag = |is_set: bool| if is_set { "true" } else { "false" };
    let data_centers = options.data_centers.join(",");
    let hosts: Vec<String> = options.hosts.iter().map(ToString::to_string).collect();
    let (hosts, job_threads) = (hosts.join(","), options.job_threads.max(1).to_string());
    let entries = [
        ("dataCenters", &*data_centers),
        ("forceRepair", flag(options.force)),
        ("hosts", &hosts),
        ("incremental", flag(options.incremental)),
        ("jobThreads", &job_threads),
        ("parallelism", options.parallelism.name()),
        ("previewKind", "NONE"),
        ("primaryRange", flag(options.primary)),
        ("pullRepair", flag(options.pull)),
        ("sub_range_repair", flag(options.range.is_some())),
        ("trace", "false"),
    ];
    map_to_wire(entries.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

/// The wire bytes of a set of ranges, as Cassandra writes them.
fn texts(ranges: &[TokenRange]) -> Result<Vec<u8>, ValueError> {
    set(ranges.iter().map(|range| format!("({},{}]", range.start.0, range.end.0).into_bytes()))
}

/// The wire bytes of a set.
fn set<T: AsRef<[u8]> + Ord>(values: impl IntoIterator<Item = T>) -> Result<Vec<u8>, ValueError> {
    let values: BTreeSet<T> = values.into_iter().collect();
    elements_to_wire(values.iter().map(AsRef::as_ref))
}
