//! The log of a node: Raft where it has a vote, and pulling from others where it has none.

use super::message::{Answer, Request, decode, encode};
use super::raft::machine::Machine;
use super::raft::network::Network;
use super::raft::{Raft, log::Log};
use super::runtime;
use super::state::{Change, Metadata, Outcome};
use super::store::Store;
use super::{MAX_VOTERS, MetadataLog};
use crate::error::ClusterError;
use crate::liveness::Liveness;
use crate::message::Body;
use crate::ring::Status;
use crate::transport::Peers;
use dodona_env::net::BoxFuture;
use dodona_env::watch;
use dodona_env::{Env, Random};
use openraft::error::{ClientWriteError, RaftError};
use openraft::{Config, EmptyNode, SnapshotPolicy};
use std::collections::BTreeSet;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How long a change may take before whoever asked for it is told that it may come or not.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one member may take to answer.
const ANSWER: Duration = Duration::from_secs(2);
/// The pause before another try.
const PAUSE: Duration = Duration::from_millis(50);
/// How often members that do not vote look for news, and the leader at who votes.
const PERIOD: Duration = Duration::from_secs(1);
/// Entries between two snapshots.
const SNAPSHOT_ENTRIES: u64 = 500;

/// What of others a node takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Any,
    /// Nothing but that the log was recovered. Whoever leads is not to hear from others what comes of its own entries.
    Recovery,
}

/// The log of a node.
pub struct ReplicatedLog {
    env: Env,
    peers: Arc<Peers>,
    store: Arc<Store>,
    liveness: Arc<dyn Liveness>,
    host: Uuid,
    random: Random,
    raft: tokio::sync::Mutex<Option<Raft>>,
}

impl ReplicatedLog {
    /// The log in a store, of the member `host`. [`Self::run`] comes next.
    #[must_use]
    pub fn new(
        env: Env,
        peers: Arc<Peers>,
        store: Arc<Store>,
        liveness: Arc<dyn Liveness>,
        host: Uuid,
    ) -> Self {
        let random = env.random.split("metadata");
        Self { env, peers, store, liveness, host, random, raft: tokio::sync::Mutex::new(None) }
    }

    /// Keeps the log going on this thread: takes part in the agreement, sees to who votes, or pulls.
    pub async fn run(self: Arc<Self>) {
        let mut version = self.store.watch();
        loop {
            if let Err(error) = self.tend().await {
                tracing::debug!(%error, "the metadata log is not tended to");
            }
            // News or not, it is time to look again.
            let _ = tokio::time::timeout(PERIOD, version.changed()).await;
        }
    }

    async fn tend(&self) -> Result<(), ClusterError> {
        // A node that is alone needs no agreement until it changes something: Raft takes 26 MB.
        let is_alone = self.store.metadata().members.len() == 1 && self.raft.lock().await.is_none();
        if is_alone {
            return Ok(());
        }
        if self.takes_part() {
            let raft = self.raft().await?;
            if raft.is_leader() {
                self.tend_voters(&raft).await?;
                // Others may have given it up.
                return self.pull(News::Recovery).await;
            }
        }
        // One that was voted out is not told so, and one that votes may be cut off from the leader.
        self.pull(News::Any).await
    }

