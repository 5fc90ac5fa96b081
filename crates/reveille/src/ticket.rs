//! Awaited wakes: a ticket says what became of the wake that it came with.
//!
//! # What it is
//! One cell a target, as the payload is: a list of *batches*, put in before the word and taken after
//! it. All tickets of the wake that waits share the batch in front, so a million of them cost one
//! allocation each and nothing more; a ticket that is dropped leaves nothing behind. Plain wakes do not touch
//! the cell.
//!
//! # Edges
//! | edge | role | does |
//! | --- | --- | --- |
//! | join | requester | puts itself in by compare-and-swap, with the batch in front or a new one |
//! | take | driver at a start; cancel, remove, stop | takes the list, and owes each batch an end |
//! | give back | driver, of a run that kept its wake | puts the batches back, sealed |
//!
//! A join is a compare-and-swap also where the batch is there already: whoever takes the list then sees
//! all that the requester did before (P4), so a run that ends its ticket has seen it. A
//! batch that was given back is *sealed*: it has a history that later tickets have no part in.
//!
//! # The races that are allowed
//! A join that a start takes along before its wake is in the word is ended by that run; the wake
//! then causes one more, which nobody awaits.
//!
//! A cancel must end the tickets of what it discards, and no others, so it and the join with its wake
//! exclude each other, by a lock that nobody else takes: neither the driver nor a plain wake (P16).
//!
//! Driver against closer: "put back, load word" against "close word, take": if the take comes first in
//! the cell's order, the driver sees the word closed, and ends the batch itself.

use crate::outcome::Done;
use crate::run;
use event_listener::{Event, EventListener, Listener};
use reveille_core::sync::{Arc, ArcSwapOption, AtomicU64, Ordering};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Why no run will end a ticket as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unserved {
    /// Its wake failed for the last time.
    GaveUp,
    /// Its wake was discarded by a cancel.
    Cancelled,
    /// Its target was removed.
    Removed,
    /// The hub stopped.
    Stopped,
    /// No handler was installed, and the ticket was to end then ([`Ticket::or_no_handler`]).
    NoHandler,
    /// A run gave the wake back, and the ticket was to end then ([`Ticket::or_deferral`]). The
    /// wake goes on.
    Deferred,
    /// It was waited for inside a run of its own target, which would wait for itself; or inside a run of its
    /// hub on the thread that is to run it.
    InsideRun,
}

impl fmt::Display for Unserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GaveUp => "the wake was given up after its last attempt",
            Self::Cancelled => "the wake was cancelled",
            Self::Removed => "the target was removed",
            Self::Stopped => "the hub has stopped",
            Self::NoHandler => "no handler is installed",
            Self::Deferred => "the wake was put off",
            Self::InsideRun => "a run cannot wait for a run that cannot start before it ends",
        })
    }
}

impl std::error::Error for Unserved {}

/// How a ticket ended: as its run did, or why no run will end it.
pub type Answer = Result<Done, Unserved>;

/// The ends of a batch, as its word has them.
const ANSWERS: [Answer; 6] = [
    Ok(Done::Ran),
    Ok(Done::Skipped),
    Err(Unserved::GaveUp),
    Err(Unserved::Cancelled),
    Err(Unserved::Removed),
    Err(Unserved::Stopped),
];

/// What the tickets of one wake share.
///
/// ```text
///   63 … 8      7 … 0
///   deferrals   0: open; else an answer, for good
/// ```
#[derive(Default)]
pub(crate) struct Batch {
    word: AtomicU64,
    told: Event,
}

const DEFERRAL: u64 = 1 << 8;
const ANSWER: u64 = DEFERRAL - 1;

