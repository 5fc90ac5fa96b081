//! M10: remove ∥ request ∥ drain of the ready set.

use crate::model::{Extent, Model};
use crate::support::{Run, at, conserved, drive, engine, hub, install, join, room, spawn, target};
use reveille::{Outcome, Refusal, Wake, Woken};

pub const MODELS: &[Model] = &[
    Model {
        name: "m10-remove-request-turn",
        promises: &["P3", "P12"],
        law: "A wake that meets a removal is run, or discarded and counted, or refused.",
        threads: 3,
        extent: Extent::Preemptions(4),
        body: handle,
    },
    Model {
        name: "m10-remove-request-by-key",
        promises: &["P3", "P6", "P12"],
        law: "A wake by key that meets a removal is never refused: the key is made anew.",
        threads: 3,
        extent: Extent::Preemptions(3),
        body: by_key,
    },
];

/// Through a handle, while another thread removes its target and the driver turns.
///
/// Fails on: `removal-without-bit`, `deadline-taken-after-collecting`, a relaxed drain of the
/// ready set.
fn handle() {
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    install(&hub);
    let target = target(&hub, 0);
    engine.turn(at(0));
    let remover = spawn("remover", {
        let target = target.clone();
        move || target.remove()
    });
    let requester = spawn("requester", move || target.wake(Wake::now()));
    let mut started = 0;
    let mut serve = |run: Run| {
        started += 1;
        run.finish(Outcome::ran());
    };
    engine.turn(at(1));
    while let Some(run) = engine.next_run() {
        serve(run);
    }
    assert!(join(remover), "the first removal removes");
    let woken = join(requester);
    drive(&mut engine, at(1), &mut serve);
    let counters = hub.counters();
    if woken.is_accepted() {
        assert_eq!(started + counters.discarded, 1, "P3: neither run nor counted: {counters:?}");
        assert_eq!(counters.refused, 0, "P12: it was accepted");
    } else {
        let Woken::Refused(refused) = woken else { panic!("{woken:?}") };
        assert_eq!(refused.refusal, Refusal::Removed, "the hub goes on");
        assert_eq!((started, counters.discarded), (0, 0), "P3: refused, and done all the same");
    }
    assert!(hub.find(&0).is_none(), "it was removed");
    assert!(hub.snapshot().targets.is_empty(), "P15: the driver has not forgotten it");
    conserved(&hub);
}

/// Through the hub, by key: the look-up may find the target that is being removed.
///
/// Fails on: `removed-key-refuses`, `removal-without-bit`.
fn by_key() {
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    install(&hub);
    let target = target(&hub, 0);
    engine.turn(at(0));
    let remover = spawn("remover", move || target.remove());
    let requester = spawn("requester", {
        let hub = hub.clone();
        move || hub.wake(0, Wake::now())
    });
    let mut started = 0;
    let mut serve = |run: Run| {
        started += 1;
        run.finish(Outcome::ran());
    };
    engine.turn(at(1));
    while let Some(run) = engine.next_run() {
        serve(run);
    }
    assert!(join(remover), "the first removal removes");
    let woken = join(requester);
    drive(&mut engine, at(1), &mut serve);
    let counters = hub.counters();
    assert!(woken.is_accepted(), "P3: the hub is open and has room: {woken:?}");
    assert_eq!(started + counters.discarded, 1, "P3: neither run nor counted: {counters:?}");
    let taken = usize::from(hub.find(&0).is_some());
    assert_eq!(taken + room(&hub), 2, "P15: the removed target's index is not free");
    conserved(&hub);
}
