//! The strategy: random scenarios without expectations that every subject can play.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::oracle::Oracle;
use crate::scenario::subject::Subject;
use crate::scenario::{
    Action, Missed, OnReplace, Outcome, Policy, ResultSpec, Scenario, Urgency, Verb,
};

/// Random scenarios with all actions and no expectations.
///
/// Lines that make no sense where they stand (the end of a run that is not held, the dispose of
/// what was never installed) are left out, so that each case is a scenario file that plays.
pub fn schedule() -> impl Strategy<Value = Scenario> {
    (policy(), vec((distance(), action()), 1..24))
        .prop_map(|(policy, steps)| sensible(policy, steps))
}

/// Adds the distances up and leaves out what makes no sense.
fn sensible(policy: Policy, actions: Vec<(u64, Action)>) -> Scenario {
    let mut oracle = Oracle::new(&policy);
    let mut now = 0_u64;
    let mut steps = Vec::new();
    for (distance, action) in actions {
        // A line left out leaves its distance behind: the oracle has gone to its time.
        let at_ms = now.saturating_add(distance);
        now = at_ms;
        if oracle.advance_to(at_ms).is_err() {
            break;
        }
        if oracle.apply(&action).is_err() {
            continue;
        }
        // Only now: a line that is left out must not have created its target.
        if let Some(target) = action.target() {
            oracle.name_target(target);
        }
        if let Action::Suspend { ms } = action {
            now = now.saturating_add(ms);
        }
        steps.push((at_ms, Verb::Act(action)));
    }
    Scenario::new(policy, steps)
}

/// How much later a step is than the one before: mostly at the same instant, else by one of the
/// durations that the policies and actions use, or just beside it.
fn distance() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => Just(0),
        2 => select(vec![1_u64, 5, 9, 11, 19, 21]),
        6 => select(vec![10_u64, 20, 30, 40]),
        1 => select(vec![100_u64, 249, 250, 251]),
    ]
}

fn duration() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => select(vec![10_u64, 20, 30]),
        1 => select(vec![1_u64, 5, 100]),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    (
        prop_oneof![4 => Just(10_u64), 2 => Just(20_u64), 1 => Just(0_u64), 1 => Just(250_u64)],
        duration(),
        1..=3_u64,
        select(vec![20_u64, 40, 60_000]),
        select(vec![1_u64, 2, 3, 10]),
        select(vec![1_u64, 2, 4]),
        select(vec![Missed::Skip, Missed::Skip, Missed::Burst, Missed::Delay]),
        select(vec![OnReplace::Finish, OnReplace::Cancel]),
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
            )| Policy {
                coalesce_ms,
                retry_ms,
                backoff_factor,
                backoff_max_ms,
                max_attempts,
                max_active,
                missed,
                on_replace,
            },
        )
}

fn handler() -> impl Strategy<Value = String> {
    select(vec!["A".to_owned(), "B".to_owned()])
}

fn target() -> impl Strategy<Value = String> {
    select(vec!["x".to_owned(), "x".to_owned(), "y".to_owned(), "z".to_owned()])
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        3 => Just(Outcome::Ran),
        1 => Just(Outcome::Skip),
        2 => option::of(duration()).prop_map(|for_ms| Outcome::Busy { for_ms }),
        2 => duration().prop_map(|for_ms| Outcome::Defer { for_ms }),
        2 => Just(Outcome::Fail),
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
        1 => Just(ResultSpec::Hold),
        3 => (outcome(), lasts)
            .prop_map(|(outcome, lasts_ms)| ResultSpec::Ends { outcome, lasts_ms }),
    ]
}

fn urgency() -> impl Strategy<Value = Urgency> {
    select(vec![Urgency::Event, Urgency::Urgent, Urgency::Beat, Urgency::Retry])
}

fn reason() -> impl Strategy<Value = String> {
    select(vec!["requested".to_owned(), "hook".to_owned(), "mail".to_owned(), "beat".to_owned()])
}

fn delay() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![
        4 => Just(Some(0)),
        2 => Just(None),
        4 => duration().prop_map(Some),
        1 => select(vec![Some(1_000), Some(1 << 53), Some(u64::MAX)]),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        20 => (target(), reason(), delay(), urgency()).prop_map(
            |(target, reason, in_ms, urgency)| Action::Wake { target, reason, in_ms, urgency }
        ),
        9 => handler().prop_map(|name| Action::Install { name }),
        8 => (handler(), option::weighted(0.3, target()), vec(result(), 1..4)).prop_map(
            |(name, target, results)| Action::Script { name, target, results }
        ),
        4 => handler().prop_map(|name| Action::Dispose { name }),
        7 => cadence(),
        1 => target().prop_map(|target| Action::BeatOff { target }),
        12 => (handler(), target(), outcome()).prop_map(
            |(name, target, outcome)| Action::Finish { name, target, outcome }
        ),
        2 => target().prop_map(|target| Action::Cancel { target }),
        2 => target().prop_map(|target| Action::Remove { target }),
        2 => select(vec![1_u64, 5, 10, 35, 60]).prop_map(|ms| Action::Suspend { ms }),
        1 => select(vec![-3_600_000_i64, 3_600_000]).prop_map(|ms| Action::Wallclock { ms }),
        1 => option::of(duration()).prop_map(|drain_ms| Action::Stop { drain_ms }),
    ]
}

fn cadence() -> impl Strategy<Value = Action> {
    let every = prop_oneof![9 => duration(), 1 => Just(u64::MAX)];
    let phase = option::of(select(vec![0_u64, 3, 10, 25]));
    (target(), every, phase).prop_map(|(target, every_ms, phase_ms)| Action::Beat {
        target,
        every_ms,
        phase_ms,
    })
}
