//! M12: helping. A producer that never takes its next step delays no other's wake.
//!
//! Nobody is frozen by force: the other producer may stand at any of its steps when this one
//! has returned, and what is asserted must hold there and then.

use crate::model::{Extent, Model};
use crate::parts::{Parts, request, take};
use crate::support::{join, spawn};
use reveille_core::sync::{AtomicU64, Ordering};
use reveille_core::{ReadySet, Tick};
use std::sync::Arc;

pub const MODELS: &[Model] = &[
    // The driver sleeps for good. Both ask for now; this producer has done all it does.
    // Seen to fail on: a request that publishes only what it changed.
    Model {
        name: "m12-stalled-producer-equal-request",
        promises: &["P16", "P3"],
        law: "A wake that has returned is found and has rung, wherever an equal one is stalled.",
        threads: 2,
        extent: Extent::All,
        body: || {
            let parts = Parts::flat();
            assert!(parts.doze(Tick::NEVER), "nobody has asked for anything");
            let stalled = spawn("stalled producer", {
                let parts = Arc::clone(&parts);
                move || parts.wake(request(0, 1))
            });
            assert!(parts.wake(request(0, 1)), "P16: the driver sleeps, and was not rung");
            assert_eq!(parts.deadline.peek(), Tick::NOW, "P16: nobody asked the deadline slot");
            assert!(parts.turn(), "P16: the driver finds nothing");
            assert!(take(&parts.word).is_ok(), "P16: no run starts");
            join(stalled);
        },
    },
    // The driver sleeps until 10. The other asks for 5, this one for 7: it changes no instant.
    // Seen to fail on: the same; a set that stops where it finds its bit; a bell that only
    // a driver without any deadline hears.
    Model {
        name: "m12-stalled-producer-later-request",
        promises: &["P16", "P5"],
        law: "A wake that has returned is not overslept, wherever an earlier one is stalled.",
        threads: 2,
        extent: Extent::All,
        body: || {
            let parts = Parts::flat();
            assert!(parts.doze(Tick::from_micros(10)), "nobody has asked for anything");
            let stalled = spawn("stalled producer", {
                let parts = Arc::clone(&parts);
                move || parts.wake(request(5, 1))
            });
            assert!(parts.wake(request(7, 1)), "P16: the driver sleeps, and was not rung");
            let by = parts.deadline.peek();
            assert!(by <= Tick::from_micros(7), "P16: the deadline slot says {by:?}");
            assert!(parts.turn(), "P16: the driver finds nothing");
            join(stalled);
        },
    },
    // The ready set alone, three levels: the other sets the same bit, and stands between two.
    // Seen to fail on: a set that stops where it finds its bit, or its leaf set.
    Model {
        name: "m12-stalled-setter",
        promises: &["P16", "P3"],
        law: "A bit that was set is drained, wherever another setter of it is stalled.",
        threads: 2,
        extent: Extent::All,
        body: || {
            const INDEX: usize = 15;
            let ready = Arc::new(ReadySet::with_capacity(INDEX + 1));
            let stalled = spawn("stalled setter", {
                let ready = Arc::clone(&ready);
                move || {
                    ready.set(INDEX);
                }
            });
            ready.set(INDEX);
            let mut drained = Vec::new();
            ready.drain(&mut drained);
            assert_eq!(drained, [INDEX], "P16: set, and not found");
            join(stalled);
        },
    },
    // The same, two levels, while a driver drains: what the other sets behind the driver this one finds.
    // Seen to fail on: no fence in `is_marked`, or none in `drain`; a leaf that is set and acquires nothing.
    Model {
        name: "m12-stalled-setter-and-a-drain",
        promises: &["P16", "P3"],
        law: "News behind a bit that was set is found by a drain, wherever another setter of the bit is stalled.",
        threads: 3,
        extent: Extent::All,
        body: || set_beside_a_drain(4, [2, 2, 2]),
    },
    // Three levels: what the other sets behind the driver is the summary of this one's leaf.
    // Seen to fail on: a summary that is found set by a relaxed load. In full 6,475,339 executions, 53 s.
    Model {
        name: "m12-stalled-neighbour-and-a-drain",
        promises: &["P16", "P3"],
        law: "A bit that was set is drained, wherever a setter beside it is stalled.",
        threads: 3,
        extent: Extent::Preemptions(4),
        body: || set_beside_a_drain(8, [4, 6, 7]),
    },
    // A driver drains while the other producer is anywhere in its wake, then this one wakes.
    // Seen to fail on: a request that publishes only what it changed.
    Model {
        name: "m12-stalled-producer-and-a-turn",
        promises: &["P16", "P3"],
        law: "A turn that finds half of a stalled wake does not hide a later one from the next.",
        threads: 2,
        extent: Extent::All,
        body: || {
            let parts = Parts::flat();
            let stalled = spawn("stalled producer", {
                let parts = Arc::clone(&parts);
                move || parts.wake(request(0, 1))
            });
            let early = parts.turn() && take(&parts.word).is_ok();
            if early {
                parts.word.end(None);
            }
            let asked = parts.wake_but_stall(request(0, 1));
            assert!(asked.is_some(), "P16: news that nobody publishes");
            assert!(parts.turn() && take(&parts.word).is_ok(), "P16: no run starts");
            join(stalled);
        },
    },
];

/// An index is set; then a driver drains, another producer sets one and may be stalled at any step, and this
/// one sets its own, behind news of its own.
fn set_beside_a_drain(capacity: usize, [before, stalled, own]: [usize; 3]) {
    let ready = Arc::new(ReadySet::with_capacity(capacity));
    let news = Arc::new(AtomicU64::new(0));
    ready.set(before);
    let stalled = spawn("stalled setter", {
        let ready = Arc::clone(&ready);
        move || {
            ready.set(stalled);
        }
    });
    let driver = spawn("driver", {
        let (ready, news) = (Arc::clone(&ready), Arc::clone(&news));
        move || {
            let mut drained = Vec::new();
            ready.drain(&mut drained);
            drained.contains(&own) && news.load(Ordering::Relaxed) == 1
        }
    });
    news.store(1, Ordering::Relaxed);
    ready.set(own);
    let found = join(driver);
    let mut drained = Vec::new();
    ready.drain(&mut drained);
    assert!(found || drained.contains(&own), "P16: set, and not found");
    join(stalled);
}
