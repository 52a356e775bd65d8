//! What goes wrong in a cluster, one thing after another, and how all of it is made good again.

use crate::disk::SimDisk;
use crate::net::{cut_off, heal};
use crate::shape::Shape;
use crate::shared::Shared;
use dodona_env::Random;
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest that a message takes while the network is slow, and while it is not, in milliseconds.
const SLOW_MS: u64 = 300;
pub(crate) const FAST_MS: u64 = 20;
/// The longest that a slow disk takes to sync, in milliseconds.
const SLOWEST_SYNC_MS: u64 = 300;
/// The furthest that a clock is off.
const MOST_OFF_MICROS: i64 = 3_600_000_000;
/// How long a node may still refuse writes when its disk has space again.
const RECOVERY: Duration = Duration::from_secs(2);
/// How far all clocks are in the end, those of nodes that start then as well: whatever was written by a clock that was
/// ahead is past.
pub const HEALED_MICROS: i64 = MOST_OFF_MICROS + 60_000_000;

/// How often each kind of fault was there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Links that were cut, in both directions and in one.
    pub partitions: u64,
    /// Those of them in one direction.
    pub one_way: u64,
    /// Data centres that were cut off.
    pub centers: u64,
    /// Times in which messages were late.
    pub delays: u64,
    /// Disks that were full for a while.
    pub full_disks: u64,
    /// Disks that were slow for a while.
    pub slow_disks: u64,
    /// Clocks that jumped.
    pub jumps: u64,
    /// Nodes that lost power and came back.
    pub restarts: u64,
    /// Disks that were lost.
    pub lost_disks: u64,
    /// Nodes among those of them that were removed, and not replaced.
    pub removed: u64,
    /// Disks that were put back to what they had been, each of which its node noticed.
    pub old_disks: u64,
    /// Tables that were truncated.
    pub truncations: u64,
    /// Bits of files that flipped.
    pub rotten: u64,
    /// Files with such bits that went, one after another.
    pub healed: u64,
}

impl Counts {
    /// The sum of two.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            partitions: self.partitions + other.partitions,
            one_way: self.one_way + other.one_way,
            centers: self.centers + other.centers,
            delays: self.delays + other.delays,
            full_disks: self.full_disks + other.full_disks,
            slow_disks: self.slow_disks + other.slow_disks,
            jumps: self.jumps + other.jumps,
            restarts: self.restarts + other.restarts,
            lost_disks: self.lost_disks + other.lost_disks,
            removed: self.removed + other.removed,
            old_disks: self.old_disks + other.old_disks,
            truncations: self.truncations + other.truncations,
            rotten: self.rotten + other.rotten,
            healed: self.healed + other.healed,
        }
    }
}

/// Makes a disk slow, or, at two of three times, as quick as it was. True in the first case.
pub fn slow_down(disk: &SimDisk, random: &Random) -> bool {
    let slowest = random.chance(1.0 / 3.0).then(|| Duration::from_millis(10 + random.below(SLOWEST_SYNC_MS)));
    disk.slow_down(slowest);
    slowest.is_some()
}

/// Has messages take longer. Gives how many milliseconds they take at most.
pub fn slow_messages(sim: &turmoil::Sim<'_>, random: &Random) -> u64 {
    let most = FAST_MS + random.below(SLOW_MS);
    sim.set_max_message_latency(Duration::from_millis(most));
    most
}

/// How far a clock is off, `most` at most, and how much it runs fast or slow from then on, both in microseconds (the
/// latter for each second).
pub fn jump(random: &Random, most: i64) -> (i64, i64) {
    let off = random.below(2 * most as u64) as i64 - most;
    (off, random.below(20_000) as i64 - 10_000)
}

/// Breaks things.
pub struct Faults<'a> {
    random: Random,
    /// What it is that breaks.
    pub shape: &'a Shape,
    disks: &'a [SimDisk],
    /// What the hosts share.
    pub shared: &'a Shared,
    /// What was broken so far.
    pub counts: Counts,
    down: Vec<usize>,
    /// Nodes whose disks are full, and those that were until a short while ago: what they miss or keep for
    /// others may be lost until then.
    full: BTreeMap<usize, Duration>,
}

impl<'a> Faults<'a> {
    /// Nothing is broken yet.
    #[must_use]
    pub fn new(random: Random, shape: &'a Shape, disks: &'a [SimDisk], shared: &'a Shared) -> Self {
        let (counts, down, full) = (Counts::default(), Vec::new(), BTreeMap::new());
        Self { random, shape, disks, shared, counts, down, full }
    }

    fn node(&self) -> usize {
        self.random.below(self.shape.places.len() as u64) as usize
    }

    /// Breaks the next thing, or heals some.
    pub fn next(&mut self, sim: &mut turmoil::Sim<'_>) {
        self.excuse_full(sim);
        match self.random.below(16) {
            0 | 1 => self.cut(sim),
            2 => self.cut_center(sim),
            3 => self.slow_down(sim),
            4 | 5 => self.crash(sim),
            6 | 7 => self.restart(sim),
            8 => self.fill_disk(sim),
            9 => self.empty_disks(sim),
            10 | 11 => self.jump(),
            12 | 13 => self.slow_disk(),
            _ => self.heal_links(sim),
        }
    }

