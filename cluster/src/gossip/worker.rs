//! Runs gossip on a node's clock, randomness and connections.

use super::disk_usages::DiskUsages;
use super::endpoints::{Endpoint, Event, Now};
use super::generation::{self, Lives};
use super::live::LiveMembers;
use super::mark::Mark;
use super::message::Message;
use super::protocol::{Gossip, GossipSettings, INTERVAL, Outgoing};
use super::state::{Generation, Key};
use crate::error::ClusterError;
use crate::message::Body;
use crate::transport::Peers;
use dodona_env::{Env, Random};
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};
use uuid::Uuid;

/// How long a peer may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Events that a subscriber may be behind.
const EVENTS: usize = 4_096;

/// Gossips for a node.
pub struct Gossiper {
    env: Env,
    random: Random,
    peers: Arc<Peers>,
    gossip: Mutex<Gossip>,
    lives: Lives,
    live: Arc<LiveMembers>,
    disk_usages: Arc<DiskUsages>,
    events: broadcast::Sender<Event>,
}

impl Gossiper {
    /// Begins another life of the node; [`Self::run`] has to be spawned.
    ///
    /// # Errors
    /// The generation's file is damaged, or the operating system refuses.
    pub fn new(env: Env, peers: Arc<Peers>, settings: GossipSettings) -> Result<Arc<Self>, ClusterError> {
        let lives = generation::begin(&env)?;
        let gossip = Gossip::new(settings, lives.present);
        Ok(Arc::new(Self {
            random: env.random.split("gossip"),
            live: gossip.live(),
            disk_usages: gossip.disk_usages(),
            gossip: Mutex::new(gossip),
            lives,
            events: broadcast::channel(EVENTS).0,
            env,
            peers,
        }))
    }

    /// Who is alive.
    #[must_use]
    pub fn live(&self) -> Arc<LiveMembers> {
        Arc::clone(&self.live)
    }

    /// Whose disk is stuffed or full.
    #[must_use]
    pub fn disk_usages(&self) -> &DiskUsages {
        &self.disk_usages
    }

