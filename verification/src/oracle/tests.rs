use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;

use super::Oracle;
use crate::files::{below, play_file};
use crate::generate::schedule;
use crate::scenario::Policy;
use crate::scenario::subject::{Event, Subject};

fn oracle(policy: &Policy) -> Box<dyn Subject> {
    Box::new(Oracle::new(policy))
}

/// The project's own scenarios hold of the oracle too, whatever `verify` plays them against.
#[test]
fn own_scenarios_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files = below(&folder).unwrap_or_default();
    assert!(files.len() >= 207, "only {} scenarios found", files.len());
    for file in files {
        let report = play_file(&file, oracle);
        assert!(report.passed(), "{}", report.text(true));
    }
}

proptest! {
    /// P6 one run: no target runs twice at once, and no more run than the policy allows.
    #[test]
    fn one_run_a_target(scenario in schedule()) {
        let mut oracle = Oracle::new(&scenario.policy);
        crate::scenario::play::play(&scenario, &mut oracle);
        let mut running = BTreeSet::new();
        for event in oracle.events() {
            match event {
                Event::Started(run) => prop_assert!(running.insert(run.target.clone())),
                Event::Ended { target, .. } => prop_assert!(running.remove(target)),
            }
            prop_assert!(running.len() as u64 <= scenario.policy.max_active);
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
}
