//! A second opinion on two protocols of the core: every interleaving, by shuttle's depth-first
//! search.
//!
//! Unlike the models' search it leaves nothing out and needs no argument for that, and unlike
//! theirs it is sequentially consistent: fences and orderings are nothing to it.

use crate::arena::{self, Theirs};
use crate::check::{Check, Found};
use reveille_core::pending::{Pending, Request, Verdict};
use reveille_core::{Bell, DeadlineSlot, Tick, Urgency};
use shuttle::scheduler::DfsScheduler;
use shuttle::thread::spawn;
use std::sync::Arc;

const DUE: Tick = Tick::from_micros(5);
const UNTIL: Tick = Tick::from_micros(10);

/// The checks.
pub fn checks() -> Vec<Check> {
    vec![
        Check {
            name: "exhaustive-deadline-and-bell",
            promises: &["P5"],
            law: "A driver that goes to sleep is rung by one of two that ask for something sooner.",
            threads: 3,
            body: Box::new(|| every_execution(deadline_and_bell)),
        },
        Check {
            name: "exhaustive-begin-and-join",
            promises: &["P3", "P6"],
            law: "Of two wakes beside the start of a run each is taken by it, or waits, or was \
                  told to publish.",
            threads: 3,
            body: Box::new(|| every_execution(begin_and_join)),
        },
    ]
}

fn every_execution(body: fn() -> Result<(), String>) -> Found {
    let strategy = Theirs::new(DfsScheduler::new(None, false), "depth-first");
    let outcome = arena::run(strategy, u64::MAX, move || arena::verdict(body()));
    Found {
        executions: outcome.executions,
        complete: outcome.failure.is_none(),
        failure: outcome.failure,
        note: "sequentially consistent".into(),
        ..Found::default()
    }
}

fn join<T>(thread: shuttle::thread::JoinHandle<T>) -> Result<T, String> {
    thread.join().map_err(|_| "a thread panicked".to_owned())
}

fn deadline_and_bell() -> Result<(), String> {
    let words = Arc::new((DeadlineSlot::new(), Bell::new()));
    let requester = || {
        let words = Arc::clone(&words);
        spawn(move || {
            let asked = words.0.request(DUE);
            words.1.must_ring(asked)
        })
    };
    let (first, second) = (requester(), requester());
    let taken = words.0.take();
    let sleeps = words.1.doze(UNTIL, &words.0) >= UNTIL;
    let rung = (join(first)?, join(second)?);
    // What was taken is served in the turn before the sleep; what was not still stands there.
    let asked = words.0.peek() == DUE;
    if sleeps && asked && !(rung.0 || rung.1) {
        return Err(format!("sleeps until {UNTIL:?}; {taken:?} taken, {rung:?} rang"));
    }
    Ok(())
}

fn begin_and_join() -> Result<(), String> {
    let word = Arc::new(Pending::new());
    let request = |due| Request { due, reasons: 1, urgency: Urgency::Event };
    let armed = word.join(request(DUE), false);
    if armed.verdict != Verdict::Armed || word.settle(word.load(), DUE).is_err() {
        return Err(format!("a wake of an idle target is {:?}", armed.verdict));
    }
    let requester = |due, reasons| {
        let word = Arc::clone(&word);
        spawn(move || word.join(Request { reasons, ..request(due) }, false))
    };
    let (sooner, other) = (requester(Tick::NOW, 2), requester(DUE, 4));
    // What the driver has not seen it looks at first.
    let taken = loop {
        match word.begin() {
            Ok(taken) => break taken,
            Err(now) if now.has_wake() => drop(word.settle(now, now.due())),
            Err(now) => return Err(format!("a wake that is due does not start: {now:?}")),
        }
    };
    let joins = [(2, join(sooner)?), (4, join(other)?)];
    let (before, after) = word.end(None);
    for (reasons, join) in joins {
        let runs = taken.reasons & reasons != 0;
        let waits = before.reasons() & reasons != 0;
        if runs == waits {
            return Err(format!("reason {reasons} of {join:?}: {taken:?}, then {before:?}"));
        }
    }
    if before.has_wake() != after.has_wake() || after.is_running() {
        return Err(format!("the end of a run makes {after:?} of {before:?}"));
    }
    Ok(())
}
