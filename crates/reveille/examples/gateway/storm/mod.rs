//! `--storm`: all that production does to a scheduler, in seconds, and then the reckoning.
//!
//! | file | what it does |
//! | --- | --- |
//! | `plan` | the targets, and every random choice |
//! | `drive` | the threads, over either scheduler |
//! | `arena` | what targets do, and what is seen of it from outside |
//! | `real` | the storm over Reveille |
//! | `book` | every beat of one target, accounted for |
//! | `verdict` | the checks, each of which can fail |
//! | `lateness`, `progress`, `gaps` | what is shown |

mod arena;
mod book;
mod drive;
mod gaps;
mod lateness;
mod plan;
mod progress;
mod real;
mod verdict;

pub(crate) use arena::{Arena, PATIENCE};
pub(crate) use drive::{Scheduler, drive};
pub(crate) use plan::{Act, Plan, silence_tantrums, tantrum};

pub(crate) use verdict::counters_table;

use real::Real;
use reveille::StopReport;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};
use verdict::Verdict;

/// How long what waits may take to run once nothing new is asked for.
const QUIESCE: Duration = Duration::from_secs(5);
/// How long runs in flight may take to end at the stop; by then there is none.
const DRAIN: Duration = Duration::from_secs(2);
/// How long nothing must start after the stop.
const SILENCE: Duration = Duration::from_millis(100);

/// Storms, and says how it went. True if all was as promised.
pub(crate) fn run(plan: Plan) -> Result<bool, Box<dyn Error>> {
    silence_tantrums();
    let arena = Arc::new(Arena::new(plan));
    let real = Real::new(&arena)?;
    let (deeds, watch) = drive(&real, &arena);

    // Now, and not after the rest has had the time to run: nobody may have starved until here.
    let mut verdict = Verdict::default();
    verdict.storm(&arena, &real, &deeds, &watch);
    arena.calm_down();
    let stopped_beating = real.hub.now();
    real.stop_beating();
    let quiet = quiesce(&real);
    verdict.quiesced(&arena, &real, quiet, stopped_beating);

    let report = stop(&real);
    verdict.stopped(&real, report);
    std::thread::sleep(SILENCE);
    verdict.silent(&arena, &real);
    let counters = real.hub.counters();
    real.driver.join();

    println!("{}\n", counters_table(&counters));
    println!("{}\n", verdict::accounts_table(&real.ledger));
    println!("{}\n", gaps::table(&real.ledger));
    println!("{}\n", real::lock(&real.ledger.lateness).table());
    println!(
        "stop: {} in flight, {} left, {} wakes discarded",
        report.in_flight, report.left, report.discarded
    );
    Ok(verdict.print())
}

/// Waits until nothing waits and nothing runs, twice in a row: a run that has ended is counted
/// a turn later. False if that takes too long.
fn quiesce(real: &Real) -> bool {
    let until = Instant::now() + QUIESCE;
    let mut quiet = 0;
    while quiet < 3 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
        let snapshot = real.hub.snapshot();
        let still = snapshot.counters.pending == 0 && snapshot.in_flight == 0;
        quiet = if still { quiet + 1 } else { 0 };
    }
    quiet >= 3
}

fn stop(real: &Real) -> StopReport {
    real.hub.drain(DRAIN).wait()
}
