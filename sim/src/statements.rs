//! Three nodes with three copies, on which a script of `tests/conformance` is run at QUORUM, each statement by another node,
//! while one node at a time is down, cut off, slow or full. However that is, each statement is done, and answers what Apache
//! Cassandra answered: what a client reads is what all did before. So TTL, collections, statics, counters, batches, conditional
//! statements and all shapes of selections are looked at with replicas that have missed some of it, and in pages.

use crate::Verdict;
use crate::clock::SimClock;
use crate::disk::SimDisk;
use crate::faults::Counts;
use crate::machine::{Machine, elapsed_micros, hosts, machines};
use crate::net::{heal, network};
use crate::shape::Shape;
use crate::trace::Trace;
use crate::world::settings_of;
use dodona_cluster::liveness::Liveness;
use dodona_cluster::{ClusterError, Node};
use dodona_conformance::{Case, Manner, SCRIPTS, cases};
use dodona_env::Random;
use dodona_query::{Guardrails, Processor, Session, system_tables};
use dodona_storage::SyncMode;
use dodona_types::Consistency;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

const NODES: [&str; 3] = ["n1", "n2", "n3"];
const PORT: u16 = 7000;
/// Milliseconds that a statement may take, and that the cluster may take to be whole again.
const PATIENCE: u32 = 60_000;
/// How often a read is made again that too few replicas answer in time.
const TRIES: usize = 40;
/// Milliseconds between two tries.
const PAUSE: u32 = 500;
/// How often something breaks before a statement, or what is broken is made whole.
const BREAKS: f64 = 0.06;
const HEALS: f64 = 0.1;
const FLUSHES: f64 = 0.05;

/// What came of a statement.
type Told = Result<Vec<String>, ClusterError>;

/// What a node is to do.
#[derive(Clone)]
enum Ask {
    /// Make a keyspace, or a table.
    Create(String),
    /// Write to all nodes.
    Probe,
    /// Run the statement of this place in the script.
    Run(usize, Option<u32>),
}

/// What hosts and the client share: the simulation has one thread.
struct Shared {
    /// The keyspace.
    name: &'static str,
    cases: Vec<Case<'static>>,
    nodes: Mutex<[Weak<Node>; NODES.len()]>,
    asked: Mutex<Option<(usize, Ask)>>,
    answered: Mutex<Option<Told>>,
}

impl Shared {
    fn running(&self) -> Vec<Arc<Node>> {
        self.nodes.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// True if all that run know the same schema.
    fn agrees(&self) -> bool {
        let nodes = self.running();
        nodes.iter().all(|node| node.schema().epoch == nodes[0].schema().epoch)
    }
}

#[derive(Clone)]
struct Host {
    machine: Machine,
    shared: Arc<Shared>,
}

impl Host {
    async fn run(self) -> turmoil::Result {
        let shared = &self.shared;
        // A timestamp is of the node that a statement is given to: their clocks are one.
        let env = self.machine.next_life(self.machine.random.clone(), SimClock::new(elapsed_micros()));
        let address = |name: &str| SocketAddr::new(turmoil::lookup(name), PORT);
        let members = Shape::flat(NODES.len(), 3).members(address);
        let sync_mode = SyncMode::Group { window: Duration::from_millis(20) };
        let settings = settings_of(members, self.machine.index, sync_mode);
        let node = Node::start(env, settings, system_tables::builtin())?;
        node.refuse_old_data().await?;
        node.spawn_workers();
        let processor = Processor::new(Arc::clone(&node));
        processor.spawn_workers();
        // As the peer that recorded the scripts has it.
        processor.set_guardrails(Guardrails { drop_compact_storage_enabled: true, ..Guardrails::default() });
        let session = Session::new(SocketAddr::from(([127, 0, 0, 1], 1)));
        shared.nodes.lock()[self.machine.index] = Arc::downgrade(&node);
        loop {
            let asked = shared.asked.lock().take_if(|(index, _)| *index == self.machine.index);
            if let Some((_, ask)) = asked {
                let answer = self.answer(&processor, &session, ask).await;
                *shared.answered.lock() = Some(answer);
            }
            dodona_env::clock::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn answer(&self, processor: &Processor, session: &Session, ask: Ask) -> Told {
        let Shared { name, cases, .. } = &*self.shared;
        let at = |consistency| Manner { page_size: None, consistency };
        let run = async |statement: &str, consistency| {
            let case = Case { statement, binding: None, expected: Vec::new() };
            case.answer(processor, session, at(consistency)).await
        };
        match ask {
            Ask::Create(statement) => run(&statement, Consistency::Quorum).await,
            Ask::Probe => run("INSERT INTO probe.t (k) VALUES (1)", Consistency::All).await,
            Ask::Run(place, page_size) => {
                if session.keyspace().is_none() {
                    run(&format!("USE {name}"), Consistency::One).await?;
                }
                let manner = Manner { page_size, consistency: Consistency::Quorum };
                cases[place].answer(processor, session, manner).await
            }
        }
    }
}

/// What is wrong with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Down,
    CutOff,
    Silent,
    SlowDisk,
    FullDisk,
}

/// The client that runs the script, and what it does to the nodes.
struct Client<'a, 'b> {
    sim: &'a mut turmoil::Sim<'b>,
    random: Random,
    shared: Arc<Shared>,
    disks: Vec<SimDisk>,
    trouble: Option<(usize, Trouble)>,
    counts: Counts,
    trace: Trace,
    acknowledged: u64,
    judged: u64,
}

impl Client<'_, '_> {
    fn run(&mut self) -> Result<(), String> {
        for keyspace in ["probe", self.shared.name] {
            self.create(&format!(
                "CREATE KEYSPACE {keyspace} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 3}}"
            ))?;
        }
        self.create("CREATE TABLE probe.t (k int PRIMARY KEY)")?;
        self.is_whole_before_long()?;
        for place in 0..self.shared.cases.len() {
            let what = Kind::of(self.shared.cases[place].statement);
            match self.trouble {
                Some(_) if what.needs_all() || self.random.chance(HEALS) => self.heal()?,
                Some((node, trouble)) if what == Kind::LoggedBatch => self.may_keep_batches(node, trouble)?,
                None if what.stands_breaks() && self.random.chance(BREAKS) => self.break_one(),
                _ => {}
            }
            self.statement(place, what)?;
            if what == Kind::Change {
                // As drivers do. One to which the connection has just broken may not have answered in time.
                self.until("nodes do not agree on the schema", Shared::agrees)?;
            }
            if self.random.chance(FLUSHES) {
                let node = self.shared.nodes.lock()[self.random.below(NODES.len() as u64) as usize].upgrade();
                // A disk that is full does not take it.
                let _ = node.map(|node| node.engine.flush_all());
            }
        }
        self.heal()
    }

