//! What a node answers to other nodes.

use super::Node;
use crate::error::ClusterError;
use crate::message::Body;
use crate::metadata::message::{Answer, Request, decode, encode};
use crate::transport::{Handler, Peer};
use dodona_env::net::BoxFuture;
use dodona_types::TableId;
use std::sync::Arc;
use uuid::Uuid;

fn mutated(done: Result<(), ClusterError>) -> Body {
    done.map_or_else(|error| Body::Failed(error.to_string()), |()| Body::Mutated)
}

impl Handler for Node {
    fn handle(self: Arc<Self>, from: Peer, body: Body) -> BoxFuture<'static, Body> {
        match body {
            Body::Metadata(request) => {
                Box::pin(async move { Body::MetadataAnswer(encode(&self.answer(&request).await)) })
            }
            _ if !from.is_of_this_cluster => at_once(Body::Failed("this is another cluster".into())),
            // Whoever was chosen by them may not be a replica any more, or not the only one.
            _ if from.members != 0
                && from.members < self.placement.load().version
                && !self.env.mutants.has("members-are-not-fenced") =>
            {
                at_once(Body::Stale(self.placement.load().version.to_le_bytes().to_vec()))
            }
            Body::Gossip(message) => at_once(Body::Gossiped(self.gossiper.answer(&message))),
            Body::Repair(request) => at_once(match serde_json::from_slice(&request) {
                Ok(request) => {
                    let answer = self.repairs.answer(from.host, request);
                    Body::RepairAnswer(serde_json::to_vec(&answer).unwrap_or_default())
                }
                Err(error) => Body::Failed(format!("a request about a repair: {error}")),
            }),
            Body::Count(request) => Box::pin(async move {
                match self.coordinator.count_for_peer(&request).await {
                    // No replica has refused it.
                    Err(error @ ClusterError::WriteTimeout { .. }) => Body::Unreached(error.to_string()),
                    counted => mutated(counted),
                }
            }),
            Body::Relay(request) => Box::pin(async move { self.coordinator.relay(from, &request).await }),
            Body::KeepBatch(bytes) => Box::pin(async move {
                let kept = bytes
                    .split_at_checked(16)
                    .and_then(|(id, batch)| Some((Uuid::from_slice(id).ok()?, batch)));
                match kept {
                    Some((id, batch)) => mutated(self.batches.keep(id, batch).await),
                    None => Body::Failed("a batch without an id".into()),
                }
            }),
            Body::ForgetBatch(id) => Box::pin(async move {
                match Uuid::from_slice(&id) {
                    Ok(id) => mutated(self.batches.forget(id).await),
                    Err(error) => Body::Failed(error.to_string()),
                }
            }),
            Body::VoidHints(table) => Box::pin(async move {
                match Uuid::from_slice(&table) {
                    Ok(table) => mutated(self.coordinator.void(TableId(table)).await),
                    Err(error) => Body::Failed(error.to_string()),
                }
            }),
            Body::KeepHints(hints) => Box::pin(async move { mutated(self.hints.keep(hints).await) }),
            body => Arc::clone(&self.replica).handle(from, body),
        }
    }
}

/// An answer that nothing has to be waited for.
fn at_once(answer: Body) -> BoxFuture<'static, Body> {
    Box::pin(std::future::ready(answer))
}

impl Node {
    async fn answer(self: &Arc<Self>, request: &[u8]) -> Answer {
        let request: Request = match decode(request) {
            Ok(request) => request,
            Err(error) => return Answer::Failed(error.to_string()),
        };
        match request {
            Request::Who => Answer::Cluster(self.info.identity.cluster, self.info.cluster_name.clone()),
            Request::Time => Answer::Time(self.env.clock.wall_micros()),
            // What it knows of the members is of when it left.
            Request::Join(..) | Request::Replace(..) if self.has_left() => {
                Answer::Failed("the node has left its cluster: another seed is to take members in".into())
            }
            Request::Join(member, tokens) => self.take_in(*member, tokens).await,
            Request::Replace(member, replaced) => self.take_in_place_of(*member, &replaced).await,
            Request::Fetch => self.take_over(),
            Request::Known(host) => Answer::Known(self.gossiper.mark_of(host)),
            request => {
                let reaches = matches!(request, Request::Reach(_));
                let answer = self.metadata.handle(request).await;
                if reaches {
                    self.flush_dropped().await;
                }
                // Whoever asks relies on it being in use.
                match answer {
                    Some(Answer::Version(version)) if reaches => match self.catch_up() {
                        Ok(()) => Answer::Version(version),
                        Err(error) => Answer::Failed(error.to_string()),
                    },
                    Some(answer) => answer,
                    None => Answer::Failed("not a request".into()),
                }
            }
        }
    }
}
