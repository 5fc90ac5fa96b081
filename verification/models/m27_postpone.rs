//! M27: postpone ∥ turn, start, wake, cancel, and the end of a run.

use crate::model::{Extent, Model};
use crate::support::{Aside, Run, at, conserved, drive, engine, hub, install, join, spawn, target};
use reveille::{Outcome, Wake};

pub const MODELS: &[Model] = &[
    Model {
        name: "m27-postpone-start",
        promises: &["P3", "P7"],
        law: "A wake that is put off as it starts runs now or at its instant, once, as was said.",
        threads: 2,
        extent: Extent::All,
        body: || alone(true),
    },
    Model {
        name: "m27-postpone-turn",
        promises: &["P3", "P7"],
        law: "A wake that is put off as it is taken in runs now or at its instant, as was said.",
        threads: 2,
        extent: Extent::All,
        body: || alone(false),
    },
    Model {
        name: "m27-postpone-wake",
        promises: &["P3", "P5", "P7"],
        law: "A wake requested after a postpone has returned keeps its own due; nothing is lost.",
        threads: 3,
        extent: Extent::Preemptions(4),
        body: beside_a_wake,
    },
    Model {
        name: "m27-postpone-cancel",
        promises: &["P7", "P12"],
        law: "What is put off and cancelled at once is discarded, once, and the target goes on.",
        threads: 3,
        extent: Extent::Preemptions(3),
        body: beside_a_cancel,
    },
    Model {
        name: "m27-postpone-end",
        promises: &["P3", "P6", "P7"],
        law: "What waits behind a run that ends and is put off runs at its instant, or at once.",
        threads: 2,
        extent: Extent::All,
        body: || behind_a_run(Outcome::ran()),
    },
    Model {
        name: "m27-postpone-give-back",
        promises: &["P3", "P7", "P9"],
        law: "What a run gives back beside a postpone runs again, with what was put off behind it.",
        threads: 2,
        extent: Extent::All,
        body: || behind_a_run(Outcome::busy()),
    },
];

/// To where things are put off.
const LATER: u64 = 10_000;
/// Long after all of it.
const END: u64 = 5_000_000;

/// One wake, due now, that the driver has seen or has not; put off as it starts.
///
/// Fails on: `postpone-by-cancel`.
fn alone(is_seen: bool) {
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    install(&hub);
    engine.turn(at(0));
    assert!(target.wake(Wake::now()).is_accepted());
    if is_seen {
        engine.turn(at(1));
    }
    let postponer = spawn("postponer", {
        let target = target.clone();
        move || target.postpone(at(LATER))
    });
    let mut started = Vec::new();
    let mut serve = |run: Run| {
        started.push(run.started());
        run.finish(Outcome::ran());
    };
    if !is_seen {
        engine.turn(at(1));
    }
    if let Some(run) = engine.next_run() {
        serve(run);
    }
    let postponed = join(postponer);
    drive(&mut engine, at(LATER - 1), &mut serve);
    drive(&mut engine, at(LATER), &mut serve);
    drive(&mut engine, at(END), serve);
    let expected = if postponed { at(LATER) } else { at(1) };
    assert_eq!(started, [expected], "P3: put off: {postponed}");
    conserved(&hub);
}

/// A wake waits for an instant, and is put off while another one is requested.
///
/// Fails on: `postpone-by-cancel`.
fn beside_a_wake() {
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    install(&hub);
    assert!(target.wake(Wake::at(at(100))).is_accepted());
    engine.turn(at(0));
    let returned = Aside::default();
    let postponer = spawn("postponer", {
        let (target, returned) = (target.clone(), returned.clone());
        move || {
            let postponed = target.postpone(at(LATER));
            returned.put(1);
            postponed
        }
    });
    let requester = spawn("requester", {
        let target = target.clone();
        move || {
            let is_after = returned.count() > 0;
            assert!(target.wake(Wake::at(at(200))).is_accepted());
            is_after
        }
    });
    engine.turn(at(1));
    assert!(engine.next_run().is_none(), "nothing is due");
    assert!(join(postponer), "a wake waited");
    let is_after = join(requester);
    let mut started = Vec::new();
    for now in [2, 100, 200, LATER, END] {
        drive(&mut engine, at(now), |run| {
            started.push(run.started());
            run.finish(Outcome::ran());
        });
    }
    match started[..] {
        [start] if start == at(200) => {}
        [start] if start == at(LATER) => assert!(!is_after, "P5: a later request was put off"),
        _ => panic!("P3, P7: {started:?}"),
    }
    conserved(&hub);
}

/// A wake waits, and is put off and cancelled while the driver turns.
fn beside_a_cancel() {
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    install(&hub);
    assert!(target.wake(Wake::at(at(100))).is_accepted());
    engine.turn(at(0));
    let postponer = spawn("postponer", {
        let target = target.clone();
        move || target.postpone(at(LATER))
    });
    let canceller = spawn("canceller", {
        let target = target.clone();
        move || target.cancel()
    });
    engine.turn(at(1));
    join(postponer);
    assert!(join(canceller), "P7: nothing started, so something waited");
    drive(&mut engine, at(END), |run| panic!("P7: it was discarded: {run:?}"));
    assert_eq!((hub.counters().pending, hub.counters().discarded), (0, 1), "P12");
    assert!(target.wake(Wake::now()).is_accepted());
    let mut runs = 0;
    drive(&mut engine, at(END + 1), |run| {
        runs += 1;
        run.finish(Outcome::ran());
    });
    assert_eq!(runs, 1, "P3: a wake after them");
    conserved(&hub);
}

/// A wake waits behind a run that ends, and is put off meanwhile.
///
/// Fails on: `postpone-by-cancel`.
fn behind_a_run(outcome: Outcome) {
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    install(&hub);
    assert!(target.wake(Wake::now()).is_accepted());
    engine.turn(at(0));
    let Some(run) = engine.next_run() else { panic!("it is due") };
    assert!(target.wake(Wake::now()).is_accepted());
    run.finish(outcome);
    let postponer = spawn("postponer", {
        let target = target.clone();
        move || target.postpone(at(END))
    });
    let mut started = Vec::new();
    let mut serve = |run: Run| {
        started.push(run.started());
        run.finish(Outcome::ran());
    };
    engine.turn(at(1));
    if let Some(run) = engine.next_run() {
        serve(run);
    }
    let postponed = join(postponer);
    for now in [2, END - 1, END, 2 * END] {
        drive(&mut engine, at(now), &mut serve);
    }
    let [start] = started[..] else { panic!("P3, P7: {started:?}, put off: {postponed}") };
    if outcome == Outcome::ran() {
        assert_eq!(start, if postponed { at(END) } else { at(1) }, "P3: put off: {postponed}");
    } else {
        assert!(start >= at(1_000_000) && start <= at(END), "P9: {start:?}");
    }
    conserved(&hub);
}
