//! Members that come and go, move, or are lost and replaced: a node begins a cluster, others join it and leave it again, while
//! links break, messages are late, machines lose power, disks are slow or full, clocks jump, and clients write and read. What was
//! acknowledged at QUORUM is seen by every later read at QUORUM, whoever holds it by then; conditional writes stay in one
//! order, batches are whole, counters right. Nodes repair incrementally all the while, and some writes reach one replica
//! alone. What is repaired goes on as such with whoever fetches it: in the end such a repair makes all replicas the same.

mod clients;
mod faults;
mod shared;
mod work;

use crate::Verdict;
use crate::clock::SimClock;
use crate::machine::{Machine, elapsed_micros, hosts, machines};
use crate::model::Action;
use crate::net::network;
use crate::world::{PARTITIONS, ROWS, TABLE, TIMEOUTS, builtin, mutation, small_engine};
use clients::Clients;
use dodona_cluster::liveness::Liveness;
use dodona_cluster::repair::Options;
use dodona_cluster::ring::Status;
use dodona_cluster::{ClusterError, Node, NodeSettings, membership};
use dodona_env::Random;
use dodona_storage::{StorageError, SyncMode};
use dodona_types::read_command::{PartitionSelection, ReadCommand};
use dodona_types::{MutationView, PartitionKey, Token};
use faults::{HEALED_MICROS, drive};
use shared::Shared;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use work::Work;

/// The first begins the cluster; the others join it.
const NODES: [&str; 5] = ["m1", "m2", "m3", "m4", "m5"];
const PORT: u16 = 7000;
/// How often a member moves, where nobody joins or leaves: at one of so many of its clients' steps.
const MOVES: f64 = 0.03;
/// How often a member that leaves thinks better of it, to leave again before long.
const STAYS: f64 = 0.5;
/// How often a client writes to its own node alone, and how often that repairs, at one of so many steps.
const ALONE: f64 = 0.1;
const REPAIRS: f64 = 0.02;
/// Partitions that are written so, behind the others.
const LONE_PARTITIONS: u64 = 24;

/// Runs a seed.
#[must_use]
pub fn run(seed: u64, mutant: Option<&str>) -> Verdict {
    let random = Random::from_seed(seed).split("members");
    let work = Work::of(&random.split("work"));
    let shared = Arc::new(Shared::new(work));
    shared.trace.note(&format!("{:?}", shared.work));
    let mut sim = network(seed);
    let machines = machines(&random, &NODES, mutant);
    let of_hosts = Arc::clone(&shared);
    let live = move |machine| Host { machine, shared: Arc::clone(&of_hosts) }.run();
    let disks = hosts(&mut sim, &NODES, machines, live);
    let faults = drive(&mut sim, &random.split("faults"), &disks, &shared);
    let violation = shared.rows.violation().or_else(|| shared.told.judge().err());
    let (operations, applied) = shared.told.counts();
    let verdict = Verdict {
        trace: shared.trace.hash(),
        acknowledged: shared.rows.acknowledged()
            + applied
            + shared.batched.acknowledged()
            + shared.tally.acknowledged(),
        judged: shared.rows.judged()
            + operations
            + shared.read.judged()
            + shared.batched.judged()
            + *shared.compared.lock(),
        restarts: faults.restarts,
        changes: *shared.joined.lock() + *shared.left.lock() + *shared.moved.lock() + *shared.repaired.lock(),
        faults,
        violation,
    };
    drop(sim);
    verdict
}

#[derive(Clone)]
struct Host {
    machine: Machine,
    shared: Arc<Shared>,
}

impl Host {
    async fn run(self) -> turmoil::Result {
        while !self.shared.done.lock()[self.machine.index] {
            let is_done = self.live().await?;
            self.shared.done.lock()[self.machine.index] = is_done;
        }
        // Whoever has left is no node any more; others still need this one's answers.
        loop {
            dodona_env::clock::sleep(Duration::from_secs(1)).await;
        }
    }

    fn settings(&self) -> NodeSettings {
        let address = |name| SocketAddr::new(turmoil::lookup(name), PORT);
        NodeSettings {
            cluster_name: "sim".into(),
            data_center: format!("dc{}", 1 + self.shared.work.center(self.machine.index)),
            rack: format!("r{}", self.machine.index % 3),
            native: address(NODES[self.machine.index]),
            internode: address(NODES[self.machine.index]),
            num_tokens: 4,
            // Whoever has lost its disk finds one that has not left.
            seeds: NODES.iter().map(|name| address(*name)).collect(),
            members: Vec::new(),
            engine: small_engine(SyncMode::Group { window: Duration::from_millis(20) }),
            timeouts: TIMEOUTS,
            // Half of the nodes fetch in files what they can.
            stream_files_of_bytes: if self.machine.random.split("files").chance(0.5) { 1 } else { u64::MAX },
            ..NodeSettings::default()
        }
    }

