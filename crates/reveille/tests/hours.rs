//! Active hours against an obvious twin, and by example. The twin asks `jiff` for the civil time of
//! each instant and compares it with the texts of the windows.
//!
//! Zone data are the system's, or where it has none those bundled for tests.
#![cfg(feature = "calendar")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use jiff::civil::Weekday::{self, Friday, Saturday, Sunday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use reveille::{Hours, HoursError};

const MINUTE: u64 = 60_000_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const REACH: u64 = 1 << 50;

const ZONES: [&str; 10] = [
    "Africa/Casablanca",   // leaves its daylight saving for Ramadan
    "America/New_York",    // rules by weekday, the southern half's opposite
    "America/St_Johns",    // 3:30 off, changed at 00:01 until 2011
    "Asia/Kathmandu",      // 5:45 off
    "Asia/Kolkata",        // 5:30 off
    "Australia/Lord_Howe", // half an hour of daylight saving
    "Europe/Berlin",
    "Europe/Dublin", // negative daylight saving, in winter
    "Pacific/Apia",  // had no 30 December 2011
    "UTC",
];

/// A window as it is written.
#[derive(Clone, Debug)]
struct Window {
    days: Vec<Weekday>,
    from: String,
    to: String,
}

fn hours(windows: &[Window], zone: &str) -> Hours {
    let (first, more) = windows.split_first().unwrap();
    let hours = Hours::on(&first.days, &first.from, &first.to, zone).unwrap();
    more.iter().fold(hours, |hours, w| hours.and_on(&w.days, &w.from, &w.to).unwrap())
}

/// Hour and minute.
type Time = (i8, i8);

/// The definition, read off the texts.
struct Twin {
    zone: TimeZone,
    windows: Vec<(Vec<Weekday>, Time, Time)>,
}

impl Twin {
    fn new(windows: &[Window], zone: &str) -> Self {
        let time = |text: &str| (text[..2].parse().unwrap(), text[3..].parse().unwrap());
        let windows = windows.iter().map(|w| (w.days.clone(), time(&w.from), time(&w.to)));
        Self { zone: TimeZone::get(zone).unwrap(), windows: windows.collect() }
    }

    fn is_open(&self, at: i64) -> bool {
        let civil = self.zone.to_datetime(instant(at));
        let now = (civil.hour(), civil.minute());
        let (today, yesterday) = (civil.weekday(), civil.weekday().previous());
        self.windows.iter().any(|(days, from, to)| {
            if from < to {
                days.contains(&today) && *from <= now && now < *to
            } else {
                (days.contains(&today) && *from <= now) || (days.contains(&yesterday) && now < *to)
            }
        })
    }
}

fn instant(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap()
}

fn at(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_microsecond()
}

fn window() -> impl Strategy<Value = Window> {
    let time = || (0..24 * 60_u32).prop_map(|m| format!("{:02}:{:02}", m / 60, m % 60));
    let end = prop_oneof![1 => Just("24:00".to_owned()), 5 => time()];
    let days = subsequence(Sunday.cycle_forward().take(7).collect::<Vec<_>>(), 1..=7);
    (days, time(), end)
        .prop_filter("a window ends at another time", |(_, from, to)| from != to)
        .prop_map(|(days, from, to)| Window { days, from, to })
}

/// A window of a few minutes, which most instants miss.
fn narrow() -> impl Strategy<Value = Window> {
    (window(), 0..24 * 60_u32, 1..10_u32).prop_map(|(window, from, length)| {
        let text = |m: u32| format!("{:02}:{:02}", m / 60 % 24, m % 60);
        Window { days: window.days, from: text(from), to: text(from + length) }
    })
}

/// From 2008 to 2035, every other time within three hours of a change of offset.
fn start(zone: &'static str) -> impl Strategy<Value = i64> {
    let span = at("2008-01-01T00:00:00Z")..at("2036-01-01T00:00:00Z");
    (span, any::<bool>(), -3 * HOUR as i64..3 * HOUR as i64, any::<bool>()).prop_map(
        move |(start, near, by, whole)| {
            let zone = TimeZone::get(zone).unwrap();
            let change = near.then(|| zone.following(instant(start)).next()).flatten();
            let start = change.map_or(start, |change| change.timestamp().as_microsecond() + by);
            if whole { start.div_euclid(MINUTE as i64) * MINUTE as i64 } else { start }
        },
    )
}

