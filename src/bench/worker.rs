//! A thread of the loader: keeps the pipelines of its connections full.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::{Duration, Instant};

use dodona_protocol::response::ResultResponse;
use dodona_protocol::{Envelope, Opcode, Response};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

use super::link::Link;
use super::operation::OperationKind;
use super::pace::{Pace, Timer};
use super::reach::{self, PATIENCE};
use super::schema::Statements;
use super::stats::Stats;
use super::verify::Ledger;
use super::workload::{Begun, Generator, Mix, ScanPosition, share};
use super::{BenchArgs, BenchError, Context};

/// How long a phase is and at what pace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phase {
    operations: u64,
    seconds: Option<f64>,
    rate: Option<f64>,
}

impl Phase {
    /// Writes a thread's part of the rows, or reads it back.
    pub(super) fn load(args: &BenchArgs, thread: usize) -> Self {
        let (from, to) = share(args, thread);
        Self { operations: to - from, seconds: None, rate: None }
    }

    /// As fast as it goes, for whoever compiles what runs often.
    pub(super) fn warm_up(args: &BenchArgs) -> Self {
        Self { operations: args.warmup.div_ceil(args.threads as u64), seconds: None, rate: None }
    }

    /// What is measured.
    pub(super) fn measured(args: &BenchArgs, thread: usize) -> Self {
        let part = |index: usize| args.operations * index as u64 / args.threads as u64;
        let operations = match args.duration {
            Some(_) => u64::MAX,
            None => part(thread + 1) - part(thread),
        };
        Self { operations, seconds: args.duration, rate: args.rate }
    }
}

/// A thread's connections.
#[derive(Debug)]
pub(super) struct Worker {
    runtime: Runtime,
    context: Arc<Context>,
    /// Position among all threads' connections of the first of this thread's.
    first: usize,
    connections: Vec<Connection>,
}

impl Worker {
    /// Opens the connections of the thread with this index.
    pub(super) fn connect(context: &Arc<Context>, thread: usize) -> Result<Self, BenchError> {
        let runtime = runtime()?;
        let args = &context.args;
        let first = (0..thread).map(|earlier| args.connections_of(earlier)).sum();
        let connections = runtime.block_on(async {
            let mut connections = Vec::new();
            for index in 0..args.connections_of(thread) {
                let opened = reach::open_prepared(args, first + index, PATIENCE).await?;
                connections.push(Connection::new(context, opened, first + index));
            }
            Ok::<_, BenchError>(connections)
        })?;
        Ok(Self { runtime, context: Arc::clone(context), first, connections })
    }

    /// Runs a phase on all connections and returns what it gave.
    pub(super) fn run(&mut self, phase: &Phase, mix: Mix) -> Result<Stats, BenchError> {
        let args = &self.context.args;
        let shared = Rc::new(Shared {
            began: Instant::now(),
            operations_left: Cell::new(phase.operations),
            deadline: phase.seconds.map(|seconds| (seconds * 1e9) as u64),
            mix: RefCell::new(mix),
        });
        let connections = std::mem::take(&mut self.connections);
        let local = LocalSet::new();
        let done = local.block_on(&self.runtime, async {
            let mut tasks = Vec::new();
            for (index, mut connection) in connections.into_iter().enumerate() {
                let mut pace = Pace::new(phase.rate, args.connections, self.first + index)?;
                let shared = Rc::clone(&shared);
                tasks.push(tokio::task::spawn_local(async move {
                    connection.drive(&shared, &mut pace).await.map(|()| connection)
                }));
            }
            let mut done = Vec::new();
            for task in tasks {
                done.push(task.await.map_err(|_| BenchError::ThreadDied)??);
            }
            Ok::<_, BenchError>(done)
        })?;
        self.connections = done;
        let mut stats = Stats::new();
        for connection in &mut self.connections {
            stats.add(&std::mem::replace(&mut connection.stats, Stats::new()));
        }
        Ok(stats)
    }
}

/// A runtime for one thread.
pub(super) fn runtime() -> Result<Runtime, BenchError> {
    Builder::new_current_thread().enable_io().build().map_err(BenchError::io("start a runtime"))
}

