//! M9: beat ∥ uninstall.

use crate::model::{Extent, Model};
use crate::support::{
    Run, WINDOW, at, conserved, drive, engine, every, hub, install, join, spawn, target,
};
use reveille::{Disposal, Outcome, TargetState};

const PERIOD: u64 = 1_000;

pub const MODELS: &[Model] = &[
    Model {
        name: "m09-beat-uninstall",
        promises: &["P8", "P12"],
        law: "A beat that comes due while its handler goes is run or waits, and the next is armed.",
        threads: 2,
        extent: Extent::All,
        body: || due_beat(false),
    },
    Model {
        name: "m09-beat-reinstall",
        promises: &["P8", "P12"],
        law: "A beat that comes due while one handler goes and another comes is run exactly once.",
        threads: 2,
        extent: Extent::All,
        body: || due_beat(true),
    },
    Model {
        name: "m09-busy-run-uninstall",
        promises: &["P8", "P12"],
        law: "A busy end and a dispose leave a beat that came due pending, and the next armed.",
        threads: 3,
        extent: Extent::All,
        body: busy_run,
    },
];

/// A beat comes due in a turn while its handler is disposed of, and maybe another installed.
///
/// Fails on: `no-handler-no-next-beat`, `uninstall-ends-cadences`, `beat-needs-handler`.
fn due_beat(again: bool) {
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    let Ok(registration) = hub.install(|_: &Run| Outcome::ran()) else { panic!("it is open") };
    assert!(target.beat(every(PERIOD)).is_ok());
    engine.turn(at(0));
    let owner = spawn("owner", {
        let hub = hub.clone();
        move || {
            assert_eq!(registration.dispose(), Disposal::Removed);
            if again {
                install(&hub);
            }
        }
    });
    let mut served = 0;
    let mut serve = |run: Run| {
        assert!(run.is_beat(), "nothing but beats was asked for");
        served += 1 + run.missed();
        run.finish(Outcome::ran());
    };
    engine.turn(at(PERIOD));
    while let Some(run) = engine.next_run() {
        serve(run);
    }
    join(owner);
    drive(&mut engine, at(PERIOD), &mut serve);
    let shown = target.snapshot();
    assert_eq!(shown.next_beat, Some(at(2 * PERIOD)), "P8: the next beat is not armed");
    assert!(engine.deadline() <= at(2 * PERIOD), "P8: no deadline for the next beat");
    let waits = u64::from(shown.state == TargetState::Pending);
    install(&hub);
    drive(&mut engine, at(PERIOD), &mut serve);
    drive(&mut engine, at(PERIOD) + WINDOW, &mut serve);
    drive(&mut engine, at(2 * PERIOD), &mut serve);
    assert_eq!(served, 2, "P8: of two beats ({waits} waited for a handler)");
    assert_eq!(target.snapshot().next_beat, Some(at(3 * PERIOD)), "P8: the cadence ended");
    conserved(&hub);
}

/// The run of the first beat ends busy while the second comes due and the handler goes.
///
/// Fails on: `end-without-bit`, `no-handler-no-next-beat`, `uninstall-ends-cadences`.
fn busy_run() {
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    let Ok(registration) = hub.install(|_: &Run| Outcome::ran()) else { panic!("it is open") };
    assert!(target.beat(every(PERIOD)).is_ok());
    engine.turn(at(0));
    engine.turn(at(PERIOD));
    let Some(first) = engine.next_run() else { panic!("a beat that is due starts") };
    let owner = spawn("owner", move || assert_eq!(registration.dispose(), Disposal::Removed));
    let worker = spawn("worker", move || first.finish(Outcome::busy()));
    engine.turn(at(2 * PERIOD));
    assert!(engine.next_run().is_none(), "P9: a busy target has a floor, a running one a run");
    join(owner);
    join(worker);
    drive(&mut engine, at(2 * PERIOD), |_| panic!("P9: no handler, and a floor"));
    let shown = target.snapshot();
    assert_eq!(shown.state, TargetState::Pending, "P8: neither beat waits");
    assert_eq!(shown.next_beat, Some(at(3 * PERIOD)), "P8: the next beat is not armed");
    install(&hub);
    let mut served = 0;
    for now in [at(2 * PERIOD), at(2 * PERIOD) + WINDOW] {
        drive(&mut engine, now, |run| {
            served += 1 + run.missed();
            run.finish(Outcome::ran());
        });
    }
    assert_eq!(served, 2, "P8: the new handler was to run both beats");
    conserved(&hub);
}
