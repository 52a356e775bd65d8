//! What goes wrong while members come and go, until everything heals.

use super::NODES;
use super::shared::{Old, Shared};
use crate::disk::SimDisk;
use crate::faults::{Counts, FAST_MS, jump, slow_down, slow_messages};
use crate::net::{comes_to_its_end, cut_off, heal, step};
use dodona_env::Random;
use std::time::Duration;

/// Milliseconds with faults, of those before the first one, and of those between two.
const LASTS: u32 = 25_000;
const CALM: u32 = 3_000;
const BETWEEN: u32 = 400;
/// Milliseconds until everything must be right.
const PATIENCE: u32 = 240_000;
/// How often a node that has lost its disk is removed, to join as a new one, and not replaced.
const REMOVED: f64 = 0.7;
/// The furthest that a clock is off: two are never as far from each other as a node that starts may be from the others.
const MOST_OFF_MICROS: i64 = 25_000_000;
/// How far all clocks are in the end: whatever was written by a clock that was ahead is past.
pub(super) const HEALED_MICROS: i64 = 60_000_000;

/// Steps the simulation, breaks things, has members leave, heals, and demands convergence at the end.
pub(super) fn drive(
    sim: &mut turmoil::Sim<'_>,
    random: &Random,
    disks: &[SimDisk],
    shared: &Shared,
) -> Counts {
    let mut faults = Faults {
        random,
        more: random.split("more"),
        further: random.split("further"),
        disks,
        shared,
        counts: Counts::default(),
        down: None,
        images: Default::default(),
    };
    for tick in 0..LASTS {
        step(sim, &shared.rows);
        if shared.rows.violation().is_some() {
            return faults.counts;
        }
        // A node with old data can reach others.
        if tick >= CALM && tick % BETWEEN == BETWEEN - 1 && shared.old.lock().is_none() {
            faults.next(sim);
        }
    }
    faults.heal_all(sim);
    *shared.healed.lock() = true;
    let all_done = || shared.done.lock().iter().all(|done| *done);
    if !comes_to_its_end(sim, &shared.rows, PATIENCE, all_done) {
        let done = *shared.done.lock();
        let (phases, statuses) = (*shared.phases.lock(), shared.statuses());
        shared.rows.broken(format!(
            "no progress after everything was healed: done are {done:?}, in phases {phases:?}; {statuses}"
        ));
    }
    faults.counts
}

/// Breaks things.
struct Faults<'a> {
    /// Links, power, disks that are lost or put back, and who leaves.
    random: &'a Random,
    /// Links cut one way, and slow disks.
    more: Random,
    /// Late messages, clocks, full disks, and data centres that are cut off.
    further: Random,
    disks: &'a [SimDisk],
    shared: &'a Shared,
    counts: Counts,
    down: Option<usize>,
    images: [Option<Old>; NODES.len()],
}

fn node(random: &Random) -> usize {
    random.below(NODES.len() as u64) as usize
}

