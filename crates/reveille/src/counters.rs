//! The counters of a hub, and the law they obey (P12).

use reveille_core::pending::Verdict;
use reveille_core::sync::{CachePadded, Ordering, PlainU64};
use std::cell::Cell;

/// Threads that have a shard of their own at a time; all others share one more.
const OWN: usize = 32;

const _: () = assert!(OWN < u64::BITS as usize, "a bit each, and one that is never set");

/// What producers count on every wake, one cache line each.
#[derive(Default)]
struct Shard {
    /// Requests by what they were told, counted in one step: armed, preempted, coalesced.
    told: [PlainU64; 3],
    /// Other requests that arrived.
    accepted: PlainU64,
    /// Those of them that found a wake.
    coalesced: PlainU64,
    /// Those of them that found one that was due later.
    preempted: PlainU64,
}

const _: () = assert!(Verdict::Armed as usize == 0 && Verdict::Refused as usize == 3);

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
    own: [CachePadded<Shard>; OWN],
    shared: CachePadded<Shard>,
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

/// Which shards have an owner: a bit each.
///
/// Not behind the facade: a checker runs all its threads on one, so they share a shard, and what a
/// counter says is not modelled.
static OWNED: PlainU64 = PlainU64::new(0);

/// A shard of each hub that no other live thread counts in; given back when the thread ends.
struct Own(usize);

impl Own {
    /// The lowest that is free. Lock-free (P16).
    fn take() -> Option<Self> {
        let next = |owned: u64| (owned.trailing_ones() < OWN as u32).then(|| owned | (owned + 1));
        // Acquire: what the owner before has counted. Its release is in `drop`.
        let before = OWNED.fetch_update(Ordering::AcqRel, Ordering::Relaxed, next);
        before.ok().map(|owned| Self(owned.trailing_ones() as usize))
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // What this thread still counts, in destructors behind this one, goes to the shared shard.
        SHARD.set(OWN);
        OWNED.fetch_and(!(1 << self.0), Ordering::AcqRel);
    }
}

thread_local! {
    /// The place of this thread's shard, [`OWN`] for the shared one; [`UNKNOWN`] before its first count.
    static SHARD: Cell<usize> = const { Cell::new(UNKNOWN) };
    /// Gives the shard back when the thread ends.
    static MINE: Option<Own> = Own::take();
}

const UNKNOWN: usize = usize::MAX;

#[inline]
fn shard() -> usize {
    match SHARD.get() {
        UNKNOWN => shard_of_this_thread(),
        shard => shard,
    }
}

#[cold]
fn shard_of_this_thread() -> usize {
    let mine = MINE.try_with(|mine| mine.as_ref().map(|own| own.0));
    let shard = mine.ok().flatten().unwrap_or(OWN);
    SHARD.set(shard);
    shard
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
        self.count(n, |shard| &shard.accepted);
    }

    /// A request arrived, and was told this.
    #[inline]
    pub(crate) fn accepted_as(&self, verdict: Verdict) {
        match verdict {
            Verdict::Refused => drop(self.accept()),
            _ => self.count(1, |shard| &shard.told[verdict as usize]),
        }
    }

    /// Counts in this thread's shard. Wait-free, and but for the first time, and for threads beyond
    /// [`OWN`], without a read-modify-write.
    #[inline]
    fn count(&self, n: u64, of: impl Fn(&Shard) -> &PlainU64) {
        let shard = shard();
        match self.own.get(shard) {
            Some(shard) => {
                let word = of(shard); // no other thread writes it
                word.store(word.load(Ordering::Relaxed) + n, Ordering::Relaxed);
            }
            None => self.count_shared(n, of),
        }
    }

    #[cold]
    #[inline(never)]
    fn count_shared(&self, n: u64, of: impl Fn(&Shard) -> &PlainU64) {
        of(&self.shared).fetch_add(n, Ordering::Relaxed);
    }

    /// A request found a wake that serves it too.
    pub(crate) fn coalesced(&self, n: u64) {
        if n > 0 {
            self.count(n, |shard| &shard.coalesced);
        }
    }

    /// A request was due sooner than the wake that it found, if it was.
    pub(crate) fn preempted(&self, verdict: Verdict) {
        if verdict == Verdict::Preempted {
            self.count(1, |shard| &shard.preempted);
        }
    }

    pub(crate) fn read(&self, pending: u64) -> Counters {
        let sum = |of: fn(&Shard) -> &PlainU64| {
            let all = self.own.iter().chain([&self.shared]);
            all.map(|shard| of(shard).load(Ordering::Relaxed)).sum::<u64>()
        };
        let [armed, sooner, merged] =
            [sum(|shard| &shard.told[0]), sum(|shard| &shard.told[1]), sum(|shard| &shard.told[2])];
        Counters {
            accepted: armed + sooner + merged + sum(|shard| &shard.accepted),
            coalesced: sooner + merged + sum(|shard| &shard.coalesced),
            preempted: sooner + sum(|shard| &shard.preempted),
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    /// P12: more threads at a time than have a shard of their own, and then as many again.
    #[test]
    fn no_count_is_lost_whichever_shard_it_is_in() {
        const THREADS: usize = 3 * OWN;
        const COUNTS: u64 = 1_000;
        let tallies = Tallies::default();
        for _ in 0..2 {
            let all = Barrier::new(THREADS);
            std::thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| {
                        all.wait();
                        for _ in 0..COUNTS {
                            tallies.accepted_as(Verdict::Preempted);
                            tallies.accepted_as(Verdict::Coalesced);
                            tallies.accepted_as(Verdict::Armed);
                            tallies.accepted_as(Verdict::Refused);
                        }
                        all.wait(); // so that no shard is given back before all have one
                    });
                }
            });
        }
        let all = 2 * THREADS as u64 * COUNTS;
        let read = tallies.read(0);
        assert_eq!((read.accepted, read.coalesced), (4 * all, 2 * all));
        assert_eq!((read.preempted, read.refused), (all, all));
        let used = tallies.own.iter().filter(|s| s.told[2].load(Ordering::Relaxed) > 0).count();
        assert!(used > 1 && tallies.shared.told[2].load(Ordering::Relaxed) > 0, "{used}");
    }
}