    /// What a full disk does not take of hints is lost.
    fn excuse_full(&self, sim: &turmoil::Sim<'_>) {
        let now = sim.elapsed();
        for (node, _) in self.full.iter().filter(|(_, until)| **until > now) {
            self.shared.batched.excuse(*node, now);
            self.shared.told.excuse(*node, now);
        }
    }

    fn note(&self, event: &str) {
        self.shared.trace.note(event);
    }

    /// Cuts the link of two nodes, or one direction of it.
    fn cut(&mut self, sim: &turmoil::Sim<'_>) {
        let (names, a, b) = (self.shape.names(), self.node(), self.node());
        if a == b {
            return;
        }
        let is_one_way = self.random.chance(0.5);
        self.note(&format!("cut {a} {b} {is_one_way}"));
        self.counts.partitions += 1;
        if is_one_way {
            self.counts.one_way += 1;
            sim.partition_oneway(names[a], names[b]);
        } else {
            sim.partition(names[a], names[b]);
        }
    }

    /// Cuts a data centre off from all others.
    fn cut_center(&mut self, sim: &turmoil::Sim<'_>) {
        let (names, center) = (self.shape.names(), self.shape.places[self.node()].0);
        self.note(&format!("cut off {center}"));
        self.counts.centers += 1;
        cut_off(sim, names, |node| self.shape.places[node].0 == center);
    }

    fn slow_down(&mut self, sim: &turmoil::Sim<'_>) {
        self.note("slow");
        self.counts.delays += 1;
        slow_messages(sim, &self.random);
    }

    /// Mostly one node loses power, at times several at the same moment.
    fn crash(&mut self, sim: &mut turmoil::Sim<'_>) {
        if !self.down.is_empty() {
            return;
        }
        let (count, first) = ([1, 1, 2, 3][self.random.below(4) as usize], self.node());
        self.down = (0..count).map(|next| (first + next) % self.shape.places.len()).collect();
        self.down.sort_unstable();
        self.down.dedup();
        self.note(&format!("crash {:?}", self.down));
        self.shared.read.power_cut();
        self.shared.told.power_cut();
        for node in &self.down {
            self.shared.batched.excuse(*node, sim.elapsed());
            self.shared.told.excuse(*node, sim.elapsed());
            // The machine is down before anything that runs on it is dropped.
            self.disks[*node].power_cut();
            sim.crash(self.shape.names()[*node]);
        }
    }

    fn restart(&mut self, sim: &mut turmoil::Sim<'_>) {
        for node in std::mem::take(&mut self.down) {
            self.empty_disk(sim, node);
            sim.bounce(self.shape.names()[node]);
            self.counts.restarts += 1;
        }
    }

    fn fill_disk(&mut self, sim: &turmoil::Sim<'_>) {
        let node = self.node();
        self.note(&format!("full {node}"));
        self.counts.full_disks += 1;
        self.disks[node].limit_space(Some(self.random.below(4_000)));
        self.full.insert(node, Duration::MAX);
        self.excuse_full(sim);
    }

    fn empty_disks(&mut self, sim: &turmoil::Sim<'_>) {
        for node in 0..self.disks.len() {
            self.empty_disk(sim, node);
        }
    }

    fn empty_disk(&mut self, sim: &turmoil::Sim<'_>, node: usize) {
        self.disks[node].limit_space(None);
        if let Some(until) = self.full.get_mut(&node) {
            *until = (*until).min(sim.elapsed() + RECOVERY);
        }
    }

    /// A disk becomes slow, or is slow no more.
    fn slow_disk(&mut self) {
        let node = self.node();
        self.counts.slow_disks += u64::from(slow_down(&self.disks[node], &self.random));
        self.note(&format!("slow disk {node}"));
    }

    /// A clock jumps to any time that is off by an hour at most, and runs fast or slow from then on.
    fn jump(&mut self) {
        let node = self.node();
        let (off, drift) = jump(&self.random, MOST_OFF_MICROS);
        self.note(&format!("jump {node} {off} {drift}"));
        if let Some(clock) = &self.shared.clocks.lock()[node] {
            self.counts.jumps += 1;
            clock.set(off, drift);
        }
    }

    fn heal_links(&self, sim: &turmoil::Sim<'_>) {
        sim.set_max_message_latency(Duration::from_millis(FAST_MS));
        heal(sim, self.shape.names());
    }

    /// Makes everything good again.
    pub fn heal_all(&mut self, sim: &mut turmoil::Sim<'_>) {
        self.excuse_full(sim);
        self.restart(sim);
        self.empty_disks(sim);
        self.disks.iter().for_each(|disk| disk.slow_down(None));
        self.heal_links(sim);
        for clock in self.shared.clocks.lock().iter().flatten() {
            clock.set(HEALED_MICROS, 0);
        }
    }
}
