//! M15: two producers ∥ sleeping driver, one frozen before its ring.

use crate::model::{Extent, Model};
use crate::parts::{Parts, request, take};
use crate::support::{join, spawn};
use reveille_core::Tick;
use std::sync::Arc;

pub const MODELS: &[Model] = &[
    // Both ask one target for now. The first does all but ring, for ever; the driver has nothing
    // else to wake it.
    // Seen to fail on: a slot that is confirmed by a load, or before the driver says that it sleeps; a ring by
    // whether the slot was lowered.
    Model {
        name: "m15-one-frozen-before-its-ring",
        promises: &["P16", "P3", "P5"],
        law: "A wake that has returned is served, although another one for the same instant \
              never rings.",
        threads: 3,
        extent: Extent::Preemptions(3),
        body: || {
            let parts = Parts::flat();
            let frozen = spawn("frozen producer", {
                let parts = Arc::clone(&parts);
                move || parts.wake_but_stall(request(0, 1))
            });
            let producer = spawn("producer", {
                let parts = Arc::clone(&parts);
                move || parts.wake(request(0, 2))
            });
            // A driver that nobody rings stays asleep for ever.
            let mut served = 0;
            while served & 2 == 0 {
                if parts.turn() {
                    while let Ok(taken) = take(&parts.word) {
                        served |= taken.reasons;
                        parts.word.end(None);
                    }
                }
                if served & 2 == 0 {
                    parts.sleep(Tick::NEVER, Tick::NOW);
                }
            }
            join(frozen);
            join(producer);
        },
    },
];
