//! The state machine of schedules: what can happen next, given what has happened.
//!
//! Its state is the oracle's. It says which runs are held and which handlers have been installed,
//! so that only lines are made that mean something where they stand.

use std::cell::OnceCell;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::{BoxedStrategy, Union};
use proptest_state_machine::ReferenceStateMachine;

use super::alphabet::{at_any_time, outcome, policy, roster};
use crate::oracle::Oracle;
use crate::scenario::order::{installs, installs_first};
use crate::scenario::subject::{Event, Subject};
use crate::scenario::{Action, Missed, Outcome, Policy, RosterEntry, Scenario, Verb};

/// One step of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    /// Time goes on by so many milliseconds, through all that is due on the way.
    Later(u64),
    /// Something is done at the present instant.
    Act(Action),
}

/// What has happened, and what it meant to the oracle.
#[derive(Clone, Debug)]
pub struct State {
    oracle: Oracle,
    policy: Policy,
    now: u64,
    steps: Vec<(u64, Verb)>,
    /// How many steps stood before the present instant.
    earlier: usize,
}

impl State {
    /// Nothing has happened.
    pub(super) fn new(policy: Policy) -> Self {
        let oracle = Oracle::new(&policy);
        Self { oracle, policy, now: 0, steps: Vec::new(), earlier: 0 }
    }

