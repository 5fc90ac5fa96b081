//! M29: races of marks beside the word, each of which was there once, and was found by its model.

use crate::model::{Extent, Model};
use crate::support::{Run, at, drive, engine, hub, install, join, spawn, target};
use reveille::{OnReplace, Outcome, Wake};

pub const MODELS: &[Model] = &[
    Model {
        name: "m29-barrier-turn",
        promises: &["P3", "P10"],
        law: "A barrier that meets the start of its target's plain wake: one of the runs is the barrier's.",
        threads: 2,
        extent: Extent::Preemptions(4),
        body: barrier_turn,
    },
    Model {
        name: "m29-barrier-turn-alone",
        promises: &["P3", "P10"],
        law: "A barrier that meets a turn that looks at its idle target is run as one.",
        threads: 2,
        extent: Extent::All,
        body: barrier_turn_alone,
    },
    Model {
        name: "m29-barrier-replaced-run",
        promises: &["P10"],
        law: "A barrier requested during a run that its driver ends is run as one.",
        threads: 1,
        extent: Extent::All,
        body: barrier_behind_a_replaced_run,
    },
    Model {
        name: "m29-postpone-start-again",
        promises: &["P3", "P7"],
        law: "A postpone that came too late says nothing to a later one.",
        threads: 2,
        extent: Extent::All,
        body: postpone_again,
    },
    Model {
        name: "m29-postpone-postpone",
        promises: &["P7"],
        law: "Of two postpones the second counts, also where the driver obeys the first meanwhile.",
        threads: 2,
        extent: Extent::All,
        body: postpone_twice,
    },
    Model {
        name: "m29-postpone-and-cancel",
        promises: &["P7"],
        law: "What was put off and then cancelled starts no later wake early.",
        threads: 1,
        extent: Extent::All,
        body: postpone_and_cancel,
    },
];

/// The mark is set before the word, and looked for before the word is loaded and again once it is taken:
/// a start in between does not lose it. One that takes the mark along is the barrier's run, and has
/// seen all that was done before; the wake then causes one more.
fn barrier_turn() {
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    install(&hub);
    engine.turn(at(0));
    assert!(target.wake(Wake::now()).is_accepted());
    let requester = spawn("requester", {
        let target = target.clone();
        move || target.barrier(Wake::now()).is_accepted()
    });
    let mut runs = Vec::new();
    let mut serve = |run: Run| {
        runs.push(run.is_barrier());
        run.finish(Outcome::ran());
    };
    engine.turn(at(0));
    if let Some(run) = engine.next_run() {
        serve(run);
    }
    assert!(join(requester), "P3: an open hub refused");
    drive(&mut engine, at(1), serve);
    assert!(runs.contains(&true), "no run is the barrier's: {runs:?}");
    assert!(runs.len() <= 2, "P6: {runs:?}");
}

/// The same of a target that only had its wake cancelled.
fn barrier_turn_alone() {
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    install(&hub);
    engine.turn(at(0));
    assert!(target.wake(Wake::now()).is_accepted());
    assert!(target.cancel());
    let requester = spawn("requester", {
        let target = target.clone();
        move || target.barrier(Wake::now()).is_accepted()
    });
    let mut runs = Vec::new();
    let mut serve = |run: Run| {
        runs.push(run.is_barrier());
        run.finish(Outcome::ran());
    };
    engine.turn(at(0));
    if let Some(run) = engine.next_run() {
        serve(run);
    }
    assert!(join(requester), "P3: an open hub refused");
    drive(&mut engine, at(1), serve);
    assert_eq!(runs, [true], "its run is no barrier's");
}

/// Once: a driver that ended a run itself (`end_run`) placed what waited behind it, and nobody looked:
/// a barrier behind a run publishes nothing. A run looks for the mark as it begins now.
fn barrier_behind_a_replaced_run() {
    let hub = hub(|policy| policy.on_replace = OnReplace::Cancel);
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    install(&hub);
    assert!(target.wake(Wake::now()).is_accepted());
    engine.turn(at(0));
    let Some(run) = engine.next_run() else { panic!("it is due") };
    assert!(target.barrier(Wake::now()).is_accepted());
    install(&hub);
    let mut runs = Vec::new();
    for now in [1, 1_000_000] {
        drive(&mut engine, at(now), |run| {
            runs.push(run.is_barrier());
            run.finish(Outcome::ran());
        });
    }
    run.finish(Outcome::ran()); // late
    assert_eq!(runs, [true], "its run is no barrier's");
}

/// Once: to when stood in a cell beside the word, and stayed there where a run had taken the wake in
/// between; the next postpone was merged with it. It stands in the word now.
fn postpone_again() {
    const LATER: u64 = 20_000;
    const SOONER: u64 = 10_000;
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    install(&hub);
    assert!(target.wake(Wake::now()).is_accepted());
    engine.turn(at(0));
    let postponer = spawn("postponer", {
        let target = target.clone();
        move || target.postpone(at(LATER))
    });
    let run = engine.next_run();
    let postponed = join(postponer);
    let Some(run) = run else { return };
    run.finish(Outcome::ran());
    assert!(!postponed, "P7: put off, and run");
    drive(&mut engine, at(1), |run| panic!("P7: {run:?}"));
    assert!(target.wake(Wake::at(at(2))).is_accepted());
    engine.turn(at(1));
    assert!(target.postpone(at(SOONER)), "a wake waits");
    let mut started = Vec::new();
    for now in [SOONER, LATER] {
        drive(&mut engine, at(now), |run| {
            started.push(run.started());
            run.finish(Outcome::ran());
        });
    }
    assert_eq!(started, [at(SOONER)], "P3: put off by a postpone that said `false`");
}

/// Once: the driver took that cell out, and then cleared CANCELLED, also where another postpone had
/// said something new in between.
fn postpone_twice() {
    const FIRST: u64 = 10_000;
    const SECOND: u64 = 20_000;
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    install(&hub);
    assert!(target.wake(Wake::at(at(2))).is_accepted());
    engine.turn(at(0));
    assert!(target.postpone(at(FIRST)), "a wake waits");
    let postponer = spawn("postponer", {
        let target = target.clone();
        move || target.postpone(at(SECOND))
    });
    engine.turn(at(0));
    assert!(engine.next_run().is_none(), "nothing is due");
    assert!(join(postponer), "a wake waits");
    let mut started = Vec::new();
    for now in [FIRST, SECOND] {
        drive(&mut engine, at(now), |run| {
            started.push(run.started());
            run.finish(Outcome::ran());
        });
    }
    assert_eq!(started, [at(SECOND)], "P7: put off to the second");
}

/// Once: where a wake was put off, cancelled, and followed by another before the driver looked, it took
/// the cancel for a postpone, and kept what it remembered of the first.
fn postpone_and_cancel() {
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    install(&hub);
    assert!(target.wake(Wake::at(at(100))).is_accepted());
    engine.turn(at(0));
    assert!(target.postpone(at(10_000)), "a wake waits");
    assert!(target.cancel(), "a wake waits");
    assert!(target.wake(Wake::at(at(20_000))).is_accepted());
    let mut started = Vec::new();
    for now in [100, 10_000, 20_000] {
        drive(&mut engine, at(now), |run| {
            started.push(run.started());
            run.finish(Outcome::ran());
        });
    }
    assert_eq!(started, [at(20_000)], "P7: a cancelled wake starts");
}
