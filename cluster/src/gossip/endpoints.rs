//! The states of all members: what this node tells of itself and what it has heard of the others.

use super::digest::Digest;
use super::failure_detector::FailureDetector;
use super::mark::Mark;
use super::state::{Delta, EndpointState, Generation, Key, MAX_VALUE_BYTES, Version, Versioned};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use uuid::Uuid;

/// How far a generation may be ahead of this node's wall clock, in seconds.
const MAX_GENERATION_AHEAD: i64 = 365 * 86_400;
/// How long a member that was forgotten stays out, whoever still names it.
const QUARANTINE: Duration = Duration::from_secs(60);
/// Bytes of states in one message, more or less.
const MAX_STATES_BYTES: usize = 512 << 10;

/// The time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// Monotonic.
    pub mono: Duration,
    /// Wall time, in seconds since the epoch.
    pub wall_seconds: i64,
}

/// What has become known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The member is alive.
    Alive(Uuid),
    /// The member is dead, as far as this node can tell.
    Dead(Uuid),
    /// The member has begun another life.
    Restarted(Uuid),
    /// The member told a value, or another one.
    Changed(Uuid, Key),
}

/// A member, as gossip knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its host id.
    pub host: Uuid,
    /// Where other nodes reach it.
    pub address: SocketAddr,
    /// True if it is believed to be alive.
    pub alive: bool,
    /// What it told; none if nothing was heard of it.
    pub state: Option<EndpointState>,
}

/// The states of all members.
pub struct Endpoints {
    local: Uuid,
    own: EndpointState,
    /// Members but for this node.
    others: BTreeMap<Uuid, Endpoint>,
    /// How far the disk of each of them was, in whichever of its lives.
    marks: BTreeMap<Uuid, Mark>,
    /// Members that were forgotten, and until when they stay out.
    quarantine: BTreeMap<Uuid, Duration>,
    detector: FailureDetector,
    events: Vec<Event>,
}

impl Endpoints {
    /// This node, in the life `generation`, and nobody else.
    #[must_use]
    pub fn new(local: Uuid, generation: Generation) -> Self {
        Self {
            local,
            own: EndpointState::new(generation),
            others: BTreeMap::new(),
            marks: BTreeMap::new(),
            quarantine: BTreeMap::new(),
            detector: FailureDetector::default(),
            events: Vec::new(),
        }
    }

    /// What this node tells of itself.
    #[must_use]
    pub fn own(&self) -> &EndpointState {
        &self.own
    }

    /// The furthest that the disk of a member is known to have been.
    #[must_use]
    pub fn mark_of(&self, host: Uuid) -> Mark {
        self.marks.get(&host).copied().unwrap_or_default()
    }

    /// The members but for this node.
    pub fn others(&self) -> impl Iterator<Item = &Endpoint> {
        self.others.values()
    }

