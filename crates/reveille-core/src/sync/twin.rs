//! A twin of `ArcSwap` that a checker sees: no stronger than what arc-swap documents.
//!
//! The pointer is one atomic word, a number; the values that the numbers stand for are kept
//! beside it, in bookkeeping that is touched only between two steps of the model and orders
//! nothing. A load is one acquiring load and may be as stale as that allows; a swap is one AcqRel
//! read-modify-write; a compare-and-swap is a load, a comparison of addresses and a
//! compare-exchange (AcqRel, failing relaxed), in a loop. No fence, no `SeqCst`: arc-swap
//! promises one somewhere inside, and nothing about other words rests on it.
//!
//! Values live as [`Lives`] says. What the twin does not show: the insides of arc-swap, whose
//! debts and generations are its own to prove.

use super::trace::Object;
#[cfg(reveille_loom)]
use loom::sync::atomic as backend;
#[cfg(all(reveille_shuttle, not(reveille_loom)))]
use shuttle::sync::atomic as backend;
use std::cell::Cell;
use std::fmt;
use std::ops::Deref;
use std::panic::Location;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// See arc-swap.
pub type ArcSwap<T> = Twin<Arc<T>>;
/// See arc-swap.
pub type ArcSwapOption<T> = Twin<Option<Arc<T>>>;

/// How long a twin keeps the values that were replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lives {
    /// Until the twin itself goes. A stale load may return any of them: for orderings.
    Kept,
    /// Until their last owner outside goes. For who drops what, and when; a load that would
    /// return a dead one reads the newest instead.
    Die,
}

thread_local! {
    static LIVES: Cell<Lives> = const { Cell::new(Lives::Kept) };
}

/// How the twins live that this thread makes from here on.
pub fn set_lives(lives: Lives) {
    LIVES.set(lives);
}

/// What can stand in a twin: an `Arc`, or maybe one.
pub trait Value: Clone {
    /// The same without owning it.
    type Weak;
    /// Where it is: what a compare-and-swap compares.
    fn address(&self) -> usize;
    /// Stops owning.
    fn downgrade(&self) -> Self::Weak;
    /// Owns again, if it still lives.
    fn upgrade(weak: &Self::Weak) -> Option<Self>;
}

impl<T> Value for Arc<T> {
    type Weak = Weak<T>;

    fn address(&self) -> usize {
        Self::as_ptr(self).addr()
    }

    fn downgrade(&self) -> Weak<T> {
        Self::downgrade(self)
    }

    fn upgrade(weak: &Weak<T>) -> Option<Self> {
        weak.upgrade()
    }
}

impl<T> Value for Option<Arc<T>> {
    type Weak = Option<Weak<T>>;

    fn address(&self) -> usize {
        self.as_ref().map_or(0, Value::address)
    }

    fn downgrade(&self) -> Option<Weak<T>> {
        self.as_ref().map(Arc::downgrade)
    }

    fn upgrade(weak: &Option<Weak<T>>) -> Option<Self> {
        match weak {
            None => Some(None),
            Some(weak) => weak.upgrade().map(Some),
        }
    }
}

/// What a load returns. Owns the value; arc-swap's borrows it, which nobody can see.
pub struct Guard<V>(V);

impl<V> Guard<V> {
    /// The value, owned.
    pub fn into_inner(guard: Self) -> V {
        guard.0
    }
}

impl<V> Deref for Guard<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.0
    }
}

impl<V: fmt::Debug> fmt::Debug for Guard<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The twin; see the module.
pub struct Twin<V: Value> {
    number: backend::AtomicU64,
    object: Object,
    lives: Lives,
    values: Mutex<Vec<Kept<V>>>,
}

enum Kept<V: Value> {
    /// In the twin, on its way in, or kept for stale loads.
    Owned(V),
    /// Replaced; alive while somebody outside owns it.
    Weak(V::Weak),
    /// Never got in.
    Withdrawn,
}

