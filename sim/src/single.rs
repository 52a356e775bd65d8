//! One node: random work, power cuts, kills and clean stops, then everything is read and judged.

use crate::Verdict;
use crate::clock::SimClock;
use crate::disk::SimDisk;
use crate::faults::Counts;
use crate::invariants::judge;
use crate::model::{Action, Model};
use crate::trace::Trace;
use crate::world::{PARTITIONS, ROWS, SHORT_GRACE, create_table, mutation, read_partition, seen, simple};
use dodona_cluster::node::Builtin;
use dodona_cluster::{ClusterError, Node, NodeSettings};
use dodona_env::net::NoNet;
use dodona_env::program::NoPrograms;
use dodona_env::{Clock, Env, Mutants, Random, Tasks};
use dodona_storage::{EngineSettings, StorageError, SyncMode};
use dodona_types::Consistency;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::LocalSet;

const LIVES: u64 = 6;
const CLIENTS: u64 = 4;

/// How a life of the node ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    PowerCut,
    Kill,
    Stop,
}

struct Scenario {
    random: Random,
    mode: SyncMode,
    mutants: Mutants,
    clock: SimClock,
    model: Arc<Mutex<Model>>,
    trace: Trace,
    judged: u64,
}

/// Runs a seed.
#[must_use]
pub fn run(seed: u64, mutant: Option<&str>) -> Verdict {
    let built = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    match built {
        Ok(runtime) => runtime.block_on(scenario(seed, mutant)),
        Err(error) => Verdict {
            trace: 0,
            acknowledged: 0,
            judged: 0,
            restarts: 0,
            changes: 0,
            faults: Counts::default(),
            violation: Some(format!("no runtime: {error}")),
        },
    }
}

async fn scenario(seed: u64, mutant: Option<&str>) -> Verdict {
    let random = Random::from_seed(seed);
    let mode = match random.below(3) {
        0 => SyncMode::Periodic { period: Duration::from_millis(200) },
        1 => SyncMode::Group { window: Duration::from_millis(5) },
        _ => SyncMode::Batch,
    };
    let mut scenario = Scenario {
        mode,
        mutants: mutant.map_or_else(Mutants::none, Mutants::only),
        clock: SimClock::new(0),
        model: Arc::default(),
        trace: Trace::default(),
        judged: 0,
        random,
    };
    let disk = SimDisk::new(scenario.random.split("disk"));
    let mut violation = None;
    let mut restarts = 0;
    for life in 0..LIVES {
        let result = scenario.life(&disk, life).await;
        restarts += 1;
        if let Err(broken) = result {
            violation = Some(broken);
            break;
        }
    }
    Verdict {
        trace: scenario.trace.hash(),
        acknowledged: scenario.model.lock().acknowledged,
        judged: scenario.judged,
        restarts,
        changes: 0,
        faults: Counts::default(),
        violation,
    }
}

impl Scenario {
    fn settings(&self) -> NodeSettings {
        NodeSettings {
            cluster_name: "sim".into(),
            num_tokens: 4,
            engine: EngineSettings {
                sync_mode: self.mode,
                memtable_bytes: 4_000,
                block_cache_bytes: 64 << 10,
                commit_log_bytes: 40_000,
                segment_bytes: 10_000,
                compaction_bytes_per_second: 0,
                concurrent_compactors: 2,
                step_bytes: 1 << 20,
                ..EngineSettings::default()
            },
            ..NodeSettings::default()
        }
    }

    /// One life: start, judge what the life before left, work, end.
    async fn life(&mut self, disk: &SimDisk, life: u64) -> Result<(), String> {
        let disk = disk.next_life();
        let env = Env {
            clock: Arc::new(self.clock.clone()),
            random: self.random.split(&format!("node {life}")),
            disk: Arc::new(disk.clone()),
            net: Arc::new(NoNet),
            programs: Arc::new(NoPrograms),
            tasks: Tasks::inline(),
            mutants: self.mutants.clone(),
        };
        let started = Node::start(env, self.settings(), Builtin::default());
        let node = started.map_err(|error| format!("life {life}: the node does not start: {error}"))?;
        self.trace.note(&format!("life {life} {:?}", node.recovered));
        let local = LocalSet::new();
        let end = match self.random.below(5) {
            0 => End::Stop,
            1 => End::Kill,
            _ => End::PowerCut,
        };
        local.run_until(self.work(&node, &disk, life, end)).await?;
        drop(local);
        self.end(&disk, end);
        Ok(())
    }

