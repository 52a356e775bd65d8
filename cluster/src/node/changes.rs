//! Which changes of members this node is at, and which one is for it to go on with.

use super::Node;
use crate::liveness::Liveness;
use crate::metadata::MetadataLog;
use crate::ring::{Member, Status};
use parking_lot::Mutex;
use std::sync::Arc;
use uuid::Uuid;

/// Members whose change this node brings to its end, each as often as it is at it.
#[derive(Debug, Default)]
pub(super) struct Changes(Mutex<Vec<Uuid>>);

/// As long as it is there, the node is at the change of a member.
#[derive(Debug)]
#[must_use]
pub struct Attending {
    changes: Arc<Changes>,
    host: Uuid,
}

impl Drop for Attending {
    fn drop(&mut self) {
        let mut hosts = self.changes.0.lock();
        if let Some(place) = hosts.iter().position(|host| *host == self.host) {
            hosts.swap_remove(place);
        }
    }
}

impl Node {
    /// Says that this node is at the change of a member: nobody else here has to go on with it.
    pub fn attend(&self, host: Uuid) -> Attending {
        self.changes.0.lock().push(host);
        Attending { changes: Arc::clone(&self.changes), host }
    }

    /// The member whose leaving, move or removal is for this node to go on with, because nobody here is at it: its own, of
    /// which it may have heard only after it had lost power; or that of one that is down, if this is the first of
    /// the members that are up.
    #[must_use]
    pub fn unattended(&self) -> Option<Uuid> {
        let (metadata, live, own) = (self.metadata.metadata(), self.gossiper.live(), self.info.identity.host);
        let is_first = || {
            let up = metadata.members.values().filter(|member| live.is_alive(member.host));
            up.map(|member| member.host).min() == Some(own)
        };
        let is_for_this_node = |member: &&Member| match member.status {
            Status::Leaving | Status::Moving | Status::Moved => member.host == own,
            Status::Removing | Status::Departing => {
                member.host == own || (!live.is_alive(member.host) && is_first())
            }
            _ => false,
        };
        let host = metadata.members.values().find(is_for_this_node)?.host;
        (!self.changes.0.lock().contains(&host)).then_some(host)
    }
}
