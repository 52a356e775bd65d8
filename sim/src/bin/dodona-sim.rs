//! Runs seeds of the simulation: `dodona-sim --seed 7`, `dodona-sim --seeds 100`,
//! `dodona-sim --mutants`.

use clap::Parser;
use dodona_sim::{MUTANTS, Scenario, engine, faults, log, run_once, run_twice};
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
    /// What to run: nodes, or histories of the engine alone.
    #[arg(long, value_enum, default_value_t = What::Nodes)]
    scenario: What,
    /// Runs fifteen of sixteen seeds once; the others twice, which has to come to the same.
    #[arg(long)]
    once: bool,
    /// Goes on behind a history that fails, and only counts.
    #[arg(long)]
    count: bool,
    /// Shows on standard error what happens and what nodes log, as `RUST_LOG` filters: `debug`, `dodona_cluster=info`.
    #[arg(long)]
    log: Option<String>,
}

/// What is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// One node, and a ring of three.
    Nodes,
    /// Nodes that join a cluster and leave it.
    Members,
    /// Nodes that repair what they hold.
    Repair,
    /// Nodes in several data centres.
    Centers,
    /// Nodes on which statements are run, with what they have to answer.
    Statements,
    /// The storage engine alone.
    Engine,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(Err(error)) = arguments.log.as_deref().map(log::show) {
        eprintln!("--log: {error}");
        return ExitCode::FAILURE;
    }
    if arguments.scenario == What::Engine {
        return if arguments.mutants { find_engine_mutants(&arguments) } else { run_histories(&arguments) };
    }
    if arguments.mutants {
        return find_mutants(&arguments);
    }
    let (mut acknowledged, mut judged, mut restarts, mut changes) = (0, 0, 0, 0);
    let mut faults = faults::Counts::default();
    for seed in arguments.seed..arguments.seed + arguments.seeds {
        for scenario in scenarios(arguments.scenario) {
            let run = if arguments.once && seed % 16 != 0 { run_once } else { run_twice };
            match run(*scenario, seed, arguments.mutant.as_deref()) {
                Ok(verdict) => {
                    acknowledged += verdict.acknowledged;
                    judged += verdict.judged;
                    restarts += verdict.restarts;
                    changes += verdict.changes;
                    faults = faults.plus(verdict.faults);
                }
                Err(violation) => {
                    eprintln!("{scenario:?}: {violation}");
                    let name = match arguments.scenario {
                        What::Members => " --scenario members",
                        What::Repair => " --scenario repair",
                        What::Centers => " --scenario centers",
                        What::Statements => " --scenario statements",
                        What::Nodes | What::Engine => "",
                    };
                    eprintln!("replay: dodona-sim{name} --seed {seed}");
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    println!(
        "{} seeds from {}, {}: {acknowledged} writes acknowledged, {judged} rows judged, {restarts} restarts, {changes} members started or left, or repairs, no promise broken",
        arguments.seeds,
        arguments.seed,
        if arguments.once { "some twice" } else { "each twice" }
    );
    println!("{faults:?}");
    ExitCode::SUCCESS
}

const fn scenarios(what: What) -> &'static [Scenario] {
    match what {
        What::Nodes => &[Scenario::Single, Scenario::Ring],
        What::Members => &[Scenario::Members],
        What::Repair => &[Scenario::Repair],
        What::Centers => &[Scenario::Centers],
        What::Statements => &[Scenario::Statements],
        What::Engine => &[],
    }
}

fn find_mutants(arguments: &Arguments) -> ExitCode {
    let mut missed = 0;
    println!("{:<28} {:>6}  how", "mutant", "seeds");
    for (mutant, scenario) in MUTANTS.iter().filter(|(_, of)| scenarios(arguments.scenario).contains(of)) {
        let caught = (arguments.seed..arguments.seed + arguments.seeds).find_map(|seed| {
            let verdict = dodona_sim::run(*scenario, seed, Some(mutant));
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

/// Runs histories of the engine. One that fails is cut short and printed.
fn run_histories(arguments: &Arguments) -> ExitCode {
    let mutant = arguments.mutant.as_deref();
    let (mut acknowledged, mut judged, mut restarts, mut failed) = (0, 0, 0, 0_u64);
    for seed in arguments.seed..arguments.seed + arguments.seeds {
        let verdict = engine::run_seed(seed, mutant);
        if let Some(violation) = &verdict.violation {
            failed += 1;
            eprintln!("seed {seed}: {violation}");
            if arguments.count {
                continue;
            }
            let history = engine::generate::history(seed);
            let short = engine::shrink::shrink(&history, |history| {
                let found = engine::run(history, seed, mutant).violation;
                found.is_some_and(|found| engine::shrink::kind(&found) == engine::shrink::kind(violation))
            });
            eprintln!("{} steps, of which these suffice, with {:?}:", history.steps.len(), short.setup);
            short.steps.iter().enumerate().for_each(|(index, step)| eprintln!("  {index}: {step:?}"));
            if let Some(violation) = engine::run(&short, seed, mutant).violation {
                eprintln!("{violation}");
            }
            eprintln!("replay: dodona-sim --scenario engine --seed {seed}");
            return ExitCode::FAILURE;
        }
        if seed % 16 == 0 && engine::run_seed(seed, mutant) != verdict {
            eprintln!("seed {seed} is not deterministic");
            return ExitCode::FAILURE;
        }
        acknowledged += verdict.acknowledged;
        judged += verdict.judged;
        restarts += verdict.restarts;
    }
    println!(
        "{} histories from {}: {acknowledged} writes acknowledged, {judged} reads compared, {restarts} restarts, {failed} failed",
        arguments.seeds, arguments.seed
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn find_engine_mutants(arguments: &Arguments) -> ExitCode {
    let mut missed = 0;
    println!("{:<36} {:>9}  how", "mutant", "histories");
    for mutant in engine::MUTANTS {
        let caught = (arguments.seed..arguments.seed + arguments.seeds).find_map(|seed| {
            let violation = engine::run_seed(seed, Some(mutant)).violation?;
            Some((seed - arguments.seed + 1, violation))
        });
        match caught {
            Some((seeds, violation)) => {
                let short: String = violation.chars().take(160).collect();
                println!("{mutant:<36} {seeds:>9}  {short}");
            }
            None => {
                missed += 1;
                println!("{mutant:<36} {:>9}  NOT CAUGHT", arguments.seeds);
            }
        }
    }
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
