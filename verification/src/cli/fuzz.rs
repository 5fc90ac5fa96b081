//! Schedules and scenario texts, mutated under the guidance of coverage.

use std::time::Duration;

use clap::Args;
use reveille_verification::lab::{CheckResult, checks, results_folder};
use reveille_verification::props::fuzz;

use crate::cli::family::{Family, Session};

/// What `verify fuzz` can be told.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// How long each target is fuzzed [default: 20, with --exhaustive 1800].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
}

impl Options {
    fn each(&self, exhaustive: bool) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(if exhaustive { 1800 } else { 20 }))
    }
}

/// The family.
pub(crate) struct Fuzz(pub(crate) Options);

impl Family for Fuzz {
    fn name(&self) -> &'static str {
        "fuzz"
    }

    fn budget(&self, exhaustive: bool) -> Option<Duration> {
        Some(self.0.each(exhaustive) + Duration::from_secs(10))
    }

    fn is_whole(&self) -> bool {
        self.0.seconds.is_none()
    }

    fn run(&self, session: &Session) -> Vec<CheckResult> {
        let results = match results_folder() {
            Ok(folder) => folder,
            Err(error) => return vec![checks::failed("fuzz", error.to_string())],
        };
        let Some(verify) = results.parent() else {
            return vec![checks::failed("fuzz", "the folder of results has no parent".to_owned())];
        };
        let meter = session.show.meter(self.name(), fuzz::TARGETS.len());
        let each = self.0.each(session.exhaustive);
        let results = fuzz::run(each, verify, &|done, of, what| meter.so_far(done, of, what));
        for result in &results {
            meter.end(result);
        }
        results
    }
}
