//! What stands in the handler slot: a handler, and who is still running it.
//!
//! Each installation has a gate of its own, which every run of it passes behind that of the hub. So
//! a retirement is what a stop is, for one generation: it clears the slot, closes the gate, and
//! waits until the gate is empty; nothing enters it any more (P13). The driver, which may not have
//! noted the dispose yet, is refused there, and notes it then.

use crate::asynchronous::Begin;
use crate::hub::{Key, Registration};
use crate::merge::Merge;
use crate::reasons::Reasons;
use crate::run::{self, Handler};
use event_listener::{Event, Listener};
use reveille_core::gate::Gate;
use reveille_core::sync::Arc;
use reveille_core::{Disposal, Entry};
use std::fmt;
use std::time::Duration;

/// A handler, and the gate of its runs.
pub(crate) struct Installed<K: Key, R: Reasons, P: Merge> {
    pub(crate) handler: Callee<K, R, P>,
    pub(crate) runs: Arc<Runs>,
}

/// A handler of either kind.
pub(crate) enum Callee<K: Key, R: Reasons, P: Merge> {
    Blocking(Box<dyn Handler<K, R, P>>),
    Async(Box<dyn Begin<K, R, P>>),
}

/// What stands in the handler slot, held on to.
pub(crate) type HeldEntry<K, R, P> = Arc<Entry<Installed<K, R, P>>>;

/// The runs of one generation.
#[derive(Default)]
pub(crate) struct Runs {
    gate: Gate,
    /// Told when the gate is closed and empty.
    over: Event,
    /// Told when the driver has cancelled runs.
    pub(crate) cancelled: Event,
}

impl Runs {
    /// Closes the gate; true if no run is left.
    fn close(&self) -> bool {
        self.gate.close().in_flight() == 0
    }

    fn is_over(&self) -> bool {
        let word = self.gate.load();
        word.is_closed() && word.in_flight() == 0
    }
}

/// A run's place inside the gate of its generation; dropping it leaves.
pub(crate) struct Stay<K: Key, R: Reasons, P: Merge>(HeldEntry<K, R, P>);

impl<K: Key, R: Reasons, P: Merge> Stay<K, R, P> {
    /// A place, unless the generation is retired or its handler gone.
    pub(crate) fn enter(entry: &HeldEntry<K, R, P>) -> Option<Self> {
        entry.handler()?.runs.gate.enter().then(|| Self(Arc::clone(entry)))
    }

    pub(crate) fn entry(&self) -> &HeldEntry<K, R, P> {
        &self.0
    }
}

impl<K: Key, R: Reasons, P: Merge> Drop for Stay<K, R, P> {
    fn drop(&mut self) {
        let Some(installed) = self.0.handler() else { return };
        let word = installed.runs.gate.leave();
        if word.is_closed() && word.in_flight() == 0 {
            installed.runs.over.notify(usize::MAX);
        }
    }
}

/// Why a retirement did not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetireError {
    /// It was asked for inside a run of the generation, which would wait for itself. Nothing was
    /// changed.
    InsideRun,
    /// The limit passed, and so many runs are in flight. The handler is disposed of, no further
    /// run of it starts, and asking again waits on.
    StillRunning(u64),
}

impl fmt::Display for RetireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InsideRun => f.write_str("a run cannot wait for the end of its own generation"),
            Self::StillRunning(runs) => write!(f, "{runs} runs of this handler are in flight"),
        }
    }
}

impl std::error::Error for RetireError {}

impl<K: Key, R: Reasons, P: Merge> Registration<K, R, P> {
    /// Disposes of the handler, and waits until no run of this generation is left, for at most
    /// `limit`: for handlers whose dependencies are about to go. After `Ok` none is in flight, and
    /// none starts (P13). Runs that their driver has cancelled count until their code has returned.
    ///
    /// # Errors
    /// [`RetireError`]: inside a run of this generation, or when the limit passes.
    ///
    /// # Progress
    /// Blocks. The rest of the hub goes on.
    pub fn retire(&self, limit: Duration) -> Result<Disposal, RetireError> {
        let (disposal, is_over) = self.begin_to_retire()?;
        if is_over {
            return Ok(disposal);
        }
        let deadline = crate::clock::process_deadline(limit);
        loop {
            let over = self.runs.over.listen();
            if self.runs.is_over() {
                return Ok(disposal);
            }
            let told = match deadline {
                Some(deadline) => over.wait_deadline(deadline).is_some(),
                None => {
                    over.wait();
                    true
                }
            };
            if !told && !self.runs.is_over() {
                return Err(RetireError::StillRunning(self.runs.gate.load().in_flight()));
            }
        }
    }

    /// The same, without a limit and without blocking; of any runtime.
    ///
    /// # Errors
    /// [`RetireError::InsideRun`].
    ///
    /// # Cancel safety
    /// Dropped half-way it leaves the handler disposed of, and no further run of it starts; asking
    /// again waits on.
    pub async fn retired(&self) -> Result<Disposal, RetireError> {
        let (disposal, _) = self.begin_to_retire()?;
        loop {
            let over = self.runs.over.listen();
            if self.runs.is_over() {
                return Ok(disposal);
            }
            over.await;
        }
    }

    /// Disposes, then closes: whoever finds the gate closed finds the slot cleared.
    fn begin_to_retire(&self) -> Result<(Disposal, bool), RetireError> {
        if run::inside_generation(&self.runs) {
            return Err(RetireError::InsideRun);
        }
        Ok((self.dispose(), self.runs.close()))
    }

    /// Runs of this generation in flight, those that their driver has cancelled included.
    pub fn in_flight(&self) -> u64 {
        self.runs.gate.load().in_flight()
    }
}