impl Batch {
    /// Ends all tickets of this wake. The first end counts.
    fn end(&self, answer: Answer) {
        let Some(code) = ANSWERS.iter().position(|&known| known == answer) else { return };
        let code = code as u64 + 1;
        // AcqRel: releases what the run did to whoever reads its answer.
        let _ = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            (word & ANSWER == 0).then_some(word | code)
        });
        self.told.notify(usize::MAX);
    }

    fn defer(&self) {
        self.word.fetch_add(DEFERRAL, Ordering::AcqRel);
        self.told.notify(usize::MAX);
    }

    fn answer(&self, ends_at_deferral: bool) -> Option<Answer> {
        // Acquire: who reads the answer sees what its run did.
        let word = self.word.load(Ordering::Acquire);
        let code = usize::try_from(word & ANSWER).unwrap_or(0);
        // A deferral comes before the end of its wake, never after it.
        if ends_at_deferral && word >= DEFERRAL {
            return Some(Err(Unserved::Deferred));
        }
        code.checked_sub(1).and_then(|index| ANSWERS.get(index)).copied()
    }
}

/// The batches of a wake; a list that is replaced as a whole.
pub(crate) struct Waiting {
    batch: Arc<Batch>,
    /// It was given back: no ticket joins it.
    is_sealed: bool,
    rest: Option<Arc<Waiting>>,
}

/// A list that was taken: each of its batches is owed an end.
pub(crate) struct Taken(Option<Arc<Waiting>>);

impl Taken {
    pub(crate) const NONE: Self = Self(None);

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn batches(&self) -> impl Iterator<Item = &Arc<Batch>> {
        let list = std::iter::successors(self.0.as_deref(), |node| node.rest.as_deref());
        list.map(|node| &node.batch)
    }

    /// Ends all of it.
    pub(crate) fn end(&self, answer: Answer) {
        self.batches().for_each(|batch| batch.end(answer));
    }

    /// The wake was put off, and goes on.
    pub(crate) fn defer(&self) {
        self.batches().for_each(|batch| batch.defer());
    }
}

/// The cell. Lock-free; a join allocates.
pub(crate) struct Tickets(ArcSwapOption<Waiting>);

impl Tickets {
    pub(crate) fn new() -> Self {
        Self(ArcSwapOption::empty())
    }

    pub(crate) fn join(&self) -> Arc<Batch> {
        self.update(|front| match front {
            Some(front) if !front.is_sealed => {
                let batch = Arc::clone(&front.batch);
                let rest = front.rest.clone();
                let node = Waiting { batch: Arc::clone(&batch), is_sealed: false, rest };
                (node, batch)
            }
            front => {
                let batch: Arc<Batch> = Arc::default();
                let rest = front.map(Arc::clone);
                let node = Waiting { batch: Arc::clone(&batch), is_sealed: false, rest };
                (node, batch)
            }
        })
    }

    /// Takes the list out; cheap where there is none.
    pub(crate) fn take(&self) -> Taken {
        Taken(self.0.swap(None))
    }

    /// Whether somebody may wait here; a join that is under way may be missed.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.load().is_none()
    }

    /// Puts batches back whose run kept its wake; those that nobody holds any more are left out.
    pub(crate) fn give_back(&self, taken: &Taken) {
        for batch in taken.batches().filter(|batch| Arc::strong_count(batch) > 1) {
            self.update(|front| {
                let (batch, rest) = (Arc::clone(batch), front.map(Arc::clone));
                (Waiting { batch, is_sealed: true, rest }, ())
            });
        }
    }

    /// The driver alone: says which list belongs to the run in flight.
    pub(crate) fn put(&self, taken: &Taken) {
        self.0.store(taken.0.clone());
    }

    fn update<T>(&self, next: impl Fn(Option<&Arc<Waiting>>) -> (Waiting, T)) -> T {
        let mut seen = self.0.load();
        loop {
            let (new, result) = next(seen.as_ref());
            let found = self.0.compare_and_swap(&*seen, Some(Arc::new(new)));
            let same = match (&*found, &*seen) {
                (None, None) => true,
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                _ => false,
            };
            if same {
                return result;
            }
            seen = found;
        }
    }
}