impl<V: Value> Twin<V> {
    /// A twin with `value`.
    #[track_caller]
    pub fn new(value: V) -> Self {
        Self {
            number: backend::AtomicU64::new(0),
            object: Object::new(Location::caller(), 0),
            lives: LIVES.get(),
            values: Mutex::new(vec![Kept::Owned(value)]),
        }
    }

    fn values(&self) -> MutexGuard<'_, Vec<Kept<V>>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn value(&self, number: u64) -> Option<V> {
        match &self.values()[number as usize] {
            Kept::Owned(value) => Some(value.clone()),
            Kept::Weak(weak) => V::upgrade(weak),
            Kept::Withdrawn => unreachable!("a number that never got in is never read"),
        }
    }

    /// Puts a value beside the twin; its number is to get in, or to be withdrawn.
    fn admit(&self, value: V) -> u64 {
        let mut values = self.values();
        values.push(Kept::Owned(value));
        values.len() as u64 - 1
    }

    /// Takes a value back that did not get in.
    fn withdraw(&self, number: u64) -> Option<V> {
        let kept = std::mem::replace(&mut self.values()[number as usize], Kept::Withdrawn);
        if let Kept::Owned(value) = kept { Some(value) } else { None }
    }

    /// The value that was just replaced.
    fn replaced(&self, number: u64) -> V {
        let place = &mut self.values()[number as usize];
        let Kept::Owned(value) = place else {
            unreachable!("what stands in the twin is owned by it");
        };
        let value = value.clone();
        if self.lives == Lives::Die {
            *place = Kept::Weak(value.downgrade());
        }
        value
    }

    #[track_caller]
    fn read(&self) -> (u64, V) {
        let site = Location::caller();
        let number = self.number.load(Ordering::Acquire);
        self.object.read(site, "slot load", number, Ordering::Acquire);
        match self.value(number) {
            Some(value) => (number, value),
            None => {
                let newest = self.number.fetch_add(0, Ordering::Acquire);
                self.object.read(site, "slot load", newest, Ordering::Acquire);
                match self.value(newest) {
                    Some(value) => (newest, value),
                    None => unreachable!("what stands in the twin is alive"),
                }
            }
        }
    }

    /// See arc-swap.
    #[track_caller]
    pub fn load(&self) -> Guard<V> {
        Guard(self.read().1)
    }

    /// See arc-swap.
    #[track_caller]
    pub fn load_full(&self) -> V {
        self.read().1
    }

    /// See arc-swap.
    #[track_caller]
    pub fn swap(&self, new: V) -> V {
        let new = self.admit(new);
        let old = self.number.swap(new, Ordering::AcqRel);
        self.object.wrote(Location::caller(), "slot swap", Some(old), new, Ordering::AcqRel);
        self.replaced(old)
    }

    /// See arc-swap.
    #[track_caller]
    pub fn store(&self, new: V) {
        drop(self.swap(new));
    }

    /// See arc-swap: puts `new` in if `current` stands there, and returns what stood there.
    #[track_caller]
    pub fn compare_and_swap(&self, current: &V, new: V) -> Guard<V> {
        let site = Location::caller();
        let new = self.admit(new);
        loop {
            let (seen, value) = self.read();
            if value.address() != current.address() {
                drop(self.withdraw(new));
                return Guard(value);
            }
            let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
            match self.number.compare_exchange(seen, new, success, failure) {
                Ok(_) => {
                    self.object.wrote(site, "slot cas", Some(seen), new, success);
                    return Guard(self.replaced(seen));
                }
                Err(found) => self.object.read(site, "slot cas failed", found, failure),
            }
        }
    }
}

impl<T> Twin<Arc<T>> {
    /// See arc-swap.
    #[track_caller]
    pub fn from_pointee(value: T) -> Self {
        Self::new(Arc::new(value))
    }
}

impl<T> Twin<Option<Arc<T>>> {
    /// See arc-swap.
    #[track_caller]
    pub fn empty() -> Self {
        Self::new(None)
    }
}

impl<V: Value> fmt::Debug for Twin<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Twin").field(&self.object.newest()).finish()
    }
}
