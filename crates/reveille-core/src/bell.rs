use crate::Tick;
use crate::deadline::{Asked, DeadlineSlot};
use crate::sync::{AtomicU64, Ordering};
use core::fmt;

/// Whether a sleeping driver must be rung: the instant until which it sleeps (P5, P16).
///
/// The deadline slot does not decide who rings. Two producers may ask for the same instant; the
/// second sees that the slot already has it, and if the first is stopped before its ring, the
/// driver oversleeps. So each producer compares *its own* instant with the driver's sleep, when it has
/// asked for it:
///
/// ```text
///   producer                          driver
///   deadline.request(at)  rmw         bell.doze(until)     writes asleep_until,
///   at < asleep_until ?   ring          and then: deadline.confirm() < until ?  do not sleep    rmw
/// ```
///
/// Whichever of the two read-modify-writes comes second sees what stands before the first. Rings of an
/// awake driver cost nothing: it sleeps until [`Tick::NOW`], and no instant is before that.
///
/// # Progress
/// Wait-free where the [`DeadlineSlot`] is. The ring itself is the driver's own (unparking a thread, say).
pub struct Bell(AtomicU64);

impl Bell {
    /// The bell of a driver that is awake, or of none.
    pub fn new() -> Self {
        Self(AtomicU64::new(Tick::NOW.as_micros()))
    }

    /// A producer asks, with what it has asked the deadline slot for: must the driver be rung, since it
    /// would oversleep?
    #[inline]
    pub fn must_ring(&self, asked: Asked) -> bool {
        // Relaxed: the slot carries. If this misses the driver's word, the driver finds what was asked for.
        asked.0.as_micros() < self.0.load(Ordering::Relaxed)
    }

    /// The driver is about to sleep until `until`: the earliest instant that anybody has asked for. It must
    /// not sleep past that; whoever asks for an earlier one from here on rings.
    ///
    /// [`Tick::NOW`] as `until` means "asleep, but no request need ring": for a driver that
    /// could start nothing anyway.
    pub fn doze(&self, until: Tick, deadline: &DeadlineSlot) -> Tick {
        // Only the driver writes this word, by stores alone; `confirm` releases it.
        self.0.store(until.as_micros(), Ordering::Relaxed);
        deadline.confirm()
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
        let (bell, slot) = (Bell::new(), DeadlineSlot::new());
        let rings = |at| bell.must_ring(Asked(Tick::from_micros(at)));
        assert!(!rings(0), "an awake driver is not rung");
        slot.request(Tick::from_micros(11));
        assert_eq!(bell.doze(Tick::from_micros(10), &slot), Tick::from_micros(11));
        assert!(rings(0) && rings(9));
        assert!(!rings(10));
        bell.rise();
        assert!(!rings(0));
        slot.request(Tick::from_micros(9));
        assert_eq!(bell.doze(Tick::from_micros(10), &slot), Tick::from_micros(9), "do not sleep");
        bell.rise();
        assert_eq!(format!("{bell:?}"), "Bell { asleep_until: now }");
    }
}
