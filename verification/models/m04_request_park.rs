//! M4: request ∥ take-then-park, the lost kick.

use crate::model::{Extent, Model};
use crate::parts::{Parts, request, take};
use crate::support::{join, spawn};
use reveille_core::Tick;
use std::sync::Arc;

/// When the driver would wake by itself.
const OWN: Tick = Tick::from_micros(10);

/// A request for now meets a driver that has nothing to do and sleeps for good.
fn request_for_now_is_served(parts: &Arc<Parts>) {
    let requester = spawn("requester", {
        let parts = Arc::clone(parts);
        move || parts.wake(request(0, 1))
    });
    // A request that rings nobody leaves this loop asleep for ever.
    while !(parts.turn() && take(&parts.word).is_ok()) {
        parts.sleep(Tick::NEVER, Tick::NOW);
    }
    join(requester);
    assert!(!parts.word.load().has_wake(), "P7: served, and it waits again");
}

pub const MODELS: &[Model] = &[
    // The driver has nothing to do and sleeps for good; a request for now comes.
    // Seen to fail on: a slot that is confirmed by a load, or before the driver says that it sleeps; a
    // request that acquires nothing.
    Model {
        name: "m04-request-meets-park",
        promises: &["P3", "P5"],
        law: "A request that comes between the driver's take and its sleep is served.",
        threads: 2,
        extent: Extent::All,
        body: || request_for_now_is_served(&Parts::new()),
    },
    // The same, and somebody has asked for an instant as early, which the driver is taking.
    // Seen to fail on: a summary that is set and acquires nothing; a drain that releases nothing.
    Model {
        name: "m04-request-finds-an-instant-asked",
        promises: &["P3", "P5"],
        law: "A request that leaves the slot as it is, since it is asked for already, is served.",
        threads: 2,
        extent: Extent::All,
        body: || {
            let parts = Parts::new();
            parts.deadline.request(Tick::NOW);
            request_for_now_is_served(&parts);
        },
    },
    // The driver would wake at 10; a request for 5 comes. The clock goes no further than 5.
    // Seen to fail on: the same as the first; a request that rings only a driver
    // without any deadline; a deadline slot where the latest wins.
    Model {
        name: "m04-earlier-request-meets-park",
        promises: &["P5"],
        law: "A driver that sleeps until 10 does not oversleep a request for 5.",
        threads: 2,
        extent: Extent::All,
        body: || {
            let parts = Parts::new();
            let due = Tick::from_micros(5);
            let requester = spawn("requester", {
                let parts = Arc::clone(&parts);
                move || parts.wake(request(due.as_micros(), 1))
            });
            let mut armed = OWN;
            while armed > due {
                if parts.turn() {
                    let word = parts.word.load();
                    assert_eq!(word.due(), due, "P3: a bit without its news");
                    if parts.word.settle(word, due).is_ok() {
                        armed = due;
                        continue;
                    }
                }
                parts.sleep(armed, due);
            }
            join(requester);
            assert!(parts.word.load().is_seen(), "P5: what is armed is seen");
        },
    },
];
