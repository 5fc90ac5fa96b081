//! The whole hub on real threads and in real time: random schedules, random yields, and at rest
//! the books must agree.
//!
//! A round is drawn from a seed: policy, driver, and what each thread does. The machine chooses
//! the interleaving, so a seed repeats the schedule and not the failure; repeat it often.
//!
//! Checked of each round:
//! * every request of a kept target was served when the hub is at rest (P3, P4);
//! * a driver that sleeps without end is rung by wakes alone (P5);
//! * no target ran twice at once, and never more than `max_active` (P6, P10);
//! * cadences that were set beat on (P8);
//! * the counters obey the law of conservation (P12) and agree with what was returned (P18);
//! * the history of the handler slot is linearizable, generations grow (P1, P2);
//! * all stops have one report, after which nothing starts and all is refused (P13).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fastrand::Rng;
use reveille::{
    Builder, Cadence, Counters, Disposal, Generation, Registration, StopReport, StopTicket,
    TargetState, Wake,
};

mod plan;
mod world;

use super::histories::dawdle;
use super::linear::{Call, Stamps, linearize};
use super::{Progress, drawn, timed};
use crate::lab::CheckResult;
use plan::{After, KEPT, Plan, Step, TARGETS};
use world::{Hub, Ledger, drive_by_hand};

/// Only a failure waits so long.
const LIMIT: Duration = Duration::from_secs(20);

const PROMISES: [u8; 12] = [1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 13, 18];

const LAW: &str =
    "At rest no request is lost and the books agree, and nothing starts after a stop.";

/// Rounds for that long, each with the next seed.
#[must_use]
pub fn check(time: Duration, seed: u64, progress: Progress<'_>) -> CheckResult {
    let start = Instant::now();
    let name = "hub-on-threads";
    let (mut rounds, mut runs) = (0, 0);
    let mut failure = None;
    let ((), seconds) = timed(|| {
        while failure.is_none() && (rounds == 0 || start.elapsed() < time) {
            let passed = start.elapsed().min(time).as_millis();
            progress(passed as u64, time.as_millis() as u64, name);
            let at = seed.wrapping_add(rounds);
            rounds += 1;
            match round(at) {
                Ok(counters) => runs += counters.started,
                Err(why) => failure = Some(format!("{why}\n  (schedule drawn with seed {at})")),
            }
        }
    });
    CheckResult {
        threads: plan::THREADS as u32,
        seconds,
        note: Some(format!("rounds with {runs} runs in all; seeds from {seed}")),
        ..drawn(name, LAW, &PROMISES, rounds, failure)
    }
}

/// The calls that concern the handler slot.
#[derive(Clone, Copy, Debug)]
enum SlotCall {
    /// Nothing where the hub had stopped.
    Install(Option<Generation>),
    Dispose(Generation, Disposal),
    Handler(Option<Generation>),
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Slot {
    Vacant,
    Occupied,
    Closed,
}

fn step(state: &(Generation, Slot), call: &SlotCall) -> Option<(Generation, Slot)> {
    let (newest, slot) = *state;
    match *call {
        SlotCall::Install(None) => (slot == Slot::Closed).then_some(*state),
        SlotCall::Install(Some(generation)) => {
            let grows = generation > newest;
            (slot != Slot::Closed && grows).then_some((generation, Slot::Occupied))
        }
        SlotCall::Dispose(generation, disposal) => {
            let (expected, then) = match (generation == newest, slot) {
                (false, _) => (Disposal::Superseded, slot),
                (true, Slot::Occupied) => (Disposal::Removed, Slot::Vacant),
                (true, _) => (Disposal::AlreadyDisposed, slot),
            };
            (disposal == expected).then_some((newest, then))
        }
        SlotCall::Handler(seen) => {
            let expected = (slot == Slot::Occupied).then_some(newest);
            (seen == expected).then_some(*state)
        }
        SlotCall::Stop => Some((newest, Slot::Closed)),
    }
}

/// What a thread brings back.
#[derive(Default)]
struct Brought {
    slot: Vec<Call<SlotCall>>,
    /// Of kept targets: whether a cadence was left in force.
    beating: Vec<(usize, bool)>,
    /// The stop, what had started when it returned.
    stop: Option<(StopTicket, u64)>,
    /// Not dropped before the end: a drop disposes.
    registrations: Vec<Registration<usize>>,
}

struct Round<'round> {
    plan: &'round Plan,
    seed: u64,
    hub: Hub,
    ledger: Arc<Ledger>,
    stamps: Stamps,
}

