//! The design that this project answers, with the four causes of its silence, each in a model that
//! fails, and beside it the same scene with that one cause mended, which does not.
//!
//! What the gateway's `--naive` rewrites for real threads stands here for the checker: one handler
//! that anyone sets, one reason that waits, one timer of the wake layer, one of the runner's
//! interval. The original is one event loop; so is this: each callback holds the turn from its
//! beginning to its end, and what the checker varies is which callback comes first.
//!
//! | model | cause |
//! | --- | --- |
//! | 1 | D-01 the handler has no owner: an old runner's clean-up removes the new one's |
//! | 2 | D-02 a request is dropped while any timer is armed |
//! | 3 | D-03 the next interval is armed only by the run that the last one asked for |
//! | 4 | D-04 an interval that has fired leaves its handle behind, as if it were still to come |
//!
//! They are no part of the models that must pass: `REVEILLE_NAIVE` in the environment adds them.

use crate::model::{Extent, Model};
use crate::support::{join, spawn};
use loom::sync::{Mutex, MutexGuard};
use reveille_core::sync::{AtomicU64, Ordering, trace};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

pub const MODELS: &[Model] = &[
    model("naive-1-stale-cleanup", &["P1"], OWNED, || stale_cleanup(None)),
    model("naive-1-stale-cleanup-mended", &["P1"], OWNED, || stale_cleanup(Some(D01))),
    model("naive-2-dropped-request", &["P5"], EARLIEST, || dropped_request(None)),
    model("naive-2-dropped-request-mended", &["P5"], EARLIEST, || dropped_request(Some(D02))),
    model("naive-3-rearmed-in-callback", &["P8"], ARMED, || rearmed_in_callback(None)),
    model("naive-3-rearmed-in-callback-mended", &["P8"], ARMED, || rearmed_in_callback(Some(D03))),
    model("naive-4-leaked-handle", &["P8"], TRUE_HANDLES, || leaked_handle(None)),
    model("naive-4-leaked-handle-mended", &["P8"], TRUE_HANDLES, || leaked_handle(Some(D04))),
];

const OWNED: &str = "A runner that cleans up after itself leaves the next runner's handler in.";
const EARLIEST: &str = "Whatever is armed already, a request runs no later than it asks for.";
const ARMED: &str = "When an interval has fired the next one is armed, whoever serves the wake.";
const TRUE_HANDLES: &str = "A timer that looks armed is going to fire.";

const fn model(
    name: &'static str,
    promises: &'static [&'static str],
    law: &'static str,
    body: fn(),
) -> Model {
    Model { name, promises, law, threads: 2, extent: Extent::All, body }
}

/// No handler, no timer.
const NONE: u64 = 0;
/// From the start to the first interval, and from one to the next.
const INTERVAL: u64 = 1_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Callback {
    /// The runner's interval is over.
    Interval,
    /// The wake layer's timer is over.
    Wake,
}

/// The event loop: timers by handle, and its clock.
struct Turn {
    timers: BTreeMap<u64, (u64, Callback)>,
    next: u64,
    now: u64,
}

impl Turn {
    fn set(&mut self, due: u64, callback: Callback) -> u64 {
        self.next += 1;
        self.timers.insert(self.next, (due, callback));
        self.next
    }
}

/// The wake layer and one runner's state.
struct Naive {
    turn: Mutex<Turn>,
    /// The number of the runner whose handler is set.
    handler: AtomicU64,
    /// Whether a reason waits.
    pending: AtomicU64,
    /// The wake layer's timer.
    wake_timer: AtomicU64,
    /// The runner's interval.
    interval: AtomicU64,
    /// Which of the causes is mended.
    mended: Option<Cause>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    D01,
    D02,
    D03,
    D04,
}
use Cause::{D01, D02, D03, D04};

fn get(word: &AtomicU64) -> u64 {
    word.load(Ordering::Acquire)
}

fn put(word: &AtomicU64, value: u64) {
    word.store(value, Ordering::Release);
}