    /// The term of the last vote that was given here.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.store.vote().map_or(0, |vote| vote.leader_id.term)
    }

    fn takes_part(&self) -> bool {
        let number = self.store.metadata().number_of(self.host);
        number.is_some_and(|number| self.store.takes_part(number))
    }

    /// Raft, which is started on this thread if it does not run, and again if the disk had been full.
    async fn raft(&self) -> Result<Raft, ClusterError> {
        let mut present = self.raft.lock().await;
        if let Some(raft) = &*present
            && scoped(&self.random, raft.is_initialized()).await.is_ok()
        {
            return Ok(raft.clone());
        }
        let number = self.store.metadata().number_of(self.host);
        let number = number.ok_or_else(|| ClusterError::Invalid("this node is no member any more".into()))?;
        let config = Config {
            cluster_name: "metadata".into(),
            heartbeat_interval: 200,
            election_timeout_min: 800,
            election_timeout_max: 1_600,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(SNAPSHOT_ENTRIES),
            max_in_snapshot_log_to_keep: SNAPSHOT_ENTRIES,
            enable_pre_vote: Some(true),
            // What is applied is on disk first, so that a leader may go on where it was.
            enable_leader_restore: Some(true),
            ..Config::default()
        };
        let (store, tasks) = (&self.store, &self.env.tasks);
        let network = Network { store: Arc::clone(store), peers: Arc::clone(&self.peers) };
        let (log, machine) =
            (Log::new(Arc::clone(store), tasks.clone()), Machine::new(Arc::clone(store), tasks.clone()));
        let started = Raft::new(number, Arc::new(config), network, log, machine);
        let raft = scoped(&self.random, started).await.map_err(|error| stopped(&error))?;
        *present = Some(raft.clone());
        Ok(raft)
    }

    /// As the leader, brings those to vote that should.
    async fn tend_voters(&self, raft: &Raft) -> Result<(), ClusterError> {
        let metadata = self.store.metadata();
        let voting: BTreeSet<u64> = self.store.applied_voters();
        let wanted = voters_of(&metadata, &voting);
        if wanted == voting || wanted.is_empty() {
            return Ok(());
        }
        let answers = |number: &u64| {
            let member = metadata.members.get(number);
            member.is_some_and(|member| member.host == self.host || self.liveness.is_alive(member.host))
        };
        let alive = wanted.iter().filter(|number| answers(number)).count();
        if 2 * alive <= wanted.len() || !wanted.difference(&voting).all(answers) {
            // They could agree on nothing, not even that others vote again.
            tracing::info!(
                ?voting,
                ?wanted,
                "other members are to vote on the metadata log once they are up"
            );
            return Ok(());
        }
        tracing::info!(?voting, ?wanted, "other members are to vote on the metadata log");
        let change = async {
            for number in wanted.difference(&voting) {
                raft.add_learner(*number, EmptyNode {}, true).await.map_err(|error| stopped(&error))?;
            }
            raft.change_membership(wanted.clone(), false).await.map_err(|error| stopped(&error))
        };
        let changed = tokio::time::timeout(PATIENCE, scoped(&self.random, change)).await;
        changed.map_err(|_| no_quorum())?.map(drop)
    }

    /// Asks another member for what is newer there.
    async fn pull(&self, wanted: News) -> Result<(), ClusterError> {
        let metadata = self.store.metadata();
        let others: Vec<SocketAddr> = self.others(&metadata).map(|(_, address)| address).collect();
        if others.is_empty() {
            return Ok(());
        }
        let chosen = others[self.random.below(others.len() as u64) as usize];
        let request = Request::Pull(metadata.version);
        match ask(&self.peers, chosen, &request, ANSWER).await? {
            Answer::Metadata(newer) if wanted == News::Any || newer.recovery > metadata.recovery => {
                self.follow(newer).await
            }
            _ => Ok(()),
        }
    }

    /// Takes over what another member has applied.
    async fn follow(&self, metadata: Arc<Metadata>) -> Result<(), ClusterError> {
        let _raft = if metadata.recovery > self.store.metadata().recovery {
            tracing::warn!(
                "the metadata log was recovered elsewhere: what is kept of it here counts no more"
            );
            let mut raft = self.raft.lock().await;
            if let Some(running) = raft.take() {
                // It is not to write any more. How it ends does not matter.
                let _ = scoped(&self.random, running.shutdown()).await;
            }
            Some(raft)
        } else {
            None
        };
        let store = Arc::clone(&self.store);
        let replaced = self.env.tasks.blocking(move || store.replace(metadata)).await;
        replaced.map_err(|error| ClusterError::Invalid(error.to_string()))?
    }

    fn others<'a>(&self, metadata: &'a Metadata) -> impl Iterator<Item = (u64, SocketAddr)> + use<'a> {
        let host = self.host;
        let others = metadata.members.iter().filter(move |(_, member)| member.host != host);
        others.map(|(number, member)| (*number, member.internode))
    }

    /// Appends as the leader; else says who leads.
    async fn append_here(&self, change: Change) -> Result<Result<Outcome, Option<u64>>, ClusterError> {
        let raft = self.raft().await?;
        match scoped(&self.random, raft.client_write(change)).await {
            Ok(written) => Ok(Ok(written.data)),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward))) => {
                Ok(Err(forward.leader_id))
            }
            Err(error) => Err(stopped(&error)),
        }
    }

    async fn append_anywhere(&self, change: Change) -> Result<Outcome, ClusterError> {
        let (mut leader, mut elsewhere) = (None, false);
        let mut last = no_quorum();
        let tries = async {
            loop {
                let metadata = self.store.metadata();
                let asked = if self.takes_part() && leader.is_none() && !elsewhere {
                    self.append_here(change.clone()).await
                } else {
                    self.append_at(&metadata, leader.take(), change.clone()).await
                };
                match asked {
                    Ok(Ok(outcome)) => return outcome,
                    Ok(Err(Some(number))) if metadata.number_of(self.host) != Some(number) => {
                        leader = Some(number);
                        continue;
                    }
                    Ok(Err(_)) => {}
                    Err(error) => last = error,
                }
                // Others may know more of who leads.
                elsewhere = !elsewhere;
                dodona_env::clock::sleep(PAUSE).await;
            }
        };
        match tokio::time::timeout(PATIENCE, tries).await {
            Ok(outcome) => Ok(outcome),
            Err(_) => Err(last),
        }
    }

    async fn append_at(
        &self,
        metadata: &Metadata,
        leader: Option<u64>,
        change: Change,
    ) -> Result<Result<Outcome, Option<u64>>, ClusterError> {
        let others: Vec<(u64, SocketAddr)> = self.others(metadata).collect();
        let chosen = others.iter().find(|(number, _)| Some(*number) == leader).or_else(|| {
            let count = others.len() as u64;
            (count > 0).then(|| &others[self.random.below(count) as usize])
        });
        let (number, address) = chosen.ok_or_else(no_quorum)?;
        let request = match metadata.recovery {
            0 => Request::Change(change),
            recovery => Request::Change(change).to(*number, recovery),
        };
        match ask(&self.peers, *address, &request, ANSWER).await? {
            Answer::Changed(outcome) => Ok(Ok(outcome)),
            Answer::NotLeader(leader) => Ok(Err(leader)),
            Answer::Failed(reason) => Err(ClusterError::NoMetadataQuorum(reason)),
            _ => Err(ClusterError::Peer("an answer to another request".into())),
        }
    }

    /// Answers a request of another member; none if it is not about the log itself.
    pub async fn handle(&self, request: Request) -> Option<Answer> {
        let answer = match request {
            Request::Append(_) | Request::Vote(_) | Request::PreVote(_) | Request::Snapshot(..) => {
                self.handle_since(0, request).await
            }
            Request::Change(change) => self.handle_change(change).await,
            Request::Pull(version) => {
                let metadata = self.store.metadata();
                if metadata.version > version {
                    Answer::Metadata(metadata)
                } else {
                    Answer::Version(metadata.version)
                }
            }
            Request::Reach(version) => match self.reach(version).await {
                Ok(()) => Answer::Version(self.store.metadata().version),
                Err(error) => Answer::Failed(error.to_string()),
            },
            Request::For(number, request) => self.handle_for(number, 0, *request).await,
            Request::Since(recovery, number, request) => self.handle_for(number, recovery, *request).await,
            Request::Who
            | Request::Time
            | Request::Known(_)
            | Request::Fetch
            | Request::Join(..)
            | Request::Replace(..) => {
                return None;
            }
        };
        Some(answer)
    }

    async fn handle_for(&self, number: u64, recovery: u64, request: Request) -> Answer {
        if self.store.metadata().number_of(self.host) != Some(number) {
            return Answer::Failed(format!("this is not member {number}"));
        }
        self.handle_since(recovery, request).await
    }

    /// Answers what is of one log, if it is the one that is kept here ([`Metadata::recovery`]).
    async fn handle_since(&self, recovery: u64, request: Request) -> Answer {
        if self.store.metadata().recovery != recovery {
            return Answer::Failed("the metadata log was recovered meanwhile, and is another one".into());
        }
        match request {
            Request::Append(request) => {
                let raft = self.raft().await;
                let asked = async { Ok(raft?.append_entries(request).await) };
                of_raft(scoped(&self.random, asked).await, Answer::Append)
            }
            Request::Vote(request) => {
                let raft = self.raft().await;
                of_raft(scoped(&self.random, async { Ok(raft?.vote(request).await) }).await, Answer::Vote)
            }
            Request::PreVote(request) => {
                let raft = self.raft().await;
                of_raft(scoped(&self.random, async { Ok(raft?.pre_vote(request).await) }).await, Answer::Vote)
            }
            Request::Snapshot(vote, meta, snapshot) => {
                let raft = self.raft().await;
                let snapshot = super::types::Snapshot { meta, snapshot };
                let asked = async { Ok(raft?.install_full_snapshot(vote, snapshot).await) };
                of_raft(scoped(&self.random, asked).await, Answer::Snapshot)
            }
            Request::Change(change) => self.handle_change(change).await,
            _ => Answer::Failed("not a request about what members agree on".into()),
        }
    }

    async fn handle_change(&self, change: Change) -> Answer {
        if !self.takes_part() {
            return Answer::NotLeader(None);
        }
        match self.append_here(change).await {
            Ok(Ok(outcome)) => Answer::Changed(outcome),
            Ok(Err(leader)) => Answer::NotLeader(leader),
            Err(error) => Answer::Failed(error.to_string()),
        }
    }
}