impl Faults<'_> {
    /// Breaks the next things, or heals some.
    fn next(&mut self, sim: &mut turmoil::Sim<'_>) {
        self.shared.mark_images(&mut self.images);
        match self.more.below(12) {
            0 => self.cut_one_way(sim),
            1 | 2 => self.slow_disk(),
            _ => {}
        }
        match self.further.below(16) {
            10 if self.shared.work.has_centers() => self.cut_center(sim),
            _ if !self.shared.work.all_faults => {}
            0 => self.slow_messages(sim),
            1 | 2 => self.jump(),
            3 => self.fill_disk(),
            4..=7 => self.disks.iter().for_each(|disk| disk.limit_space(None)),
            8 | 9 => sim.set_max_message_latency(Duration::from_millis(FAST_MS)),
            _ => {}
        }
        match self.random.below(10) {
            0 => self.cut(sim),
            1 | 2 => heal(sim, &NODES),
            3 if self.down.is_none() => self.crash(sim),
            7 => self.lose_disk(),
            8 => {
                let node = node(self.random);
                let image = self.shared.image(node, &self.disks[node]);
                self.images[node] = image.or_else(|| self.images[node].take());
            }
            9 => self.put_disk_back(sim),
            4 => *self.shared.leaver.lock() = Some(1 + self.random.below(NODES.len() as u64 - 1) as usize),
            _ => self.restart(sim),
        }
    }

    fn note(&self, event: &str) {
        self.shared.trace.note(event);
    }

    fn cut(&mut self, sim: &turmoil::Sim<'_>) {
        let (a, b) = (node(self.random), node(self.random));
        if a != b {
            self.note(&format!("partition {a} {b}"));
            self.counts.partitions += 1;
            sim.partition(NODES[a], NODES[b]);
        }
    }

    fn cut_one_way(&mut self, sim: &turmoil::Sim<'_>) {
        let (from, to) = (node(&self.more), node(&self.more));
        if from != to {
            self.note(&format!("nothing comes from {from} to {to}"));
            self.counts.partitions += 1;
            self.counts.one_way += 1;
            sim.partition_oneway(NODES[from], NODES[to]);
        }
    }

    /// Cuts the data centres off from one another.
    fn cut_center(&mut self, sim: &turmoil::Sim<'_>) {
        self.note("the data centres are cut off");
        self.counts.centers += 1;
        let is_first = |node| self.shared.work.center(node) == 0;
        cut_off(sim, &NODES, is_first);
    }

    fn slow_messages(&mut self, sim: &turmoil::Sim<'_>) {
        let most = slow_messages(sim, &self.further);
        self.note(&format!("messages take up to {most} ms"));
        self.counts.delays += 1;
    }

    fn slow_disk(&mut self) {
        let node = node(&self.more);
        let is_slow = slow_down(&self.disks[node], &self.more);
        self.note(&format!("disk {node} slow: {is_slow}"));
        self.counts.slow_disks += u64::from(is_slow);
    }

    fn fill_disk(&mut self) {
        let (node, left) = (node(&self.further), self.further.below(4_000));
        self.note(&format!("disk {node} has {left} bytes left"));
        self.counts.full_disks += 1;
        self.disks[node].limit_space(Some(left));
    }

    /// A clock jumps, and runs fast or slow from then on.
    fn jump(&mut self) {
        let node = node(&self.further);
        let (off, drift) = jump(&self.further, MOST_OFF_MICROS);
        self.note(&format!("clock {node} is off by {off}, drifts by {drift}"));
        self.counts.jumps += u64::from(self.shared.set_clock(node, off, drift));
    }

    fn crash(&mut self, sim: &mut turmoil::Sim<'_>) {
        let node = node(self.random);
        self.note(&format!("crash {node}"));
        self.shared.told.power_cut();
        self.shared.read.power_cut();
        // The machine is down before anything that runs on it is dropped.
        self.disks[node].power_cut();
        sim.crash(NODES[node]);
        self.down = Some(node);
    }

    fn restart(&mut self, sim: &mut turmoil::Sim<'_>) {
        if let Some(node) = self.down.take() {
            sim.bounce(NODES[node]);
            self.counts.restarts += 1;
        }
    }

    /// The disk of the node that is down is lost, and a new one takes its place.
    fn lose_disk(&mut self) {
        let Some(node) = self.down.filter(|node| self.shared.can_be_lost(*node)) else {
            return;
        };
        let is_removed = self.shared.can_be_removed(node) && self.more.chance(REMOVED);
        self.note(&format!("{node} is lost, to be removed: {is_removed}"));
        self.counts.lost_disks += 1;
        self.counts.removed += u64::from(is_removed);
        self.shared.lose(node, &self.disks[node], is_removed);
    }

    /// The disk of the node that is down is put back to what it was. It has to notice, and is replaced.
    fn put_disk_back(&mut self, sim: &mut turmoil::Sim<'_>) {
        let Some(node) = self.down else { return };
        let known = self.images[node].take().filter(|old| self.shared.remembers_more(node, old));
        if let Some(old) = known.filter(|_| self.shared.can_be_lost(node)) {
            self.note(&format!("{node} has old data"));
            self.counts.old_disks += 1;
            self.disks[node].put_back(old.image);
            *self.shared.old.lock() = Some(node);
            self.heal_network(sim);
            self.restart(sim);
        }
    }

    fn heal_network(&self, sim: &turmoil::Sim<'_>) {
        sim.set_max_message_latency(Duration::from_millis(FAST_MS));
        heal(sim, &NODES);
    }

    /// Makes everything good again.
    fn heal_all(&mut self, sim: &mut turmoil::Sim<'_>) {
        self.restart(sim);
        self.heal_network(sim);
        for disk in self.disks {
            disk.slow_down(None);
            disk.limit_space(None);
        }
        for node in 0..NODES.len() {
            self.shared.set_clock(node, HEALED_MICROS, 0);
        }
    }
}
