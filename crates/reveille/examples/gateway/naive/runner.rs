//! The runner of the old design: knows when its agents are due, and asks the wake layer.
//!
//! - **D-03** The interval is armed once, and then only from inside the run that it asked for. If
//!   that run never comes, neither does the next interval.
//! - **D-04** The interval's callback leaves its handle behind as if it were still to come.
//! - **D-24** A busy agent ends the run of all, before the interval is armed again.
//! - **D-49** A wake of one agent runs them all.

use super::timers::{self, Handle};
use super::wake::{self, Ended, Reason};
use crate::process::Call;
use crate::storm::{Act, Arena, tantrum};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A runner of all agents. It does not own the handler that it sets.
pub(super) struct Runner {
    arena: Arc<Arena>,
    state: Mutex<State>,
}

struct State {
    agents: Vec<Agent>,
    timer: Option<Handle>,
    stopped: bool,
}

#[derive(Clone, Copy)]
struct Agent {
    index: usize,
    interval: Duration,
    next_due: Instant,
}

impl Runner {
    /// Starts a runner: its handler from here on, its intervals from now.
    pub(super) fn start(arena: &Arc<Arena>) -> Arc<Self> {
        let now = Instant::now();
        let specs = arena.plan.targets.iter().enumerate();
        let agents = specs.filter_map(|(index, spec)| {
            let interval = spec.period?;
            Some(Agent { index, interval, next_due: now + interval })
        });
        let state = State { agents: agents.collect(), timer: None, stopped: false };
        let runner = Arc::new(Self { arena: Arc::clone(arena), state: Mutex::new(state) });
        let handler = Arc::clone(&runner);
        wake::set_handler(Some(Arc::new(move |reason| handler.run(reason))));
        runner.schedule_next();
        runner
    }

    /// Cleans up: no handler, no interval. Of whom the handler is by now, nobody asks (D-01).
    pub(super) fn stop(&self) {
        let mut state = self.state();
        state.stopped = true;
        wake::set_handler(None);
        if let Some(timer) = state.timer.take() {
            timers::clear(timer);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn schedule_next(&self) {
        let mut state = self.state();
        if state.stopped {
            return;
        }
        if let Some(timer) = state.timer.take() {
            timers::clear(timer);
        }
        let Some(next) = state.agents.iter().map(|agent| agent.next_due).min() else { return };
        let delay = next.saturating_duration_since(Instant::now());
        // D-04: the handle stays in the state when this has fired.
        state.timer = Some(timers::set(delay, || wake::request(Reason::Interval, Duration::ZERO)));
    }

    fn run(&self, reason: Option<Reason>) -> Ended {
        let agents = self.state().agents.clone();
        let now = Instant::now();
        let mut ran = false;
        for agent in agents {
            if reason == Some(Reason::Interval) && now < agent.next_due {
                continue;
            }
            let ended = self.run_once(agent.index);
            if ended == Ended::Busy {
                return ended; // D-24
            }
            let mut state = self.state();
            if let Some(same) = state.agents.iter_mut().find(|a| a.index == agent.index) {
                same.next_due = now + agent.interval;
            }
            ran |= ended == Ended::Ran;
        }
        self.schedule_next(); // D-03: the only place but the start
        if ran { Ended::Ran } else { Ended::Skipped }
    }

    fn run_once(&self, index: usize) -> Ended {
        let inside = self.arena.enter(index);
        let call = || Call { reasons: "heartbeat".to_owned(), attempt: 1, missed: 0 };
        match self.arena.perform(index, inside.n, call) {
            Act::Run | Act::Slow(_) => Ended::Ran,
            Act::Skip | Act::Fail => Ended::Skipped,
            Act::Busy(_) | Act::Defer(_) => Ended::Busy,
            Act::Panic => {
                drop(inside);
                tantrum()
            }
        }
    }
}
