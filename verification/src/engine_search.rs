//! The engine against the oracle, on random schedules.

use proptest::test_runner::{RngAlgorithm, TestRng};

use crate::generate::{Counterexample, search_among};
use crate::oracle::Oracle;
use crate::scenario::engine::EngineSubject;
use crate::scenario::order::installs_first;
use crate::scenario::{Action, Missed, Scenario, Verb};

/// Plays `cases` random scenarios on the engine and on the oracle and compares all that can be
/// seen of them after every instant.
///
/// # Errors
/// The shrunk case on which they differ.
pub fn engine_against_oracle(cases: u32, seed: u64) -> Result<(), Box<Counterexample>> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    search_among(
        cases,
        rng,
        |scenario| Some(installs_first(scenario)).filter(is_compared),
        |policy| Box::new(EngineSubject::new(policy)),
        |policy| Box::new(Oracle::new(policy)),
    )
}

/// What is left out of the comparison, since engine and oracle read the text differently there:
///
/// * an install of the same instant as a wake that stands before it, with something in between
///   that the order matters to: the engine learns of both in the order of their lines;
/// * `missed=burst` with an install while beats may wait: the engine serves them first in, first
///   out, the oracle by the due of each.
#[must_use]
pub fn is_compared(scenario: &Scenario) -> bool {
    let first = scenario.steps.first().map_or(0, |step| step.at_ms);
    let burst = scenario.policy.missed == Missed::Burst;
    scenario.steps.iter().enumerate().all(|(index, install)| {
        !matches!(install.verb, Verb::Act(Action::Install { .. }))
            || (!(burst && install.at_ms > first)
                && scenario.steps[..index].iter().all(|before| {
                    before.at_ms != install.at_ms
                        || !matches!(before.verb, Verb::Act(Action::Wake { .. }))
                }))
    })
}
