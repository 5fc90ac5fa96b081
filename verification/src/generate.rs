//! Random scenarios, and where two implementations differ on one.
//!
//! The schedules are small and crowded on purpose: few names, few durations, and times whose
//! distances are those durations, so that windows, floors, periods and ends of runs meet at one
//! instant all the time. That is where schedulers are wrong.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

mod differ;
mod strategy;

pub use differ::{Difference, differ};
pub use strategy::schedule;

use crate::scenario::subject::Subject;
use crate::scenario::{Policy, Scenario};

/// A counterexample: the smallest scenario found on which two implementations differ.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// The scenario; as text it is a scenario file.
    pub scenario: Scenario,
    /// How they differ on it.
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

/// Plays random scenarios on two implementations until they differ, then shrinks the case.
///
/// # Errors
/// The shrunk case, if they differ on any.
pub fn search(
    cases: u32,
    a: impl Fn(&Policy) -> Box<dyn Subject>,
    b: impl Fn(&Policy) -> Box<dyn Subject>,
) -> Result<(), Box<Counterexample>> {
    search_among(
        cases,
        TestRng::from_seed(RngAlgorithm::ChaCha, &[0; 32]),
        |it| Some(it.clone()),
        a,
        b,
    )
}

/// The same with a seed, and with what `prepare` makes of each scenario; where it makes nothing, the
/// scenario is passed over and another one drawn.
///
/// # Errors
/// The shrunk case, if they differ on any.
pub fn search_among(
    cases: u32,
    rng: TestRng,
    prepare: impl Fn(&Scenario) -> Option<Scenario>,
    a: impl Fn(&Policy) -> Box<dyn Subject>,
    b: impl Fn(&Policy) -> Box<dyn Subject>,
) -> Result<(), Box<Counterexample>> {
    let max_global_rejects = cases.saturating_mul(10);
    let config =
        Config { cases, failure_persistence: None, max_global_rejects, ..Config::default() };
    let both = |scenario: &Scenario| {
        differ(&mut *a(&scenario.policy), &mut *b(&scenario.policy), scenario)
    };
    let outcome = TestRunner::new_with_rng(config, rng).run(&schedule(), |scenario| {
        let Some(scenario) = prepare(&scenario) else {
            return Err(TestCaseError::reject("not compared"));
        };
        match both(&scenario) {
            None => Ok(()),
            Some(difference) => Err(TestCaseError::fail(difference.to_string())),
        }
    });
    match outcome {
        Ok(()) => Ok(()),
        Err(TestError::Fail(reason, scenario)) => {
            let scenario = prepare(&scenario).unwrap_or(scenario);
            // An implementation that is not even repeatable may agree the second time.
            let difference = both(&scenario).unwrap_or_else(|| Difference::unrepeatable(reason));
            Err(Box::new(Counterexample { scenario, difference }))
        }
        Err(TestError::Abort(reason)) => Err(Box::new(Counterexample {
            scenario: Scenario::new(Policy::default(), Vec::new()),
            difference: Difference::unrepeatable(reason),
        })),
    }
}

#[cfg(test)]
mod tests;
