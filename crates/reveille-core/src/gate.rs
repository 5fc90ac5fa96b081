//! The gate that every run passes: whether a run may still start, and how many are in flight.
//!
//! ```text
//!   63      62..0
//!   CLOSED  runs in flight
//! ```
//! | edge | role | from | to | obligation |
//! | --- | --- | --- | --- | --- |
//! | enter | driver | open, n | open, n + 1 | leave once |
//! | enter | driver | closed, n | closed, n | the run does not start |
//! | leave | whoever ends the run | n | n − 1 | when closed and 0 is left: tell the drain |
//! | close | anyone | any | closed | none |
//!
//! Start and close are read-modify-writes of one word, so each start is either before the close
//! and counted in what `close` returns, or refused (P13); nobody waits for anybody. No edge but
//! these, and nothing leaves "closed".

use crate::sync::{AtomicU64, Ordering};
use core::fmt;

const CLOSED: u64 = 1 << 63;

/// A snapshot of the gate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Word(u64);

impl Word {
    /// Whether no run may start any more.
    pub const fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    /// Runs that entered and did not leave.
    pub const fn in_flight(self) -> u64 {
        self.0 & !CLOSED
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_closed() { "closed" } else { "open" };
        write!(f, "{state}, {} in flight", self.in_flight())
    }
}

/// The gate. All operations are lock-free; the module has the protocol.
#[derive(Default)]
pub struct Gate(AtomicU64);

impl Gate {
    /// An open gate with nothing in flight.
    pub fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// A run is about to start: true if it may, and then owes one [`leave`](Self::leave).
    #[must_use = "a run that entered must leave, and one that did not must not start"]
    pub fn enter(&self) -> bool {
        // AcqRel: a start that is refused acquires what the closer did before its close.
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
                (word & CLOSED == 0).then_some(word + 1)
            })
            .is_ok()
    }

    /// A run that entered has ended; returns what is left.
    pub fn leave(&self) -> Word {
        // AcqRel: releases the run's effects to whoever finds the gate empty.
        Word(self.0.fetch_sub(1, Ordering::AcqRel) - 1)
    }

    /// Closes the gate for good, and returns what it found: open for the first closer alone.
    pub fn close(&self) -> Word {
        Word(self.0.fetch_or(CLOSED, Ordering::AcqRel))
    }

    /// The gate now.
    pub fn load(&self) -> Word {
        // Acquire: who sees "closed" sees what the closer did before.
        Word(self.0.load(Ordering::Acquire))
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gate").field(&self.load()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P13: whoever enters before the close is counted, nobody enters after it.
    #[test]
    fn nothing_enters_a_closed_gate() {
        let gate = Gate::new();
        assert!(gate.enter());
        assert!(gate.enter());
        assert_eq!(gate.leave().in_flight(), 1);
        let found = gate.close();
        assert!(!found.is_closed());
        assert_eq!(found.in_flight(), 1);
        assert!(!gate.enter());
        assert!(gate.close().is_closed());
        let left = gate.leave();
        assert!(left.is_closed());
        assert_eq!(left.in_flight(), 0);
        assert_eq!(format!("{gate:?}"), "Gate(closed, 0 in flight)");
    }
}