/// Draws a round from a seed and plays it.
///
/// # Errors
/// What was wrong.
pub fn round(seed: u64) -> Result<Counters, String> {
    let plan = Plan::draw(seed);
    let policy = plan.policy.clone();
    let hub: Hub = Builder::new()
        .policy(move |to| *to = policy)
        .build()
        .map_err(|error| format!("the policy was refused: {error}"))?;
    let ledger = Arc::new(Ledger::default());
    let round = Round { plan: &plan, seed, hub, ledger, stamps: Stamps::default() };
    std::thread::scope(|scope| {
        let (by_hand, by_thread) = if plan.by_hand {
            (Some(scope.spawn(|| drive_by_hand(&round.hub, &round.ledger, seed))), None)
        } else {
            let driver = round.hub.drive().map_err(|error| format!("no driver: {error}"))?;
            (None, Some(driver))
        };
        let played = round.play();
        // Whatever was wrong, the driver must end.
        let reports = round.stop();
        if let Some(driver) = by_thread {
            driver.join();
        }
        if let Some(driver) = by_hand {
            let driven = driver.join().map_err(|_| "the driver by hand panicked".to_owned())?;
            driven.map_err(|error| error.to_string())?;
        }
        let brought = played?;
        round.stopped(&brought, &reports)
    })
    .map_err(|why| format!("{why}\n  {}, {:?}", round.drawn(), round.hub.counters()))
}