impl Naive {
    fn new(mended: Option<Cause>) -> Arc<Self> {
        Arc::new(Self {
            turn: Mutex::new(Turn { timers: BTreeMap::new(), next: 0, now: 0 }),
            handler: AtomicU64::new(NONE).named("handler"),
            pending: AtomicU64::new(0).named("pending"),
            wake_timer: AtomicU64::new(NONE).named("wake timer"),
            interval: AtomicU64::new(NONE).named("interval timer"),
            mended,
        })
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_handler(&self, runner: u64) {
        let _turn = self.turn();
        trace::note(|| format!("runner {runner} sets its handler"));
        put(&self.handler, runner);
    }

    /// The clean-up of a runner: no handler, whosever it is by now (D-01).
    fn stop_runner(&self, runner: u64) {
        let _turn = self.turn();
        trace::note(|| format!("runner {runner} cleans up: no handler"));
        if self.mended == Some(D01) && get(&self.handler) != runner {
            return;
        }
        put(&self.handler, NONE);
    }

    fn request(&self, due: u64) {
        let mut turn = self.turn();
        trace::note(|| format!("asks for a run at {due}"));
        self.wake(&mut turn, due);
    }

    fn wake(&self, turn: &mut Turn, due: u64) {
        put(&self.pending, 1);
        self.schedule(turn, due);
    }

    fn schedule(&self, turn: &mut Turn, due: u64) {
        let armed = get(&self.wake_timer);
        if armed != NONE {
            let sooner = turn.timers.get(&armed).is_none_or(|&(at, _)| due < at);
            if !(self.mended == Some(D02) && sooner) {
                trace::note(|| "dropped: a timer is armed".to_string());
                return; // D-02
            }
            turn.timers.remove(&armed);
        }
        put(&self.wake_timer, turn.set(due, Callback::Wake));
    }

    fn arm_interval(&self, turn: &mut Turn) {
        if let Some(old) = Some(get(&self.interval)).filter(|&old| old != NONE) {
            turn.timers.remove(&old);
        }
        let due = turn.now + INTERVAL;
        put(&self.interval, turn.set(due, Callback::Interval));
    }

    /// The event loop: the earliest timer fires, if it is due.
    fn fire(&self, now: u64) {
        let mut turn = self.turn();
        turn.now = now;
        let due = turn.timers.iter().filter(|(_, (at, _))| *at <= now);
        let Some((&handle, &(_, callback))) = due.min_by_key(|(_, (at, _))| *at) else { return };
        turn.timers.remove(&handle);
        match callback {
            Callback::Interval => {
                trace::note(|| format!("the interval fires at {now}"));
                if self.mended == Some(D04) {
                    put(&self.interval, NONE);
                }
                if self.mended == Some(D03) {
                    self.arm_interval(&mut turn);
                }
                self.wake(&mut turn, now); // D-04: its handle stays behind
            }
            Callback::Wake => {
                trace::note(|| format!("the wake fires at {now}"));
                put(&self.wake_timer, NONE);
                let runner = get(&self.handler);
                if runner == NONE {
                    trace::note(|| "nobody serves it".to_string());
                    return;
                }
                put(&self.pending, 0);
                trace::note(|| format!("runner {runner} runs"));
                if self.mended != Some(D03) {
                    self.arm_interval(&mut turn); // D-03: the only place but the start
                }
            }
        }
    }

    /// Whether a timer that calls back so is going to fire.
    fn will_fire(turn: &Turn, callback: Callback) -> bool {
        turn.timers.values().any(|&(_, other)| other == callback)
    }
}

/// D-01: seen to pass where only the owner of a handler may remove it.
fn stale_cleanup(mended: Option<Cause>) {
    let naive = Naive::new(mended);
    naive.set_handler(1);
    let old = spawn("old runner", {
        let naive = Arc::clone(&naive);
        move || naive.stop_runner(1)
    });
    naive.set_handler(2);
    join(old);
    assert_eq!(get(&naive.handler), 2, "the new runner's handler is gone: nothing runs any more");
}

/// D-02: seen to pass where an earlier request arms the timer anew.
fn dropped_request(mended: Option<Cause>) {
    let naive = Naive::new(mended);
    let client = spawn("client", {
        let naive = Arc::clone(&naive);
        move || naive.request(100)
    });
    naive.request(5_000);
    join(client);
    let turn = naive.turn();
    let armed = turn.timers.values().map(|&(at, _)| at).min();
    assert_eq!(armed, Some(100), "asked for 100, and nothing runs before what is armed");
}

/// D-03: seen to pass where the interval arms the next one before it asks for a run.
fn rearmed_in_callback(mended: Option<Cause>) {
    let naive = Naive::new(mended);
    naive.set_handler(1);
    naive.arm_interval(&mut naive.turn());
    let cleaner = spawn("clean-up", {
        let naive = Arc::clone(&naive);
        move || {
            let _turn = naive.turn();
            trace::note(|| "somebody removes the handler".to_string());
            put(&naive.handler, NONE);
        }
    });
    // The interval, and the wake that it asks for.
    naive.fire(INTERVAL);
    naive.fire(INTERVAL);
    join(cleaner);
    let armed = Naive::will_fire(&naive.turn(), Callback::Interval);
    assert!(armed, "the wake found no handler, and no interval is armed any more");
}

/// D-04: seen to pass where an interval that fires clears its handle.
fn leaked_handle(mended: Option<Cause>) {
    let naive = Naive::new(mended);
    naive.set_handler(1);
    naive.arm_interval(&mut naive.turn());
    let watcher = spawn("watcher", {
        let naive = Arc::clone(&naive);
        move || {
            let turn = naive.turn();
            let handle = get(&naive.interval);
            trace::note(|| format!("is the interval armed? timer {handle}"));
            (handle, handle == NONE || turn.timers.contains_key(&handle))
        }
    });
    naive.fire(INTERVAL);
    naive.fire(INTERVAL);
    let (handle, will_fire) = join(watcher);
    assert!(will_fire, "timer {handle} looks armed, and has fired already");
}
