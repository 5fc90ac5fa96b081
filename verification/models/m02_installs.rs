//! M2: install ∥ install ∥ request.

use crate::model::{Extent, Model};
use crate::support::{join, spawn};
use reveille_core::sync::{AtomicU64, Ordering};
use reveille_core::{Generation, HandlerSlot};
use std::sync::Arc;

struct Hub {
    slot: HandlerSlot<u64>,
    /// Installs that took effect, as a hub counts them.
    installs: AtomicU64,
}

impl Hub {
    fn vacant() -> Arc<Self> {
        Arc::new(Self { slot: HandlerSlot::vacant(), installs: AtomicU64::new(0) })
    }

    /// Installs `name`; its generation, and that and the name of what it replaced.
    fn install(&self, name: u64) -> (Generation, Generation, Option<u64>) {
        let Ok((generation, replaced)) = self.slot.install(name) else {
            panic!("nobody closes the slot")
        };
        self.installs.fetch_add(1, Ordering::AcqRel);
        (generation, replaced.generation(), replaced.handler().copied())
    }
}

/// Two installers; what must hold of them in the end.
fn two_install(hub: &Arc<Hub>) {
    let other = spawn("installer", {
        let hub = Arc::clone(hub);
        move || hub.install(2)
    });
    let mine = hub.install(1);
    let others = join(other);
    let (early, late, first, last) =
        if mine.0 < others.0 { (mine, others, 1, 2) } else { (others, mine, 2, 1) };
    assert_eq!((early.0.get(), late.0.get()), (1, 2), "P2: one generation an install");
    assert_eq!((early.1.get(), early.2), (0, None), "P2: the first replaced nothing");
    assert_eq!((late.1, late.2), (early.0, Some(first)), "P2: the last replaced the first");
    let entry = hub.slot.load();
    assert_eq!(entry.generation(), late.0);
    assert_eq!(entry.handler(), Some(&last), "P1: the last install stays");
}

pub const MODELS: &[Model] = &[
    // Seen to fail on: an install that examines, then stores; a generation that is not renewed
    // when the install is tried again.
    Model {
        name: "m02-install-meets-install",
        promises: &["P2", "P1"],
        law: "Each install has a generation of its own, one more than what it replaced, and the \
              last one stays.",
        threads: 2,
        extent: Extent::All,
        body: || two_install(&Hub::vacant()),
    },
    // Whoever loads may be stale; whoever has seen an install counted is not.
    // Seen to fail on: the same.
    Model {
        name: "m02-install-install-request",
        promises: &["P2", "P1"],
        law: "Whoever knows of an install finds it in the slot, or a later one.",
        threads: 3,
        extent: Extent::All,
        body: || {
            let hub = Hub::vacant();
            let requester = spawn("requester", {
                let hub = Arc::clone(&hub);
                move || {
                    let known = hub.installs.load(Ordering::Acquire);
                    let found = hub.slot.load().generation().get();
                    assert!(found >= known, "P2: {known} installs, and the slot at {found}");
                }
            });
            two_install(&hub);
            join(requester);
        },
    },
];
