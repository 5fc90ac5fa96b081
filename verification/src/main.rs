//! `verify`: everything the project can check about itself.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
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
}

fn main() -> ExitCode {
    let tally = match Arguments::parse().command {
        Some(Command::Scenario { paths, trace }) => scenarios(&paths, trace),
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
    scenarios(&[own], false)
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
