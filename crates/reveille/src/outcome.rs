use reveille_core::completion::Ending;
use std::time::Duration;

/// How a run ended, as its handler says: one of three classes (P9).
///
/// | class | the wake | the target |
/// | --- | --- | --- |
/// | [`Done`] | is served | its backoff is reset |
/// | [`NotNow`] | is kept, and tried again | does not start before its *floor* |
/// | [`Later`] | is kept, and not before its deferral; a fresh urgent wake takes it along | has no floor |
///
/// Panics and runs that are dropped count as [`NotNow::Failed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Terminal.
    Done(Done),
    /// Busy or failed.
    NotNow(NotNow),
    /// Deferred.
    Later(Later),
}

/// Terminal outcomes: the wake is never run again (P7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It ran.
    Ran,
    /// There was nothing to do, and that is fine.
    Skipped,
}

/// The same wake is retained, and the target does not start before its floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotNow {
    /// Busy: again after the hub's `retry_after`. The backoff is neither raised nor reset.
    Busy,
    /// Busy: again after so long; zero counts as the hub's `retry_after`.
    BusyFor(Duration),
    /// Failed: again after the backoff, until the hub's `max_attempts` give up.
    Failed,
    /// Failed, and to be tried again after so long, whatever the backoff; zero counts as the
    /// backoff. It counts as a failure like any other.
    FailedFor(Duration),
}

/// This wake is not before so long from now; zero counts as the hub's `retry_after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Later(pub Duration);

impl Outcome {
    /// It ran.
    pub const fn ran() -> Self {
        Self::Done(Done::Ran)
    }

    /// There was nothing to do.
    pub const fn skipped() -> Self {
        Self::Done(Done::Skipped)
    }

    /// Busy: again after the hub's `retry_after`.
    pub const fn busy() -> Self {
        Self::NotNow(NotNow::Busy)
    }

    /// Busy: again after `delay`.
    pub const fn busy_for(delay: Duration) -> Self {
        Self::NotNow(NotNow::BusyFor(delay))
    }

    /// Failed: again after the backoff.
    pub const fn failed() -> Self {
        Self::NotNow(NotNow::Failed)
    }

    /// Failed: again after `delay`, as a server says that asks not to be asked sooner.
    pub const fn failed_for(delay: Duration) -> Self {
        Self::NotNow(NotNow::FailedFor(delay))
    }

    /// Deferred: not before `delay` from now.
    pub const fn defer(delay: Duration) -> Self {
        Self::Later(Later(delay))
    }
}

/// A handler that returns nothing ran.
impl From<()> for Outcome {
    fn from((): ()) -> Self {
        Self::ran()
    }
}

/// An error is a failure; the error itself is the handler's to log.
impl<T: Into<Outcome>, E> From<Result<T, E>> for Outcome {
    fn from(result: Result<T, E>) -> Self {
        result.map_or(Self::failed(), Into::into)
    }
}

impl From<Outcome> for Ending {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done(Done::Ran) => Self::Ran,
            Outcome::Done(Done::Skipped) => Self::Skipped,
            Outcome::NotNow(NotNow::Busy) => Self::Busy,
            Outcome::NotNow(NotNow::BusyFor(delay)) => Self::BusyFor(delay),
            Outcome::NotNow(NotNow::Failed) => Self::Failed,
            Outcome::NotNow(NotNow::FailedFor(delay)) => Self::FailedFor(delay),
            Outcome::Later(Later(delay)) => Self::Deferred(delay),
        }
    }
}
