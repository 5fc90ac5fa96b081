//! The order in which the steps of one instant reach the engine.

use super::{Action, OnReplace, Or, Scenario, Step, Verb};

/// The same scenario with each install before the wakes and beats of its own instant that stand
/// right before it. A runner is an install too.
///
/// A wake of the same instant as an install counts as requested after it, wherever its line
/// stands. On real threads nothing has the same instant; here the order says which came first.
#[must_use]
pub fn installs_first(scenario: &Scenario) -> Scenario {
    let mut steps: Vec<Step> = Vec::with_capacity(scenario.steps.len());
    for step in &scenario.steps {
        let mut place = steps.len();
        if installs(&step.verb) {
            let finish = scenario.policy.on_replace == OnReplace::Finish;
            let passes = |place: usize| {
                let before: &Step = &steps[place];
                before.at_ms == step.at_ms
                    && gives_way(before, finish)
                    && cadences_give_way(before, step, &steps[..place])
            };
            while place > 0 && passes(place - 1) {
                place -= 1;
            }
        }
        steps.insert(place, step.clone());
    }
    Scenario { policy: scenario.policy.clone(), steps }
}

/// Whether the line installs a handler.
#[must_use]
pub(crate) fn installs(verb: &Verb) -> bool {
    matches!(verb, Verb::Act(Action::Install { .. } | Action::Runner { .. }))
}

/// Whether it makes no difference else that an install comes before this step.
fn gives_way(step: &Step, finish: bool) -> bool {
    match &step.verb {
        // It asks whether a handler is installed.
        Verb::Act(Action::Await { or, .. }) => *or != Some(Or::NoHandler),
        Verb::Act(
            Action::Wake { .. }
            | Action::WakeAll { .. }
            | Action::Barrier { .. }
            | Action::Revive { .. }
            | Action::Beat { .. }
            | Action::BeatOff { .. }
            | Action::Script { .. },
        ) => true,
        // Under `cancel` the install would end runs first, and these meet what they give back.
        Verb::Act(Action::Cancel { .. } | Action::Remove { .. }) => finish,
        _ => false,
    }
}

/// Whether the cadences of a runner may be set before this step: of two settings of one cadence
/// the later one holds, and a target is created where it is first named.
fn cadences_give_way(step: &Step, runner: &Step, earlier: &[Step]) -> bool {
    let Verb::Act(Action::Runner { roster, .. }) = &runner.verb else { return true };
    let named = match &step.verb {
        Verb::Act(Action::Beat { .. } | Action::BeatOff { .. } | Action::Remove { .. }) => {
            step.verb.targets()
        }
        _ => Vec::new(),
    };
    roster.iter().all(|entry| {
        let target = entry.target.as_str();
        !named.contains(&target) && is_there(target, earlier)
    })
}

/// Whether a target is there after these steps: the last one that names it does not remove it.
fn is_there(target: &str, steps: &[Step]) -> bool {
    let last = steps.iter().rfind(|step| step.verb.targets().contains(&target));
    last.is_some_and(|step| !matches!(step.verb, Verb::Act(Action::Remove { .. })))
}
