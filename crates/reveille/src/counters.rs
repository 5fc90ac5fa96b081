//! The counters of a hub, and the law they obey (P12).

use reveille_core::pending::Verdict;
use reveille_core::sync::{CachePadded, Ordering, PlainU64};
use std::cell::Cell;

/// Shards for what producers count: enough that few threads share one.
const SHARDS: usize = 32;

/// What producers count on every wake, one cache line each.
#[derive(Default)]
struct Shard {
    accepted: PlainU64,
    coalesced: PlainU64,
    preempted: PlainU64,
    /// Of the requests that were accepted and coalesced in one step, which stand nowhere else.
    at_once: PlainU64,
}

/// Plain relaxed counters: they order nothing, and a model checker does not see them.
#[derive(Default)]
pub(crate) struct Tally(PlainU64);

impl Tally {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The same where only the driver counts.
    pub(crate) fn add_alone(&self, n: u64) {
        self.0.store(self.get() + n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Each term is counted at its own site; none is derived from others.
#[derive(Default)]
pub(crate) struct Tallies {
    shards: [CachePadded<Shard>; SHARDS],
    pub(crate) started: Tally,
    pub(crate) refused: Tally,
    pub(crate) discarded: Tally,
    pub(crate) retried: Tally,
    pub(crate) gave_up: Tally,
    pub(crate) beats: Tally,
    pub(crate) beats_done: Tally,
    pub(crate) missed: Tally,
    pub(crate) installs: Tally,
    pub(crate) stale_disposes: Tally,
    pub(crate) stale_claims: Tally,
    pub(crate) panics: Tally,
    pub(crate) aborted: Tally,
    pub(crate) late_completions: Tally,
    pub(crate) overran: Tally,
    pub(crate) faults: Tally,
    pub(crate) turns: Tally,
    pub(crate) rechecks: Tally,
    pub(crate) found_by_recheck: Tally,
    pub(crate) stalls: Tally,
    pub(crate) gaps: Tally,
}

thread_local! {
    static SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
}

fn shard_of_this_thread() -> usize {
    static NEXT: PlainU64 = PlainU64::new(0);
    let shard = SHARD.get();
    if shard != usize::MAX {
        return shard;
    }
    SHARD.set(NEXT.fetch_add(1, Ordering::Relaxed) as usize % SHARDS);
    SHARD.get()
}

/// A request that was accepted; counted as refused unless it is taken, so that a panic of the
/// user's `Hash`, `Merge` or clock in between leaves the counters conserved.
#[must_use]
pub(crate) struct Accepted<'tallies>(&'tallies Tallies);

impl Accepted<'_> {
    /// A run will serve it.
    pub(crate) fn take(self) {
        std::mem::forget(self);
    }
}

impl Drop for Accepted<'_> {
    fn drop(&mut self) {
        self.0.refused.add(1);
    }
}

