//! The engine alone, through random histories: writes of every kind, late ones as well, reads of
//! every kind, flushes, compactions of every strategy step by step, truncations, snapshots, changes
//! of the schema, kills, power cuts, full disks, failing syncs and rotten bits.
//!
//! A seed gives a [`step::History`], plain data. [`run`] executes it beside a [`model`] and compares
//! every answer; [`shrink`] cuts a history that fails down to what it needs.

pub mod changes;
pub mod checks;
pub mod elsewhere;
pub mod generate;
pub mod model;
pub mod reads;
pub mod shrink;
pub mod step;
pub mod tables;
pub mod world;

use crate::Verdict;
use crate::faults::Counts;
use dodona_types::Token;
use dodona_types::token::TokenRange;
use model::key_of;
use step::{End, History, Query, Step};
use uuid::Uuid;
use world::{PARTITIONS, Stop, World};

/// The defects that histories must find.
pub const MUTANTS: &[&str] = &[
    "replayed-log-no-sync",
    "commit-log-no-sync",
    "commit-log-no-dir-sync",
    "sstable-no-sync",
    "sstable-no-dir-sync",
    "manifest-no-sync",
    "replay-interval-too-long",
    "sstable-no-checksum",
    "purge-ignores-other-tables",
    "purge-looks-at-older-tables-only",
    "purge-ignores-memtables",
    "purge-before-gc-grace",
    "compaction-removes-inputs-early",
    "compaction-publishes-after-truncate",
    "manifest-keeps-compacted-files",
    "manifest-goes-on-behind-a-tear",
    "manifest-tells-of-one-partition",
    "index-forgets-open-ranges",
    "filter-forgets-a-partition",
    "truncation-forgets-the-log",
    "log-discarded-early",
    "flush-ahead-of-the-log",
    "expiry-ignores-overlaps",
    "named-read-stops-early",
    "split-for-repair-keeps-one-side",
    "archive-skips-a-segment",
    "segment-goes-before-it-is-archived",
    "restore-goes-past-its-time",
    "backup-forgets-a-file",
    "backup-no-dir-sync",
    "import-keeps-column-numbers",
    "purge-takes-what-is-newer-than-a-drop",
];

/// Runs the history of a seed.
#[must_use]
pub fn run_seed(seed: u64, mutant: Option<&str>) -> Verdict {
    run(&generate::history(seed), seed, mutant)
}

/// Runs a history.
#[must_use]
pub fn run(history: &History, seed: u64, mutant: Option<&str>) -> Verdict {
    let built = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let failed = |violation| Verdict {
        trace: 0,
        acknowledged: 0,
        judged: 0,
        restarts: 0,
        changes: 0,
        faults: Counts::default(),
        violation: Some(violation),
    };
    match built {
        Ok(runtime) => runtime.block_on(async {
            match World::new(history.setup.clone(), seed, mutant) {
                Ok(world) => execute(world, history).await,
                Err(error) => failed(error),
            }
        }),
        Err(error) => failed(format!("no runtime: {error}")),
    }
}

async fn execute(mut world: World, history: &History) -> Verdict {
    let mut restarts = 0;
    let mut violation = None;
    let last = [
        Step::LimitSpace(None),
        Step::ReadAll,
        Step::Restart(End::Kill),
        Step::ReadAll,
        Step::CompactAll,
        Step::ReadAll,
    ];
    for (index, step) in history.steps.iter().chain(&last).enumerate() {
        let mut result = apply(&mut world, step).await;
        restarts += u64::from(matches!(step, Step::Restart(_)));
        if matches!(result, Err(Stop::Failed)) {
            // As a node does: it stops, and someone starts it again.
            restarts += 1;
            result = world.restart(End::PowerCut(index as u64));
        }
        if let Err(Stop::Violation(wrong)) = result {
            violation = Some(format!("step {index}, {step:?}: {wrong}"));
            break;
        }
    }
    if violation.is_none()
        && let Err(Stop::Violation(wrong)) = finish(&mut world)
    {
        violation = Some(format!("at the end: {wrong}"));
    }
    Verdict {
        trace: world.trace.hash(),
        acknowledged: world.writes,
        judged: world.judged,
        restarts,
        changes: 0,
        faults: Counts::default(),
        violation,
    }
}

fn finish(world: &mut World) -> Result<(), Stop> {
    world.compactions.clear();
    let maintained = world.engine()?.maintain_memtables();
    world.take("the work that is due", maintained)?;
    let verified = world.engine()?.verify(world.table());
    if let Some(damage) = world.take("verify", verified)?.and_then(|damages| damages.into_iter().next()) {
        return Err(Stop::Violation(format!("verify finds {damage:?}")));
    }
    world.no_leftovers()
}

