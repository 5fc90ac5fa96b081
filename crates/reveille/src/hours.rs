//! Active hours: when a target's cadence may beat, in the civil time of a zone. Pure: no clock is
//! read here.

mod error;
mod hit;

pub use error::HoursError;
use hit::first_hit;
use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::{Offset, TimeZone};

const MINUTE: u64 = 60_000_000;
const DAY: u64 = 24 * 60 * MINUTE;
const WEEK: u64 = 7 * DAY;

/// How far [`Hours::seek`] looks: 2^50 µs, some 35 years, like all due instants.
const REACH: u64 = 1 << 50;

const EVERY_DAY: [Weekday; 7] = [
    Weekday::Monday,
    Weekday::Tuesday,
    Weekday::Wednesday,
    Weekday::Thursday,
    Weekday::Friday,
    Weekday::Saturday,
    Weekday::Sunday,
];

/// Active hours: when a target's cadence may beat, in civil time of a zone.
///
/// Windows of the week, each from a start up to, and without, an end, on the minute. An instant
/// is open if, and only if, its civil weekday and time of day in the zone lie in a window. Daylight
/// saving follows from this and is nothing special: a civil time that is skipped has no instant, and
/// one that comes twice is open both times.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use jiff::civil::Weekday::{Friday, Saturday};
/// use reveille::Hours;
///
/// let hours = Hours::daily("08:00", "23:00", "Europe/Berlin")?
///     .and_on(&[Friday, Saturday], "22:00", "02:00")?; // and these nights
/// assert!(hours.is_open("2025-06-13T23:59:59Z".parse()?)); // Saturday, 01:59:59
/// assert!(!hours.is_open("2025-06-14T00:00:00Z".parse()?));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Hours {
    /// `start..end` in µs since Monday 00:00: in order, apart from each other, none past the week.
    windows: Vec<(u64, u64)>,
    zone: TimeZone,
}

impl Hours {
    /// One window that begins on each day.
    ///
    /// Times are `HH:MM`. An end of `24:00` is midnight at the end of the day; an end before its
    /// start, as in 22:00 to 06:00, is on the next day. The whole day is 00:00 to 24:00. The zone is
    /// a name of the IANA data base, which is the system's, or on a system that has none (Windows)
    /// the one that `jiff` brings along.
    ///
    /// # Errors
    /// [`HoursError`] if a time is none, the two are equal, or there is no such zone.
    pub fn daily(from: &str, to: &str, zone: &str) -> Result<Self, HoursError> {
        Self::on(&EVERY_DAY, from, to, zone)
    }

    /// One window that begins on each of these weekdays; times and zone as in [`daily`](Self::daily).
    ///
    /// # Errors
    /// As [`daily`](Self::daily), or if there are no days.
    pub fn on(days: &[Weekday], from: &str, to: &str, zone: &str) -> Result<Self, HoursError> {
        let hours = Self { windows: Vec::new(), zone: TimeZone::UTC }.and_on(days, from, to)?;
        match TimeZone::get(zone) {
            Ok(zone) => Ok(hours.in_zone(zone)),
            Err(why) => Err(HoursError::Zone { given: zone.into(), why }),
        }
    }

    /// One more window that begins on each of these weekdays: 22:00 to 06:00 on Friday ends on
    /// Saturday. Windows may overlap; days may repeat.
    ///
    /// # Errors
    /// [`HoursError`] if a time is none, the two are equal, or there are no days.
    pub fn and_on(mut self, days: &[Weekday], from: &str, to: &str) -> Result<Self, HoursError> {
        let start = time_of_day(from)
            .filter(|start| *start < DAY)
            .ok_or_else(|| HoursError::Start { given: from.into() })?;
        let end = time_of_day(to).ok_or_else(|| HoursError::End { given: to.into() })?;
        if start == end {
            return Err(HoursError::Empty { given: from.into() });
        }
        if days.is_empty() {
            return Err(HoursError::NoDays);
        }
        let length = if start < end { end - start } else { DAY - start + end };
        for day in days {
            let start = day.to_monday_zero_offset().unsigned_abs() as u64 * DAY + start;
            let end = start + length;
            self.windows.push((start, end.min(WEEK)));
            if end > WEEK {
                self.windows.push((0, end - WEEK));
            }
        }
        self.windows = merged(self.windows);
        Ok(self)
    }

