//! Asks replicas for data or digests, and others in place of those that fail or are slow.

use super::Coordinator;
use super::gather::Gather;
use super::plan::{Plan, Target};
use super::tracing_notes::shown;
use crate::error::ClusterError;
use crate::message::Body;
use crate::replica::encode_read;
use crate::trace::{self, note};
use dodona_storage::StorageError;
use dodona_types::read_command::ReadCommand;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// What a replica is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// What it holds.
    Data,
    /// A digest of that.
    Digest,
}

/// What a replica gave.
pub(super) enum Got {
    /// What it holds.
    Data(Vec<u8>),
    /// A digest of that.
    Digest(Vec<u8>),
}

/// What came of asking the replica of this place in the plan.
type Reply = (usize, Result<Got, ClusterError>);

/// Requests for one command that are under way.
pub(super) struct Asking<'a> {
    coordinator: &'a Coordinator,
    plan: &'a Plan,
    command: &'a ReadCommand,
    max_bytes: usize,
    replies: mpsc::UnboundedSender<Reply>,
    replied: mpsc::UnboundedReceiver<Reply>,
    under_way: usize,
    /// How many were asked at first, and the places in the plan of those that were asked in the place of others.
    first: usize,
    later: Vec<usize>,
    /// Digests differed: only data count.
    only_data: bool,
    gather: Gather<'a>,
    /// What came, by place in the plan.
    pub(super) got: Vec<(usize, Got)>,
}

impl<'a> Asking<'a> {
    pub(super) fn new(
        coordinator: &'a Coordinator,
        plan: &'a Plan,
        command: &'a ReadCommand,
        max_bytes: usize,
    ) -> Self {
        let (replies, replied) = mpsc::unbounded_channel();
        let gather = Gather::new(plan);
        Self {
            coordinator,
            plan,
            command,
            max_bytes,
            replies,
            replied,
            under_way: 0,
            first: 0,
            later: Vec::new(),
            only_data: false,
            gather,
            got: Vec::new(),
        }
    }

    fn has_data(&self) -> bool {
        self.got.iter().any(|(_, got)| matches!(got, Got::Data(_)))
    }

    /// Asks the first replicas of the plan: one for data, the others for `others`.
    pub(super) fn ask_first(&mut self, count: usize, others: Want) {
        self.first = count.min(self.plan.replicas.len());
        for place in 0..self.first {
            self.ask(place, if place == 0 { Want::Data } else { others });
        }
    }

