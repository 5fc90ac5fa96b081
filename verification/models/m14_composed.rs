//! M14: the composed hub with its real engine: producers, an installer, a driver.

use crate::model::{Extent, Model};
use crate::support::{
    Engine, Hub, JoinHandle, Sleep, Target, at, conserved, engine, hub, install, join, rest, spawn,
    target,
};
use reveille::{Outcome, Wake, Woken};
use reveille_core::sync::{AtomicU64, Ordering};
use std::sync::Arc;

pub const MODELS: &[Model] = &[
    Model {
        name: "m14-one-producer",
        promises: &["P3", "P4", "P6", "P12"],
        law: "A wake that meets a turn is run once, and the run sees what was written before it.",
        threads: 2,
        extent: Extent::All,
        body: one_producer,
    },
    Model {
        name: "m14-two-producers",
        promises: &["P3", "P4", "P6", "P12"],
        law: "Each wake that arms is one run, none that coalesces is, and each has a later run.",
        threads: 3,
        extent: Extent::Preemptions(3),
        body: two_producers,
    },
    Model {
        name: "m14-wakes-while-a-run-ends",
        promises: &["P3", "P6", "P12"],
        law: "Wakes during a run cause one further run.",
        threads: 2,
        extent: Extent::All,
        body: while_a_run_ends,
    },
    Model {
        name: "m14-producer-installer",
        promises: &["P3", "P12"],
        law: "A wake and the first install, in any order, are a run.",
        threads: 3,
        extent: Extent::Preemptions(5),
        body: producer_installer,
    },
    Model {
        name: "m14-producer-sleeping-driver",
        promises: &["P3", "P5"],
        law: "A driver that goes to sleep hears of a wake.",
        threads: 2,
        extent: Extent::All,
        body: || {
            sleeping_driver(true, |_, target| {
                vec![spawn("producer", move || assert!(target.wake(Wake::now()).is_accepted()))]
            });
        },
    },
    Model {
        name: "m14-producer-driver-that-comes",
        promises: &["P3", "P5"],
        law: "A driver that has just come and goes to sleep hears of a wake.",
        threads: 2,
        extent: Extent::All,
        body: || {
            driver_that_comes(true, |_, target| {
                spawn("producer", move || assert!(target.wake(Wake::now()).is_accepted(), "P3"))
            });
        },
    },
    Model {
        name: "m14-installer-driver-that-comes",
        promises: &["P3", "P5"],
        law: "A driver that has just come and goes to sleep hears of an install.",
        threads: 2,
        extent: Extent::All,
        body: || {
            driver_that_comes(false, |hub, _| {
                let hub = Arc::clone(hub);
                spawn("installer", move || _ = install(&hub))
            });
        },
    },
    Model {
        name: "m14-installer-sleeping-driver",
        promises: &["P3", "P5"],
        law: "A driver without a handler that goes to sleep hears of an install.",
        threads: 2,
        extent: Extent::All,
        body: || {
            sleeping_driver(false, |hub, target| {
                let _ = target.wake(Wake::now());
                let hub = Arc::clone(hub);
                vec![spawn("installer", move || assert!(install(&hub).is_some()))]
            });
        },
    },
    Model {
        name: "m14-producer-installer-sleeping-driver",
        promises: &["P3", "P5"],
        law: "A driver without a handler that goes to sleep hears of a wake and an install.",
        threads: 3,
        extent: Extent::Preemptions(3),
        body: || {
            sleeping_driver(false, |hub, target| {
                let hub = Arc::clone(hub);
                vec![
                    spawn("producer", move || assert!(target.wake(Wake::now()).is_accepted())),
                    spawn("installer", move || assert!(install(&hub).is_some())),
                ]
            });
        },
    },
];

/// Starts what is due, and ends it at once; what each run read of `data`.
fn runs_that_read<const N: usize>(engine: &mut Engine, data: &[AtomicU64; N]) -> Vec<[u64; N]> {
    let mut read = Vec::new();
    while let Some(run) = engine.next_run() {
        read.push(std::array::from_fn(|i| data[i].load(Ordering::Relaxed)));
        run.finish(Outcome::ran());
    }
    read
}

/// A turn and a start meet a wake.
///
/// Fails where the news are collected before the deadline is taken, and where a wake asks for its
/// deadline before it sets its ready bit.
fn one_producer() {
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    install(&hub);
    engine.turn(at(0));
    let data = Arc::new([AtomicU64::new(0)]);
    let producer = spawn("producer", {
        let data = Arc::clone(&data);
        move || {
            data[0].store(1, Ordering::Relaxed);
            target.wake(Wake::now())
        }
    });
    engine.turn(at(1));
    let mut read = runs_that_read(&mut engine, &data);
    let woken = join(producer);
    read.extend(rest(&mut engine, at(1)).iter().map(|_| [1]));
    assert_eq!(woken, Woken::Armed, "P3");
    assert_eq!(read, [[1]], "P3, P4, P6: what each run read");
    conserved(&hub);
}