    /// A life: until the node has left, or everything was seen to be right. False if it is to begin another one.
    async fn live(&self) -> turmoil::Result<bool> {
        let life = {
            let mut lives = self.shared.lives.lock();
            *lives += 1;
            *lives
        };
        let random = self.machine.random.split(&format!("life {life}"));
        let env = self.machine.next_life(random.split("node"), self.clock());
        let refused = self.machine.disk.refused();
        // Whoever runs a node starts it again when there is room.
        let has_no_room = || self.machine.disk.refused() > refused;
        // They come one after another, some of them late.
        dodona_env::clock::sleep(Duration::from_millis(random.below(50 + 2_500 * self.machine.index as u64)))
            .await;
        let mut settings = self.settings();
        let lost = self.shared.replaced.lock().filter(|(index, _)| *index == self.machine.index);
        settings.replace = lost.map(|(_, host)| host.to_string());
        let removed = self.shared.removed.lock().filter(|(index, _)| *index == self.machine.index);
        while let Err(error) = membership::enter(&env, &settings).await {
            // Until it is removed, its address is taken.
            if removed.is_none() && !has_no_room() {
                return Err(error.into());
            }
            self.shared.trace.note(&error.to_string());
            dodona_env::clock::sleep(Duration::from_millis(200)).await;
        }
        let node = match Node::start(env, settings, builtin()) {
            Ok(node) => node,
            // It had left, and lost power behind that.
            Err(ClusterError::Invalid(reason)) if reason.contains("was removed from its cluster") => {
                return Ok(true);
            }
            Err(error) if has_no_room() => {
                self.shared.trace.note(&format!("{} does not start: {error}", self.machine.index));
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        if !self.is_as_new_as_known(&node).await? {
            return Ok(false);
        }
        self.shared.running.lock()[self.machine.index] = Arc::downgrade(&node);
        node.spawn_workers();
        self.shared.rows.goes_on(&node);
        while let Err(error) = node.settle().await {
            self.shared.trace.note(&format!("{} does not settle: {error}", self.machine.index));
            if matches!(error, ClusterError::Storage(_)) {
                return Err(format!("a join does not go on by itself: {error}").into());
            }
            dodona_env::clock::sleep(Duration::from_millis(200)).await;
        }
        *self.shared.joined.lock() += 1;
        self.shared.full.lock()[self.machine.index] = Some(node.info.identity.host);
        if lost.is_some() {
            *self.shared.replaced.lock() = None;
        }
        if removed.is_some() {
            *self.shared.removed.lock() = None;
        }
        while self.shared.work.create_tables(&node).await.is_err() || !self.shared.work.has_tables(&node) {
            dodona_env::clock::sleep(Duration::from_millis(100)).await;
        }
        self.work(&node, &random).await;
        Ok(true)
    }

    /// False if its disk is an old one, which is lost then.
    async fn is_as_new_as_known(&self, node: &Node) -> turmoil::Result<bool> {
        let is_old = *self.shared.old.lock() == Some(self.machine.index);
        match node.refuse_old_data().await {
            Ok(()) if is_old => Err("a node starts with old data".into()),
            Ok(()) => Ok(true),
            Err(error) if is_old => {
                self.shared.trace.note(&error.to_string());
                self.shared.lose(self.machine.index, &self.machine.disk, false);
                *self.shared.old.lock() = None;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The clock of a life that begins.
    fn clock(&self) -> SimClock {
        let offset = self.machine.random.split("clock").below(500_000) as i64;
        let began = offset + elapsed_micros();
        let healed = if *self.shared.healed.lock() { HEALED_MICROS } else { 0 };
        let clock = SimClock::new(began + healed);
        self.shared.clocks.lock()[self.machine.index] = Some((clock.clone(), began));
        clock
    }

    async fn work(&self, node: &Arc<Node>, random: &Random) {
        let rows = Clients::new(self, node, random).spawn(node);
        let alone = random.split("alone");
        let begun = Rc::new(());
        while !*self.shared.healed.lock() {
            if self.is_to_leave(node) {
                self.shared.trace.note(&format!("{} leaves", self.machine.index));
                self.begin(node, &begun, |node, shared| async move {
                    // What fails is tried again by whoever asks next.
                    let taken = node.take_out(node.info.identity.host).await;
                    *shared.left.lock() += u64::from(taken.is_ok());
                });
                if alone.chance(STAYS) {
                    let (after, index) = (Duration::from_millis(alone.below(1_500)), self.machine.index);
                    self.begin(node, &begun, move |node, shared| async move {
                        dodona_env::clock::sleep(after).await;
                        let host = node.info.identity.host;
                        if node.stay(host).await.is_ok() {
                            shared.trace.note(&format!("{index} stays"));
                            shared.full.lock()[index] = Some(host);
                            // What is written meanwhile was not fetched the first time.
                            dodona_env::clock::sleep(Duration::from_secs(1)).await;
                            *shared.leaver.lock() = Some(index);
                        }
                    });
                }
            }
            if random.chance(MOVES) && self.is_settled(node) {
                let tokens: Vec<Token> = (0..4).map(|_| Token(random.next_u64().cast_signed())).collect();
                self.shared.trace.note(&format!("{} moves", self.machine.index));
                self.begin(node, &begun, |node, shared| async move {
                    let moved = node.move_to(tokens).await;
                    *shared.moved.lock() += u64::from(moved.is_ok());
                });
            }
            // As a server does, of what it hears of only once it runs again.
            if let Some(host) = node.unattended() {
                self.shared.trace.note(&format!("{} goes on with {host}", self.machine.index));
                self.begin(node, &begun, move |node, _| async move {
                    let _ = node.complete(host, Status::Normal).await;
                });
            }
            self.remove_lost(node, &begun);
            if node.has_left() {
                return;
            }
            if alone.chance(ALONE) {
                self.write_alone(node, &alone);
            }
            if alone.chance(REPAIRS) && self.is_settled(node) {
                let primary = alone.chance(0.5);
                let index = self.machine.index;
                self.begin(node, &begun, move |node, shared| async move {
                    let repaired = node.repairs.repair(TABLE, &incremental(primary)).await;
                    shared.trace.note(&format!("{index} repairs: {repaired:?}"));
                    *shared.repaired.lock() += u64::from(repaired.is_ok());
                });
            }
            rows.step().await;
        }
        // What was begun is brought to its end first, on all nodes.
        while Rc::strong_count(&begun) > 1 {
            dodona_env::clock::sleep(Duration::from_millis(100)).await;
        }
        self.shared.phases.lock()[self.machine.index] = 1;
        while !(self.is_settled(node) && self.all_know_what(node) && self.all_are_at(1)) {
            let _ = node.settle().await;
            self.remove_lost(node, &begun);
            if node.has_left() {
                return;
            }
            dodona_env::clock::sleep(Duration::from_millis(200)).await;
        }
        if node.metadata().metadata().member(node.info.identity.host).is_none() {
            return;
        }
        let last = Clients::new(self, node, &random.split("last"));
        last.end().await;
        while !node.hints.pending().is_empty() {
            dodona_env::clock::sleep(Duration::from_millis(100)).await;
        }
        self.all_reach(2).await;
        self.shared.rows.judge(last.read_all().await);
        self.all_reach(3).await;
        self.shared.rows.judge(last.compare());
        self.compare(node).await;
    }

    /// Has the node do something beside its clients. What that task holds tells that it has not ended.
    fn begin<F>(&self, node: &Arc<Node>, begun: &Rc<()>, task: impl FnOnce(Arc<Node>, Arc<Shared>) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        let (task, under_way) = (task(Arc::clone(node), Arc::clone(&self.shared)), Rc::clone(begun));
        node.env.tasks.spawn_local(async move {
            task.await;
            drop(under_way);
        });
    }

    /// Takes a node out that has lost its disk, if it is not to be replaced and nobody else is at it.
    fn remove_lost(&self, node: &Arc<Node>, begun: &Rc<()>) {
        let Some((_, host)) = *self.shared.removed.lock() else { return };
        let is_member = node.metadata().metadata().member(host).is_some();
        let nobody_is_at_it = self.shared.remover.lock().upgrade().is_none();
        if is_member && nobody_is_at_it && !node.gossiper.live().is_alive(host) {
            let remover = Arc::new(());
            *self.shared.remover.lock() = Arc::downgrade(&remover);
            let index = self.machine.index;
            self.begin(node, begun, move |node, shared| async move {
                let removed = node.take_out(host).await;
                shared.trace.note(&format!("{index} removes {host}: {removed:?}"));
                drop(remover);
            });
        }
    }

    /// Writes a row to this node alone, if it is one of its replicas, as if the others had missed it.
    fn write_alone(&self, node: &Node, random: &Random) {
        let row = ((PARTITIONS + random.below(LONE_PARTITIONS)) as u8, random.below(ROWS) as u8);
        if !holds(node, row.0) {
            return;
        }
        let timestamp = node.timestamps.next() * 16 + self.machine.index as i64;
        let action = if random.chance(0.2) { Action::Delete } else { Action::Put(random.next_u64()) };
        let mutation = mutation(row, timestamp, action, node.env.clock.wall_seconds());
        let written = MutationView::parse(&mutation)
            .map_err(StorageError::from)
            .and_then(|mutation| node.engine.apply(&[mutation]));
        if let Err(error) = written {
            self.shared.trace.note(&format!("{} does not write alone: {error}", self.machine.index));
        }
    }

    /// Repairs what is not repaired, once nothing is written any more. All replicas hold the same then.
    async fn compare(&self, node: &Arc<Node>) {
        while let Err(error) = node.repairs.repair(TABLE, &incremental(true)).await {
            self.shared.trace.note(&format!("{} does not repair: {error}", self.machine.index));
            dodona_env::clock::sleep(Duration::from_millis(200)).await;
        }
        self.all_reach(4).await;
        for partition in (0..(PARTITIONS + LONE_PARTITIONS) as u8).filter(|partition| holds(node, *partition))
        {
            let key = PartitionSelection::Key(PartitionKey::new(vec![partition].into()));
            let command = ReadCommand::everything(TABLE, 1, key, 0);
            let judged = match node.engine.read_digest(&command, usize::MAX) {
                Ok(digest) => {
                    let digest = digest.to_vec();
                    self.shared.holdings.lock().judge(partition, self.machine.index, digest)
                }
                Err(error) => Err(format!("a replica cannot read: {error}")),
            };
            *self.shared.compared.lock() += 1;
            self.shared.rows.judge(judged);
        }
    }

    /// Waits until all nodes are so far, or have left.
    async fn all_reach(&self, phase: u8) {
        self.shared.phases.lock()[self.machine.index] = phase;
        while !self.all_are_at(phase) {
            dodona_env::clock::sleep(Duration::from_millis(50)).await;
        }
    }

    fn all_are_at(&self, phase: u8) -> bool {
        let is_there =
            |index: usize| self.shared.done.lock()[index] || self.shared.phases.lock()[index] >= phase;
        (0..NODES.len()).all(is_there)
    }

    /// True if this node is asked to leave, and enough others stay for all copies.
    fn is_to_leave(&self, node: &Node) -> bool {
        let mut leaver = self.shared.leaver.lock();
        let is_asked = *leaver == Some(self.machine.index) && self.are_enough(node) && self.is_settled(node);
        if is_asked {
            *leaver = None;
            self.shared.full.lock()[self.machine.index] = None;
        }
        is_asked
    }

    /// True if there are more members in a node's data centre than copies.
    fn are_enough(&self, node: &Node) -> bool {
        let placement = node.placement();
        let members = placement.ring.members();
        let center = &members[placement.local].data_center;
        let copies = self.shared.work.copies()[self.shared.work.center(self.machine.index)];
        members.iter().filter(|member| member.data_center == *center).count() > copies as usize
    }

    /// True if no node that runs has yet to hear of something that this one knows, or the other way round: what one has begun
    /// before it lost power may be news to itself.
    fn all_know_what(&self, node: &Node) -> bool {
        let version = node.metadata().metadata().version;
        let mut others = (0..NODES.len()).filter_map(|index| self.shared.runs(index));
        others.all(|other| other.metadata().metadata().version == version)
    }

    /// True if nobody joins, moves or leaves.
    fn is_settled(&self, node: &Node) -> bool {
        let metadata = node.metadata().metadata();
        metadata.members.values().all(|member| member.status == Status::Normal)
    }
}

/// A repair of what is not repaired.
fn incremental(primary: bool) -> Options {
    Options { primary, incremental: true, ..Options::default() }
}

/// True if a node is a replica of a partition.
fn holds(node: &Node, partition: u8) -> bool {
    let placement = node.placement();
    let replicas = placement.replicas(TABLE, Token::of_key(&[partition])).unwrap_or_default();
    replicas.contains(&placement.local)
}
