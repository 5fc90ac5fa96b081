//! Random threads of operations under random schedules, to rest.
//!
//! proptest makes two or three threads of one to four operations each, and a seed; shuttle runs
//! them beside a driver and two workers, half of the executions at random and half with few changes of
//! priority (PCT). What fails shrinks: threads get shorter, operations simpler. It is printed as a
//! line that runs it again.

use crate::arena::{self, Outcome, Theirs};
use crate::check::{Check, Found, exhaustive, progress};
use crate::driver::{Bedside, Household, drive};
use crate::law::{Book, End, judge};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use reveille::{
    Builder, Cadence, ManualClock, Missed, OnReplace, Outcome as Ending, Policy, Reveille, Run,
    StopTicket, Target, TargetState, Tick, Urgency, Wake, Woken,
};
use serde::{Deserialize, Serialize};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const NAME: &str = "generated-operations";

/// Executions of one case under each of the two schedulers.
const EXECUTIONS: usize = 60;

/// Changes of priority in an execution under PCT.
const DEPTH: usize = 3;

/// Steps of one execution, to rest: far more than were ever seen.
const MAX_STEPS: u64 = 50_000;

/// Targets.
const KEYS: u8 = 3;

type Hub = Reveille<u8>;
type Registration = reveille::Registration<u8>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Due {
    Now,
    Soon,
    Within(u8),
    At(u8),
}

