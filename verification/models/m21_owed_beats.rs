//! M21: owed beats ∥ close.

use crate::model::{Extent, Model};
use crate::support::{
    Engine, Hub, Run, Target, at, conserved, drive, engine, every, hub, install, join, spawn, target,
};
use reveille::{Missed, Outcome};

const PERIOD: u64 = 1_000;

pub const MODELS: &[Model] = &[
    Model {
        name: "m21-owed-beats-remove",
        promises: &["P8", "P12"],
        law: "Beats that are owed when their target is removed are each counted once.",
        threads: 2,
        extent: Extent::All,
        body: || owed(|_, target| assert!(target.remove(), "the first removal removes")),
    },
    Model {
        name: "m21-owed-beats-stop",
        promises: &["P8", "P12", "P13"],
        law: "Beats that are owed when the hub stops are each counted once.",
        threads: 2,
        extent: Extent::All,
        body: || owed(|hub, _| drop(hub.stop())),
    },
    Model {
        name: "m21-first-cadence-remove",
        promises: &["P8", "P12"],
        law: "Beats of a cadence that whoever removes the target may not see yet are each counted once.",
        threads: 2,
        extent: Extent::All,
        body: || unseen(|_, target| assert!(target.remove(), "the first removal removes")),
    },
    Model {
        name: "m21-first-cadence-stop",
        promises: &["P8", "P12", "P13"],
        law: "Beats of a cadence that whoever stops the hub may not see yet are each counted once.",
        threads: 2,
        extent: Extent::All,
        body: || unseen(|hub, _| drop(hub.stop())),
    },
    Model {
        name: "m21-begun-beat-remove",
        promises: &["P8", "P12"],
        law: "Owed beats, one of them begun when their target is removed, are each counted once.",
        threads: 2,
        extent: Extent::All,
        body: || served(Step::Begins, |target| assert!(target.remove(), "the first removal")),
    },
    Model {
        name: "m21-begun-beat-cancel",
        promises: &["P8", "P12"],
        law: "Owed beats, one of them begun as they are cancelled, are each counted once.",
        threads: 2,
        extent: Extent::All,
        body: || served(Step::Begins, |target| _ = target.cancel()),
    },
    Model {
        name: "m21-ended-beat-remove",
        promises: &["P8", "P12"],
        law: "Owed beats, one of them run when their target is removed, are each counted once.",
        threads: 2,
        extent: Extent::All,
        body: || served(Step::Ends, |target| assert!(target.remove(), "the first removal")),
    },
    Model {
        name: "m21-ended-beat-cancel",
        promises: &["P8", "P12"],
        law: "Owed beats, one of them run as they are cancelled, are each counted once.",
        threads: 2,
        extent: Extent::All,
        body: || served(Step::Ends, |target| _ = target.cancel()),
    },
    Model {
        name: "m21-returned-beat-remove",
        promises: &["P8", "P12"],
        law: "Owed beats, one of them back as their target is removed, are each counted once.",
        threads: 2,
        extent: Extent::All,
        body: || served(Step::Returns, |target| assert!(target.remove(), "the first removal")),
    },
    Model {
        name: "m21-returned-beat-cancel",
        promises: &["P8", "P12"],
        law: "Owed beats, one of them back as they are cancelled, are each counted once.",
        threads: 2,
        extent: Extent::All,
        body: || served(Step::Returns, |target| _ = target.cancel()),
    },
];

/// Without a handler: one beat waits, two more become owed, and the target is closed.
///
/// Fails on: `close-forgets-owed`, `owed-taken-by-load-and-store`, `owed-not-discarded-by-driver`.
/// Does not fail without the two fences, since the read-modify-writes of `owed` carry the same
/// edge, nor with those relaxed, since the fences do: either is enough.
fn owed(close: fn(&Hub, &Target)) {
    let hub = hub(|policy| policy.missed = Missed::Burst);
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    assert!(target.beat(every(PERIOD)).is_ok());
    engine.turn(at(0));
    engine.turn(at(PERIOD));
    let closer = spawn("closer", {
        let hub = hub.clone();
        move || close(&hub, &target)
    });
    engine.turn(at(3 * PERIOD));
    join(closer);
    all_counted_once(&hub, &mut engine);
}