    /// The same windows in another zone, one that is already loaded.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use jiff::tz::{TimeZone, offset};
    /// use reveille::Hours;
    ///
    /// // "UTC" needs no data base.
    /// let hours = Hours::daily("08:00", "23:00", "UTC")?.in_zone(TimeZone::fixed(offset(1)));
    /// assert!(hours.is_open("2025-06-13T07:00:00Z".parse()?));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn in_zone(self, zone: TimeZone) -> Self {
        Self { zone, ..self }
    }

    /// The zone in whose civil time the windows are.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Whether the civil time at this instant is inside a window.
    ///
    /// This is the definition of active hours; [`seek`](Self::seek) finds the first such instant.
    pub fn is_open(&self, at: Timestamp) -> bool {
        // `as_microsecond` rounds towards 1970; a civil time is reached, never rounded up to.
        let micros = at.as_microsecond() - i64::from(at.subsec_nanosecond() % 1_000 < 0);
        let place = place(micros, self.zone.to_offset(at));
        self.windows.iter().any(|(start, end)| (*start..*end).contains(&place))
    }

    /// The first instant of `first`, `first + period`, `first + 2 * period`, … that is open, or
    /// `None` if there is none less than 2^50 µs (35 years) after `first`.
    ///
    /// Instants are Unix time in µs, negative before 1970; the period is in µs. Instants that
    /// [`Timestamp::from_microsecond`] refuses are not open, and a period of 0 is the one instant
    /// `first`.
    ///
    /// Takes a few steps for each window and each change of the zone's offset on the way, however
    /// many instants there are in between: far less than 1 µs where the answer is in this season,
    /// some 50 µs where there is none. Does not allocate.
    pub fn seek(&self, first: i64, period: u64) -> Option<i64> {
        let step = period % WEEK;
        let mut since = 0_u64;
        let earliest = Timestamp::MIN.as_microsecond();
        if first < earliest {
            since = elements(earliest.abs_diff(first), period)?;
        }
        while since < REACH {
            // Up to the next change of offset the civil time is the instant plus a constant.
            let micros = first.checked_add_unsigned(since)?;
            let at = Timestamp::from_microsecond(micros).ok()?;
            let place = place(micros, self.zone.to_offset(at));
            let left = match self.zone.following(at).next() {
                // At least 1, so that this ends whatever the zone's data say.
                Some(change) => change.timestamp().as_microsecond().abs_diff(micros).max(1),
                None => u64::MAX,
            };
            let hits = self.windows.iter().filter_map(|window| until(*window, place, step));
            let wait = hits.min().and_then(|k| k.checked_mul(period));
            if let Some(wait) = wait.filter(|wait| *wait < left) {
                let since = since.checked_add(wait).filter(|since| *since < REACH)?;
                return first.checked_add_unsigned(since);
            }
            since = since.checked_add(elements(left, period)?)?;
        }
        None
    }
}

/// The first multiple of the period that is at least `gap`, if it can be told.
fn elements(gap: u64, period: u64) -> Option<u64> {
    if period == 0 { None } else { gap.div_ceil(period).checked_mul(period) }
}

/// The least `k` such that `place + step * k`, modulo the week, is in the window.
fn until((start, end): (u64, u64), place: u64, step: u64) -> Option<u64> {
    if (start..end).contains(&place) {
        return Some(0);
    }
    // Seen from the place the window does not wrap, since the place is not in it.
    let ahead = if place < start { start - place } else { start + WEEK - place };
    first_hit(step, WEEK, ahead, ahead + (end - start - 1))
}

/// µs since Monday 00:00 in civil time, at this Unix time in µs.
fn place(micros: i64, offset: Offset) -> u64 {
    // 1970 began on a Thursday.
    let local = micros + i64::from(offset.seconds()) * 1_000_000 + 3 * DAY as i64;
    local.rem_euclid(WEEK as i64) as u64
}

/// µs since midnight at `HH:MM`, up to `24:00`.
fn time_of_day(text: &str) -> Option<u64> {
    let two = |text: &str| -> Option<u64> {
        // `parse` would take a sign too.
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { text.parse().ok() } else { None }
    };
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute) = (two(hour)?, two(minute)?);
    let time = (hour * 60 + minute) * MINUTE;
    (minute < 60 && time <= DAY).then_some(time)
}

/// The same set of places, in order, and none of them touching the next.
fn merged(mut windows: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    windows.sort_unstable();
    windows.dedup_by(|later, earlier| {
        let touch = later.0 <= earlier.1;
        if touch {
            earlier.1 = earlier.1.max(later.1);
        }
        touch
    });
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 60 * MINUTE;

    #[test]
    fn only_times_of_day_are_times_of_day() {
        assert_eq!(time_of_day("00:00"), Some(0));
        assert_eq!(time_of_day("23:59"), Some(DAY - MINUTE));
        assert_eq!(time_of_day("24:00"), Some(DAY));
        for text in [
            "", ":", "8:00", "08:0", "08:60", "24:01", "25:00", "+8:00", "08:00:00", "0800",
            " 08:00",
        ] {
            assert_eq!(time_of_day(text), None, "{text:?}");
        }
    }

    #[test]
    fn windows_merge_and_wrap_at_the_end_of_the_week() {
        let nights = Hours::daily("22:00", "06:00", "UTC").unwrap();
        assert_eq!(nights.windows.len(), 8);
        assert_eq!(nights.windows[0], (0, 6 * HOUR));
        assert_eq!(nights.windows[7], (WEEK - 2 * HOUR, WEEK));

        let sunday = Hours::on(&[Weekday::Sunday], "22:00", "00:00", "UTC").unwrap();
        assert_eq!(sunday.windows, [(WEEK - 2 * HOUR, WEEK)]);
        assert_eq!(Hours::on(&[Weekday::Sunday], "22:00", "24:00", "UTC").unwrap(), sunday);

        let week = Hours::daily("00:00", "24:00", "UTC").unwrap();
        assert_eq!(week.windows, [(0, WEEK)]);
        assert_eq!(nights.and_on(&EVERY_DAY, "05:00", "22:00").unwrap(), week);
    }

    /// Places go on across 1970, and across the first and the last instant there is.
    #[test]
    fn places_are_civil() {
        for at in
            [Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH, Timestamp::constant(-1, 0)]
        {
            for seconds in [-93_599, -1, 0, 1, 93_599] {
                let offset = Offset::from_seconds(seconds).unwrap();
                let civil = offset.to_datetime(at);
                let day = civil.weekday().to_monday_zero_offset() as u64 * DAY;
                let time = civil.time().duration_since(jiff::civil::Time::midnight());
                let expected = day + time.as_micros() as u64;
                assert_eq!(place(at.as_microsecond(), offset), expected, "{at} {offset}");
            }
        }
    }
}
