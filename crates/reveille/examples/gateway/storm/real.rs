//! The storm over Reveille: a runner is a registration and the cadences of the roster.

use super::arena::Arena;
use super::book::{Book, Cause, End, Start};
use super::drive::Scheduler;
use super::lateness::LatenessTable;
use super::plan::{Act, Kind, Spec, tantrum};
use crate::process::Call;
use crate::words::Why;
use reveille::{
    Builder, Cadence, Disposal, Driver, Outcome, Registration, Reveille, Run, Target, Urgency, Wake,
};
use std::error::Error;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Failures in a row after which a wake is given up: few, so that it happens.
const MAX_ATTEMPTS: NonZeroU32 = NonZeroU32::new(3).unwrap();
const MAX_ACTIVE: NonZeroUsize = NonZeroUsize::new(8).unwrap();

type Hub = Reveille<usize, Why>;
type Owned = Arc<Registration<usize, Why>>;

/// What the storm itself counts, to hold against the hub's counters.
#[derive(Default)]
pub(crate) struct Own {
    pub(crate) wakes: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) coalesced: AtomicU64,
    pub(crate) installs: AtomicU64,
    pub(crate) stale: AtomicU64,
    /// A disposal that was late and removed a handler all the same.
    pub(crate) harmful: AtomicU64,
    /// Reloads that found the handler of the one before gone.
    pub(crate) lost_handler: AtomicU64,
    pub(crate) calls: AtomicU64,
    pub(crate) panics: AtomicU64,
    /// Runs whose reasons name a beat and that carry none, or the reverse.
    pub(crate) torn: AtomicU64,
    pub(crate) cancels: AtomicU64,
    pub(crate) removals: AtomicU64,
}

pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What handlers write to, of whatever generation.
pub(crate) struct Ledger {
    pub(crate) arena: Arc<Arena>,
    pub(crate) books: Vec<Mutex<Book>>,
    pub(crate) own: Own,
    pub(crate) lateness: Mutex<LatenessTable>,
}

pub(crate) struct Real {
    pub(crate) hub: Hub,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) driver: Driver,
    runner: Mutex<Owned>,
    /// Only the storm's one disturbing thread replaces those of churned targets.
    targets: Vec<Mutex<Target<usize, Why>>>,
}

impl Real {
    pub(crate) fn new(arena: &Arc<Arena>) -> Result<Self, Box<dyn Error>> {
        let hub: Hub = Builder::new()
            .policy(|policy| {
                policy.coalesce = Duration::from_millis(2);
                policy.retry_after = Duration::from_millis(2);
                policy.backoff_max = Duration::from_millis(50);
                policy.max_attempts = MAX_ATTEMPTS;
                policy.max_active = MAX_ACTIVE;
                // Often, so that it looks: what it finds is a defect.
                policy.recheck = Duration::from_millis(500);
                // Shorter than any check's patience hides nothing, longer shows a lost ring.
                policy.max_sleep = Duration::from_secs(60);
            })
            .build()?;
        let driver = hub.drive()?;
        let mut books = Vec::new();
        let mut targets = Vec::new();
        for (i, spec) in arena.plan.targets.iter().enumerate() {
            let period = spec.period.map_or(1, |period| period.as_micros());
            let book = Book::new(u64::try_from(period)?.max(1), MAX_ATTEMPTS.get());
            books.push(Mutex::new(book));
            targets.push(Mutex::new(hub.target(i)?));
        }
        let own = Own::default();
        let ledger = Arc::new(Ledger {
            arena: Arc::clone(arena),
            books,
            own,
            lateness: Mutex::new(LatenessTable::new()?),
        });
        let first = install(&hub, &ledger)?;
        let real = Self { hub, ledger, driver, runner: Mutex::new(Arc::new(first)), targets };
        for (i, spec) in arena.plan.targets.iter().enumerate() {
            real.beat(i, spec)?;
        }
        Ok(real)
    }

    /// Sets the cadence of a target: unchanged but for the first time, so nothing may move (P17).
    fn beat(&self, i: usize, spec: &Spec) -> Result<(), Box<dyn Error>> {
        let Some(period) = spec.period else { return Ok(()) };
        let cadence = Cadence::every(period)?;
        let cadence = match spec.phase {
            Some(phase) => cadence.with_phase(phase),
            None => cadence,
        };
        let from = self.hub.now();
        let target = lock(&self.targets[i]);
        target.beat(cadence)?;
        let to = self.hub.now() + period;
        let from = if spec.phase.is_some() { from } else { from + (period - MICRO) };
        lock(&self.ledger.books[i]).open(from, to);
        Ok(())
    }

    pub(crate) fn stop_beating(&self) {
        for target in &self.targets {
            lock(target).stop_beating();
        }
    }

    /// Whether the last runner's handler is the one installed.
    pub(crate) fn is_current(&self) -> bool {
        let runner = lock(&self.runner);
        runner.is_current() && self.hub.handler() == Some(runner.generation())
    }
}

const MICRO: Duration = Duration::from_micros(1);

