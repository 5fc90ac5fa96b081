//! M18: install, then a wake by the same thread ∥ the driver.

use crate::model::{Extent, Model};
use crate::support::{
    Engine, Hub, Started, at, conserved, engine, hub, install, join, rest, spawn, target,
};
use reveille::{Outcome, Wake};
use reveille_core::Generation;
use std::sync::Arc;

const LAW: &str = "A wake after an install keeps its own due, and runs under that handler or a \
                   later one.";

pub const MODELS: &[Model] = &[
    Model {
        name: "m18-install-wake",
        promises: &["P3", "P5", "P9"],
        law: LAW,
        threads: 2,
        extent: Extent::All,
        body: install_wake,
    },
    Model {
        name: "m18-install-wake-of-a-seen-word",
        promises: &["P3", "P5", "P9"],
        law: LAW,
        threads: 2,
        extent: Extent::All,
        body: install_wake_of_a_seen_word,
    },
    Model {
        name: "m18-install-wake-behind-a-run",
        promises: &["P3", "P5", "P9"],
        law: LAW,
        threads: 2,
        extent: Extent::All,
        body: install_wake_behind_a_run,
    },
    Model {
        name: "m18-wakes-while-the-install-is-noted",
        promises: &["P3", "P5", "P9"],
        law: LAW,
        threads: 2,
        extent: Extent::All,
        body: wakes_while_noting,
    },
    Model {
        name: "m18-install-wake-beside-a-start",
        promises: &["P3", "P9"],
        law: "A wake after an install is not served by the handler before it alone.",
        threads: 2,
        extent: Extent::All,
        body: install_wake_beside_a_start,
    },
];

/// A hub with a handler that its driver knows.
fn noted() -> (Arc<Hub>, Engine) {
    let hub = Arc::new(hub(|_| {}));
    let mut engine = engine(&hub);
    install(&hub);
    engine.turn(at(0));
    (hub, engine)
}

/// All that was woken for 5 must start at the turn of 5, under `generation` or a later handler.
fn in_time(engine: &mut Engine, keys: &[u32], generation: Option<Generation>) {
    let Some(generation) = generation else { panic!("P2: an open hub refused a handler") };
    let armed = engine.arm();
    assert!(armed <= at(5), "P5: due at 5, and the driver sleeps until {armed:?}");
    engine.turn(at(5));
    let mut started = Vec::new();
    while let Some(run) = engine.next_run() {
        started.push((*run.key(), run.generation()));
        run.finish(Outcome::ran());
    }
    let due: Vec<_> = keys.iter().map(|&key| (key, generation)).collect();
    assert_eq!(started, due, "P5, P9: what started at 5 (left), and what was to start there");
}

/// An install and the first wake of a target meet a turn.
///
/// Fails where news is taken in although an install is not noted (`must_note`).
fn install_wake() {
    let (hub, mut engine) = noted();
    let target = target(&hub, 0);
    let installer = spawn("installer", {
        let hub = Arc::clone(&hub);
        move || {
            let generation = install(&hub);
            let _ = target.wake(Wake::at(at(5)));
            generation
        }
    });
    engine.turn(at(1));
    let generation = join(installer);
    in_time(&mut engine, &[0], generation);
    conserved(&hub);
}

/// The same, and a wake waits that serves the new one.
///
/// Fails on the same, where requests do not pass what the driver has seen while an install is
/// unnoted, and where an install is noted before what waited is moved.
fn install_wake_of_a_seen_word() {
    let (hub, mut engine) = noted();
    let target = target(&hub, 0);
    let _ = target.wake(Wake::at(at(5)));
    engine.turn(at(0));
    let installer = spawn("installer", {
        let hub = Arc::clone(&hub);
        move || {
            let generation = install(&hub);
            let _ = target.wake(Wake::at(at(5)));
            generation
        }
    });
    engine.turn(at(1));
    let generation = join(installer);
    in_time(&mut engine, &[0], generation);
    conserved(&hub);
}

/// The same, and a run has ended that the turn collects.
///
/// Fails on the same, and where the end of a run does not note the install first.
fn install_wake_behind_a_run() {
    let (hub, mut engine) = noted();
    let target = target(&hub, 0);
    let _ = target.wake(Wake::now());
    engine.turn(at(0));
    let Some(run) = engine.next_run() else { panic!("P3: it is due") };
    run.finish(Outcome::ran());
    let installer = spawn("installer", {
        let hub = Arc::clone(&hub);
        move || {
            let generation = install(&hub);
            let _ = target.wake(Wake::at(at(5)));
            generation
        }
    });
    engine.turn(at(1));
    let generation = join(installer);
    in_time(&mut engine, &[0], generation);
    conserved(&hub);
}

/// Two targets are moved by one install, and woken meanwhile: noting one must not pass for noting
/// both.
///
/// Fails where noting nests (`noting`).
fn wakes_while_noting() {
    let (hub, mut engine) = noted();
    let targets = [0, 1].map(|key| target(&hub, key));
    for target in &targets {
        let _ = target.wake(Wake::at(at(5)));
    }
    engine.turn(at(0));
    let generation = install(&hub);
    let producer = spawn("producer", move || {
        for target in &targets {
            let _ = target.wake(Wake::at(at(5)));
        }
    });
    engine.turn(at(1));
    join(producer);
    in_time(&mut engine, &[0, 1], generation);
    conserved(&hub);
}

/// A start that was decided on before the install.
fn install_wake_beside_a_start() {
    let (hub, mut engine) = noted();
    let target = target(&hub, 0);
    let _ = target.wake(Wake::now());
    engine.turn(at(0));
    let installer = spawn("installer", {
        let hub = Arc::clone(&hub);
        move || {
            let generation = install(&hub);
            let _ = target.wake(Wake::now());
            generation
        }
    });
    let mut started = Vec::new();
    while let Some(run) = engine.next_run() {
        started.push(Started::of(&run));
        run.finish(Outcome::ran());
    }
    let generation = join(installer);
    started.extend(rest(&mut engine, at(1)));
    assert!(
        started.iter().any(|run| Some(run.generation) >= generation),
        "P3: woken after {generation:?} was installed, ran: {started:?}"
    );
    conserved(&hub);
}
