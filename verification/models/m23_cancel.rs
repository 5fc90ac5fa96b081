//! M23: cancel ∥ wake ∥ begin.

use crate::model::{Extent, Model};
use crate::support::{Run, at, conserved, drive, engine, hub, install, join, spawn, target};
use reveille::{Outcome, TargetState, Urgency, Wake};

pub const MODELS: &[Model] = &[
    Model {
        name: "m23-cancel-begin",
        promises: &["P3", "P7", "P12"],
        law: "A wake that is cancelled as it starts is run or discarded, never both or neither.",
        threads: 2,
        extent: Extent::All,
        body: || cancel(false),
    },
    Model {
        name: "m23-cancel-wake-begin",
        promises: &["P3", "P7", "P12"],
        law: "Wakes that meet a cancel are each run or discarded once, and the target goes on.",
        threads: 3,
        extent: Extent::Preemptions(3),
        body: || cancel(true),
    },
];

/// A wake that failed once waits and is due again; it is cancelled as it starts, and maybe
/// another is requested.
///
/// Fails on: `cancel-by-load`, `cancel-keeps-wake`, `cancelled-counted-as-started`,
/// `begin-ignores-cancel` (with another).
fn cancel(again: bool) {
    let hub = hub(|policy| policy.run_limit = None);
    let mut engine = engine(&hub);
    install(&hub);
    let target = target(&hub, 0);
    assert!(target.wake(Wake::now().urgency(Urgency::Urgent)).is_accepted());
    engine.turn(at(1));
    let Some(failing) = engine.next_run() else { panic!("a wake that is due starts") };
    failing.finish(Outcome::failed());
    engine.turn(at(1));
    let floor = engine.deadline();
    engine.turn(floor);
    let canceller = spawn("canceller", {
        let target = target.clone();
        move || target.cancel()
    });
    let requester = again.then(|| {
        spawn("requester", {
            let target = target.clone();
            move || target.wake(Wake::now()).is_accepted()
        })
    });
    let mut started = 0;
    let mut serve = |run: Run| {
        // The first wake is urgent: what is not has nothing of it.
        let first = run.urgency() == Urgency::Urgent;
        assert_eq!(run.attempt(), if first { 2 } else { 1 }, "P7: attempts of a discarded wake");
        started += 1;
        run.finish(Outcome::ran());
    };
    while let Some(run) = engine.next_run() {
        serve(run);
    }
    let cancelled = u64::from(join(canceller));
    if let Some(requester) = requester {
        assert!(join(requester), "P3: an open hub refused");
    }
    drive(&mut engine, floor, &mut serve);
    let counters = hub.counters();
    assert_eq!(counters.discarded, cancelled, "P12: what the cancel said and what it counted");
    assert_eq!((counters.pending, target.state()), (0, TargetState::Idle), "P3: something waits");
    let ended = started + cancelled + counters.coalesced;
    assert_eq!(ended, 1 + u64::from(again), "P7: {started} runs: {counters:?}");
    conserved(&hub);
    assert!(target.wake(Wake::now()).is_accepted());
    let mut after = 0;
    drive(&mut engine, floor, |run| {
        after += 1;
        run.finish(Outcome::ran());
    });
    assert_eq!(after, 1, "P3: a wake after the cancel");
}