impl Round<'_> {
    fn drawn(&self) -> String {
        let Plan { policy, by_hand, stops_midway, .. } = self.plan;
        let driver = if *by_hand { "driven by hand" } else { "driven by threads" };
        let stop = if *stops_midway { "stopped midway" } else { "stopped at rest" };
        format!("{driver}, {stop}, {policy:?}")
    }

    /// The threads, and then what must hold at rest.
    fn play(&self) -> Result<Vec<Brought>, String> {
        let threads = self.plan.threads.iter().enumerate();
        let mut brought: Vec<Brought> = std::thread::scope(|scope| {
            let threads: Vec<_> = threads
                .map(|(thread, steps)| scope.spawn(move || self.thread(thread as u64, steps)))
                .collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            joined.collect::<Result<_, _>>().map_err(|_| "a thread panicked".to_owned())
        })?;
        if !self.plan.stops_midway {
            brought.push(self.at_rest(&brought)?);
        }
        Ok(brought)
    }

    fn thread(&self, thread: u64, steps: &[Step]) -> Brought {
        let mut rng = Rng::with_seed(self.seed ^ (thread + 1).wrapping_mul(0xD1B5_4A32_D192_ED03));
        let mut brought = Brought::default();
        for step in steps {
            dawdle(&mut rng);
            self.step(step, &mut brought);
        }
        brought
    }

    fn step(&self, step: &Step, brought: &mut Brought) {
        let us = Duration::from_micros;
        match *step {
            Step::Wake { target, after, urgency, by_key } => {
                let wake = match after {
                    After::Now => Wake::now(),
                    After::Soon => Wake::soon(),
                    After::Within(delay) => Wake::within(us(delay)),
                };
                let wake = wake.urgency(urgency);
                let handle = if by_key { None } else { self.hub.target(target).ok() };
                self.ledger.wake(target, || match handle {
                    Some(target) => target.wake(wake),
                    None => self.hub.wake(target, wake),
                });
            }
            Step::Beat { target, every } => {
                let cadence = Cadence::every(us(every)).ok();
                let handle = self.hub.target(target).ok();
                if let (Some(cadence), Some(handle)) = (cadence, handle)
                    && handle.beat(cadence).is_ok()
                {
                    brought.beating.push((target, true));
                }
            }
            Step::StopBeating { target } => {
                if let Some(handle) = self.hub.find(&target) {
                    handle.stop_beating();
                    brought.beating.push((target, false));
                }
            }
            Step::Cancel { target } => {
                let cancelled = self.hub.find(&target).is_some_and(|target| target.cancel());
                self.ledger.cancelled.fetch_add(u64::from(cancelled), Ordering::Relaxed);
            }
            Step::Remove { target } => {
                self.hub.find(&target).map(|target| target.remove());
            }
            Step::Install => self.install(brought),
            Step::Dispose { back } => {
                let Some(index) = brought.registrations.len().checked_sub(back + 1) else { return };
                let registration = &brought.registrations[index];
                let generation = registration.generation();
                let call =
                    self.stamps.record(|| SlotCall::Dispose(generation, registration.dispose()));
                if let SlotCall::Dispose(_, Disposal::Superseded) = call.operation {
                    self.ledger.stale.fetch_add(1, Ordering::Relaxed);
                }
                brought.slot.push(call);
            }
            Step::Handler => {
                let call = self.stamps.record(|| SlotCall::Handler(self.hub.handler()));
                brought.slot.push(call);
            }
            Step::Snapshot => drop(self.hub.snapshot()),
            Step::Stop { drain } => {
                let mut ticket = None;
                brought.slot.push(self.stamps.record(|| {
                    ticket = Some(match drain {
                        Some(limit) => self.hub.drain(us(limit)),
                        None => self.hub.stop(),
                    });
                    SlotCall::Stop
                }));
                let started = self.hub.counters().started;
                brought.stop = ticket.map(|ticket| (ticket, started));
            }
        }
    }

    fn install(&self, brought: &mut Brought) {
        let handler = self.ledger.handler(self.seed, self.plan.policy.max_active.get());
        let mut registration = None;
        brought.slot.push(self.stamps.record(|| {
            registration = self.hub.install(handler).ok();
            SlotCall::Install(registration.as_ref().map(Registration::generation))
        }));
        self.ledger.installs.fetch_add(u64::from(registration.is_some()), Ordering::Relaxed);
        brought.registrations.extend(registration);
    }

    /// Lets everything come to rest under a calm handler.
    fn at_rest(&self, threads: &[Brought]) -> Result<Brought, String> {
        let mut brought = Brought::default();
        self.ledger.calm.store(true, Ordering::Relaxed);
        self.install(&mut brought);
        let mut beating = [false; TARGETS];
        for (target, on) in threads.iter().flat_map(|thread| &thread.beating) {
            beating[*target] = *on;
        }
        for (key, _) in beating.iter().enumerate().filter(|(key, on)| **on && *key < KEPT) {
            let Some(target) = self.hub.find(&key) else {
                return Err(format!("target {key}, which beats, is gone"));
            };
            let beats = || target.snapshot().beats;
            let before = beats();
            wait_until(|| beats() > before + 1)
                .map_err(|()| format!("P8: the cadence of target {key} has ended"))?;
        }
        let handles: Vec<_> = (0..TARGETS).filter_map(|key| self.hub.find(&key)).collect();
        handles.iter().for_each(reveille::Target::stop_beating);
        wait_until(|| {
            let at_rest = |target: &reveille::Target<usize>| {
                target.state() == TargetState::Idle && target.snapshot().next_beat.is_none()
            };
            handles.iter().all(at_rest) && self.hub.snapshot().in_flight == 0
        })
        .map_err(|()| {
            let states: Vec<_> = handles.iter().map(|target| target.snapshot()).collect();
            format!("P3: a wake waits for ever: {states:?}")
        })?;
        self.rested()?;
        self.ring_by_wakes_alone()?;
        self.rested()?;
        Ok(brought)
    }

    /// No cadence, no command and no install has the driver turn any more: a wake must ring it.
    /// Two threads at once, each of which waits for its runs.
    fn ring_by_wakes_alone(&self) -> Result<(), String> {
        const WAKES: u64 = 5;
        let ring = |key: usize| {
            let mut rng = Rng::with_seed(self.seed ^ key as u64);
            let account = &self.ledger.targets[key];
            for _ in 0..WAKES {
                dawdle(&mut rng);
                let wake = match rng.u64(..300) {
                    0..150 => Wake::now(),
                    delay => Wake::within(Duration::from_micros(delay)),
                };
                self.ledger.wake(key, || self.hub.wake(key, wake));
                let owed = account.owed.load(Ordering::Relaxed);
                wait_until(|| account.served.load(Ordering::Relaxed) >= owed).map_err(|()| {
                    format!("P5: the driver sleeps past request {owed} of target {key}")
                })?;
            }
            let in_flight = || self.hub.snapshot().in_flight;
            wait_until(|| in_flight() == 0).map_err(|()| "P3: a run never ends".to_owned())
        };
        std::thread::scope(|scope| {
            let threads = [0, KEPT - 1].map(|key| scope.spawn(move || ring(key)));
            threads.into_iter().try_for_each(|thread| {
                thread.join().unwrap_or_else(|_| Err("a thread panicked".to_owned()))
            })
        })
    }

    /// The books of a hub at rest that has not been stopped.
    fn rested(&self) -> Result<(), String> {
        let counters = self.hub.counters();
        for (key, account) in self.ledger.targets.iter().enumerate().take(KEPT) {
            let of = |word: &std::sync::atomic::AtomicU64| word.load(Ordering::Relaxed);
            let (owed, served) = (of(&account.owed), of(&account.served));
            same(served >= owed, || {
                format!("P3: request {owed} of target {key} was lost; {served} was served last")
            })?;
        }
        let read = |word: &std::sync::atomic::AtomicU64| word.load(Ordering::Relaxed);
        let ran = read(&self.ledger.calls) + read(&self.ledger.dropped);
        same(counters.pending == 0, || "P12: something waits at rest".to_owned())?;
        same(counters.started == ran, || format!("P18: {ran} runs were seen"))?;
        self.counted(&counters)
    }

    /// What holds of the counters at rest and after a stop.
    fn counted(&self, counters: &Counters) -> Result<(), String> {
        let read = |word: &std::sync::atomic::AtomicU64| word.load(Ordering::Relaxed);
        let ledger = &self.ledger;
        let wakes = read(&ledger.wakes);
        same(read(&ledger.wrong) == 0, || {
            "P6, P10: a target ran twice at once, or more than max_active ran".to_owned()
        })?;
        same(counters.is_conserved(), || "P12: wakes are not conserved".to_owned())?;
        same(counters.accepted == wakes + counters.beats, || format!("P18: {wakes} wakes"))?;
        let refused = read(&ledger.refused);
        same(counters.refused >= refused, || format!("P18: {refused} were refused"))?;
        let merged = read(&ledger.merged);
        same(counters.coalesced >= merged, || format!("P18: {merged} were said to merge"))?;
        let cancelled = read(&ledger.cancelled);
        same(counters.discarded >= cancelled, || format!("P18: {cancelled} were cancelled"))?;
        let stale = read(&ledger.stale);
        same(counters.stale_disposes == stale, || format!("P1, P18: {stale} stale disposes"))?;
        let installs = read(&ledger.installs);
        same(counters.installs == installs, || format!("P18: {installs} installs"))?;
        let panics = read(&ledger.panics);
        same(counters.panics == panics, || format!("P18: {panics} handlers panicked"))?;
        same(counters.gave_up == 0, || "P7: a wake was given up".to_owned())
    }

    /// Two threads stop the hub at once, whatever stopped it before.
    fn stop(&self) -> Vec<StopReport> {
        std::thread::scope(|scope| {
            let stops = [None, Some(LIMIT)].map(|drain| {
                scope.spawn(move || match drain {
                    Some(limit) => self.hub.drain(limit).wait(),
                    None => self.hub.stop().wait(),
                })
            });
            stops.into_iter().filter_map(|stop| stop.join().ok()).collect()
        })
    }

    /// What must hold once the hub has stopped and its driver has ended.
    fn stopped(&self, brought: &[Brought], reports: &[StopReport]) -> Result<Counters, String> {
        let midway = brought.iter().filter_map(|thread| thread.stop.as_ref()).next();
        let first = midway.map(|(ticket, _)| ticket.wait());
        let all: Vec<StopReport> = reports.iter().copied().chain(first).collect();
        same(all.len() >= 2 && all.windows(2).all(|pair| pair[0] == pair[1]), || {
            format!("P13: not one report: {all:?}")
        })?;
        let counters = self.hub.counters();
        if let (Some((_, started)), Some(report)) = (midway, first) {
            // A run that had entered may count as started a moment later.
            same(counters.started <= started + report.in_flight, || {
                format!("P13: {started} had started when the stop returned: {report:?}")
            })?;
        }
        same(counters.pending == 0, || "P13: something waits after the stop".to_owned())?;
        self.counted(&counters)?;
        let late = self.hub.wake(0, Wake::now()).is_accepted();
        same(!late, || "P13: a stopped hub accepts a wake".to_owned())?;
        let late = self.hub.install(|_: &reveille::Run<usize>| ()).is_ok();
        same(!late, || "P13: a stopped hub takes a handler".to_owned())?;
        let histories: Vec<Vec<Call<SlotCall>>> =
            brought.iter().map(|thread| thread.slot.clone()).collect();
        linearize((Generation::NONE, Slot::Vacant), &histories, step)
            .map_err(|why| format!("P1, P2: the history of the handler slot: {why}"))?;
        Ok(counters)
    }
}

fn same(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn wait_until(mut holds: impl FnMut() -> bool) -> Result<(), ()> {
    let start = Instant::now();
    while !holds() {
        if start.elapsed() > LIMIT {
            return Err(());
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    Ok(())
}
