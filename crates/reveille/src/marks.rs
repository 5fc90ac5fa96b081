//! What lies beside a target's word for the driver, told by one word: it looks here, and then only into the cells
//! that hold something.
//!
//! Whoever leaves something puts its mark behind it, and in front of what leads the driver here: the word, or the
//! ready bit. The driver takes a mark first, and then what it stands for; so what comes in between is found
//! again, by a mark that may stand for nothing any more.

use reveille_core::sync::{AtomicU64, Ordering};

/// The marks of one target.
pub(crate) struct Marks(AtomicU64);

/// Some of them, as a set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark(u64);

impl Mark {
    pub(crate) const NONE: Self = Self(0);
    /// The wake that waits is a barrier.
    pub(crate) const BARRIER: Self = Self(1);
    /// Somebody asked for what was given up.
    pub(crate) const REVIVE: Self = Self(1 << 1);
    /// Somebody has the target start clean.
    pub(crate) const FORGIVE: Self = Self(1 << 2);
    /// Another cadence, or none, is wanted of it.
    pub(crate) const SETTING: Self = Self(1 << 3);
    /// The wake that waits has a payload.
    pub(crate) const PAYLOAD: Self = Self(1 << 4);
    /// Somebody awaits the wake that waits.
    pub(crate) const TICKETS: Self = Self(1 << 5);
    /// What is said beside the word.
    pub(crate) const SAID: Self = Self(Self::BARRIER.0 | Self::REVIVE.0 | Self::FORGIVE.0);

    pub(crate) const fn has(self, mark: Self) -> bool {
        self.0 & mark.0 != 0
    }

    pub(crate) const fn is_none(self) -> bool {
        self.0 == Self::NONE.0
    }
}

impl Marks {
    pub(crate) fn none() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Puts a mark, before the word or the ready bit.
    pub(crate) fn put(&self, mark: Mark) {
        // AcqRel: releases what it stands for, where nothing else does.
        self.0.fetch_or(mark.0, Ordering::AcqRel);
    }

    /// The marks as they are.
    pub(crate) fn look(&self) -> Mark {
        // Acquire: what they stand for.
        Mark(self.0.load(Ordering::Acquire))
    }

    /// Takes those of `marks` that are there; writes nothing where none is.
    pub(crate) fn take(&self, marks: Mark) -> Mark {
        if !self.look().has(marks) {
            return Mark::NONE;
        }
        Mark(self.0.fetch_and(!marks.0, Ordering::AcqRel) & marks.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P3: a mark is found until it is taken, and each by itself.
    #[test]
    fn each_mark_is_taken_once() {
        let all = [
            Mark::BARRIER,
            Mark::REVIVE,
            Mark::FORGIVE,
            Mark::SETTING,
            Mark::PAYLOAD,
            Mark::TICKETS,
        ];
        let marks = Marks::none();
        assert!(marks.look().is_none() && all.iter().all(|&mark| marks.take(mark).is_none()));
        all.iter().for_each(|&mark| marks.put(mark));
        for (n, &mark) in all.iter().enumerate() {
            assert!(
                marks.look().has(mark) && marks.take(mark) == mark && marks.take(mark).is_none()
            );
            assert!(all[n + 1..].iter().all(|&other| marks.look().has(other)));
        }
        assert!(marks.look().is_none());
        [Mark::REVIVE, Mark::SETTING].iter().for_each(|&mark| marks.put(mark));
        assert!(marks.take(Mark::SAID) == Mark::REVIVE && marks.look() == Mark::SETTING);
    }
}