/// Unlinks one by one: a long list must not be dropped by recursion.
impl Drop for Waiting {
    fn drop(&mut self) {
        let mut rest = self.rest.take();
        while let Some(node) = rest {
            rest = Arc::into_inner(node).and_then(|mut node| node.rest.take());
        }
    }
}

/// A claim to the outcome of an awaited wake, from [`Target::wake_awaited`](crate::Target::wake_awaited):
/// a future, or to be waited for.
///
/// It ends when the run ends that serves its wake, as that did, or with why none will. Runs that
/// give the wake back do not end it. Tickets of wakes that merged end together. Dropping one is
/// free, and changes nothing for the wake.
///
/// # Cancel safety
/// Dropping the future, or a wait that ran into its limit, loses nothing.
#[must_use = "a ticket that nobody waits for is a plain wake"]
pub struct Ticket {
    batch: Arc<Batch>,
    /// The target and its hub, by address, for whoever waits inside a run.
    target: usize,
    hub: usize,
    /// No handler was installed when it was made.
    was_vacant: bool,
    ends_at_deferral: bool,
    /// Known at once.
    known: Option<Answer>,
    listener: Option<EventListener>,
}

impl Ticket {
    pub(crate) fn new(batch: Arc<Batch>, target: usize, hub: usize, was_vacant: bool) -> Self {
        let (ends_at_deferral, known, listener) = (false, None, None);
        Self { batch, target, hub, was_vacant, ends_at_deferral, known, listener }
    }

    /// Ends at the first run that gives the wake back, as [`Unserved::Deferred`], rather than
    /// waiting on.
    pub fn or_deferral(mut self) -> Self {
        self.ends_at_deferral = true;
        self
    }

    /// Ends at once, as [`Unserved::NoHandler`], if no handler was installed when the wake was made,
    /// rather than waiting for one. The wake stays, and a later handler runs it (P3).
    pub fn or_no_handler(mut self) -> Self {
        self.known = self.was_vacant.then_some(Err(Unserved::NoHandler));
        self
    }

    /// How it ended, if it has.
    pub fn answer(&self) -> Option<Answer> {
        self.known.or_else(|| self.batch.answer(self.ends_at_deferral))
    }

    /// Blocks until it ends. Inside a run of its own target that would be for ever, so it ends as
    /// [`Unserved::InsideRun`]; and so inside any run of its hub, where its driver runs handlers itself
    /// ([`Precision::inline`](crate::Precision::inline)).
    ///
    /// # Errors
    /// Why no run ends it.
    pub fn wait(&self) -> Answer {
        self.wait_until(None).unwrap_or(Err(Unserved::Stopped))
    }

    /// Blocks until it ends, for at most `limit`; then `None`, and it can be waited for again.
    pub fn wait_timeout(&self, limit: Duration) -> Option<Answer> {
        self.wait_until(Some(limit))
    }

    fn wait_until(&self, limit: Option<Duration>) -> Option<Answer> {
        let deadline = limit.and_then(crate::clock::process_deadline);
        loop {
            let told = self.batch.told.listen();
            if let Some(answer) = self.answer() {
                return Some(answer);
            }
            if run::inside_target(self.target) || run::is_needed_by(self.hub) {
                return Some(Err(Unserved::InsideRun));
            }
            match deadline {
                Some(deadline) => {
                    if told.wait_deadline(deadline).is_none() {
                        return self.answer();
                    }
                }
                None => told.wait(),
            }
        }
    }
}

impl Future for Ticket {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        loop {
            if let Some(answer) = self.answer() {
                self.listener = None;
                return Poll::Ready(answer);
            }
            // Registered first, checked second, and only then asleep.
            match &mut self.listener {
                None => self.listener = Some(self.batch.told.listen()),
                Some(listener) => match Pin::new(listener).poll(context) {
                    Poll::Ready(()) => self.listener = None,
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ticket").field(&self.answer()).finish()
    }
}
