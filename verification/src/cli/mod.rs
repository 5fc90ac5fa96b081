//! The command line: families of checks, run one after the other.

mod family;
mod faults;
mod fuzz;
mod litmus;
mod loom;
mod progress;
mod props;
mod report;
mod scenario;
mod search;
mod searched;
mod shuttle;
mod soak;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use family::{Family, Session, Tally};

/// Checks everything that Reveille promises, as far as it can be checked.
#[derive(Parser)]
#[command(name = "verify", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Search for as long as it takes: no bounds, all variants. For a night.
    #[arg(long, global = true)]
    exhaustive: bool,
    /// Kill a check that takes longer [default: 600, with --exhaustive 43200].
    #[arg(long, global = true, value_name = "SECONDS")]
    timeout: Option<u64>,
}

#[derive(Subcommand)]
enum Command {
    /// All families; what happens without a command.
    All,
    /// Generated histories of the hub against the oracle.
    Props(props::Options),
    /// Models: interleavings of two or three threads, searched on loom with a complete search.
    Loom(loom::Options),
    /// Lock-freedom by freezing threads, and random programs, scheduled by shuttle.
    Shuttle(searched::Names),
    /// The checkers checked: what loom and our twin of `ArcSwap` admit and forbid.
    Litmus(searched::Names),
    /// Seeded faults: each must be found by the checks that are named for it.
    Faults(searched::Names),
    /// Play scenario files, or all *.scn files below folders.
    Scenario(scenario::Options),
    /// Play random schedules on the engine and on the oracle, and compare all that can be seen.
    Search(search::Options),
    /// Schedules and scenario texts, mutated under the guidance of coverage.
    Fuzz(fuzz::Options),
    /// The storm: a service under load, reloads, panics and hangs, on real threads in real time; and ten
    /// simulated years with a reload every hour, beat by beat.
    Soak(soak::Options),
    /// What was checked, as one page of HTML.
    Report(report::Options),
}

/// Runs what the arguments ask for. The last line tells how many checks passed and failed.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let exhaustive = arguments.exhaustive;
    let seconds = arguments.timeout.unwrap_or(if exhaustive { 43_200 } else { 600 });
    let session = Session::new(exhaustive, Duration::from_secs(seconds));
    let mut tally = Tally::default();
    for family in families(arguments.command.unwrap_or(Command::All)) {
        tally = tally.and(session.run(&*family));
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed == 0 && tally.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn families(command: Command) -> Vec<Box<dyn Family>> {
    match command {
        Command::All => all(),
        Command::Props(options) => vec![Box::new(props::Props(options))],
        Command::Loom(options) => vec![Box::new(loom::Loom(options))],
        Command::Shuttle(names) => vec![Box::new(shuttle::Shuttle(names))],
        Command::Litmus(names) => vec![Box::new(litmus::Litmus(names))],
        Command::Faults(names) => vec![Box::new(faults::Faults(names))],
        Command::Scenario(options) => vec![Box::new(scenario::Scenarios::of(options))],
        Command::Search(options) => vec![Box::new(search::Search(options))],
        Command::Fuzz(options) => vec![Box::new(fuzz::Fuzz(options))],
        Command::Soak(options) => vec![Box::new(soak::Soak(options))],
        Command::Report(options) => vec![Box::new(report::Report(options))],
    }
}

/// Cheap ones first; the report last, since it tells of the others.
fn all() -> Vec<Box<dyn Family>> {
    vec![
        Box::new(scenario::Scenarios::own()),
        Box::new(props::Props(props::Options::default())),
        Box::new(litmus::Litmus(searched::Names::default())),
        Box::new(loom::Loom(loom::Options::default())),
        Box::new(shuttle::Shuttle(searched::Names::default())),
        Box::new(faults::Faults(searched::Names::default())),
        Box::new(fuzz::Fuzz(fuzz::Options::default())),
        Box::new(soak::Soak(soak::Options::default())),
        Box::new(report::Report(report::Options::default())),
    ]
}