fn period() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => (1..5 * 24 * 60_u64).prop_map(|minutes| minutes * MINUTE),
        3 => MINUTE..5 * DAY,
        2 => select(vec![DAY, 7 * DAY, DAY / 2, HOUR, DAY - 1, DAY + 1, 14 * DAY, 365 * DAY]),
        1 => DAY..400 * DAY,
        1 => 1_000_000..MINUTE,
    ]
}

/// What the twin examines before it gives up: 35 years of days, two weeks of minutes.
const ELEMENTS: u64 = 20_000;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// `seek` is the first open one of the elements, tried one by one, and `is_open` agrees.
    #[test]
    fn seek_equals_trying_each_element(
        (zone, first) in select(&ZONES[..]).prop_flat_map(|zone| (Just(zone), start(zone))),
        windows in prop_oneof![
            prop::collection::vec(window(), 1..4),
            prop::collection::vec(narrow(), 1..3),
        ],
        period in period(),
    ) {
        let (hours, twin) = (hours(&windows, zone), Twin::new(&windows, zone));
        let found = hours.seek(first, period);
        let tried = ELEMENTS.min(REACH.div_ceil(period));
        let element = |k: u64| first + (k * period) as i64;
        for k in (0..tried).step_by((tried as usize / 50).max(1)) {
            prop_assert_eq!(hours.is_open(instant(element(k))), twin.is_open(element(k)));
        }
        match (0..tried).map(element).find(|at| twin.is_open(*at)) {
            Some(expected) => prop_assert_eq!(found, Some(expected)),
            // There is none, or it is past all that were tried.
            None => if let Some(found) = found {
                prop_assert!(found >= element(tried) && found < first + REACH as i64);
                prop_assert_eq!(found.abs_diff(first) % period, 0);
                prop_assert!(twin.is_open(found));
            },
        }
    }
}

/// Ten years, each minute of them.
fn ten_years(zone: &str, windows: &[Window]) {
    let (hours, twin) = (hours(windows, zone), Twin::new(windows, zone));
    let (begin, end) = (at("2010-01-01T00:00:00Z"), at("2020-01-01T00:00:00Z"));
    let mut next = hours.seek(begin, MINUTE).unwrap();
    for minute in (begin..end).step_by(MINUTE as usize) {
        let open = twin.is_open(minute);
        assert_eq!(next == minute, open, "{} in {zone} for {windows:?}", instant(minute));
        if open {
            next = hours.seek(minute + MINUTE as i64, MINUTE).unwrap();
        }
    }
}

/// A week of windows that meets every kind of change: nights, mornings, a whole day, one minute.
#[test]
fn ten_years_minute_by_minute() {
    let window = |days: &[Weekday], from: &str, to: &str| Window {
        days: days.to_vec(),
        from: from.into(),
        to: to.into(),
    };
    let windows = [
        window(&[Friday, Saturday], "23:45", "01:30"),
        window(&[Sunday], "02:15", "02:45"),
        window(&[Weekday::Tuesday, Friday], "00:01", "00:02"),
        window(&[Weekday::Thursday], "18:00", "24:00"),
    ];
    std::thread::scope(|scope| {
        for zones in ZONES.chunks(ZONES.len() / 2) {
            scope.spawn(|| zones.iter().for_each(|zone| ten_years(zone, &windows)));
        }
    });
}

/// In spring Berlin has no 02:00 to 03:00: a window there does not come, one around it is short.
#[test]
fn a_gap_has_no_instants() {
    let hours = Hours::daily("02:00", "03:00", "Europe/Berlin").unwrap();
    let after_saturdays = at("2025-03-29T02:00:00Z");
    assert_eq!(hours.seek(after_saturdays, MINUTE), Some(at("2025-03-31T00:00:00Z")));

    let around = Hours::daily("01:30", "03:30", "Europe/Berlin").unwrap();
    let open = |hour: &str| around.is_open(format!("2025-03-30T{hour}Z").parse().unwrap());
    assert!(!open("00:29:59.999999999") && open("00:30:00"));
    assert!(open("00:59:59.999999999") && open("01:00:00"));
    assert!(open("01:29:59.999999999") && !open("01:30:00"));
}

