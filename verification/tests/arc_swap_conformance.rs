//! The conformance suite over the real `ArcSwap`: on one thread beside a model, and on the
//! system's threads. The twin that the models use passes the same suite, in every interleaving.

#![cfg(not(any(reveille_loom, reveille_shuttle)))]

#[path = "../litmus/conformance.rs"]
mod conformance;

use conformance::{Sequential, Step, Token, concurrently, sequentially};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, prop_oneof, proptest};
use std::sync::Arc;

/// Runs of one set of scripts: the system rarely meets the same interleaving twice.
const RUNS: usize = 25;

fn schedules() -> impl Strategy<Value = Vec<Sequential>> {
    let step = prop_oneof![
        Just(Sequential::Hold),
        Just(Sequential::Own),
        (0..8_usize).prop_map(Sequential::Release),
        Just(Sequential::Store),
        Just(Sequential::Swap),
        (0..8_usize).prop_map(Sequential::PutBack),
        (0..8_usize).prop_map(Sequential::Cas),
        Just(Sequential::CasOther),
    ];
    vec(step, 1..40)
}

fn scripts() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let step = prop_oneof![
        Just(Step::Load),
        Just(Step::Hold),
        Just(Step::Swap),
        Just(Step::CasSeen),
        Just(Step::CasOther),
    ];
    let one = vec(step, 0..30);
    // Where a store belongs is found by trying all orders of the stores: few of them.
    let with_store = (one.clone(), proptest::bool::ANY).prop_map(|(mut steps, store)| {
        if store {
            steps.insert(steps.len() / 2, Step::Store);
        }
        steps
    });
    vec(with_store, 2..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn one_thread_sees_what_the_model_says(steps in schedules()) {
        sequentially::<Arc<Token>>(&steps, true);
        sequentially::<Option<Arc<Token>>>(&steps, true);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_threads_see_has_one_order(scripts in scripts()) {
        for _ in 0..RUNS {
            concurrently::<Arc<Token>>(&scripts, true);
            concurrently::<Option<Arc<Token>>>(&scripts, true);
        }
    }
}

/// Threads that do nothing but compare and swap: the order is a chain of all that succeeded.
#[test]
fn contended_compare_and_swap() {
    let script = vec![Step::CasSeen; 500];
    for _ in 0..RUNS {
        concurrently::<Arc<Token>>(&vec![script.clone(); 4], true);
    }
}
