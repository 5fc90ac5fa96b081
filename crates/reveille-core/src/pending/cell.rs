use super::word::{Request, Taken, Verdict, Word};
use crate::Tick;
use crate::sync::{AtomicU64, Ordering, fence};
use core::fmt;

/// The pending word of one target: one update loop, and all orderings.
///
/// The module has the protocol; [`Word`] has the edges.
pub struct Pending(AtomicU64);

/// What a request was told, and what it owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a join that must be published and is not is a lost wake"]
pub struct Join {
    /// What it meant for the target.
    pub verdict: Verdict,
    /// Whether the caller owes: ready bit, deadline slot, bell.
    pub publish: bool,
}

impl Pending {
    /// An idle target.
    pub fn new() -> Self {
        Self(AtomicU64::new(Word::IDLE.0))
    }

    /// A snapshot, maybe stale; every edge checks it again.
    pub fn load(&self) -> Word {
        // Acquire: who sees CLOSED or SEEN sees what was done before.
        Word(self.0.load(Ordering::Acquire))
    }

    /// The word for a requester, maybe stale: [`join_from`](Self::join_from) goes on from it, or, where it
    /// [`contains`](Word::contains) the request, [`stays`](Self::stays). Wait-free.
    #[inline]
    pub fn look(&self) -> Word {
        // Relaxed: a guess. Nobody acts upon it but by a compare-and-swap, or behind `stays`.
        Word(self.0.load(Ordering::Relaxed))
    }

    /// Whether the word still is what was seen: then a requester whose request it
    /// [`contains`](Word::contains) may leave without writing (P4). Wait-free.
    #[inline]
    pub fn stays(&self, seen: Word) -> bool {
        // P4: orders all that the caller did before the load that may let it leave without
        // writing. Partner: the fence in `begin`. No weaker: a store of the caller's may
        // otherwise pass the load, and the run that is about to be taken misses it.
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) == seen.0
    }

    /// Requests a wake (P3, P5). Lock-free; one fence and two loads when it is coalesced.
    ///
    /// See [`Word::join`] for `unnoted`, which the caller must have read *before* this call.
    pub fn join(&self, request: Request, unnoted: bool) -> Join {
        let seen = self.look();
        if !unnoted && seen.contains(request) && self.stays(seen) {
            return Join { verdict: Verdict::Coalesced, publish: false };
        }
        self.join_from(seen, request, unnoted)
    }

    /// The same for who has looked, and reads the word no more where it is as it was: writes in any case, and
    /// needs no fence for that.
    #[inline]
    pub fn join_from(&self, seen: Word, request: Request, unnoted: bool) -> Join {
        let mut seen = seen;
        loop {
            let joined = seen.join(request, unnoted);
            if joined.verdict == Verdict::Refused {
                return Join { verdict: joined.verdict, publish: false };
            }
            // AcqRel: releases the caller's writes to `begin` (P4), also where the word stays as
            // it was. Relaxed on failure: the value is only the next guess.
            match self.0.compare_exchange_weak(
                seen.0,
                joined.word.0,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Join { verdict: joined.verdict, publish: joined.publish },
                Err(now) => seen = Word(now),
            }
        }
    }

    /// Puts what waits off, see [`Word::postpone`]. True if something waited: the caller publishes.
    pub fn postpone(&self, to: Tick) -> bool {
        let postponed = self.update(|word| word.postpone(to).map(|next| (next, ()))).is_ok();
        self.show();
        postponed
    }

    /// Driver: requests a wake itself, and takes note of a cancel in the same step. Returns the
    /// word before, which says whether there was one.
    pub fn join_and_forget(&self, request: Request, unnoted: bool) -> (Word, Verdict) {
        let edge = |word: Word| {
            let joined = word.forget().join(request, unnoted);
            Some((joined.word, joined.verdict))
        };
        match self.update(edge) {
            Ok(done) => done,
            Err(word) => (word, Verdict::Refused),
        }
    }

    /// Driver: settles the wake if the word is still `seen`, see [`Word::settle`].
    ///
    /// # Errors
    /// The word as it is now: there is news, look again.
    pub fn settle(&self, seen: Word, due: Tick) -> Result<Word, Word> {
        let Some(settled) = seen.settle(due) else { return Err(self.load()) };
        if settled == seen {
            return Ok(seen);
        }
        self.exchange(seen, settled)
    }

    /// Driver: takes the wake and starts a run, see [`Word::begin`].
    ///
    /// All that requesters did before a request that this takes, coalesced ones included, is
    /// visible to the caller afterwards (P4).
    ///
    /// # Errors
    /// The word, where no run may start.
    pub fn begin(&self) -> Result<Taken, Word> {
        let (_, taken) = self.update(Word::begin)?;
        // Partner: the fence in `stays`, for requests that coalesced without writing.
        fence(Ordering::SeqCst);
        Ok(taken)
    }

    /// Driver: the run ended, see [`Word::end`]. Returns the word before, with what came
    /// during the run, and the word after.
    pub fn end(&self, kept: Option<Taken>) -> (Word, Word) {
        match self.update(|word| Some((word.end(kept), ()))) {
            Ok((before, ())) => (before, before.end(kept)),
            Err(word) => (word, word),
        }
    }

    /// Discards the wake that waits, see [`Word::cancel`]. True if there was one: it counts as
    /// discarded, and the caller publishes.
    pub fn cancel(&self) -> bool {
        let cancelled = self.update(|word| word.cancel().map(|next| (next, ()))).is_ok();
        self.show();
        cancelled
    }

    /// Driver: has forgotten what it remembered of a discarded wake.
    pub fn forget(&self) -> Word {
        match self.update(|word| Some((word.forget(), ()))) {
            Ok((before, ())) => before.forget(),
            Err(word) => word,
        }
    }

    /// Closes the word, and returns what it was: a wake in it counts as discarded.
    pub fn close(&self) -> Word {
        let closed = self.update(|word| Some((word.close(), ())));
        self.show();
        match closed {
            Ok((before, ())) | Err(before) => before,
        }
    }

    /// A wake was taken away: who is told of it, and then requests one, finds it gone, also where nothing but
    /// time has told it.
    fn show(&self) {
        fence(Ordering::SeqCst); // partner: the fence in `stays`
    }

    /// Applies an edge by compare-and-swap until it takes effect or does not apply; the edge's
    /// word before and its result, or the word to which it does not apply.
    fn update<T>(&self, edge: impl Fn(Word) -> Option<(Word, T)>) -> Result<(Word, T), Word> {
        let mut seen = self.load();
        loop {
            let Some((next, result)) = edge(seen) else { return Err(seen) };
            match self.exchange(seen, next) {
                Ok(_) => return Ok((seen, result)),
                Err(now) => seen = now,
            }
        }
    }

    fn exchange(&self, seen: Word, next: Word) -> Result<Word, Word> {
        // AcqRel: acquires the requesters' writes (partner: `join`), releases the driver's.
        // Acquire on failure: the value is looked at, not only tried again.
        self.0
            .compare_exchange(seen.0, next.0, Ordering::AcqRel, Ordering::Acquire)
            .map(|_| next)
            .map_err(Word)
    }
}

impl Default for Pending {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pending").field(&self.load()).finish()
    }
}
