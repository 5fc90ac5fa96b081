//! M16: remove ∥ late completion ∥ key and index reuse.

use crate::model::{Extent, Model};
use crate::support::{
    Aside, Run, at, conserved, drive, engine, every, hub, install, join, room, spawn, target,
};
use reveille::{Outcome, Refusal, TargetState, Wake, Woken};
use reveille_core::sync::{AtomicU64, Ordering};
use std::num::NonZeroU32;
use std::sync::Arc;

pub const MODELS: &[Model] = &[
    Model {
        name: "m16-key-reuse",
        promises: &["P6", "P12"],
        law: "A key that is removed and made again runs once its old run has ended, and sees it.",
        threads: 3,
        extent: Extent::Preemptions(2),
        body: key,
    },
    Model {
        name: "m16-index-reuse",
        promises: &["P3", "P6", "P12"],
        law: "What a removed target leaves behind is neither run nor beat of its index's next one.",
        threads: 3,
        extent: Extent::Preemptions(3),
        body: index,
    },
];

/// A run is in flight while its target is removed, made anew and woken, and the driver turns.
///
/// Fails on: `key-free-at-once`, `forgotten-while-it-runs`, `end-without-bit`,
/// `removal-without-bit`, a relaxed completion.
fn key() {
    let hub = hub(|policy| policy.run_limit = None);
    let mut engine = engine(&hub);
    install(&hub);
    let removed = target(&hub, 0);
    assert!(removed.wake(Wake::now()).is_accepted());
    engine.turn(at(1));
    let Some(old) = engine.next_run() else { panic!("a wake that is due starts") };
    // What the old run writes: relaxed, so that only the hub's own edges carry it.
    let (written, inside) = (Arc::new(AtomicU64::new(0)), Aside::default());
    inside.put(1);
    let worker = spawn("worker", {
        let (written, inside) = (Arc::clone(&written), inside.clone());
        move || {
            written.store(1, Ordering::Relaxed);
            inside.put(0);
            old.finish(Outcome::failed());
        }
    });
    let user = spawn("user", {
        let hub = hub.clone();
        move || {
            assert!(removed.remove(), "the first removal removes");
            hub.wake(0, Wake::now()).is_accepted()
        }
    });
    let mut started = 0;
    let mut serve = |run: Run| {
        assert_eq!(inside.put(1), 0, "P6: the key runs twice at once");
        assert_eq!(written.load(Ordering::Relaxed), 1, "P6: the last run's writes are not seen");
        assert_eq!(run.attempt(), 1, "P9: the new target starts clean");
        started += 1;
        inside.put(0);
        run.finish(Outcome::ran());
    };
    engine.turn(at(1));
    while let Some(run) = engine.next_run() {
        serve(run);
    }
    join(worker);
    assert!(join(user), "P3: the hub is open and has room");
    drive(&mut engine, at(1), &mut serve);
    assert_eq!(started, 1, "P3: the wake of the new target");
    let counters = hub.counters();
    assert_eq!(counters.late_completions, 0, "a removal does not end a run");
    assert_eq!(room(&hub), 1, "P15: the removed target's index is not free");
    assert_eq!((engine.active(), hub.snapshot().in_flight), (0, 0), "P10: a run is not collected");
    conserved(&hub);
}

/// The last run of a removed target ends, and its index goes to another, while the driver turns.
///
/// Fails on: `forgotten-while-it-runs`, `end-without-bit`.
fn index() {
    let hub = hub(|policy| {
        policy.max_targets = NonZeroU32::MIN;
        policy.run_limit = None;
    });
    let mut engine = engine(&hub);
    install(&hub);
    let removed = target(&hub, 0);
    assert!(removed.wake(Wake::now()).is_accepted());
    assert!(removed.beat(every(1_000)).is_ok());
    engine.turn(at(1));
    let Some(old) = engine.next_run() else { panic!("a wake that is due starts") };
    assert!(removed.remove(), "the first removal removes");
    let worker = spawn("worker", move || {
        old.finish(Outcome::failed());
        removed.wake(Wake::now())
    });
    let user = spawn("user", {
        let hub = hub.clone();
        move || hub.target(1).ok()
    });
    engine.turn(at(1));
    assert!(engine.next_run().is_none(), "P3: nobody woke the new target");
    let refused = join(worker);
    assert!(
        matches!(&refused, Woken::Refused(refused) if refused.refusal == Refusal::Removed),
        "P3: a handle of a removed target woke something: {refused:?}"
    );
    let reused = join(user);
    drive(&mut engine, at(1), |run| panic!("P3: nobody woke the new target: {run:?}"));
    let target = reused.unwrap_or_else(|| target(&hub, 1));
    drive(&mut engine, at(2_000), |run| panic!("P8: the old target's cadence: {run:?}"));
    assert_eq!(target.snapshot().next_beat, None, "P8: the old target's cadence");
    assert!(target.wake(Wake::now()).is_accepted(), "P3: the new target takes wakes");
    let mut started = 0;
    drive(&mut engine, at(2_000), |run| {
        assert_eq!((*run.key(), run.attempt()), (1, 1));
        started += 1;
        run.finish(Outcome::ran());
    });
    assert_eq!(started, 1, "P3: the new target's wake");
    assert_eq!(target.state(), TargetState::Idle);
    assert_eq!((engine.active(), hub.snapshot().in_flight), (0, 0), "P10: a run is not collected");
    conserved(&hub);
}
