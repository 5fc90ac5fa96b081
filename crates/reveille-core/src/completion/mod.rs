//! The completion word: how the run of one target ended, in 64 bits.
//!
//! # What it is
//! The way back from a worker to the driver, without a queue, a lock or an allocation: the
//! worker writes how its run ended into the target's own word and publishes like a wake.
//! [`Word`] is the pure word, [`Completion`] the atomic cell.
//!
//! # Roles
//! The *driver* starts runs and collects their endings. The *holder* of a run (a worker) ends
//! it once; a drop guard ends it where the worker never does. The driver itself may end a run
//! that it cancels.
//!
//! # Valid words
//! ```text
//!   63               42 41    38 37      36 35                0
//!   run number (22 bits) class    delay: unit  delay: value
//! ```
//! | class | written by | meaning |
//! | --- | --- | --- |
//! | collected | driver | no run in flight |
//! | running | driver | this run is in flight |
//! | any [`Ending`] | holder | it ended so; the driver owes a look |
//!
//! # Edges
//! | edge | role | from | to | obligation |
//! | --- | --- | --- | --- | --- |
//! | start | driver | collected | {n + 1, running} | hand the run to a holder |
//! | complete | holder | {n, running} | {n, ending} | publish |
//! | complete | holder | anything else | the same | late: counted, and changes nothing |
//! | collect | driver | {n, ending} | {n, collected} | apply the ending |
//!
//! Run numbers are never reset, so a late completion of an older run fails its
//! compare-and-swap. They wrap after four million runs of one target: a completion would have
//! to be late by just that many.
//!
//! # Synchronisation
//! `complete` releases what the run did; `collect` acquires it, and `start` of the next run
//! happens after (so runs of one target happen one after the other, P6).
//!
//! # Cost and progress
//! Each edge is one compare-and-swap; lock-free, nothing allocates.

mod cell;
mod word;

pub use cell::{Completion, Late};
pub use word::{Ending, RunNumber, Word};

#[cfg(test)]
mod tests;
