//! M28: revive ∥ wake, and ∥ turn.

use crate::model::{Extent, Model};
use crate::support::{at, drive, hub_of, join, spawn};
use reveille::{Engine, Merge, Outcome, Reveille, Run, Target, Wake};
use std::num::NonZeroU32;

pub const MODELS: &[Model] = &[
    Model {
        name: "m28-revive-wake",
        promises: &["P3", "P7", "P12"],
        law: "What was given up and is revived beside a wake comes back once, with its payload.",
        threads: 2,
        extent: Extent::All,
        body: || revive(false),
    },
    Model {
        name: "m28-revive-turn",
        promises: &["P3", "P7", "P12"],
        law: "What was given up comes back once beside a turn, or a run was done meanwhile.",
        threads: 2,
        extent: Extent::All,
        body: || revive(true),
    },
];

/// Who asked: a sum shows what came twice, and what did not come.
#[derive(Clone, Debug)]
struct Sum(u64);

impl Merge for Sum {
    fn merge(&mut self, later: Self) {
        self.0 += later.0;
    }
}

type Parts = (Reveille<u32, (), Sum>, Engine<u32, (), Sum>, Target<u32, (), Sum>);

/// A hub whose one target was given up, with a payload of 1.
fn poisoned() -> Parts {
    let hub: Reveille<u32, (), Sum> = hub_of(|policy| policy.max_attempts = NonZeroU32::MIN);
    let Ok(mut engine) = hub.engine() else { panic!("nobody drives it") };
    let Ok(registration) = hub.install(|_: &Run<u32, (), Sum>| ()) else { panic!("it is open") };
    registration.keep();
    let Ok(target) = hub.target(0) else { panic!("it is open, and has room") };
    assert!(target.wake(Wake::now().with(Sum(1))).is_accepted());
    engine.turn(at(0));
    let Some(run) = engine.next_run() else { panic!("it is due") };
    run.finish(Outcome::failed());
    engine.turn(at(0));
    assert!(target.is_poisoned(), "it was given up");
    (hub, engine, target)
}

/// Fails on, beside a wake alone: `revived-without-its-payload`, `revive-keeps-the-floor`.
fn revive(turns: bool) {
    let (hub, mut engine, target) = poisoned();
    // Beside turns past the floor that the failure left, so that a run may come before the revival.
    let now = at(if turns { 2_000_000 } else { 1 });
    engine.turn(now);
    let reviver = spawn("reviver", {
        let target = target.clone();
        move || target.revive()
    });
    let (mut came, mut before, mut runs) = (0, 0, 0);
    let mut serve = |run: Run<u32, (), Sum>| {
        came += run.payload().map_or(0, |sum| sum.0);
        runs += 1;
        run.finish(Outcome::ran());
    };
    assert!(target.wake(Wake::now().with(Sum(10))).is_accepted(), "P3: an open hub refused");
    if turns {
        engine.turn(now);
        if let Some(run) = engine.next_run() {
            before += 1;
            serve(run);
        }
    }
    let revived = join(reviver);
    drive(&mut engine, now, serve);
    // A run that is done takes the poison away, be it asked for or not.
    let done_with = came == 10 && before == 1;
    assert!(came == 11 && revived || done_with, "P7: {came}, revived: {revived}");
    assert!(runs == 1 || before == 1 && runs == 2, "P7: {runs} runs");
    assert!(!target.is_poisoned(), "a run was done");
    assert!(hub.counters().is_conserved(), "P12: {:?}", hub.counters());
}
