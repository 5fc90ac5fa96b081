//! The handler slot: which handler is installed, and who may clear it.
//!
//! # Roles
//! *Installers* (any number, any time) put a handler in and get its [`Generation`]. *Owners*
//! dispose of their own generation, maybe late, maybe twice. The *driver* loads. Stop closes.
//!
//! # States
//! ```text
//!             install                    install
//!   Vacant g ─────────▶ Occupied g+1 ─────────────▶ Occupied g+2
//!                         │   ▲                        │
//!            dispose(g+1) ▼   │ install                │ close
//!                       Vacant g+1 ────────────────▶ Closed g
//!                                      close
//! ```
//! One entry stands in the slot at all times; it is immutable, and holds its generation and
//! maybe a handler in one allocation. Every edge is one compare-and-swap of the *pointer*, from
//! the entry that was examined to a new one: an edge either acts on just what it saw, or tries
//! again. A load followed by a store is the defect this project exists for: between the two,
//! another install takes effect, and the store clears it.
//!
//! # Permission
//! 1. Only `install` makes a generation, one more than that of the entry it replaces. So
//!    generations grow in the order in which installs took effect (P2).
//! 2. `dispose(g)` vacates only an entry of generation `g` (P1).
//! 3. Nothing leaves `Closed`.
//!
//! # Synchronisation
//! A load acquires what the installer of the entry it returns did before (arc-swap). A load may
//! be stale; a compare-and-swap is not. The slot orders nothing between itself and other words: who
//! pairs it with one (the hub's deadline and bell) publishes after the edge, by a read-modify-write.
//!
//! # Addresses are not reused under us
//! Comparison is by address. The guard of the load is held until the compare-and-swap is done,
//! so the entry that was examined is alive and its address is its own.
//!
//! # Foreign code
//! A replaced entry is handed back by the edge that replaced it, so that its caller publishes first
//! and drops last: the handler's `Drop` may block, panic, or call anything here.

use crate::Generation;
use crate::sync::{Arc, ArcSwap, Guard};
use core::fmt;

/// A handler that can be replaced at any time and is cleared by its owner alone (P1, P2).
///
/// The module's source has the states, the permissions and the orderings.
///
/// # Progress
/// All operations are lock-free. `install` and `dispose` allocate; `load` does not.
pub struct HandlerSlot<H>(ArcSwap<Entry<H>>);

/// What stands in a slot: a generation, and maybe its handler. Immutable.
pub struct Entry<H> {
    generation: Generation,
    content: Content<H>,
}

enum Content<H> {
    Vacant,
    Occupied(H),
    Closed,
}

impl<H> Entry<H> {
    /// The generation of the handler here, or of the last one that was.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The handler, if one is installed.
    pub fn handler(&self) -> Option<&H> {
        match &self.content {
            Content::Occupied(handler) => Some(handler),
            Content::Vacant | Content::Closed => None,
        }
    }

    /// Whether the slot was closed: nothing can be installed any more.
    pub fn is_closed(&self) -> bool {
        matches!(self.content, Content::Closed)
    }
}

/// What stood in a slot until an edge replaced it; maybe its last reference.
pub type Replaced<H> = Arc<Entry<H>>;

/// The slot was closed; the handler that was to be installed is handed back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Closed<H>(pub H);

/// What a dispose did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposal {
    /// This generation was current; its handler is gone from the slot.
    Removed,
    /// A newer generation is in the slot. Nothing was changed: the stale dispose of P1.
    Superseded,
    /// This generation was current, and its handler was gone already.
    AlreadyDisposed,
}

impl<H> HandlerSlot<H> {
    /// A slot without a handler, at [`Generation::NONE`].
    pub fn vacant() -> Self {
        Self(ArcSwap::from_pointee(Entry {
            generation: Generation::NONE,
            content: Content::Vacant,
        }))
    }

    /// Puts `handler` in, whatever was there; returns its generation, and what it replaced, for
    /// the caller to drop when it has published the change.
    ///
    /// # Errors
    /// [`Closed`] with the handler, if the slot was closed.
    pub fn install(&self, handler: H) -> Result<(Generation, Replaced<H>), Closed<H>> {
        let mut new =
            Arc::new(Entry { generation: Generation::NONE, content: Content::Occupied(handler) });
        let mut seen = self.0.load();
        loop {
            // Until it is in the slot, the entry is ours alone and can be changed.
            let Some(entry) = Arc::get_mut(&mut new) else {
                unreachable!("an entry that was never in the slot has one owner");
            };
            if seen.is_closed() {
                let Some(handler) = entry.take_handler() else {
                    unreachable!("the handler was put in above and is taken out once");
                };
                return Err(Closed(handler));
            }
            let generation = seen.generation.next();
            entry.generation = generation;
            let found = self.0.compare_and_swap(&*seen, Arc::clone(&new));
            if Arc::ptr_eq(&found, &seen) {
                return Ok((generation, Guard::into_inner(found)));
            }
            seen = found;
        }
    }

