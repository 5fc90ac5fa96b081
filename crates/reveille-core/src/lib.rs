//! The lock-free parts of [Reveille], a wake-and-heartbeat scheduler that cannot die silently.
//!
//! Start with [`HandlerSlot`]: a hot-swappable handler with ownership. It is useful alone:
//!
//! ```
//! use std::sync::Arc;
//! use reveille_core::{Disposal, HandlerSlot, Registration};
//!
//! let slot = Arc::new(HandlerSlot::vacant());
//! let old = Registration::install(&slot, "old handler").unwrap();
//! let new = Registration::install(&slot, "new handler").unwrap();
//!
//! // The stale owner's clean-up arrives late, and clears nothing (promise P1).
//! assert_eq!(old.dispose(), Disposal::Superseded);
//! assert_eq!(slot.load().handler(), Some(&"new handler"));
//! assert!(new.generation() > old.generation());
//! ```
//!
//! | part | what it is | promises |
//! | --- | --- | --- |
//! | [`HandlerSlot`], [`Registration`] | one handler, replaceable at any time, disposed by its owner alone | P1, P2 |
//! | [`pending`] | one word a target: the merged wake that waits | P3, P4, P5, P6 |
//! | [`completion`] | one word a target: how its run ended | P6, P7, P10 |
//! | [`ReadySet`] | which targets have news | P3, P15 |
//! | [`DeadlineSlot`] | the earliest instant anybody asked for | P5 |
//! | [`Bell`] | whether a sleeping driver must be woken | P5, P16 |
//! | [`gate`] | whether a run may still start | P13 |
//!
//! The parts do not know each other; the crate `reveille` composes them. Promises are numbered
//! in that crate's documentation. Every operation here is lock-free unless it says otherwise,
//! and none allocates unless it says so.
//!
//! [Reveille]: https://docs.rs/reveille
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(target_has_atomic = "64"))]
compile_error!(
    "reveille-core needs 64-bit atomics (target_has_atomic = \"64\"), which this target does not have"
);

mod bell;
pub mod completion;
mod deadline;
pub mod gate;
mod generation;
pub mod pending;
mod ready;
mod registration;
mod slot;
#[doc(hidden)]
pub mod sync;
mod tick;
mod urgency;

pub use bell::Bell;
pub use deadline::{Asked, DeadlineSlot};
pub use generation::Generation;
pub use ready::{Marked, ReadySet};
pub use registration::{Change, Owner, Registration};
pub use slot::{Closed, Disposal, Entry, HandlerSlot, Replaced};
pub use tick::Tick;
pub use urgency::Urgency;
