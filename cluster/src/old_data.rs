//! Finds a node that starts with old data: its disk was put back to what it was before, as by an image of a virtual machine.
//!
//! Such a node has forgotten what it acknowledged: writes, promises of Paxos, votes on the metadata log. How far a data
//! directory is ([`Mark`]) is told by gossip, and the others remember the furthest for as long as they run. A node that starts
//! asks them, and does not go on if its disk is behind that. A cluster that is put back as a whole starts: nobody remembers.

use crate::error::ClusterError;
use crate::gossip::generation;
use crate::gossip::mark::Mark;
use crate::gossip::state::Key;
use crate::metadata::log::ask;
use crate::metadata::message::{Answer, Request};
use crate::node::Node;
use futures_util::future::join_all;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long a member may take to say what it remembers.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often others are told how far this node is, and how often those are asked again who have not answered.
const PERIOD: Duration = Duration::from_secs(1);

impl Node {
    /// How far the data directory is now.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark {
            generation: self.gossiper.generation().0,
            log: self.engine.synced_log_position(),
            term: self.metadata.term(),
            version: self.metadata().metadata().version,
        }
    }

    /// Asks all other members whether the data directory is as new as they remember. To be called before
    /// [`Self::spawn_workers`]. Who does not answer in time is asked again later, and the node stops if need be.
    ///
    /// # Errors
    /// It is older. Later starts are refused as well.
    pub async fn refuse_old_data(&self) -> Result<(), ClusterError> {
        if !self.looks_for_old_data() {
            return Ok(());
        }
        let before = self.gossiper.generation_before();
        let own = Mark { generation: before.0, ..self.mark() };
        let (_, lacks) = self.compare(own, self.others()).await;
        let Some(lacks) = lacks else { return Ok(()) };
        // The next start has to find what this one did.
        generation::put_back(&self.env, before)?;
        Err(ClusterError::Invalid(self.is_old(&lacks)))
    }

    /// Tells others how far this node is, and asks those what they remember of it who have not answered yet.
    pub(crate) async fn tell_and_ask(self: Arc<Self>) {
        let mut left = if self.looks_for_old_data() { self.others() } else { BTreeSet::new() };
        loop {
            self.gossiper.set(Key::DISK, self.mark().told());
            let (answered, lacks) = self.compare(self.mark(), left.clone()).await;
            if let Some(lacks) = lacks {
                return self.fail(&self.is_old(&lacks));
            }
            dodona_env::clock::sleep(PERIOD).await;
            let others = self.others();
            left.retain(|address| !answered.contains(address) && others.contains(address));
        }
    }

    fn looks_for_old_data(&self) -> bool {
        self.settings.check_data_resurrection && !self.env.mutants.has("old-data-is-not-refused")
    }

    /// Where other members are, as far as this node knows.
    fn others(&self) -> BTreeSet<SocketAddr> {
        let metadata = self.metadata().metadata();
        let members = metadata.members.values().map(|member| member.internode);
        let own = self.settings.internode;
        members.chain(self.settings.seeds.iter().copied()).filter(|address| *address != own).collect()
    }

    /// Who has answered, and what the data directory lacks of what they remember.
    async fn compare(&self, own: Mark, asked: BTreeSet<SocketAddr>) -> (Vec<SocketAddr>, Option<String>) {
        let request = Request::Known(self.info.identity.host);
        let answers = join_all(asked.into_iter().map(|address| {
            let request = &request;
            async move { (address, ask(&self.peers, address, request, PATIENCE).await) }
        }));
        let mut answered = Vec::new();
        let mut lacks = None;
        for (address, answer) in answers.await {
            if let Ok(Answer::Known(known)) = answer {
                answered.push(address);
                lacks = lacks
                    .or_else(|| own.lacks(&known).map(|lacks| format!("{lacks}, as {address} remembers")));
            }
        }
        (answered, lacks)
    }

    fn is_old(&self, lacks: &str) -> String {
        format!(
            "this node's data directory is older than what the node had before: {lacks}. It has forgotten what it acknowledged \
             since. Remove its data directory and start it with --replace {}; or, if all nodes were put back to the same time, \
             stop all of them before they start again",
            self.info.identity.host
        )
    }
}
