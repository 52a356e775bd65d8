//! The production node in one deterministic process: simulated disk, clock and network, random
//! work, power cuts and restarts, and judges that say whether a promise was broken. A seed decides
//! everything; the same seed gives the same trace.
//!
//! * [`single`] runs one node through power cuts and kills; [`ring`] runs three nodes that exchange real
//!   requests while links break and nodes crash; [`centers`] runs four to nine in several data centres,
//!   of a [`shape`] and with [`faults`] of every kind; [`members`] has nodes join and leave; [`repairing`]
//!   has them repair what they hold; [`engine`] runs histories on the storage engine alone.
//! * [`conditional`] is clients of conditional writes on the ring, [`counting`] of counters,
//!   [`reading`] of reads of every shape and level, [`batching`] of batches, [`defining`]
//!   of changes of the schema, [`truncating`] of a table that is truncated.
//! * [`model`] notes what was attempted and acknowledged; [`invariants`] judge what is read.
//! * [`disk`] keeps, on a power cut, a random subset of what was not synced.
#![forbid(unsafe_code)]

#[cfg(test)]
mod automatic_tests;
pub mod batching;
pub mod centers;
pub mod clock;
pub mod conditional;
pub mod counting;
pub mod defining;
pub mod disk;
pub mod engine;
pub mod faults;
#[cfg(test)]
mod forwarding_tests;
#[cfg(test)]
mod handing_tests;
pub mod invariants;
#[cfg(test)]
mod lagging_tests;
pub mod log;
#[cfg(test)]
mod lost_tests;
pub mod machine;
pub mod members;
pub mod model;
pub mod net;
#[cfg(test)]
mod old_data_tests;
#[cfg(test)]
mod overdue_tests;
mod panics;
pub mod quorum;
#[cfg(test)]
mod read_repair_tests;
pub mod reading;
#[cfg(test)]
mod recovery_tests;
#[cfg(test)]
mod refused_batch_tests;
pub mod repairing;
pub mod ring;
#[cfg(test)]
mod script;
pub mod shape;
pub mod shared;
pub mod single;
pub mod statements;
pub mod trace;
pub mod truncating;
#[cfg(test)]
mod truncation_tests;
pub mod world;
#[cfg(test)]
mod wrong_clock_tests;

/// What a run found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// A hash of everything that happened: the same for the same seed.
    pub trace: u64,
    /// Operations that were acknowledged.
    pub acknowledged: u64,
    /// Reads that were judged.
    pub judged: u64,
    /// Power cuts, kills and restarts.
    pub restarts: u64,
    /// Starts of members, and members that left.
    pub changes: u64,
    /// Other faults that were there.
    pub faults: faults::Counts,
    /// The first promise that was broken.
    pub violation: Option<String>,
}

