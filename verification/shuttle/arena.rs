//! One execution after the other, under a scheduler that can freeze a thread.
//!
//! All threads of a model are coroutines of one thread of the system, and so is the scheduler
//! between their steps. What they tell each other here lies outside the model: it takes no step.

use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How an execution ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum How {
    /// All threads ended.
    #[default]
    Whole,
    /// Nobody but frozen and waiting threads is left.
    Stuck,
    /// It took more steps than are allowed.
    Overran,
    /// The check had its answer.
    Answered,
}

/// What is known of an execution.
#[derive(Debug, Default)]
pub struct Execution {
    /// How it ended.
    pub how: How,
    /// What the check said.
    pub verdict: Option<Result<(), String>>,
    /// Steps of all threads.
    pub steps: u64,
    /// Steps of the victim.
    pub victim_steps: u64,
    /// Steps of the others since the victim was frozen, up to the verdict.
    pub steps_after: Option<u64>,
    /// Threads that wait and for what.
    pub waiting: Vec<String>,
}

impl Execution {
    /// Whether the victim was held back.
    pub fn froze(&self) -> bool {
        self.steps_after.is_some()
    }
}

/// What decides about one execution after the other.
pub trait Strategy {
    /// The next one, given what came of the one before; `None` to end. `Some(k)` freezes the
    /// victim after `k` of its steps.
    fn begin(&mut self, before: Option<&Execution>) -> Option<Option<u64>>;

    /// Who takes the next step.
    fn choose(&mut self, choice: &Choice<'_, '_>) -> TaskId;

    /// The schedule's name, to run it again.
    fn name(&self) -> String;
}

/// What a strategy chooses from.
pub struct Choice<'choice, 'tasks> {
    /// Who can take a step; never empty, in the order of their creation.
    pub able: &'choice [&'tasks Task],
    /// Who took the last one.
    pub current: Option<TaskId>,
    /// Whether that one asked others to go first.
    pub yields: bool,
    /// Who is to be frozen, once it is known.
    pub victim: Option<TaskId>,
}

