//! What an implementation must offer so that scenarios can be played against it.
//!
//! The interpreter knows nothing of scheduling. How steps of one instant are ordered, which
//! deadlines lie on the way to a later time and what happens at them is the subject's own
//! business: it is what is being checked. So nothing here computes anything about runs.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;

use super::{Action, Counter, TargetState, TicketState};

/// How many beats and runs a subject plays before it refuses to go on.
///
/// A line like `beat main every=1` with a far later time behind it is legal and means more work
/// than anybody waits for; it is told rather than endured.
pub const EVENT_LIMIT: u64 = 1_000_000;

/// An implementation under test, from time 0 on, with its own virtual clock.
pub trait Subject {
    /// A line names this target. Targets are created in the order in which this is called for
    /// them; for one that exists it does nothing. A removed one is created again.
    fn name_target(&mut self, target: &str);

    /// Takes the clock to this time through every deadline on the way.
    ///
    /// What is due at the present instant happens first, if the time is later; what is due at
    /// the given time does not happen yet, since the steps of that time come before it.
    ///
    /// # Errors
    /// When there is too much on the way ([`EVENT_LIMIT`]).
    fn advance_to(&mut self, at_ms: u64) -> Result<(), Refusal>;

    /// Applies an action at the present instant; nothing that is due runs in between.
    ///
    /// # Errors
    /// When the action makes no sense here, such as the end of a run that is not held. Nothing
    /// has changed then.
    fn apply(&mut self, action: &Action) -> Result<(), Refusal>;

    /// Lets everything happen that is due at the present instant.
    ///
    /// # Errors
    /// When there is too much of it ([`EVENT_LIMIT`]).
    fn settle(&mut self) -> Result<(), Refusal>;

    /// Everything that happened since time 0, in order.
    fn events(&self) -> &[Event];

    /// The state of a target.
    fn state(&self, target: &str) -> TargetState;

    /// The instant until which the driver would sleep now; none is for ever.
    fn deadline(&self) -> Option<u64>;

    /// The name of the installed handler.
    fn handler(&self) -> Option<String>;

    /// How many runs are in flight, those past their limit too.
    fn active(&self) -> u64;

    /// How many runs were in flight at most.
    fn peak(&self) -> u64;

    /// What a counter says.
    fn count(&self, counter: Counter) -> u64;

    /// What the latest ticket of this name says; none where no ticket has it.
    fn ticket(&self, name: &str) -> Option<TicketState>;

    /// The targets that are poisoned, in any order.
    fn poisoned(&self) -> Vec<String>;
}

/// Something that happened to a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A run started.
    Started(Started),
    /// A run ended. Those of one instant stand in any order.
    Ended {
        /// When.
        at_ms: u64,
        /// The target that ran.
        target: String,
        /// How it ended.
        ending: Ending,
    },
}

/// A run as it started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// When.
    pub at_ms: u64,
    /// The name of the handler that runs.
    pub handler: String,
    /// The target that is run.
    pub target: String,
    /// The leading reason: that of the highest urgency, the latest among equals.
    pub reason: String,
    /// All reasons.
    pub reasons: BTreeSet<String>,
    /// The how-many-th start of this wake under this handler, counted from 1.
    pub attempt: u64,
    /// The beats that the run stands for beyond its own.
    pub missed: u64,
    /// The runs that were in flight when it started; told of a barrier's run only.
    pub beside: Option<u64>,
}

/// How a run ended, as the hub took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// The work was done.
    Ran,
    /// There was nothing to do.
    Skip,
    /// The target could not be run.
    Busy,
    /// The wake is to come back later.
    Defer,
    /// The handler failed.
    Fail,
    /// The handler panicked.
    Panic,
    /// The handler was replaced.
    Cancelled,
    /// It took longer than it may.
    Overran,
    /// Its process ended.
    Gone,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started(run) => run.fmt(f),
            Self::Ended { at_ms, target, ending } => {
                write!(f, "{at_ms:<7}   end {target}: {ending}")
            }
        }
    }
}

impl fmt::Display for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at_ms, handler, target, reason, reasons, attempt, missed, beside } = self;
        let reasons: Vec<&str> = reasons.iter().map(String::as_str).collect();
        let reasons = reasons.join(",");
        write!(
            f,
            "{at_ms:<7}   run {target} by {handler} reason={reason} reasons={reasons} \
             attempt={attempt} missed={missed}"
        )?;
        match beside {
            Some(beside) => write!(f, " beside={beside}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ran => "ran",
            Self::Skip => "skip",
            Self::Busy => "busy",
            Self::Defer => "defer",
            Self::Fail => "fail",
            Self::Panic => "panic",
            Self::Cancelled => "cancelled",
            Self::Overran => "overran",
            Self::Gone => "gone",
        })
    }
}

/// Why a subject could not go on with a scenario: a fault of the scenario, not of the subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What would have made sense.
    pub expected: String,
    /// What there was.
    pub got: String,
}

impl Refusal {
    /// The refusal to play more than [`EVENT_LIMIT`] beats and runs.
    #[must_use]
    pub fn too_much() -> Self {
        Self {
            expected: format!("at most {EVENT_LIMIT} beats and runs in a scenario"),
            got: "more".to_owned(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, got {}", self.expected, self.got)
    }
}

impl Error for Refusal {}
