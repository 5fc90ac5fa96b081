//! M26: barrier request ∥ start of its own target, or of another.

use crate::model::{Extent, Model};
use crate::support::{Run, at, conserved, drive, engine, hub, install, join, spawn, target};
use reveille::{Outcome, Wake};

pub const MODELS: &[Model] = &[
    Model {
        name: "m26-barrier-other-start",
        promises: &["P10"],
        law: "A barrier that meets another target's start runs alone once it has been requested.",
        threads: 2,
        extent: Extent::All,
        body: other_start,
    },
    Model {
        name: "m26-barrier-own-start",
        promises: &["P3", "P10"],
        law: "Of a barrier that meets the start of its own target's plain wake one run is the barrier's.",
        threads: 2,
        extent: Extent::All,
        body: || own_start(0),
    },
    Model {
        name: "m26-barrier-own-later-start",
        promises: &["P3", "P10"],
        law: "Of a barrier that adds nothing to its target's wake, which starts, one run is the barrier's.",
        threads: 2,
        extent: Extent::All,
        body: || own_start(100),
    },
];

/// A target is due and starts; a barrier is requested meanwhile.
///
/// Fails on: `barrier-does-not-hold-others`, `barrier-flag-behind-the-word`.
fn other_start() {
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    let (plain, all) = (target(&hub, 0), target(&hub, 1));
    install(&hub);
    assert!(plain.wake(Wake::now()).is_accepted());
    engine.turn(at(0));
    let requester = spawn("requester", {
        let all = all.clone();
        move || all.barrier(Wake::now()).is_accepted()
    });
    let mut runs = Vec::new();
    // Twice: the second turn may find the barrier, beside what the first has started.
    for now in [0, 1] {
        engine.turn(at(now));
        while let Some(run) = engine.next_run() {
            assert!(*run.key() != 1 || runs.is_empty(), "P10: the barrier runs beside {runs:?}");
            assert!(runs.iter().all(|run: &Run| !run.is_barrier()), "P10: beside the barrier");
            runs.push(run);
        }
    }
    assert!(join(requester), "P3: an open hub refused");
    // Requested: from here on it waits for what is in flight, and nothing else starts.
    engine.turn(at(2));
    let (mut served, mut barriers) = (0, 0);
    assert!(plain.wake(Wake::at(at(3))).is_accepted());
    for now in 3..9 {
        engine.turn(at(now));
        while let Some(run) = engine.next_run() {
            assert!(runs.is_empty(), "P10: {run:?} starts beside {runs:?}");
            runs.push(run);
        }
        let Some(run) = runs.pop() else { continue };
        assert_eq!(run.is_barrier(), *run.key() == 1, "a barrier's run, and no other");
        assert!(run.beside().len() == 0, "P10: it did not wait");
        (served, barriers) = (served + 1, barriers + u64::from(run.is_barrier()));
        run.finish(Outcome::ran());
    }
    assert_eq!(barriers, 1, "P3: the barrier");
    assert!((2..=3).contains(&served), "P3, P7: {served} runs of 3 wakes, of which 2 may merge");
    conserved(&hub);
}

/// The plain wake of a target is due and starts; a barrier of the same is requested meanwhile.
///
/// Fails on: `barrier-flag-behind-the-word`, `barrier-joins-as-usual` (where it is due later than
/// now, and so is not parked).
fn own_start(due: u64) {
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    install(&hub);
    assert!(target.wake(Wake::at(at(due))).is_accepted());
    engine.turn(at(0));
    engine.turn(at(due));
    let requester = spawn("requester", {
        let target = target.clone();
        move || target.barrier(Wake::at(at(due))).is_accepted()
    });
    let mut runs = Vec::new();
    let mut serve = |run: Run| {
        runs.push(run.is_barrier());
        run.finish(Outcome::ran());
    };
    if let Some(run) = engine.next_run() {
        serve(run);
    }
    assert!(join(requester), "P3: an open hub refused");
    drive(&mut engine, at(due + 1), serve);
    // The run that starts beside it may be the barrier's, and then the wake causes one more.
    assert!(runs.contains(&true) && runs.len() <= 2, "no run is the barrier's: {runs:?}");
    conserved(&hub);
}
