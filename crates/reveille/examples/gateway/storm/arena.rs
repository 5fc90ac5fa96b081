//! What the targets of a storm do, and what is noted of them, under either scheduler.

use super::plan::{Act, Kind, Plan, Spec};
use crate::process::{Call, Kill, run};
use reveille::Outcome;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A wake must have been served by so long after it was asked for, whatever else goes on. Its
/// own delay, deferrals and backoffs are much shorter in a storm; the rest is for a machine
/// that has more to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// One target, as seen from outside of the scheduler.
#[derive(Default)]
struct Place {
    /// Wakes that were asked for; counted before each call.
    asked: AtomicU64,
    /// Of these, those that happened before the start of some run: what P3 and P4 promise.
    seen: AtomicU64,
    /// Of these, those that a cancel or removal may have discarded.
    forgiven: AtomicU64,
    running: AtomicBool,
    runs: AtomicU64,
    last_run: AtomicU64,
}

/// The targets of a storm.
pub(crate) struct Arena {
    pub(crate) plan: Plan,
    pub(crate) kill: Kill,
    places: Vec<Place>,
    calm: AtomicBool,
    started: Instant,
    heartbeats: AtomicU64,
    last_heartbeat: AtomicU64,
    overlaps: AtomicU64,
}

/// A run of a target is in progress until this is dropped.
pub(crate) struct Inside<'a> {
    place: &'a Place,
    /// The number of this run.
    pub(crate) n: u64,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.place.running.store(false, Ordering::Release);
    }
}

impl Arena {
    pub(crate) fn new(plan: Plan) -> Self {
        let places = plan.targets.iter().map(|_| Place::default()).collect();
        Self {
            plan,
            kill: Kill::default(),
            places,
            calm: AtomicBool::new(false),
            started: Instant::now(),
            heartbeats: AtomicU64::new(0),
            last_heartbeat: AtomicU64::new(0),
            overlaps: AtomicU64::new(0),
        }
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// From here on every run simply runs.
    pub(crate) fn calm_down(&self) {
        self.calm.store(true, Ordering::Release);
    }

    /// A run of target `i` starts.
    pub(crate) fn enter(&self, i: usize) -> Inside<'_> {
        let place = &self.places[i];
        if place.running.swap(true, Ordering::AcqRel) {
            self.overlaps.fetch_add(1, Ordering::Relaxed);
        }
        // Relaxed: that a wake's run sees what was written before the wake is the hub's promise
        // to keep (P4), so no ordering of ours may help it.
        place.seen.fetch_max(place.asked.load(Ordering::Relaxed), Ordering::Relaxed);
        let now = self.micros();
        place.last_run.store(now, Ordering::Relaxed);
        self.last_heartbeat.fetch_max(now, Ordering::Relaxed);
        self.heartbeats.fetch_add(1, Ordering::Relaxed);
        let n = place.runs.fetch_add(1, Ordering::Relaxed);
        Inside { place, n }
    }

    /// Does what a run does; says what it came to. It is the caller's to panic.
    pub(crate) fn perform(&self, i: usize, n: u64, call: impl FnOnce() -> Call) -> Act {
        if let Kind::Command(agent) = &self.plan.targets[i].kind {
            return match run(agent, &call(), &self.kill).outcome {
                Outcome::Done(_) => Act::Run,
                _ if self.calm.load(Ordering::Acquire) => Act::Run,
                outcome if outcome == Outcome::busy() => Act::Busy(None),
                _ => Act::Fail,
            };
        }
        if self.calm.load(Ordering::Acquire) {
            return Act::Run;
        }
        let act = self.plan.act(i, n);
        if let Act::Slow(duration) = act {
            sleep(duration);
        }
        act
    }

    /// A wake of target `i` is about to be asked for.
    pub(crate) fn asks(&self, i: usize) {
        self.places[i].asked.fetch_add(1, Ordering::Relaxed);
    }

    /// What was asked of target `i` up to here may have been discarded.
    pub(crate) fn forgives(&self, i: usize) {
        let place = &self.places[i];
        place.forgiven.fetch_max(place.asked.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Runs of all targets.
    pub(crate) fn heartbeats(&self) -> u64 {
        self.heartbeats.load(Ordering::Relaxed)
    }

    /// How long ago the last run of any target started.
    pub(crate) fn since_heartbeat(&self) -> Duration {
        let last = self.last_heartbeat.load(Ordering::Relaxed);
        Duration::from_micros(self.micros().saturating_sub(last))
    }

    /// Runs of a target that started while another of it went on (P6).
    pub(crate) fn overlaps(&self) -> u64 {
        self.overlaps.load(Ordering::Relaxed)
    }

    /// Targets with a cadence that have not run for longer than their period and `slack`.
    pub(crate) fn starved(&self, slack: Duration) -> Vec<String> {
        let now = self.micros();
        let starved = |(spec, place): &(&Spec, &Place)| {
            let idle = now.saturating_sub(place.last_run.load(Ordering::Relaxed));
            spec.period.is_some_and(|period| Duration::from_micros(idle) > period + slack)
        };
        let targets = self.plan.targets.iter().zip(&self.places);
        targets.filter(starved).map(|(spec, _)| spec.name.clone()).collect()
    }

    /// Targets with a wake that no run has seen.
    pub(crate) fn unserved(&self) -> Vec<String> {
        let asked: Vec<u64> = self.asked();
        self.behind(&asked).into_iter().map(|i| self.plan.targets[i].name.clone()).collect()
    }

    fn asked(&self) -> Vec<u64> {
        self.places.iter().map(|place| place.asked.load(Ordering::Relaxed)).collect()
    }

    fn behind(&self, asked: &[u64]) -> Vec<usize> {
        let behind = |(place, asked): (&Place, &u64)| {
            let seen = place.seen.load(Ordering::Relaxed);
            seen.max(place.forgiven.load(Ordering::Relaxed)) < *asked
        };
        let places = self.places.iter().zip(asked).enumerate();
        places.filter(|&(_, place)| behind(place)).map(|(i, _)| i).collect()
    }
}

/// Looks again and again whether every wake is served within [`PATIENCE`].
#[derive(Default)]
pub(crate) struct Watch {
    noted: VecDeque<(Instant, Vec<u64>)>,
    late: Vec<bool>,
}

impl Watch {
    pub(crate) fn look(&mut self, arena: &Arena) {
        self.late.resize(arena.places.len(), false);
        let now = Instant::now();
        while self.noted.front().is_some_and(|(at, _)| now.duration_since(*at) >= PATIENCE) {
            let Some((_, asked)) = self.noted.pop_front() else { break };
            for i in arena.behind(&asked) {
                self.late[i] = true;
            }
        }
        self.noted.push_back((now, arena.asked()));
    }

    /// The targets of which a wake waited for longer.
    pub(crate) fn late(&self, arena: &Arena) -> Vec<String> {
        let targets = arena.plan.targets.iter().zip(&self.late);
        targets.filter(|&(_, &late)| late).map(|(spec, _)| spec.name.clone()).collect()
    }
}
