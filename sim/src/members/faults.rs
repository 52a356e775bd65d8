//! What goes wrong while members come and go, until everything heals.

use super::NODES;
use super::shared::{Old, Shared};
use crate::disk::SimDisk;
use crate::faults::{Counts, slow_down};
use crate::net::{comes_to_its_end, heal, step};
use dodona_env::Random;

/// Milliseconds with faults.
const LASTS: u32 = 25_000;
/// How often a node that has lost its disk is removed, to join as a new one, and not replaced.
const REMOVED: f64 = 0.4;

/// Steps the simulation, breaks things, has members leave, heals, and demands convergence at the end.
pub(super) fn drive(
    sim: &mut turmoil::Sim<'_>,
    random: &Random,
    disks: &[SimDisk],
    shared: &Shared,
) -> Counts {
    let mut counts = Counts::default();
    let mut down: Option<usize> = None;
    let mut images: [Option<Old>; NODES.len()] = Default::default();
    let count = NODES.len() as u64;
    let more = random.split("more");
    for tick in 0..LASTS {
        step(sim, &shared.rows);
        if shared.rows.violation().is_some() {
            return counts;
        }
        // The first members are there before anything breaks. A node with old data can reach others.
        if tick < 3_000 || tick % 400 != 399 || shared.old.lock().is_some() {
            continue;
        }
        shared.mark_images(&mut images);
        match more.below(12) {
            0 => cut_one_way(sim, &more, shared, &mut counts),
            1 | 2 => {
                let node = more.below(count) as usize;
                let is_slow = slow_down(&disks[node], &more);
                shared.trace.note(&format!("disk {node} slow: {is_slow}"));
                counts.slow_disks += u64::from(is_slow);
            }
            _ => {}
        }
        match random.below(10) {
            0 => {
                let (a, b) = (random.below(count) as usize, random.below(count) as usize);
                if a != b {
                    shared.trace.note(&format!("partition {a} {b}"));
                    counts.partitions += 1;
                    sim.partition(NODES[a], NODES[b]);
                }
            }
            1 | 2 => heal(sim, &NODES),
            3 if down.is_none() => {
                let node = random.below(count) as usize;
                shared.trace.note(&format!("crash {node}"));
                shared.told.power_cut();
                // The machine is down before anything that runs on it is dropped.
                disks[node].power_cut();
                sim.crash(NODES[node]);
                down = Some(node);
            }
            // Its disk is lost, and a new one takes its place.
            7 if down.is_some() => {
                let node = down.unwrap_or_default();
                if shared.can_be_lost(node) {
                    let is_removed = shared.can_be_removed(node) && more.chance(REMOVED);
                    shared.trace.note(&format!("{node} is lost, to be removed: {is_removed}"));
                    counts.lost_disks += 1;
                    counts.removed += u64::from(is_removed);
                    shared.lose(node, &disks[node], is_removed);
                }
            }
            8 => {
                let node = random.below(count) as usize;
                images[node] = shared.image(node, &disks[node]).or_else(|| images[node].take());
            }
            // Its disk is put back to what it was. It has to notice, and is replaced.
            9 if down.is_some() => {
                let node = down.unwrap_or_default();
                let known = images[node].take().filter(|old| shared.remembers_more(node, old));
                if let Some(old) = known.filter(|_| shared.can_be_lost(node)) {
                    shared.trace.note(&format!("{node} has old data"));
                    counts.old_disks += 1;
                    disks[node].put_back(old.image);
                    *shared.old.lock() = Some(node);
                    heal(sim, &NODES);
                    sim.bounce(NODES[node]);
                    counts.restarts += 1;
                    down = None;
                }
            }
            4 => *shared.leaver.lock() = Some(1 + random.below(count - 1) as usize),
            _ => {
                if let Some(node) = down.take() {
                    sim.bounce(NODES[node]);
                    counts.restarts += 1;
                }
            }
        }
    }
    if let Some(node) = down {
        sim.bounce(NODES[node]);
        counts.restarts += 1;
    }
    heal(sim, &NODES);
    disks.iter().for_each(|disk| disk.slow_down(None));
    *shared.healed.lock() = true;
    let all_done = || shared.done.lock().iter().all(|done| *done);
    if !comes_to_its_end(sim, &shared.rows, 240_000, all_done) {
        let done = *shared.done.lock();
        let (phases, statuses) = (*shared.phases.lock(), shared.statuses());
        shared.rows.broken(format!(
            "no progress after everything was healed: done are {done:?}, in phases {phases:?}; {statuses}"
        ));
    }
    counts
}

fn cut_one_way(sim: &turmoil::Sim<'_>, random: &Random, shared: &Shared, counts: &mut Counts) {
    let [from, to] = [(); 2].map(|()| random.below(NODES.len() as u64) as usize);
    if from != to {
        shared.trace.note(&format!("nothing comes from {from} to {to}"));
        (counts.partitions, counts.one_way) = (counts.partitions + 1, counts.one_way + 1);
        sim.partition_oneway(NODES[from], NODES[to]);
    }
}