/// The same, where the target gets what its beats are owed in while it is closed, and the closer
/// may not see that yet: there is nothing in `owed` to order by, only the word.
///
/// Fails on: `owed-added-behind-a-close`.
fn unseen(close: fn(&Hub, &Target)) {
    let hub = hub(|policy| policy.missed = Missed::Burst);
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    engine.turn(at(0));
    let closer = spawn("closer", {
        let (hub, target) = (hub.clone(), target.clone());
        move || close(&hub, &target)
    });
    let _ = target.beat(every(PERIOD));
    engine.turn(at(1));
    engine.turn(at(3 * PERIOD));
    join(closer);
    all_counted_once(&hub, &mut engine);
}

/// What holds of beats without a handler whose target is closed: each came to one end.
fn all_counted_once(hub: &Hub, engine: &mut Engine) {
    drive(engine, at(3 * PERIOD), |_| panic!("no handler"));
    let counters = hub.counters();
    assert!([0, 1, 3].contains(&counters.beats), "P8: none, or beats at 1, and at 2 and 3");
    let ended = counters.discarded + counters.refused;
    assert_eq!(ended, counters.beats, "P12: beats that ended: {counters:?}");
    assert_eq!(counters.pending, 0, "P12: nothing waits in what is closed");
    conserved(hub);
    if !hub.is_stopped() {
        assert!(hub.snapshot().targets.is_empty(), "P15: the driver has not forgotten it");
    }
}

/// What the driver does with the first of three owed beats while they are closed.
#[derive(PartialEq)]
enum Step {
    /// It starts its run; the next one then waits behind that.
    Begins,
    /// The same, and the run ends.
    Ends,
    /// It collects its run, which was busy and gives it back; the one behind it is owed again.
    Returns,
}

/// Three beats are owed, and are removed or cancelled while the driver serves the first.
///
/// Fails on: `owed-taken-by-load-and-store`, `owed-served-by-load-and-sub`,
/// `owed-refused-uncounted` (begun), `parted-beat-not-discarded` (returned).
fn served(step: Step, close: fn(&Target)) {
    let hub = hub(|policy| policy.missed = Missed::Burst);
    let mut engine = engine(&hub);
    install(&hub);
    let target = target(&hub, 0);
    assert!(target.beat(every(PERIOD)).is_ok());
    engine.turn(at(0));
    engine.turn(at(3 * PERIOD));
    let mut runs = 0;
    if step == Step::Returns {
        let Some(run) = engine.next_run() else { panic!("a beat that is due starts") };
        runs += 1;
        run.finish(Outcome::busy());
    }
    let closer = spawn("closer", {
        let target = target.clone();
        move || close(&target)
    });
    let begun = match step {
        Step::Begins | Step::Ends => engine.next_run(),
        Step::Returns => {
            engine.turn(at(3 * PERIOD));
            None
        }
    };
    runs += u64::from(begun.is_some());
    let end = |run: Option<Run>| run.into_iter().for_each(|run| run.finish(Outcome::ran()));
    if step == Step::Ends {
        end(begun);
        join(closer);
    } else {
        join(closer);
        end(begun);
    }
    target.stop_beating();
    // Past the floor of a busy end, too.
    for now in [at(3 * PERIOD), at(3 * PERIOD + 2_000_000)] {
        drive(&mut engine, now, |run| {
            runs += 1;
            run.finish(Outcome::ran());
        });
    }
    let counters = hub.counters();
    assert_eq!((counters.beats, counters.pending), (3, 0), "P12: {counters:?}");
    assert_eq!(counters.started, runs, "P12: runs that were started");
    conserved(&hub);
}
