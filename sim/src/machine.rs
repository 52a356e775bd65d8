//! Machines, each with a disk that outlasts the lives of its node.

use crate::clock::SimClock;
use crate::disk::SimDisk;
use crate::net::SimNet;
use dodona_env::program::NoPrograms;
use dodona_env::{Env, Mutants, Random, Tasks};
use std::sync::Arc;

/// A machine of a cluster.
#[derive(Clone)]
pub struct Machine {
    /// Its place among all.
    pub index: usize,
    /// Its choices.
    pub random: Random,
    /// Its disk.
    pub disk: SimDisk,
    mutants: Mutants,
}

/// A machine for each name, with a defect if there is to be one.
#[must_use]
pub fn machines(random: &Random, names: &[&str], mutant: Option<&str>) -> Vec<Machine> {
    let machine = |(index, name): (usize, &&str)| Machine {
        index,
        random: random.split(&format!("host {name}")),
        disk: SimDisk::new(random.split(name)),
        mutants: mutant.map_or_else(Mutants::none, Mutants::only),
    };
    names.iter().enumerate().map(machine).collect()
}

/// Begins a host for each machine, whose lives are what `live` gives of it. Gives their disks.
pub fn hosts<'a, F>(
    sim: &mut turmoil::Sim<'a>,
    names: &[&'static str],
    machines: Vec<Machine>,
    live: impl Fn(Machine) -> F + Clone + 'a,
) -> Vec<SimDisk>
where
    F: Future<Output = turmoil::Result> + 'static,
{
    let disks = disks(&machines);
    for (name, machine) in names.iter().zip(machines) {
        let live = live.clone();
        sim.host(*name, move || live(machine.clone()));
    }
    disks
}

/// Their disks.
#[must_use]
pub fn disks(machines: &[Machine]) -> Vec<SimDisk> {
    machines.iter().map(|machine| machine.disk.clone()).collect()
}

impl Machine {
    /// What the node's next life runs in.
    #[must_use]
    pub fn next_life(&self, random: Random, clock: SimClock) -> Env {
        let disk = Arc::new(self.disk.next_life());
        Env {
            clock: Arc::new(clock),
            random,
            tasks: Tasks::inline_on(disk.clone()),
            disk,
            net: Arc::new(SimNet),
            programs: Arc::new(NoPrograms),
            mutants: self.mutants.clone(),
        }
    }
}

/// Microseconds of simulated time.
#[must_use]
pub fn elapsed_micros() -> i64 {
    i64::try_from(turmoil::sim_elapsed().unwrap_or_default().as_micros()).unwrap_or(i64::MAX)
}
