//! M25: awaited wakes ∥ start, cancel, stop, and a run that gives them back.

use crate::model::{Extent, Model};
use crate::support::{
    Engine, Hub, Target, at, conserved, drive, engine, hub, install, join, spawn, target,
};
use loom::sync::atomic::AtomicU64;
use reveille::{Answer, Done, Outcome, Ticket, Unserved, Wake};
use reveille_core::sync::Ordering;
use std::sync::Arc;

pub const MODELS: &[Model] = &[
    Model {
        name: "m25-await-start",
        promises: &["P3", "P4", "P7"],
        law: "A ticket ends with a run that has seen what was written before its wake.",
        threads: 2,
        extent: Extent::All,
        body: || await_start(false),
    },
    Model {
        name: "m25-await-merge-start",
        promises: &["P3", "P4", "P7"],
        law: "A ticket that shares a batch ends with a run that has seen what came before it.",
        threads: 2,
        extent: Extent::All,
        body: || await_start(true),
    },
    Model {
        name: "m25-answer-end",
        promises: &["P6", "P7"],
        law: "Who reads the answer of a ticket sees what the run did that ended it.",
        threads: 2,
        extent: Extent::All,
        body: || answered(Outcome::ran(), Ok(Done::Ran)),
    },
    Model {
        name: "m25-answer-deferral",
        promises: &["P6", "P7"],
        law: "Who learns of a deferral sees what the run did that gave the wake back.",
        threads: 2,
        extent: Extent::All,
        body: || answered(Outcome::busy(), Err(Unserved::Deferred)),
    },
    Model {
        name: "m25-await-cancel",
        promises: &["P3", "P7"],
        law: "A ticket whose wake meets a cancel ends as cancelled or with a run.",
        threads: 2,
        extent: Extent::All,
        body: await_cancel,
    },
    Model {
        name: "m25-await-stop",
        promises: &["P7", "P13"],
        law: "A ticket whose wake meets a stop ends, or its wake was refused.",
        threads: 2,
        extent: Extent::All,
        body: await_stop,
    },
    Model {
        name: "m25-start-stop",
        promises: &["P13"],
        law: "A stop ends the ticket of a run that starts beside it.",
        threads: 2,
        extent: Extent::All,
        body: start_stop,
    },
    Model {
        name: "m25-given-back-cancel",
        promises: &["P3", "P7"],
        law: "A ticket whose run gives its wake back beside a cancel ends with the wake.",
        threads: 2,
        extent: Extent::All,
        body: || given_back(|_, target| _ = target.cancel()),
    },
    Model {
        name: "m25-given-back-remove",
        promises: &["P3", "P7"],
        law: "A ticket whose run gives its wake back beside a removal ends with the wake.",
        threads: 2,
        extent: Extent::All,
        body: || given_back(|_, target| _ = target.remove()),
    },
    Model {
        name: "m25-given-back-stop",
        promises: &["P7", "P13"],
        law: "A ticket whose run gives its wake back beside a stop ends.",
        threads: 2,
        extent: Extent::All,
        body: || given_back(|hub, _| drop(hub.stop())),
    },
];

fn awaited(target: &Target) -> Ticket {
    match target.wake_awaited(Wake::now()) {
        Ok(ticket) => ticket,
        Err(refused) => panic!("{refused:?}"),
    }
}

fn rest(engine: &mut Engine) {
    drive(engine, at(2_000_000), |run| run.finish(Outcome::ran()));
}

/// A wake waits, or an awaited one; an awaited one meets its start.
///
/// Fails on: `ticket-put-in-behind-the-word`, `ticket-joins-unwritten` (beside an awaited one).
fn await_start(is_awaited: bool) {
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    install(&hub);
    let first = is_awaited.then(|| awaited(&target));
    let _ = first.is_none() && target.wake(Wake::now()).is_accepted();
    engine.turn(at(0));
    let data = Arc::new(AtomicU64::new(0));
    let producer = spawn("producer", {
        let (target, data) = (target.clone(), Arc::clone(&data));
        move || {
            data.store(1, Ordering::Relaxed);
            awaited(&target)
        }
    });
    let mut seen = Vec::new();
    if let Some(run) = engine.next_run() {
        seen.push(data.load(Ordering::Relaxed));
        run.finish(Outcome::ran());
    }
    let ticket = join(producer);
    engine.turn(at(0));
    if ticket.answer().is_some() {
        assert_eq!(seen, [1], "P4: the run that ended the ticket had not seen it");
    }
    rest(&mut engine);
    for ticket in first.iter().chain([&ticket]) {
        assert_eq!(ticket.answer(), Some(Ok(Done::Ran)), "P3: a ticket that never ends");
    }
    conserved(&hub);
}