/// What the connections of a thread share during a phase.
#[derive(Debug)]
struct Shared {
    began: Instant,
    operations_left: Cell<u64>,
    /// In nanoseconds since the phase began.
    deadline: Option<u64>,
    mix: RefCell<Mix>,
}

impl Shared {
    /// Nanoseconds since the phase began.
    #[inline]
    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// True if no further operation may start.
    #[inline]
    fn is_over(&self, now: u64) -> bool {
        self.operations_left.get() == 0 || self.deadline.is_some_and(|deadline| now >= deadline)
    }
}

/// An operation that has no answer yet, by its stream id.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    begun: Begun,
    /// What its latency counts from.
    started: u64,
}

/// How long a server may owe answers and say nothing; twice as long at most.
const SILENCE: Duration = Duration::from_secs(10);

/// Tells that a server has fallen silent, if that is looked for.
#[derive(Debug)]
struct Silence(Option<Timer>);

impl Silence {
    fn new(looked_for: bool) -> Result<Self, BenchError> {
        let mut timer = if looked_for { Some(Timer::new()?) } else { None };
        timer.as_mut().map_or(Ok(()), |timer| timer.arm(SILENCE.as_nanos() as u64))?;
        Ok(Self(timer))
    }

    /// Ready when the time is over; with an error if nothing was heard in it.
    fn poll(&mut self, context: &mut TaskContext<'_>, heard: &mut bool) -> Poll<Result<(), BenchError>> {
        let Some(timer) = &mut self.0 else { return Poll::Pending };
        ready!(timer.poll(context));
        let was_heard = std::mem::take(heard);
        Poll::Ready(if was_heard {
            timer.arm(SILENCE.as_nanos() as u64)
        } else {
            Err(BenchError::Silent(SILENCE))
        })
    }
}

/// A connection and its pipeline.
#[derive(Debug)]
struct Connection {
    context: Arc<Context>,
    /// Position among all threads' connections.
    number: usize,
    link: Link,
    generator: Generator,
    /// Streams without an operation.
    free: Vec<i16>,
    in_flight: Vec<InFlight>,
    positions: Vec<ScanPosition>,
    stats: Stats,
    /// The server has said something, or owed nothing, since [`Silence`] was ready.
    heard: bool,
}

impl Connection {
    fn new(context: &Arc<Context>, (link, statements): (Link, Statements), number: usize) -> Self {
        let depth = context.args.depth;
        let generator = Generator::new(context, &statements, link.encoding(), number as u64);
        let begun = Begun { kind: OperationKind::Read, key: 0, round: 0 };
        Self {
            context: Arc::clone(context),
            number,
            link,
            generator,
            free: (0..depth as i16).rev().collect(),
            in_flight: vec![InFlight { begun, started: 0 }; depth],
            positions: vec![ScanPosition::default(); depth],
            stats: Stats::new(),
            heard: true,
        }
    }

    /// Runs one phase: until nothing may start and nothing is in flight. What is verified has to hold whatever becomes of a
    /// connection, so that another one is opened then.
    async fn drive(&mut self, shared: &Shared, pace: &mut Pace) -> Result<(), BenchError> {
        loop {
            match self.drive_link(shared, pace).await {
                Err(error) if error.is_of_connection() && self.context.ledger.is_some() => {
                    self.give_up(shared);
                    let Self { context, number, .. } = self;
                    let (link, statements) = reach::open_prepared(&context.args, *number, PATIENCE).await?;
                    let seed = self.generator.next_seed();
                    self.generator = Generator::new(context, &statements, link.encoding(), seed);
                    self.link = link;
                }
                ended => return ended,
            }
        }
    }

    /// The connection is gone: what was in flight may have happened or not.
    fn give_up(&mut self, shared: &Shared) {
        self.stats.lost += 1;
        let mut mix = shared.mix.borrow_mut();
        for stream in (0..self.in_flight.len() as i16).rev() {
            if self.free.contains(&stream) {
                continue;
            }
            let begun = self.in_flight[stream as usize].begun;
            if let Some(ledger) = self.context.ledger.as_ref().filter(|_| begun.kind.is_write()) {
                ledger.end(begun.key, false);
            }
            if mix.take_back(begun, false) {
                shared.operations_left.update(|left| left + 1);
            } else {
                self.stats.unanswered += 1;
            }
        }
        self.free = (0..self.in_flight.len() as i16).rev().collect();
    }

