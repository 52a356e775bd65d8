//! The content of the tables of `system_views` that tell of repairs: those that the node leads or has led, and what it
//! hashes for them and for those of others.

use super::cluster_view::with_slash;
use super::engine_view::{count, small};
use super::rows::{bigint, boolean, float, int, text, texts};
use super::{Fill, uuid};
use crate::error::CqlError;
use dodona_cluster::repair::known::{Ending, LedRepair, LedSession, Validation};
use dodona_cluster::repair::sessions::{Session, SessionState};
use dodona_cluster::repair::{Options, Parallelism};
use dodona_types::token::TokenRange;
use dodona_types::value::elements_to_wire;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use uuid::Uuid;

/// A column's name and value.
type Value = (&'static str, Vec<u8>);

pub(super) fn refill_repairs(fill: &Fill<'_>) -> Result<(), CqlError> {
    fill.replace("system_views", "repairs", |rows| {
        for repair in fill.host.node.repairs.known.repairs() {
            let LedRepair { led, command, began_millis, sessions, ended } = &repair;
            let Some(table) = fill.schema.table_by_id(led.table) else { continue };
            let first = sessions.first().map(|session| session.began_millis);
            let is_repaired = ended.as_ref().is_some_and(|ended| ended.failure.is_none());
            let mut row = Progress {
                began_millis: *began_millis,
                steps: vec![
                    ("state_setup_timestamp", Some(*began_millis)),
                    ("state_start_timestamp", Some(*began_millis)),
                    ("state_repair_start_timestamp", first),
                    (
                        "state_repair_complete_timestamp",
                        ended.as_ref().filter(|_| is_repaired).map(|ended| ended.at_millis),
                    ),
                ],
                ended: ended.as_ref(),
                updated_millis: None,
            }
            .values(fill, true);
            let options = &led.options;
            let (kind, preview_kind) = kind(options);
            let hosts = options.hosts.iter().map(|host| address(fill, *host));
            // In the order of their time.
            let ids = sessions.iter().map(|session| session.ranges.id);
            let others: BTreeSet<SocketAddr> =
                sessions.iter().flat_map(|session| session.ranges.others.iter().copied()).collect();
            let ranges: Vec<Vec<u8>> = sessions.iter().map(ranges_of).collect::<Result<_, _>>()?;
            let ranges = elements_to_wire(ranges.iter().map(Vec::as_slice))?;
            row.extend([
                ("id", uuid(led.id)),
                ("command_id", int(*command)),
                ("keyspace_name", text(&table.keyspace)),
                ("type", text(kind)),
                ("sessions", uuids(ids)?),
                ("options_parallelism", text(parallelism(options.parallelism))),
                ("options_primary_range", boolean(options.primary)),
                ("options_incremental", boolean(options.incremental)),
                ("options_trace", boolean(false)),
                ("options_job_threads", small(options.job_threads.max(1))),
                ("options_subrange_repair", boolean(options.range.is_some())),
                ("options_pull_repair", boolean(options.pull)),
                ("options_force_repair", boolean(options.force)),
                ("options_preview_kind", text(preview_kind)),
                ("options_optimise_streams", boolean(false)),
                ("options_ignore_unreplicated_keyspaces", boolean(false)),
                ("options_column_families", texts([&*table.name])?),
                ("options_data_centers", set(options.data_centers.iter().cloned())?),
                ("options_hosts", set(hosts)?),
                ("options_ranges", set(led.ranges.iter().map(described))?),
                ("table_names", texts([&*table.name])?),
                ("ranges", ranges.clone()),
                ("unfiltered_ranges", ranges),
                ("participants", list(others.iter().map(with_slash))?),
            ]);
            rows.put(&row)?;
        }
        Ok(())
    })
}

pub(super) fn refill_sessions(fill: &Fill<'_>) -> Result<(), CqlError> {
    of_sessions(fill, "repair_sessions", |session| {
        let steps = vec![
            ("state_start_timestamp", Some(session.began_millis)),
            ("state_jobs_start_timestamp", Some(session.began_millis)),
        ];
        let id = ("id", uuid(session.ranges.id));
        Ok((steps, vec![id, ("jobs", uuids([session.ranges.job])?)]))
    })
}

pub(super) fn refill_jobs(fill: &Fill<'_>) -> Result<(), CqlError> {
    of_sessions(fill, "repair_jobs", |session| {
        let steps = vec![
            ("state_start_timestamp", Some(session.began_millis)),
            ("state_validation_start_timestamp", Some(session.began_millis)),
            ("state_validation_complete_timestamp", session.hashed_millis),
            ("state_stream_start_timestamp", session.hashed_millis),
        ];
        let LedSession { ranges, .. } = session;
        Ok((steps, vec![("id", uuid(ranges.job)), ("session_id", uuid(ranges.id))]))
    })
}

/// When it came to which step, in order, by the columns for that.
type Steps = Vec<(&'static str, Option<i64>)>;

/// Puts a row for each session of each repair that the node leads or has led.
fn of_sessions(
    fill: &Fill<'_>,
    view: &str,
    of: impl Fn(&LedSession) -> Result<(Steps, Vec<Value>), CqlError>,
) -> Result<(), CqlError> {
    fill.replace("system_views", view, |rows| {
        for LedRepair { led, sessions, .. } in fill.host.node.repairs.known.repairs() {
            let Some(table) = fill.schema.table_by_id(led.table) else { continue };
            for session in &sessions {
                let (steps, own) = of(session)?;
                let (began_millis, ended) = (session.began_millis, session.ended.as_ref());
                let mut row =
                    Progress { began_millis, steps, ended, updated_millis: None }.values(fill, true);
                row.extend(own);
                row.extend([
                    ("repair_id", uuid(led.id)),
                    ("keyspace_name", text(&table.keyspace)),
                    ("ranges", ranges_of(session)?),
                    ("participants", list(session.ranges.others.iter().map(with_slash))?),
                ]);
                // The one has a list of them, the other one of them.
                let is_one = view == "repair_jobs";
                row.push(if is_one {
                    ("table_name", text(&table.name))
                } else {
                    ("table_names", texts([&*table.name])?)
                });
                rows.put(&row)?;
            }
        }
        Ok(())
    })
}

pub(super) fn refill_validations(fill: &Fill<'_>) -> Result<(), CqlError> {
    fill.replace("system_views", "repair_validations", |rows| {
        for validation in fill.host.node.repairs.known.validations() {
            let Some(table) = fill.schema.table_by_id(validation.table) else { continue };
            let mut row = Progress {
                began_millis: validation.began_millis,
                steps: vec![
                    ("state_accept_timestamp", Some(validation.began_millis)),
                    ("state_start_timestamp", Some(validation.began_millis)),
                ],
                ended: validation.ended.as_ref(),
                updated_millis: Some(validation.updated_millis),
            }
            .values(fill, true);
            row.extend([
                ("id", uuid(validation.id)),
                ("keyspace_name", text(&table.keyspace)),
                ("table_name", text(&table.name)),
                ("ranges", list(validation.ranges.iter().map(described))?),
                ("initiator", text(&address(fill, validation.leader))),
                ("partitions_processed", count(validation.partitions)),
                ("bytes_read", count(validation.bytes)),
            ]);
            if let Some((repair, session)) = validation.session {
                row.extend([("repair_id", uuid(repair)), ("session_id", uuid(session))]);
            }
            if validation.ended.as_ref().is_some_and(|ended| ended.failure.is_none()) {
                row.push(("progress_percentage", float(100.0)));
            }
            rows.put(&row)?;
        }
        Ok(())
    })
}

/// What is known of a repair that the node takes part in, from what it has hashed for it.
pub(super) fn refill_participates(fill: &Fill<'_>) -> Result<(), CqlError> {
    let repairs = &fill.host.node.repairs;
    let mut by_repair: BTreeMap<Uuid, Vec<Validation>> = BTreeMap::new();
    for validation in repairs.known.validations() {
        if let Some((repair, _)) = validation.session {
            by_repair.entry(repair).or_default().push(validation);
        }
    }
    fill.replace("system_views", "repair_participates", |rows| {
        for (repair, validations) in &by_repair {
            let Some(first) = validations.first() else { continue };
            let Some(table) = fill.schema.table_by_id(first.table) else { continue };
            let session = repairs.sessions.get(*repair);
            let ended = participated(validations, session.as_ref());
            let updated = validations.iter().map(|validation| validation.updated_millis).max();
            let progress = Progress {
                began_millis: first.began_millis,
                steps: Vec::new(),
                ended: ended.as_ref(),
                updated_millis: updated,
            };
            let mut row = progress.values(fill, false);
            let ids: BTreeSet<Uuid> = validations.iter().map(|validation| validation.id).collect();
            let ranges = validations.iter().flat_map(|validation| &validation.ranges);
            row.extend([
                ("id", uuid(*repair)),
                ("initiator", text(&address(fill, first.leader))),
                ("tables", texts([&*format!("{}.{}", table.keyspace, table.name)])?),
                ("ranges", list(ranges.map(described))?),
                ("incremental", boolean(first.is_incremental)),
                ("validations", uuids(ids)?),
            ]);
            rows.put(&row)?;
        }
        Ok(())
    })
}

/// How a repair has ended here: an incremental one with its session, others with the last that was hashed for them.
fn participated(validations: &[Validation], session: Option<&Session>) -> Option<Ending> {
    let last = validations.iter().map(|validation| validation.ended.clone()).collect::<Option<Vec<_>>>()?;
    let failed = last.iter().find(|ended| ended.failure.is_some());
    let last = failed.or_else(|| last.iter().max_by_key(|ended| ended.at_millis)).cloned()?;
    match session {
        None => Some(last),
        Some(session) if !session.state.is_over() => None,
        Some(session) => {
            let failed =
                (session.state == SessionState::Failed).then(|| "the repair was given up".to_owned());
            let at_millis = (session.updated_at * 1_000).max(last.at_millis);
            Some(Ending { at_millis, failure: last.failure.or(failed) })
        }
    }
}

/// How far something is.
struct Progress<'a> {
    began_millis: i64,
    steps: Steps,
    ended: Option<&'a Ending>,
    /// When it was last noted how far it is, if that is not a step.
    updated_millis: Option<i64>,
}

impl Progress<'_> {
    /// The columns that all these tables have; all but one with a status.
    fn values(&self, fill: &Fill<'_>, has_status: bool) -> Vec<Value> {
        let mut updated = self.updated_millis.unwrap_or(self.began_millis);
        let mut values = vec![
            ("completed", boolean(self.ended.is_some())),
            ("state_init_timestamp", bigint(self.began_millis)),
        ];
        let mut status = "init";
        for (column, at) in &self.steps {
            let Some(at) = *at else { continue };
            let step = column.strip_prefix("state_").and_then(|step| step.strip_suffix("_timestamp"));
            (status, updated) = (step.unwrap_or(column), updated.max(at));
            values.push((*column, bigint(at)));
        }
        if let Some(Ending { at_millis, failure }) = self.ended {
            let column;
            (status, column) = match failure {
                None => ("success", "state_success_timestamp"),
                Some(_) => ("failure", "state_failure_timestamp"),
            };
            updated = *at_millis;
            values.push((column, bigint(*at_millis)));
            values.extend(failure.as_deref().map(|failure| ("failure_cause", text(failure))));
        }
        if has_status {
            values.push(("status", text(status)));
        }
        let until = self
            .ended
            .map_or_else(|| fill.host.node.env.clock.wall_micros() / 1_000, |ended| ended.at_millis);
        values.push(("duration_millis", bigint((until - self.began_millis).max(0))));
        values.push(("last_updated_at", bigint(updated)));
        values
    }
}

