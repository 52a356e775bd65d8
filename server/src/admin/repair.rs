//! Repairs that operators ask for, and how those stand that nobody has to ask for.

use super::{Answer, Failed, Named, Target, on_event_loop, tables_of};
use crate::shared::Shared;
use axum::extract::{Query, State};
use axum::response::Json;
use dodona_cluster::repair::schedule::{Standing, interval_seconds};
use dodona_cluster::repair::sessions::Session;
use dodona_cluster::repair::{Options, Outcome, Parallelism};
use dodona_cluster::replication::Replication;
use dodona_types::TableId;
use dodona_types::value::format_timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;

/// What else there is to say of a repair. Lists are set apart by commas.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Manner {
    primary: bool,
    preview: bool,
    force: bool,
    pull: bool,
    sequential: bool,
    /// Data centres at the same time, but their replicas one after another.
    dc_parallel: bool,
    /// Everything, not only what is not repaired yet.
    full: bool,
    /// With `preview`: only what is repaired.
    validate: bool,
    /// Only within the node's own data centre.
    local: bool,
    data_centers: String,
    /// Addresses or host ids.
    hosts: String,
    /// Only these tables of the keyspace.
    tables: String,
    /// Tables that are repaired at once; 0 as 1.
    job_threads: usize,
}

/// Tables that may be repaired at once, as in Cassandra.
const MAX_JOB_THREADS: usize = 4;

pub(super) async fn repair(
    State(shared): State<Arc<Shared>>,
    Query(target): Query<Target>,
    Query(manner): Query<Manner>,
) -> Answer {
    let options = options(&shared, &target, &manner)?;
    let tables = replicated_tables(&shared, &target, &manner.tables)?;
    let (node, asked) = (Arc::clone(&shared.node), options.clone());
    let ids: Vec<TableId> = tables.iter().map(|(.., table)| *table).collect();
    let repair = async move { node.repairs.repair_tables(&ids, &asked).await };
    let mut described = Vec::with_capacity(tables.len());
    let mut total = Outcome::default();
    for ((keyspace, name, _), outcome) in tables.into_iter().zip(on_event_loop(&shared, repair).await?) {
        let outcome = outcome?;
        total.add(outcome);
        described.push(json!({ "keyspace": keyspace, "table": name, "outcome": outcome_json(outcome) }));
    }
    if described.is_empty() && target.keyspace.is_some() {
        return Err(Failed::Refused(
            "every node has tables of its own in this keyspace: there is nothing to repair".into(),
        ));
    }
    Ok(Json(json!({ "tables": described, "preview": options.preview, "outcome": outcome_json(total) })))
}

/// The tables that are meant, without those of which every node has its own.
fn replicated_tables(shared: &Shared, target: &Target, only: &str) -> Result<Vec<Named>, Failed> {
    let schema = shared.node.schema();
    let mut tables = tables_of(shared, target)?;
    let names: Vec<&str> = only.split(',').filter(|name| !name.is_empty()).collect();
    if let Some(unknown) = names.iter().find(|name| tables.iter().all(|(_, table, _)| table != *name)) {
        let keyspace = target.keyspace.as_deref().unwrap_or("*");
        return Err(Failed::NotFound(format!("there is no table {keyspace}.{unknown}")));
    }
    tables.retain(|(_, table, _)| names.is_empty() || names.contains(&&**table));
    let mut replicated = Vec::with_capacity(tables.len());
    for named in tables {
        let replication = schema.keyspace(&named.0).map(super::ownership::replication_of).transpose()?;
        if replication.is_some_and(|replication| replication != Replication::Local) {
            replicated.push(named);
        }
    }
    Ok(replicated)
}

fn outcome_json(outcome: Outcome) -> Value {
    let Outcome { ranges, differing, partitions, bytes } = outcome;
    json!({ "ranges": ranges, "differing": differing, "partitions": partitions, "bytes": bytes })
}