/// A turn and a start meet two wakes of one target.
///
/// Fails without either fence of a wake that coalesces unwritten.
fn two_producers() {
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    install(&hub);
    engine.turn(at(0));
    let data = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let producers = [0, 1].map(|i| {
        let (target, data) = (target.clone(), Arc::clone(&data));
        spawn(["producer", "another producer"][i], move || {
            data[i].store(1, Ordering::Relaxed);
            target.wake(Wake::now())
        })
    });
    engine.turn(at(1));
    let mut read = runs_that_read(&mut engine, &data);
    let armed = producers.map(join).iter().filter(|woken| **woken == Woken::Armed).count();
    read.extend(rest(&mut engine, at(1)).iter().map(|_| [1, 1]));
    assert_eq!(read.len(), armed, "P6: {armed} wakes armed, and runs that read {read:?}");
    for i in [0, 1] {
        assert!(read.iter().any(|read| read[i] == 1), "P3, P4: producer {i}, runs read {read:?}");
    }
    conserved(&hub);
}

/// A wake waits behind a run that has ended; the turn that collects it meets another wake.
///
/// Fails where a wake during a run is nothing but a flag.
fn while_a_run_ends() {
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    install(&hub);
    let _ = target.wake(Wake::now());
    engine.turn(at(1));
    let Some(run) = engine.next_run() else { panic!("P3: it is due") };
    let _ = target.wake(Wake::now());
    // It is in flight until the driver collects this.
    run.finish(Outcome::ran());
    let producer = spawn("producer", move || target.wake(Wake::now()));
    engine.turn(at(1));
    let woken = join(producer);
    let started = rest(&mut engine, at(1));
    assert_eq!(started.len(), 1, "P3, P6: one wake behind a run, another {woken:?}: {started:?}");
    conserved(&hub);
}

/// A turn and a start meet the first install and a wake.
///
/// Fails where a wake that arms does not publish.
fn producer_installer() {
    let hub = Arc::new(hub(|_| {}));
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    engine.turn(at(0));
    let producer = spawn("producer", move || target.wake(Wake::now()));
    let installer = spawn("installer", {
        let hub = Arc::clone(&hub);
        move || install(&hub)
    });
    engine.turn(at(1));
    let mut runs = 0;
    while let Some(run) = engine.next_run() {
        runs += 1;
        run.finish(Outcome::ran());
    }
    assert_eq!(join(producer), Woken::Armed, "P3");
    assert!(join(installer).is_some(), "P2: an open hub refused a handler");
    runs += rest(&mut engine, at(1)).len();
    assert_eq!(runs, 1, "P3, P6: one wake, {runs} runs");
    conserved(&hub);
}

/// A driver that has just come sets its ringer, turns, and goes to sleep, beside another thread.
///
/// Fails where the deadline's request does not acquire, or its take does not release (argument D).
fn driver_that_comes(has_handler: bool, other: fn(&Arc<Hub>, Target) -> JoinHandle<()>) {
    let hub = Arc::new(hub(|_| {}));
    let target = target(&hub, 0);
    if has_handler {
        install(&hub);
    } else {
        let _ = target.wake(Wake::now());
    }
    let other = other(&hub, target);
    let mut engine = engine(&hub);
    let sleep = Sleep::of(&engine);
    engine.turn(at(1));
    let mut runs = 0;
    while let Some(run) = engine.next_run() {
        runs += 1;
        run.finish(Outcome::ran());
    }
    let now = if runs == 0 { sleep.until_next(&engine, at(1)) } else { at(1) };
    join(other);
    runs += rest(&mut engine, now).len();
    assert_eq!(runs, 1, "P3, P6: one wake, {runs} runs");
    conserved(&hub);
}

/// A driver turns and goes to sleep. loom calls it a deadlock if it sleeps and nobody rings.
///
/// Fails for a producer where a dozing driver does not look at the deadline again, where the news
/// are collected before the deadline is taken, and where the slot is confirmed by a load; for an
/// installer where it rings by what the bell says.
fn sleeping_driver(has_handler: bool, others: fn(&Arc<Hub>, Target) -> Vec<JoinHandle<()>>) {
    let hub = Arc::new(hub(|_| {}));
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    if has_handler {
        install(&hub);
    }
    let sleep = Sleep::of(&engine);
    engine.turn(at(0));
    let others = others(&hub, target);
    engine.turn(at(1));
    let now = sleep.until_next(&engine, at(1));
    others.into_iter().for_each(join);
    let started = rest(&mut engine, now);
    assert_eq!(started.len(), 1, "P3, P6: one wake, ran: {started:?}");
    conserved(&hub);
}
