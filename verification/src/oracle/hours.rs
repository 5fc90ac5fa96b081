//! Active hours: which instants are inside, and the first of a cadence that is.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::cadence::Cadence;
use super::{LAST_INSTANT_MS, NEVER, Oracle, after};
use crate::scenario::ActiveHours;

/// Steps of the wall clock that are less than this in all are not noted.
const SMALL_MS: u64 = 1_000;

/// So many instants are looked at; where none of them is inside, none ever is.
const MOST: u32 = 1_000_000;

/// A minute in milliseconds: inside or outside, it is so for all of it.
const MINUTE: u64 = 60_000;

/// Whether the wall clock is inside the hours at an instant, where at time 0 it said `wall`.
fn is_inside(hours: &ActiveHours, zone: &TimeZone, wall: i64, instant: u64) -> bool {
    let at = wall.saturating_add_unsigned(instant);
    let Ok(at) = Timestamp::from_millisecond(at) else { return false };
    let civil = zone.to_datetime(at);
    let minute = civil.hour() as u16 * 60 + civil.minute() as u16;
    if hours.from_min < hours.to_min {
        hours.from_min <= minute && minute < hours.to_min
    } else {
        hours.from_min <= minute || minute < hours.to_min
    }
}

impl Oracle {
    /// The first instant inside the hours of `first`, `first + every`, and so on.
    pub(super) fn seek(&self, hours: Option<&ActiveHours>, first: u64, every: u64) -> u64 {
        let Some(hours) = hours else { return first };
        let Ok(zone) = TimeZone::get(&hours.zone) else { return NEVER };
        let wall = self.noted_wall;
        let mut instant = first;
        for _ in 0..MOST {
            if instant > LAST_INSTANT_MS {
                return NEVER;
            }
            if is_inside(hours, &zone, wall, instant) {
                return instant;
            }
            // None of what is left of this minute is inside either.
            let into = wall.saturating_add_unsigned(instant).rem_euclid(MINUTE as i64) as u64;
            let periods = (MINUTE - into).div_ceil(every);
            instant = after(instant, periods.saturating_mul(every));
        }
        NEVER
    }

    /// How many of the beats from the next one of a cadence up to now are inside its hours, and the
    /// last of them. The next one is a beat, even if the wall clock has been set since.
    pub(super) fn passed(&self, cadence: &Cadence) -> (u64, u64) {
        let (first, every) = (cadence.next, cadence.every);
        let Some(hours) = &cadence.hours else {
            let beats = (self.now - first) / every + 1;
            return (beats, first + (beats - 1) * every);
        };
        let mut passed = Vec::new();
        let mut instant = self.seek(Some(hours), first, every);
        while instant <= self.now {
            passed.push(instant);
            instant = self.seek(Some(hours), after(instant, every), every);
        }
        (passed.len().max(1) as u64, passed.last().copied().unwrap_or(first))
    }

    /// Whether no cadence with hours is in force.
    fn all_hours_are_off(&self) -> bool {
        let mut cadences = self.targets.iter().filter_map(|target| target.cadence.as_ref());
        cadences.all(|cadence| cadence.hours.is_none())
    }

    /// The first cadence with hours is set: from now on the hub knows what the wall clock says.
    pub(super) fn look_at_wall(&mut self) {
        if self.all_hours_are_off() {
            self.noted_wall = self.wall;
        }
    }

    /// Where the wall clock was set by enough, cadences with hours find their next beats anew.
    pub(super) fn note_wall(&mut self) {
        if self.all_hours_are_off() || self.wall.abs_diff(self.noted_wall) < SMALL_MS {
            return;
        }
        self.noted_wall = self.wall;
        for index in 0..self.targets.len() {
            let Some(mut cadence) = self.targets[index].cadence.clone() else { continue };
            if cadence.hours.is_none() || cadence.next <= self.now {
                continue;
            }
            let first = first_after(cadence.grid, cadence.every, self.now);
            cadence.next = self.seek(cadence.hours.as_ref(), first, cadence.every);
            self.targets[index].cadence = Some(cadence);
        }
    }
}

/// The first instant after now that lies whole periods from another one.
fn first_after(one: u64, every: u64, now: u64) -> u64 {
    if one == NEVER {
        return NEVER;
    }
    if one > now {
        return one - (one - now - 1) / every * every;
    }
    after(one, ((now - one) / every + 1).saturating_mul(every))
}
