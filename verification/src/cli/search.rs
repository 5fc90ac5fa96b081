//! Random schedules, on the engine and on the oracle.

use std::time::{Duration, Instant};

use clap::Args;
use reveille_verification::lab::CheckResult;
use reveille_verification::props::schedules::engine_against_oracle;
use reveille_verification::scenario::hands::DrivenBy;

use crate::cli::family::{Family, Session};

/// Schedules by default; some ten seconds.
const CASES: u32 = 20_000;

/// Schedules under `--exhaustive`; about an hour.
const MANY_CASES: u32 = 5_000_000;

/// Schedules between two lines of progress; each such batch counts as one check.
const BATCH: u32 = 4_000;

/// What `verify search` can be told.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// How many schedules [default: 20000, with --exhaustive 5000000].
    #[arg(long)]
    cases: Option<u32>,
    /// Where the random numbers start: the same seed finds the same schedules.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Who drives the engine.
    #[arg(long, value_enum, default_value_t)]
    driver: DrivenBy,
}

impl Default for Options {
    fn default() -> Self {
        Self { cases: None, seed: 1, driver: DrivenBy::Hand }
    }
}

/// The family.
pub(crate) struct Search(pub(crate) Options);

impl Family for Search {
    fn name(&self) -> &'static str {
        "search"
    }

    fn budget(&self, exhaustive: bool) -> Option<Duration> {
        Some(Duration::from_secs(if exhaustive { 3600 } else { 30 }))
    }

    fn is_whole(&self) -> bool {
        self.0.cases.is_none() && self.0.driver == DrivenBy::Hand
    }

    fn has_table(&self) -> bool {
        false
    }

    /// A batch at a time, until one differs.
    fn run(&self, session: &Session) -> Vec<CheckResult> {
        let by_default = if session.exhaustive { MANY_CASES } else { CASES };
        let cases = self.0.cases.unwrap_or(by_default);
        let mut results = Vec::new();
        let mut done = 0;
        while done < cases {
            let batch = BATCH.min(cases - done);
            // Each batch has a seed of its own, so that one can be repeated alone.
            let seed = self.0.seed.wrapping_add(u64::from(done / BATCH));
            let start = Instant::now();
            let found = engine_against_oracle(batch, seed, self.0.driver);
            done += batch;
            let failure = match found {
                Ok(()) => {
                    println!("schedules: {done} of {cases} agree (seed {seed})");
                    None
                }
                Err(found) => {
                    println!("schedules: engine (first) and oracle differ (seed {seed}):");
                    println!("{found}");
                    Some(found.to_string())
                }
            };
            let differs = failure.is_some();
            results.push(CheckResult {
                name: format!("seed-{seed}"),
                law: "The engine agrees with the oracle in all that can be seen.".to_owned(),
                executions: u64::from(batch),
                sampled: true,
                seconds: start.elapsed().as_secs_f64(),
                failure,
                ..CheckResult::default()
            });
            if differs {
                break;
            }
        }
        results
    }
}
