//! The wake layer of the old design: one handler, one reason that waits, one timer, all global.
//!
//! - **D-01** [`set_handler`] has no owner. Whoever calls it last has said the last word, also a
//!   runner that was replaced long ago and calls it with `None` on its way out.
//! - **D-02** [`schedule`] ignores every request while any timer exists, so one for at once waits
//!   behind one for later.

use super::timers::{self, Handle};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// As the storm over Reveille has it.
const COALESCE: Duration = Duration::from_millis(2);
const RETRY: Duration = Duration::from_millis(2);

/// Why a run is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Interval,
    Requested,
    Retry,
}

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Ran,
    Busy,
    Skipped,
}

pub(super) type Handler = Arc<dyn Fn(Option<Reason>) -> Ended + Send + Sync>;

struct State {
    handler: Option<Handler>,
    pending: Option<Reason>,
    scheduled: bool,
    running: bool,
    timer: Option<Handle>,
}

static STATE: Mutex<State> = Mutex::new(State {
    handler: None,
    pending: None,
    scheduled: false,
    running: false,
    timer: None,
});

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sets the handler, or none (D-01).
pub(super) fn set_handler(next: Option<Handler>) {
    let mut state = state();
    state.handler = next;
    if state.handler.is_some() && state.pending.is_some() {
        schedule(&mut state, COALESCE);
    }
}

pub(super) fn has_handler() -> bool {
    state().handler.is_some()
}

/// Asks for a run after `delay`.
pub(super) fn request(reason: Reason, delay: Duration) {
    let mut state = state();
    state.pending = Some(reason);
    schedule(&mut state, delay);
}

fn schedule(state: &mut State, delay: Duration) {
    if state.timer.is_some() {
        return; // D-02
    }
    state.timer = Some(timers::set(delay, move || fire(delay)));
}

fn fire(delay: Duration) {
    let mut guard = state();
    guard.timer = None;
    guard.scheduled = false;
    let Some(active) = guard.handler.clone() else { return };
    if guard.running {
        guard.scheduled = true;
        schedule(&mut guard, delay);
        return;
    }
    let reason = guard.pending.take();
    guard.running = true;
    drop(guard);

    let ended = catch_unwind(AssertUnwindSafe(|| active(reason)));

    let mut guard = state();
    if !matches!(ended, Ok(Ended::Ran | Ended::Skipped)) {
        guard.pending = Some(reason.unwrap_or(Reason::Retry));
        schedule(&mut guard, RETRY);
    }
    guard.running = false;
    if guard.pending.is_some() || guard.scheduled {
        schedule(&mut guard, delay);
    }
}
