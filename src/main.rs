//! The `dodona` binary.

use clap::{Parser, Subcommand};
use dodona::bench::{self, BenchArgs};
use dodona::certificates::{self, CertificatesArgs};
use dodona::cluster::{self, ClusterArgs};
use dodona::dataset::{self, DatasetArgs};
use dodona::nodetool::{self, NodetoolArgs};
use dodona::shell::{self, ShellArgs};
use dodona::start::{self, StartArgs};
use std::process::ExitCode;
use tikv_jemallocator::Jemalloc;

/// A request allocates and frees some kilobytes many times over. With glibc's allocator three nodes did a quarter less once its
/// heap had aged for a minute (`docs/BENCHMARKS.md`).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// A distributed wide-column database, compatible with Apache Cassandra.
#[derive(Debug, Parser)]
#[command(name = "dodona", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    start: StartArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a node (also what `dodona` alone does)
    Start(Box<StartArgs>),
    /// CQL at a prompt
    Shell(Box<ShellArgs>),
    /// Administration of a running node
    Nodetool(Box<NodetoolArgs>),
    /// Several nodes on this machine
    Cluster(ClusterArgs),
    /// An authority and certificates for TLS
    Certificates(CertificatesArgs),
    /// Load a node and measure it
    Bench(Box<BenchArgs>),
    /// Rows of mixed types made from a seed, to load and to compare
    Dataset(DatasetArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse_from(nodetool::with_two_dashes(std::env::args()));
    let result = match cli.command {
        None => start::run(&cli.start).map_err(|error| error.to_string()),
        Some(Command::Start(args)) => start::run(&args).map_err(|error| error.to_string()),
        Some(Command::Shell(args)) => shell::run(&args).map_err(|error| error.to_string()),
        Some(Command::Nodetool(args)) => nodetool::run(&args).map_err(|error| error.to_string()),
        Some(Command::Cluster(args)) => cluster::run(&args).map_err(|error| error.to_string()),
        Some(Command::Certificates(args)) => certificates::run(&args).map_err(|error| error.to_string()),
        Some(Command::Bench(args)) => bench::run(&args).map_err(|error| error.to_string()),
        Some(Command::Dataset(args)) => dataset::run(&args).map_err(|error| error.to_string()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dodona: {error}");
            ExitCode::FAILURE
        }
    }
}