fn install(hub: &Hub, ledger: &Arc<Ledger>) -> Result<Registration<usize, Why>, Box<dyn Error>> {
    let handler = Arc::clone(ledger);
    let registration = hub.install(move |run: &Run<usize, Why>| handle(&handler, run))?;
    add(&ledger.own.installs, 1);
    Ok(registration)
}

/// The handler: keeps the books, and does what the plan says.
fn handle(ledger: &Ledger, run: &Run<usize, Why>) -> Outcome {
    let (i, own) = (*run.key(), &ledger.own);
    let inside = ledger.arena.enter(i);
    add(&own.calls, 1);
    if run.is_beat() != run.reasons().contains(Why::BEAT) {
        add(&own.torn, 1);
    }
    let hub = run.hub();
    let lateness = lock(&ledger.books[i]).start(Start {
        last_beat: run.beat().filter(|_| run.is_beat()),
        missed: run.missed(),
        started: run.started(),
        called: hub.now(),
        generation: run.generation().get(),
    });
    if let Some(lateness) = lateness {
        lock(&ledger.lateness).record(&lateness);
    }
    let act = ledger.arena.perform(i, inside.n, || Call {
        reasons: format!("{:?}", run.reasons()).to_lowercase(),
        attempt: run.attempt(),
        missed: run.missed(),
    });
    let (end, outcome) = match act {
        Act::Run | Act::Slow(_) => (End::Served, Outcome::ran()),
        Act::Skip => (End::Served, Outcome::skipped()),
        Act::Busy(None) => (End::GivenBack, Outcome::busy()),
        Act::Busy(Some(delay)) => (End::GivenBack, Outcome::busy_for(delay)),
        Act::Defer(delay) => (End::GivenBack, Outcome::defer(delay)),
        Act::Fail | Act::Panic => (End::Failed, Outcome::failed()),
    };
    lock(&ledger.books[i]).end(end, hub.now());
    drop(inside);
    if act == Act::Panic {
        add(&own.panics, 1);
        tantrum();
    }
    outcome
}

impl Scheduler for Real {
    type Old = Owned;

    fn wake(&self, i: usize, delay: Duration, urgency: Urgency) {
        let wake = if delay.is_zero() { Wake::now() } else { Wake::within(delay) };
        let wake = wake.because(Why::ASKED).urgency(urgency);
        let own = &self.ledger.own;
        self.ledger.arena.asks(i);
        add(&own.wakes, 1);
        // A churned target is looked up by its key, which creates it where it was removed.
        let woken = if self.ledger.arena.plan.targets[i].kind == Kind::Churned {
            self.hub.wake(i, wake)
        } else {
            let target = lock(&self.targets[i]).clone();
            target.wake(wake)
        };
        match woken {
            reveille::Woken::Armed => {}
            reveille::Woken::Preempted | reveille::Woken::Coalesced => add(&own.coalesced, 1),
            reveille::Woken::Refused(_) => add(&own.refused, 1),
        }
    }

    fn cancel(&self, i: usize) {
        let book = &self.ledger.books[i];
        lock(book).will_cause(Cause::Cancel);
        let took = lock(&self.targets[i]).cancel();
        lock(book).caused(Cause::Cancel, self.hub.now(), took);
        if took {
            add(&self.ledger.own.cancels, 1);
            self.ledger.arena.forgives(i);
        }
    }

    fn recreate(&self, i: usize) {
        let (book, own) = (&self.ledger.books[i], &self.ledger.own);
        lock(book).will_cause(Cause::Removal);
        let mut target = lock(&self.targets[i]);
        add(&own.removals, u64::from(target.remove()));
        self.ledger.arena.forgives(i);
        // A handle to a removed target is dead for good.
        add(&own.wakes, 1);
        add(&own.refused, u64::from(!target.wake(Wake::now()).is_accepted()));
        if let Ok(new) = self.hub.target(i) {
            *target = new;
        }
        drop(target);
        if self.beat(i, &self.ledger.arena.plan.targets[i]).is_ok() {
            lock(book).caused(Cause::Removal, self.hub.now(), true);
        }
    }

    fn reload(&self) -> Owned {
        let mut runner = lock(&self.runner);
        let own = &self.ledger.own;
        if !runner.is_current() {
            add(&own.lost_handler, 1);
        }
        let Ok(new) = install(&self.hub, &self.ledger) else { return Arc::clone(&runner) };
        let old = std::mem::replace(&mut *runner, Arc::new(new));
        drop(runner);
        for (i, spec) in self.ledger.arena.plan.targets.iter().enumerate() {
            if spec.kind != Kind::Churned {
                let _ = self.beat(i, spec); // refused only by a hub that has stopped
            }
        }
        old
    }

    fn clean_up(&self, old: &Owned) {
        match old.dispose() {
            Disposal::Superseded => add(&self.ledger.own.stale, 1),
            Disposal::Removed | Disposal::AlreadyDisposed => add(&self.ledger.own.harmful, 1),
        }
    }

    fn health(&self) -> String {
        let snapshot = self.hub.snapshot();
        let stale = snapshot.counters.stale_disposes;
        let flight = snapshot.in_flight;
        let handler = snapshot.handler.map_or("no handler".to_owned(), |g| format!("handler {g}"));
        format!("{stale:>5} stale disposals, {handler}, {flight} in flight")
    }
}
