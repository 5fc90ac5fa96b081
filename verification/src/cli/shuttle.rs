//! Lock-freedom by freezing threads, and random programs, under shuttle.

use std::time::Duration;

use reveille_verification::lab::{Backend, CheckResult};

use crate::cli::family::{Family, Session};
use crate::cli::searched::{Names, Searched};

/// The family.
pub(crate) struct Shuttle(pub(crate) Names);

impl Family for Shuttle {
    fn name(&self) -> &'static str {
        "shuttle"
    }

    fn budget(&self, exhaustive: bool) -> Option<Duration> {
        Some(Duration::from_secs(if exhaustive { 3600 } else { 120 }))
    }

    fn is_whole(&self) -> bool {
        self.0.is_whole()
    }

    fn run(&self, session: &Session) -> Vec<CheckResult> {
        let searched = Searched {
            family: self.name(),
            backend: Backend::Shuttle,
            test: "shuttle",
            names: &self.0,
            environment: Vec::new(),
        };
        searched.run(session)
    }
}
