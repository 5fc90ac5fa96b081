//! What a step does: the verbs but `expect`.

use super::{Outcome, ResultSpec};

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
        /// When it may beat; always where none are given.
        hours: Option<ActiveHours>,
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
    /// Move what waits for a target to a later instant.
    Postpone {
        /// The target.
        target: String,
        /// To no sooner than so long from now.
        in_ms: u64,
    },
    /// Request that every target be run.
    WakeAll {
        /// Why.
        reason: String,
        /// The delay until they are due; the coalesce window where none is given.
        in_ms: Option<u64>,
        /// How urgent they are.
        urgency: Urgency,
    },
    /// Request that a target be run alone.
    Barrier {
        /// The target.
        target: String,
        /// Why.
        reason: String,
    },
    /// Request that a target be run, with a ticket that says what became of it.
    Await {
        /// The ticket.
        name: String,
        /// The target.
        target: String,
        /// Why.
        reason: String,
        /// The delay until it is due; the coalesce window where none is given.
        in_ms: Option<u64>,
        /// How urgent it is.
        urgency: Urgency,
        /// What else ends the ticket.
        or: Option<Or>,
    },
    /// Request again what was given up for a target.
    Revive {
        /// The target.
        target: String,
    },
    /// Have a target start clean, as after an install.
    Forgive {
        /// The target.
        target: String,
    },
    /// Start a runner: install it, and set cadences as its own.
    Runner {
        /// The runner, and the handler.
        name: String,
        /// Its cadences; no target twice.
        roster: Vec<RosterEntry>,
    },
    /// Give a runner another roster.
    Update {
        /// The runner.
        name: String,
        /// Its cadences from now on; no target twice.
        roster: Vec<RosterEntry>,
    },
    /// Stop a runner.
    StopRunner {
        /// The runner.
        name: String,
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
    /// End the process as it stands, and start another one.
    Restart {
        /// After how long.
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
    /// The targets that this action names, in the order in which it names them.
    #[must_use]
    pub fn targets(&self) -> Vec<&str> {
        match self {
            Self::Wake { target, .. }
            | Self::Beat { target, .. }
            | Self::BeatOff { target }
            | Self::Finish { target, .. }
            | Self::Cancel { target }
            | Self::Postpone { target, .. }
            | Self::Barrier { target, .. }
            | Self::Await { target, .. }
            | Self::Revive { target }
            | Self::Forgive { target }
            | Self::Remove { target } => vec![target],
            Self::Script { target, .. } => target.as_deref().into_iter().collect(),
            Self::Runner { roster, .. } | Self::Update { roster, .. } => {
                roster.iter().map(|entry| entry.target.as_str()).collect()
            }
            Self::Install { .. }
            | Self::Dispose { .. }
            | Self::WakeAll { .. }
            | Self::StopRunner { .. }
            | Self::Suspend { .. }
            | Self::Restart { .. }
            | Self::Wallclock { .. }
            | Self::Stop { .. } => Vec::new(),
        }
    }
}

/// A cadence of a runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterEntry {
    /// The target.
    pub target: String,
    /// The period.
    pub every_ms: u64,
    /// Where in the period the beats fall, counted from time 0.
    pub phase_ms: Option<u64>,
}

/// A window that begins on each day, in the civil time of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveHours {
    /// The first minute of the day that is inside.
    pub from_min: u16,
    /// The first one that is outside again, on the next day where it is not later than the first;
    /// midnight is 1,440.
    pub to_min: u16,
    /// The zone, by its name in the IANA data base.
    pub zone: String,
}

/// What ends a ticket beside the end of its wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Or {
    /// No handler is installed when it is made.
    NoHandler,
    /// A run gives its wake back.
    Deferral,
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
