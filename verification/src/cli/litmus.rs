//! The checkers checked: litmus tests, the differential test, the twin of `ArcSwap`.

use std::time::Duration;

use reveille_verification::lab::{Backend, CheckResult};

use crate::cli::family::{Family, Session};
use crate::cli::searched::{Names, Searched, is_loom_told};

/// The family.
pub(crate) struct Litmus(pub(crate) Names);

impl Family for Litmus {
    fn name(&self) -> &'static str {
        "litmus"
    }

    fn budget(&self, exhaustive: bool) -> Option<Duration> {
        Some(Duration::from_secs(if exhaustive { 3600 } else { 60 }))
    }

    fn is_whole(&self) -> bool {
        self.0.is_whole() && !is_loom_told()
    }

    fn run(&self, session: &Session) -> Vec<CheckResult> {
        let searched = Searched {
            family: self.name(),
            backend: Backend::Loom,
            test: "litmus",
            names: &self.0,
            environment: Vec::new(),
        };
        searched.run(session)
    }
}