impl MetadataLog for ReplicatedLog {
    fn metadata(&self) -> Arc<Metadata> {
        self.store.metadata()
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.store.watch()
    }

    fn quorums(&self) -> Vec<BTreeSet<u64>> {
        self.store.quorums()
    }

    fn append(&self, change: Change) -> BoxFuture<'_, Result<Outcome, ClusterError>> {
        Box::pin(async move {
            let outcome = self.append_anywhere(change).await?;
            if let Outcome::Applied(version) = outcome {
                self.reach(version).await?;
            }
            Ok(outcome)
        })
    }

    fn reach(&self, version: u64) -> BoxFuture<'_, Result<(), ClusterError>> {
        Box::pin(async move {
            let mut news = self.store.watch();
            let reached = async {
                while *news.borrow_and_update() < version {
                    if !self.takes_part() || tokio::time::timeout(PAUSE, news.changed()).await.is_err() {
                        // Another member is asked next time.
                        let _ = self.pull(News::Any).await;
                    }
                }
            };
            tokio::time::timeout(ANSWER, reached).await.map_err(|_| no_quorum())
        })
    }
}

/// Asks a member about the metadata.
///
/// # Errors
/// It cannot be reached, does not answer in time, or what it answers is malformed.
pub async fn ask(
    peers: &Peers,
    address: SocketAddr,
    request: &Request,
    patience: Duration,
) -> Result<Answer, ClusterError> {
    match peers.ask(address, Body::Metadata(encode(request)), patience).await? {
        Body::MetadataAnswer(bytes) => decode(&bytes),
        Body::Failed(reason) => Err(ClusterError::Peer(reason)),
        _ => Err(ClusterError::Peer("an answer to another request".into())),
    }
}