/// The name of Cassandra's constant.
const fn parallelism(parallelism: Parallelism) -> &'static str {
    match parallelism {
        Parallelism::Parallel => "PARALLEL",
        Parallelism::Sequential => "SEQUENTIAL",
        Parallelism::DataCenters => "DATACENTER_AWARE",
    }
}

/// The kind of a repair and of its preview, by Cassandra's names.
const fn kind(options: &Options) -> (&'static str, &'static str) {
    match options {
        Options { preview: true, validate: true, .. } => ("preview repaired", "REPAIRED"),
        Options { preview: true, incremental: true, .. } => ("preview unrepaired", "UNREPAIRED"),
        Options { preview: true, .. } => ("preview full", "ALL"),
        Options { incremental: true, .. } => ("incremental", "NONE"),
        _ => ("full", "NONE"),
    }
}

fn ranges_of(session: &LedSession) -> Result<Vec<u8>, CqlError> {
    list(session.ranges.ranges.iter().map(|(_, range)| described(range)))
}

/// A range as Cassandra writes it.
fn described(range: &TokenRange) -> String {
    format!("({},{}]", range.start.0, range.end.0)
}

/// Where a member is, as Cassandra writes it.
fn address(fill: &Fill<'_>, host: Uuid) -> String {
    let placement = fill.host.node.placement();
    placement.ring.member(host).map_or_else(|| host.to_string(), |member| with_slash(&member.internode))
}

fn list(values: impl Iterator<Item = String>) -> Result<Vec<u8>, CqlError> {
    let values: Vec<String> = values.collect();
    texts(values.iter().map(String::as_str))
}

/// A set of UUIDs in their order.
fn uuids(values: impl IntoIterator<Item = Uuid>) -> Result<Vec<u8>, CqlError> {
    let values: Vec<Uuid> = values.into_iter().collect();
    Ok(elements_to_wire(values.iter().map(|value| &value.as_bytes()[..]))?)
}

fn set(values: impl Iterator<Item = String>) -> Result<Vec<u8>, CqlError> {
    let values: BTreeSet<String> = values.collect();
    texts(values.iter().map(String::as_str))
}
