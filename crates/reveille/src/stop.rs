//! Stopping: one report for every caller (P13).

use crate::clock::{left_until, process_deadline};
use crate::sync::{Condvar, Mutex, MutexGuard};
use reveille_core::sync::{Arc, AtomicU64, Ordering};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// What a stop found and did: the same for every caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StopReport {
    /// Runs in flight when the hub stopped.
    pub in_flight: u64,
    /// Runs in flight when this report was made: after a drain those that did not end in time.
    pub left: u64,
    /// Wakes that waited and were discarded.
    pub discarded: u64,
}

/// How far a stop is. `Arc`ed: a ticket outlives its hub.
#[derive(Default)]
pub(crate) struct StopCell {
    state: Mutex<State>,
    changed: Condvar,
    /// Runs that wait for the stop themselves: a drain does not wait for them.
    excused: AtomicU64,
}

#[derive(Default)]
struct State {
    in_flight: u64,
    discarded: u64,
    /// The closing pass is done: nothing waits any more.
    closed: bool,
    /// Somebody asked not to wait for runs.
    hurried: bool,
    drain_until: Option<Limit>,
    report: Option<StopReport>,
}

/// `None` inside is a limit too far away to name.
#[derive(Clone, Copy)]
struct Limit(Option<Instant>);

impl StopCell {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The closing pass is done; `drain` is how long to wait for `in_flight` runs.
    ///
    /// `left` counts the runs in flight, under the lock: a run that leaves before is not counted,
    /// and one that leaves after finds the state closed.
    pub(crate) fn closed(
        &self,
        in_flight: u64,
        discarded: u64,
        drain: Option<Duration>,
        left: impl Fn() -> u64,
    ) {
        let mut state = self.lock();
        state.closed = true;
        state.in_flight = in_flight;
        state.discarded = discarded;
        state.drain_until = drain.map(|limit| Limit(process_deadline(limit)));
        let left = left();
        let hurried = drain.is_none() || state.hurried;
        if hurried || left <= self.excused.load(Ordering::Acquire) {
            state.finish(left);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// A later stop cuts a drain short, also one whose closing pass is still under way.
    pub(crate) fn hurry(&self, left: impl Fn() -> u64) {
        let mut state = self.lock();
        state.hurried = true;
        if state.closed {
            state.finish(left());
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Ends a drain whose limit has passed: it waits for no run any more.
    pub(crate) fn expire(&self, hub: &dyn InFlight) {
        let mut state = self.lock();
        if state.report.is_some() || !state.is_past_limit() {
            return;
        }
        state.finish(hub.in_flight());
        drop(state);
        self.changed.notify_all();
        hub.abandon();
    }

    /// A run of a closed hub has ended, or need not be waited for.
    pub(crate) fn run_left(&self, left: impl Fn() -> u64) {
        let mut state = self.lock();
        let left = left();
        if state.closed && left <= self.excused.load(Ordering::Acquire) {
            state.finish(left);
            drop(state);
            self.changed.notify_all();
        }
    }
}

impl State {
    fn is_past_limit(&self) -> bool {
        let limit = self.drain_until.as_ref();
        limit.is_some_and(|limit| left_until(limit.0) == Some(Duration::ZERO))
    }

    fn finish(&mut self, left: u64) {
        let (in_flight, discarded) = (self.in_flight, self.discarded);
        self.report.get_or_insert(StopReport { in_flight, left, discarded });
    }
}

/// A claim to the report of a stop. Clones and other callers get the same report.
#[derive(Clone)]
pub struct StopTicket {
    cell: Arc<StopCell>,
    in_flight: Arc<dyn InFlight>,
}

/// What a ticket must know of its hub.
pub(crate) trait InFlight: Send + Sync {
    fn in_flight(&self) -> u64;
    fn abandon(&self);
    fn inside_own_run(&self) -> bool;
}

impl StopTicket {
    pub(crate) fn new(cell: Arc<StopCell>, in_flight: Arc<dyn InFlight>) -> Self {
        Self { cell, in_flight }
    }

    /// The report, if there is one yet: at once after `stop`, after the drain else.
    pub fn report(&self) -> Option<StopReport> {
        self.cell.expire(&*self.in_flight);
        self.cell.lock().report
    }

    /// Blocks until the report is there: after a drain no longer than its limit.
    ///
    /// Inside a run of the same hub, that run is excused: the drain does not wait for it.
    pub fn wait(&self) -> StopReport {
        if self.in_flight.inside_own_run() {
            self.cell.excused.fetch_add(1, Ordering::AcqRel);
            self.cell.run_left(|| self.in_flight.in_flight());
        }
        let mut state = self.cell.lock();
        loop {
            if let Some(report) = state.report {
                return report;
            }
            let left = match state.drain_until {
                Some(Limit(deadline)) => left_until(deadline),
                None => None,
            };
            state = match left {
                Some(Duration::ZERO) => {
                    drop(state);
                    self.cell.expire(&*self.in_flight);
                    self.cell.lock()
                }
                Some(left) => {
                    let waited = self.cell.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.cell.changed.wait(state);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }
}

impl std::fmt::Debug for StopTicket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("StopTicket").field(&self.report()).finish()
    }
}
