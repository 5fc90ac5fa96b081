//! M8, at the gate: enter ∥ close ∥ leave, and close ∥ close.

use crate::model::{Extent, Model};
use crate::support::{join, spawn};
use reveille_core::gate::Gate;
use reveille_core::sync::{AtomicU64, Ordering};
use std::sync::Arc;

pub const MODELS: &[Model] = &[
    // One run in flight leaves, another is about to start, a stop closes.
    // Seen to fail on: an enter that looks, then adds; a close by load and store; a leave that
    // does not release; a load that does not acquire.
    Model {
        name: "m08-gate-enter-close-leave",
        promises: &["P13"],
        law: "A start is counted in what the close found, or refused; a gate found empty has \
              all that its runs did behind it.",
        threads: 3,
        extent: Extent::All,
        body: || {
            let gate = Arc::new(Gate::new());
            let data = Arc::new(AtomicU64::new(0));
            assert!(gate.enter());
            let worker = spawn("worker", {
                let (gate, data) = (Arc::clone(&gate), Arc::clone(&data));
                move || {
                    data.store(1, Ordering::Relaxed);
                    gate.leave()
                }
            });
            let driver = spawn("driver", {
                let gate = Arc::clone(&gate);
                move || gate.enter()
            });
            let found = gate.close();
            assert!(!found.is_closed(), "nobody closed it before");
            let now = gate.load();
            assert!(now.is_closed() && now.in_flight() <= found.in_flight(), "P13: {now:?}");
            let seen = data.load(Ordering::Relaxed);
            assert!(now.in_flight() > 0 || seen == 1, "P13: drained, before its last write");
            let entered = join(driver);
            let left = join(worker);
            let expected = u64::from(entered);
            assert_eq!(gate.load().in_flight(), expected, "P13: entered: {entered}");
            assert!(!gate.enter(), "P13: a run started after the stop");
            // The run that left did so before the close, or was found in it.
            let run_found = u64::from(left.is_closed());
            assert_eq!(found.in_flight(), run_found + expected, "P13: {found:?}, then {left:?}");
        },
    },
    // Seen to fail on: a close by load and store.
    Model {
        name: "m08-gate-close-meets-close",
        promises: &["P13"],
        law: "Of two that close the gate one finds it open, and both find the same runs.",
        threads: 2,
        extent: Extent::All,
        body: || {
            let gate = Arc::new(Gate::new());
            assert!(gate.enter());
            let other = spawn("stopper", {
                let gate = Arc::clone(&gate);
                move || gate.close()
            });
            let here = gate.close();
            let there = join(other);
            assert!(here.is_closed() != there.is_closed(), "P13: {here:?} and {there:?}");
            assert_eq!((here.in_flight(), there.in_flight()), (1, 1), "P13: runs in flight");
        },
    },
];
