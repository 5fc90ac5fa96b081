use crate::Tick;
use crate::ready::Marked;
use crate::sync::{AtomicU64, Ordering};
use core::fmt;

/// The earliest instant for which anybody asked since the driver last took it: one word (P5).
///
/// # Roles
/// Any number of *requesters* ask for instants; one *driver* takes the earliest and then
/// collects what was asked for. **Take first, collect second**: whatever arrives after the take
/// leaves a new deadline behind, so a request between take and park cannot be lost.
///
/// # Synchronisation
/// Every change is a read-modify-write. A `request` releases what the requester did before it
/// (its pending word, its ready bit); the driver's `take` that reads it acquires that.
///
/// # Progress
/// Wait-free where the machine has a fetch-min, lock-free elsewhere (x86-64: a
/// compare-and-swap loop).
pub struct DeadlineSlot(AtomicU64);

/// Proof that an instant was asked for, which the [`Bell`](crate::Bell) wants to see.
#[derive(Clone, Copy, Debug)]
pub struct Asked(pub(crate) Tick);

impl DeadlineSlot {
    /// A slot for which nobody asked yet.
    pub fn new() -> Self {
        Self(AtomicU64::new(Tick::NEVER.as_micros()))
    }

    /// Asks for a turn at `at`, or sooner.
    ///
    /// An earlier request preempts, a later one changes nothing.
    #[inline]
    pub fn request(&self, at: Tick) -> Asked {
        // AcqRel: releases the requester's news to the driver's take (partner: `take`), and acquires
        // the driver's bell (partner: `confirm`).
        self.0.fetch_min(at.as_micros(), Ordering::AcqRel);
        Asked(at)
    }

    /// The same for who has news in the ready set: writes nothing where the slot has an instant as early.
    ///
    /// Whoever put it there may be stopped before its ring: the caller must ask the
    /// [`Bell`](crate::Bell) in any case.
    #[inline]
    pub fn request_for(&self, _: Marked, at: Tick) -> Asked {
        // Acquire: an instant that was put there behind a `confirm` is seen with the bell. One that a take
        // takes is found here only if the drain behind that take finds what `Marked` stands for.
        if at.as_micros() < self.0.load(Ordering::Acquire) { self.request(at) } else { Asked(at) }
    }

    /// Takes the earliest request and leaves none.
    ///
    /// The driver calls this *before* it collects what was asked for, by
    /// [`drain`](crate::ReadySet::drain).
    pub fn take(&self) -> Tick {
        // Acquire: what requesters published before their `request`. Release: the ringer, which this driver
        // has set before, for who demands a turn.
        Tick::from_micros(self.0.swap(Tick::NEVER.as_micros(), Ordering::AcqRel))
    }

    /// The earliest request, left where it is, for a driver whose bell says that it sleeps: a requester of
    /// whom this knows nothing sees that bell. For [`Bell::doze`](crate::Bell::doze).
    pub(crate) fn confirm(&self) -> Tick {
        // A read-modify-write that changes nothing: it comes before that of a request, which then acquires
        // the bell from it, or behind it, and sees it. A load could do neither.
        Tick::from_micros(self.0.fetch_min(Tick::NEVER.as_micros(), Ordering::AcqRel))
    }

    /// The earliest request, left where it is. May be stale. Wait-free.
    pub fn peek(&self) -> Tick {
        // Relaxed: a hint. What must not be missed is asked of `confirm`.
        Tick::from_micros(self.0.load(Ordering::Relaxed))
    }
}

impl Default for DeadlineSlot {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for DeadlineSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DeadlineSlot").field(&self.peek()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P5: where the slot has an instant as early, it keeps it; a later one is replaced.
    #[test]
    fn news_asks_for_no_more_than_is_asked_for() {
        let (slot, ready) = (DeadlineSlot::new(), crate::ReadySet::with_capacity(1));
        for (at, earliest) in [(500, 500), (100, 100), (300, 100), (100, 100), (99, 99)] {
            slot.request_for(ready.set(0), Tick::from_micros(at));
            assert_eq!(slot.peek(), Tick::from_micros(earliest));
        }
    }

    /// P5: an earlier request preempts, a later one coalesces, a take leaves nothing.
    #[test]
    fn the_earliest_request_wins_and_a_take_empties() {
        let slot = DeadlineSlot::new();
        assert_eq!(slot.take(), Tick::NEVER);
        for at in [500, 100, 300] {
            slot.request(Tick::from_micros(at));
        }
        assert_eq!(slot.peek(), Tick::from_micros(100));
        assert_eq!(slot.take(), Tick::from_micros(100));
        assert_eq!(slot.take(), Tick::NEVER);
        assert_eq!(format!("{slot:?}"), "DeadlineSlot(never)");
    }
}