    /// Takes what has become known since the last time.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn next_version(&self) -> Version {
        Version(self.own.newest().0.saturating_add(1))
    }

    /// This node is still here.
    pub fn beat(&mut self) {
        self.own.heartbeat = self.next_version();
    }

    /// Changes what this node tells of itself. False if the value is too long.
    pub fn set(&mut self, key: Key, value: String) -> bool {
        if value.len() > MAX_VALUE_BYTES {
            return false;
        }
        if self.own.value(key) != Some(&*value) {
            let version = self.next_version();
            self.own.values.insert(key, Versioned { version, value });
        }
        true
    }

    /// These are the members, whatever gossip says. Those in quarantine are not.
    pub fn set_members(&mut self, members: &[(Uuid, SocketAddr)], now: Duration) {
        self.quarantine.retain(|_, until| *until > now);
        let mut before = std::mem::take(&mut self.others);
        for &(host, address) in members {
            if host == self.local || self.quarantine.contains_key(&host) {
                continue;
            }
            let known = before.remove(&host);
            let unknown = || Endpoint { host, address, alive: false, state: None };
            self.others.insert(host, Endpoint { address, ..known.unwrap_or_else(unknown) });
        }
        for (host, endpoint) in before {
            self.removed(host, &endpoint);
        }
    }

    /// The member is removed for good: it stays out for a while even if [`Self::set_members`] names it.
    pub fn forget(&mut self, host: Uuid, now: Duration) {
        self.quarantine.insert(host, now + QUARANTINE);
        if let Some(endpoint) = self.others.remove(&host) {
            self.removed(host, &endpoint);
        }
    }

    fn removed(&mut self, host: Uuid, endpoint: &Endpoint) {
        self.detector.forget(host);
        self.marks.remove(&host);
        if endpoint.alive {
            self.events.push(Event::Dead(host));
        }
    }

    /// How much is known of every member; this node comes first.
    #[must_use]
    pub fn digests(&self) -> Vec<Digest> {
        let digest = |host, state: &EndpointState| {
            let (generation, version) = (state.generation, state.newest());
            Digest { host, generation, version }
        };
        let nothing = EndpointState::default();
        let others = self
            .others
            .values()
            .map(|endpoint| digest(endpoint.host, endpoint.state.as_ref().unwrap_or(&nothing)));
        std::iter::once(digest(self.local, &self.own)).chain(others).collect()
    }

    /// What this node wants of those who sent these digests, and what they lack.
    #[must_use]
    pub fn compare(&self, digests: &[Digest]) -> (Vec<Digest>, Vec<(Uuid, Delta)>) {
        let mut wanted = Vec::new();
        for theirs in digests {
            let Some(endpoint) = self.others.get(&theirs.host) else { continue };
            let (generation, version) = endpoint
                .state
                .as_ref()
                .map_or_else(Default::default, |state| (state.generation, state.newest()));
            if theirs.generation > generation {
                wanted.push(Digest { version: Version(0), ..*theirs });
            } else if theirs.generation == generation && theirs.version > version {
                wanted.push(Digest { version, ..*theirs });
            }
        }
        (wanted, self.newer(digests))
    }

    /// What is newer here than these digests, as far as it fits into a message.
    #[must_use]
    pub fn newer(&self, digests: &[Digest]) -> Vec<(Uuid, Delta)> {
        let mut bytes = 0;
        let newer = digests.iter().filter_map(|digest| Some((digest.host, self.newer_than(digest)?)));
        newer
            .take_while(|(_, delta)| {
                bytes += delta.bytes() + 16;
                bytes <= MAX_STATES_BYTES
            })
            .collect()
    }

    fn newer_than(&self, digest: &Digest) -> Option<Delta> {
        let known = match self.others.get(&digest.host) {
            Some(endpoint) => endpoint.state.as_ref()?,
            None if digest.host == self.local => &self.own,
            None => return None,
        };
        if known.generation > digest.generation {
            Some(known.newer_than(Version(0)))
        } else if known.generation == digest.generation && known.newest() > digest.version {
            Some(known.newer_than(digest.version))
        } else {
            None
        }
    }

    /// Takes in what `sender` told of a node. Whoever is heard of for the first time, and not by its
    /// own word, has to beat once more to be alive: others tell of the dead, too.
    pub fn apply(&mut self, sender: Uuid, host: Uuid, delta: Delta, now: Now) {
        let Some(endpoint) = self.others.get_mut(&host) else { return };
        let Delta { after, state } = delta;
        if state.generation.0 > now.wall_seconds.saturating_add(MAX_GENERATION_AHEAD) {
            tracing::warn!(%host, generation = state.generation.0, "a generation far in the future is refused");
            return;
        }
        let has_beaten = match &mut endpoint.state {
            Some(known) if known.generation > state.generation => return,
            Some(known) if known.generation == state.generation => {
                // Something between may be lacking.
                if after > known.newest() {
                    return;
                }
                let has_beaten = state.heartbeat > known.heartbeat;
                known.heartbeat = known.heartbeat.max(state.heartbeat);
                for (key, value) in state.values {
                    if known.values.get(&key).is_none_or(|old| old.version < value.version) {
                        known.values.insert(key, value);
                        self.events.push(Event::Changed(host, key));
                    }
                }
                has_beaten
            }
            _ if after > Version(0) => return,
            known => {
                if known.is_some() {
                    self.events.push(Event::Restarted(host));
                }
                self.detector.forget(host);
                self.events.extend(state.values.keys().map(|key| Event::Changed(host, *key)));
                *known = Some(state);
                self.detector.report(host, now.mono);
                sender == host
            }
        };
        if has_beaten {
            self.detector.report(host, now.mono);
        }
        if let Some(state) = &endpoint.state {
            let mark = Mark::of(state.generation, state.value(Key::DISK));
            let known = self.marks.entry(host).or_default();
            *known = known.max(mark);
        }
        let is_shut_down = endpoint.state.as_ref().is_some_and(EndpointState::is_shut_down);
        let alive = !is_shut_down && (endpoint.alive || has_beaten);
        if alive != endpoint.alive {
            endpoint.alive = alive;
            self.events.push(if alive { Event::Alive(host) } else { Event::Dead(host) });
        }
    }

    /// Convicts those who have been silent for too long.
    pub fn convict(&mut self, now: Duration) {
        if !self.detector.look(now) {
            return;
        }
        for endpoint in self.others.values_mut().filter(|endpoint| endpoint.alive) {
            if self.detector.interpret(endpoint.host, now) {
                endpoint.alive = false;
                self.events.push(Event::Dead(endpoint.host));
            }
        }
    }
}

#[cfg(test)]
#[path = "endpoints_tests.rs"]
mod tests;
