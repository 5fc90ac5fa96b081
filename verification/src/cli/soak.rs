//! What takes long: the storm of the gateway, on real threads in real time with its own books; and ten
//! simulated years with a reload every hour.

use std::path::Path;
use std::thread;
use std::time::Duration;

use clap::Args;
use reveille_verification::lab::{CheckResult, LabError, build_example, checks, run_program};
use reveille_verification::props::decade::{self, Length};

use crate::cli::family::{Family, Session};

/// What `verify soak` can be told.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// How long the storm lasts [default: 30, with --exhaustive 3600].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// Where its choices come from: the same seed, the same choices.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { seconds: None, seed: 1 }
    }
}

impl Options {
    fn length(&self, exhaustive: bool) -> u64 {
        self.seconds.unwrap_or(if exhaustive { 3600 } else { 30 })
    }
}

/// The family.
pub(crate) struct Soak(pub(crate) Options);

/// Seconds for ten simulated years.
const DECADE: u64 = 120;

/// What the storm adds to its length: its tables, and the runs that it waits for.
const TAIL: u64 = 60;

impl Family for Soak {
    fn name(&self) -> &'static str {
        "soak"
    }

    fn budget(&self, exhaustive: bool) -> Option<Duration> {
        Some(Duration::from_secs(DECADE + self.0.length(exhaustive) + TAIL))
    }

    fn is_whole(&self) -> bool {
        self.0.seconds.is_none()
    }

    fn run(&self, session: &Session) -> Vec<CheckResult> {
        let meter = session.show.meter(self.name(), 2);
        // One core plays the decade; the other builds.
        let (decade, gateway) = thread::scope(|scope| {
            let gateway = scope.spawn(|| build_example("reveille", "gateway"));
            let decade = decade::check(Length::DECADE, self.0.seed, &|done, of, what| {
                meter.so_far(done, of, what);
            });
            meter.end(&decade);
            meter.doing("building the gateway");
            (decade, gateway.join())
        });
        let storm = match gateway {
            Ok(built) => built.and_then(|gateway| self.storm(session, &gateway)),
            Err(panicked) => std::panic::resume_unwind(panicked),
        };
        let storm = storm.unwrap_or_else(|error| checks::failed(NAME, error.to_string()));
        meter.end(&storm);
        vec![decade, storm]
    }
}

const NAME: &str = "storm";

impl Soak {
    fn storm(&self, session: &Session, gateway: &Path) -> Result<CheckResult, LabError> {
        let length = self.0.length(session.exhaustive);
        let (length_text, seed) = (length.to_string(), self.0.seed.to_string());
        let arguments = ["--storm", &length_text, "--seed", &seed];
        let timeout = Duration::from_secs(length + TAIL);
        let ran = run_program(gateway, &arguments, timeout, &mut |_| {})?;
        let kept =
            ran.succeeded() && ran.stdout.lines().any(|line| line.ends_with(": as promised"));
        Ok(CheckResult {
            name: NAME.to_owned(),
            law: "Conserved, no beat missing, no target starved, no handler lost.".to_owned(),
            executions: started(&ran.stdout),
            sampled: true,
            seconds: ran.seconds,
            failure: match (kept, started(&ran.stdout)) {
                (true, 0) => Some("ran nothing: no run was started".to_owned()),
                (true, _) => None,
                (false, _) if ran.timed_out() => Some(format!("still not over:\n{}", ran.tail(80))),
                (false, _) => Some(ran.tail(80)),
            },
            ..CheckResult::default()
        })
    }
}

/// The runs that the storm counted.
fn started(text: &str) -> u64 {
    let row = text.lines().find_map(|line| line.trim().strip_prefix("started "));
    row.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}
