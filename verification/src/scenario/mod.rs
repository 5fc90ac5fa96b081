//! Scenarios: schedule sequences that a person can read and a machine can run.
//!
//! A scenario is data and nothing else: a policy and a list of timed steps. This module holds
//! its types; [`parse`] reads the text, `print` writes it back, [`subject`] says what an
//! implementation must offer to be played against, and [`play`] is the one interpreter for all
//! of them. The grammar and its meanings are told in `docs/scenarios.md`.

use std::collections::BTreeSet;

mod check;
pub mod engine;
mod expect;
pub mod order;
pub mod parse;
pub mod play;
mod print;
pub mod subject;
mod words;

#[cfg(test)]
mod parse_tests;

/// The last instant that a clock of 50 bits of microseconds can tell, in milliseconds.
///
/// What would be due later is due *never*: it pends, and no deadline is armed for it. The clock
/// of a scenario stops here too, 35 years after its start.
pub const LAST_INSTANT_MS: u64 = ((1 << 50) - 2) / 1_000;

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
        }
    }
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
            Self::Act(action) => action.target().into_iter().collect(),
            Self::Expect(expectation) => expectation.targets(),
        }
    }
}

/// Something to do to the hub, to its handlers or to its clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Install a handler.
    Install {
        /// The handler.
        name: String,
    },
    /// Say how the runs of a handler end.
    Script {
        /// The handler.
        name: String,
        /// The one target it holds for, or all.
        target: Option<String>,
        /// The results in order; the last one repeats. Never empty.
        results: Vec<ResultSpec>,
    },
    /// Drop the latest registration of a handler.
    Dispose {
        /// The handler.
        name: String,
    },
    /// Request that a target be run.
    Wake {
        /// The target.
        target: String,
        /// Why.
        reason: String,
        /// The delay until it is due; the coalesce window where none is given.
        in_ms: Option<u64>,
        /// How urgent it is.
        urgency: Urgency,
    },
    /// Set or change the cadence of a target.
    Beat {
        /// The target.
        target: String,
        /// The period.
        every_ms: u64,
        /// Where in the period the beats fall, counted from time 0.
        phase_ms: Option<u64>,
    },
    /// Remove the cadence of a target.
    BeatOff {
        /// The target.
        target: String,
    },
    /// End a held run.
    Finish {
        /// The handler that runs.
        name: String,
        /// The target that is run.
        target: String,
        /// How the run ends.
        outcome: Outcome,
    },
    /// Discard the pending wake of a target.
    Cancel {
        /// The target.
        target: String,
    },
    /// Forget a target.
    Remove {
        /// The target.
        target: String,
    },
    /// Let the machine sleep.
    Suspend {
        /// For how long.
        ms: u64,
    },
    /// Step the wall clock.
    Wallclock {
        /// By how much, forwards or backwards.
        ms: i64,
    },
    /// Stop the hub.
    Stop {
        /// How long to wait for runs in flight; not at all where none is given.
        drain_ms: Option<u64>,
    },
}

impl Action {
    /// The target that this action names, if it names one.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        match self {
            Self::Wake { target, .. }
            | Self::Beat { target, .. }
            | Self::BeatOff { target }
            | Self::Finish { target, .. }
            | Self::Cancel { target }
            | Self::Remove { target } => Some(target),
            Self::Script { target, .. } => target.as_deref(),
            Self::Install { .. }
            | Self::Dispose { .. }
            | Self::Suspend { .. }
            | Self::Wallclock { .. }
            | Self::Stop { .. } => None,
        }
    }
}

/// How urgent a wake is; merging takes the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// A second try of something.
    Retry,
    /// A beat of a cadence.
    Beat,
    /// Something happened.
    Event,
    /// Somebody waits; passes a deferral.
    Urgent,
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
    /// The handler panicked.
    Panic,
}

/// Something that must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// So many runs have started since time 0.
    Runs {
        /// How many.
        count: u64,
        /// Counting only those of this handler.
        by: Option<String>,
        /// Counting only those of this target.
        on: Option<String>,
    },
    /// The latest run of a target was like this.
    Last(LastRun),
    /// These are the targets of all runs so far, in order of start.
    Order(Vec<String>),
    /// The target is in this state.
    State {
        /// The target.
        target: String,
        /// The state.
        state: TargetState,
    },
    /// The driver would sleep until this instant, or for ever.
    Deadline(Option<u64>),
    /// This handler is installed, or none.
    Handler(Option<String>),
    /// So many runs are in flight.
    Active(u64),
    /// So many runs were in flight at most.
    Peak(u64),
    /// These counters have these values. Never empty.
    Counts(Vec<(Counter, u64)>),
    /// The equation of conservation holds.
    Conserved,
}

impl Expectation {
    fn targets(&self) -> Vec<&str> {
        match self {
            Self::Runs { on, .. } => on.as_deref().into_iter().collect(),
            Self::Last(last) => vec![&last.on],
            Self::Order(targets) => targets.iter().map(String::as_str).collect(),
            Self::State { target, .. } => vec![target],
            Self::Deadline(_)
            | Self::Handler(_)
            | Self::Active(_)
            | Self::Peak(_)
            | Self::Counts(_)
            | Self::Conserved => Vec::new(),
        }
    }
}

/// What is expected of the latest run of a target; what is absent is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastRun {
    /// The target.
    pub on: String,
    /// The handler that ran it.
    pub by: Option<String>,
    /// The leading reason.
    pub reason: Option<String>,
    /// The whole set of reasons.
    pub reasons: Option<BTreeSet<String>>,
    /// How many times this wake has been started under this handler.
    pub attempt: Option<u64>,
    /// How many beats it stands for beyond its own.
    pub missed: Option<u64>,
    /// When it started.
    pub at_ms: Option<u64>,
}

/// The state of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetState {
    /// A wake waits, and no run is in flight.
    Pending,
    /// Neither a wake nor a run.
    Idle,
    /// A run is in flight.
    Running,
}

/// A counter of the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counter {
    /// Every request, refused ones and beats too.
    Accepted,
    /// Runs.
    Started,
    /// Wakes that merged into another.
    Coalesced,
    /// Wakes that wait now.
    Pending,
    /// Requests after the stop.
    Refused,
    /// Wakes that were cancelled, removed or stopped.
    Discarded,
    /// Wakes that a run gave back.
    Retried,
    /// Wakes dropped after their last attempt.
    GaveUp,
    /// Disposes of a superseded generation.
    StaleDisposes,
    /// Runs that panicked.
    Panics,
}

impl Counter {
    /// All counters, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::Accepted,
        Self::Started,
        Self::Coalesced,
        Self::Pending,
        Self::Refused,
        Self::Discarded,
        Self::Retried,
        Self::GaveUp,
        Self::StaleDisposes,
        Self::Panics,
    ];
}