    /// Removes the handler of `generation`, if that is still the current one (P1).
    ///
    /// Idempotent. A stale dispose changes nothing, in every interleaving. What was removed is
    /// for the caller to drop when it has published the change.
    pub fn dispose(&self, generation: Generation) -> (Disposal, Option<Replaced<H>>) {
        let mut seen = self.0.load();
        loop {
            if seen.generation != generation {
                return (Disposal::Superseded, None);
            }
            if seen.handler().is_none() {
                return (Disposal::AlreadyDisposed, None);
            }
            let vacant = Arc::new(Entry { generation, content: Content::Vacant });
            let found = self.0.compare_and_swap(&*seen, vacant);
            if Arc::ptr_eq(&found, &seen) {
                return (Disposal::Removed, Some(Guard::into_inner(found)));
            }
            seen = found;
        }
    }

    /// Removes whatever handler is there and refuses all later installs. Idempotent. What was
    /// removed is for the caller to drop.
    pub fn close(&self) -> Option<Replaced<H>> {
        let mut seen = self.0.load();
        while !seen.is_closed() {
            let closed = Arc::new(Entry { generation: seen.generation, content: Content::Closed });
            let found = self.0.compare_and_swap(&*seen, closed);
            if Arc::ptr_eq(&found, &seen) {
                return Some(Guard::into_inner(found));
            }
            seen = found;
        }
        None
    }

    /// What is in the slot now, borrowed. Not for holding long: many guards held at once make
    /// loads slower.
    pub fn load(&self) -> Guard<Arc<Entry<H>>> {
        self.0.load()
    }

    /// What is in the slot now, owned: a run keeps its handler through a replacement.
    pub fn load_full(&self) -> Arc<Entry<H>> {
        self.0.load_full()
    }
}

impl<H> Entry<H> {
    fn take_handler(&mut self) -> Option<H> {
        match core::mem::replace(&mut self.content, Content::Vacant) {
            Content::Occupied(handler) => Some(handler),
            Content::Vacant | Content::Closed => None,
        }
    }
}

impl<H> Default for HandlerSlot<H> {
    fn default() -> Self {
        Self::vacant()
    }
}

impl<H> fmt::Debug for HandlerSlot<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HandlerSlot").field(&**self.load()).finish()
    }
}

impl<H> fmt::Debug for Entry<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = match self.content {
            Content::Vacant => "vacant",
            Content::Occupied(_) => "occupied",
            Content::Closed => "closed",
        };
        write!(f, "{content} {:?}", self.generation)
    }
}

impl<H> fmt::Debug for Closed<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closed(..)")
    }
}

impl<H> fmt::Display for Closed<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the handler slot is closed: nothing can be installed any more")
    }
}

impl<H> core::error::Error for Closed<H> {}

#[cfg(test)]
mod tests {
    use super::*;

    /// P1: a generation that was superseded clears nothing.
    #[test]
    fn a_stale_dispose_is_a_no_op() {
        let slot = HandlerSlot::vacant();
        let a = slot.install('a').unwrap().0;
        let b = slot.install('b').unwrap().0;
        assert_eq!(slot.dispose(a).0, Disposal::Superseded);
        assert_eq!(slot.load().handler(), Some(&'b'));
        assert_eq!(slot.dispose(b).0, Disposal::Removed);
        assert_eq!(slot.dispose(b).0, Disposal::AlreadyDisposed);
        assert_eq!(slot.dispose(a).0, Disposal::Superseded);
        assert_eq!(slot.load().handler(), None);
    }

    /// P2: generations grow, through vacancies too.
    #[test]
    fn generations_grow_through_vacancies() {
        let slot = HandlerSlot::vacant();
        assert_eq!(slot.load().generation(), Generation::NONE);
        let (a, _) = slot.install(()).unwrap();
        slot.dispose(a);
        assert_eq!(slot.load().generation(), a);
        assert!(slot.install(()).unwrap().0 > a);
    }

    /// P13: after a close nothing is installed, and the handler is handed back.
    #[test]
    fn a_closed_slot_hands_the_handler_back() {
        let slot = HandlerSlot::vacant();
        let (a, _) = slot.install("a".to_string()).unwrap();
        assert!(slot.close().is_some());
        assert!(slot.close().is_none());
        assert_eq!(slot.install("b".to_string()).unwrap_err().0, "b");
        assert_eq!(slot.dispose(a).0, Disposal::AlreadyDisposed);
        assert!(slot.load().is_closed());
        assert_eq!(format!("{slot:?}"), "HandlerSlot(closed g1)");
    }

    /// P1 and P2 under real threads: every install gets its own generation, and the last one
    /// stays, whatever stale disposers do beside it.
    #[test]
    fn concurrent_installs_and_stale_disposes() {
        const ROUNDS: u64 = 2_000;
        let slot = HandlerSlot::vacant();
        let mine: Vec<Generation> = std::thread::scope(|scope| {
            let installers: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        let mut before = Generation::NONE;
                        let mut all = Vec::new();
                        for _ in 0..ROUNDS {
                            let (generation, _) = slot.install(()).unwrap();
                            assert!(generation > before);
                            slot.dispose(before);
                            before = generation;
                            all.push(generation);
                        }
                        all
                    })
                })
                .collect();
            installers.into_iter().flat_map(|i| i.join().unwrap()).collect()
        });
        let last = *mine.iter().max().unwrap();
        assert_eq!(last.get(), 3 * ROUNDS);
        let distinct: std::collections::HashSet<_> = mine.into_iter().collect();
        assert_eq!(distinct.len() as u64, 3 * ROUNDS);
        assert_eq!(slot.load().generation(), last);
        assert!(slot.load().handler().is_some());
    }
}
