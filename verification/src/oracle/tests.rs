use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use super::Oracle;
use crate::files::{below, play_file};
use crate::generate::schedule;
use crate::scenario::subject::{Event, Subject};
use crate::scenario::{Action, Policy, TicketState, Verb};

fn oracle(policy: &Policy) -> Box<dyn Subject> {
    Box::new(Oracle::new(policy))
}

/// The project's own scenarios hold of the oracle too, whatever `verify` plays them against.
#[test]
fn own_scenarios_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files = below(&folder).unwrap_or_default();
    assert!(files.len() >= 229, "only {} scenarios found", files.len());
    for file in files {
        let report = play_file(&file, oracle);
        assert!(report.passed(), "{}", report.text(true));
    }
}

proptest! {
    /// P6 one run: no target runs twice at once, and no more run than the policy allows, but past
    /// their limit.
    #[test]
    fn one_run_a_target(scenario in schedule()) {
        let mut oracle = Oracle::new(&scenario.policy);
        crate::scenario::play::play(&scenario, &mut oracle);
        let limit = scenario.policy.run_limit_ms.unwrap_or(u64::MAX);
        let mut running = BTreeMap::new();
        for event in oracle.events() {
            match event {
                Event::Started(run) => {
                    prop_assert_eq!(running.insert(run.target.clone(), run.at_ms), None);
                    let in_time = running.values().filter(|start| run.at_ms - **start < limit);
                    prop_assert!(in_time.count() as u64 <= scenario.policy.max_active);
                }
                Event::Ended { target, .. } => prop_assert!(running.remove(target).is_some()),
            }
        }
    }

    /// Nothing is due in the past: a settled oracle sleeps until later, or for ever (P11).
    #[test]
    fn deadlines_lie_ahead(scenario in schedule()) {
        let mut oracle = Oracle::new(&scenario.policy);
        let last = scenario.steps.last().map_or(0, |step| step.at_ms) + 60;
        crate::scenario::play::play(&scenario, &mut oracle);
        prop_assert_eq!(oracle.advance_to(last), Ok(()));
        prop_assert_eq!(oracle.settle(), Ok(()));
        prop_assert!(oracle.deadline().is_none_or(|deadline| deadline > oracle.now));
    }

    /// Nothing starts beside a barrier's run within its limit, and that starts beside others only past its limit.
    #[test]
    fn barriers_run_alone(scenario in schedule()) {
        let mut oracle = Oracle::new(&scenario.policy);
        crate::scenario::play::play(&scenario, &mut oracle);
        let limit = scenario.policy.run_limit_ms.unwrap_or(u64::MAX);
        let mut barrier: Option<(String, u64)> = None;
        for event in oracle.events() {
            match event {
                Event::Started(run) => {
                    let alone = barrier.take_if(|(_, start)| run.at_ms - *start < limit);
                    prop_assert_eq!(alone, None);
                    if let Some(beside) = run.beside {
                        barrier = Some((run.target.clone(), run.at_ms));
                        let late = run.at_ms >= scenario.policy.barrier_limit_ms;
                        prop_assert!(beside == 0 || late);
                    }
                }
                Event::Ended { target, .. } => {
                    barrier = barrier.filter(|(alone, _)| alone != target);
                }
            }
        }
    }

    /// A ticket that has ended never says anything else, and none waits in a hub that has stopped
    /// without drain (P13).
    #[test]
    fn tickets_end_once(scenario in schedule()) {
        let mut oracle = Oracle::new(&scenario.policy);
        let mut ended: Vec<TicketState> = Vec::new();
        for step in &scenario.steps {
            prop_assert_eq!(oracle.advance_to(step.at_ms), Ok(()));
            step.verb.targets().into_iter().for_each(|target| oracle.name_target(target));
            let Verb::Act(action) = &step.verb else { continue };
            prop_assert_eq!(oracle.apply(action), Ok(()));
            if let Action::Restart { .. } = action {
                ended.clear(); // of another process
                continue;
            }
            let states: Vec<_> = oracle.tickets.iter().map(|ticket| ticket.state).collect();
            for (was, is) in ended.iter().zip(&states) {
                prop_assert!(was == is || *was == TicketState::Waiting);
            }
            if *action == (Action::Stop { drain_ms: None }) {
                prop_assert!(!states.contains(&TicketState::Waiting));
            }
            ended = states;
        }
    }
}
