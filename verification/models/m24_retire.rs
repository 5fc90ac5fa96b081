//! M24: retire ∥ start of a run.

use crate::model::{Extent, Model};
use crate::support::{Aside, Run, at, conserved, drive, engine, hub, install, join, spawn, target};
use reveille::{Outcome, Wake};
use std::time::Duration;

pub const MODELS: &[Model] = &[Model {
    name: "m24-retire-start",
    promises: &["P1", "P13"],
    law: "No run of a retired handler is in flight once its retirement has ended, and none starts.",
    threads: 2,
    extent: Extent::All,
    body: retire_start,
}];

/// A handler is retired, without patience, while the driver may be starting a run of it.
///
/// Fails on: `retire-does-not-close`, `retire-closes-first`, `generation-gate-not-passed`.
fn retire_start() {
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    let Ok(old) = hub.install(|_: &Run| Outcome::ran()) else { panic!("it is open") };
    let _ = target.wake(Wake::now());
    engine.turn(at(0));
    let over = Aside::default();
    let retiring = spawn("retiring", {
        let over = over.clone();
        move || {
            let done = old.retire(Duration::ZERO).is_ok();
            if done {
                over.put(1);
            }
            done
        }
    });
    let mut runs = 0;
    let started = engine.next_run();
    if let Some(run) = started {
        assert_eq!(over.put(0), 0, "P13: a run starts, or is in flight, after the retirement");
        runs += 1;
        run.finish(Outcome::ran());
    }
    let done = join(retiring);
    engine.turn(at(1));
    assert!(engine.next_run().is_none(), "P13: a run starts after the retirement");
    assert!(done || runs == 1, "a retirement waits only for a run that was there");
    // P3: what was not run waits for the next handler.
    install(&hub);
    engine.turn(at(2)); // notes it, and moves what waited
    drive(&mut engine, at(1_000_000), |run| {
        runs += 1;
        run.finish(Outcome::ran());
    });
    assert_eq!(runs, 1, "P3, P7: one wake");
    conserved(&hub);
}
