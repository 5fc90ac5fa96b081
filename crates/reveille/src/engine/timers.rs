use reveille_core::Tick;
use std::collections::BTreeSet;

/// A timer store: targets by instant, earliest first, among equals by creation.
///
/// A `BTreeSet`, by measurement: see `docs/decisions/0002-timer-store.md`. Each target stands in
/// it at most once, at an instant that its record keeps, so that moving it is a removal and an
/// insertion.
#[derive(Default)]
pub(super) struct Timers(BTreeSet<(Tick, u64, u32)>);

/// A target as the timers know it: its rank in the order of creation, and its index.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) created: u64,
    pub(super) index: u32,
}

impl Timers {
    /// Moves `entry` from instant to instant; those past [`Tick::HORIZON`] are not in the store.
    pub(super) fn set(&mut self, entry: Entry, from: Tick, to: Tick) {
        if from == to {
            return;
        }
        if from < Tick::HORIZON {
            self.0.remove(&(from, entry.created, entry.index));
        }
        if to < Tick::HORIZON {
            self.0.insert((to, entry.created, entry.index));
        }
    }

    /// The earliest instant, and whose it is.
    pub(super) fn first(&self) -> Option<(Tick, u32)> {
        self.0.first().map(|&(at, _, index)| (at, index))
    }

    /// The earliest instant, or never.
    pub(super) fn earliest(&self) -> Tick {
        self.first().map_or(Tick::NEVER, |(at, _)| at)
    }

    /// Those up to an instant, earliest first.
    pub(super) fn up_to(&self, until: Tick) -> impl Iterator<Item = (Tick, Entry)> {
        let all = self.0.iter().map(|&(at, created, index)| (at, Entry { created, index }));
        all.take_while(move |&(at, _)| at <= until)
    }

    /// Whether the target stands in it at this instant.
    pub(super) fn has(&self, at: Tick, entry: Entry) -> bool {
        self.0.contains(&(at, entry.created, entry.index))
    }

    /// All targets in the store.
    pub(super) fn indices(&self) -> Vec<u32> {
        self.0.iter().map(|&(_, _, index)| index).collect()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P11: what is due at the horizon or later is never armed.
    #[test]
    fn nothing_stands_past_the_horizon() {
        let mut timers = Timers::default();
        let entry = Entry { created: 1, index: 7 };
        let before = Tick::from_micros(Tick::HORIZON.as_micros() - 1);
        let mut from = Tick::NEVER;
        for (to, first) in [
            (Tick::HORIZON, None),
            (before, Some((before, 7))),
            (Tick::NEVER, None),
            (Tick::NOW, Some((Tick::NOW, 7))),
            (Tick::HORIZON, None),
        ] {
            timers.set(entry, from, to);
            assert_eq!(timers.first(), first, "{to:?}");
            from = to;
        }
    }
}
