//! M17: stop ∥ start of a run.

use crate::model::{Extent, Model};
use crate::support::{at, conserved, engine, hub, install, join, spawn, target};
use reveille::Wake;
use std::sync::Arc;
use std::time::Duration;

pub const MODELS: &[Model] = &[
    Model {
        name: "m17-stop-start",
        promises: &["P12", "P13"],
        law: "No run enters the gate after stop has returned: what was not in flight is discarded.",
        threads: 2,
        extent: Extent::All,
        body: stop_start,
    },
    Model {
        name: "m17-drain-start",
        promises: &["P12", "P13"],
        law: "A drain ends beside a start, whether that becomes a run or finds its wake discarded.",
        threads: 2,
        extent: Extent::All,
        body: drain_start,
    },
];

/// A stop beside `next_run`, which enters the gate and then takes the wake.
///
/// Allowed: the stop comes between these two. Then the start is in the report as in flight, takes
/// no wake, and leaves the gate again.
///
/// Fails where the gate is entered by a check and an addition, and where it is closed last.
fn stop_start() {
    let hub = Arc::new(hub(|_| {}));
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    install(&hub);
    let _ = target.wake(Wake::now());
    engine.turn(at(1));
    let stopper = spawn("stopper", {
        let hub = Arc::clone(&hub);
        move || hub.stop().report()
    });
    let run = engine.next_run();
    let started = u64::from(run.is_some());
    let Some(report) = join(stopper) else { panic!("P13: a stop has its report at once") };
    assert_eq!(report.discarded, 1 - started, "P12: {started} runs started, {report:?}");
    assert!(
        started <= report.in_flight && report.in_flight <= 1,
        "P13: {started} runs started, {report:?}"
    );
    if let Some(run) = run {
        run.execute();
    }
    engine.turn(at(1));
    assert!(engine.next_run().is_none(), "P13: a run started after the stop");
    assert!(engine.is_finished(), "P13: the driver has work left");
    conserved(&hub);
}

/// The drain waits for the start, and the start for nothing.
///
/// Fails where a start that found its wake discarded stays in the gate, and where the closing pass
/// counts the runs in flight before it takes its lock.
fn drain_start() {
    let hub = Arc::new(hub(|_| {}));
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    install(&hub);
    let _ = target.wake(Wake::now());
    engine.turn(at(1));
    let stopper = spawn("who drains", {
        let hub = Arc::clone(&hub);
        move || hub.drain(Duration::MAX).wait()
    });
    let run = engine.next_run();
    let started = u64::from(run.is_some());
    if let Some(run) = run {
        run.execute();
    }
    let report = join(stopper);
    assert_eq!(
        (report.left, report.discarded),
        (0, 1 - started),
        "P12, P13: {started} runs started, {report:?}"
    );
    engine.turn(at(1));
    assert!(engine.is_finished(), "P13: the driver has work left");
    conserved(&hub);
}
