use crate::Generation;
use crate::slot::{Closed, Disposal, HandlerSlot, Replaced};
use crate::sync::{Arc, Ordering, PlainU64};
use core::fmt;

/// Whatever keeps a [`HandlerSlot`] and wants to know when it changed.
///
/// A bare slot is its own owner; a hub wakes its driver in [`published`](Self::published).
pub trait Owner {
    /// What is installed.
    type Handler;

    /// The slot.
    fn slot(&self) -> &HandlerSlot<Self::Handler>;

    /// Called once after each install and each dispose, with what it did and what it replaced.
    ///
    /// Publishes the change first and drops what was replaced last: the `Drop` of a handler may
    /// block or panic.
    fn published(&self, change: Change, replaced: Option<Replaced<Self::Handler>>) {
        let _ = (change, replaced);
    }
}

/// What a [`Registration`] did to its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A handler was installed.
    Installed(Generation),
    /// A registration was disposed.
    Disposed(Disposal),
}

impl<H> Owner for HandlerSlot<H> {
    type Handler = H;

    fn slot(&self) -> &HandlerSlot<H> {
        self
    }
}

/// Ownership of an installed handler: dropping it removes the handler, if it is still current.
///
/// A registration clears the slot only while its own generation is current (P1); late, repeated
/// and concurrent disposals are harmless. To keep the handler in without a guard, say so with
/// [`keep`](Self::keep).
///
/// ```
/// use std::sync::Arc;
/// use reveille_core::{HandlerSlot, Registration};
///
/// let slot = Arc::new(HandlerSlot::vacant());
/// {
///     let _registration = Registration::install(&slot, 1).unwrap();
///     assert!(slot.load().handler().is_some());
/// }
/// assert!(slot.load().handler().is_none());
///
/// Registration::install(&slot, 2).unwrap().keep();
/// assert!(slot.load().handler().is_some());
/// ```
///
/// # Progress
/// Lock-free; disposing allocates the vacant entry.
#[must_use = "dropping a registration removes its handler at once; `keep()` leaves it in"]
pub struct Registration<O: Owner> {
    owner: Arc<O>,
    generation: Generation,
    /// 1 once disposed by hand or kept: the drop has nothing left to do.
    settled: PlainU64,
}

impl<O: Owner> Registration<O> {
    /// Installs `handler` and owns it.
    ///
    /// # Errors
    /// [`Closed`] with the handler, if the slot was closed.
    pub fn install(owner: &Arc<O>, handler: O::Handler) -> Result<Self, Closed<O::Handler>> {
        let (generation, replaced) = owner.slot().install(handler)?;
        let registration = Self { owner: Arc::clone(owner), generation, settled: PlainU64::new(0) };
        owner.published(Change::Installed(generation), Some(replaced));
        Ok(registration)
    }

    /// The generation of this handler.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Whether this handler is the one in the slot. May be outdated as soon as it returns.
    pub fn is_current(&self) -> bool {
        let entry = self.owner.slot().load();
        entry.generation() == self.generation && entry.handler().is_some()
    }

    /// Removes the handler, if this generation is current, and says what it found.
    ///
    /// Idempotent, and callable from anywhere, the handler's own run included.
    pub fn dispose(&self) -> Disposal {
        // Relaxed: read by the drop alone, which has the registration to itself.
        self.settled.store(1, Ordering::Relaxed);
        let (disposal, replaced) = self.owner.slot().dispose(self.generation);
        self.owner.published(Change::Disposed(disposal), replaced);
        disposal
    }

    /// Leaves the handler in without a guard, and returns its generation.
    ///
    /// It stays until another is installed or the slot is closed.
    pub fn keep(self) -> Generation {
        self.settled.store(1, Ordering::Relaxed);
        self.generation
    }
}

impl<O: Owner> Drop for Registration<O> {
    fn drop(&mut self) {
        if self.settled.load(Ordering::Relaxed) == 0 {
            self.dispose();
        }
    }
}

impl<O: Owner> fmt::Debug for Registration<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("generation", &self.generation)
            .field("is_current", &self.is_current())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P1: dispose by drop, by hand, twice, and too late.
    #[test]
    fn every_way_to_dispose() {
        let slot = Arc::new(HandlerSlot::vacant());
        let a = Registration::install(&slot, 'a').unwrap();
        assert!(a.is_current());
        assert_eq!(a.dispose(), Disposal::Removed);
        assert_eq!(a.dispose(), Disposal::AlreadyDisposed);
        let b = Registration::install(&slot, 'b').unwrap();
        assert_eq!(a.dispose(), Disposal::Superseded);
        drop(a);
        assert!(b.is_current());
        drop(b);
        assert_eq!(slot.load().handler(), None);
    }

    /// P1, P2: a registration knows its generation, and whether that is the one installed.
    #[test]
    fn a_registration_knows_whose_handler_is_in() {
        let slot = Arc::new(HandlerSlot::vacant());
        let a = Registration::install(&slot, 'a').unwrap();
        let b = Registration::install(&slot, 'b').unwrap();
        assert_eq!(a.generation().next(), b.generation());
        assert!(!a.is_current() && b.is_current());
        assert_eq!(b.dispose(), Disposal::Removed);
        assert!(!b.is_current(), "its generation is the slot's still, and its handler is gone");
        let c = Registration::install(&slot, 'c').unwrap();
        let generation = c.generation();
        assert_eq!(c.keep(), generation);
        assert_eq!(slot.load().handler(), Some(&'c'));
    }

    /// P18: the owner is told of each change, with what it replaced.
    #[test]
    fn an_owner_is_told_of_each_change() {
        #[derive(Default)]
        struct Told {
            slot: HandlerSlot<char>,
            changes: std::sync::Mutex<Vec<(Change, Option<char>)>>,
        }
        impl Owner for Told {
            type Handler = char;
            fn slot(&self) -> &HandlerSlot<char> {
                &self.slot
            }
            fn published(&self, change: Change, replaced: Option<Replaced<char>>) {
                let handler = replaced.and_then(|replaced| replaced.handler().copied());
                self.changes.lock().unwrap().push((change, handler));
            }
        }
        let told = Arc::new(Told::default());
        let a = Registration::install(&told, 'a').unwrap();
        let b = Registration::install(&told, 'b').unwrap();
        a.dispose();
        let (first, second) = (a.generation(), b.generation());
        drop((a, b));
        let changes = told.changes.lock().unwrap();
        assert_eq!(
            *changes,
            [
                (Change::Installed(first), None),
                (Change::Installed(second), Some('a')),
                (Change::Disposed(Disposal::Superseded), None),
                (Change::Disposed(Disposal::Removed), Some('b')),
            ]
        );
    }

    #[test]
    fn a_registration_can_be_sent_and_shared() {
        fn sendable<T: Send + Sync + 'static>() {}
        sendable::<Registration<HandlerSlot<Box<dyn Fn() + Send + Sync>>>>();
    }
}
