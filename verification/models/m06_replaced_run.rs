//! M6: replace ∥ completion of an old run.

use crate::model::{Extent, Model};
use crate::support::{
    Run, WINDOW, at, conserved, drive, engine, hub, install, join, spawn, target,
};
use reveille::{Last, OnReplace, Outcome, TargetState, Wake};

/// How a wake that passes on is told from one that was served.
struct Replaced {
    on_replace: OnReplace,
    /// How the old run ends.
    outcome: fn() -> Outcome,
    /// Whether the install is on a thread of its own.
    apart: bool,
}

pub const MODELS: &[Model] = &[
    Model {
        name: "m06-replace-finishing-run",
        promises: &["P6", "P7", "P12"],
        law: "A run that outlives its handler serves its wake, and no other run does.",
        threads: 3,
        extent: Extent::Preemptions(4),
        body: || {
            let on_replace = OnReplace::Finish;
            replace(&Replaced { on_replace, outcome: Outcome::ran, apart: true });
        },
    },
    Model {
        name: "m06-replace-failing-run",
        promises: &["P6", "P7", "P9", "P12"],
        law: "The wake of a run that fails while it is replaced passes on once, without a floor.",
        threads: 3,
        extent: Extent::Preemptions(4),
        body: || {
            let on_replace = OnReplace::Finish;
            replace(&Replaced { on_replace, outcome: Outcome::failed, apart: true });
        },
    },
    Model {
        name: "m06-cancel-finishing-run",
        promises: &["P6", "P7", "P12"],
        law: "A run is served or cancelled: its wake passes on exactly where its end was late.",
        threads: 2,
        extent: Extent::All,
        body: || {
            let on_replace = OnReplace::Cancel;
            replace(&Replaced { on_replace, outcome: Outcome::ran, apart: false });
        },
    },
    Model {
        name: "m06-cancel-failing-run",
        promises: &["P6", "P7", "P9", "P12"],
        law: "The late failure of a cancelled run touches neither the next run nor its target.",
        threads: 3,
        extent: Extent::Preemptions(3),
        body: || {
            let on_replace = OnReplace::Cancel;
            replace(&Replaced { on_replace, outcome: Outcome::failed, apart: true });
        },
    },
];

/// A run of the first handler ends while the second is installed and the driver turns.
///
/// Fails on: `replaced-run-served-twice`, `end-without-bit` (finishing run),
/// `floor-of-the-old-handler` (failing run), `any-run-completes`, `late-end-takes-effect`,
/// `cancelled-run-stays-in-gate`, `late-end-leaves-gate` (cancelled runs).
fn replace(scene: &Replaced) {
    let hub = hub(|policy| policy.on_replace = scene.on_replace);
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    install(&hub);
    assert!(target.wake(Wake::now()).is_accepted());
    engine.turn(at(1));
    let Some(old) = engine.next_run() else { panic!("a wake that is due starts") };
    let first = old.generation();
    let outcome = scene.outcome;
    let worker = spawn("worker", move || old.finish(outcome()));
    let installer = match scene.apart {
        true => Some(spawn("installer", {
            let hub = hub.clone();
            move || _ = install(&hub)
        })),
        false => {
            install(&hub);
            None
        }
    };
    engine.turn(at(1));
    // One window on whatever waited may start, also while the old run's end is still to come.
    let moved = at(1) + WINDOW;
    let mut passed_on = 0;
    let mut serve = |run: Run| {
        assert!(run.generation() > first, "P7: it ran again under its own handler");
        assert_eq!(run.attempt(), 1, "P9: a new handler starts clean");
        passed_on += 1;
        run.finish(Outcome::ran());
    };
    engine.turn(moved);
    while let Some(run) = engine.next_run() {
        serve(run);
    }
    if let Some(installer) = installer {
        join(installer);
    }
    join(worker);
    // Far before the floor of a failure.
    for now in [moved, moved + WINDOW] {
        drive(&mut engine, now, &mut serve);
    }
    let counters = hub.counters();
    let late = counters.late_completions;
    match (scene.on_replace, matches!((scene.outcome)(), Outcome::Done(_))) {
        (OnReplace::Finish, served) => {
            assert_eq!(late, 0, "P7: nobody ended that run but its worker");
            assert_eq!(passed_on, u64::from(!served), "P7: runs after the old one");
        }
        (OnReplace::Cancel, true) => {
            assert!(passed_on == late && late <= 1, "P7: {passed_on} runs, {late} late");
        }
        (OnReplace::Cancel, false) => {
            assert!(passed_on == 1 && late <= 1, "P7: {passed_on} runs, {late} late");
        }
    }
    let shown = target.snapshot();
    assert_eq!(shown.state, TargetState::Idle, "P7: something is left");
    assert!(matches!(shown.last, Some((Last::Ran, _))), "P7: {:?}", shown.last);
    assert_eq!(hub.snapshot().in_flight, 0, "P13: a run left the gate twice or not at all");
    conserved(&hub);
}