/// Runs what starts or asks Raft with random numbers of its own.
fn scoped<F: Future>(random: &Random, work: F) -> impl Future<Output = F::Output> {
    runtime::scope(random.next_u64(), work)
}

fn of_raft<T, E: std::fmt::Display>(
    asked: Result<Result<T, E>, ClusterError>,
    answer: impl FnOnce(T) -> Answer,
) -> Answer {
    match asked {
        Ok(Ok(response)) => answer(response),
        Ok(Err(error)) => Answer::Failed(error.to_string()),
        Err(error) => Answer::Failed(error.to_string()),
    }
}

fn no_quorum() -> ClusterError {
    ClusterError::NoMetadataQuorum("no majority of the members that vote on it has answered in time".into())
}

fn stopped(error: &impl std::fmt::Display) -> ClusterError {
    ClusterError::NoMetadataQuorum(error.to_string())
}

/// Who should vote: those who do as long as they stay, then others, on as many racks as there are. Whoever has taken another one's
/// place does so before that one is gone.
fn voters_of(metadata: &Metadata, voting: &BTreeSet<u64>) -> BTreeSet<u64> {
    let is_succeeded = |host: Uuid| {
        let mut members = metadata.members.values();
        members.any(|member| member.status == Status::Succeeding(host))
    };
    let stays = |number: &u64| {
        metadata.members.get(number).is_some_and(|member| match member.status {
            Status::Succeeding(_) => true,
            status => status.stays() && !is_succeeded(member.host),
        })
    };
    let normal: Vec<u64> = metadata.members.keys().copied().filter(stays).collect();
    // Two vote if there are but two, so that no single disk holds the only copy.
    let count = if normal.len() <= 2 { normal.len() } else { (normal.len() - 1) / 2 * 2 + 1 }.min(MAX_VOTERS);
    let mut wanted: BTreeSet<u64> = voting.iter().copied().filter(stays).collect();
    let rack = |number: &u64| {
        metadata.members.get(number).map(|member| (member.data_center.as_str(), member.rack.as_str()))
    };
    while wanted.len() < count {
        let others = normal.iter().filter(|number| !wanted.contains(*number));
        let on_rack_of = |number: &u64| wanted.iter().filter(|other| rack(other) == rack(number)).count();
        let Some(next) = others.min_by_key(|number| (on_rack_of(number), **number)) else { break };
        wanted.insert(*next);
    }
    wanted
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