enum Wait {
    /// Until nobody else can take a step.
    Idle,
    /// Until something outside the model holds.
    Until(&'static str, Box<dyn Fn() -> bool>),
}

#[derive(Default)]
struct World {
    execution: Execution,
    waits: Vec<(TaskId, Wait)>,
    victim: Option<TaskId>,
    freeze_after: Option<u64>,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
    static PROGRESS: Arc<AtomicU64> = Arc::default();
}

/// What the scheduler did last, for a watchdog on another thread.
static LAST: Mutex<String> = Mutex::new(String::new());

/// Counts the steps of all executions of this thread.
pub fn progress() -> Arc<AtomicU64> {
    PROGRESS.with(Arc::clone)
}

/// What the scheduler did last.
pub fn last_words() -> String {
    LAST.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The calling thread is the one to be frozen; its steps count from here.
pub fn victim() {
    WORLD.with_borrow_mut(|world| {
        world.victim = Some(shuttle::current::me());
        world.execution.victim_steps = 0;
    });
}

/// Waits for something outside the model.
pub fn until(what: &'static str, holds: impl Fn() -> bool + Clone + 'static) {
    while !holds() {
        wait(Wait::Until(what, Box::new(holds.clone())));
    }
}

/// Waits until nobody else can take a step.
pub fn until_idle() {
    wait(Wait::Idle);
}

fn wait(for_what: Wait) {
    let me = shuttle::current::me();
    WORLD.with_borrow_mut(|world| world.waits.push((me, for_what)));
    shuttle::thread::yield_now();
    WORLD.with_borrow_mut(|world| world.waits.retain(|(task, _)| *task != me));
}

/// Says what came of this execution. The first answer counts.
pub fn verdict(verdict: Result<(), String>) {
    WORLD.with_borrow_mut(|world| {
        world.execution.verdict.get_or_insert(verdict);
    });
}

struct Arena<S> {
    strategy: S,
    max_steps: u64,
    /// Executions that ended, and the first that did not hold.
    outcome: Arc<Mutex<Outcome>>,
    begun: bool,
}

/// What came of many executions.
#[derive(Default)]
pub struct Outcome {
    /// How many.
    pub executions: u64,
    /// The most steps of one.
    pub max_steps: u64,
    /// The most steps of the others after a freeze.
    pub max_after: u64,
    /// Executions in which a thread was frozen.
    pub frozen: u64,
    /// The first that did not hold, and by which schedule.
    pub failure: Option<String>,
}

impl<S: Strategy> Arena<S> {
    fn settle(&mut self) {
        let execution = WORLD.with_borrow_mut(|world| std::mem::take(&mut world.execution));
        settle(&self.outcome, &execution, &self.strategy.name());
        self.begin(Some(&execution));
    }

    fn begin(&mut self, before: Option<&Execution>) {
        let failed = self.outcome.lock().is_ok_and(|outcome| outcome.failure.is_some());
        let next = if failed { None } else { self.strategy.begin(before) };
        self.begun = next.is_some();
        let world = World { freeze_after: next.flatten(), ..World::default() };
        WORLD.set(world);
    }
}

fn settle(outcome: &Mutex<Outcome>, execution: &Execution, schedule: &str) {
    let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
    outcome.executions += 1;
    outcome.max_steps = outcome.max_steps.max(execution.steps);
    if let Some(steps) = execution.steps_after {
        outcome.frozen += 1;
        outcome.max_after = outcome.max_after.max(steps);
    }
    let why = match (&execution.verdict, execution.how) {
        (Some(Ok(())), _) => return,
        (Some(Err(why)), _) => why.clone(),
        (None, How::Overran) => format!("no end within {} steps", execution.steps),
        (None, how) => format!("no answer ({how:?}); waiting: {}", execution.waiting.join(", ")),
    };
    outcome.failure.get_or_insert(format!("{why}\n  schedule: {schedule}"));
}

impl<S: Strategy> Scheduler for Arena<S> {
    fn new_execution(&mut self) -> Option<Schedule> {
        if self.begun {
            self.settle()
        } else {
            self.begin(None)
        }
        self.begun.then(|| Schedule::new(0))
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        yields: bool,
    ) -> Option<TaskId> {
        PROGRESS.with(|progress| progress.fetch_add(1, Ordering::Relaxed));
        WORLD.with_borrow_mut(|world| {
            let able = match world.able(runnable, self.max_steps) {
                Ok(able) => able,
                Err(how) => {
                    world.execution.how = how;
                    return None;
                }
            };
            let choice = Choice { able: &able, current, yields, victim: world.victim };
            let chosen = self.strategy.choose(&choice);
            world.took_step(chosen);
            if world.execution.steps == 1
                && let Ok(mut last) = LAST.lock()
            {
                *last = self.strategy.name();
            }
            Some(chosen)
        })
    }

    fn next_u64(&mut self) -> u64 {
        0 // nothing here asks for random values
    }
}

impl World {
    /// Who can take a step; or how the execution ends.
    fn able<'tasks>(
        &mut self,
        runnable: &[&'tasks Task],
        max_steps: u64,
    ) -> Result<Vec<&'tasks Task>, How> {
        if self.execution.verdict.as_ref().is_some_and(Result::is_err) {
            return Err(How::Answered);
        }
        if self.execution.steps >= max_steps && self.execution.verdict.is_none() {
            return Err(How::Overran);
        }
        // What happens after the verdict is no longer looked at.
        let looked_at = self.execution.verdict.is_none() || self.execution.froze();
        let frozen = match self.freeze_after {
            Some(after) if looked_at && self.execution.victim_steps >= after => self.victim,
            _ => None,
        };
        if frozen.is_some_and(|victim| runnable.iter().any(|task| task.id() == victim)) {
            self.execution.steps_after.get_or_insert(0);
        }
        // Nothing wakes without a cause here: a ring that is lost must show.
        let awake = |task: &&&Task| task.runnable() && Some(task.id()) != frozen;
        let waits = |task: &Task| self.waits.iter().find(|(id, _)| *id == task.id());
        let can = |task: &&&Task| match waits(task) {
            None => true,
            Some((_, Wait::Idle)) => false,
            Some((_, Wait::Until(_, holds))) => holds(),
        };
        let able: Vec<&Task> = runnable.iter().filter(awake).filter(can).copied().collect();
        if !able.is_empty() {
            return Ok(able);
        }
        let idle = |task: &&&Task| matches!(waits(task), Some((_, Wait::Idle)));
        let able: Vec<&Task> = runnable.iter().filter(awake).filter(idle).copied().collect();
        if able.is_empty() {
            let what = |(id, wait): &(TaskId, Wait)| match wait {
                Wait::Idle => format!("{id:?} for rest"),
                Wait::Until(what, _) => format!("{id:?} for {what}"),
            };
            self.execution.waiting = self.waits.iter().map(what).collect();
            return Err(How::Stuck);
        }
        Ok(able)
    }

    fn took_step(&mut self, task: TaskId) {
        self.execution.steps += 1;
        if Some(task) == self.victim {
            self.execution.victim_steps += 1;
        } else if self.execution.verdict.is_none()
            && let Some(steps) = &mut self.execution.steps_after
        {
            *steps += 1;
        }
    }
}

/// Runs `body` once for each execution of the strategy, until one does not hold.
pub fn run<S: Strategy + 'static>(
    strategy: S,
    max_steps: u64,
    body: impl Fn() + Send + Sync + 'static,
) -> Outcome {
    let mut config = Config::new();
    config.stack_size = 0x20000;
    config.failure_persistence = FailurePersistence::None;
    config.max_steps = MaxSteps::None; // ours count
    config.silence_warnings = true; // that shuttle is sequentially consistent is known
    let outcome = Arc::new(Mutex::new(Outcome::default()));
    let arena = Arena { strategy, max_steps, outcome: Arc::clone(&outcome), begun: false };
    WORLD.set(World::default());
    let runner = Runner::new(arena, config);
    let ran = catch_unwind(AssertUnwindSafe(|| runner.run(body)));
    if let Err(panic) = ran {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let why = format!("a thread panicked: {}", text.unwrap_or("not with a text"));
        let execution = WORLD.with_borrow_mut(|world| std::mem::take(&mut world.execution));
        let execution = Execution { verdict: Some(Err(why)), ..execution };
        settle(&outcome, &execution, &last_words());
    }
    std::mem::take(&mut *outcome.lock().unwrap_or_else(PoisonError::into_inner))
}

/// One of the checker's own schedulers.
pub struct Theirs<S: Scheduler> {
    scheduler: S,
    name: String,
}

impl<S: Scheduler> Theirs<S> {
    /// This one, called `name`.
    pub fn new(scheduler: S, name: impl Into<String>) -> Self {
        Self { scheduler, name: name.into() }
    }
}

impl<S: Scheduler> Drop for Theirs<S> {
    /// Runs out, as far as a random one goes: dropped in the middle, that one prints its own way
    /// to replay what was found.
    fn drop(&mut self) {
        for _ in 0..1_000 {
            if self.scheduler.new_execution().is_none() {
                return;
            }
        }
    }
}

impl<S: Scheduler> Strategy for Theirs<S> {
    fn begin(&mut self, _: Option<&Execution>) -> Option<Option<u64>> {
        self.scheduler.new_execution().map(|_| None)
    }

    fn choose(&mut self, choice: &Choice<'_, '_>) -> TaskId {
        match self.scheduler.next_task(choice.able, choice.current, choice.yields) {
            Some(task) => task,
            None => unreachable!("{} gave up", self.name),
        }
    }

    fn name(&self) -> String {
        self.name.clone()
    }
}
