//! `dodona bench`: loads a node through the native protocol and measures throughput, latency and
//! the server's CPU time. It works on any server of the protocol, so that two can be compared.
//!
//! Roles: `link` is a connection, `schema` makes the tables and prepares the statements,
//! `workload` chooses operations and encodes them, `pace` says when one may start, `worker`
//! keeps a connection's pipeline full, `reach` opens connections, `verify` compares what is read with what was acknowledged,
//! `report` prints. `noop_server` is the floor that figures are compared with: a server of the same shape that does no work.
//!
//! The loader has to cost less than what it measures: a thread runs all its connections, takes
//! one time stamp per socket read, answers a read with one write, and encodes a request by
//! copying a template.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the outermost layer of the binary: it talks to real sockets in real time"
)]

mod args;
mod error;
mod link;
mod noop_server;
mod operation;
mod pace;
mod process;
mod reach;
mod report;
mod schema;
mod stats;
mod verify;
mod worker;
mod workload;

pub use args::{BenchArgs, Workload};
pub use error::BenchError;

use std::sync::{Arc, Barrier};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use process::CpuTime;
use stats::Stats;
use verify::{Ledger, Verified};
use worker::{Phase, Worker};
use workload::Mix;

/// What every thread knows.
#[derive(Debug)]
struct Context {
    args: BenchArgs,
    /// What was acknowledged, if that is to be verified.
    ledger: Option<Ledger>,
}

/// Runs what `args` ask for and prints the figures.
///
/// # Errors
/// If the server cannot be reached, does not speak the protocol, or refuses the schema; with `--verify` also if not all is
/// as it was acknowledged.
pub fn run(args: &BenchArgs) -> Result<(), BenchError> {
    if let Some(address) = args.no_op_server {
        process::pin(args.pin)?;
        return noop_server::serve(address, args.value_bytes);
    }
    args.check()?;
    let measured = measure(args)?;
    report::print(args, &measured);
    measured.verified.map_or(Ok(()), |verified| verified.check())
}

/// What a run gave.
#[derive(Debug)]
struct Measured {
    stats: Stats,
    seconds: f64,
    /// CPU time of the server, if its process was named.
    server_cpu_seconds: Option<f64>,
    /// CPU time of the loader itself.
    loader_cpu_seconds: f64,
    /// What `--verify` gave.
    verified: Option<Verified>,
}

/// Loads, warms up and measures, with all threads in step.
fn measure(args: &BenchArgs) -> Result<Measured, BenchError> {
    worker::runtime()?.block_on(async { schema::define(&mut reach::open(args).await?, args).await })?;
    let began = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64);
    let ledger = args.verify.then(|| Ledger::new(args, began));
    let context = Arc::new(Context { args: args.clone(), ledger });
    // Everyone meets before and after the measured phase; the main thread keeps the time.
    let (start, end) = (Barrier::new(args.threads + 1), Barrier::new(args.threads + 1));
    std::thread::scope(|scope| {
        let spawn = |index| {
            let (context, start, end) = (&context, &start, &end);
            scope.spawn(move || run_thread(context, index, [start, end]))
        };
        let threads: Vec<_> = (0..args.threads).map(spawn).collect();
        start.wait();
        let (began, server, loader) = (Instant::now(), CpuTime::of(args.server_pid), CpuTime::of_self());
        end.wait();
        let seconds = began.elapsed().as_secs_f64();
        let server_cpu_seconds = server.and_then(CpuTime::elapsed_seconds);
        let loader_cpu_seconds = loader.and_then(CpuTime::elapsed_seconds).unwrap_or_default();
        let (mut stats, mut read_back) = (Stats::new(), Stats::new());
        for thread in threads {
            let (measured, back) = thread.join().map_err(|_| BenchError::ThreadDied)??;
            stats.add(&measured);
            back.iter().for_each(|back| read_back.add(back));
        }
        stats.lost += read_back.lost;
        let unread = args.keys.saturating_sub(read_back.findings.compared);
        let verified = context.ledger.as_ref().map(|_| Verified {
            meanwhile: stats.findings.clone(),
            at_the_end: read_back.findings,
            unread,
            first_unread: read_back.first_error.filter(|_| unread > 0),
        });
        Ok(Measured { stats, seconds, server_cpu_seconds, loader_cpu_seconds, verified })
    })
}

/// What a thread measured, and what came of reading its part of the rows back, if that is to be done.
type OfThread = (Stats, Option<Stats>);

/// Measures between the two meetings, which it comes to whatever happens.
fn run_thread(
    context: &Arc<Context>,
    index: usize,
    [start, end]: [&Barrier; 2],
) -> Result<OfThread, BenchError> {
    let args = &context.args;
    let prepared = prepare_thread(context, index);
    start.wait();
    let phase = Phase::measured(args, index);
    let measured = prepared.and_then(|(mut worker, before)| {
        let mut stats = worker.run(&phase, Mix::of(args.workload))?;
        stats.lost += before.lost;
        stats.unanswered += before.unanswered;
        Ok((worker, stats))
    });
    end.wait();
    let (mut worker, stats) = measured?;
    if context.ledger.is_none() {
        return Ok((stats, None));
    }
    // Once nobody writes any more: a row of this part may have been another thread's to write.
    let read_back = worker.run(&Phase::load(args, index), Mix::read_back(args, index))?;
    Ok((stats, Some(read_back)))
}

/// Connects, loads and warms up. Gives what came of that as well.
fn prepare_thread(context: &Arc<Context>, index: usize) -> Result<(Worker, Stats), BenchError> {
    let args = &context.args;
    process::pin(args.pin.map(|cpu| cpu + index))?;
    let mut worker = Worker::connect(context, index)?;
    let mut stats = Stats::new();
    if args.workload != Workload::Write && !args.no_load {
        stats.add(&worker.run(&Phase::load(args, index), Mix::load(args, index))?);
    }
    stats.add(&worker.run(&Phase::warm_up(args), Mix::of(args.workload))?);
    Ok((worker, stats))
}

#[cfg(test)]
mod tests;
