//! What schedules are made of: few names, few durations, all actions.
//!
//! One set of lists serves both ways of making schedules, proptest's and the byte strings of
//! coverage-guided fuzzing, so that both search the same alphabet.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::machine::Transition;
use crate::scenario::{
    Action, ActiveHours, Flood, Missed, OnOverrun, OnReplace, Or, Outcome, Policy, ResultSpec,
    RosterEntry, Urgency,
};

/// How far the time goes on: the durations that policies and actions use, sums of them, and just
/// beside them.
pub(super) const DISTANCES: [u64; 16] =
    [10, 20, 10, 20, 30, 40, 1, 5, 9, 11, 19, 21, 100, 249, 250, 251];
pub(super) const DURATIONS: [u64; 8] = [10, 20, 30, 10, 20, 1, 5, 100];
pub(super) const COALESCES: [u64; 8] = [10, 10, 10, 10, 20, 20, 0, 250];
pub(super) const BACKOFFS: [u64; 3] = [20, 40, 60_000];
pub(super) const ATTEMPTS: [u64; 4] = [1, 2, 3, 10];
pub(super) const ACTIVES: [u64; 3] = [1, 2, 4];
pub(super) const MISSED: [Missed; 4] = [Missed::Skip, Missed::Skip, Missed::Burst, Missed::Delay];
pub(super) const ON_REPLACE: [OnReplace; 2] = [OnReplace::Finish, OnReplace::Cancel];
pub(super) const SPACINGS: [u64; 8] = [0, 0, 0, 0, 0, 10, 20, 100];
pub(super) const FLOODS: [Option<Flood>; 8] = [
    None,
    None,
    None,
    None,
    None,
    Some(Flood { starts: 1, within_ms: 20 }),
    Some(Flood { starts: 2, within_ms: 30 }),
    Some(Flood { starts: 2, within_ms: 100 }),
];
pub(super) const BARRIER_LIMITS: [u64; 6] = [10, 20, 30, 10, 30_000, 0];
pub(super) const RUN_LIMITS: [Option<u64>; 8] =
    [None, None, None, None, Some(10), Some(20), Some(5), Some(30)];
pub(super) const ON_OVERRUN: [OnOverrun; 2] = [OnOverrun::Report, OnOverrun::Cancel];
pub(super) const HANDLERS: [&str; 2] = ["A", "B"];
pub(super) const TARGETS: [&str; 4] = ["x", "x", "y", "z"];
pub(super) const REASONS: [&str; 4] = ["requested", "hook", "mail", "beat"];
pub(super) const URGENCIES: [Urgency; 4] =
    [Urgency::Event, Urgency::Urgent, Urgency::Beat, Urgency::Retry];
pub(super) const DELAYS: [Option<u64>; 12] = [
    Some(0),
    Some(0),
    Some(0),
    None,
    None,
    Some(10),
    Some(20),
    Some(30),
    Some(5),
    Some(1_000),
    Some(1 << 53),
    Some(u64::MAX),
];
pub(super) const PERIODS: [u64; 8] = [10, 20, 30, 10, 1, 5, 100, u64::MAX];
pub(super) const PHASES: [Option<u64>; 8] =
    [None, None, None, None, Some(0), Some(3), Some(10), Some(25)];
/// Mostly none: first and last minute of the day, and the zone.
pub(super) const HOURS: [Option<(u16, u16, &str)>; 12] = [
    None,
    None,
    None,
    None,
    None,
    Some((0, 1_440, "UTC")),
    Some((0, 1, "UTC")),
    Some((1, 1_440, "UTC")),
    Some((1_320, 60, "UTC")),
    Some((60, 120, "UTC")),
    Some((120, 180, "Europe/Berlin")),
    Some((120, 150, "Europe/Berlin")),
];
/// The Unix epoch; shortly before both changes of the clocks in Berlin, and before a midnight.
pub(super) const WALLS: [i64; 6] =
    [0, 0, 1_743_296_399_950, 1_761_440_399_960, 1_749_859_199_930, 1_749_859_199_995];
pub(super) const SUSPENDS: [u64; 5] = [1, 5, 10, 35, 60];
pub(super) const STEPS_OF_THE_WALL_CLOCK: [i64; 8] =
    [-3_600_000, 3_600_000, 60_000, -60_000, 999, 500, -1_000, 86_400_000];
pub(super) const TICKETS: [&str; 3] = ["t", "t", "u"];
pub(super) const ORS: [Option<Or>; 6] =
    [None, None, None, Some(Or::Deferral), Some(Or::Deferral), Some(Or::NoHandler)];
pub(super) const DRAINS: [Option<u64>; 2] = [None, Some(10)];

pub(super) fn policy() -> impl Strategy<Value = Policy> {
    (
        select(&COALESCES[..]),
        select(&DURATIONS[..]),
        1..=3_u64,
        select(&BACKOFFS[..]),
        select(&ATTEMPTS[..]),
        select(&ACTIVES[..]),
        select(&MISSED[..]),
        select(&ON_REPLACE[..]),
        (
            select(&SPACINGS[..]),
            select(&FLOODS[..]),
            select(&FLOODS[..]),
            select(&BARRIER_LIMITS[..]),
        ),
        (select(&RUN_LIMITS[..]), select(&ON_OVERRUN[..]), select(&WALLS[..])),
    )
        .prop_map(
            |(
                coalesce_ms,
                retry_ms,
                backoff_factor,
                backoff_max_ms,
                max_attempts,
                max_active,
                missed,
                on_replace,
                (spacing_ms, flood, hub_flood, barrier_limit_ms),
                (run_limit_ms, on_overrun, wall_ms),
            )| Policy {
                coalesce_ms,
                retry_ms,
                backoff_factor,
                backoff_max_ms,
                max_attempts,
                max_active,
                missed,
                on_replace,
                spacing_ms,
                flood,
                hub_flood,
                barrier_limit_ms,
                run_limit_ms,
                on_overrun,
                wall_ms,
            },
        )
}