fn options(shared: &Shared, target: &Target, manner: &Manner) -> Result<Options, Failed> {
    let range = target.range()?;
    let list =
        |text: &str| text.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let placement = shared.node.placement();
    let members = placement.ring.members();
    let mut data_centers = list(&manner.data_centers);
    if manner.local {
        data_centers.push(members[placement.local].data_center.clone());
    }
    if let Some(unknown) =
        data_centers.iter().find(|name| members.iter().all(|member| member.data_center != **name))
    {
        return Err(Failed::NotFound(format!("there is no data center {unknown}")));
    }
    let host = |text: String| -> Result<Uuid, Failed> {
        let member = members.iter().find(|member| member.is_called(&text));
        member.map(|member| member.host).ok_or_else(|| Failed::NotFound(format!("{text} is not a member")))
    };
    let hosts = list(&manner.hosts).into_iter().map(host).collect::<Result<_, _>>()?;
    let Manner { primary, preview, force, pull, full, validate, job_threads, .. } = *manner;
    let parallelism = match (manner.sequential, manner.dc_parallel) {
        (true, _) => Parallelism::Sequential,
        (false, true) => Parallelism::DataCenters,
        (false, false) => Parallelism::Parallel,
    };
    if job_threads > MAX_JOB_THREADS {
        return Err(Failed::Refused(format!("at most {MAX_JOB_THREADS} tables are repaired at once")));
    }
    if !data_centers.is_empty() && !manner.hosts.is_empty() {
        return Err(Failed::Refused("Cannot combine -dc and -hosts options.".into()));
    }
    // Each node of a data centre can repair what it is the first replica of there, and nobody else's ranges are left out.
    let is_own = |name: &String| *name == members[placement.local].data_center;
    if primary && !(data_centers.iter().all(is_own) && manner.hosts.is_empty()) {
        return Err(Failed::Refused(
            "Primary range repair should be performed on all nodes in the cluster: without hosts, and of data centers \
             only with the node's own (-local)"
                .into(),
        ));
    }
    let (incremental, preview) = (!full && !validate, preview || validate);
    Ok(Options {
        primary,
        range,
        data_centers,
        hosts,
        force,
        pull,
        preview,
        incremental,
        validate,
        parallelism,
        job_threads,
    })
}

/// Which incremental repairs are meant.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Which {
    /// Also those that have ended.
    all: bool,
    /// This one.
    session: String,
    /// Also if another node leads it.
    force: bool,
}

/// The incremental repairs that this node takes part in.
pub(super) async fn sessions(
    State(shared): State<Arc<Shared>>,
    Query(target): Query<Target>,
    Query(which): Query<Which>,
) -> Answer {
    let placement = shared.node.placement();
    let now = shared.node.env.clock.wall_seconds();
    let address = |host: &Uuid| {
        let member = placement.ring.member(*host);
        member.map_or_else(|| host.to_string(), |member| member.internode.to_string())
    };
    let described = |session: Session| {
        json!({
            "id": session.id.to_string(),
            "state": session.state.name(),
            "idle_seconds": now.saturating_sub(session.updated_at).max(0),
            "coordinator": address(&session.coordinator),
            "participants": session.participants.iter().map(address).collect::<Vec<String>>(),
        })
    };
    let sessions = shared.node.repairs.sessions.list(which.all, target.range()?);
    Ok(Json(json!({ "sessions": sessions.into_iter().map(described).collect::<Vec<Value>>() })))
}

/// Has all that take part give up an incremental repair.
pub(super) async fn cancel(State(shared): State<Arc<Shared>>, Query(which): Query<Which>) -> Answer {
    let session = Uuid::parse_str(&which.session)
        .map_err(|_| Failed::Refused(format!("{} is not the id of a session", which.session)))?;
    let node = Arc::clone(&shared.node);
    on_event_loop(&shared, async move { node.repairs.cancel(session, which.force).await }).await??;
    Ok(Json(json!({})))
}

/// When what this node is the first replica of was repaired.
pub(super) async fn standings(State(shared): State<Arc<Shared>>) -> Answer {
    let node = Arc::clone(&shared.node);
    let standings = on_event_loop(&shared, async move { node.repairs.standings() }).await??;
    let now = shared.node.env.clock.wall_seconds();
    let schema = shared.node.schema();
    let described = standings.chunk_by(|one, other| one.table == other.table).filter_map(|standings| {
        let table = schema.table_by_id(standings[0].table)?;
        let mut repaired_at = standings.iter().map(Standing::repaired_at);
        let oldest = repaired_at.try_fold(i64::MAX, |oldest, at| Some(oldest.min(at?)));
        let due_at = oldest.map(|at| at + interval_seconds(table.params.gc_grace_seconds));
        let time = |at: Option<i64>| at.map(|at| format_timestamp(at * 1_000));
        let held_up: BTreeSet<&str> =
            standings.iter().filter_map(|standing| standing.held_up.as_deref()).collect();
        Some(json!({
            "keyspace": &*table.keyspace,
            "table": &*table.name,
            "repaired_at": time(oldest),
            "due_at": time(due_at),
            "is_late": standings.iter().any(|standing| standing.is_late(now)),
            "held_up": held_up,
        }))
    });
    let tables: Vec<Value> = described.collect();
    Ok(Json(json!({ "is_automatic": shared.node.repairs_itself(), "tables": tables })))
}
