//! M7: stop ∥ request ∥ park.

use crate::model::{Extent, Model};
use crate::support::{Sleep, at, conserved, engine, hub, install, join, rest, spawn, target};
use reveille::{Outcome, Wake};
use std::sync::Arc;
use std::time::Duration;

pub const MODELS: &[Model] = &[
    Model {
        name: "m07-stop-request-park",
        promises: &["P3", "P12", "P13"],
        law: "A driver that goes to sleep hears of a stop; a request beside it is served, \
              discarded and counted, or refused.",
        threads: 3,
        extent: Extent::Preemptions(3),
        body: stop_request_park,
    },
    Model {
        name: "m07-drain-request-run-ends",
        promises: &["P12", "P13"],
        law: "Whoever waits for a drain is told when the last run has ended.",
        threads: 3,
        extent: Extent::Preemptions(5),
        body: drain_request_run_ends,
    },
];

/// The driver turns, starts what is due and goes to sleep, while one thread stops the hub and
/// another wakes a target.
///
/// Fails where a stop does not ring, or leaves the words open.
fn stop_request_park() {
    let hub = Arc::new(hub(|_| {}));
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    install(&hub);
    let sleep = Sleep::of(&engine);
    engine.turn(at(0));
    let stopper = spawn("stopper", {
        let hub = Arc::clone(&hub);
        move || hub.stop().wait()
    });
    let requester = spawn("requester", move || target.wake(Wake::now()).is_accepted());
    engine.turn(at(1));
    let runs = u64::from(engine.next_run().is_some_and(|run| {
        run.finish(Outcome::ran());
        true
    }));
    // loom calls it a deadlock if it sleeps and nobody rings.
    let now = sleep.until_next(&engine, at(1));
    let (report, accepted) = (join(stopper), join(requester));
    assert_eq!(rest(&mut engine, now), [], "P13: a run started after the stop");
    assert!(engine.is_finished(), "P13: the driver has work left");
    assert_eq!(
        runs + report.discarded,
        u64::from(accepted),
        "P3: {runs} runs, {report:?}, accepted: {accepted}"
    );
    assert!(report.left <= report.in_flight && report.in_flight <= 1, "P13: {report:?}");
    conserved(&hub);
}

/// A drain waits while the run in flight ends, and a wake comes behind it.
///
/// Fails where the closing pass counts the runs in flight before it takes its lock, and where it
/// leaves the words open.
fn drain_request_run_ends() {
    let hub = Arc::new(hub(|_| {}));
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    install(&hub);
    let _ = target.wake(Wake::now());
    engine.turn(at(1));
    let Some(run) = engine.next_run() else { panic!("P3: it is due") };
    let worker = spawn("worker", move || run.finish(Outcome::ran()));
    let requester = spawn("requester", move || target.wake(Wake::now()).is_accepted());
    let report = hub.drain(Duration::MAX).wait();
    join(worker);
    let accepted = join(requester);
    engine.turn(at(1));
    assert!(engine.next_run().is_none(), "P13: a run started after the stop");
    assert_eq!(report.left, 0, "P13: the drain did not wait: {report:?}");
    assert_eq!(report.discarded, u64::from(accepted), "P3: {report:?}, accepted: {accepted}");
    assert_eq!(hub.stop().report(), Some(report), "P13: one report");
    conserved(&hub);
}