    /// The schedule so far.
    pub(super) fn scenario(self) -> Scenario {
        Scenario::new(self.policy, self.steps)
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether the line makes sense here, so that each schedule is a scenario file that plays.
    pub(super) fn allows(&self, transition: &Transition) -> bool {
        match transition {
            // The end of a run that is not held, the dispose or the update of what never was.
            Transition::Act(
                action @ (Action::Finish { .. }
                | Action::Dispose { .. }
                | Action::Update { .. }
                | Action::StopRunner { .. }),
            ) => self.oracle.clone().apply(action).is_ok(),
            Transition::Act(_) | Transition::Later(_) => true,
        }
    }

    /// Whether engine and oracle read the line alike. They do not, and are not compared, on
    ///
    /// * an install of the same instant as a wake that stands before it: the engine learns of
    ///   both in the order of their lines, while to the text the wake came later. Nor on one that
    ///   [`installs_first`] would move, since a file is played in that order. A runner is an
    ///   install, and what requests a run is a wake;
    /// * a request right after a cadence that goes on from an earlier process: which of the two leads,
    ///   the engine does not tell;
    /// * a restart and a step of the wall clock: a ledger keeps beats by that, which is no matter of the
    ///   text;
    /// * an install or a `postpone` while beats may wait under `missed=burst`: the engine serves
    ///   them first in, first out, the oracle by the due of each.
    pub(super) fn is_compared(&self, transition: &Transition) -> bool {
        let Transition::Act(action) = transition else { return true };
        let verb = Verb::Act(action.clone());
        let earlier = |of: fn(&Action) -> bool| {
            self.steps.iter().any(|(_, verb)| matches!(verb, Verb::Act(action) if of(action)))
        };
        let steps_wall = |action: &Action| matches!(action, Action::Wallclock { .. });
        let restarts = |action: &Action| matches!(action, Action::Restart { .. });
        if restarts(action) && earlier(steps_wall) || steps_wall(action) && earlier(restarts) {
            return false;
        }
        let mut instant = self.steps[self.earlier..].iter();
        let sets_cadence = |verb: &Verb| {
            matches!(
                verb,
                Verb::Act(Action::Beat { .. } | Action::Runner { .. } | Action::Update { .. })
            )
        };
        if requests(&verb) && earlier(restarts) && instant.any(|(_, verb)| sets_cadence(verb)) {
            return false;
        }
        let postpones = matches!(action, Action::Postpone { .. });
        if postpones && !self.only_dues_hold() {
            return false;
        }
        let moves = installs(&verb) || postpones;
        if moves && self.policy.missed == Missed::Burst && self.earlier > 0 {
            return false;
        }
        if !installs(&verb) {
            return true;
        }
        let instant = &self.steps[self.earlier..];
        if instant.iter().any(|(_, verb)| requests(verb)) {
            return false;
        }
        let install = (self.now, verb);
        let steps = instant.iter().cloned().chain([install]).collect();
        let instant = Scenario::new(self.policy.clone(), steps);
        installs_first(&instant) == instant
    }

    /// Whether nothing holds a wake back but when it is due: what else does is the engine's secret, and
    /// a postpone lets it go.
    fn only_dues_hold(&self) -> bool {
        let holds = |verb: &Verb| {
            matches!(
                verb,
                Verb::Act(Action::Script { .. } | Action::Barrier { .. } | Action::Suspend { .. })
            )
        };
        let rates = self.policy.spacing_ms > 0
            || self.policy.flood.is_some()
            || self.policy.hub_flood.is_some();
        !rates && !self.steps.iter().any(|(_, verb)| holds(verb))
    }

    /// What comes of it.
    #[must_use]
    pub(super) fn then(mut self, transition: &Transition) -> Self {
        match transition {
            Transition::Later(distance) => {
                self.go_to(self.now.saturating_add(*distance));
            }
            Transition::Act(action) => {
                for target in action.targets() {
                    self.oracle.name_target(target);
                }
                // Refused only where `allows` said so, and then nothing has changed.
                if self.oracle.apply(action).is_ok() {
                    self.steps.push((self.now, Verb::Act(action.clone())));
                    if let Action::Suspend { ms } | Action::Restart { ms } = action {
                        self.go_to(self.now.saturating_add(*ms));
                    }
                }
            }
        }
        self
    }

    fn go_to(&mut self, at_ms: u64) {
        // Schedules are far too short for too much to happen on the way.
        let _ = self.oracle.advance_to(at_ms);
        self.now = at_ms;
        self.earlier = self.steps.len();
    }

    /// Who runs what: handler and target.
    pub(super) fn running(&self) -> Vec<(String, String)> {
        let mut running: Vec<(String, String)> = Vec::new();
        for event in self.oracle.events() {
            match event {
                Event::Started(run) => running.push((run.handler.clone(), run.target.clone())),
                Event::Ended { target, .. } => running.retain(|(_, runs)| runs != target),
            }
        }
        running
    }

    /// The handlers that were installed at some time.
    pub(super) fn installed(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (_, verb) in &self.steps {
            if let Verb::Act(Action::Install { name } | Action::Runner { name, .. }) = verb
                && !names.contains(name)
            {
                names.push(name.clone());
            }
        }
        names
    }

    /// The runners that were started at some time.
    pub(super) fn runners(&self) -> Vec<String> {
        let runners = self.steps.iter().filter_map(|(_, verb)| match verb {
            Verb::Act(Action::Runner { name, .. }) => Some(name.clone()),
            _ => None,
        });
        runners.collect()
    }

    /// The cadences that were set at some time.
    fn cadences(&self) -> Vec<Action> {
        let actions = self.steps.iter().filter_map(|(_, verb)| match verb {
            Verb::Act(action @ (Action::Beat { .. } | Action::Update { .. })) => {
                Some(action.clone())
            }
            _ => None,
        });
        actions.collect()
    }

    fn strategy(&self) -> BoxedStrategy<Transition> {
        let any = AT_ANY_TIME.with(|any| any.get_or_init(|| at_any_time().boxed()).clone());
        let mut arms = vec![(20, any)];
        let running = self.running();
        if !running.is_empty() {
            let outcome = OUTCOME.with(|any| any.get_or_init(|| outcome().boxed()).clone());
            let finish = (select(running), outcome).prop_map(|((name, target), outcome)| {
                Transition::Act(Action::Finish { name, target, outcome })
            });
            arms.push((3, finish.boxed()));
        }
        let installed = self.installed();
        if !installed.is_empty() {
            let dispose =
                select(installed).prop_map(|name| Transition::Act(Action::Dispose { name }));
            arms.push((2, dispose.boxed()));
        }
        let runners = self.runners();
        if !runners.is_empty() {
            let roster = ROSTER.with(|any| any.get_or_init(|| roster().boxed()).clone());
            let name = select(runners);
            let update = (name.clone(), roster)
                .prop_map(|(name, roster)| Transition::Act(Action::Update { name, roster }));
            let stop = name.prop_map(|name| Transition::Act(Action::StopRunner { name }));
            arms.extend([(1, update.boxed()), (1, stop.boxed())]);
        }
        let poisoned = self.oracle.poisoned();
        if !poisoned.is_empty() {
            let revive =
                select(poisoned).prop_map(|target| Transition::Act(Action::Revive { target }));
            arms.push((2, revive.boxed()));
        }
        let cadences = self.cadences();
        if !cadences.is_empty() {
            // A reload sets again what is set.
            arms.push((1, select(cadences).prop_map(Transition::Act).boxed()));
        }
        Union::new_weighted(arms).boxed()
    }
}

/// Whether the line requests a run.
fn requests(verb: &Verb) -> bool {
    matches!(
        verb,
        Verb::Act(
            Action::Wake { .. }
                | Action::WakeAll { .. }
                | Action::Barrier { .. }
                | Action::Await { .. }
                | Action::Revive { .. }
        )
    )
}

thread_local! {
    // Made once: a strategy of many parts costs more to make than to draw from.
    static AT_ANY_TIME: OnceCell<BoxedStrategy<Transition>> = const { OnceCell::new() };
    static ROSTER: OnceCell<BoxedStrategy<Vec<RosterEntry>>> = const { OnceCell::new() };
    static OUTCOME: OnceCell<BoxedStrategy<Outcome>> = const { OnceCell::new() };
}

/// All schedules, or with `COMPARED` those on which engine and oracle must agree.
pub(super) struct Machine<const COMPARED: bool>;

impl<const COMPARED: bool> ReferenceStateMachine for Machine<COMPARED> {
    type State = State;
    type Transition = Transition;

    fn init_state() -> BoxedStrategy<State> {
        policy().prop_map(State::new).boxed()
    }

    fn transitions(state: &State) -> BoxedStrategy<Transition> {
        state.strategy()
    }

    fn preconditions(state: &State, transition: &Transition) -> bool {
        state.allows(transition) && (!COMPARED || state.is_compared(transition))
    }

    fn apply(state: State, transition: &Transition) -> State {
        state.then(transition)
    }
}
