//! Which instants of a cadence are beats: all of its grid, or those inside its active hours.
//!
//! Active hours live by the wall clock, and the engine by ticks. Where the Unix epoch lies on the
//! hub's clock is asked of the hub's clock at most once a turn, and only while a cadence with hours
//! is in force; a step of the wall clock by a second or more has these cadences find their next
//! instants anew. Nothing else in the engine knows of a wall clock (P14).

use super::Engine;
use super::record::Beating;
use crate::cadence::Grid;
use crate::hub::Key;
use crate::merge::Merge;
use crate::reasons::Reasons;
use reveille_core::Tick;

impl<K: Key, R: Reasons, P: Merge> Engine<K, R, P> {
    /// The beat at `at`, an instant of the grid, or the next one that is inside the hours.
    pub(super) fn open_from(&self, index: u32, grid: Grid, at: Tick) -> Tick {
        #[cfg(feature = "calendar")]
        if let Some(hours) = self.hours(index) {
            return self.state.wall.seek(hours, grid, at);
        }
        let _ = (index, grid);
        at
    }

    /// How many beats passed from the one at `first` up to now, and the last of them.
    pub(super) fn passed(&self, index: u32, grid: Grid, first: Tick) -> (u64, Tick) {
        let (count, last) = grid.passed(first, self.state.now.max(first));
        #[cfg(feature = "calendar")]
        if count > 1
            && let Some(hours) = self.hours(index)
        {
            let wall = &self.state.wall;
            let (from, to) = (wall.wall(first), wall.wall(self.state.now));
            // The beat that was armed is one, also where the wall clock has stepped since.
            let (count, last) = hourly::count(hours, grid, from, to);
            return (count.max(1), last.map_or(first, |last| wall.tick(last)));
        }
        let _ = index;
        (count, last)
    }

    /// How many beats were missed from `first`, an instant of the grid that may lie before the hub's
    /// origin, up to now; and the last of them, if there is one.
    pub(super) fn missed(&self, index: u32, grid: Grid, first: i128) -> (u64, i64) {
        #[cfg(feature = "calendar")]
        if let Some(hours) = self.hours(index) {
            let wall = &self.state.wall;
            let from = i64::try_from(first - i128::from(wall.epoch)).unwrap_or(i64::MAX);
            let (count, last) = hourly::count(hours, grid, from, wall.wall(self.state.now));
            return (count, last.unwrap_or(from).saturating_add(wall.epoch));
        }
        let _ = index;
        let missed = grid.missed(first, self.state.now);
        let last = first + i128::from(missed.saturating_sub(1)) * i128::from(grid.period);
        (missed, i64::try_from(last).unwrap_or(i64::MAX))
    }

    /// Puts the cadence of a target in force, whose next instant on the grid is `next`.
    pub(super) fn set_beating_from(&mut self, index: u32, beating: Option<Beating>) {
        #[cfg(feature = "calendar")]
        match beating.is_some() && self.hours(index).is_some() {
            true => {
                if self.state.wall.hourly.is_empty() {
                    self.state.wall.epoch = self.read_epoch();
                }
                self.state.wall.hourly.insert(index);
            }
            false => _ = self.state.wall.hourly.remove(&index),
        }
        // The grid as it lies: from a next instant that never comes it could not be told again.
        let beating = beating.map(|beating| Beating {
            grid: beating.grid.through(beating.next),
            next: self.open_from(index, beating.grid, beating.next),
            ..beating
        });
        self.set_beating(index, beating);
    }
}

#[cfg(feature = "calendar")]
pub(super) use hourly::Wall;

#[cfg(not(feature = "calendar"))]
impl<K: Key, R: Reasons, P: Merge> Engine<K, R, P> {
    #[expect(clippy::unused_self, reason = "there are no hours")]
    pub(super) fn note_wall(&mut self) {}
}

#[cfg(feature = "calendar")]
mod hourly {
    use super::{Beating, Engine, Grid, Key, Merge, Reasons, Tick};
    use crate::fault::{Place, contain};
    use crate::hours::Hours;
    use std::collections::BTreeSet;

    /// Less than this the wall clock may drift against the hub's unnoticed, in microseconds.
    const SMALL: u64 = 1_000_000;

    /// More missed beats are not counted one by one, and so not at all.
    const MOST: u64 = 1_000_000;

    /// Where the wall clock stands against the hub's, and who lives by it.
    #[derive(Default)]
    pub(in crate::engine) struct Wall {
        /// The Unix epoch on the hub's clock, in microseconds.
        pub(in crate::engine) epoch: i64,
        pub(in crate::engine) hourly: BTreeSet<u32>,
    }

    impl Wall {
        pub(super) fn wall(&self, at: Tick) -> i64 {
            i64::try_from(at.as_micros()).unwrap_or(i64::MAX).saturating_sub(self.epoch)
        }

        pub(super) fn tick(&self, wall: i64) -> Tick {
            let at = wall.saturating_add(self.epoch);
            u64::try_from(at).map_or(Tick::NOW, Tick::from_micros)
        }

        pub(in crate::engine) fn seek(&self, hours: &Hours, grid: Grid, at: Tick) -> Tick {
            if at >= Tick::HORIZON {
                return Tick::NEVER;
            }
            hours.seek(self.wall(at), grid.period).map_or(Tick::NEVER, |open| self.tick(open))
        }
    }

    /// How many instants are inside the hours from the wall's `from`, an instant of the grid, up to
    /// `to`, and the last of them.
    pub(super) fn count(hours: &Hours, grid: Grid, from: i64, to: i64) -> (u64, Option<i64>) {
        let (mut count, mut at, mut last) = (0, from, None);
        while count < MOST
            && at <= to
            && let Some(open) = hours.seek(at, grid.period).filter(|open| *open <= to)
        {
            count += 1;
            last = Some(open);
            at = open.saturating_add_unsigned(grid.period);
        }
        (count, last)
    }

    impl<K: Key, R: Reasons, P: Merge> Engine<K, R, P> {
        pub(super) fn hours(&self, index: u32) -> Option<&Hours> {
            let record = self.state.records.get(index as usize)?.as_ref()?;
            let setting = record.detail.as_ref()?.setting.as_ref()?;
            setting.wanted.as_ref()?.cadence.hours()
        }

        /// Where the epoch is; where it was, if the user's clock panics.
        pub(super) fn read_epoch(&self) -> i64 {
            let read = contain(|| self.shared.epoch(self.shared.now()));
            read.unwrap_or_else(|message| {
                self.shared.fault(Place::Clock, message);
                self.state.wall.epoch
            })
        }

        /// Cadences with hours find their next instants anew after a step of the wall clock; what
        /// has passed already beats.
        pub(in crate::engine) fn note_wall(&mut self) {
            if self.state.wall.hourly.is_empty() {
                return;
            }
            let epoch = self.read_epoch();
            if epoch.abs_diff(self.state.wall.epoch) < SMALL {
                return;
            }
            self.state.wall.epoch = epoch;
            let now = self.state.now;
            for index in self.state.wall.hourly.iter().copied().collect::<Vec<_>>() {
                let Some(beating) = self.detail(index).and_then(|detail| detail.cadence) else {
                    continue;
                };
                if beating.next > now {
                    let next = beating.grid.next_in_phase(now).unwrap_or(beating.next);
                    self.set_beating_from(index, Some(Beating { next, ..beating }));
                }
            }
        }
    }
}
