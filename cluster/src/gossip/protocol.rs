//! Gossip as a state machine: ticks and messages in, messages and events out.

use super::digest::{Digest, MAX_DIGEST_BYTES};
use super::disk_usages::DiskUsages;
use super::endpoints::{Endpoint, Endpoints, Event, Now};
use super::live::LiveMembers;
use super::mark::Mark;
use super::message::{Content, Message};
use super::state::{Delta, EndpointState, Generation, Key, Version};
use dodona_env::Random;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How often [`Gossip::tick`] is to be called.
pub const INTERVAL: Duration = Duration::from_secs(1);
/// Digests in one message.
const MAX_DIGESTS: usize = (32 << 10) / MAX_DIGEST_BYTES;

/// Who gossips: plain data.
#[derive(Clone, Debug)]
pub struct GossipSettings {
    /// The cluster; messages of others are not answered.
    pub cluster: Uuid,
    /// This node.
    pub host: Uuid,
    /// Where other nodes reach this node.
    pub address: SocketAddr,
    /// Nodes that the others turn to when they find nobody else.
    pub seeds: Vec<SocketAddr>,
}

/// A message, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The address.
    pub to: SocketAddr,
    /// The message.
    pub message: Message,
}

/// The state machine (Cassandra `Gossiper`).
pub struct Gossip {
    settings: GossipSettings,
    endpoints: Endpoints,
    live: Arc<LiveMembers>,
    disk_usages: Arc<DiskUsages>,
    events: Vec<Event>,
    has_stopped: bool,
}

impl Gossip {
    /// A node in the life `generation` that knows nobody.
    #[must_use]
    pub fn new(mut settings: GossipSettings, generation: Generation) -> Self {
        settings.seeds.retain(|seed| *seed != settings.address);
        let live = Arc::new(LiveMembers::new(settings.host));
        let endpoints = Endpoints::new(settings.host, generation);
        let disk_usages = Arc::default();
        Self { settings, endpoints, live, disk_usages, events: Vec::new(), has_stopped: false }
    }

    /// Who is alive, for the rest of the node.
    #[must_use]
    pub fn live(&self) -> Arc<LiveMembers> {
        Arc::clone(&self.live)
    }

    /// Whose disk is stuffed or full, for the rest of the node.
    #[must_use]
    pub fn disk_usages(&self) -> Arc<DiskUsages> {
        Arc::clone(&self.disk_usages)
    }

    /// Takes what has become known since the last time.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Changes what this node tells of itself. False if the value is too long
    /// ([`super::state::MAX_VALUE_BYTES`]).
    pub fn set(&mut self, key: Key, value: String) -> bool {
        let is_told = self.endpoints.set(key, value);
        if key == Key::DISK_USAGE {
            self.publish_disk_usages();
        }
        is_told
    }

    /// These are the members, by host id and address, whatever gossip says: what is known of others
    /// is forgotten. This node may be among them or not.
    pub fn set_members(&mut self, members: &[(Uuid, SocketAddr)], now: Now) {
        self.endpoints.set_members(members, now.mono);
        self.publish();
        self.publish_disk_usages();
    }

    /// The member is removed for good: it stays out for a minute even if [`Self::set_members`] names
    /// it.
    pub fn forget(&mut self, host: Uuid, now: Now) {
        self.endpoints.forget(host, now.mono);
        self.publish();
    }

