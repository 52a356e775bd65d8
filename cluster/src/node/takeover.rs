//! When members fetch what they are to hold by the change that is under way: one that joins on its own,
//! the others when one that leaves asks them to, again and again until they have.

use super::Node;
use crate::error::ClusterError;
use crate::metadata::MetadataLog;
use crate::metadata::log::ask;
use crate::metadata::message::{Answer, Request};
use crate::placement::Placement;
use crate::ring::{Member, Status};
use crate::streaming::fetcher::Fetcher;
use crate::streaming::history::{Fetch, History, Purpose};
use crate::streaming::notes::Notes;
use crate::streaming::{Missing, Rebuild, held_by_others, missing};
use dodona_storage::StorageError;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

/// How long a member may take to say how far it is.
const ANSWER: Duration = Duration::from_secs(5);
/// The pause before it is asked again.
const PAUSE: Duration = Duration::from_millis(100);
/// The pause before another try to fetch, and before one on a disk that was full.
const TRY_AGAIN: Duration = Duration::from_millis(200);
const UNTIL_ROOM: Duration = Duration::from_secs(1);

/// A fetch that others have asked for, and all fetches so far.
#[derive(Debug, Default)]
pub(crate) struct Takeover {
    state: Mutex<State>,
    history: History,
    /// Wakes a fetch that waits for another try.
    again: Notify,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    Runs,
    /// Everything is here that the members of this version make this node hold.
    Done(u64),
    Failed(String),
}

impl Node {
    /// Fetches what this node is to hold by the change that is under way, once.
    async fn fetch(&self) -> Result<(), ClusterError> {
        let placement = self.placement();
        self.fetch_these(&placement, purpose_of(&placement), &missing(&placement)?).await
    }

    /// Fetches what this node holds from others that hold it as well: in a data centre that is new, or
    /// after its data were lost.
    ///
    /// # Errors
    /// A member joins or leaves; there is nobody to fetch it from; too few of those answer.
    pub async fn rebuild(&self, rebuild: &Rebuild) -> Result<(), ClusterError> {
        let placement = self.placement();
        if placement.ring.is_changing() {
            return Err(ClusterError::Invalid("a member joins, moves or leaves: rebuild afterwards".into()));
        }
        if let Some(keyspace) = &rebuild.keyspace
            && !placement.schema.keyspaces.contains_key(&**keyspace)
        {
            return Err(ClusterError::Invalid(format!("there is no keyspace {keyspace}")));
        }
        self.fetch_these(&placement, Purpose::Rebuild, &held_by_others(&placement, rebuild)?).await
    }

    /// The last fetches from others, the oldest first.
    #[must_use]
    pub fn fetches(&self) -> Vec<Fetch> {
        self.takeover.history.list(&self.streaming)
    }

    async fn fetch_these(
        &self,
        placement: &Placement,
        purpose: Purpose,
        wanted: &[Missing],
    ) -> Result<(), ClusterError> {
        let (members, clock) = (placement.ring.members(), &*self.env.clock);
        let peers: BTreeSet<SocketAddr> =
            wanted.iter().flat_map(|one| &one.holders).map(|index| members[*index].internode).collect();
        let history = &self.takeover.history;
        history.begin(purpose, peers.into_iter().collect(), wanted.len(), &self.streaming, clock);
        // A rebuild is wanted anew, whatever was fetched before.
        let notes = (purpose != Purpose::Rebuild).then_some(&self.notes);
        let fetched = self.fetch_all(placement, wanted, notes).await;
        let failure = fetched.as_ref().err().map(ToString::to_string);
        history.end(failure, &self.streaming, clock);
        fetched
    }

    async fn fetch_all(
        &self,
        placement: &Placement,
        wanted: &[Missing],
        notes: Option<&Arc<Notes>>,
    ) -> Result<(), ClusterError> {
        let live = self.gossiper.live();
        let puller = self.repairs.puller(&self.streaming);
        let knowing = Mutex::default();
        let least_file_bytes = self.settings.stream_files_of_bytes;
        let fetcher = Fetcher { puller, liveness: &*live, placement, knowing, notes, least_file_bytes };
        fetcher.fetch_all(wanted).await
    }

    /// Fetches what this node is to hold, however often that has to be tried: until there is room for it as well.
    ///
    /// # Errors
    /// The node itself does not take it.
    pub(crate) async fn fetch_until_done(&self) -> Result<(), ClusterError> {
        loop {
            self.catch_up_with_room().await?;
            let mut pause = TRY_AGAIN;
            match self.fetch().await {
                Ok(()) => return Ok(()),
                Err(ClusterError::Peer(reason)) => tracing::info!(reason, "fetching has to wait"),
                Err(ClusterError::Storage(StorageError::Refused(reason))) => {
                    tracing::info!(reason, "it is fetched anew");
                }
                Err(ClusterError::Storage(StorageError::NoSpace)) => {
                    tracing::error!("fetching what this node is to hold waits for space on the data disk");
                    pause = UNTIL_ROOM;
                }
                Err(error) => return Err(error),
            }
            let _ = tokio::time::timeout(pause, self.takeover.again.notified()).await;
        }
    }

