//! Scenarios: schedule sequences that a person can read and a machine can run.
//!
//! A scenario is data and nothing else: a policy and a list of timed steps. This module holds
//! its types; [`parse`] reads the text, `print` writes it back, [`subject`] says what an
//! implementation must offer to be played against, and [`play`] is the one interpreter for all
//! of them. The grammar and its meanings are told in `docs/scenarios.md`.

mod action;
mod check;
pub mod engine;
mod expect;
mod expectation;
pub mod hands;
mod on_tokio;
pub mod order;
pub mod parse;
pub mod play;
mod print;
pub mod subject;
mod words;

#[cfg(test)]
mod parse_tests;

pub use action::{Action, ActiveHours, Or, RosterEntry, Urgency};
pub use expectation::{Counter, Expectation, LastRun, TargetState, TicketState};

/// The last instant that a clock of 50 bits of microseconds can tell, in milliseconds.
///
/// What would be due later is due *never*: it pends, and no deadline is armed for it. The clock
/// of a scenario stops here too, 35 years after its start.
pub const LAST_INSTANT_MS: u64 = ((1 << 50) - 2) / 1_000;

/// How far from the Unix epoch the wall clock of a scenario goes, in milliseconds: some 2,800 years
/// either way. What would be farther is that far.
pub const LAST_WALL_MS: i64 = 90_000_000_000_000;

/// A schedule sequence: what to do when, and what must then hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The settings of the hub, given before the first step.
    pub policy: Policy,
    /// The steps in file order; their times never decrease.
    pub steps: Vec<Step>,
}

impl Scenario {
    /// Makes a scenario whose lines are numbered as [`Display`](std::fmt::Display) prints them.
    #[must_use]
    pub fn new(policy: Policy, steps: Vec<(u64, Verb)>) -> Self {
        let first = if policy == Policy::default() { 1 } else { 2 };
        let steps = steps
            .into_iter()
            .enumerate()
            .map(|(index, (at_ms, verb))| Step { line: first + index, at_ms, verb })
            .collect();
        Self { policy, steps }
    }
}

/// The settings of a hub, with the product's defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The delay of a wake that names none, and how long waiting work rests after an install.
    pub coalesce_ms: u64,
    /// The floor after a busy run that names none, and the first floor after a failure.
    pub retry_ms: u64,
    /// What each further failure in a row multiplies the floor by.
    pub backoff_factor: u64,
    /// The longest floor after a failure.
    pub backoff_max_ms: u64,
    /// The failure in a row at which a wake is given up.
    pub max_attempts: u64,
    /// How many runs may be in flight at once.
    pub max_active: u64,
    /// What becomes of beats that could not run in time.
    pub missed: Missed,
    /// What becomes of runs whose handler is replaced.
    pub on_replace: OnReplace,
    /// How long after its last start a target may start again, but for urgent wakes; 0 is off.
    pub spacing_ms: u64,
    /// How often at most a target starts, but for urgent wakes.
    pub flood: Option<Flood>,
    /// How often at most all targets together start, but for urgent wakes.
    pub hub_flood: Option<Flood>,
    /// How long a barrier waits at most.
    pub barrier_limit_ms: u64,
    /// How long a run may take; none is for ever.
    pub run_limit_ms: Option<u64>,
    /// What else becomes of a run that takes longer.
    pub on_overrun: OnOverrun,
    /// What the wall clock says at time 0, in milliseconds from the Unix epoch on.
    pub wall_ms: i64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            coalesce_ms: 250,
            retry_ms: 1_000,
            backoff_factor: 2,
            backoff_max_ms: 60_000,
            max_attempts: 10,
            max_active: 4,
            missed: Missed::Skip,
            on_replace: OnReplace::Finish,
            spacing_ms: 0,
            flood: None,
            hub_flood: None,
            barrier_limit_ms: 30_000,
            run_limit_ms: None,
            on_overrun: OnOverrun::Report,
            wall_ms: 0,
        }
    }
}

/// So many starts within so long are enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flood {
    /// How many starts.
    pub starts: u64,
    /// Within how long.
    pub within_ms: u64,
}

/// What becomes of beats that passed during a suspend or while the last one still waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// One run stands for all of them; the cadence keeps its grid.
    Skip,
    /// Each is a run of its own, one after the other.
    Burst,
    /// One run stands for all of them, and the cadence counts on from its start.
    Delay,
}

/// What becomes of runs in flight when a newer handler is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnReplace {
    /// They go on, and their targets wait for them.
    Finish,
    /// They end at the install, and their wakes pass to the new handler.
    Cancel,
}

/// What becomes of a run that takes longer than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnOverrun {
    /// It gives up its place among those of `max-active`, and goes on.
    Report,
    /// Besides, it ends as failed.
    Cancel,
}

/// One timed line of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The line in the file, counted from 1.
    pub line: usize,
    /// When it happens, in milliseconds since the start.
    pub at_ms: u64,
    /// What happens, or what must hold.
    pub verb: Verb,
}

/// What a line says: something to do, or something that must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Something to do.
    Act(Action),
    /// Something that must hold.
    Expect(Expectation),
}

impl Verb {
    /// The targets that this line names, in the order in which it names them.
    #[must_use]
    pub fn targets(&self) -> Vec<&str> {
        match self {
            Self::Act(action) => action.targets(),
            Self::Expect(expectation) => expectation.targets(),
        }
    }
}

/// How a run is scripted to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultSpec {
    /// It lasts until a `finish` line ends it.
    Hold,
    /// It ends by itself.
    Ends {
        /// How it ends.
        outcome: Outcome,
        /// How long it lasts; without it, it ends at the instant at which it starts and before
        /// the next run starts.
        lasts_ms: Option<u64>,
    },
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The work is done.
    Ran,
    /// There was nothing to do.
    Skip,
    /// The target cannot be run now.
    Busy {
        /// For how long; the policy's `retry` where none is given.
        for_ms: Option<u64>,
    },
    /// This wake is to come back later.
    Defer {
        /// After how long.
        for_ms: u64,
    },
    /// The handler failed.
    Fail,
    /// The handler failed, and says how long the target cannot be run.
    FailFor {
        /// For how long.
        for_ms: u64,
    },
    /// The handler panicked.
    Panic,
}
