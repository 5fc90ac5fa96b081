//! The only place that names an atomic or an `ArcSwap`.
//!
//! Everything else reaches them through this module, so that a model checker can stand behind
//! the same names. Which one is chosen by private cfgs, never by the bare `loom`, which other
//! crates read too:
//!
//! | cfg | behind the names |
//! | --- | --- |
//! | none | std's atomics and arc-swap: what users get |
//! | `reveille_loom` | loom: every interleaving, and stale reads where C11 allows them |
//! | `reveille_shuttle` | shuttle: random or chosen schedules, sequentially consistent |
//!
//! Only what is used is exported. Not part of the public interface.

pub use crossbeam_utils::CachePadded;
pub use std::sync::Arc;
pub use std::sync::atomic::Ordering;

#[cfg(not(any(reveille_loom, reveille_shuttle)))]
mod real {
    pub use arc_swap::{ArcSwap, ArcSwapOption, Guard};
    pub use std::sync::atomic::{AtomicU64, fence};

    /// Bits in a word of the ready set.
    pub const WIDTH: usize = 64;
}

#[cfg(not(any(reveille_loom, reveille_shuttle)))]
pub use real::*;

#[cfg(any(reveille_loom, reveille_shuttle))]
mod model;
#[cfg(any(reveille_loom, reveille_shuttle))]
pub mod sweep;
#[cfg(any(reveille_loom, reveille_shuttle))]
pub mod trace;
#[cfg(any(reveille_loom, reveille_shuttle))]
pub mod twin;

#[cfg(any(reveille_loom, reveille_shuttle))]
pub use {
    model::{AtomicU64, WIDTH, fence},
    twin::{ArcSwap, ArcSwapOption, Guard},
};

/// A word that orders nothing and decides nothing: a counter, or a figure for a snapshot.
///
/// The same under a model, where it would cost interleavings: what it says is not modelled.
pub use std::sync::atomic::AtomicU64 as PlainU64;