    /// This node and all members, by host id.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Endpoint> {
        let GossipSettings { host, address, .. } = self.settings;
        let own = Endpoint { host, address, alive: true, state: Some(self.endpoints.own().clone()) };
        let mut all: Vec<Endpoint> = self.endpoints.others().cloned().chain([own]).collect();
        all.sort_unstable_by_key(|endpoint| endpoint.host);
        all
    }

    /// The furthest that the disk of a member is known to have been.
    #[must_use]
    pub fn mark_of(&self, host: Uuid) -> Mark {
        self.endpoints.mark_of(host)
    }

    /// To be called once a second: this node beats, convicts those who have been silent, and begins
    /// to talk: to a live member, now and then to a dead one, and to a seed if it has not yet.
    pub fn tick(&mut self, now: Now, random: &Random) -> Vec<Outgoing> {
        if self.has_stopped {
            return Vec::new();
        }
        self.endpoints.beat();
        self.endpoints.convict(now.mono);
        self.publish();
        let syn = self.syn(random);
        let outgoing = |to| Outgoing { to, message: syn.clone() };
        self.targets(random).into_iter().map(outgoing).collect()
    }

    /// Begins to talk to members out of turn. Nothing once this node has said that it stops.
    pub fn talk_to(&self, addresses: &[SocketAddr], random: &Random) -> Vec<Outgoing> {
        if self.has_stopped {
            return Vec::new();
        }
        let syn = self.syn(random);
        addresses.iter().map(|to| Outgoing { to: *to, message: syn.clone() }).collect()
    }

    fn syn(&self, random: &Random) -> Message {
        let digests = self.some_digests(random);
        self.message(Content::Syn { cluster: self.settings.cluster, digests })
    }

    /// Whom to talk to (Cassandra `Gossiper.GossipTask`).
    fn targets(&self, random: &Random) -> Vec<SocketAddr> {
        let addresses = |alive| -> Vec<SocketAddr> {
            let others = self.endpoints.others().filter(|endpoint| endpoint.alive == alive);
            others.map(|endpoint| endpoint.address).collect()
        };
        let (live, dead) = (addresses(true), addresses(false));
        let mut targets: Vec<SocketAddr> = one_of(&live, random).into_iter().collect();
        if random.chance(dead.len() as f64 / (live.len() + 1) as f64) {
            targets.extend(one_of(&dead, random));
        }
        let seeds = &self.settings.seeds;
        let talks_to_seed = targets.first().is_some_and(|target| seeds.contains(target));
        let known = (live.len() + dead.len()).max(1);
        if (!talks_to_seed || live.len() < seeds.len())
            && (live.is_empty() || random.chance(seeds.len() as f64 / known as f64))
        {
            targets.extend(one_of(seeds, random));
        }
        targets.sort_unstable();
        targets.dedup();
        targets
    }

    /// The digests of all members, or if these are too many of this node and some, others each time.
    fn some_digests(&self, random: &Random) -> Vec<Digest> {
        let mut digests = self.endpoints.digests();
        if digests.len() > MAX_DIGESTS {
            let others = &mut digests[1..];
            others.rotate_left(random.below(others.len() as u64) as usize);
            digests.truncate(MAX_DIGESTS);
        }
        digests
    }

    /// Takes a message in. Returns the answer, if there is one.
    pub fn receive(&mut self, message: Message, now: Now) -> Option<Message> {
        if self.has_stopped {
            return None;
        }
        let answer = match message.content {
            Content::Syn { cluster, digests } if cluster == self.settings.cluster => {
                let (wanted, states) = self.endpoints.compare(&digests);
                Some(Content::Ack { wanted, states })
            }
            Content::Syn { cluster, .. } => {
                tracing::warn!(%cluster, sender = %message.sender, "a node of another cluster gossips");
                None
            }
            Content::Ack { wanted, states } => {
                self.apply(message.sender, states, now);
                let states = self.endpoints.newer(&wanted);
                (!states.is_empty()).then_some(Content::Ack2 { states })
            }
            Content::Ack2 { states } => {
                self.apply(message.sender, states, now);
                None
            }
        };
        answer.map(|content| self.message(content))
    }

    /// This node stops: tells so to all who are alive, so that nobody waits for it, and says no more.
    pub fn shut_down(&mut self) -> Vec<Outgoing> {
        self.endpoints.set(Key::RPC_READY, "false".into());
        self.endpoints.set(Key::STATUS, "shutdown,true".into());
        self.has_stopped = true;
        let states = vec![(self.settings.host, self.endpoints.own().newer_than(Version(0)))];
        let message = self.message(Content::Ack2 { states });
        let live = self.endpoints.others().filter(|endpoint| endpoint.alive);
        live.map(|endpoint| Outgoing { to: endpoint.address, message: message.clone() }).collect()
    }

    /// True once this node has said that it stops.
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        self.has_stopped
    }

    fn message(&self, content: Content) -> Message {
        Message { sender: self.settings.host, content }
    }

    fn apply(&mut self, sender: Uuid, states: Vec<(Uuid, Delta)>, now: Now) {
        for (host, delta) in states {
            self.endpoints.apply(sender, host, delta, now);
        }
        self.publish();
    }

    fn publish(&mut self) {
        let events = self.endpoints.take_events();
        if events.iter().any(|event| matches!(event, Event::Alive(_) | Event::Dead(_))) {
            let live = self.endpoints.others().filter(|endpoint| endpoint.alive);
            self.live.publish(live.map(|endpoint| endpoint.host).collect());
        }
        if events
            .iter()
            .any(|event| matches!(event, Event::Changed(_, Key::DISK_USAGE) | Event::Restarted(_)))
        {
            self.publish_disk_usages();
        }
        self.events.extend(events);
    }

    fn publish_disk_usages(&self) {
        let usage = |host, state: &EndpointState| Some((host, state.value(Key::DISK_USAGE)?.parse().ok()?));
        let others = self.endpoints.others().filter_map(|it| usage(it.host, it.state.as_ref()?));
        let own = usage(self.settings.host, self.endpoints.own());
        self.disk_usages.publish(others.chain(own));
    }
}

fn one_of(addresses: &[SocketAddr], random: &Random) -> Option<SocketAddr> {
    let index = (!addresses.is_empty()).then(|| random.below(addresses.len() as u64))?;
    addresses.get(index as usize).copied()
}

#[cfg(test)]
#[path = "protocol_tests.rs"]
mod tests;