/// Fails on: `cancel-forgets-tickets`, `cancel-beside-an-awaited-wake`.
fn await_cancel() {
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    install(&hub);
    let _ = target.wake(Wake::now());
    engine.turn(at(0));
    let canceller = spawn("canceller", {
        let target = target.clone();
        move || target.cancel()
    });
    let ticket = awaited(&target);
    let cancelled = join(canceller);
    let mut runs = 0;
    drive(&mut engine, at(1), |run| {
        runs += 1;
        run.finish(Outcome::ran());
    });
    match ticket.answer() {
        Some(Ok(Done::Ran)) => assert_eq!(runs, 1, "P7"),
        Some(Err(Unserved::Cancelled)) => assert!(cancelled && runs == 0, "its wake ran"),
        other => panic!("P3: {other:?}, {runs} runs"),
    }
    conserved(&hub);
}

/// Fails on: `close-forgets-tickets`.
fn await_stop() {
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    install(&hub);
    engine.turn(at(0));
    let stopper = spawn("stopper", {
        let hub = hub.clone();
        move || drop(hub.stop())
    });
    let ticket = target.wake_awaited(Wake::now());
    join(stopper);
    rest(&mut engine);
    if let Ok(ticket) = ticket {
        assert_eq!(ticket.answer(), Some(Err(Unserved::Stopped)), "P13: a waiter is left");
    }
    conserved(&hub);
}

/// Fails on: `stop-forgets-running-tickets`, `running-tickets-looked-first`.
fn start_stop() {
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    install(&hub);
    let ticket = awaited(&target);
    engine.turn(at(0));
    let stopper = spawn("stopper", {
        let hub = hub.clone();
        move || drop(hub.stop())
    });
    let run = engine.next_run();
    join(stopper);
    assert_eq!(ticket.answer(), Some(Err(Unserved::Stopped)), "P13: {run:?} hangs, and its waiter");
    drop(run);
    rest(&mut engine);
    conserved(&hub);
}

/// Fails on: `given-back-without-tickets`, `given-back-beside-a-cancel`.
fn given_back(ends: fn(&Hub, &Target)) {
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    install(&hub);
    let ticket = awaited(&target);
    engine.turn(at(0));
    let Some(run) = engine.next_run() else { panic!("it is due") };
    run.finish(Outcome::busy());
    let ender = spawn("ender", {
        let (hub, target) = (hub.clone(), target.clone());
        move || ends(&hub, &target)
    });
    engine.turn(at(1));
    join(ender);
    let mut runs = 0;
    drive(&mut engine, at(2_000_000), |run| {
        runs += 1;
        run.finish(Outcome::ran());
    });
    match ticket.answer() {
        Some(Ok(_)) => assert_eq!(runs, 1, "P7"),
        Some(Err(_)) => assert_eq!(runs, 0, "the wake of an ended ticket ran"),
        None => panic!("P3: a ticket that never ends; {runs} runs"),
    }
    conserved(&hub);
}

/// A run writes something, and ends or gives its wake back; its ticket is asked meanwhile.
fn answered(outcome: Outcome, answer: Answer) {
    let hub = hub(|_| {});
    let mut engine = engine(&hub);
    let target = target(&hub, 0);
    install(&hub);
    let ticket = awaited(&target).or_deferral();
    engine.turn(at(0));
    let data = Arc::new(AtomicU64::new(0));
    let waiter = spawn("waiter", {
        let data = Arc::clone(&data);
        move || {
            let answer = ticket.answer();
            (answer.is_some().then(|| data.load(Ordering::Relaxed)), ticket)
        }
    });
    let Some(run) = engine.next_run() else { panic!("it is due") };
    data.store(1, Ordering::Relaxed);
    run.finish(outcome);
    engine.turn(at(1));
    let (seen, ticket) = join(waiter);
    assert_ne!(seen, Some(0), "who knows that a run ended does not see what it did");
    assert_eq!(ticket.answer(), Some(answer), "P3: a ticket that never ends");
}
