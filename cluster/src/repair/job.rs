//! Work that the leader of a repair has a replica do.

use super::message::{Answer, Request, Work};
use super::tree::HashTree;
use super::worker::Repairs;
use crate::error::ClusterError;
use crate::message::Body;
use crate::ring::Member;
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How long a replica may take to answer a request, not the work.
const ANSWER: Duration = Duration::from_secs(10);
/// How often in a row a replica may not answer.
const TRIES: usize = 6;
/// The pauses between two questions how far a replica is: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));
/// How often replicas hear that a repair goes on.
const REMINDER: Duration = Duration::from_secs(20);

/// Work that a replica does.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) repairs: Arc<Repairs>,
    pub(super) member: Member,
    pub(super) id: Uuid,
}

impl Job {
    pub(super) fn new(repairs: &Arc<Repairs>, member: &Member) -> Self {
        Self { repairs: Arc::clone(repairs), member: member.clone(), id: repairs.env.random.uuid_v4() }
    }

    /// Asks the replica, this node itself without a message.
    pub(super) async fn ask(&self, request: Request) -> Result<Answer, ClusterError> {
        let placement = self.repairs.placement.load();
        if placement.ring.members()[placement.local].host == self.member.host {
            return Ok(self.repairs.answer(self.member.host, request));
        }
        let body = Body::Repair(serde_json::to_vec(&request).unwrap_or_default());
        match self.repairs.peers.ask(self.member.internode, body, ANSWER).await? {
            Body::RepairAnswer(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| ClusterError::Peer(format!("an answer about a repair: {error}"))),
            Body::Failed(reason) => Err(self.failed(&reason)),
            _ => Err(ClusterError::Peer("an answer to another request".into())),
        }
    }

    fn failed(&self, reason: &str) -> ClusterError {
        ClusterError::Peer(format!("{}: {reason}", self.member.internode))
    }

    /// Has the work done, however long it takes, as long as the replica answers.
    pub(super) async fn run(self, work: Work) -> Result<Answer, ClusterError> {
        let mut pause = PAUSES.0;
        let mut unanswered = 0;
        let mut request = Request::Begin(self.id, work);
        loop {
            match self.ask(request.clone()).await {
                Ok(Answer::Working) => (request, unanswered) = (Request::Ask(self.id), 0),
                Ok(Answer::Failed(reason)) => return Err(self.failed(&reason)),
                Ok(Answer::Unknown) => {
                    return Err(self.failed("it has given the repair up, or was started anew"));
                }
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    unanswered += 1;
                    if unanswered == TRIES {
                        return Err(error);
                    }
                }
            }
            dodona_env::clock::sleep(pause).await;
            pause = (2 * pause).min(PAUSES.1);
        }
    }

    /// The trees that the replica has made.
    ///
    /// # Errors
    /// It does not answer, or has not made them.
    pub(super) async fn trees(&self, empty: &[HashTree]) -> Result<Vec<HashTree>, ClusterError> {
        let malformed = || self.failed("the hashes are not those that were asked for");
        let Answer::Leaves(leaves) = self.ask(Request::Leaves(self.id)).await? else {
            return Err(malformed());
        };
        if leaves.len() != empty.len() {
            return Err(malformed());
        }
        let trees = leaves.into_iter().zip(empty).map(|(leaves, tree)| tree.with_leaves(leaves));
        trees.collect::<Option<_>>().ok_or_else(malformed)
    }

    pub(super) async fn forget(&self) {
        // One that is not reached forgets by itself.
        let _ = self.ask(Request::Forget(self.id)).await;
    }
}

/// Does work while replicas hear that it goes on: what they have done for it they keep.
pub(super) async fn reminding<T>(jobs: &[Job], work: impl Future<Output = T>) -> T {
    let remind = async {
        loop {
            dodona_env::clock::sleep(REMINDER).await;
            join_all(jobs.iter().map(|job| job.ask(Request::Ask(job.id)))).await;
        }
    };
    tokio::select! {
        biased;
        done = work => done,
        never = remind => never,
    }
}
