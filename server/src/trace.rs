//! Traces: what a client asked to be traced leaves a row in `system_traces.sessions`, and what was done for it
//! rows in `system_traces.events`, with Cassandra's columns.

use crate::client::Client;
use crate::internal;
use crate::worker::Worker;
use dodona_cluster::trace::{Event, Trace};
use dodona_env::Env;
use dodona_query::{BoundValue, CqlError};
use dodona_types::Consistency;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
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
    pub(crate) id: Uuid,
    pub(crate) trace: Arc<Trace>,
    wall_micros: i64,
}

impl Tracing {
    /// A trace that begins now.
    pub(crate) fn begin(env: &Env) -> Self {
        let wall_micros = env.clock.wall_micros();
        let id = timeuuid(wall_micros.saturating_mul(10), env);
        Self { id, trace: Trace::new(&env.clock), wall_micros }
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
pub(crate) async fn around<T>(
    worker: &Worker,
    client: &Client,
    tracing: Option<&Tracing>,
    query: &str,
    consistency: Consistency,
    request: impl Future<Output = Result<T, CqlError>>,
) -> Result<T, CqlError> {
    let Some(tracing) = tracing else { return request.await };
    let outcome = Arc::clone(&tracing.trace).around(request).await;
    if let Err(error) = &outcome {
        tracing.note(format!("Failed: {error}"));
    }
    let session = Finished { tracing, query, consistency, micros: tracing.trace.elapsed_micros() };
    if worker.shared.node.schema().table("system_traces", "sessions").is_some()
        && let Err(error) = session.record(worker, client).await
    {
        tracing::warn!(%error, "a trace could not be recorded");
    }
    outcome
}

struct Finished<'a> {
    tracing: &'a Tracing,
    query: &'a str,
    consistency: Consistency,
    micros: u64,
}

impl Finished<'_> {
    async fn record(&self, worker: &Worker, client: &Client) -> Result<(), CqlError> {
        let native = worker.shared.node.info.member.native;
        // Cassandra's events name the address between nodes.
        let internode = worker.shared.node.info.member.internode;
        for (index, event) in (0..).zip(self.tracing.trace.take_events()) {
            self.record_event(worker, client, internode, index, &event).await?;
        }
        let (peer, own) = (address(client.session().client.ip()), address(native.ip()));
        let port = i32::from(native.port()).to_be_bytes();
        let started = (self.tracing.wall_micros / 1_000).to_be_bytes();
        let duration = int(self.micros);
        let parameters = text_map(&[("consistency_level", self.consistency.name()), ("query", self.query)]);
        let values: [&[u8]; 9] = [
            self.tracing.id.as_bytes(),
            &peer,
            b"QUERY",
            &own,
            &port,
            &parameters,
            b"Execute CQL3 query",
            &started,
            &duration,
        ];
        let values = values.map(BoundValue::Bytes);
        internal::run(&worker.shared.processor, client.session(), INSERT_SESSION, &values).await.map(drop)
    }

    async fn record_event(
        &self,
        worker: &Worker,
        client: &Client,
        internode: SocketAddr,
        index: i64,
        event: &Event,
    ) -> Result<(), CqlError> {
        let micros = self.tracing.wall_micros.saturating_add(event.at_micros.cast_signed());
        // Strictly ascending, so that events keep their order; with many it runs ahead by 100 ns each.
        let id = timeuuid(micros.saturating_mul(10).saturating_add(index), &worker.shared.node.env);
        let node = event.source.unwrap_or(internode);
        let (source, port) = (address(node.ip()), i32::from(node.port()).to_be_bytes());
        let elapsed = int(event.source_micros);
        let thread = if event.source.is_some() { "replica" } else { "coordinator" };
        let values: [&[u8]; 7] = [
            self.tracing.id.as_bytes(),
            id.as_bytes(),
            event.activity.as_bytes(),
            &source,
            &port,
            &elapsed,
            thread.as_bytes(),
        ];
        let values = values.map(BoundValue::Bytes);
        internal::run(&worker.shared.processor, client.session(), INSERT_EVENT, &values).await.map(drop)
    }
}

fn int(micros: u64) -> [u8; 4] {
    i32::try_from(micros).unwrap_or(i32::MAX).to_be_bytes()
}

/// The wire bytes of a map of texts. The entries are in order.
fn text_map(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut out = (entries.len() as u32).to_be_bytes().to_vec();
    for text in entries.iter().flat_map(|(key, value)| [key, value]) {
        out.extend_from_slice(&(text.len() as u32).to_be_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// The wire bytes of an address.
pub(crate) fn address(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