    /// The present life of this node.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.lives.present
    }

    /// Its last life, by its disk; 0 if there was none.
    #[must_use]
    pub fn generation_before(&self) -> Generation {
        self.lives.before
    }

    /// The furthest that the disk of a member is known to have been.
    #[must_use]
    pub fn mark_of(&self, host: Uuid) -> Mark {
        self.gossip.lock().mark_of(host)
    }

    /// What becomes known from now on. Who lags too far behind looks at [`Self::endpoints`].
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// This node and all members, by host id, as they are known now.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Endpoint> {
        self.gossip.lock().endpoints()
    }

    /// Changes what this node tells of itself. False if the value is too long.
    pub fn set(&self, key: Key, value: impl Into<String>) -> bool {
        self.gossip.lock().set(key, value.into())
    }

    /// These are the members, by host id and address, whatever gossip says.
    pub fn set_members(&self, members: &[(Uuid, SocketAddr)]) {
        let now = self.now();
        self.with(|gossip| gossip.set_members(members, now));
    }

    /// The member is removed for good.
    pub fn forget(&self, host: Uuid) {
        let now = self.now();
        self.with(|gossip| gossip.forget(host, now));
    }

    /// The answer to a peer's message; empty if there is none.
    #[must_use]
    pub fn answer(&self, message: &[u8]) -> Vec<u8> {
        match Message::decode(message) {
            Ok(message) => self.receive(message).map(|answer| answer.encode()).unwrap_or_default(),
            Err(error) => {
                tracing::warn!(%error, "gossip of a peer is not understood");
                Vec::new()
            }
        }
    }

    /// Gossips once a second, until [`Self::shut_down`].
    pub async fn run(self: Arc<Self>) {
        while !self.gossip.lock().has_stopped() {
            let now = self.now();
            for outgoing in self.with(|gossip| gossip.tick(now, &self.random)) {
                self.env.tasks.spawn_local(Arc::clone(&self).converse(outgoing, TIMEOUT));
            }
            dodona_env::clock::sleep(INTERVAL).await;
        }
    }

    /// Has these members, this node and one another know at once what each tells of itself: it hears all of them,
    /// and then tells all of it. Whom it does not reach in a second hears it in turn.
    pub async fn spread(self: &Arc<Self>, addresses: &[SocketAddr]) {
        for _ in 0..2 {
            let talks = self.with(|gossip| gossip.talk_to(addresses, &self.random));
            let talks = talks.into_iter().map(|talk| Arc::clone(self).converse(talk, INTERVAL));
            futures_util::future::join_all(talks).await;
        }
    }

    /// Tells all who are alive that this node stops, and waits a second at most for them to hear it.
    pub async fn shut_down(&self) {
        let (told, mut all_told) = mpsc::channel::<()>(1);
        for Outgoing { to, message } in self.with(Gossip::shut_down) {
            let (peers, told) = (Arc::clone(&self.peers), told.clone());
            self.env.tasks.spawn_local(async move {
                // Who does not hear it finds out by itself.
                let _ = peers.ask(to, Body::Gossip(message.encode()), INTERVAL).await;
                drop(told);
            });
        }
        drop(told);
        // Nobody sends: it ends when the last one has dropped its end.
        let _ = all_told.recv().await;
    }

    fn now(&self) -> Now {
        Now { mono: self.env.clock.mono(), wall_seconds: self.env.clock.wall_seconds() }
    }

    fn receive(&self, message: Message) -> Option<Message> {
        let now = self.now();
        self.with(|gossip| gossip.receive(message, now))
    }

    /// Does something with the state machine and publishes what became known by it.
    fn with<T>(&self, work: impl FnOnce(&mut Gossip) -> T) -> T {
        let mut gossip = self.gossip.lock();
        let done = work(&mut gossip);
        // Under the lock, so that subscribers see the order in which things happened; it never waits.
        for event in gossip.take_events() {
            // Nobody may listen.
            let _ = self.events.send(event);
        }
        done
    }

    /// SYN, ACK and ACK2 with one peer.
    async fn converse(self: Arc<Self>, syn: Outgoing, patience: Duration) {
        let Outgoing { to, message } = syn;
        if let Some(ack) = self.ask(to, message, patience).await
            && let Some(ack2) = self.receive(ack)
        {
            self.ask(to, ack2, patience).await;
        }
    }

    async fn ask(&self, to: SocketAddr, message: Message, patience: Duration) -> Option<Message> {
        let answer = match self.peers.ask(to, Body::Gossip(message.encode()), patience).await {
            Ok(Body::Gossiped(answer)) if answer.is_empty() => return None,
            Ok(Body::Gossiped(answer)) => Message::decode(&answer),
            Ok(_) => Err(ClusterError::Peer("an answer to gossip that is none".into())),
            Err(error) => Err(error),
        };
        answer.map_err(|error| tracing::debug!(%error, %to, "a peer does not gossip")).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::liveness::Liveness;
    use crate::transport::{Handler, Introduction, Link, Peer, serve};
    use dodona_env::net::BoxFuture;

    impl Handler for Gossiper {
        fn handle(self: Arc<Self>, _: Peer, body: Body) -> BoxFuture<'static, Body> {
            let Body::Gossip(message) = body else { panic!("{body:?}") };
            let answer = self.answer(&message);
            Box::pin(async move { Body::Gossiped(answer) })
        }
    }

    fn host(index: u16) -> Uuid {
        Uuid::from_u128(index.into())
    }

    /// A node that listens on a port of its own.
    async fn gossiper(folder: &std::path::Path, index: u16, ports: &[SocketAddr]) -> Arc<Gossiper> {
        let env = dodona_env::os::env(&folder.join(index.to_string())).unwrap();
        let (cluster, address) = (Uuid::from_u128(9), ports[usize::from(index)]);
        let link = Link::plain(env.clone(), Introduction::new(cluster, host(index)));
        let peers = Arc::new(Peers::new(link.clone()));
        let settings = GossipSettings { cluster, host: host(index), address, seeds: vec![ports[0]] };
        let gossiper = Gossiper::new(env.clone(), peers, settings).unwrap();
        let members: Vec<_> = (0..3).map(|index| (host(index), ports[usize::from(index)])).collect();
        gossiper.set_members(&members);
        let service = serve(link, address, gossiper.clone()).await.unwrap();
        env.tasks.spawn_local(service);
        env.tasks.spawn_local(Arc::clone(&gossiper).run());
        gossiper
    }

    async fn until(what: impl Fn() -> bool) {
        let waiting = async {
            while !what() {
                dodona_env::clock::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap();
    }

    async fn nodes_gossip(folder: &std::path::Path) {
        let env = dodona_env::os::env(folder).unwrap();
        let mut ports = Vec::new();
        let mut listeners = Vec::new();
        for _ in 0..3 {
            let listener = env.net.listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
            ports.push(listener.local_addr().unwrap());
            listeners.push(listener);
        }
        drop(listeners);
        let seed = gossiper(folder, 0, &ports).await;
        let (left, right) = (gossiper(folder, 1, &ports).await, gossiper(folder, 2, &ports).await);
        let mut events = right.subscribe();
        assert!(left.set(Key::RACK, "r1"));
        until(|| [&seed, &left, &right].iter().all(|node| (0..3).all(|n| node.live().is_alive(host(n)))))
            .await;
        let rack_of_left = || {
            let state = right.endpoints().swap_remove(1).state;
            state.is_some_and(|state| state.value(Key::RACK) == Some("r1"))
        };
        until(rack_of_left).await;
        // Nobody waits for a turn where something is spread.
        assert!(left.set(Key::LOAD, "7") && right.set(Key::LOAD, "8"));
        seed.spread(&[ports[1], ports[2]]).await;
        let load_of = |node: &Gossiper, index: u16| {
            let state = node.endpoints().swap_remove(index.into()).state;
            state.and_then(|state| state.value(Key::LOAD).map(str::to_owned))
        };
        for node in [&seed, &left, &right] {
            assert_eq!([1, 2].map(|index| load_of(node, index)), [Some("7".into()), Some("8".into())]);
        }
        let seen: Vec<Event> = std::iter::from_fn(|| events.try_recv().ok()).collect();
        assert!(seen.contains(&Event::Changed(host(1), Key::RACK)), "{seen:?}");
        left.shut_down().await;
        until(|| !right.live().is_alive(host(1)) && !seed.live().is_alive(host(1))).await;
        assert!(right.live().is_alive(host(0)));
    }

    #[test]
    fn nodes_find_one_another_over_the_network_and_hear_that_one_stops() {
        let folder = tempfile::tempdir().unwrap();
        crate::testing::run(nodes_gossip(folder.path()));
    }
}
