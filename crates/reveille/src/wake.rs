use crate::reasons::Reasons;
use reveille_core::{Tick, Urgency};
use std::fmt;
use std::time::Duration;

/// A request that a target be run: when, why, how urgently, and with what.
///
/// ```
/// use reveille::{Urgency, Wake};
/// use std::time::Duration;
///
/// let wake: Wake = Wake::within(Duration::from_millis(50)).urgency(Urgency::Urgent);
/// # let _ = wake;
/// ```
#[derive(Clone, Debug)]
#[must_use = "a wake does nothing until a target is woken with it"]
pub struct Wake<R = (), P = ()> {
    pub(crate) when: When,
    pub(crate) reasons: Option<R>,
    pub(crate) urgency: Urgency,
    pub(crate) payload: Option<P>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    At(Tick),
    /// So many microseconds from now, rounded up.
    Within(u64),
    Soon,
}

impl<R, P> Wake<R, P> {
    const fn new(when: When) -> Self {
        Self { when, reasons: None, urgency: Urgency::Event, payload: None }
    }

    /// To be run at once. Reads no clock.
    pub const fn now() -> Self {
        Self::new(When::At(Tick::NOW))
    }

    /// To be run within the hub's coalesce window, so that a burst of requests is one run.
    pub const fn soon() -> Self {
        Self::new(When::Soon)
    }

    /// To be run no later than `delay` from now. Far delays saturate: such a wake pends, and is
    /// never armed (P11).
    pub const fn within(delay: Duration) -> Self {
        Self::new(When::Within(Tick::NOW.after(delay).as_micros()))
    }

    /// To be run no later than `instant` of the hub's clock.
    pub const fn at(instant: Tick) -> Self {
        Self::new(When::At(instant))
    }

    /// Says why. The reasons of all wakes that a run serves reach it as one set.
    pub fn because(mut self, reasons: R) -> Self {
        self.reasons = Some(reasons);
        self
    }

    /// Says how much it presses; [`Urgency::Event`] if not said.
    pub fn urgency(mut self, urgency: Urgency) -> Self {
        self.urgency = urgency;
        self
    }

    /// Carries a payload, merged with those of other wakes of the target.
    pub fn with(mut self, payload: P) -> Self {
        self.payload = Some(payload);
        self
    }
}

impl<R: Reasons, P> Wake<R, P> {
    pub(crate) fn reason_bits(&self) -> u8 {
        self.reasons.map_or(0, R::to_bits)
    }
}

/// What became of a wake. Firing and forgetting is normal; whoever asks is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Woken<P = ()> {
    /// Nothing waited for this target; now a wake does.
    Armed,
    /// A wake waited, and is now due sooner.
    Preempted,
    /// A wake waits that serves this request too. Also said where this request is due sooner and
    /// the driver holds the wake back for longer: by a floor, a deferral, or for want of a slot.
    Coalesced,
    /// Nothing will run for this request; its payload is handed back.
    Refused(Refused<P>),
}

impl<P> Woken<P> {
    /// Whether a run will serve the request.
    pub const fn is_accepted(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }
}

/// What became of the wakes of all targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WokenAll {
    /// Targets for which nothing waited.
    pub armed: usize,
    /// Targets whose wake is now due sooner.
    pub preempted: usize,
    /// Targets for which a wake waited that serves this one too.
    pub coalesced: usize,
    /// Targets that were removed meanwhile, or whose hub stopped.
    pub refused: usize,
}

/// A wake that was refused, with what it carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused<P = ()> {
    /// Why.
    pub refusal: Refusal,
    /// The payload that was handed in.
    pub payload: Option<P>,
}

impl<P> fmt::Display for Refused<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.refusal.fmt(f)
    }
}

impl<P: fmt::Debug> std::error::Error for Refused<P> {}

/// Why a wake was refused. All of these are for ever: trying again later does not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The hub has stopped.
    Stopped,
    /// This target was removed; its key may be looked up anew.
    Removed,
    /// A new target would exceed the hub's `max_targets`.
    TooManyTargets,
    /// The runner has stopped.
    RunnerStopped,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "the hub has stopped",
            Self::Removed => "the target was removed",
            Self::TooManyTargets => "the hub has as many targets as its policy allows",
            Self::RunnerStopped => "the runner has stopped",
        })
    }
}

impl std::error::Error for Refusal {}

/// Something was not taken in; it is handed back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rejected<T> {
    /// Why.
    pub refusal: Refusal,
    /// What was handed in.
    pub value: T,
}

impl<T> fmt::Debug for Rejected<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejected").field("refusal", &self.refusal).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for Rejected<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.refusal.fmt(f)
    }
}

impl<T> std::error::Error for Rejected<T> {}
