//! Seeded faults: what the checks are checked with.
//!
//! A check that never fails proves nothing. So the [`catalogue`] keeps small, plausible faults of
//! the product, and for each the checks that must find it; a fault that any of them lets pass is a
//! failure of this project, and so is one that can no longer be seeded, since its text has changed.
//!
//! Faults are seeded into the copies of a lab, never into the checkout. They stand side by side in
//! one copy, each behind a switch that the environment turns on ([`seed`]): one build serves all.
//! The same build with all switches off must pass every check that it is to fail ([`kill`]), so
//! what a check finds is the fault, and nothing else.
//!
//! Orderings need no copy: the model backend weakens one at run time. The [`sweep`] does so with
//! each, one step; whatever no model notices must stand in a list, with the reason why not.
//! [`mutants`] adds what cargo-mutants makes up.

pub mod catalogue;
pub mod kill;
pub mod mutants;
pub mod seed;
pub mod sites;
pub mod sweep;

#[cfg(test)]
mod tests;