/// The defects that the simulation must find, each with the scenario that finds it.
pub const MUTANTS: &[(&str, Scenario)] = &[
    ("commit-log-no-sync", Scenario::Single),
    ("commit-log-no-dir-sync", Scenario::Single),
    ("sstable-no-sync", Scenario::Single),
    ("sstable-no-dir-sync", Scenario::Single),
    ("manifest-no-sync", Scenario::Single),
    ("replay-interval-too-long", Scenario::Single),
    ("sstable-no-checksum", Scenario::Single),
    ("read-first-answer-only", Scenario::Ring),
    ("paxos-no-sync", Scenario::Ring),
    ("paxos-ignores-unfinished", Scenario::Ring),
    ("paxos-forgets-promises", Scenario::Ring),
    ("paxos-leaves-behind", Scenario::Ring),
    ("counter-keeps-incarnation", Scenario::Ring),
    ("write-level-counts-one-less", Scenario::Ring),
    ("read-stops-at-first-answer-of-mismatch", Scenario::Ring),
    ("read-repair-skips", Scenario::Ring),
    ("read-repair-forgets-deletions", Scenario::Ring),
    ("digest-ignores-deletions", Scenario::Ring),
    ("digest-ignores-values", Scenario::Ring),
    ("short-read-trusts-limit", Scenario::Ring),
    ("range-read-skips-a-range", Scenario::Ring),
    ("range-read-ends-with-its-answer", Scenario::Ring),
    ("speculation-asks-the-same", Scenario::Ring),
    ("commit-counts-one-less", Scenario::Ring),
    ("batch-ends-early", Scenario::Ring),
    ("batch-is-not-kept", Scenario::Ring),
    ("batch-is-kept-unplanned", Scenario::Ring),
    ("batch-is-forgotten-early", Scenario::Ring),
    ("batch-replay-forgets-a-part", Scenario::Ring),
    ("hint-only-for-the-dead", Scenario::Ring),
    ("hint-is-not-sent-again", Scenario::Ring),
    ("hint-to-another", Scenario::Ring),
    ("hints-no-sync", Scenario::Ring),
    ("log-counts-before-the-sync", Scenario::Ring),
    ("truncation-is-local", Scenario::Ring),
    ("truncation-leaves-hints", Scenario::Ring),
    ("join-skips-fetch", Scenario::Members),
    ("move-skips-fetch", Scenario::Members),
    ("pending-not-written", Scenario::Members),
    ("pending-not-waited-for", Scenario::Members),
    ("members-are-not-fenced", Scenario::Members),
    ("fetched-counts-as-repaired", Scenario::Members),
    ("files-come-without-the-rest", Scenario::Members),
    ("files-count-as-repaired", Scenario::Members),
    ("repair-ends-whoever-joins", Scenario::Members),
    ("old-data-is-not-refused", Scenario::Members),
    ("fetched-is-noted-early", Scenario::Members),
    ("notes-of-another-change-count", Scenario::Members),
    ("repair-skips-a-range", Scenario::Repair),
    ("repair-fetches-from-one", Scenario::Repair),
    ("repair-no-sync", Scenario::Repair),
    ("repair-forgets-memtables", Scenario::Repair),
    ("repair-does-not-split", Scenario::Repair),
    ("incremental-ends-all-the-same", Scenario::Repair),
    ("heal-fetches-nothing", Scenario::Repair),
    ("each-quorum-takes-any", Scenario::Centers),
    ("local-levels-take-any", Scenario::Centers),
    ("commit-stays-near", Scenario::Centers),
    ("forwarder-answers-for-others", Scenario::Centers),
    ("metadata-no-sync", Scenario::Centers),
    ("metadata-goes-back", Scenario::Centers),
    ("schema-epoch-is-not-compared", Scenario::Centers),
];

/// What is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// One node.
    Single,
    /// A static ring of three nodes.
    Ring,
    /// Nodes that join and leave.
    Members,
    /// Nodes that repair what they hold.
    Repair,
    /// Nodes in several data centres.
    Centers,
    /// Nodes on which statements are run.
    Statements,
}

/// Runs a seed.
#[must_use]
pub fn run(scenario: Scenario, seed: u64, mutant: Option<&str>) -> Verdict {
    panics::watch();
    let verdict = match scenario {
        Scenario::Single => single::run(seed, mutant),
        Scenario::Ring => ring::run(seed, mutant),
        Scenario::Members => members::run(seed, mutant),
        Scenario::Centers => centers::run(seed, mutant),
        Scenario::Repair => repairing::run(seed, mutant),
        Scenario::Statements => statements::run(seed, mutant),
    };
    Verdict { violation: panics::first().or(verdict.violation), ..verdict }
}

/// Runs a seed.
///
/// # Errors
/// The promise that was broken.
pub fn run_once(scenario: Scenario, seed: u64, mutant: Option<&str>) -> Result<Verdict, String> {
    let verdict = run(scenario, seed, mutant);
    match &verdict.violation {
        Some(violation) => Err(format!("seed {seed}: {violation}")),
        None => Ok(verdict),
    }
}

/// Runs a seed twice, and compares the traces.
///
/// # Errors
/// The promise that was broken, or that the two runs differ.
pub fn run_twice(scenario: Scenario, seed: u64, mutant: Option<&str>) -> Result<Verdict, String> {
    let first = run_once(scenario, seed, mutant)?;
    let second = run(scenario, seed, mutant);
    if first != second {
        return Err(format!("seed {seed} is not deterministic: {first:?} and {second:?}"));
    }
    Ok(first)
}