    async fn work(&mut self, node: &Arc<Node>, disk: &SimDisk, life: u64, end: End) -> Result<(), String> {
        create_table(node, simple(1), SHORT_GRACE)
            .await
            .map_err(|error| format!("the table cannot be created: {error}"))?;
        node.spawn_workers();
        self.judge_all(node).await?;
        for client in 0..CLIENTS {
            let worker = Worker {
                node: Arc::clone(node),
                random: self.random.split(&format!("client {life} {client}")),
                model: Arc::clone(&self.model),
                clock: self.clock.clone(),
            };
            node.env.tasks.spawn_local(worker.run());
        }
        let lasts = Duration::from_millis(200 + self.random.below(1_500));
        dodona_env::clock::sleep(lasts / 2).await;
        if self.random.chance(0.2) {
            disk.limit_space(Some(self.random.below(2_000)));
            dodona_env::clock::sleep(Duration::from_millis(50)).await;
            disk.limit_space(None);
        }
        dodona_env::clock::sleep(lasts / 2).await;
        if life + 1 < LIVES && self.random.chance(0.3) && self.mutants.has("sstable-no-checksum") {
            // Bit rot is only of interest to the mutant that does not look: others must refuse.
            if disk.rot(".sst").is_some() {
                self.judge_all(node).await?;
            }
        }
        if end == End::Stop {
            match node.drain().await {
                Ok(()) => {}
                Err(error) => return Err(format!("the node cannot be drained: {error}")),
            }
        }
        Ok(())
    }

    fn end(&mut self, disk: &SimDisk, end: End) {
        let now = self.clock.mono();
        let slack = Duration::from_millis(10);
        match (end, self.mode) {
            // A periodic log may lose what was acknowledged within the last period.
            (End::PowerCut, SyncMode::Periodic { period }) => {
                if let Some(until) = now.checked_sub(period + slack) {
                    self.model.lock().promise(until);
                }
            }
            _ => self.model.lock().promise(now),
        }
        self.model.lock().forget_unpromised();
        self.trace.note(&format!("{end:?} after {} disk operations", disk.operations()));
        if end == End::PowerCut {
            disk.power_cut();
        } else {
            disk.fence();
        }
    }

    async fn judge_all(&mut self, node: &Arc<Node>) -> Result<(), String> {
        for partition in 0..PARTITIONS as u8 {
            let rows = read_partition(node, partition, Consistency::One).await;
            let rows = match rows {
                Ok(rows) => rows,
                Err(error) => return Err(format!("partition {partition} cannot be read: {error}")),
            };
            self.trace.note(&format!("partition {partition} {rows:?}"));
            let model = self.model.lock();
            for row in 0..ROWS as u8 {
                let id = (partition, row);
                judge(&model, id, seen(&rows, id))?;
                self.judged += 1;
            }
        }
        Ok(())
    }
}

/// A client: one request after another, until its node is gone.
struct Worker {
    node: Arc<Node>,
    random: Random,
    model: Arc<Mutex<Model>>,
    clock: SimClock,
}

impl Worker {
    async fn run(self) {
        loop {
            let row = (self.random.below(PARTITIONS) as u8, self.random.below(ROWS) as u8);
            let timestamp = self.node.timestamps.next();
            let action =
                if self.random.chance(0.2) { Action::Delete } else { Action::Put(self.random.next_u64()) };
            self.model.lock().attempt(row, timestamp, action);
            let mutation = mutation(row, timestamp, action, self.clock.wall_seconds());
            match self.node.coordinator.write(&[mutation], Consistency::One).await {
                Ok(()) => self.model.lock().acknowledge(row, timestamp, self.clock.mono()),
                Err(ClusterError::Storage(StorageError::NoSpace)) => {}
                Err(_) => return,
            }
            dodona_env::clock::sleep(Duration::from_micros(500 + self.random.below(4_000))).await;
        }
    }
}
