//! The order in which the steps of one instant reach the engine.

use super::{Action, OnReplace, Scenario, Step, Verb};

/// The same scenario with each install before the wakes and beats of its own instant that stand
/// right before it.
///
/// A wake of the same instant as an install counts as requested after it, wherever its line
/// stands. On real threads nothing has the same instant; here the order says which came first.
#[must_use]
pub fn installs_first(scenario: &Scenario) -> Scenario {
    let mut steps: Vec<Step> = Vec::with_capacity(scenario.steps.len());
    for step in &scenario.steps {
        let mut place = steps.len();
        if matches!(step.verb, Verb::Act(Action::Install { .. })) {
            let finish = scenario.policy.on_replace == OnReplace::Finish;
            let passes = |before: &Step| before.at_ms == step.at_ms && gives_way(before, finish);
            while place > 0 && passes(&steps[place - 1]) {
                place -= 1;
            }
        }
        steps.insert(place, step.clone());
    }
    Scenario { policy: scenario.policy.clone(), steps }
}

/// Whether it makes no difference else that an install comes before this step.
fn gives_way(step: &Step, finish: bool) -> bool {
    match &step.verb {
        Verb::Act(
            Action::Wake { .. }
            | Action::Beat { .. }
            | Action::BeatOff { .. }
            | Action::Script { .. },
        ) => true,
        // Under `cancel` the install would end runs first, and these meet what they give back.
        Verb::Act(Action::Cancel { .. } | Action::Remove { .. }) => finish,
        _ => false,
    }
}
