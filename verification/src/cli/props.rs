//! Generated schedules and histories: against the oracle, the laws, and on real threads.

use std::time::Duration;

use clap::Args;
use reveille_verification::lab::{CheckResult, checks, results_folder};
use reveille_verification::props::{self, Budget};

use crate::cli::family::{Family, Session};

/// What `verify props` can be told.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Where the random numbers start: the same seed finds the same schedules.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { seed: 1 }
    }
}

/// The family.
pub(crate) struct Props(pub(crate) Options);

impl Family for Props {
    fn name(&self) -> &'static str {
        "props"
    }

    fn budget(&self, exhaustive: bool) -> Option<Duration> {
        Some(Duration::from_secs(if exhaustive { 7200 } else { 60 }))
    }

    fn run(&self, session: &Session) -> Vec<CheckResult> {
        let folder = match results_folder() {
            Ok(folder) => folder.with_file_name("failures"),
            Err(error) => return vec![checks::failed("props", error.to_string())],
        };
        let mut budget = Budget { seed: self.0.seed, ..Budget::default() };
        if session.exhaustive {
            budget.schedules = 5_000_000;
            budget.histories = Duration::from_secs(600);
            budget.threads = Duration::from_secs(1800);
        }
        let meter = session.show.meter(self.name(), 0);
        let results = props::run(&budget, &folder, &|done, of, what| meter.so_far(done, of, what));
        for result in &results {
            meter.end(result);
        }
        results
    }
}
