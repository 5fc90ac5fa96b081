//! What must hold: what stands behind `expect`.

use std::collections::BTreeSet;

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
    /// The ticket of this name says this.
    Ticket {
        /// The ticket.
        name: String,
        /// What it says.
        state: TicketState,
    },
    /// These targets are poisoned, and no others.
    Poisoned(BTreeSet<String>),
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
    /// The targets that this expectation names, in the order in which it names them.
    pub(super) fn targets(&self) -> Vec<&str> {
        match self {
            Self::Runs { on, .. } => on.as_deref().into_iter().collect(),
            Self::Last(last) => vec![&last.on],
            Self::Order(targets) => targets.iter().map(String::as_str).collect(),
            Self::State { target, .. } => vec![target],
            Self::Poisoned(targets) => targets.iter().map(String::as_str).collect(),
            Self::Ticket { .. }
            | Self::Deadline(_)
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
    /// It is a barrier's, and so many runs were in flight when it started.
    pub beside: Option<u64>,
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

/// What a ticket says of its wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TicketState {
    /// Nothing has become of it yet.
    Waiting,
    /// A run has done the work.
    Ran,
    /// A run found nothing to do.
    Skip,
    /// It was given up at its last attempt.
    GaveUp,
    /// It was discarded by a `cancel`.
    Cancelled,
    /// It was discarded with its target.
    Removed,
    /// The hub was stopped.
    Stopped,
    /// No handler was installed when it was made.
    NoHandler,
    /// A run gave it back.
    Deferred,
}

impl TicketState {
    /// All states, in the order of the documentation.
    pub const ALL: [Self; 9] = [
        Self::Waiting,
        Self::Ran,
        Self::Skip,
        Self::GaveUp,
        Self::Cancelled,
        Self::Removed,
        Self::Stopped,
        Self::NoHandler,
        Self::Deferred,
    ];
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
    /// Cadences that a runner found to be another's.
    StaleClaims,
    /// Runs that took longer than they may.
    Overran,
}

impl Counter {
    /// All counters, in the order of the documentation.
    pub const ALL: [Self; 12] = [
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
        Self::StaleClaims,
        Self::Overran,
    ];
}