    fn create(&mut self, statement: &str) -> Result<(), String> {
        let created = self.ask(0, Ask::Create(statement.to_owned()))?;
        match created {
            Ok(answer) if answer == ["ok"] => Ok(()),
            created => Err(format!("{statement}: {created:?}")),
        }
    }

    fn statement(&mut self, place: usize, what: Kind) -> Result<(), String> {
        let page_size = [None, Some(1), Some(7), Some(100)][self.random.below(4) as usize];
        let shared = Arc::clone(&self.shared);
        let case = &shared.cases[place];
        let troubled = self.trouble.map(|(node, _)| node);
        let able: Vec<usize> = (0..NODES.len()).filter(|node| troubled != Some(*node)).collect();
        let mut tries = 0;
        let answer = loop {
            let node = able[self.random.below(able.len() as u64) as usize];
            self.trace.note(&format!("{node} runs {place}"));
            match self.ask(node, Ask::Run(place, page_size))? {
                Ok(answer) => break answer,
                Err(error) => {
                    tries += 1;
                    self.trace.note(&error.to_string());
                    if !what.can_be_repeated() || tries == TRIES {
                        let trouble = self.trouble;
                        return Err(format!("{} > {}: {error:?} ({trouble:?})", shared.name, case.statement));
                    }
                    for _ in 0..PAUSE {
                        self.sim.step().map_err(|error| format!("the simulation ended: {error}"))?;
                    }
                }
            }
        };
        self.trace.note(&answer.join("\n"));
        if !case.is_answered_by(&answer) {
            return Err(format!(
                "{} > {} (pages of {page_size:?}): Cassandra answers {:?}, not {answer:?}",
                shared.name, case.statement, case.expected
            ));
        }
        self.acknowledged += u64::from(what != Kind::Read);
        self.judged += 1;
        Ok(())
    }

    fn ask(&mut self, node: usize, ask: Ask) -> Result<Told, String> {
        *self.shared.asked.lock() = Some((node, ask));
        self.until("a statement is not answered", |shared| shared.answered.lock().is_some())?;
        self.shared.answered.lock().take().ok_or_else(|| "an answer is lost".to_owned())
    }

    fn until(&mut self, unless: &str, is_so: impl Fn(&Shared) -> bool) -> Result<(), String> {
        for _ in 0..PATIENCE {
            if is_so(&self.shared) {
                return Ok(());
            }
            self.sim.step().map_err(|error| format!("the simulation ended: {error}"))?;
        }
        Err(unless.to_owned())
    }

    /// A logged batch is kept by two nodes, unless one is known not to answer: it waits until that one is seen to be down, or
    /// for its end.
    fn may_keep_batches(&mut self, node: usize, trouble: Trouble) -> Result<(), String> {
        if matches!(trouble, Trouble::SlowDisk | Trouble::FullDisk) {
            return self.heal();
        }
        self.until("a node that does not answer is not seen to be down", |shared| {
            let others = (0..NODES.len()).filter(|other| *other != node);
            let mut others = others.filter_map(|other| shared.nodes.lock()[other].upgrade());
            others.all(|other| !other.gossiper.live().is_alive(other.placement().ring.members()[node].host))
        })
    }