    /// Asks those that gave a digest for what they hold.
    pub(super) fn ask_for_data(&mut self) {
        self.only_data = true;
        self.gather = Gather::new(self.plan);
        let (data, digests): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.got).into_iter().partition(|(_, got)| matches!(got, Got::Data(_)));
        for (place, _) in &data {
            self.gather.take(&self.plan.replicas[*place]);
        }
        self.got = data;
        for (place, _) in digests {
            self.ask(place, Want::Data);
        }
    }

    fn ask(&mut self, place: usize, want: Want) {
        let replica = &self.plan.replicas[place];
        note(|| {
            format!("Asking {} for {}", shown(replica), if want == Want::Data { "data" } else { "a digest" })
        });
        if replica.local {
            self.coordinator.replica.note_sources(self.command);
        }
        self.under_way += 1;
        let (coordinator, target) = (self.coordinator, self.plan.replicas[place]);
        let (local, peers) = (Arc::clone(&coordinator.replica), Arc::clone(&coordinator.peers));
        let (latencies, clock) = (Arc::clone(&coordinator.latencies), Arc::clone(&coordinator.env.clock));
        let (timeout, max_bytes, members) = (coordinator.timeouts.read, self.max_bytes, self.plan.members);
        let (command, replies, trace) = (self.command.clone(), self.replies.clone(), trace::current());
        coordinator.env.tasks.spawn_local(async move {
            let said = if target.local {
                let said = match want {
                    Want::Data => local.read(command, max_bytes).await.map(Got::Data),
                    Want::Digest => local.digest(command, max_bytes).await.map(Got::Digest),
                };
                said.map_err(ClusterError::from)
            } else {
                let request = encode_read(&command, max_bytes);
                let body = match want {
                    Want::Data => Body::Read(request),
                    Want::Digest => Body::Digest(request),
                };
                let asked_at = clock.mono();
                let answer = peers.ask_for(trace, members, target.internode, body, timeout).await;
                let said = expect(answer, want);
                match said {
                    Ok(_) => latencies.note_answer(target.host, asked_at),
                    Err(ClusterError::Stale(_)) => {}
                    Err(_) => latencies.note_failure(target.host, timeout),
                }
                said
            };
            // The coordinator may have enough answers already.
            let _ = replies.send((place, said));
        });
    }

    /// Asks a replica that was not asked yet and whose answer would count; for data, if none have come.
    fn ask_another(&mut self, otherwise: Want) {
        let replicas = &self.plan.replicas;
        let would_help = |place: &usize| !self.later.contains(place) && self.gather.lacks(&replicas[*place]);
        let Some(place) = (self.first..replicas.len()).find(would_help) else { return };
        self.later.push(place);
        if self.coordinator.env.mutants.has("speculation-asks-the-same") {
            return self.ask(0, Want::Data);
        }
        let want = if self.has_data() { otherwise } else { Want::Data };
        self.ask(place, want);
    }

    /// Waits until as many have answered as the level asks for, data among them. One that fails is
    /// replaced at once; when `patience` is over, one more is asked.
    ///
    /// # Errors
    /// Too few have answered in time.
    pub(super) async fn gather(
        &mut self,
        otherwise: Want,
        mut patience: Option<Duration>,
    ) -> Result<(), ClusterError> {
        let clock = Arc::clone(&self.coordinator.env.clock);
        let (begun, timeout) = (clock.mono(), self.coordinator.timeouts.read);
        while !(self.gather.is_enough() && self.has_data()) && self.under_way > 0 {
            let elapsed = clock.mono().saturating_sub(begun);
            let wait = patience.unwrap_or(timeout).min(timeout).saturating_sub(elapsed);
            match tokio::time::timeout(wait, self.replied.recv()).await {
                Ok(Some((place, said))) => {
                    self.under_way -= 1;
                    note(|| said_by(&self.plan.replicas[place], &said));
                    match said {
                        // It was asked before digests differed.
                        Ok(Got::Digest(_)) if self.only_data => self.ask(place, Want::Data),
                        Ok(got) => {
                            self.gather.take(&self.plan.replicas[place]);
                            self.got.push((place, got));
                        }
                        Err(error @ ClusterError::Stale(_)) => return Err(error),
                        Err(error) => {
                            self.gather.fail(&self.plan.replicas[place], &error);
                            self.ask_another(otherwise);
                        }
                    }
                }
                Ok(None) => break,
                Err(_) if patience.is_some_and(|patience| patience < timeout) => {
                    patience = None;
                    note(|| "Too slow: asking one more");
                    self.ask_another(otherwise);
                }
                Err(_) => break,
            }
        }
        let data_present = self.has_data();
        std::mem::replace(&mut self.gather, Gather::new(self.plan)).read_result(data_present)
    }
}

/// What a replica said, for a trace.
fn said_by(target: &Target, said: &Result<Got, ClusterError>) -> String {
    let from = shown(target);
    match said {
        Ok(Got::Data(bytes)) => format!("Got {} bytes of data from {from}", bytes.len()),
        Ok(Got::Digest(_)) => format!("Got a digest from {from}"),
        Err(error) => format!("{from} failed: {error}"),
    }
}

fn expect(answer: Result<Body, ClusterError>, want: Want) -> Result<Got, ClusterError> {
    match (answer?, want) {
        (Body::Found(found), Want::Data) => Ok(Got::Data(found)),
        (Body::Digested(digest), Want::Digest) => Ok(Got::Digest(digest)),
        (Body::Failed(reason), _) => Err(ClusterError::Invalid(reason)),
        (Body::TooManyTombstones(bytes), _) => {
            let at_most = bytes.as_slice().try_into().map_or(0, u64::from_le_bytes);
            Err(StorageError::TooManyTombstones { at_most }.into())
        }
        _ => Err(ClusterError::Peer("an answer to another request".into())),
    }
}
