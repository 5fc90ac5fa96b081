use super::*;
use crate::oracle::Oracle;
use crate::scenario::parse::parse;
use crate::scenario::play::play;
use crate::scenario::subject::{Event, Subject};
use crate::scenario::{Counter, Flood, Missed, OnOverrun, OnReplace, TicketState, Verb};

fn oracle(policy: &Policy) -> Box<dyn Subject> {
    Box::new(Oracle::new(policy))
}

/// An implementation with one number or choice wrong.
fn wrong(change: impl Fn(&mut Policy)) -> impl Fn(&Policy) -> Box<dyn Subject> {
    move |policy| {
        let mut policy = policy.clone();
        change(&mut policy);
        Box::new(Oracle::new(&policy))
    }
}

fn compare(
    cases: u32,
    a: impl Fn(&Policy) -> Box<dyn Subject>,
    b: impl Fn(&Policy) -> Box<dyn Subject>,
) -> Result<(), Box<Counterexample>> {
    search(cases, 0, Among::All, |scenario| {
        differ(&mut *a(&scenario.policy), &mut *b(&scenario.policy), scenario)
    })
}

/// An implementation agrees with itself on everything, and conserves wakes.
#[test]
fn the_oracle_does_not_differ_from_itself() {
    if let Err(found) = compare(500, oracle, oracle) {
        panic!("{found}");
    }
}

/// Every policy key shows in some random scenario: a subject that has it wrong is found out,
/// and the shrunk case is small and is a scenario file.
#[test]
fn each_wrong_policy_is_found() {
    type Change = fn(&mut Policy);
    let changes: [(&str, Change); 15] = [
        ("coalesce", |policy| policy.coalesce_ms += 1),
        ("retry", |policy| policy.retry_ms += 1),
        ("backoff-factor", |policy| policy.backoff_factor += 1),
        ("backoff-max", |policy| policy.backoff_max_ms /= 2),
        ("max-attempts", |policy| policy.max_attempts += 1),
        ("max-active", |policy| policy.max_active += 1),
        ("missed", |policy| {
            policy.missed =
                if policy.missed == Missed::Burst { Missed::Skip } else { Missed::Burst };
        }),
        ("on-replace", |policy| {
            policy.on_replace = match policy.on_replace {
                OnReplace::Finish => OnReplace::Cancel,
                OnReplace::Cancel => OnReplace::Finish,
            };
        }),
        ("spacing", |policy| policy.spacing_ms += 1),
        ("flood", |policy| match &mut policy.flood {
            Some(flood) => flood.starts += 1,
            None => policy.flood = Some(Flood { starts: 2, within_ms: 30 }),
        }),
        ("hub-flood", |policy| match &mut policy.hub_flood {
            Some(flood) => flood.starts += 1,
            None => policy.hub_flood = Some(Flood { starts: 2, within_ms: 30 }),
        }),
        ("barrier-limit", |policy| policy.barrier_limit_ms += 1),
        ("wall", |policy| policy.wall_ms += 3_600_000),
        ("run-limit", |policy| policy.run_limit_ms = policy.run_limit_ms.map(|limit| limit + 1)),
        ("on-overrun", |policy| {
            policy.on_overrun = match policy.on_overrun {
                OnOverrun::Report => OnOverrun::Cancel,
                OnOverrun::Cancel => OnOverrun::Report,
            };
        }),
    ];
    for (key, change) in changes {
        let wrong = wrong(change);
        let Err(found) = compare(20_000, &wrong, oracle) else {
            panic!("a wrong {key} was not found");
        };
        assert!(found.scenario.steps.len() <= 12, "not shrunk: {found}");
        let read = parse(&found.to_string()).map(|scenario| scenario.policy);
        assert_eq!(read.as_ref(), Ok(&found.scenario.policy), "{found}");
        // As a file with expectations it fails of the wrong one alone.
        let file = with_expectations(&found.scenario, found.difference.at_ms);
        let fails = |mut subject: Box<dyn Subject>| play(&file, &mut *subject).failure.is_some();
        assert!(fails(wrong(&file.policy)), "the wrong {key} passes:\n{file}");
        assert!(!fails(oracle(&file.policy)), "the oracle fails:\n{file}");
    }
}

/// All that can become of a ticket, and the rarer things that barriers, runners and attempts can
/// come to, are met by random schedules: else two subjects would agree on them by never playing
/// them.
#[test]
fn rare_things_are_met() {
    let met = std::cell::RefCell::new(std::collections::BTreeMap::<String, u32>::new());
    let meet = |what: String| *met.borrow_mut().entry(what).or_default() += 1;
    let found = search(2_000, 0, Among::Compared, |scenario| {
        let mut subject = Oracle::new(&scenario.policy);
        play(scenario, &mut subject);
        for ticket in ["t", "u"].into_iter().filter_map(|name| subject.ticket(name)) {
            meet(format!("ticket {ticket}"));
        }
        for event in subject.events() {
            if let Event::Started(run) = event
                && let Some(beside) = run.beside
            {
                meet(format!("beside {}", beside.min(1)));
            }
        }
        if !subject.poisoned().is_empty() {
            meet("poisoned".to_owned());
        }
        if subject.count(Counter::StaleClaims) > 0 {
            meet("stale-claims".to_owned());
        }
        if subject.count(Counter::Overran) > 0 {
            meet("overran".to_owned());
        }
        None
    });
    assert_eq!(found.map_err(|found| found.to_string()), Ok(()));
    let met = met.into_inner();
    let tickets = TicketState::ALL.map(|state| format!("ticket {state}"));
    let others = ["beside 0", "beside 1", "poisoned", "stale-claims", "overran"].map(str::to_owned);
    for what in tickets.into_iter().chain(others) {
        assert!(met.contains_key(&what), "{what} in {met:?}");
    }
}

proptest! {
    /// What is generated is a scenario file that plays, and all its lines make sense.
    #[test]
    fn schedules_are_scenarios(scenario in schedule()) {
        let text = scenario.to_string();
        prop_assert_eq!(parse(&text), Ok(scenario.clone()));
        let played = play(&scenario, &mut *oracle(&scenario.policy));
        prop_assert_eq!(played.failure, None);
        prop_assert!(scenario.steps.iter().all(|step| matches!(step.verb, Verb::Act(_))));
    }
}
