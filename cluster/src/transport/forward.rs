//! A mutation for several members of one data centre, which crosses the way there once: one of them applies it and has the
//! others apply it, and the answer of each comes back as that of a request of its own.
//!
//! ```text
//! body of a Forward := count u8, (host id, 16 bytes) × count, mutation
//! ```
//! The others' answers have the ids behind that of the request, in the order of the hosts.

use super::Peers;
use super::under_way::UnderWay;
use crate::error::ClusterError;
use crate::message::Body;
use crate::trace::Trace;
use dodona_types::codec::{DecodeError, Reader};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const HOST_BYTES: usize = 16;
/// The most members that one mutation is brought to by way of another.
pub(crate) const MOST_OTHERS: usize = u8::MAX as usize;

fn encode(others: &[Uuid], mutation: &[u8]) -> Body {
    debug_assert!(others.len() <= MOST_OTHERS);
    let mut out = Vec::with_capacity(1 + others.len() * HOST_BYTES + mutation.len());
    out.push(others.len() as u8);
    others.iter().for_each(|host| out.extend_from_slice(host.as_bytes()));
    out.extend_from_slice(mutation);
    Body::Forward(out)
}

/// The requests that a Forward stands for, each with its id: those to the others first, since their way is longer.
pub(crate) fn requests(id: u64, forward: &[u8]) -> Result<Vec<(u64, Body)>, ClusterError> {
    let malformed = |error: DecodeError| ClusterError::Peer(error.to_string());
    let mut reader = Reader::new(forward);
    let count = reader.u8().map_err(malformed)?;
    let hosts = reader.bytes(usize::from(count) * HOST_BYTES).map_err(malformed)?;
    let mutation = reader.remaining();
    let relay =
        |(place, host): (u64, &[u8])| (id.wrapping_add(place), Body::Relay([host, mutation].concat()));
    let mut requests: Vec<(u64, Body)> = (1..).zip(hosts.chunks(HOST_BYTES)).map(relay).collect();
    requests.push((id, Body::Mutate(mutation.to_vec())));
    Ok(requests)
}

impl Peers {
    /// Sends a mutation that `peer` is to apply and to have others apply. Gives the peer's request and one for each of the
    /// others, in their order.
    ///
    /// # Errors
    /// The peer cannot be reached, as far as that is known at once.
    pub(crate) fn forward(
        &self,
        trace: Option<Arc<Trace>>,
        members: u64,
        peer: SocketAddr,
        (others, mutation): (&[Uuid], &[u8]),
        timeout: Duration,
    ) -> Result<Vec<UnderWay>, ClusterError> {
        let id = self.ids(1 + others.len() as u64);
        let body = encode(others, mutation);
        let first = self.begin(trace, peer, &body, id, timeout)?;
        let beside = (1..=others.len() as u64).map(|place| first.beside(id + place));
        let beside: Vec<UnderWay> = beside.collect();
        self.send(&first, members, body)?;
        Ok(std::iter::once(first).chain(beside).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forward_has_these_bytes_and_stands_for_these_requests() {
        let hosts = [Uuid::from_u128(0xa1), Uuid::from_u128(0xb2)];
        let Body::Forward(bytes) = encode(&hosts, b"m") else { panic!("it is a Forward") };
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "02000000000000000000000000000000a1000000000000000000000000000000b26d");
        let relay = |host: Uuid| Body::Relay([host.as_bytes(), &b"m"[..]].concat());
        let expected = [(8, relay(hosts[0])), (9, relay(hosts[1])), (7, Body::Mutate(b"m".to_vec()))];
        assert_eq!(requests(7, &bytes).unwrap(), expected);
        assert!(requests(7, &bytes[..20]).is_err() && requests(7, &[]).is_err());
    }
}
