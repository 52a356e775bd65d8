//! The `dodona` binary.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use dodona::bench::{self, BenchArgs};

/// A distributed wide-column database, compatible with Apache Cassandra.
#[derive(Debug, Parser)]
#[command(name = "dodona", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load a node and measure it
    Bench(Box<BenchArgs>),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Bench(args) => bench::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dodona: {error}");
            ExitCode::FAILURE
        }
    }
}
