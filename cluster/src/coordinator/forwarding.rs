//! Mutations on their way to other data centres: each crosses the way there once, to one of the replicas, which has the others
//! of its data centre apply it as well. They answer each for itself.

use super::Coordinator;
use super::plan::Target;
use super::tracing_notes::shown;
use super::write::{Sending, Word};
use crate::error::ClusterError;
use crate::message::Body;
use crate::trace::{self, note};
use crate::transport::Peer;
use crate::transport::forward::MOST_OTHERS;
use std::sync::Arc;
use tokio::sync::mpsc;
use uuid::Uuid;

impl Coordinator {
    /// Sends a mutation to replicas in other data centres.
    pub(super) fn send_afar(
        &self,
        sending: Sending<'_>,
        mut targets: Vec<Target>,
        words: &mpsc::Sender<Word>,
    ) {
        targets.sort_by_key(|target| target.center);
        for of_center in targets.chunk_by(|one, other| one.center == other.center) {
            for some in of_center.chunks(1 + MOST_OTHERS) {
                // Another one each time, so that the work is shared.
                let by_way_of = some[self.random.below(some.len() as u64) as usize];
                let others: Vec<Target> = some.iter().filter(|other| **other != by_way_of).copied().collect();
                if others.is_empty() {
                    self.send_mutation(sending, by_way_of, words.clone());
                } else {
                    self.send_by_way_of(sending, by_way_of, &others, words);
                }
            }
        }
    }

    fn send_by_way_of(
        &self,
        sending: Sending<'_>,
        by_way_of: Target,
        others: &[Target],
        words: &mpsc::Sender<Word>,
    ) {
        for other in others {
            note(|| format!("{} is sent it by way of {}", shown(other), shown(&by_way_of)));
        }
        let (peers, hosts) = (&self.peers, others.iter().map(|other| other.host).collect::<Vec<Uuid>>());
        let content = (&*hosts, sending.mutation);
        let timeout = self.timeouts.write;
        let begun = peers.forward(trace::current(), sending.members, by_way_of.internode, content, timeout);
        let Ok(requests) = begun else {
            // Each for itself: what keeps one of them from being reached does not keep the others.
            std::iter::once(&by_way_of).chain(others).for_each(|target| {
                self.send_mutation(sending, *target, words.clone());
            });
            return;
        };
        let mut requests = requests.into_iter();
        if let Some(own) = requests.next() {
            let peers = Arc::clone(peers);
            self.spawn_sending(sending, by_way_of, words.clone(), |_| async move { peers.answer(own).await });
        }
        for (target, request) in others.iter().zip(requests) {
            let (peers, clock) = (Arc::clone(peers), Arc::clone(&self.env.clock));
            let (trace, members, internode) = (trace::current(), sending.members, target.internode);
            let began = clock.mono();
            self.spawn_sending(sending, *target, words.clone(), move |mutation| async move {
                let relayed = peers.answer(request).await;
                let left = timeout.saturating_sub(clock.mono().saturating_sub(began));
                match relayed {
                    // It may be reached from here, if there is time.
                    Ok(Body::Unreached(_)) | Err(ClusterError::Peer(_)) if left > timeout / 2 => {
                        peers.ask_for(trace, members, internode, Body::Mutate(mutation), left).await
                    }
                    relayed => relayed,
                }
            });
        }
    }

    /// Has another member apply a mutation that a coordinator far away has sent here, and gives its answer.
    pub(crate) async fn relay(&self, from: Peer, request: &[u8]) -> Body {
        let Some((host, mutation)) = request.split_first_chunk() else {
            return Body::Failed("a mutation for nobody".into());
        };
        let host = Uuid::from_bytes(*host);
        let internode = self.placement.load().ring.member(host).map(|member| member.internode);
        let Some(internode) = internode.filter(|_| self.liveness.is_alive(host)) else {
            return Body::Unreached(format!("{host} is not known here, or down"));
        };
        if self.env.mutants.has("forwarder-answers-for-others") {
            return Body::Mutated;
        }
        let body = Body::Mutate(mutation.to_vec());
        // One that may not be reached from here is tried from there while there is time.
        let is_reached = self.peers.is_connected(internode);
        let patience = if is_reached { from.patience } else { from.patience / 4 };
        let asked = self.peers.ask_for(trace::current(), from.members, internode, body, patience).await;
        match asked {
            Ok(answer) => answer,
            Err(ClusterError::Stale(version)) => Body::Stale(version.to_le_bytes().to_vec()),
            Err(error) => Body::Unreached(error.to_string()),
        }
    }
}