/// What a thread does; times are milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Operation {
    Wake {
        key: u8,
        due: Due,
        urgent: bool,
    },
    WakeByKey {
        key: u8,
        due: Due,
    },
    Install,
    /// The thread's own latest registration, or the first of all.
    Dispose,
    /// The first of all, or of the thread.
    DisposeFirst,
    Beat {
        key: u8,
        period: u8,
    },
    StopBeating {
        key: u8,
    },
    Cancel {
        key: u8,
    },
    Recreate {
        key: u8,
    },
    Advance(u8),
    Stop,
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Ends {
    Ran,
    Busy,
    Failed,
    Deferred,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Case {
    threads: Vec<Vec<Operation>>,
    /// How runs end, in turn and over again.
    ends: Vec<Ends>,
    /// Whether a handler is installed at first.
    handler: bool,
    missed: u8,
    cancel: bool,
    seed: u64,
}

fn due() -> impl Strategy<Value = Due> + Clone {
    prop_oneof![
        4 => Just(Due::Now),
        1 => Just(Due::Soon),
        2 => (1u8..30).prop_map(Due::Within),
        1 => (0u8..60).prop_map(Due::At),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    let key = || 0..KEYS;
    prop_oneof![
        8 => (key(), due(), any::<bool>())
            .prop_map(|(key, due, urgent)| Operation::Wake { key, due, urgent }),
        2 => (key(), due()).prop_map(|(key, due)| Operation::WakeByKey { key, due }),
        3 => Just(Operation::Install),
        2 => Just(Operation::Dispose),
        2 => Just(Operation::DisposeFirst),
        2 => (key(), 1u8..30).prop_map(|(key, period)| Operation::Beat { key, period }),
        1 => key().prop_map(|key| Operation::StopBeating { key }),
        2 => key().prop_map(|key| Operation::Cancel { key }),
        2 => key().prop_map(|key| Operation::Recreate { key }),
        1 => (1u8..60).prop_map(Operation::Advance),
        1 => Just(Operation::Stop),
    ]
}

fn cases() -> impl Strategy<Value = Case> {
    let ends = prop_oneof![
        4 => Just(Ends::Ran),
        1 => Just(Ends::Busy),
        1 => Just(Ends::Failed),
        1 => Just(Ends::Deferred),
    ];
    let threads = vec(vec(operation(), 1..=4), 2..=3);
    (threads, vec(ends, 1..=4), any::<bool>(), 0u8..3, prop::bool::weighted(0.2), any::<u64>())
        .prop_map(|(threads, ends, handler, missed, cancel, seed)| Case {
            threads,
            ends,
            handler,
            missed,
            cancel,
            seed,
        })
}

/// The checks.
pub fn checks() -> Vec<Check> {
    vec![Check {
        name: NAME,
        promises: &["P1", "P2", "P3", "P5", "P6", "P12", "P13", "P18"],
        law: "Whatever threads of operations do, at rest the answers they got and the counters \
              agree: no wake is lost, no target runs twice at once, no stale dispose removes.",
        threads: 7,
        body: Box::new(search),
    }]
}

fn search() -> Found {
    if let Some(text) = std::env::var_os("REVEILLE_CASE") {
        return match serde_json::from_str::<Case>(&text.to_string_lossy()) {
            Ok(case) => found(run(&case), 1, &case),
            Err(error) => {
                Found { failure: Some(format!("REVEILLE_CASE: {error}")), ..Found::default() }
            }
        };
    }
    let seed = std::env::var("REVEILLE_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(if exhaustive() { fastrand::u64(..) } else { 1 });
    let budget = Duration::from_secs(if exhaustive() { 1_200 } else { 40 });
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        failure_persistence: None,
        max_shrink_iters: 2_000,
        max_shrink_time: 60_000,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let (began, mut told) = (Instant::now(), Instant::now());
    let total = std::cell::RefCell::new(Outcome::default());
    let mut tried = 0;
    while began.elapsed() < budget {
        let tree = match cases().new_tree(&mut runner) {
            Ok(tree) => tree,
            Err(why) => {
                return Found { failure: Some(why.message().to_owned()), ..Found::default() };
            }
        };
        tried += 1;
        let ran = runner.run_one(tree, |case| {
            let outcome = run(&case);
            let mut total = total.borrow_mut();
            total.executions += outcome.executions;
            total.max_steps = total.max_steps.max(outcome.max_steps);
            outcome.failure.map_or(Ok(()), |why| Err(TestCaseError::fail(why)))
        });
        if let Err(TestError::Fail(why, case)) = ran {
            let failure = Some(why.message().to_owned());
            let outcome = Outcome { failure, ..total.take() };
            return found(outcome, tried, &case);
        }
        if told.elapsed() > Duration::from_secs(1) {
            told = Instant::now();
            progress(NAME, total.borrow().executions, format!("{tried} cases"));
        }
    }
    let total = total.into_inner();
    let note = format!(
        "{tried} cases from seed {seed}, each {} times; at most {} steps",
        2 * EXECUTIONS,
        total.max_steps
    );
    Found { executions: total.executions, sampled: true, note, ..Found::default() }
}

fn found(outcome: Outcome, cases: u64, case: &Case) -> Found {
    let failure = outcome.failure.map(|why| {
        let json = serde_json::to_string(case).unwrap_or_else(|error| error.to_string());
        let threads: Vec<String> = case.threads.iter().map(|one| format!("  {one:?}")).collect();
        let threads = threads.join("\n");
        format!(
            "{why}\n{threads}\n  runs end as {:?}\nagain: REVEILLE_CASE='{json}' \
             RUSTFLAGS='--cfg reveille_shuttle' cargo test -p reveille-verification --release \
             --test shuttle {NAME} -- --nocapture",
            case.ends
        )
    });
    let note = format!("{cases} cases; at most {} steps", outcome.max_steps);
    Found { executions: outcome.executions, sampled: true, complete: false, failure, note }
}

/// Runs a case under both schedulers.
fn run(case: &Case) -> Outcome {
    let case = Arc::new(case.clone());
    let seed = case.seed;
    let random = RandomScheduler::new_from_seed(seed, EXECUTIONS);
    let pct = PctScheduler::new_from_seed(seed, DEPTH, EXECUTIONS);
    let body = {
        let case = Arc::clone(&case);
        move || play(&case)
    };
    let first = arena::run(Theirs::new(random, "random"), MAX_STEPS, body);
    if first.failure.is_some() {
        return first;
    }
    let second = arena::run(Theirs::new(pct, "PCT"), MAX_STEPS, move || play(&case));
    Outcome {
        executions: first.executions + second.executions,
        max_steps: first.max_steps.max(second.max_steps),
        ..second
    }
}

/// What the threads of one execution share, outside the model.
#[derive(Clone)]
struct Stage {
    book: Book,
    clock: ManualClock,
    bedside: Bedside,
    runs: Arc<Mutex<VecDeque<Run<u8>>>>,
    tickets: Arc<Mutex<Vec<StopTicket>>>,
    ends: Arc<Vec<Ends>>,
    run: Arc<AtomicUsize>,
    /// From here on all runs end well.
    last_act: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    cancels: bool,
    kept: Arc<Mutex<Vec<Arc<Registration>>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(ms: u8) -> Duration {
    Duration::from_millis(ms.into())
}

impl Stage {
    fn install(&self, hub: &Hub) -> Option<Arc<Registration>> {
        let called = self.book.now();
        let stage = self.clone();
        let registration = Arc::new(hub.install(move |run: &Run<u8>| stage.handle(run)).ok()?);
        let returned = self.book.now();
        self.book.open().installs.push((called, returned, registration.generation()));
        // Nobody disposes by a drop: each disposal is an operation, and is told.
        locked(&self.kept).push(Arc::clone(&registration));
        Some(registration)
    }

    fn handle(&self, run: &Run<u8>) -> Ending {
        let key = *run.key();
        // A run that was cancelled goes on beside the next one.
        if !self.cancels {
            self.book.open().enter(key);
        }
        shuttle::thread::yield_now();
        self.book.open().leave(key);
        let turn = self.run.fetch_add(1, Ordering::Relaxed);
        if self.last_act.load(Ordering::Relaxed) {
            return Ending::ran();
        }
        match self.ends[turn % self.ends.len()] {
            Ends::Ran => Ending::ran(),
            Ends::Busy => Ending::busy(),
            Ends::Failed => Ending::failed(),
            Ends::Deferred => Ending::defer(Duration::from_millis(7)),
        }
    }

    fn dispose(&self, registration: &Registration) {
        let found = registration.dispose();
        self.book.open().disposals.push((registration.generation(), found));
    }

    /// Executes runs until all is over.
    fn work(&self) {
        loop {
            let (runs, over) = (Arc::clone(&self.runs), Arc::clone(&self.over));
            arena::until("a run", move || {
                !locked(&runs).is_empty() || over.load(Ordering::Relaxed)
            });
            let run = locked(&self.runs).pop_front();
            match run {
                Some(run) => run.execute(),
                None if self.over.load(Ordering::Relaxed) => return,
                None => {}
            }
        }
    }
}

/// The driver's household: hands runs to the workers.
struct Office {
    stage: Stage,
    asked: u64,
}

impl Household<u8, (), ()> for Office {
    fn asking(&mut self) {
        self.asked = self.stage.book.now();
    }

    fn serve(&mut self, run: Run<u8>) {
        let told = self.stage.book.now();
        let start = (*run.key(), self.asked, told, run.generation());
        self.stage.book.open().starts.push(start);
        locked(&self.stage.runs).push_back(run);
    }
}

fn policy(case: &Case) -> impl FnOnce(&mut Policy) {
    let (missed, cancel) = (case.missed, case.cancel);
    move |policy| {
        policy.coalesce = Duration::from_millis(2);
        policy.retry_after = Duration::from_millis(3);
        policy.backoff_max = Duration::from_millis(9);
        policy.max_attempts = 2.try_into().unwrap_or(policy.max_attempts);
        policy.max_active = 2.try_into().unwrap_or(policy.max_active);
        policy.max_targets = 16.try_into().unwrap_or(policy.max_targets);
        policy.missed = [Missed::Skip, Missed::Burst, Missed::Delay][usize::from(missed % 3)];
        policy.on_replace = if cancel { OnReplace::Cancel } else { OnReplace::Finish };
    }
}

/// One execution.
fn play(case: &Arc<Case>) {
    let clock = ManualClock::new();
    clock.advance(millis(1));
    let built = Builder::new().policy(policy(case)).clock(clock.clone()).build();
    let Ok(hub): Result<Hub, _> = built else { panic!("the policy holds") };
    let stage = Stage {
        book: Book::default(),
        bedside: Bedside::new(&clock),
        clock,
        runs: Arc::default(),
        tickets: Arc::default(),
        ends: Arc::new(case.ends.clone()),
        run: Arc::default(),
        last_act: Arc::default(),
        over: Arc::default(),
        cancels: case.cancel,
        kept: Arc::default(),
    };
    let first = if case.handler { stage.install(&hub) } else { None };
    let targets: Option<Vec<Target<u8>>> = (0..KEYS).map(|key| hub.target(key).ok()).collect();
    let Some(targets) = targets else { panic!("the hub is new") };
    let mut threads = Vec::new();
    let driving = Arc::new(AtomicBool::new(true));
    threads.push(shuttle::thread::spawn({
        let (hub, stage, driving) = (hub.clone(), stage.clone(), Arc::clone(&driving));
        move || {
            let bedside = stage.bedside.clone();
            drive(&hub, &bedside, Office { stage, asked: 0 });
            driving.store(false, Ordering::Relaxed);
        }
    }));
    for _ in 0..2 {
        let stage = stage.clone();
        threads.push(shuttle::thread::spawn(move || stage.work()));
    }
    let returned = Arc::new(AtomicUsize::new(0));
    for number in 0..case.threads.len() {
        let (case, returned) = (Arc::clone(case), Arc::clone(&returned));
        let (hub, stage, first) = (hub.clone(), stage.clone(), first.clone());
        let mut actor = Actor { hub, stage, targets: targets.clone(), registrations: Vec::new() };
        actor.registrations.extend(first);
        threads.push(shuttle::thread::spawn(move || {
            case.threads[number].iter().for_each(|&operation| actor.act(operation));
            returned.fetch_add(1, Ordering::Relaxed);
        }));
    }
    drop(targets);
    let all = case.threads.len();
    let verdict = rest(&hub, &stage, &driving, || returned.load(Ordering::Relaxed) == all);
    arena::verdict(verdict);
    stage.bedside.leave();
    stage.over.store(true, Ordering::Relaxed);
    for thread in threads {
        if thread.join().is_err() {
            panic!("a thread of the model panicked");
        }
    }
    // The hub is kept alive by handlers that are kept alive by their registrations.
    locked(&stage.kept).clear();
}

/// Lets things come to rest, makes it possible that all is served, and judges.
fn rest(
    hub: &Hub,
    stage: &Stage,
    driving: &AtomicBool,
    all_returned: impl Fn() -> bool,
) -> Result<(), String> {
    arena::until_idle();
    if !all_returned() {
        return Err("a thread waits for ever".into());
    }
    let handler = hub.handler();
    // A while longer, with cadences and runs that end in all ways.
    pass_time(hub, stage, 6)?;
    stage.last_act.store(true, Ordering::Relaxed);
    for key in 0..KEYS {
        if let Some(target) = hub.find(&key) {
            target.stop_beating();
        }
    }
    let last = stage.install(hub);
    let asleep_until = pass_time(hub, stage, 200)?;
    let reports = {
        let tickets = std::mem::take(&mut *locked(&stage.tickets));
        tickets.iter().map(StopTicket::report).collect()
    };
    let stopped = stage.book.open().stopped.is_some();
    if stopped != last.is_none() {
        return Err(format!("P13: stopped: {stopped}, and yet {:?}", last.map(|_| "installed")));
    }
    if driving.load(Ordering::Relaxed) == stopped || !stopped && asleep_until != Some(Tick::NEVER) {
        return Err(format!("P11: no rest: stopped {stopped}, driver until {asleep_until:?}"));
    }
    judge(&stage.book, &End { counters: hub.counters(), handler, reports })
}

/// Lets time pass from deadline to deadline; until when the driver sleeps then.
///
/// # Errors
/// P5: the driver would oversleep.
fn pass_time(hub: &Hub, stage: &Stage, rounds: u32) -> Result<Option<Tick>, String> {
    for _ in 0..rounds {
        arena::until_idle();
        let Some(until) = stage.bedside.asleep_until() else { return Ok(None) };
        in_time(hub, until)?;
        if until == Tick::NEVER {
            break;
        }
        stage.clock.advance_to(until);
    }
    Ok(stage.bedside.asleep_until())
}

/// P5: at rest, with no run in flight, the driver sleeps no longer than to any wake that waits.
/// Looked at before anything rings it that would make up for what it missed.
fn in_time(hub: &Hub, until: Tick) -> Result<(), String> {
    let snapshot = hub.snapshot();
    if snapshot.handler.is_none() || snapshot.stopped {
        return Ok(());
    }
    let waits = snapshot.targets.iter().filter(|target| target.state == TargetState::Pending);
    match waits.into_iter().find(|target| target.next_due.is_some_and(|due| due < until)) {
        None => Ok(()),
        Some(late) => Err(format!(
            "P5: the driver sleeps until {until:?}, and a target may start at {:?}: {:?}",
            late.next_due,
            hub.find(&late.key)
        )),
    }
}

/// A thread of operations.
struct Actor {
    hub: Hub,
    stage: Stage,
    targets: Vec<Target<u8>>,
    registrations: Vec<Arc<Registration>>,
}

fn wake(due: Due) -> Wake {
    match due {
        Due::Now => Wake::now(),
        Due::Soon => Wake::soon(),
        Due::Within(ms) => Wake::within(millis(ms)),
        Due::At(ms) => Wake::at(Tick::NOW + millis(ms)),
    }
}

impl Actor {
    fn told(&self, key: u8, called: u64, woken: &Woken) {
        let accepted = !matches!(woken, Woken::Refused(_));
        self.stage.book.open().wakes.push((key, called, accepted));
    }

    fn discarded(&self, key: u8) {
        let returned = self.stage.book.now();
        self.stage.book.open().discards.push((key, returned));
    }

    fn act(&mut self, operation: Operation) {
        let book = self.stage.book.clone();
        match operation {
            Operation::Wake { key, due, urgent } => {
                let urgency = if urgent { Urgency::Urgent } else { Urgency::Event };
                let called = book.now();
                let target = &self.targets[usize::from(key)];
                let woken = target.wake(wake(due).urgency(urgency));
                self.told(key, called, &woken);
            }
            Operation::WakeByKey { key, due } => {
                let called = book.now();
                let woken = self.hub.wake(key, wake(due));
                self.told(key, called, &woken);
            }
            Operation::Install => self.registrations.extend(self.stage.install(&self.hub)),
            Operation::Dispose => {
                if let Some(registration) = self.registrations.last() {
                    self.stage.dispose(registration);
                }
            }
            Operation::DisposeFirst => {
                if let Some(registration) = self.registrations.first() {
                    self.stage.dispose(registration);
                }
            }
            Operation::Beat { key, period } => {
                book.open().beats = true;
                if let Ok(cadence) = Cadence::every(millis(period)) {
                    let _ = self.targets[usize::from(key)].beat(cadence);
                }
            }
            Operation::StopBeating { key } => self.targets[usize::from(key)].stop_beating(),
            Operation::Cancel { key } => {
                if self.targets[usize::from(key)].cancel() {
                    self.discarded(key);
                }
            }
            Operation::Recreate { key } => {
                if self.targets[usize::from(key)].remove() {
                    self.discarded(key);
                }
                if let Ok(target) = self.hub.target(key) {
                    self.targets[usize::from(key)] = target;
                }
            }
            Operation::Advance(ms) => self.stage.clock.advance(millis(ms)),
            Operation::Stop => {
                let ticket = self.hub.stop();
                locked(&self.stage.tickets).push(ticket);
                let returned = book.now();
                book.open().stopped.get_or_insert(returned);
            }
        }
    }
}
