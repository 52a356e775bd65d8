//! What all hosts share, and what is known of the members by it.

use super::NODES;
use super::work::Work;
use crate::clock::SimClock;
use crate::conditional::Told;
use crate::counting::Tally;
use crate::disk::{Image, SimDisk};
use crate::invariants::equal::Holdings;
use crate::quorum::Rows;
use crate::trace::Trace;
use crate::{batching, reading};
use dodona_cluster::Node;
use dodona_cluster::gossip::mark::Mark;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use uuid::Uuid;

/// What all hosts share: the simulation has one thread.
pub(super) struct Shared {
    pub(super) rows: Arc<Rows>,
    pub(super) trace: Trace,
    pub(super) told: Arc<Told>,
    /// What clients do in this seed, and what they know of it.
    pub(super) work: Work,
    pub(super) read: Arc<reading::Known>,
    pub(super) batched: Arc<batching::Known>,
    pub(super) tally: Arc<Tally>,
    /// The clock of each node's present life, and how far it was when that began.
    pub(super) clocks: Mutex<[Option<(SimClock, i64)>; NODES.len()]>,
    /// No faults any more: everything must be reachable and right.
    pub(super) healed: Mutex<bool>,
    /// Nodes that have seen everything to be right, or have left.
    pub(super) done: Mutex<[bool; NODES.len()]>,
    /// The node that is to leave next.
    pub(super) leaver: Mutex<Option<usize>>,
    /// Host ids of nodes that are full members.
    pub(super) full: Mutex<[Option<Uuid>; NODES.len()]>,
    /// Nodes that run.
    pub(super) running: Mutex<[Weak<Node>; NODES.len()]>,
    /// The node whose disk was lost, and the host id that it had.
    pub(super) replaced: Mutex<Option<(usize, Uuid)>>,
    /// The same of a node that is to be removed, and to join as a new one.
    pub(super) removed: Mutex<Option<(usize, Uuid)>>,
    /// Held by whoever removes it, as long as it runs.
    pub(super) remover: Mutex<Weak<()>>,
    /// The node whose disk was put back to what it had been, until it has noticed.
    pub(super) old: Mutex<Option<usize>>,
    /// Members that came and went.
    pub(super) joined: Mutex<u64>,
    pub(super) left: Mutex<u64>,
    pub(super) moved: Mutex<u64>,
    pub(super) repaired: Mutex<u64>,
    pub(super) compared: Mutex<u64>,
    /// How far nodes are in the end.
    pub(super) phases: Mutex<[u8; NODES.len()]>,
    pub(super) holdings: Mutex<Holdings>,
    pub(super) lives: Mutex<u64>,
}

/// Slots of faults until it is known how far an image was.
const MARKED_AT: u32 = 4;

/// A disk as it was.
pub(super) struct Old {
    pub(super) host: Uuid,
    /// How far it may be at most. A slow disk has had what its node does not know to be there yet: that is told by where the
    /// node was some time later.
    pub(super) most: Option<Mark>,
    /// Slots of faults since then.
    pub(super) age: u32,
    pub(super) image: Image,
}

impl Shared {
    pub(super) fn new(work: Work) -> Self {
        Self {
            rows: Arc::default(),
            trace: Trace::default(),
            told: Arc::new(Told::new(work.copies().to_vec())),
            read: Arc::new(reading::Known::new(work.copies().to_vec())),
            work,
            batched: Arc::default(),
            tally: Arc::default(),
            clocks: Mutex::default(),
            healed: Mutex::default(),
            done: Mutex::default(),
            leaver: Mutex::default(),
            full: Mutex::default(),
            running: Mutex::default(),
            replaced: Mutex::default(),
            removed: Mutex::default(),
            remover: Mutex::default(),
            old: Mutex::default(),
            joined: Mutex::default(),
            left: Mutex::default(),
            moved: Mutex::default(),
            repaired: Mutex::default(),
            compared: Mutex::default(),
            phases: Mutex::default(),
            holdings: Mutex::default(),
            lives: Mutex::default(),
        }
    }

    /// Sets a node's clock off from the simulation's time, and has it run fast or slow. False if the node does not run.
    pub(super) fn set_clock(&self, node: usize, off_micros: i64, drift_ppm: i64) -> bool {
        let clocks = self.clocks.lock();
        let Some((clock, began)) = &clocks[node] else { return false };
        clock.set(began + off_micros, drift_ppm);
        true
    }

