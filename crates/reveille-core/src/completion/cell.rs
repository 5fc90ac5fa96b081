use super::word::{Ending, RunNumber, Word};
use crate::sync::{AtomicU64, Ordering};
use core::fmt;

/// The completion word of one target. The module has the protocol; [`Word`] has the edges.
pub struct Completion(AtomicU64);

/// The run is not the one in flight: it was cancelled, or is an older one. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Late;

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the run had ended already")
    }
}

impl core::error::Error for Late {}

impl Completion {
    /// No run yet.
    pub fn new() -> Self {
        Self(AtomicU64::new(Word::IDLE.0))
    }

    /// A snapshot, maybe stale.
    pub fn load(&self) -> Word {
        // Acquire: who sees an ending sees what its run did.
        Word(self.0.load(Ordering::Acquire))
    }

    /// Driver: starts the next run. `None` while one is in flight or not collected.
    pub fn start(&self) -> Option<RunNumber> {
        self.update(|word| word.start()).map(|word| word.number().next())
    }

    /// Ends the run `number`. On success the caller publishes.
    ///
    /// # Errors
    /// [`Late`] if that is not the run in flight.
    pub fn complete(&self, number: RunNumber, ending: Ending) -> Result<(), Late> {
        self.update(|word| word.complete(number, ending)).map(|_| ()).ok_or(Late)
    }

    /// Driver: takes the ending of the run that ended, if one did.
    pub fn collect(&self) -> Option<Ending> {
        self.update(|word| word.collect().map(|(next, _)| next)).and_then(Word::ending)
    }

    /// Applies an edge until it takes effect; the word before, or `None` if it does not apply.
    fn update(&self, edge: impl Fn(Word) -> Option<Word>) -> Option<Word> {
        // AcqRel: a completion releases the run's effects, a collection acquires them.
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                edge(Word(word)).map(|next| next.0)
            })
            .ok()
            .map(Word)
    }
}

impl Default for Completion {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Completion").field(&self.load()).finish()
    }
}
