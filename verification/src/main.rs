//! `verify`: everything the project can check about itself.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use reveille_verification::engine_search::engine_against_oracle;
use reveille_verification::files::{below, play_file};
use reveille_verification::under_test::subject;

/// Checks Reveille against its scenarios.
#[derive(Parser)]
#[command(name = "verify", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Play scenario files, or all *.scn files below folders.
    Scenario {
        /// The files and folders.
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Print the trace of those that pass, too.
        #[arg(long)]
        trace: bool,
    },
    /// Play random schedules on the engine and on the oracle, and compare all that can be seen.
    Search {
        /// How many schedules.
        #[arg(long, default_value_t = CASES)]
        cases: u32,
        /// Where the random numbers start: the same seed finds the same schedules.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

/// Schedules of a plain `verify`; some ten seconds.
const CASES: u32 = 20_000;

/// Schedules between two lines of progress; each such batch counts as one check.
const BATCH: u32 = 4_000;

fn main() -> ExitCode {
    let tally = match Arguments::parse().command {
        Some(Command::Scenario { paths, trace }) => scenarios(&paths, trace),
        Some(Command::Search { cases, seed }) => search(cases, seed),
        None => everything(),
    };
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed == 0 && tally.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How many checks passed and failed.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
}

impl Tally {
    fn and(self, other: Self) -> Self {
        Self { passed: self.passed + other.passed, failed: self.failed + other.failed }
    }

    fn count(&mut self, passed: bool) {
        if passed {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }
}

/// All checks; further kinds of them join here.
fn everything() -> Tally {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    scenarios(&[own], false).and(search(CASES, 1))
}

/// The engine against the oracle, a batch at a time, until one differs.
fn search(cases: u32, seed: u64) -> Tally {
    let mut tally = Tally::default();
    let mut done = 0;
    while done < cases {
        let batch = BATCH.min(cases - done);
        // Each batch has a seed of its own, so that one can be repeated alone.
        let batch_seed = seed.wrapping_add(u64::from(done / BATCH));
        match engine_against_oracle(batch, batch_seed) {
            Ok(()) => {
                done += batch;
                println!("schedules: {done} of {cases} agree (seed {batch_seed})");
                tally.count(true);
            }
            Err(found) => {
                println!("schedules: engine (first) and oracle differ (seed {batch_seed}):");
                println!("{found}");
                tally.count(false);
                break;
            }
        }
    }
    tally
}

fn scenarios(paths: &[PathBuf], trace: bool) -> Tally {
    let mut tally = Tally::default();
    for path in paths {
        match below(path) {
            Err(why) => {
                println!("{}: expected a scenario or a folder of them, got {why}", path.display());
                tally.count(false);
            }
            Ok(files) => {
                for file in files {
                    let report = play_file(&file, subject);
                    println!("{}", report.text(trace));
                    tally.count(report.passed());
                }
            }
        }
    }
    tally
}
