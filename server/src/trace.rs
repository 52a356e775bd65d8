//! Traces: what a client asked to be traced leaves a row in `system_traces.sessions`.

use crate::client::Client;
use crate::internal;
use crate::worker::Worker;
use dodona_env::Env;
use dodona_query::{BoundValue, CqlError};
use dodona_types::Consistency;
use std::future::Future;
use std::net::IpAddr;
use uuid::Uuid;

/// 100 ns intervals between the start of the Gregorian calendar and the Unix epoch.
const GREGORIAN_TO_UNIX: i64 = 0x01B2_1DD2_1381_4000;
/// `duration` is written last: drivers poll for it.
const INSERT_SESSION: &str = "INSERT INTO system_traces.sessions \
     (session_id, client, command, coordinator, coordinator_port, parameters, request, started_at, duration) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL 86400";

/// The id of a new trace: a timeuuid with random node bits.
pub(crate) fn new_id(env: &Env) -> Uuid {
    let ticks = env.clock.wall_micros().saturating_mul(10).saturating_add(GREGORIAN_TO_UNIX).cast_unsigned();
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
    id: Option<Uuid>,
    query: &str,
    consistency: Consistency,
    request: impl Future<Output = Result<T, CqlError>>,
) -> Result<T, CqlError> {
    let Some(id) = id else { return request.await };
    let env = &worker.shared.node.env;
    let (began, wall_micros) = (env.clock.mono(), env.clock.wall_micros());
    let outcome = request.await;
    let micros = env.clock.mono().saturating_sub(began).as_micros();
    let session = Session { id, query, consistency, wall_micros, micros };
    if worker.shared.node.schema().table("system_traces", "sessions").is_some()
        && let Err(error) = session.record(worker, client).await
    {
        tracing::warn!(%error, "a trace could not be recorded");
    }
    outcome
}

struct Session<'a> {
    id: Uuid,
    query: &'a str,
    consistency: Consistency,
    wall_micros: i64,
    micros: u128,
}

impl Session<'_> {
    async fn record(&self, worker: &Worker, client: &Client) -> Result<(), CqlError> {
        let native = worker.shared.node.info.member.native;
        let (peer, own) = (address(client.session().client.ip()), address(native.ip()));
        let port = i32::from(native.port()).to_be_bytes();
        let started = (self.wall_micros / 1_000).to_be_bytes();
        let duration = i32::try_from(self.micros).unwrap_or(i32::MAX).to_be_bytes();
        let parameters = text_map(&[("consistency_level", self.consistency.name()), ("query", self.query)]);
        let values: [&[u8]; 9] = [
            self.id.as_bytes(),
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

fn address(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
