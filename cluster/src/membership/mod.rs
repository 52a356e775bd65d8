//! How a node becomes a member of a cluster.
//!
//! A new node asks its seeds which cluster they are of ([`enter`]) and has one of them take it in
//! (`Node::take_in`): from then on it is in the metadata log as joining, and is written to. It
//! fetches what it will hold, and says so in the log: from then on it is read ([`Node::settle`]).
//! Every step is found in the log again after a crash of any party.

mod entering;

pub use entering::enter;

use crate::allocation::tokens_for;
use crate::error::ClusterError;
use crate::liveness::Liveness;
use crate::metadata::log::ask;
use crate::metadata::message::{Answer, Request};
use crate::metadata::{Change, Metadata, MetadataLog, Outcome};
use crate::node::Node;
use crate::ring::{Member, Status, is_given_up};
use dodona_types::Token;
use std::time::Duration;
use uuid::Uuid;

/// How long a member may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How long a member that is down is waited for.
const GIVE_UP: Duration = Duration::from_secs(15);
/// The pause before another try.
const PAUSE: Duration = Duration::from_millis(100);
/// The pause before a member that leaves tries again to go, while it votes on the metadata log.
const UNTIL_OTHERS_VOTE: Duration = Duration::from_millis(500);
/// Copies that tokens are balanced for, as `allocate_tokens_for_local_replication_factor` has it.
const REPLICATION_FACTOR: usize = 3;
/// Tries to choose tokens while other members change.
const TRIES: usize = 20;

/// The member that is to be replaced, named by its host id or address. Else why it is not clear which.
fn meant<'a>(metadata: &'a Metadata, replaced: &str) -> Result<&'a Member, String> {
    let mut meant = metadata.members.values().filter(|other| other.is_called(replaced));
    match (meant.next(), meant.next()) {
        (Some(other), None) => Ok(other),
        (Some(_), Some(_)) => Err(format!(
            "several members have the address {replaced}: name the one to replace by its host id"
        )),
        (None, _) => {
            let of = |member: &Member| format!("{} at {}", member.host, member.internode);
            let hosts: Vec<String> = metadata.members.values().map(of).collect();
            Err(format!(
                "{replaced}, which it is to replace, is not a member: those are {}",
                hosts.join(", ")
            ))
        }
    }
}

impl Node {
    /// Takes a new member in, with tokens that balance the ring.
    pub(crate) async fn take_in(&self, member: Member, tokens: usize) -> Answer {
        for _ in 0..TRIES {
            let metadata = self.metadata.metadata();
            if let Some(known) = metadata.member(member.host) {
                if known.status == Status::Joining && known.internode == member.internode {
                    return Answer::Joined(self.info.identity.cluster, metadata);
                }
                return Answer::Refused(format!("{} is a member already", member.host));
            }
            let members: Vec<Member> = metadata.members.values().cloned().collect();
            let (data_center, rack) = (&member.data_center, &member.rack);
            let tokens = tokens_for(&members, data_center, rack, tokens, REPLICATION_FACTOR);
            let member = Box::new(Member { tokens, status: Status::Joining, ..member.clone() });
            let change = Change::Join { expected: metadata.members_version, member };
            match self.metadata.append(change).await {
                Ok(Outcome::Applied(_) | Outcome::Conflict) => {}
                Ok(Outcome::Busy(reason)) => return Answer::Failed(reason),
                Ok(Outcome::Refused(reason)) => return Answer::Refused(reason),
                Err(error) => return Answer::Failed(error.to_string()),
            }
        }
        Answer::Failed("members change all the time".into())
    }

    /// Takes a new member in that takes the place of another one, which is named by its host id or address.
    pub(crate) async fn take_in_place_of(&self, member: Member, replaced: &str) -> Answer {
        let metadata = self.metadata.metadata();
        if let Some(known) = metadata.member(member.host) {
            if matches!(known.status, Status::Replacing(_)) && known.internode == member.internode {
                return Answer::Joined(self.info.identity.cluster, metadata);
            }
            return Answer::Refused(format!("{} is a member already", member.host));
        }
        let other = match meant(&metadata, replaced) {
            Ok(other) => other,
            // The new node gives up then: it has to be so.
            Err(reason) => {
                return match self.is_newest(metadata.schema.epoch, metadata.members_version).await {
                    Ok(true) => Answer::Refused(reason),
                    Ok(false) => Answer::Failed("this member has not heard of all the others".into()),
                    Err(error) => Answer::Failed(format!("{reason}; and that may be old: {error}")),
                };
            }
        };
        if self.gossiper.live().is_alive(other.host) {
            return Answer::Failed(format!("{}, which it is to replace, still answers", other.host));
        }
        let lost = other.host;
        if let Err(error) = self.end_what_was_begun(lost).await {
            return Answer::Failed(error.to_string());
        }
        let metadata = self.metadata.metadata();
        let Some(other) = metadata.member(lost) else {
            return Answer::Refused(format!(
                "{lost}, which it is to replace, has left: let it join as a new member"
            ));
        };
        let (status, tokens) = (Status::Replacing(lost), other.tokens.clone());
        let member = Box::new(Member { tokens, status, ..member });
        match self.metadata.append(Change::Join { expected: metadata.members_version, member }).await {
            Ok(Outcome::Applied(_)) => Answer::Joined(self.info.identity.cluster, self.metadata.metadata()),
            Ok(Outcome::Conflict) => Answer::Failed("members change at the same time".into()),
            Ok(Outcome::Busy(reason)) => Answer::Failed(reason),
            Ok(Outcome::Refused(reason)) => Answer::Refused(reason),
            Err(error) => Answer::Failed(error.to_string()),
        }
    }

