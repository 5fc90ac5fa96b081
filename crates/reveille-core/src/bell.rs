use crate::Tick;
use crate::sync::{AtomicU64, Ordering, fence};
use core::fmt;

/// Whether a sleeping driver must be rung: the instant until which it sleeps (P5, P16).
///
/// The deadline slot does not decide who rings. Two producers may ask for the same instant; the
/// second sees that the slot already has it, and if the first is stopped before its ring, the
/// driver oversleeps. So each producer compares *its own* instant with the driver's sleep, after
/// a fence:
///
/// ```text
///   producer                         driver
///   deadline.request(at)             bell.doze(until)        writes asleep_until
///   fence(SeqCst)        ◀── pair ──▶ fence(SeqCst)
///   at < asleep_until ?  ring        deadline.peek() < until ?  do not sleep
/// ```
///
/// One of the two sees the other. Rings of an awake driver cost nothing: it sleeps until
/// [`Tick::NOW`], and no instant is before that.
///
/// # Progress
/// Wait-free. The ring itself is the driver's own (unparking a thread, say).
pub struct Bell(AtomicU64);

impl Bell {
    /// The bell of a driver that is awake, or of none.
    pub fn new() -> Self {
        Self(AtomicU64::new(Tick::NOW.as_micros()))
    }

    /// A producer asks, after its [`request`](crate::DeadlineSlot::request) for `at`: must the
    /// driver be rung, since it would oversleep?
    #[inline]
    pub fn must_ring(&self, at: Tick) -> bool {
        // Partner: the fence in `doze`. Carries: if the load below misses the driver's word,
        // the driver's peek sees our request. No weaker: store buffering needs both fences.
        fence(Ordering::SeqCst);
        at.as_micros() < self.0.load(Ordering::Relaxed)
    }

    /// The driver is about to sleep until `until`. It must look at the deadline slot once more
    /// after this, and not sleep past what it finds there.
    ///
    /// [`Tick::NOW`] as `until` means "asleep, but no request need ring": for a driver that
    /// could start nothing anyway.
    pub fn doze(&self, until: Tick) {
        // Only the driver writes this word, by stores alone; the fence carries the order.
        self.0.store(until.as_micros(), Ordering::Relaxed);
        fence(Ordering::SeqCst); // partner: the fence in `must_ring`
    }

    /// The driver is awake: nobody need ring.
    pub fn rise(&self) {
        // Relaxed: a producer that still sees the old value rings once too often, harmlessly.
        self.0.store(Tick::NOW.as_micros(), Ordering::Relaxed);
    }
}

impl Default for Bell {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let until = Tick::from_micros(self.0.load(Ordering::Relaxed));
        f.debug_struct("Bell").field("asleep_until", &until).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P5: only a request that the driver would oversleep rings.
    #[test]
    fn only_an_earlier_request_rings() {
        let bell = Bell::new();
        assert!(!bell.must_ring(Tick::NOW), "an awake driver is not rung");
        bell.doze(Tick::from_micros(10));
        assert!(bell.must_ring(Tick::NOW));
        assert!(bell.must_ring(Tick::from_micros(9)));
        assert!(!bell.must_ring(Tick::from_micros(10)));
        bell.rise();
        assert!(!bell.must_ring(Tick::NOW));
        assert_eq!(format!("{bell:?}"), "Bell { asleep_until: now }");
    }
}
