//! The checker, checked: what it admits and forbids, whether it reaches everything, and whether the
//! twin of `ArcSwap` behaves as the real one.
//!
//! `RUSTFLAGS="--cfg reveille_loom" cargo test -p reveille-verification --release --test litmus`
//! runs this on loom as it is published; `cargo verify litmus` on a loom whose search is complete,
//! and says so at build time by `REVEILLE_LOOM=patched`. Each check prints what it found.

#![cfg_attr(not(reveille_loom), allow(unused))]

use libtest_mimic::Arguments;
use std::process::ExitCode;

#[cfg(reveille_loom)]
mod check;
#[cfg(reveille_loom)]
mod conformance;
#[cfg(reveille_loom)]
mod differential;
#[cfg(reveille_loom)]
mod memory;
#[cfg(reveille_loom)]
mod program;
#[cfg(reveille_loom)]
#[path = "../src/lab/result.rs"]
#[allow(unreachable_pub)] // Shared with the side that reads it.
mod result;
#[cfg(reveille_loom)]
mod search;
#[cfg(reveille_loom)]
mod twin;
#[cfg(reveille_loom)]
mod twin_conformance;

/// Whether the loom that is linked has our patch.
#[cfg(reveille_loom)]
const PATCHED: bool = matches!(option_env!("REVEILLE_LOOM"), Some(loom) if is_patched(loom));

#[cfg(reveille_loom)]
const fn is_patched(loom: &str) -> bool {
    matches!(loom.as_bytes(), b"patched")
}

#[cfg(reveille_loom)]
fn main() -> ExitCode {
    let groups = [
        (
            "The checker reaches every outcome that sequential consistency allows.",
            differential::checks(PATCHED),
        ),
        ("The checker's memory model is the one that is written down.", memory::checks()),
        ("The twin of ArcSwap orders no more than arc-swap promises.", twin::checks()),
        ("The twin passes the suite of the real ArcSwap.", twin_conformance::checks()),
    ];
    let trials = groups.into_iter().flat_map(|(law, checks)| {
        checks.into_iter().map(move |check| {
            libtest_mimic::Trial::test(check.name, move || check.run(law).map_err(Into::into))
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

#[cfg(not(reveille_loom))]
fn main() -> ExitCode {
    if !std::env::args().any(|argument| argument == "--list") {
        eprintln!(
            "no litmus tests: built without `--cfg reveille_loom`; try `cargo verify litmus`"
        );
    }
    libtest_mimic::run(&Arguments::from_args(), Vec::new()).exit_code()
}
