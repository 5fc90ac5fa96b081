//! M20: driver dropped in mid-turn ∥ wake ∥ new driver.

use crate::model::{Extent, Model};
use crate::support::{
    Aside, Run, Sleep, at, conserved, drive, engine, hub, install, join, spawn, target,
};
use reveille::{Outcome, Wake};

pub const MODELS: &[Model] = &[
    Model {
        name: "m20-dropped-after-turn",
        promises: &["P3", "P6", "P12"],
        law: "A wake that a dropped driver had taken in is run by the next one.",
        threads: 3,
        extent: Extent::All,
        body: || handover(false),
    },
    Model {
        name: "m20-dropped-with-a-run",
        promises: &["P3", "P6", "P7", "P12"],
        law: "A run that a dropped driver had handed out is collected by the next one.",
        threads: 3,
        extent: Extent::All,
        body: || handover(true),
    },
    Model {
        name: "m20-dropped-asleep",
        promises: &["P3", "P5"],
        law: "A wake rings the driver that sleeps now, not the one that slept before.",
        threads: 3,
        extent: Extent::Preemptions(4),
        body: asleep,
    },
];

/// The old driver turns, maybe starts a run, and is dropped; another takes its seat when it can.
///
/// Fails on: `driver-takes-its-state-along`, `two-drivers`, `end-without-bit` (with a run),
/// `deadline-taken-after-collecting`, `deadline-before-bit` (without).
fn handover(starts: bool) {
    let hub = hub(|policy| policy.run_limit = None);
    let mut old = engine(&hub);
    install(&hub);
    let target = target(&hub, 0);
    old.turn(at(0));
    let (runs, drives) = (Aside::default(), Aside::default());
    drives.put(1);
    let driver = spawn("old driver", {
        let (runs, drives) = (runs.clone(), drives.clone());
        move || {
            old.turn(at(1));
            let run = if starts { old.next_run() } else { None };
            drives.put(0);
            drop(old);
            if let Some(run) = run {
                runs.count();
                run.finish(Outcome::ran());
            }
        }
    });
    let requester = spawn("requester", move || target.wake(Wake::now()).is_accepted());
    let serve = |run: Run| {
        runs.count();
        run.finish(Outcome::ran());
    };
    let mut new = hub.engine().ok();
    if let Some(new) = &mut new {
        assert_eq!(drives.put(2), 0, "two drivers at once");
        new.turn(at(2));
        while let Some(run) = new.next_run() {
            serve(run);
        }
    }
    join(driver);
    assert!(join(requester), "P3: an open hub refused");
    let mut new = new.unwrap_or_else(|| engine(&hub));
    drive(&mut new, at(2), serve);
    let runs = runs.count();
    assert_eq!(runs, 1, "P3, P7: one wake, {runs} runs");
    assert_eq!((new.active(), hub.snapshot().in_flight), (0, 0), "P10: a run is not collected");
    conserved(&hub);
}

/// The old driver is dropped as it falls asleep; the new one sleeps until it is rung.
///
/// Fails on: `seat-free-before-the-bell`, `doze-without-a-look`, `deadline-before-bit`.
fn asleep() {
    let hub = hub(|_| {});
    let mut old = engine(&hub);
    let _old_bell = Sleep::of(&old);
    install(&hub);
    let target = target(&hub, 0);
    old.turn(at(0));
    let driver = spawn("old driver", move || {
        let until = old.arm();
        let _ = old.doze(until);
        drop(old);
    });
    let requester = spawn("requester", move || target.wake(Wake::now()).is_accepted());
    let (mut new, driver) = match hub.engine() {
        Ok(new) => (new, Some(driver)),
        Err(_) => {
            join(driver);
            (engine(&hub), None)
        }
    };
    let bell = Sleep::of(&new);
    let mut runs = 0;
    let mut now = at(0);
    while runs == 0 {
        new.turn(now);
        while let Some(run) = new.next_run() {
            runs += 1;
            run.finish(Outcome::ran());
        }
        if runs == 0 {
            now = bell.until_next(&new, now);
        }
    }
    assert!(join(requester), "P3: an open hub refused");
    if let Some(driver) = driver {
        join(driver);
    }
    drive(&mut new, now, |_| panic!("P7: it was served"));
    conserved(&hub);
}
