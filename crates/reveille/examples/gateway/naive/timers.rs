//! Timers as the old design had them: one loop, one callback at a time, handles that clear.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

type Callback = Box<dyn FnOnce() + Send>;

/// A timer that was set. Nothing about it says whether it has fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Handle(Instant, u64);

struct Loop {
    timers: Mutex<Timers>,
    changed: Condvar,
}

struct Timers {
    waiting: BTreeMap<Handle, Callback>,
    next: u64,
    started: bool,
}

static LOOP: Loop = Loop {
    timers: Mutex::new(Timers { waiting: BTreeMap::new(), next: 0, started: false }),
    changed: Condvar::new(),
};

fn timers() -> MutexGuard<'static, Timers> {
    LOOP.timers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls `callback` after `delay`, on the loop's thread.
pub(super) fn set(delay: Duration, callback: impl FnOnce() + Send + 'static) -> Handle {
    let mut timers = timers();
    let handle = Handle(Instant::now() + delay, timers.next);
    timers.next += 1;
    timers.waiting.insert(handle, Box::new(callback));
    if !timers.started {
        timers.started = true;
        thread::spawn(turn);
    }
    drop(timers);
    LOOP.changed.notify_one();
    handle
}

/// Clears a timer; one that has fired is none any more, and clearing it does nothing.
pub(super) fn clear(handle: Handle) {
    let cleared = timers().waiting.remove(&handle);
    drop(cleared);
}

fn turn() {
    let mut guard = timers();
    loop {
        let now = Instant::now();
        let due = guard.waiting.first_key_value().map(|(handle, _)| handle.0);
        guard = match due {
            Some(at) if at <= now => {
                let first = guard.waiting.pop_first();
                drop(guard);
                if let Some((_, callback)) = first {
                    callback();
                }
                timers()
            }
            Some(at) => {
                let waited = LOOP.changed.wait_timeout(guard, at - now);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => LOOP.changed.wait(guard).unwrap_or_else(PoisonError::into_inner),
        };
    }
}
