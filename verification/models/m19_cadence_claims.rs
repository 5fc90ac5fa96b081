//! M19: cadence claim ∥ stale runner's stop.
//!
//! A cadence that a runner has claimed is that runner's: of two that overlap the newer one keeps what
//! both have claimed, however their steps meet. Settings by hand are nobody's: the latest wins.

use crate::model::{Extent, Model};
use crate::support::{
    Aside, Run, at, conserved, drive, engine, every, hub, install, join, spawn, target,
};
use reveille::{Disposal, Outcome, Registration, Roster, Tick};

const OLD: u64 = 700;
const NEW: u64 = 1_000;

pub const MODELS: &[Model] = &[
    Model {
        name: "m19-beat-stale-dispose",
        promises: &["P1", "P8"],
        law: "A stale dispose takes neither the handler nor the cadence of the runner that came.",
        threads: 3,
        extent: Extent::All,
        body: stale_dispose,
    },
    Model {
        name: "m19-claim-stale-stop",
        promises: &["P1", "P8", "P17"],
        law: "A stale runner's stop leaves what a newer runner has claimed, or claims meanwhile.",
        threads: 2,
        extent: Extent::Preemptions(5),
        body: claim_stale_stop,
    },
    Model {
        name: "m19-beat-stop-beating",
        promises: &["P8", "P17"],
        law: "Of a cadence set and one removed the later call wins, whole, whoever made it.",
        threads: 3,
        extent: Extent::Preemptions(3),
        body: || latest_setting(None),
    },
    Model {
        name: "m19-change-stop-beating",
        promises: &["P8", "P17"],
        law: "Of a cadence changed and one removed the later call wins; the old one is gone.",
        threads: 3,
        extent: Extent::Preemptions(4),
        body: || latest_setting(Some(OLD)),
    },
];

/// A reload: the new runner starts, with the same cadence, while the old one stops.
///
/// Fails on: `cadence-taken-back-whoevers`, `setting-by-load-then-store`,
/// `unchanged-claim-keeps-its-owner`.
fn claim_stale_stop() {
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    let roster = || Roster::new().with(0, every(NEW));
    let Ok(old) = hub.runner(|_: &Run| Outcome::ran(), roster()) else { panic!("it is open") };
    engine.turn(at(0));
    let stale = spawn("stale runner", move || old.stop());
    let Ok(new) = hub.runner(|_: &Run| Outcome::ran(), roster()) else { panic!("it is open") };
    let stopped = join(stale);
    engine.turn(at(1));
    let target = target(&hub, 0);
    assert_eq!(target.snapshot().owner, Some(new.generation()), "P1: {stopped:?}");
    assert_eq!(stopped.taken_back + stopped.stale, 1, "P1: it was one of the two");
    // Taken back first, it starts anew; else it goes on (P17). Either way it beats at the same time.
    let mut started = Vec::new();
    drive(&mut engine, at(2 * NEW - 1), |run| {
        started.push(run.started());
        run.finish(Outcome::ran());
    });
    assert_eq!(started.len(), 1, "P8: {started:?}, {stopped:?}");
    drop(new);
    conserved(&hub);
}

/// A new runner installs and claims the cadence while the old one disposes of its handler.
///
/// Fails on: `disposes-whatever-is-there`, `command-behind-its-bit`.
fn stale_dispose() {
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    let Ok(stale) = hub.install(|_: &Run| Outcome::ran()) else { panic!("it is open") };
    engine.turn(at(0));
    let new = spawn("new runner", {
        let (hub, target) = (hub.clone(), target.clone());
        move || {
            let Ok(new) = hub.install(|_: &Run| Outcome::ran()) else { panic!("it is open") };
            assert!(target.beat(every(NEW)).is_ok());
            new
        }
    });
    let old = spawn("stale runner", move || stale.dispose());
    engine.turn(at(0));
    let new: Registration<u32> = join(new);
    let disposal = join(old);
    assert_ne!(disposal, Disposal::AlreadyDisposed, "it disposed once");
    drive(&mut engine, at(0), |run| panic!("nothing is due: {run:?}"));
    assert!(new.is_current(), "P1: the stale dispose removed the new handler");
    assert_eq!(target.snapshot().next_beat, Some(at(NEW)), "P8: it took the new cadence");
    assert_eq!(engine.deadline(), at(NEW), "P8: the cadence is not armed");
    let mut beats = 0;
    drive(&mut engine, at(NEW), |run| {
        assert_eq!(run.generation(), new.generation());
        beats += 1;
        run.finish(Outcome::ran());
    });
    assert_eq!(beats, 1, "P8: the new runner's beat");
    conserved(&hub);
}

/// One runner sets a cadence, another removes it, and the driver turns.
///
/// Fails on: `command-behind-its-bit`, `command-first-wins`, `command-taken-by-load-and-store`,
/// `stop-beating-keeps-cadence`, a relaxed ready set.
fn latest_setting(in_force: Option<u64>) {
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    install(&hub);
    if let Some(period) = in_force {
        assert!(target.beat(every(period)).is_ok());
    }
    engine.turn(at(0));
    // When each call began and ended, in the order of execution.
    let step = Aside::default();
    let setter = spawn("setter", {
        let (target, step) = (target.clone(), step.clone());
        move || {
            let begun = step.count();
            assert!(target.beat(every(NEW)).is_ok());
            (begun, step.count())
        }
    });
    let remover = spawn("remover", {
        let (target, step) = (target.clone(), step.clone());
        move || {
            let begun = step.count();
            target.stop_beating();
            (begun, step.count())
        }
    });
    engine.turn(at(0));
    let (set, removed) = (join(setter), join(remover));
    drive(&mut engine, at(0), |run| panic!("nothing is due: {run:?}"));
    let next = target.snapshot().next_beat;
    let beats = next.is_some();
    assert!(next.is_none_or(|next| next == at(NEW)), "P8: the old cadence is left: {next:?}");
    assert!(set.1 >= removed.0 || !beats, "P17: the later call removed it");
    assert!(removed.1 >= set.0 || beats, "P8: the later call set it");
    assert_eq!(engine.deadline() == Tick::NEVER, !beats, "P8: shown and armed do not agree");
    let mut runs = 0;
    drive(&mut engine, at(NEW), |run| {
        runs += 1;
        run.finish(Outcome::ran());
    });
    assert_eq!(runs, u64::from(beats), "P8: runs of the setting that won");
    conserved(&hub);
}