    /// Waits until all nodes run, see one another, know the same schema, and have each other take writes.
    fn is_whole_before_long(&mut self) -> Result<(), String> {
        self.until("the cluster is not whole again", |shared| {
            let nodes = shared.running();
            let sees_all = |node: &Arc<Node>| {
                let members = node.placement();
                let mut members = members.ring.members().iter();
                members.all(|member| node.gossiper.live().is_alive(member.host))
            };
            nodes.len() == NODES.len() && nodes.iter().all(sees_all) && shared.agrees()
        })?;
        // Connections may have broken without a word, and disks have work to do.
        for node in 0..NODES.len() {
            let mut tries = 0;
            while self.ask(node, Ask::Probe)?.is_err() {
                tries += 1;
                if tries == TRIES {
                    return Err(format!("{node} does not reach all nodes again"));
                }
            }
        }
        Ok(())
    }

    fn break_one(&mut self) {
        let node = self.random.below(NODES.len() as u64) as usize;
        let others = NODES.iter().filter(|name| **name != NODES[node]);
        let kinds = [Trouble::Down, Trouble::CutOff, Trouble::Silent, Trouble::SlowDisk, Trouble::FullDisk];
        let trouble = kinds[self.random.below(kinds.len() as u64) as usize];
        self.trace.note(&format!("{node}: {trouble:?}"));
        match trouble {
            Trouble::Down => {
                self.disks[node].power_cut();
                self.sim.crash(NODES[node]);
                self.counts.restarts += 1;
            }
            Trouble::CutOff => {
                others.for_each(|other| self.sim.partition(NODES[node], *other));
                self.counts.partitions += 1;
            }
            Trouble::Silent => {
                others.for_each(|other| self.sim.hold(NODES[node], *other));
                self.counts.delays += 1;
            }
            Trouble::SlowDisk => {
                self.disks[node].slow_down(Some(Duration::from_millis(100 + self.random.below(900))));
                self.counts.slow_disks += 1;
            }
            Trouble::FullDisk => {
                self.disks[node].limit_space(Some(self.random.below(4_000)));
                self.counts.full_disks += 1;
            }
        }
        self.trouble = Some((node, trouble));
    }

    fn heal(&mut self) -> Result<(), String> {
        if let Some((node, trouble)) = self.trouble.take() {
            self.trace.note(&format!("{node} is whole again"));
            let others = NODES.iter().filter(|name| **name != NODES[node]);
            match trouble {
                Trouble::Down => self.sim.bounce(NODES[node]),
                Trouble::CutOff => heal(self.sim, &NODES),
                Trouble::Silent => others.for_each(|other| self.sim.release(NODES[node], *other)),
                Trouble::SlowDisk => self.disks[node].slow_down(None),
                Trouble::FullDisk => self.disks[node].limit_space(None),
            }
        }
        self.is_whole_before_long()
    }
}

/// What a statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    LoggedBatch,
    Truncation,
    /// It changes what there is.
    Change,
}

impl Kind {
    fn of(statement: &str) -> Self {
        let mut words = statement.split_whitespace().map(str::to_ascii_uppercase);
        let first = words.next().unwrap_or_default();
        match (first.as_str(), words.next().unwrap_or_default().as_str()) {
            ("SELECT", _) => Self::Read,
            ("INSERT" | "UPDATE" | "DELETE", _) | ("BEGIN", "UNLOGGED" | "COUNTER") => Self::Write,
            ("BEGIN", _) => Self::LoggedBatch,
            ("TRUNCATE", _) => Self::Truncation,
            _ => Self::Change,
        }
    }

    const fn needs_all(self) -> bool {
        matches!(self, Self::Truncation | Self::Change)
    }

    /// Nodes may break just before it.
    const fn stands_breaks(self) -> bool {
        matches!(self, Self::Read | Self::Write)
    }

    const fn can_be_repeated(self) -> bool {
        matches!(self, Self::Read | Self::Truncation)
    }
}

/// Runs a seed.
#[must_use]
pub fn run(seed: u64, mutant: Option<&str>) -> Verdict {
    let random = Random::from_seed(seed).split("statements");
    // Keyspaces of a script's own have one copy, and are of one node.
    let scripts: Vec<_> = SCRIPTS.iter().filter(|(_, script)| !script.contains("CREATE KEYSPACE")).collect();
    let (name, script) = *scripts[random.below(scripts.len() as u64) as usize];
    let shared = Arc::new(Shared {
        name,
        cases: cases(script),
        nodes: Mutex::default(),
        asked: Mutex::default(),
        answered: Mutex::default(),
    });
    let mut sim = network(seed);
    let machines = machines(&random, &NODES, mutant);
    let of_hosts = Arc::clone(&shared);
    let live = move |machine| Host { machine, shared: Arc::clone(&of_hosts) }.run();
    let disks = hosts(&mut sim, &NODES, machines, live);
    let mut client = Client {
        sim: &mut sim,
        random: random.split("client"),
        shared,
        disks,
        trouble: None,
        counts: Counts::default(),
        trace: Trace::default(),
        acknowledged: 0,
        judged: 0,
    };
    let violation = client.run().err();
    let verdict = Verdict {
        trace: client.trace.hash(),
        acknowledged: client.acknowledged,
        judged: client.judged,
        restarts: client.counts.restarts,
        changes: 0,
        faults: client.counts,
        violation,
    };
    drop(sim);
    verdict
}
