//! Traces: what a client asked to be traced, or [`crate::trace_share::TraceShare`] chose, leaves a row in `system_traces.sessions`, and
//! what was done for it rows in `system_traces.events`, with Cassandra's columns.

mod about;

pub(crate) use about::About;

use crate::client::Client;
use crate::worker::Worker;
use dodona_cluster::trace::{Event, Trace};
use dodona_env::Env;
use dodona_query::{BatchEntry, BoundValue, CqlError, Processor, Session};
use dodona_types::value::inet_to_wire;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use uuid::Uuid;

/// 100 ns intervals between the start of the Gregorian calendar and the Unix epoch.
const GREGORIAN_TO_UNIX: i64 = 0x01B2_1DD2_1381_4000;
/// `duration` comes with the session, behind the events: drivers poll for it.
const INSERT_SESSION: &str = "INSERT INTO system_traces.sessions \
     (session_id, client, command, coordinator, coordinator_port, parameters, request, started_at, duration) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL 86400";
const INSERT_EVENT: &str = "INSERT INTO system_traces.events \
     (session_id, event_id, activity, source, source_port, source_elapsed, thread) \
     VALUES (?, ?, ?, ?, ?, ?, ?) USING TTL 86400";

/// The trace of one request.
pub(crate) struct Tracing {
    id: Uuid,
    trace: Arc<Trace>,
    wall_micros: i64,
    /// The client asked for it, and is told its id.
    is_asked_for: bool,
}

impl Tracing {
    /// A trace that begins now.
    pub(crate) fn begin(env: &Env, is_asked_for: bool) -> Self {
        let wall_micros = env.clock.wall_micros();
        let id = timeuuid(wall_micros.saturating_mul(10), env);
        Self { id, trace: Trace::new(&env.clock), wall_micros, is_asked_for }
    }

    /// Its id, as far as the client is told.
    pub(crate) fn told_id(&self) -> Option<Uuid> {
        self.is_asked_for.then_some(self.id)
    }

    /// Notes something that is done on the spot.
    pub(crate) fn note(&self, activity: impl Into<String>) {
        self.trace.note(activity);
    }
}

/// A timeuuid of 100 ns intervals since the Unix epoch, with random node bits.
fn timeuuid(ticks: i64, env: &Env) -> Uuid {
    let ticks = ticks.saturating_add(GREGORIAN_TO_UNIX).cast_unsigned();
    let mut bytes = [0; 16];
    env.random.fill(&mut bytes);
    bytes[..4].copy_from_slice(&(ticks as u32).to_be_bytes());
    bytes[4..6].copy_from_slice(&((ticks >> 32) as u16).to_be_bytes());
    bytes[6..8].copy_from_slice(&((ticks >> 48) as u16 & 0x0FFF | 0x1000).to_be_bytes());
    bytes[8] = bytes[8] & 0x3F | 0x80;
    // The multicast bit marks a node id that is no address of a network card.
    bytes[10] |= 1;
    Uuid::from_bytes(bytes)
}

/// Runs a request, and records it if it is traced.
pub(crate) async fn around<T, E: AsRef<CqlError>>(
    worker: &Worker,
    client: &Client,
    tracing: Option<&Tracing>,
    about: impl FnOnce() -> About,
    request: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let Some(tracing) = tracing else { return request.await };
    let outcome = Arc::clone(&tracing.trace).around(request).await;
    if let Err(error) = &outcome {
        tracing.note(format!("Failed: {}", error.as_ref()));
    }
    let session = Finished { tracing, about: about(), micros: tracing.trace.elapsed_micros() };
    if worker.shared.node.schema().table("system_traces", "sessions").is_some()
        && let Err(error) = Box::pin(session.record(worker, client)).await
    {
        tracing::warn!(%error, "a trace could not be recorded");
    }
    outcome
}

struct Finished<'a> {
    tracing: &'a Tracing,
    about: About,
    micros: u64,
}

impl Finished<'_> {
    async fn record(&self, worker: &Worker, client: &Client) -> Result<(), CqlError> {
        let (processor, node) = (&worker.shared.processor, &worker.shared.node);
        // Cassandra's events name the address between nodes.
        let internode = node.info.member.internode;
        let events = self.tracing.trace.take_events();
        let events = (0..).zip(&events).map(|(index, event)| self.event(event, index, internode, &node.env));
        write(processor, INSERT_EVENT, &events.collect::<Vec<_>>()).await?;
        let native = node.info.member.native;
        let session = [
            self.tracing.id.as_bytes().to_vec(),
            inet_to_wire(client.session().client.ip()),
            b"QUERY".to_vec(),
            inet_to_wire(native.ip()),
            i32::from(native.port()).to_be_bytes().to_vec(),
            self.about.parameters()?,
            self.about.request.as_bytes().to_vec(),
            (self.tracing.wall_micros / 1_000).to_be_bytes().to_vec(),
            int(self.micros).to_vec(),
        ];
        write(processor, INSERT_SESSION, &[session]).await
    }

    /// The values of [`INSERT_EVENT`].
    fn event(&self, event: &Event, index: i64, internode: SocketAddr, env: &Env) -> [Vec<u8>; 7] {
        let micros = self.tracing.wall_micros.saturating_add(event.at_micros.cast_signed());
        // Strictly ascending, so that events keep their order; with many it runs ahead by 100 ns each.
        let id = timeuuid(micros.saturating_mul(10).saturating_add(index), env);
        let node = event.source.unwrap_or(internode);
        let thread = if event.source.is_some() { "replica" } else { "coordinator" };
        [
            self.tracing.id.as_bytes().to_vec(),
            id.as_bytes().to_vec(),
            event.activity.as_bytes().to_vec(),
            inet_to_wire(node.ip()),
            i32::from(node.port()).to_be_bytes().to_vec(),
            int(event.source_micros).to_vec(),
            thread.as_bytes().to_vec(),
        ]
    }
}

/// Executes a statement with each of several lists of values, all at once.
async fn write<const N: usize>(
    processor: &Processor,
    statement: &str,
    rows: &[[Vec<u8>; N]],
) -> Result<(), CqlError> {
    let statement = Arc::new(processor.analyse(&Session::of_server(), statement, None)?);
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows {
        let values = row.iter().map(|value| BoundValue::Bytes(value)).collect();
        entries.push(BatchEntry { statement: Arc::clone(&statement), values });
    }
    processor.write_of_server(&entries).await
}

fn int(micros: u64) -> [u8; 4] {
    i32::try_from(micros).unwrap_or(i32::MAX).to_be_bytes()
}