/// In autumn Berlin has 02:00 to 03:00 twice, and both are open.
#[test]
fn a_fold_is_open_twice() {
    let hours = Hours::daily("02:00", "02:30", "Europe/Berlin").unwrap();
    let seek = |first: &str| hours.seek(at(first), 1).map(|found| instant(found).to_string());
    assert_eq!(seek("2025-10-25T22:00:00Z").unwrap(), "2025-10-26T00:00:00Z");
    assert_eq!(seek("2025-10-26T00:30:00Z").unwrap(), "2025-10-26T01:00:00Z");
    assert_eq!(seek("2025-10-26T01:30:00Z").unwrap(), "2025-10-27T01:00:00Z");
}

/// A window belongs to the day on which it begins, even where there is no such day.
#[test]
fn nights_belong_to_the_day_on_which_they_begin() {
    let hours = Hours::on(&[Friday], "22:00", "06:00", "America/New_York").unwrap();
    let open = |civil: &str| hours.is_open(format!("{civil}-04").parse().unwrap());
    assert!(!open("2025-06-13T05:59:59") && !open("2025-06-13T21:59:59"));
    assert!(open("2025-06-13T22:00:00") && open("2025-06-14T05:59:59"));
    assert!(!open("2025-06-14T06:00:00") && !open("2025-06-14T22:00:00"));

    // From Thursday the 29th Apia went on to Saturday the 31st.
    let fridays = Hours::on(&[Friday], "08:00", "09:00", "Pacific/Apia").unwrap();
    let found = fridays.seek(at("2011-12-29T12:00:00-10"), MINUTE);
    assert_eq!(found, Some(at("2012-01-06T08:00:00+14")));
}

/// 24:00 is midnight at the end of the day, also of Sunday; the whole day leaves no gap.
#[test]
fn a_day_ends_at_24_00() {
    let hours = Hours::on(&[Sunday], "23:00", "24:00", "Asia/Kolkata").unwrap();
    let midnight = at("2025-06-16T00:00:00+05:30");
    assert!(hours.is_open(instant(midnight - 1)));
    assert!(!hours.is_open(instant(midnight)));
    assert_eq!(hours.seek(midnight, 1), Some(midnight + (7 * DAY - HOUR) as i64));

    let always = Hours::daily("00:00", "24:00", "Asia/Kolkata").unwrap();
    assert!((-200..200).all(|n| always.is_open(instant(midnight) + (n * 30).minutes())));
    assert_eq!(always.seek(midnight - 1, DAY), Some(midnight - 1));
}

/// A period of 24 hours stays at its time of day, until the clocks move.
#[test]
fn a_daily_phase_outside_meets_the_window_when_the_clocks_move() {
    let noon = at("2025-01-10T12:30:00+01");
    let seek = |zone| Hours::daily("13:00", "14:00", zone).unwrap().seek(noon, DAY);
    assert_eq!(seek("Europe/Berlin"), Some(at("2025-03-30T13:30:00+02")));
    assert_eq!(seek("UTC"), None);
    assert_eq!(seek("Africa/Lagos"), None); // Berlin's winter all the year
    // 30 minutes are not enough to come from 12:30 to 13:01.
    let late = |from| Hours::daily(from, "14:00", "Australia/Lord_Howe").unwrap();
    let noon = at("2025-06-10T12:30:00+10:30");
    assert_eq!(late("13:01").seek(noon, DAY), None);
    assert_eq!(late("13:00").seek(noon, DAY), Some(at("2025-10-05T13:00:00+11")));
}

/// Windows are half open, to the microsecond, and an instant inside is its own answer.
#[test]
fn a_period_of_one_microsecond() {
    let hours = Hours::daily("08:00", "23:00", "Europe/Berlin").unwrap();
    let (opens, closes) = (at("2025-06-13T08:00:00+02"), at("2025-06-13T23:00:00+02"));
    assert_eq!(hours.seek(opens - HOUR as i64, 1), Some(opens));
    assert_eq!(hours.seek(opens - 1, 1), Some(opens));
    assert_eq!(hours.seek(closes, 1), Some(opens + DAY as i64));
    for first in [opens, opens + 1, closes - 1] {
        for period in [0, 1, MINUTE, DAY, u64::MAX] {
            assert_eq!(hours.seek(first, period), Some(first));
        }
    }
}

