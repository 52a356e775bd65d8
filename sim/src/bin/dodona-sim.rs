//! Runs seeds of the simulation: `dodona-sim --seed 7`, `dodona-sim --seeds 100`,
//! `dodona-sim --mutants`.

use clap::Parser;
use dodona_sim::{MUTANTS, Scenario, ring, run_twice, single};
use std::process::ExitCode;

/// Runs the production node on a simulated disk, clock and network.
#[derive(Parser)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds, one after another.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Switches a defect on; the run should then fail.
    #[arg(long)]
    mutant: Option<String>,
    /// Runs every known defect until a seed finds it, and fails if none of `seeds` does.
    #[arg(long)]
    mutants: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.mutants {
        return find_mutants(&arguments);
    }
    let (mut acknowledged, mut judged, mut restarts) = (0, 0, 0);
    for seed in arguments.seed..arguments.seed + arguments.seeds {
        for scenario in [Scenario::Single, Scenario::Ring] {
            match run_twice(scenario, seed, arguments.mutant.as_deref()) {
                Ok(verdict) => {
                    acknowledged += verdict.acknowledged;
                    judged += verdict.judged;
                    restarts += verdict.restarts;
                }
                Err(violation) => {
                    eprintln!("{scenario:?}: {violation}");
                    eprintln!("replay: dodona-sim --seed {seed}");
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    println!(
        "{} seeds from {}, each twice: {acknowledged} writes acknowledged, {judged} rows judged, {restarts} restarts, no promise broken",
        arguments.seeds, arguments.seed
    );
    ExitCode::SUCCESS
}

fn find_mutants(arguments: &Arguments) -> ExitCode {
    let mut missed = 0;
    println!("{:<28} {:>6}  how", "mutant", "seeds");
    for (mutant, scenario) in MUTANTS {
        let caught = (arguments.seed..arguments.seed + arguments.seeds).find_map(|seed| {
            let verdict = match scenario {
                Scenario::Single => single::run(seed, Some(mutant)),
                Scenario::Ring => ring::run(seed, Some(mutant)),
            };
            verdict.violation.map(|violation| (seed - arguments.seed + 1, violation))
        });
        match caught {
            Some((seeds, violation)) => println!("{mutant:<28} {seeds:>6}  {violation}"),
            None => {
                missed += 1;
                println!("{mutant:<28} {:>6}  NOT CAUGHT", arguments.seeds);
            }
        }
    }
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
