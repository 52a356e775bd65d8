//! The simulated network, turmoil's, and what scenarios on it do with it.

use crate::quorum::Rows;
use dodona_env::net::{BoxFuture, Listener, Net, Stream};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// A network on which messages take up to 20 ms and hosts run in an order of the seed's, tick by tick.
#[must_use]
pub fn network<'a>(seed: u64) -> turmoil::Sim<'a> {
    let mut builder = turmoil::Builder::new();
    builder
        .rng_seed(seed)
        .enable_random_order()
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(20))
        // What was held on its way comes all at once.
        .tcp_capacity(1 << 16)
        .simulation_duration(Duration::from_secs(3_600));
    builder.build()
}

/// Lets a millisecond pass. A host that ends is a broken promise.
pub fn step(sim: &mut turmoil::Sim<'_>, rows: &Rows) {
    if let Err(error) = sim.step() {
        rows.broken(format!("the simulation ended: {error}"));
    }
}

/// Lets time pass until all is done, a promise is broken or so many milliseconds are over. False in the
/// last case.
pub fn comes_to_its_end(
    sim: &mut turmoil::Sim<'_>,
    rows: &Rows,
    millis: u32,
    is_done: impl Fn() -> bool,
) -> bool {
    for _ in 0..millis {
        if is_done() || rows.violation().is_some() {
            return true;
        }
        step(sim, rows);
    }
    false
}

/// Makes all links between these hosts whole.
pub fn heal(sim: &turmoil::Sim<'_>, hosts: &[&str]) {
    for (index, a) in hosts.iter().enumerate() {
        for b in &hosts[index + 1..] {
            sim.repair(*a, *b);
        }
    }
}

/// Cuts all links between hosts that are inside and those that are not, by their places.
pub fn cut_off(sim: &turmoil::Sim<'_>, hosts: &[&str], is_inside: impl Fn(usize) -> bool) {
    let (inside, outside): (Vec<usize>, Vec<usize>) = (0..hosts.len()).partition(|host| is_inside(*host));
    for a in inside {
        outside.iter().for_each(|b| sim.partition(hosts[a], hosts[*b]));
    }
}

/// The network of the turmoil host that the node runs on.
pub struct SimNet;

impl Net for SimNet {
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let any = SocketAddr::from(([0, 0, 0, 0], address.port()));
            Ok(Box::new(SimListener(turmoil::net::TcpListener::bind(any).await?)) as Box<dyn Listener>)
        })
    }

    fn connect(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(
            async move { Ok(Box::new(turmoil::net::TcpStream::connect(address).await?) as Box<dyn Stream>) },
        )
    }
}

struct SimListener(turmoil::net::TcpListener);

impl Listener for SimListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<(Box<dyn Stream>, SocketAddr)>> {
        Box::pin(async move {
            let (stream, address) = self.0.accept().await?;
            Ok((Box::new(stream) as Box<dyn Stream>, address))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