    /// Ends what a member that is down had begun: others rely on it already, or it is given up.
    async fn end_what_was_begun(&self, host: Uuid) -> Result<(), ClusterError> {
        match self.metadata.metadata().member(host).map(|member| member.status) {
            Some(Status::Moved | Status::Departing) => self.complete(host, Status::Normal).await,
            Some(Status::Leaving) => self.change_members(Change::Cancel(host)).await,
            _ => Ok(()),
        }
    }

    /// Completes what the log says of this node: one that joins fetches its data and becomes a full
    /// member, one that leaves goes on with that; one whose address has changed says so.
    ///
    /// # Errors
    /// The log has no quorum, or the change was given up.
    pub async fn settle(&self) -> Result<(), ClusterError> {
        let host = self.info.identity.host;
        let metadata = self.metadata.metadata();
        let Some(member) = metadata.member(host) else { return Ok(()) };
        let (internode, native) = self.addresses();
        if (member.internode, member.native) != (internode, native) {
            self.change_members(Change::Moved { host, internode, native }).await?;
        }
        self.complete(host, Status::Normal).await
    }

    /// Brings a member that joins or leaves to the end of it, from wherever it stands, or until it stands at `end`. One that has begun
    /// nothing, or has given it up, stays as it is.
    ///
    /// # Errors
    /// It is given up meanwhile; the log has no quorum.
    pub async fn complete(&self, host: Uuid, end: Status) -> Result<(), ClusterError> {
        let _attending = self.attend(host);
        loop {
            let metadata = self.metadata.metadata();
            let Some(member) = metadata.member(host) else { return Ok(()) };
            let from = member.status;
            if [Status::Normal, end].contains(&from) {
                return Ok(());
            }
            // From now on everybody writes to both sides, or has stopped to read one of them.
            self.barrier(metadata.version, host).await;
            match from {
                Status::Joining | Status::Replacing(_) => self.fetch_until_done().await?,
                Status::Moving if self.env.mutants.has("move-skips-fetch") => {}
                Status::Leaving | Status::Removing | Status::Moving => {
                    self.have_others_fetch(host).await?;
                    if from == Status::Leaving && host == self.info.identity.host {
                        self.hand_batches_on().await?;
                    }
                }
                // Clients do not ask it any more.
                Status::Departing if host == self.info.identity.host => self.hand_hints_on().await,
                Status::Arriving
                | Status::Succeeding(_)
                | Status::Departing
                | Status::Moved
                | Status::Normal => {}
            }
            let error = match self.metadata.append(Change::Advance { host, from }).await {
                Ok(Outcome::Applied(_)) => {
                    self.catch_up_with_room().await?;
                    continue;
                }
                // Others are to vote in its place first.
                Ok(Outcome::Busy(reason)) => {
                    tracing::info!(reason, "it does not go yet");
                    dodona_env::clock::sleep(UNTIL_OTHERS_VOTE).await;
                    None
                }
                Ok(Outcome::Conflict) => None,
                Ok(Outcome::Refused(reason)) => Some(ClusterError::Invalid(reason)),
                Err(error) => Some(error),
            };
            // Somebody else may have made the step, or this node before it lost power; or it is given up.
            let known = self.metadata.metadata();
            let status = known.member(host).map(|member| member.status);
            if status == Some(Status::Normal) && from.next() != status {
                return self.still_leaves(host);
            }
            if let Some(error) = error.filter(|_| status == Some(from)) {
                if self.is_newest(known.schema.epoch, known.members_version).await? {
                    return Err(error);
                }
                dodona_env::clock::sleep(PAUSE).await;
            }
        }
    }

