//! What this crate shares between threads beyond the core's words: locks and thread-locals.
//!
//! None of them is on the path of a wake, an install, a dispose or a load (P16). Under a model
//! the checker's own stand behind the names, as with `reveille_core::sync`.

#[cfg(not(any(reveille_loom, reveille_shuttle)))]
mod real {
    pub(crate) use std::sync::{
        Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    };
    pub(crate) use std::thread_local;

    /// Parts of the map of targets that are locked apart.
    pub(crate) const SHARDS: usize = 16;
}

#[cfg(reveille_loom)]
mod model {
    pub(crate) use loom::sync::{
        Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    };
    pub(crate) use loom::thread_local;

    pub(crate) const SHARDS: usize = 1;
}

#[cfg(all(reveille_shuttle, not(reveille_loom)))]
mod model {
    pub(crate) use shuttle::sync::{
        Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
    };
    pub(crate) use shuttle::thread_local;

    pub(crate) const SHARDS: usize = 1;
}

#[cfg(any(reveille_loom, reveille_shuttle))]
pub(crate) use model::*;
#[cfg(not(any(reveille_loom, reveille_shuttle)))]
pub(crate) use real::*;
