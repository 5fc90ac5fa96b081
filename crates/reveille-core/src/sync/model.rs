//! Atomics that a checker sees: a thin shell around the backend's.
//!
//! The shell knows where it is called from. So an execution can be drawn ([`trace`]), and an
//! ordering weakened at one place ([`sweep`]), without a trace of either in the callers.

use super::{sweep, trace};
#[cfg(reveille_loom)]
use loom::sync::atomic as backend;
#[cfg(all(reveille_shuttle, not(reveille_loom)))]
use shuttle::sync::atomic as backend;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::Ordering;

/// Bits in a word of the ready set: two, so that a model of few targets has several levels.
pub const WIDTH: usize = 2;

/// An atomic word.
pub struct AtomicU64 {
    word: backend::AtomicU64,
    object: trace::Object,
}

impl AtomicU64 {
    /// A word with `value`.
    #[track_caller]
    pub fn new(value: u64) -> Self {
        Self {
            word: backend::AtomicU64::new(value),
            object: trace::Object::new(Location::caller(), value),
        }
    }

    /// The same, called `name` in drawings: for the words of a model's own.
    #[must_use]
    pub fn named(mut self, name: &'static str) -> Self {
        self.object.name = Some(name);
        self
    }

    /// See std.
    #[track_caller]
    pub fn load(&self, order: Ordering) -> u64 {
        let site = Location::caller();
        let order = sweep::order(site, sweep::Role::Load, order);
        let value = self.word.load(order);
        self.object.read(site, "load", value, order);
        value
    }

    /// See std.
    #[track_caller]
    pub fn store(&self, value: u64, order: Ordering) {
        let site = Location::caller();
        let order = sweep::order(site, sweep::Role::Store, order);
        self.word.store(value, order);
        self.object.wrote(site, "store", None, value, order);
    }

    /// See std.
    #[track_caller]
    pub fn swap(&self, value: u64, order: Ordering) -> u64 {
        self.update("swap", order, |word, order| word.swap(value, order), |_| value)
    }

    /// See std.
    #[track_caller]
    pub fn fetch_add(&self, by: u64, order: Ordering) -> u64 {
        self.update("fetch_add", order, |w, order| w.fetch_add(by, order), |v| v.wrapping_add(by))
    }

    /// See std.
    #[track_caller]
    pub fn fetch_sub(&self, by: u64, order: Ordering) -> u64 {
        self.update("fetch_sub", order, |w, order| w.fetch_sub(by, order), |v| v.wrapping_sub(by))
    }

    /// See std.
    #[track_caller]
    pub fn fetch_or(&self, bits: u64, order: Ordering) -> u64 {
        self.update("fetch_or", order, |word, order| word.fetch_or(bits, order), |v| v | bits)
    }

    /// See std.
    #[track_caller]
    pub fn fetch_and(&self, bits: u64, order: Ordering) -> u64 {
        self.update("fetch_and", order, |word, order| word.fetch_and(bits, order), |v| v & bits)
    }

    /// See std.
    #[track_caller]
    pub fn fetch_min(&self, value: u64, order: Ordering) -> u64 {
        self.update("fetch_min", order, |w, order| w.fetch_min(value, order), |v| v.min(value))
    }

    /// See std.
    #[track_caller]
    pub fn fetch_max(&self, value: u64, order: Ordering) -> u64 {
        self.update("fetch_max", order, |w, order| w.fetch_max(value, order), |v| v.max(value))
    }

    #[track_caller]
    fn update(
        &self,
        name: &'static str,
        order: Ordering,
        change: impl FnOnce(&backend::AtomicU64, Ordering) -> u64,
        after: impl FnOnce(u64) -> u64,
    ) -> u64 {
        let site = Location::caller();
        let order = sweep::order(site, sweep::Role::Success, order);
        let before = change(&self.word, order);
        self.object.wrote(site, name, Some(before), after(before), order);
        before
    }

    /// See std.
    ///
    /// # Errors
    /// The value found, if it was not `current`.
    #[track_caller]
    pub fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        let site = Location::caller();
        let success = sweep::order(site, sweep::Role::Success, success);
        let failure = sweep::order(site, sweep::Role::Failure, failure);
        let result = self.word.compare_exchange(current, new, success, failure);
        match result {
            Ok(found) => self.object.wrote(site, "cas", Some(found), new, success),
            Err(found) => self.object.read(site, "failed cas", found, failure),
        }
        result
    }

    /// See std. Never fails without a reason here: that would only be tried again.
    ///
    /// # Errors
    /// The value found, if it was not `current`.
    #[track_caller]
    pub fn compare_exchange_weak(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.compare_exchange(current, new, success, failure)
    }

    /// See std.
    ///
    /// # Errors
    /// The value for which `next` said `None`.
    #[track_caller]
    pub fn fetch_update(
        &self,
        success: Ordering,
        failure: Ordering,
        mut next: impl FnMut(u64) -> Option<u64>,
    ) -> Result<u64, u64> {
        let site = Location::caller();
        let success = sweep::order(site, sweep::Role::Success, success);
        let failure = sweep::order(site, sweep::Role::Failure, failure);
        let mut seen = self.word.load(failure);
        self.object.read(site, "load", seen, failure);
        while let Some(new) = next(seen) {
            match self.word.compare_exchange(seen, new, success, failure) {
                Ok(found) => {
                    self.object.wrote(site, "cas", Some(found), new, success);
                    return Ok(found);
                }
                Err(found) => {
                    self.object.read(site, "failed cas", found, failure);
                    seen = found;
                }
            }
        }
        Err(seen)
    }
}

impl Default for AtomicU64 {
    #[track_caller]
    fn default() -> Self {
        Self::new(0)
    }
}

impl fmt::Debug for AtomicU64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not a load: printing must not be a step of the model.
        f.debug_tuple("AtomicU64").field(&self.object.newest()).finish()
    }
}

/// See std.
#[track_caller]
pub fn fence(order: Ordering) {
    let site = Location::caller();
    let Some(order) = sweep::fence(site, order) else { return };
    backend::fence(order);
    trace::fence(site, order);
}