    /// Has a node that joins, or takes another one's place, try at once to fetch what it lacks, and waits until it has
    /// joined. False if it had before.
    ///
    /// # Errors
    /// It was taken out of the cluster meanwhile.
    pub async fn resume_joining(&self) -> Result<bool, ClusterError> {
        let host = self.info.identity.host;
        let status = || self.metadata.metadata().member(host).map(|member| member.status);
        let joins =
            |status: &Status| status.is_new() || matches!(status, Status::Arriving | Status::Succeeding(_));
        if !status().as_ref().is_some_and(joins) {
            return Ok(false);
        }
        self.takeover.again.notify_waiters();
        let mut version = self.watch_members();
        loop {
            match status() {
                None => return Err(ClusterError::Invalid("the node is no member any more".into())),
                Some(status) if !joins(&status) => return Ok(true),
                Some(_) => {}
            }
            if version.changed().await.is_err() {
                return Err(ClusterError::Invalid("the node stops".into()));
            }
        }
    }

    /// Has this node fetch what it is to hold, and says whether it has: whoever asks asks again.
    pub(crate) fn take_over(self: &Arc<Self>) -> Answer {
        if let Err(error) = self.catch_up() {
            return Answer::Failed(error.to_string());
        }
        let version = self.placement().version;
        let mut state = self.takeover.state.lock();
        match &*state {
            State::Done(done) if *done == version => Answer::Version(self.metadata.metadata().version),
            State::Runs => Answer::Fetching,
            State::Idle | State::Done(_) | State::Failed(_) => {
                let node = Arc::clone(self);
                self.env.tasks.spawn_local(async move {
                    let fetched = node.fetch().await;
                    *node.takeover.state.lock() = match fetched {
                        Ok(()) => State::Done(version),
                        Err(error) => State::Failed(error.to_string()),
                    };
                });
                match std::mem::replace(&mut *state, State::Runs) {
                    State::Failed(reason) => Answer::Failed(reason),
                    State::Idle | State::Runs | State::Done(_) => Answer::Fetching,
                }
            }
        }
    }

    /// Has every member fetch what it takes over from one that leaves or moves.
    ///
    /// # Errors
    /// The leaving was given up; or this node does not take its part.
    pub(crate) async fn have_others_fetch(&self, leaver: Uuid) -> Result<(), ClusterError> {
        let metadata = self.metadata.metadata();
        let host = self.info.identity.host;
        let mut waiting: Vec<&Member> =
            metadata.members.values().filter(|member| ![leaver, host].contains(&member.host)).collect();
        while !waiting.is_empty() {
            let asked = waiting.iter().map(|member| self.has_fetched(member, metadata.version));
            let fetched = futures_util::future::join_all(asked).await;
            let mut fetched = fetched.into_iter();
            waiting.retain(|_| !fetched.next().unwrap_or_default());
            self.still_leaves(leaver)?;
            dodona_env::clock::sleep(PAUSE).await;
        }
        let moves = metadata.member(leaver).is_some_and(|member| member.status == Status::Moving);
        if host != leaver || moves {
            self.fetch_until_done().await?;
        }
        Ok(())
    }

    /// True if a member has fetched what it is to hold by this version of the metadata.
    async fn has_fetched(&self, member: &Member, version: u64) -> bool {
        match ask(&self.peers, member.internode, &Request::Fetch, ANSWER).await {
            Ok(Answer::Version(reached)) if reached >= version => return true,
            Ok(Answer::Version(_)) => {
                tracing::info!(member = %member.host, "it does not know yet who leaves");
            }
            Ok(Answer::Fetching) => {}
            Ok(Answer::Failed(reason)) => tracing::info!(member = %member.host, reason, "it fetches again"),
            Ok(_) => tracing::warn!(member = %member.host, "an answer to another request"),
            Err(error) => tracing::info!(member = %member.host, %error, "it has not fetched yet"),
        }
        false
    }

    /// # Errors
    /// It does not.
    pub(crate) fn still_leaves(&self, leaver: Uuid) -> Result<(), ClusterError> {
        let metadata = self.metadata.metadata();
        let status = metadata.member(leaver).map(|member| member.status);
        let leaves = matches!(status, Some(Status::Leaving | Status::Removing | Status::Moving));
        leaves
            .then_some(())
            .ok_or_else(|| ClusterError::Invalid(format!("that {leaver} leaves or moves was given up")))
    }
}

/// Why this node fetches what it is to hold by the change that is under way.
fn purpose_of(placement: &Placement) -> Purpose {
    let members = placement.ring.members();
    let of = |status| match status {
        Status::Joining | Status::Replacing(_) => Some(Purpose::Join),
        Status::Moving => Some(Purpose::Move),
        Status::Leaving => Some(Purpose::Leave),
        Status::Removing => Some(Purpose::Remove),
        _ => None,
    };
    let own = of(members[placement.local].status);
    own.or_else(|| members.iter().find_map(|member| of(member.status))).unwrap_or(Purpose::Join)
}
