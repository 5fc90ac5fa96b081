//! The storm itself: threads that do to a scheduler all that production does, and more of it.

use super::arena::{Arena, Watch};
use super::plan::Kind;
use super::progress::Progress;
use crossbeam_channel::{Receiver, Sender, unbounded};
use fastrand::Rng;
use reveille::Urgency;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

const WAKERS: u64 = 4;
const CLEANERS: u64 = 3;
/// Cancels and removals begin here, so that every cadence has beaten by then.
const SETTLED: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(100);

/// A scheduler under storm. A reload installs a new runner and leaves the old one to be cleaned
/// up later, by whoever gets to it: the order that a restart of a service comes down to.
pub(crate) trait Scheduler: Sync {
    /// A runner that was replaced.
    type Old: Clone + Send;

    /// Wakes a target.
    fn wake(&self, target: usize, delay: Duration, urgency: Urgency);
    /// Discards what waits for a target.
    fn cancel(&self, target: usize);
    /// Removes a target and creates it anew.
    fn recreate(&self, target: usize);
    /// Installs a new runner for the same roster; the old one is still to be cleaned up.
    fn reload(&self) -> Self::Old;
    /// Cleans up after a runner that was replaced. May come late, and more than once.
    fn clean_up(&self, old: &Self::Old);
    /// In a few words, for the progress display.
    fn health(&self) -> String;
}

/// What the threads of a storm did.
#[derive(Default)]
pub(crate) struct Deeds {
    pub(crate) reloads: AtomicU64,
    pub(crate) cleanups: AtomicU64,
    pub(crate) wakes: AtomicU64,
}

/// Storms for as long as the plan says, and says what was done and who was kept waiting.
pub(crate) fn drive<S: Scheduler>(scheduler: &S, arena: &Arena) -> (Deeds, Watch) {
    let deeds = Deeds::default();
    let mut watch = Watch::default();
    let over = AtomicBool::new(false);
    let started = Instant::now();
    thread::scope(|scope| {
        for n in 0..WAKERS {
            let rng = arena.plan.rng(n);
            let (deeds, over) = (&deeds, &over);
            scope.spawn(move || wake(scheduler, arena, rng, deeds, over));
        }
        let mut cleaners = Vec::new();
        for _ in 0..CLEANERS {
            let (sender, receiver) = unbounded();
            cleaners.push(sender);
            let deeds = &deeds;
            scope.spawn(move || clean(scheduler, &receiver, deeds));
        }
        let rng = arena.plan.rng(100);
        scope.spawn(|| reload(scheduler, arena, rng, cleaners, &deeds));
        let (rng, over) = (arena.plan.rng(101), &over);
        scope.spawn(move || disturb(scheduler, arena, rng, over));

        let mut progress = Progress::new(arena.plan.length);
        while started.elapsed() < arena.plan.length {
            sleep(LOOK);
            watch.look(arena);
            let reloads = deeds.reloads.load(Ordering::Relaxed);
            progress.show(started.elapsed(), arena, reloads, &scheduler.health());
        }
        progress.end();
        over.store(true, Ordering::Release);
    });
    (deeds, watch)
}

/// Wakes random targets, with random delays and urgencies. Commands get few: a process a wake
/// is not what a storm is for.
fn wake<S: Scheduler>(s: &S, arena: &Arena, mut rng: Rng, deeds: &Deeds, over: &AtomicBool) {
    let commands = arena.plan.indices(|kind| matches!(kind, Kind::Command(_)));
    let others = arena.plan.indices(|kind| !matches!(kind, Kind::Command(_)));
    let urgencies = [Urgency::Retry, Urgency::Beat, Urgency::Event, Urgency::Urgent];
    while !over.load(Ordering::Acquire) {
        for _ in 0..rng.u32(1..8) {
            let some = if rng.u32(0..4_000) == 0 { &commands } else { &others };
            let Some(target) = rng.choice(some) else { continue };
            let delay = match rng.u32(0..3) {
                0 => Duration::ZERO,
                1 => Duration::from_micros(rng.u64(0..2_000)),
                _ => Duration::from_micros(rng.u64(0..30_000)),
            };
            s.wake(*target, delay, urgencies[rng.usize(0..urgencies.len())]);
            deeds.wakes.fetch_add(1, Ordering::Relaxed);
        }
        sleep(Duration::from_micros(rng.u64(100..1_000)));
    }
}

/// Reloads every few milliseconds, and hands what is left to the cleaners: late, some of it much
/// later, some of it twice.
fn reload<S: Scheduler>(
    scheduler: &S,
    arena: &Arena,
    mut rng: Rng,
    cleaners: Vec<Sender<(Instant, S::Old)>>,
    deeds: &Deeds,
) {
    let mut next = Instant::now();
    let until = next + arena.plan.reloading();
    while Instant::now() < until {
        // From instant to instant, so that a slow machine does not make a mild storm.
        next += Duration::from_micros(rng.u64(1_000..5_000));
        sleep(next.saturating_duration_since(Instant::now()));
        let old = scheduler.reload();
        deeds.reloads.fetch_add(1, Ordering::Relaxed);
        let times = if rng.u32(0..4) == 0 { 2 } else { 1 };
        for _ in 0..times {
            let late = if rng.u32(0..3) == 0 { rng.u64(10_000..40_000) } else { rng.u64(0..3_000) };
            let due = Instant::now() + Duration::from_micros(late);
            if let Some(cleaner) = rng.choice(&cleaners) {
                let _ = cleaner.send((due, old.clone())); // it lives as long as we do
            }
        }
    }
}

fn clean<S: Scheduler>(scheduler: &S, jobs: &Receiver<(Instant, S::Old)>, deeds: &Deeds) {
    for (due, old) in jobs {
        sleep(due.saturating_duration_since(Instant::now()));
        scheduler.clean_up(&old);
        deeds.cleanups.fetch_add(1, Ordering::Relaxed);
    }
}

/// Cancels, and removes targets and creates them anew.
fn disturb<S: Scheduler>(scheduler: &S, arena: &Arena, mut rng: Rng, over: &AtomicBool) {
    let churned = arena.plan.indices(|kind| *kind == Kind::Churned);
    let cancelled = arena.plan.indices(|kind| matches!(kind, Kind::Steady | Kind::OnDemand));
    sleep(SETTLED);
    while !over.load(Ordering::Acquire) {
        sleep(Duration::from_micros(rng.u64(500..5_000)));
        let (some, churn) = match rng.u32(0..3) {
            0 => (&churned, true),
            _ => (&cancelled, false),
        };
        let Some(&target) = rng.choice(some) else { continue };
        if churn {
            scheduler.recreate(target);
        } else {
            scheduler.cancel(target);
        }
    }
}