    /// The same on one connection.
    async fn drive_link(&mut self, shared: &Shared, pace: &mut Pace) -> Result<(), BenchError> {
        let mut silence = Silence::new(self.context.ledger.is_some())?;
        self.heard = true;
        loop {
            let now = shared.now();
            self.issue(shared, pace, now);
            self.link.flush()?;
            let over = shared.is_over(now);
            if over && self.free.len() == self.in_flight.len() {
                return Ok(());
            }
            if !over && !self.free.is_empty() {
                pace.arm(now)?;
            }
            std::future::poll_fn(|context| match self.link.poll_progress(context) {
                Poll::Pending => match pace.poll_due(context) {
                    Poll::Pending => silence.poll(context, &mut self.heard),
                    due => due.map(Ok),
                },
                progress => progress,
            })
            .await?;
            let owed = self.free.len();
            self.receive(shared)?;
            self.heard |= self.free.len() > owed;
        }
    }

    /// Starts as many operations as may start.
    fn issue(&mut self, shared: &Shared, pace: &mut Pace, now: u64) {
        if self.free.is_empty() || shared.is_over(now) {
            return;
        }
        self.heard |= self.free.len() == self.in_flight.len();
        let Self { link, generator, free, in_flight, positions, .. } = self;
        let mut mix = shared.mix.borrow_mut();
        link.write(|out| {
            while let Some(&stream) = free.last() {
                if shared.operations_left.get() == 0 {
                    break;
                }
                let Some(started) = pace.start(now) else { break };
                shared.operations_left.update(|left| left - 1);
                free.pop();
                let slot = stream as usize;
                let begun = generator.append(&mut mix, stream, &mut positions[slot], out);
                in_flight[slot] = InFlight { begun, started };
            }
        });
    }

    /// Takes what has been answered.
    fn receive(&mut self, shared: &Shared) -> Result<(), BenchError> {
        let Self { context, link, free, in_flight, positions, stats, .. } = self;
        let (now, ledger) = (shared.now(), context.ledger.as_ref());
        link.take_envelopes(|envelope| {
            let stream = envelope.header.stream;
            let slot = usize::try_from(stream).ok().filter(|slot| *slot < in_flight.len());
            let slot =
                slot.ok_or(BenchError::Arguments("the server answered on a stream that was not used"))?;
            let InFlight { begun, started } = in_flight[slot];
            let succeeded = take_answer(begun, envelope, &mut positions[slot], stats, ledger)?;
            if succeeded {
                stats.record(begun.kind, now.saturating_sub(started));
            } else if shared.mix.borrow_mut().take_back(begun, true) {
                shared.operations_left.update(|left| left + 1);
            }
            if let Some(ledger) = ledger.filter(|_| begun.kind.is_write()) {
                ledger.end(begun.key, succeeded);
            }
            free.push(stream);
            Ok(())
        })
    }
}

/// Looks at an answer; returns whether the operation succeeded.
#[inline]
fn take_answer(
    begun: Begun,
    envelope: &Envelope<'_>,
    position: &mut ScanPosition,
    stats: &mut Stats,
    ledger: Option<&Ledger>,
) -> Result<bool, BenchError> {
    let is_result = envelope.header.opcode == Opcode::Result;
    if is_result && begun.kind.is_write() {
        return Ok(true);
    }
    let (_, response) = Response::decode(&envelope.header, envelope.body)?;
    match response {
        Response::Result(ResultResponse::Rows(rows)) => {
            stats.rows += rows.row_count as u64;
            stats.missing += u64::from(rows.row_count == 0 && position.is_at_start());
            position.advance(rows.metadata.paging_state);
            if let Some(ledger) = ledger {
                let Begun { key, round, .. } = begun;
                let found = rows.cells().next().transpose()?;
                // A null value is none that was written.
                let found = found.map(Option::unwrap_or_default);
                stats.findings.note(key, round, ledger.compare(key, round, found));
            }
            Ok(true)
        }
        Response::Error(error) => {
            position.advance(None);
            stats.fail(|| format!("{:?}: {}", error.body.code(), error.message));
            Ok(false)
        }
        other => {
            stats.fail(|| format!("unexpected answer: {other:?}"));
            Ok(false)
        }
    }
}