    /// Waits until all members have applied a version, but for those that are down or given up: whoever `changes`, and is
    /// down, at once.
    async fn barrier(&self, version: u64, changes: Uuid) {
        if self.env.mutants.has("members-are-not-fenced") {
            return;
        }
        let live = self.gossiper.live();
        let metadata = self.metadata.metadata();
        let others = metadata.members.values().filter(|member| member.host != self.info.identity.host);
        let is_lost = |member: &Member| member.host == changes && !live.is_alive(changes);
        let others = others.filter(|member| !is_lost(member));
        for member in others.filter(|member| !is_given_up(metadata.members.values(), member)) {
            let began = self.env.clock.mono();
            loop {
                let reached = ask(&self.peers, member.internode, &Request::Reach(version), ANSWER).await;
                if matches!(reached, Ok(Answer::Version(reached)) if reached >= version) {
                    break;
                }
                let is_given_up = self.env.clock.mono().saturating_sub(began) > GIVE_UP;
                if is_given_up && !live.is_alive(member.host) {
                    tracing::warn!(member = %member.host, "a member that is down does not know yet who joins or leaves");
                    break;
                }
                dodona_env::clock::sleep(PAUSE).await;
            }
        }
    }

    /// Takes a member out of the cluster: this node itself, or one that is down. Others take over what
    /// it holds; until they have, it is read.
    ///
    /// # Errors
    /// It is no member, or the only one; another change is under way; the log has no quorum.
    pub async fn take_out(&self, host: Uuid) -> Result<(), ClusterError> {
        let _attending = self.attend(host);
        let metadata = self.metadata.metadata();
        let member = metadata.member(host);
        let member = member.ok_or_else(|| ClusterError::Invalid(format!("{host} is not a member")))?;
        let is_own = host == self.info.identity.host;
        match member.status {
            Status::Normal if is_own => self.change_members(Change::Leave(host)).await?,
            Status::Normal | Status::Leaving | Status::Moving if !is_own => {
                self.change_members(Change::Remove(host)).await?;
            }
            Status::Moved if !is_own => {
                self.complete(host, Status::Normal).await?;
                self.change_members(Change::Remove(host)).await?;
            }
            // It never owned anything.
            status if status.is_new() => return self.change_members(Change::Cancel(host)).await,
            _ => {}
        }
        self.complete(host, Status::Normal).await
    }

    /// Has others take over what this node holds. What is left of [`Self::take_out`] is the step after which nobody
    /// listens to it: it can still serve clients until then.
    ///
    /// # Errors
    /// As [`Self::take_out`].
    pub async fn hand_over(&self) -> Result<(), ClusterError> {
        let host = self.info.identity.host;
        let _attending = self.attend(host);
        if self.metadata.metadata().member(host).is_some_and(|member| member.status == Status::Normal) {
            self.change_members(Change::Leave(host)).await?;
        }
        self.complete(host, Status::Departing).await
    }

    /// Takes other tokens, as many as the node has. Until everybody has what that brings, those before are read.
    ///
    /// # Errors
    /// One of the tokens is taken; another change is under way; the log has no quorum.
    pub async fn move_to(&self, tokens: Vec<Token>) -> Result<(), ClusterError> {
        let host = self.info.identity.host;
        let _attending = self.attend(host);
        self.change_members(Change::Move { host, tokens }).await?;
        self.complete(host, Status::Normal).await
    }

    /// Gives up what a member has begun, if others do not rely on it yet: leaving, moving, or being removed.
    ///
    /// # Errors
    /// It has begun nothing, or is behind that; the log has no quorum.
    pub async fn stay(&self, host: Uuid) -> Result<(), ClusterError> {
        self.change_members(Change::Cancel(host)).await
    }

    /// Takes a member that is down out of the cluster at once. What it held is fetched by nobody: a repair
    /// brings what others have of it to those that are to hold it now.
    ///
    /// # Errors
    /// It is no member, or the only one; another change is under way; the log has no quorum.
    pub async fn assassinate(&self, host: Uuid) -> Result<(), ClusterError> {
        self.change_members(Change::Assassinate(host)).await
    }

    /// Appends a change of the membership, and uses what comes of it.
    ///
    /// # Errors
    /// It is refused, or the log has no quorum.
    pub(crate) async fn change_members(&self, change: Change) -> Result<(), ClusterError> {
        match self.metadata.append(change).await? {
            Outcome::Applied(_) => self.catch_up_with_room().await,
            Outcome::Conflict => Err(ClusterError::Invalid("members change at the same time".into())),
            Outcome::Busy(reason) | Outcome::Refused(reason) => Err(ClusterError::Invalid(reason)),
        }
    }
}