    /// Full members.
    fn members(&self) -> Vec<usize> {
        let full = self.full.lock();
        (0..NODES.len()).filter(|node| full[*node].is_some()).collect()
    }

    /// True if a disk can be lost: one after another, and one of three at least, or there may be too few copies left, of
    /// data or of the metadata log; and of two data centres not the only one of its own.
    pub(super) fn can_be_lost(&self, node: usize) -> bool {
        let members = self.members();
        let is_first = self.replaced.lock().is_none() && self.removed.lock().is_none();
        let near = members.iter().filter(|member| self.work.center(**member) == self.work.center(node));
        let are_enough = members.len() > 2 && near.count() > 1;
        members.contains(&node) && is_first && are_enough && self.log_survives(node)
    }

    /// True if a node that has lost its disk can be removed: enough others stay for all copies. The first one would begin
    /// another cluster.
    pub(super) fn can_be_removed(&self, node: usize) -> bool {
        node > 0 && self.work.are_enough_beside(node, self.members().into_iter())
    }

    /// Loses the disk of a full member: it is to be replaced, or removed.
    pub(super) fn lose(&self, node: usize, disk: &SimDisk, is_removed: bool) {
        disk.lose_all();
        self.batched.lose_disk();
        let lost = if is_removed { &self.removed } else { &self.replaced };
        *lost.lock() = self.full.lock()[node].take().map(|host| (node, host));
    }

    /// What each node that runs knows of the members.
    pub(super) fn statuses(&self) -> String {
        let known = (0..NODES.len()).filter_map(|index| {
            let node = self.runs(index)?;
            let metadata = node.metadata().metadata();
            let members: Vec<String> = metadata
                .members
                .values()
                .map(|member| format!("{} is {:?}", member.internode.ip(), member.status))
                .collect();
            Some(format!("{} knows of version {}: {}", NODES[index], metadata.version, members.join(", ")))
        });
        known.collect::<Vec<_>>().join("; ")
    }

    pub(super) fn runs(&self, node: usize) -> Option<Arc<Node>> {
        self.running.lock()[node].upgrade().filter(|node| !node.has_left())
    }

    /// The disk of a full member that runs.
    pub(super) fn image(&self, node: usize, disk: &SimDisk) -> Option<Old> {
        let host = self.full.lock()[node].filter(|_| self.runs(node).is_some())?;
        self.trace.note(&format!("image of {node}"));
        Some(Old { host, most: None, age: 0, image: disk.image() })
    }

    /// A slot of faults has gone by: notes how far images were at most that are old enough. No few syncs take as long.
    pub(super) fn mark_images(&self, images: &mut [Option<Old>]) {
        for (node, image) in images.iter_mut().enumerate() {
            let Some(old) = image.as_mut().filter(|old| old.most.is_none()) else { continue };
            let mark = self.runs(node).map(|node| node.mark());
            old.age += 1;
            if old.age == MARKED_AT {
                old.most = mark;
            }
            if mark.is_none() {
                *image = None;
            }
        }
    }

    /// True if another member remembers more of this one than its old disk has.
    pub(super) fn remembers_more(&self, node: usize, old: &Old) -> bool {
        let Some(most) = old.most.filter(|_| self.full.lock()[node] == Some(old.host)) else { return false };
        let mut others = (0..NODES.len()).filter(|other| *other != node).filter_map(|other| self.runs(other));
        others.any(|other| most.lacks(&other.gossiper.mark_of(old.host)).is_some())
    }

    /// True if enough of those who vote on the metadata log are left without this node. Two of two voters are not, nor
    /// while a third one comes to them, nor while one that was replaced or removed still votes.
    pub(super) fn log_survives(&self, lost: usize) -> bool {
        let Some(host) = self.full.lock()[lost] else { return false };
        (0..NODES.len()).filter_map(|node| self.runs(node)).all(|node| {
            let members = &node.metadata().metadata().members;
            let stays = |voter: &&u64| members.get(*voter).is_some_and(|member| member.host != host);
            let survives = |voters: &BTreeSet<u64>| {
                let left = voters.iter().filter(stays).count();
                2 * left > voters.len()
            };
            node.metadata().quorums().iter().all(survives)
        })
    }
}
