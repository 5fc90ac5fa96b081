//! The only place that names an atomic or an `ArcSwap`.
//!
//! Everything else reaches them through this module, so that a model checker can stand behind
//! the same names under the private cfg `reveille_loom` (never the bare `loom`, which other
//! crates read too), and so that a file can be compiled beside another facade by `#[path]`.
//! Only what is used is exported. Not part of the public interface.

pub use arc_swap::{ArcSwap, ArcSwapOption, Guard};
pub use crossbeam_utils::CachePadded;
pub use std::sync::Arc;
pub use std::sync::atomic::{AtomicU64, Ordering, fence};
