//! M1: install ∥ stale dispose.

use crate::model::{Extent, Model};
use crate::support::{join, spawn};
use reveille_core::sync::PlainU64;
use reveille_core::sync::twin::{Lives, set_lives};
use reveille_core::{Change, Closed, Disposal, HandlerSlot, Owner, Registration, Replaced};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub const MODELS: &[Model] = &[
    // The dispose of an owner that was replaced meanwhile, or is about to be.
    // Seen to fail on: a dispose that examines, then stores; one that clears newer ones too.
    Model {
        name: "m01-install-stale-dispose",
        promises: &["P1", "P2"],
        law: "A late dispose of the first handler never removes the second.",
        threads: 2,
        extent: Extent::All,
        body: || {
            let slot = Arc::new(HandlerSlot::vacant());
            let (first, _) = opened(slot.install("first"));
            let disposer = spawn("stale disposer", {
                let slot = Arc::clone(&slot);
                move || slot.dispose(first).0
            });
            let (second, _) = opened(slot.install("second"));
            let disposal = join(disposer);
            assert!(second > first, "P2: generations grow");
            assert!(disposal == Disposal::Removed || disposal == Disposal::Superseded);
            assert_eq!(
                slot.load().handler(),
                Some(&"second"),
                "P1: the stale dispose removed the second handler"
            );
        },
    },
    // The same race; values die with their last owner. Each caller keeps what it got back.
    // Seen to fail on: a dispose that examines, then stores; one that clears newer ones too; one
    // that does not hand back what it removed.
    Model {
        name: "m01-install-dispose-drops-once",
        promises: &["P1"],
        law: "A handler that is replaced or disposed of is handed to one caller, and dropped once.",
        threads: 2,
        extent: Extent::All,
        body: || {
            set_lives(Lives::Die);
            let drops = Arc::new(PlainU64::new(0));
            let slot = Arc::new(HandlerSlot::vacant());
            let (first, _) = opened(slot.install(Handler(Arc::clone(&drops))));
            let disposer = spawn("disposer", {
                let slot = Arc::clone(&slot);
                move || slot.dispose(first)
            });
            let (_, by_install) = opened(slot.install(Handler(Arc::default())));
            let (disposal, by_dispose) = join(disposer);
            let has_handler = |entry: &Replaced<Handler>| entry.handler().is_some();
            let installer_got_it = has_handler(&by_install);
            assert_eq!(
                by_dispose.as_ref().is_some_and(has_handler),
                disposal == Disposal::Removed,
                "P1: a dispose hands back what it removed"
            );
            assert_ne!(
                installer_got_it,
                disposal == Disposal::Removed,
                "P1: the first handler goes to one of its two ends"
            );
            assert_eq!(drops.load(Ordering::Relaxed), 0, "dropped in its caller's hand");
            drop((by_install, by_dispose));
            assert_eq!(drops.load(Ordering::Relaxed), 1, "the first handler is dropped once");
        },
    },
    // Owners by guard: the first is dropped while the second is installed, by hand and by drop.
    // Seen to fail on: a dispose that examines, then stores; one that clears newer ones too; a drop
    // that disposes again after a dispose by hand.
    Model {
        name: "m01-registration-drop-meets-install",
        promises: &["P1", "P18"],
        law: "A guard that goes clears its own handler alone, and says once what it found.",
        threads: 2,
        extent: Extent::All,
        body: || {
            let owner = Arc::new(Ledger::default());
            let first = opened(Registration::install(&owner, "first"));
            let dropper = spawn("first's owner", move || drop(first));
            let second = opened(Registration::install(&owner, "second"));
            join(dropper);
            assert!(second.is_current(), "P1: the first guard removed the second handler");
            assert_eq!(owner.disposals(), 1, "P18: one drop says one thing");
            assert_eq!(second.dispose(), Disposal::Removed);
            drop(second);
            assert_eq!(owner.disposals(), 2, "P1: the drop after a dispose disposes of nothing");
        },
    },
    // One registration, shared: two threads dispose of it.
    // Seen to fail on: a dispose that examines, then stores; one that does not hand back what it
    // removed.
    Model {
        name: "m01-dispose-meets-dispose",
        promises: &["P1"],
        law: "Of two disposals of one generation one removes the handler, and gets it back.",
        threads: 2,
        extent: Extent::All,
        body: || {
            let owner = Arc::new(Ledger::default());
            let shared = Arc::new(opened(Registration::install(&owner, "only")));
            let other = spawn("disposer", {
                let shared = Arc::clone(&shared);
                move || shared.dispose()
            });
            let here = shared.dispose();
            let there = join(other);
            let removed = |disposal| u64::from(disposal == Disposal::Removed);
            assert_eq!(removed(here) + removed(there), 1, "P1: {here:?} and {there:?}");
            assert!(owner.slot.load().handler().is_none());
            assert_eq!(owner.handed_back.load(Ordering::Relaxed), 1, "P1: handed back once");
        },
    },
];

fn opened<T, H: fmt::Debug>(installed: Result<T, Closed<H>>) -> T {
    installed.unwrap_or_else(|_| panic!("nobody closes the slot"))
}

/// A handler that counts how often it is dropped.
#[derive(Debug)]
struct Handler(Arc<PlainU64>);

impl Drop for Handler {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A slot whose owner counts what it is told.
#[derive(Default)]
struct Ledger {
    slot: HandlerSlot<&'static str>,
    disposals: PlainU64,
    handed_back: PlainU64,
}

impl Ledger {
    fn disposals(&self) -> u64 {
        self.disposals.load(Ordering::Relaxed)
    }
}

impl Owner for Ledger {
    type Handler = &'static str;

    fn slot(&self) -> &HandlerSlot<&'static str> {
        &self.slot
    }

    fn published(&self, change: Change, replaced: Option<Replaced<&'static str>>) {
        if matches!(change, Change::Disposed(_)) {
            self.disposals.fetch_add(1, Ordering::Relaxed);
        }
        if replaced.is_some_and(|entry| entry.handler().is_some()) {
            self.handed_back.fetch_add(1, Ordering::Relaxed);
        }
    }
}
