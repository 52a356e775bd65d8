//! Raft's messages, over the connections between nodes. Where a member is, the metadata tell.

use crate::message::Body;
use crate::metadata::message::{Answer, Request, decode, encode};
use crate::metadata::state::Metadata;
use crate::metadata::store::Store;
use crate::metadata::types::{Snapshot, TypeConfig, Vote};
use crate::transport::Peers;
use openraft::error::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{EmptyNode, OptionalSend};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Connections to all members.
#[derive(Clone)]
pub struct Network {
    /// Where members are.
    pub store: Arc<Store>,
    /// The connections.
    pub peers: Arc<Peers>,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Link;

    async fn new_client(&mut self, target: u64, _: &EmptyNode) -> Link {
        Link { network: self.clone(), target }
    }
}

/// The way to one member.
pub struct Link {
    network: Network,
    target: u64,
}

impl Link {
    async fn ask(&self, request: Request, patience: Duration) -> Result<Answer, Unreachable<TypeConfig>> {
        let metadata = self.network.store.metadata();
        let member = metadata.members.get(&self.target);
        let member = member.ok_or_else(|| Unreachable::from_string("not a member any more"))?;
        let body = Body::Metadata(encode(&request.to(self.target, metadata.recovery)));
        let answer = self.network.peers.ask(member.internode, body, patience).await;
        match answer {
            Ok(Body::MetadataAnswer(bytes)) => {
                decode(&bytes).map_err(|error| Unreachable::from_string(error.to_string()))
            }
            Ok(_) => Err(Unreachable::from_string("an answer to another request")),
            Err(error) => Err(Unreachable::from_string(error.to_string())),
        }
    }

    async fn vote_of(
        &self,
        request: Request,
        patience: Duration,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        match self.ask(request, patience).await? {
            Answer::Vote(vote) => Ok(vote),
            other => Err(unexpected(&other).into()),
        }
    }
}

fn unexpected(answer: &Answer) -> Unreachable<TypeConfig> {
    match answer {
        Answer::Failed(reason) => Unreachable::from_string(reason),
        _ => Unreachable::from_string("an answer to another request"),
    }
}

impl RaftNetworkV2<TypeConfig> for Link {
    type SnapshotData = Arc<Metadata>;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        match self.ask(Request::Append(request), option.hard_ttl()).await? {
            Answer::Append(response) => Ok(response),
            other => Err(unexpected(&other).into()),
        }
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.vote_of(Request::Vote(request), option.hard_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.vote_of(Request::PreVote(request), option.hard_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        _: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let request = Request::Snapshot(vote, snapshot.meta, snapshot.snapshot);
        match self.ask(request, option.hard_ttl()).await? {
            Answer::Snapshot(response) => Ok(response),
            other => Err(unexpected(&other).into()),
        }
    }
}
