//! M8: stop ∥ stop.

use crate::model::{Extent, Model};
use crate::support::{Engine, Hub, Run, at, conserved, engine, hub, install, join, spawn, target};
use reveille::{Outcome, StopReport, Wake};
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::Duration;

const LAW: &str = "All who stop a hub are told the same, and none waits for ever.";

pub const MODELS: &[Model] = &[
    Model {
        name: "m08-stop-stop",
        promises: &["P12", "P13"],
        law: LAW,
        threads: 2,
        extent: Extent::All,
        body: stop_stop,
    },
    Model {
        name: "m08-stop-drain",
        promises: &["P12", "P13"],
        law: "A stop cuts a drain short, whichever comes first, and both are told the same.",
        threads: 2,
        extent: Extent::All,
        body: stop_drain,
    },
    Model {
        name: "m08-drain-drain-run-ends",
        promises: &["P12", "P13"],
        law: LAW,
        threads: 3,
        extent: Extent::Preemptions(4),
        body: drains_of_a_run,
    },
];

/// A wake waits, and two stop at once: it is discarded once, and both say so.
///
/// Fails where the second stop makes a closing pass of its own, where the gate is closed last,
/// and where nobody is told that the pass is done.
fn stop_stop() {
    let hub = Arc::new(hub(|_| {}));
    let target = target(&hub, 0);
    let _ = target.wake(Wake::now());
    let second = spawn("second", {
        let hub = Arc::clone(&hub);
        move || hub.stop().wait()
    });
    let report = hub.stop().wait();
    assert_eq!(join(second), report, "P13: one report for every caller");
    assert_eq!((report.in_flight, report.left, report.discarded), (0, 0, 1), "P12, P13");
    conserved(&hub);
}

/// A run is in flight and a wake waits behind it.
fn in_flight(hub: &Hub) -> (Engine, Run) {
    let mut engine = engine(hub);
    let target = target(hub, 0);
    install(hub);
    let _ = target.wake(Wake::now());
    engine.turn(at(1));
    let Some(run) = engine.next_run() else { panic!("P3: it is due") };
    let _ = target.wake(Wake::now());
    (engine, run)
}

/// The run ends when both have been told.
///
/// Fails where a stop during the closing pass of a drain is forgotten, and where a report is made
/// anew when the run ends.
fn stop_drain() {
    let hub = Arc::new(hub(|_| {}));
    let (mut engine, run) = in_flight(&hub);
    // Where this fails it must not end while loom unwinds.
    let run = ManuallyDrop::new(run);
    let second = spawn("who drains", {
        let hub = Arc::clone(&hub);
        move || hub.drain(Duration::MAX).wait()
    });
    let report = hub.stop().wait();
    assert_eq!(join(second), report, "P13: one report for every caller");
    assert_eq!((report.in_flight, report.left, report.discarded), (1, 1, 1), "P12, P13");
    ManuallyDrop::into_inner(run).finish(Outcome::ran());
    finished(&hub, &mut engine, report);
}

/// The run ends while both wait, or before they stop.
///
/// Fails where the closing pass counts the runs in flight before it takes its lock: a run that
/// leaves in between tells nobody.
fn drains_of_a_run() {
    let hub = Arc::new(hub(|_| {}));
    let (mut engine, run) = in_flight(&hub);
    let second = spawn("second", {
        let hub = Arc::clone(&hub);
        move || hub.drain(Duration::MAX).wait()
    });
    let worker = spawn("worker", move || run.finish(Outcome::ran()));
    let report = hub.drain(Duration::MAX).wait();
    assert_eq!(join(second), report, "P13: one report for every caller");
    join(worker);
    assert_eq!((report.left, report.discarded), (0, 1), "P12, P13: {report:?}");
    finished(&hub, &mut engine, report);
}

fn finished(hub: &Hub, engine: &mut Engine, report: StopReport) {
    engine.turn(at(1));
    assert!(engine.next_run().is_none(), "P13: a run started after the stop");
    assert!(engine.is_finished(), "P13: the driver has work left");
    assert_eq!(hub.stop().report(), Some(report), "P13: one report for every caller");
    conserved(hub);
}