fn handler() -> impl Strategy<Value = String> {
    select(&HANDLERS[..]).prop_map(str::to_owned)
}

fn target() -> impl Strategy<Value = String> {
    select(&TARGETS[..]).prop_map(str::to_owned)
}

fn duration() -> impl Strategy<Value = u64> {
    select(&DURATIONS[..])
}

pub(super) fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        3 => Just(Outcome::Ran),
        1 => Just(Outcome::Skip),
        2 => option::of(duration()).prop_map(|for_ms| Outcome::Busy { for_ms }),
        2 => duration().prop_map(|for_ms| Outcome::Defer { for_ms }),
        2 => Just(Outcome::Fail),
        1 => duration().prop_map(|for_ms| Outcome::FailFor { for_ms }),
        1 => Just(Outcome::Panic),
    ]
}

fn result() -> impl Strategy<Value = ResultSpec> {
    let lasts = prop_oneof![
        6 => Just(None),
        6 => duration().prop_map(Some),
        1 => Just(Some(0)),
    ];
    prop_oneof![
        3 => (outcome(), lasts)
            .prop_map(|(outcome, lasts_ms)| ResultSpec::Ends { outcome, lasts_ms }),
        1 => Just(ResultSpec::Hold),
    ]
}

pub(super) fn active_hours((from_min, to_min, zone): (u16, u16, &str)) -> ActiveHours {
    ActiveHours { from_min, to_min, zone: zone.to_owned() }
}

/// A roster of few cadences, none of them twice.
pub(super) fn roster() -> impl Strategy<Value = Vec<RosterEntry>> {
    let entry = (target(), select(&PERIODS[..]), select(&PHASES[..]));
    vec(entry, 0..3).prop_map(|entries| {
        let entries = entries.into_iter();
        without_doubles(entries.map(|(target, every_ms, phase_ms)| RosterEntry {
            target,
            every_ms,
            phase_ms,
        }))
    })
}

/// Of entries with one target, only the first.
pub(super) fn without_doubles(entries: impl Iterator<Item = RosterEntry>) -> Vec<RosterEntry> {
    let mut roster: Vec<RosterEntry> = Vec::new();
    for entry in entries {
        if roster.iter().all(|known| known.target != entry.target) {
            roster.push(entry);
        }
    }
    roster
}

/// Requests that are more than a wake.
fn request() -> impl Strategy<Value = Action> {
    let reason = || select(&REASONS[..]).prop_map(str::to_owned);
    let asked = || (reason(), select(&DELAYS[..]), select(&URGENCIES[..]));
    prop_oneof![
        5 => (select(&TICKETS[..]), target(), asked(), select(&ORS[..])).prop_map(
            |(name, target, (reason, in_ms, urgency), or)| Action::Await {
                name: name.to_owned(),
                target,
                reason,
                in_ms,
                urgency,
                or,
            }
        ),
        3 => (target(), reason()).prop_map(|(target, reason)| Action::Barrier { target, reason }),
        1 => asked().prop_map(|(reason, in_ms, urgency)| Action::WakeAll {
            reason,
            in_ms,
            urgency,
        }),
        1 => target().prop_map(|target| Action::Revive { target }),
        1 => target().prop_map(|target| Action::Forgive { target }),
    ]
}

/// What can happen in any state, the passing of time included.
pub(super) fn at_any_time() -> impl Strategy<Value = Transition> {
    let wake = (target(), select(&REASONS[..]), select(&DELAYS[..]), select(&URGENCIES[..]));
    let action = prop_oneof![
        20 => wake.prop_map(|(target, reason, in_ms, urgency)| Action::Wake {
            target,
            reason: reason.to_owned(),
            in_ms,
            urgency,
        }),
        9 => handler().prop_map(|name| Action::Install { name }),
        8 => (handler(), option::weighted(0.3, target()), vec(result(), 1..4)).prop_map(
            |(name, target, results)| Action::Script { name, target, results }
        ),
        7 => (target(), select(&PERIODS[..]), select(&PHASES[..]), select(&HOURS[..])).prop_map(
            |(target, every_ms, phase_ms, hours)| {
                Action::Beat { target, every_ms, phase_ms, hours: hours.map(active_hours) }
            }
        ),
        10 => request(),
        3 => (handler(), roster()).prop_map(|(name, roster)| Action::Runner { name, roster }),
        2 => (target(), duration()).prop_map(|(target, in_ms)| Action::Postpone { target, in_ms }),
        1 => target().prop_map(|target| Action::BeatOff { target }),
        2 => target().prop_map(|target| Action::Cancel { target }),
        2 => target().prop_map(|target| Action::Remove { target }),
        2 => select(&SUSPENDS[..]).prop_map(|ms| Action::Suspend { ms }),
        1 => select(&SUSPENDS[..]).prop_map(|ms| Action::Restart { ms }),
        2 => select(&STEPS_OF_THE_WALL_CLOCK[..]).prop_map(|ms| Action::Wallclock { ms }),
        1 => select(&DRAINS[..]).prop_map(|drain_ms| Action::Stop { drain_ms }),
    ];
    prop_oneof![
        2 => action.prop_map(Transition::Act),
        1 => select(&DISTANCES[..]).prop_map(Transition::Later),
    ]
}