/// Instants before 1970 are floored to civil times, as `jiff` does.
#[test]
fn nanoseconds_before_1970() {
    let hours = Hours::daily("12:00", "13:00", "UTC").unwrap();
    let noon: Timestamp = "1969-07-20T12:00:00Z".parse().unwrap();
    let ns = SignedDuration::from_nanos(1);
    assert!(hours.is_open(noon) && !hours.is_open(noon - ns));
    let one = noon + 1.hour();
    assert!(hours.is_open(one - ns) && !hours.is_open(one));
}

/// No arithmetic wraps, and what lies outside of the calendar is not open.
#[test]
fn the_ends_of_time() {
    let always = Hours::daily("00:00", "24:00", "Europe/Berlin").unwrap();
    // `from_microsecond` does not reach into the last second.
    let (min, max) = (Timestamp::MIN.as_microsecond(), Timestamp::MAX.as_second() * 1_000_000);
    for first in [i64::MIN, max + 1, i64::MAX] {
        for period in [0, 1, DAY, u64::MAX] {
            assert_eq!(always.seek(first, period), None);
        }
    }
    assert_eq!(always.seek(min - 10, 7), Some(min + 4));
    assert_eq!(always.seek(min, 1), Some(min));
    assert_eq!(always.seek(max, u64::MAX), Some(max));

    let hours = Hours::daily("08:00", "09:00", "Europe/Berlin").unwrap();
    for first in [min, at("2025-01-01T00:00:00Z"), max] {
        for period in [0, i64::MAX as u64, u64::MAX] {
            assert_eq!(hours.seek(first, period), None);
        }
    }
    // The reach: an element just before its end is found, one at its end is not.
    for zone in ["Europe/Berlin", "UTC"] {
        let hours = Hours::daily("08:00", "09:00", zone).unwrap();
        let open = at("2025-01-01T08:30:00Z") - if zone == "UTC" { 0 } else { HOUR as i64 };
        assert_eq!(hours.seek(open - (REACH - 1) as i64, REACH - 1), Some(open));
        assert_eq!(hours.seek(open - REACH as i64, REACH), None);
    }
}

/// Asking allocates nothing, neither by the table of a zone nor by its rule.
#[test]
fn asking_allocates_nothing() {
    let hours = Hours::daily("13:00", "14:00", "Europe/Berlin").unwrap();
    let counted = allocation_counter::measure(|| {
        assert_eq!(hours.seek(at("2026-01-10T02:30:00Z"), DAY), None);
        assert!(!hours.is_open(instant(at("2026-01-10T02:30:00Z"))));
    });
    assert_eq!(counted.count_total, 0);
}

/// Zones need not have a name.
#[test]
fn zones_that_are_loaded_by_hand() {
    let berlin = Hours::daily("08:00", "09:00", "Europe/Berlin").unwrap();
    let rule = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let by_rule = berlin.clone().in_zone(rule.clone());
    assert_eq!(by_rule.zone(), &rule);
    assert_ne!(berlin, by_rule);
    assert_eq!(berlin, by_rule.clone().in_zone(TimeZone::get("Europe/Berlin").unwrap()));
    for day in 0..4_000 {
        let first = at("2024-01-01T00:00:00Z") + day * (DAY + 1) as i64;
        assert_eq!(by_rule.seek(first, 17 * HOUR + 1), berlin.seek(first, 17 * HOUR + 1));
    }
}

/// Errors say what was wrong and what was given.
#[test]
fn errors_name_what_was_given() {
    let error = |from, to, zone| Hours::daily(from, to, zone).unwrap_err();
    let start = error("24:00", "08:00", "UTC");
    assert!(matches!(&start, HoursError::Start { given } if given == "24:00"));
    let end = error("08:00", "8 pm", "UTC");
    assert!(matches!(&end, HoursError::End { given } if given == "8 pm"));
    let empty = error("08:00", "08:00", "UTC");
    assert!(matches!(&empty, HoursError::Empty { given } if given == "08:00"));
    let zone = error("08:00", "09:00", "Europe/Berlim");
    assert!(matches!(&zone, HoursError::Zone { given, .. } if given == "Europe/Berlim"));
    assert!(std::error::Error::source(&zone).is_some());
    for (error, word) in [(start, "`24:00`"), (end, "`8 pm`"), (empty, "`08:00`")] {
        assert!(error.to_string().contains(word), "{error}");
    }
    assert!(zone.to_string().contains("`Europe/Berlim`"), "{zone}");
    let none = Hours::on(&[], "08:00", "09:00", "UTC").unwrap_err();
    assert!(matches!(none, HoursError::NoDays));
}
