//! Searches for broken promises: random schedules against the oracle and the laws, histories of
//! the shared words, and the whole hub on real threads.
//!
//! | module | what it searches |
//! | --- | --- |
//! | [`schedules`] | schedules on virtual time, one thread: engine against oracle, and [`laws`] |
//! | [`histories`] | histories of handler slot and deadline slot on real threads, linearizable? |
//! | [`threads`] | schedules on real threads, real time and a real driver |
//! | [`decade`] | ten simulated years with a reload every hour, beat by beat |
//! | [`fuzz`] | the same schedules and the parser, guided by coverage |
//!
//! All of it is search: what was not drawn was not looked at, and on real threads the machine
//! chooses the interleaving. Each result says how many cases there were.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::lab::CheckResult;

pub mod decade;
pub mod fuzz;
pub mod histories;
pub mod laws;
pub mod linear;
pub mod schedules;
pub mod threads;

/// Is told how far a search is: cases done, of how many, and what is searched.
pub type Progress<'progress> = &'progress dyn Fn(u64, u64, &str);

/// How much to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Where the random numbers start.
    pub seed: u64,
    /// Schedules that are compared with the oracle; a quarter more are watched by the laws alone.
    pub schedules: u32,
    /// For how long histories of each of the two slots are recorded.
    pub histories: Duration,
    /// For how long hubs run on real threads.
    pub threads: Duration,
}

impl Default for Budget {
    /// At most a minute on two cores.
    fn default() -> Self {
        Self {
            seed: 1,
            schedules: 20_000,
            histories: Duration::from_secs(4),
            threads: Duration::from_secs(15),
        }
    }
}

/// All properties. Failing schedules are saved in `failures`.
#[must_use]
pub fn run(budget: &Budget, failures: &Path, progress: Progress<'_>) -> Vec<CheckResult> {
    let mut all = schedules::check(budget.schedules, budget.seed, failures, progress);
    all.extend(histories::check(budget.histories, budget.seed, progress));
    all.push(threads::check(budget.threads, budget.seed, progress));
    all
}

/// Real threads for as long as that: the hub, and the histories of its slots between.
#[must_use]
pub fn soak(time: Duration, seed: u64, progress: Progress<'_>) -> Vec<CheckResult> {
    let mut all = histories::check(time / 10, seed, progress);
    all.push(threads::check(time - 2 * (time / 10), seed, progress));
    all
}

/// Measures a search.
fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed().as_secs_f64())
}

/// The result of a search by drawing. A search without a case is a failure.
fn drawn(
    name: &str,
    law: &str,
    promises: &[u8],
    cases: u64,
    failure: Option<String>,
) -> CheckResult {
    CheckResult {
        name: name.to_owned(),
        promises: promises.iter().map(|promise| format!("P{promise}")).collect(),
        law: law.to_owned(),
        executions: cases,
        sampled: true,
        failure: failure.or_else(|| (cases == 0).then(|| "there was no case".to_owned())),
        ..CheckResult::default()
    }
}
