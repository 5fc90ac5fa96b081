//! A counterexample as a file that fails when it is played: with what the oracle expects.

use crate::oracle::Oracle;
use crate::scenario::play::conserved;
use crate::scenario::subject::{Event, Subject};
use crate::scenario::{Action, Counter, Expectation, LastRun, Scenario, Verb};

/// The scenario up to `at_ms` with, at its end, all that the oracle says of that instant.
///
/// What no expectation can tell, such as the ends of runs, is not in it.
#[must_use]
pub fn with_expectations(scenario: &Scenario, at_ms: u64) -> Scenario {
    let mut oracle = Oracle::new(&scenario.policy);
    let mut steps = Vec::new();
    let mut targets: Vec<String> = Vec::new();
    let mut tickets: Vec<String> = Vec::new();
    let mut resumed_at = 0;
    for step in scenario.steps.iter().filter(|step| step.at_ms <= at_ms) {
        // What the oracle refuses is left to the player to tell.
        let _ = oracle.advance_to(step.at_ms);
        for target in step.verb.targets() {
            oracle.name_target(target);
            if !targets.iter().any(|known| known == target) {
                targets.push(target.to_owned());
            }
        }
        if let Verb::Act(action) = &step.verb {
            let _ = oracle.apply(action);
            if let Action::Await { name, .. } = action
                && !tickets.contains(name)
            {
                tickets.push(name.clone());
            }
            if let Action::Suspend { ms } | Action::Restart { ms } = action {
                resumed_at = step.at_ms.saturating_add(*ms);
            }
        }
        steps.push((step.at_ms, step.verb.clone()));
    }
    let at_ms = at_ms.max(resumed_at);
    if oracle.advance_to(at_ms).is_ok() && oracle.settle().is_ok() {
        let mut expected = expectations(&oracle, &targets);
        let told = |name: String| oracle.ticket(&name).map(|state| (name, state));
        let tickets = tickets.into_iter().filter_map(told);
        expected.extend(tickets.map(|(name, state)| Expectation::Ticket { name, state }));
        steps.extend(expected.into_iter().map(|it| (at_ms, Verb::Expect(it))));
    }
    Scenario::new(scenario.policy.clone(), steps)
}

fn expectations(oracle: &Oracle, targets: &[String]) -> Vec<Expectation> {
    let runs: Vec<_> = oracle
        .events()
        .iter()
        .filter_map(|event| match event {
            Event::Started(run) => Some(run),
            Event::Ended { .. } => None,
        })
        .collect();
    let mut all = vec![Expectation::Runs { count: runs.len() as u64, by: None, on: None }];
    if !runs.is_empty() {
        all.push(Expectation::Order(runs.iter().map(|run| run.target.clone()).collect()));
    }
    for target in targets {
        if let Some(run) = runs.iter().rfind(|run| run.target == *target) {
            all.push(Expectation::Last(LastRun {
                on: target.clone(),
                by: Some(run.handler.clone()),
                reason: Some(run.reason.clone()),
                reasons: Some(run.reasons.clone()),
                attempt: Some(run.attempt),
                missed: Some(run.missed),
                at_ms: Some(run.at_ms),
                beside: run.beside,
            }));
        }
    }
    all.extend(
        targets.iter().map(|target| Expectation::State {
            target: target.clone(),
            state: oracle.state(target),
        }),
    );
    all.push(Expectation::Deadline(oracle.deadline()));
    all.push(Expectation::Handler(oracle.handler()));
    all.push(Expectation::Poisoned(oracle.poisoned().into_iter().collect()));
    all.push(Expectation::Active(oracle.active()));
    all.push(Expectation::Peak(oracle.peak()));
    let count = |counter| (counter, oracle.count(counter));
    all.push(Expectation::Counts(Counter::ALL.into_iter().map(count).collect()));
    debug_assert!(conserved(oracle), "the oracle conserves wakes");
    all.push(Expectation::Conserved);
    all
}