async fn apply(world: &mut World, step: &Step) -> Result<(), Stop> {
    match step {
        Step::Write(writes) => world.write(writes).await?,
        Step::Read(query) => world.judge(query)?,
        Step::ReadAll => {
            world.judge(&Query::all(None, false))?;
            for partition in 0..PARTITIONS {
                world.judge(&Query::all(Some(partition), true))?;
            }
        }
        Step::Pass(seconds) => world.pass(*seconds),
        Step::SyncLog => {
            let synced = world.engine()?.sync_log();
            if world.take("a sync of the log", synced)?.is_some() {
                world.promise();
            }
        }
        Step::TendLog => {
            let tended = world.engine()?.tend_log();
            world.take("the log's upkeep", tended)?;
        }
        Step::Flush => {
            let flushed = world.engine()?.flush(world.table());
            if world.take("a flush", flushed)?.is_some() {
                world.promise_flushed();
            }
        }
        Step::Maintain => {
            let maintained = world.engine()?.maintain();
            world.take("the work that is due", maintained)?;
        }
        Step::BeginCompaction => {
            let begun = world.engine()?.next_compaction();
            if let Some(compaction) = world.take("a compaction", begun)?.flatten() {
                world.trace.note(&format!("{:?}", compaction.choice()));
                world.compactions.push(compaction);
            }
        }
        Step::StepCompaction(which, to_its_end) => step_compaction(world, *which, *to_its_end)?,
        Step::AbandonCompaction(which) => {
            if usize::from(*which) < world.compactions.len() {
                let compaction = world.compactions.remove(usize::from(*which));
                world.engine()?.abandon_compaction(compaction);
            }
        }
        Step::CompactAll => {
            let compacted = world.engine()?.compact_all(world.table(), None);
            world.take("a major compaction", compacted)?;
        }
        Step::CollectGarbage(cells) => {
            let collected = world.engine()?.collect_garbage(world.table(), *cells);
            world.take("garbage collection", collected)?;
        }
        Step::BeginRepair(from, to) => begin_repair(world, *from, *to)?,
        Step::EndRepair(is_repaired) => {
            if let Some(repair) = world.repair.take() {
                let at = is_repaired.then(|| world.now());
                let ended = world.engine()?.end_repair(world.table(), repair, at);
                world.take("the end of a repair", ended)?;
            }
        }
        Step::Truncate => empty(world)?,
        Step::Snapshot(_) => world.snapshot()?,
        Step::Alter(setup) => world.alter(*setup)?,
        Step::DropColumn(column) => world.drop_column(*column)?,
        Step::Recreate => world.recreate()?,
        Step::LimitSpace(bytes) => world.limit_space(*bytes),
        Step::FailSync(after) => world.fail_sync(*after),
        Step::Rot(seed) => {
            let queries: Vec<_> =
                (0..PARTITIONS).map(|partition| Query::all(Some(partition), partition % 2 == 1)).collect();
            world.rot(*seed, &queries)?;
        }
        Step::Scrub(seed) => {
            world.compactions.clear();
            if world.scrub(*seed)? {
                // The model does not know what was lost.
                empty(world)?;
            }
        }
        Step::RotAtRest(seed) => world.rot_at_rest(*seed)?,
        Step::Restart(end) => world.restart(*end)?,
        Step::Archive => {
            let archived = world.engine()?.archive_log();
            world.take("archiving", archived)?;
        }
        Step::RestoreLog(back) => world.restore_log(*back)?,
        Step::RestoreBackups => world.restore_backups()?,
        Step::Import(writes) => world.import(writes)?,
    }
    Ok(())
}

fn begin_repair(world: &mut World, from: u8, to: u8) -> Result<(), Stop> {
    if world.repair.is_some() {
        return Ok(());
    }
    let token = |partition| Token::of_key(&key_of(partition));
    let range = TokenRange { start: token(from), end: token(to) };
    let repair = Uuid::from_u128(1);
    let begun = world.engine()?.begin_repair(world.table(), repair, &[range]);
    // False while compactions are under way.
    if world.take("a repair", begun)?.is_some() {
        world.repair = Some(repair);
        world.promise_flushed();
    }
    Ok(())
}

fn empty(world: &mut World) -> Result<(), Stop> {
    world.maybe_emptied = true;
    let truncated = world.engine()?.truncate(world.table());
    let truncated = world.take("a truncation", truncated)?;
    world.maybe_emptied = false;
    if truncated.is_some() {
        world.forget();
    }
    Ok(())
}

fn step_compaction(world: &mut World, which: u8, to_its_end: bool) -> Result<(), Stop> {
    let which = usize::from(which);
    if which >= world.compactions.len() {
        return Ok(());
    }
    let mut compaction = world.compactions.remove(which);
    loop {
        let stepped = world.engine()?.step_compaction(&mut compaction);
        match stepped {
            Ok(true) => {
                let finished = world.engine()?.finish_compaction(compaction);
                world.take("the end of a compaction", finished)?;
                return Ok(());
            }
            Ok(false) if to_its_end => {}
            Ok(false) => {
                world.compactions.insert(which, compaction);
                return Ok(());
            }
            Err(dodona_storage::StorageError::Stopped(_)) => {
                world.engine()?.abandon_compaction(compaction);
                return Ok(());
            }
            Err(error) => {
                world.engine()?.abandon_compaction(compaction);
                world.take("a step of a compaction", Err::<(), _>(error))?;
                return Ok(());
            }
        }
    }
}
