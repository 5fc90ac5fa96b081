//! Random schedules, and where two implementations differ on one.
//!
//! The schedules are small and crowded on purpose: few names, few durations, and times whose
//! distances are those durations, so that windows, floors, periods and ends of runs meet at one
//! instant all the time. That is where schedulers are wrong.
//!
//! They are walks of a state machine (`proptest-state-machine`) whose state is the oracle's, so
//! that each line makes sense where it stands, before and after shrinking. The walks are played
//! here and not by that crate's `StateMachineTest`: it asserts, so that each of hundreds of
//! shrinking steps would print a panic, and its implementations are types, not values.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use proptest_state_machine::ReferenceStateMachine;

mod alphabet;
mod bytes;
mod differ;
mod expected;
mod machine;

pub use bytes::schedule_from;
pub use differ::{Difference, differ};
pub use expected::with_expectations;
pub use machine::{State, Transition};

use crate::scenario::{Policy, Scenario};
use machine::Machine;

/// Steps of a schedule, the passing of time included. More make a failure rarer to shrink and
/// no likelier to be met; fewer do not reach the second failure in a row of a replaced handler.
const STEPS: std::ops::Range<usize> = 1..36;

/// How long each way of shrinking may take: a schedule on which an implementation spins is slow.
const SHRINKING: Duration = Duration::from_secs(30);

/// One random schedule.
#[derive(Clone, Debug)]
pub struct Case {
    policy: Policy,
    transitions: Vec<Transition>,
}

impl Case {
    fn new(state: &State, transitions: Vec<Transition>, seen: Option<Arc<AtomicUsize>>) -> Self {
        if let Some(seen) = seen {
            // Steps that were not seen would be cut first when this case shrinks.
            seen.store(transitions.len(), Ordering::SeqCst);
        }
        Self { policy: state.policy().clone(), transitions }
    }

    /// The schedule as a scenario, without expectations.
    #[must_use]
    pub fn scenario(&self) -> Scenario {
        let start = State::new(self.policy.clone());
        self.transitions.iter().fold(start, State::then).scenario()
    }

    /// This case with at most one run in flight, and with what still makes sense then.
    fn one_by_one(mut self) -> Self {
        self.policy.max_active = 1;
        let mut state = State::new(self.policy.clone());
        self.transitions.retain(|transition| {
            let allowed = state.allows(transition) && state.is_compared(transition);
            if allowed {
                state = state.clone().then(transition);
            }
            allowed
        });
        self
    }

    /// This case without one of its steps, if what is left makes sense.
    fn without(&self, index: usize, compared: bool) -> Option<Self> {
        let mut shorter = self.clone();
        shorter.transitions.remove(index);
        let mut state = State::new(self.policy.clone());
        for transition in &shorter.transitions {
            if !state.allows(transition) || (compared && !state.is_compared(transition)) {
                return None;
            }
            state = state.then(transition);
        }
        Some(shorter)
    }
}

/// Random schedules with all actions and no expectations, each of which plays.
pub fn schedule() -> impl Strategy<Value = Scenario> {
    cases(Among::All).prop_map(|case| case.scenario())
}

/// Which schedules are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Among {
    /// All of them.
    All,
    /// Those on which engine and oracle must agree; `State::is_compared` says what is left out.
    Compared,
    /// Those of them in which at most one run is in flight.
    OneByOne,
}

fn cases(among: Among) -> BoxedStrategy<Case> {
    match among {
        Among::All => Machine::<false>::sequential_strategy(STEPS)
            .prop_map(|(state, transitions, seen)| Case::new(&state, transitions, seen))
            .boxed(),
        Among::Compared => Machine::<true>::sequential_strategy(STEPS)
            .prop_map(|(state, transitions, seen)| Case::new(&state, transitions, seen))
            .boxed(),
        Among::OneByOne => cases(Among::Compared).prop_map(Case::one_by_one).boxed(),
    }
}

/// A counterexample: the smallest schedule found that fails.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// The schedule; as text it is a scenario file.
    pub scenario: Scenario,
    /// How it fails.
    pub difference: Difference,
}

impl std::fmt::Display for Counterexample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in self.difference.to_string().lines() {
            writeln!(f, "# {line}")?;
        }
        self.scenario.fmt(f)
    }
}

/// Plays random schedules until one fails, then shrinks it. The same seed draws the same ones.
///
/// # Errors
/// The shrunk case, if any fails. A panic is a failure.
pub fn search(
    cases: u32,
    seed: u64,
    among: Among,
    play: impl Fn(&Scenario) -> Option<Difference>,
) -> Result<(), Box<Counterexample>> {
    let play = |case: &Case| {
        let scenario = case.scenario();
        catch_unwind(AssertUnwindSafe(|| play(&scenario)))
            .unwrap_or_else(|panic| Some(Difference::panicked(panic.as_ref(), &scenario)))
    };
    let config = Config {
        cases,
        failure_persistence: None,
        // A step that makes no sense is drawn again; over all cases that is often.
        max_local_rejects: u32::MAX,
        max_shrink_time: SHRINKING.as_millis() as u32,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let outcome =
        TestRunner::new_with_rng(config, rng).run(&self::cases(among), |case| match play(&case) {
            None => Ok(()),
            Some(difference) => Err(TestCaseError::fail(difference.to_string())),
        });
    match outcome {
        Ok(()) => Ok(()),
        Err(TestError::Fail(reason, case)) => {
            let case = smallest(case, among, |case| play(case).is_some());
            // An implementation that is not even repeatable may pass the second time.
            let scenario = case.scenario();
            let difference =
                play(&case).unwrap_or_else(|| Difference::unrepeatable(reason, &scenario));
            Err(Box::new(Counterexample { scenario, difference }))
        }
        Err(TestError::Abort(reason)) => {
            let scenario = Scenario::new(Policy::default(), Vec::new());
            let difference = Difference::unrepeatable(reason, &scenario);
            Err(Box::new(Counterexample { scenario, difference }))
        }
    }
}

/// Leaves out steps until each that is left is needed: proptest tries each only once, and from
/// the back, so that a step which only a later one needed stays.
fn smallest(mut case: Case, among: Among, fails: impl Fn(&Case) -> bool) -> Case {
    let start = Instant::now();
    let mut index = case.transitions.len();
    while index > 0 && start.elapsed() < SHRINKING {
        index -= 1;
        if let Some(shorter) = case.without(index, among != Among::All)
            && fails(&shorter)
        {
            case = shorter;
            index = case.transitions.len();
        }
    }
    case
}

#[cfg(test)]
mod tests;
