//! The hub under shuttle: threads frozen for ever at each of their steps, random threads of
//! operations, and a second opinion on two protocols of the core.
//!
//! `RUSTFLAGS="--cfg reveille_shuttle" cargo test -p reveille-verification --release
//! --test shuttle` runs this. Shuttle is sequentially consistent: what a weak ordering does, the models show.

#![allow(unreachable_pub)] // a program: nobody is outside
#![cfg_attr(not(reveille_shuttle), allow(unused))]

use libtest_mimic::Arguments;
use std::process::ExitCode;

#[cfg(reveille_shuttle)]
#[path = "../src/lab/result.rs"]
mod result;

#[cfg(reveille_shuttle)]
mod arena;
#[cfg(reveille_shuttle)]
mod check;
#[cfg(reveille_shuttle)]
mod driver;
#[cfg(reveille_shuttle)]
mod exhaustive;
#[cfg(reveille_shuttle)]
mod freeze;
#[cfg(reveille_shuttle)]
mod generated;
#[cfg(reveille_shuttle)]
mod law;
#[cfg(reveille_shuttle)]
mod operations;
#[cfg(reveille_shuttle)]
mod writes;

#[cfg(reveille_shuttle)]
fn main() -> ExitCode {
    let mut checks = freeze::checks();
    checks.extend(exhaustive::checks());
    checks.extend(generated::checks());
    checks.extend(writes::checks());
    let trials = checks.into_iter().map(|check| {
        libtest_mimic::Trial::test(check.name, move || check.run().map_err(Into::into))
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

#[cfg(not(reveille_shuttle))]
fn main() -> ExitCode {
    if !std::env::args().any(|argument| argument == "--list") {
        eprintln!("nothing: built without `--cfg reveille_shuttle`; try `cargo verify shuttle`");
    }
    libtest_mimic::run(&Arguments::from_args(), Vec::new()).exit_code()
}