impl Tallies {
    /// A request arrived.
    pub(crate) fn accept(&self) -> Accepted<'_> {
        self.accepted(1);
        Accepted(self)
    }

    /// Requests arrived, whatever becomes of them.
    pub(crate) fn accepted(&self, n: u64) {
        self.shard().accepted.fetch_add(n, Ordering::Relaxed);
    }

    /// A request was accepted, and a wake was there that serves it too.
    #[inline]
    pub(crate) fn accepted_and_coalesced(&self) {
        self.shard().at_once.fetch_add(1, Ordering::Relaxed);
    }

    fn shard(&self) -> &Shard {
        &self.shards[shard_of_this_thread() % SHARDS]
    }

    /// A request found a wake that serves it too.
    pub(crate) fn coalesced(&self, n: u64) {
        if n > 0 {
            self.shard().coalesced.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// A request was due sooner than the wake that it found, if it was.
    pub(crate) fn preempted(&self, verdict: Verdict) {
        if verdict == Verdict::Preempted {
            self.shard().preempted.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn read(&self, pending: u64) -> Counters {
        let sum = |of: fn(&Shard) -> &PlainU64| {
            self.shards.iter().map(|shard| of(shard).load(Ordering::Relaxed)).sum()
        };
        let at_once: u64 = sum(|shard| &shard.at_once);
        Counters {
            accepted: at_once + sum(|shard| &shard.accepted),
            coalesced: at_once + sum(|shard| &shard.coalesced),
            preempted: sum(|shard| &shard.preempted),
            pending,
            started: self.started.get(),
            refused: self.refused.get(),
            discarded: self.discarded.get(),
            retried: self.retried.get(),
            gave_up: self.gave_up.get(),
            beats: self.beats.get(),
            beats_done: self.beats_done.get(),
            missed: self.missed.get(),
            installs: self.installs.get(),
            stale_disposes: self.stale_disposes.get(),
            stale_claims: self.stale_claims.get(),
            panics: self.panics.get(),
            aborted: self.aborted.get(),
            late_completions: self.late_completions.get(),
            overran: self.overran.get(),
            faults: self.faults.get(),
            turns: self.turns.get(),
            rechecks: self.rechecks.get(),
            found_by_recheck: self.found_by_recheck.get(),
            stalls: self.stalls.get(),
            gaps: self.gaps.get(),
        }
    }
}

/// What a hub has counted since it was built.
///
/// At every quiescent instant (no request, run or turn in progress)
/// `accepted + retried = started + coalesced + pending + refused + discarded` (P12);
/// [`is_conserved`](Self::is_conserved) says whether that holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Counters {
    /// Requests: wakes and beats, refused ones too.
    pub accepted: u64,
    /// Runs started.
    pub started: u64,
    /// Requests that were served by a wake that waited already.
    pub coalesced: u64,
    /// Of those, the requests that were due sooner than the wake they found.
    pub preempted: u64,
    /// Wakes that wait, counted by looking at every target.
    pub pending: u64,
    /// Requests refused: the target was removed, or the hub stopped.
    pub refused: u64,
    /// Wakes that waited and were discarded: by cancel, remove or stop.
    pub discarded: u64,
    /// Wakes that a run gave back: busy, failed, deferred or cancelled.
    pub retried: u64,
    /// Wakes given up after `max_attempts` failures in a row.
    pub gave_up: u64,
    /// Beats of all cadences.
    pub beats: u64,
    /// Runs that stood for beats, and were done.
    pub beats_done: u64,
    /// Beats that a run stood for beyond its own.
    pub missed: u64,
    /// Handlers installed.
    pub installs: u64,
    /// Disposals by superseded owners, which changed nothing (P1).
    pub stale_disposes: u64,
    /// Cadences that a runner wanted to set or take back, and that were a newer one's or set by hand
    /// (P1): left as they were.
    pub stale_claims: u64,
    /// Handlers that panicked.
    pub panics: u64,
    /// Runs that were dropped without an outcome.
    pub aborted: u64,
    /// Outcomes of runs that had been ended already, which changed nothing.
    pub late_completions: u64,
    /// Runs that passed the run limit.
    pub overran: u64,
    /// Faults outside runs (P18): panics of user code (`Drop`, `Merge`, clock, callback) that were
    /// contained, threads that could not be started, ledgers that failed.
    pub faults: u64,
    /// Turns of the engine.
    pub turns: u64,
    /// Re-checks: how often the engine has looked over all targets.
    pub rechecks: u64,
    /// Targets that a re-check found twice with something to do that nobody would have done: a defect
    /// of ours, made up for. 0 in a correct core.
    pub found_by_recheck: u64,
    /// Stalls that began, as a [`Watch`](crate::Watch) saw them (P18).
    pub stalls: u64,
    /// Time gaps, as a [`Watch`](crate::Watch) saw them (P14).
    pub gaps: u64,
}

impl Counters {
    /// Whether the law of conservation holds (P12). Meaningful at quiescent instants.
    pub fn is_conserved(&self) -> bool {
        self.accepted + self.retried
            == self.started + self.coalesced + self.pending + self.refused + self.discarded
    }

    /// What keeps the law of conservation from holding at the instant of this reading: requests and
    /// retries that no other term had counted yet, or, below zero, the other way round. 0 at quiescent
    /// instants.
    pub fn in_motion(&self) -> i64 {
        let come = self.accepted.wrapping_add(self.retried);
        let gone = [self.started, self.coalesced, self.pending, self.refused, self.discarded];
        come.wrapping_sub(gone.into_iter().fold(0, u64::wrapping_add)).cast_signed()
    }
}
