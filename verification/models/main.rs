//! The models: what threads may do to each other, in every interleaving that is searched.
//!
//! `RUSTFLAGS="--cfg reveille_loom" cargo test -p reveille-verification --release --test models`
//! runs them on loom as it is published, which skips interleavings; `cargo verify loom` runs them
//! on a loom whose search is complete.

#![allow(unreachable_pub)] // a program: nobody is outside
#![cfg_attr(not(reveille_loom), allow(unused))]

use libtest_mimic::Arguments;
use std::process::ExitCode;

#[cfg(reveille_loom)]
#[path = "../src/lab/result.rs"]
mod result;
#[cfg(reveille_loom)]
#[path = "../litmus/search.rs"]
mod search;
#[cfg(reveille_loom)]
#[path = "../src/report/timeline.rs"]
mod timeline;

#[cfg(reveille_loom)]
mod model;
#[cfg(reveille_loom)]
mod naive;
#[cfg(reveille_loom)]
mod parts;
#[cfg(reveille_loom)]
mod support;

/// Declares the modules of the models and the list of them.
#[cfg(reveille_loom)]
macro_rules! models {
    ($($module:ident),* $(,)?) => {
        $(mod $module;)*
        /// All models.
        const MODELS: &[&[model::Model]] = &[$($module::MODELS),*];
    };
}

#[cfg(reveille_loom)]
models!(
    m01_stale_dispose,
    m02_installs,
    m03_earliest,
    m04_request_park,
    m04b_ready_set,
    m05_request_during_run,
    m06_replaced_run,
    m06b_completion,
    m07_stop_request_park,
    m08_stop_stop,
    m08b_gate,
    m09_beat_uninstall,
    m10_remove_request,
    m11_visibility,
    m12_helping,
    m13_reentrant,
    m14_composed,
    m15_frozen_before_ring,
    m16_reuse,
    m17_stop_start,
    m18_install_wake,
    m19_cadence_claims,
    m20_driver_handover,
    m21_owed_beats,
    m22_payload,
    m23_cancel,
    m24_retire,
    m25_tickets,
    m26_barrier,
    m27_postpone,
    m28_revive,
    m29_races,
);

#[cfg(reveille_loom)]
fn main() -> ExitCode {
    // A backtrace would show the checker alone; the line itself must come out before an abort.
    std::panic::set_hook(Box::new(|info| eprintln!("{info}")));
    let lists = std::env::args().any(|argument| argument == "--list");
    if option_env!("REVEILLE_LOOM") != Some("patched") && !lists {
        eprintln!("loom as published: its search skips interleavings; try `cargo verify loom`");
    }
    // Those are to fail: `cargo verify faults` sees them do so.
    let naive = std::env::var_os("REVEILLE_NAIVE").map(|_| naive::MODELS);
    let trials = MODELS.iter().copied().chain(naive).flatten().map(|model| {
        libtest_mimic::Trial::test(model.name, move || model::check(model).map_err(Into::into))
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

#[cfg(not(reveille_loom))]
fn main() -> ExitCode {
    if !std::env::args().any(|argument| argument == "--list") {
        eprintln!("no models: built without `--cfg reveille_loom`; try `cargo verify loom`");
    }
    libtest_mimic::run(&Arguments::from_args(), Vec::new()).exit_code()
}
