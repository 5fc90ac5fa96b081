//! Lock-freedom (P16): freeze one thread for ever at each of its steps; the others go on.
//!
//! A step of a thread is an access to a word of the facade, or to a lock of the hub. For each
//! operation, the victim is frozen before its first step, its second, and so on until it has no
//! more, under each of these schedules:
//! * a *burst*: the others take `j` steps in turn, the victim takes its own up to the freeze
//!   without a break, and the others go on in turn, for `j` from 0;
//! * all in turn;
//! * at random, where nobody who can take a step waits for more than a bounded number of others'.
//!
//! The verdict falls when nobody can take a step any more: all others have returned, and the target
//! of none of their wakes still waits. The wakes are due at once, and time stands still.
//!
//! `keep` has no step at all, and is part of the installs here.
//!
//! No freeze points: the inside of `ArcSwap`, whose twin takes one step for each access of the
//! pointer, the counters, the allocator, and the inside of the locks that creating, removing and
//! stopping take.

use crate::arena::{self, Choice, Execution, Outcome, Strategy};
use crate::check::{Check, Found, exhaustive, progress};
use crate::driver::drive;
use crate::operations::{Attendant, Operation, Scene, operations};
use shuttle::scheduler::TaskId;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Steps until the verdict; several times as many as were ever seen.
const MAX_STEPS: u64 = 1_500;

/// How many of the others' steps before a burst.
const BURSTS: u64 = 48;

/// Random schedules for each freeze point.
const SEEDS: u64 = 24;

/// The same in the long run.
const MANY_SEEDS: u64 = 1_000;

/// The checks: one an operation.
pub fn checks() -> Vec<Check> {
    operations().into_iter().map(check).collect()
}

fn check(operation: Operation) -> Check {
    let operation = Arc::new(operation);
    Check {
        name: operation.name,
        promises: operation.promises,
        law: operation.law,
        threads: 5 + u32::from(operation.has_worker) - u32::from(operation.is_driver),
        body: Box::new(move || freeze(&operation)),
    }
}

fn freeze(operation: &Arc<Operation>) -> Found {
    let (mut all, mut points) = (Outcome::default(), 0);
    let drivers: &[bool] = if operation.is_driver { &[true] } else { &[false, true] };
    for &awake in drivers {
        let strategy = Freezing::new(awake, operation.is_driver);
        let most = Arc::clone(&strategy.most);
        let outcome = arena::run(strategy, MAX_STEPS, {
            let operation = Arc::clone(operation);
            move || scene(&operation, awake)
        });
        points = points.max(most.load(Ordering::Relaxed));
        all.executions += outcome.executions;
        all.frozen += outcome.frozen;
        all.max_steps = all.max_steps.max(outcome.max_steps);
        all.max_after = all.max_after.max(outcome.max_after);
        let stage = if awake { "driver awake" } else { "driver asleep" };
        progress(operation.name, all.executions, stage.into());
        if outcome.failure.is_some() {
            all.failure = outcome.failure;
            break;
        }
    }
    if all.failure.is_none() && all.frozen == 0 {
        all.failure = Some("no thread was ever frozen".into());
    }
    let mut note = format!(
        "{points} freeze points, {} executions with a frozen thread; others took at most {} steps \
         after it (bound {MAX_STEPS})",
        all.frozen, all.max_after,
    );
    if let Some(why) = operation.outside {
        note += &format!("; outside P16: {why}");
    }
    Found { executions: all.executions, complete: false, sampled: true, failure: all.failure, note }
}

/// One execution.
fn scene(operation: &Arc<Operation>, awake: bool) {
    let scene = Arc::new(Scene::new());
    spawn(&scene, |scene| drive(&scene.hub, &scene.bedside, Attendant(Arc::clone(scene))));
    arena::until_idle();
    (operation.prepare)(&scene);
    arena::until_idle();
    let go = Arc::new(AtomicBool::new(false));
    let returned: Vec<_> = std::iter::repeat_with(|| Arc::new(AtomicBool::new(false)))
        .take(2 + usize::from(operation.has_worker) + usize::from(!operation.is_driver))
        .collect();
    let mut flags = returned.iter().map(Arc::clone);
    let mut start = |act: Box<dyn FnOnce(&Scene) + Send>| {
        let Some(flag) = flags.next() else { return };
        let go = Arc::clone(&go);
        spawn(&scene, move |scene| {
            arena::until("the start", move || go.load(Ordering::Relaxed));
            act(scene);
            flag.store(true, Ordering::Relaxed);
        });
    };
    let &Operation { act, beside, wakes: [first, second], .. } = &**operation;
    start(Box::new(move |scene| scene.wake(first)));
    start(Box::new(move |scene| {
        beside(scene);
        scene.wake(second);
        scene.wake(2);
    }));
    if operation.has_worker {
        start(Box::new(Scene::finish_held));
    }
    let others = 2 + usize::from(operation.has_worker);
    if !operation.is_driver {
        start(Box::new(move |scene| {
            arena::victim();
            act(scene);
        }));
    }
    if awake || operation.is_driver {
        scene.freezes_driver.store(operation.is_driver, Ordering::Relaxed);
        scene.wake(3);
    }
    go.store(true, Ordering::Relaxed);
    arena::until_idle();
    arena::verdict(judge(operation, &scene, &returned, others));
    scene.bedside.leave();
}

fn judge(
    operation: &Operation,
    scene: &Scene,
    returned: &[Arc<AtomicBool>],
    others: usize,
) -> Result<(), String> {
    let has_returned = |flag: &Arc<AtomicBool>| flag.load(Ordering::Relaxed);
    let blocked = returned[..others].iter().filter(|flag| !has_returned(flag)).count();
    if blocked > 0 {
        return Err(format!("{blocked} threads wait for the one that is frozen"));
    }
    if !operation.serves {
        return Ok(());
    }
    let unserved = scene.unserved();
    if !unserved.is_empty() {
        let asleep = scene.bedside.asleep_until();
        let why = asleep.map_or("the driver waits for the frozen thread".into(), |until| {
            format!("the driver sleeps until {until:?}")
        });
        return Err(format!("wakes of targets {unserved:?} are not served, and {why}"));
    }
    let all = returned.iter().all(has_returned);
    if all {
        let counters = scene.hub.counters();
        if !counters.is_conserved() {
            return Err(format!("P12: {counters:?}"));
        }
    }
    Ok(())
}

/// A thread that belongs to the execution: it is waited for, unless it is frozen.
fn spawn(scene: &Arc<Scene>, act: impl FnOnce(&Arc<Scene>) + Send + 'static) {
    let scene = Arc::clone(scene);
    // Not dropped: a detached thread would be unwound when it is frozen.
    std::mem::forget(shuttle::thread::spawn(move || act(&scene)));
}

#[derive(Clone, Copy, Debug)]
enum Order {
    Burst(u64),
    InTurn,
    Random(u64),
}

/// All freeze points under all schedules.
struct Freezing {
    orders: Vec<Order>,
    order: usize,
    awake: bool,
    freeze_after: u64,
    /// Freeze points of the longest victim.
    most: Arc<std::sync::atomic::AtomicU64>,
    rng: fastrand::Rng,
    /// Steps of the others since the victim was known.
    others: u64,
    steps: u64,
    /// When each thread took its last step.
    last: Vec<u64>,
}

impl Freezing {
    fn new(awake: bool, many_points: bool) -> Self {
        // The driver has ten times the freeze points of others.
        let (stride, seeds) = match (exhaustive(), many_points) {
            (true, _) => (1, MANY_SEEDS),
            (false, true) => (4, SEEDS / 4),
            (false, false) => (1, SEEDS),
        };
        let bursts = (0..BURSTS).step_by(stride).map(Order::Burst);
        let orders = bursts.chain([Order::InTurn]);
        let orders = orders.chain((0..seeds).map(Order::Random)).collect();
        Self {
            orders,
            order: 0,
            awake,
            freeze_after: 0,
            most: Arc::default(),
            rng: fastrand::Rng::with_seed(0),
            others: 0,
            steps: 0,
            last: Vec::new(),
        }
    }

    fn in_turn(choice: &Choice<'_, '_>) -> TaskId {
        let next = choice.able.iter().find(|task| Some(task.id()) > choice.current);
        next.unwrap_or(&choice.able[0]).id()
    }

    /// At random, but who waited long goes first.
    fn random(&mut self, choice: &Choice<'_, '_>) -> TaskId {
        let patience = 8 * choice.able.len() as u64;
        for task in choice.able {
            let place = usize::from(task.id());
            if self.last.len() <= place {
                self.last.resize(place + 1, self.steps);
            }
        }
        let waited = |task: &&&shuttle::scheduler::Task| {
            self.steps - self.last[usize::from(task.id())] > patience
        };
        let chosen = match choice.able.iter().find(waited) {
            Some(task) => task.id(),
            None => choice.able[self.rng.usize(..choice.able.len())].id(),
        };
        self.last[usize::from(chosen)] = self.steps;
        chosen
    }
}

impl Strategy for Freezing {
    fn begin(&mut self, before: Option<&Execution>) -> Option<Option<u64>> {
        match before {
            Some(execution) if execution.froze() => {
                self.freeze_after += 1;
                self.most.fetch_max(self.freeze_after, Ordering::Relaxed);
            }
            Some(_) => {
                self.order += 1;
                self.freeze_after = 0;
            }
            None => {}
        }
        let (Order::Burst(seed) | Order::Random(seed)) = *self.orders.get(self.order)? else {
            return Some(Some(self.freeze_after));
        };
        self.rng = fastrand::Rng::with_seed(seed << 16 | self.freeze_after);
        (self.others, self.steps) = (0, 0);
        self.last.clear();
        Some(Some(self.freeze_after))
    }

    fn choose(&mut self, choice: &Choice<'_, '_>) -> TaskId {
        self.steps += 1;
        match self.orders[self.order] {
            Order::InTurn => Self::in_turn(choice),
            Order::Random(_) => self.random(choice),
            Order::Burst(others) => {
                let victim = choice.able.iter().find(|task| Some(task.id()) == choice.victim);
                if let Some(victim) = victim
                    && self.others >= others
                {
                    return victim.id();
                }
                let able = choice.able.iter().copied();
                let able: Vec<_> = able.filter(|task| Some(task.id()) != choice.victim).collect();
                if able.is_empty() {
                    return choice.able[0].id();
                }
                self.others += u64::from(choice.victim.is_some());
                Self::in_turn(&Choice { able: &able, ..*choice })
            }
        }
    }

    fn name(&self) -> String {
        let driver = if self.awake { "awake" } else { "asleep" };
        let order = self.orders.get(self.order);
        let order = order.map_or("none".into(), |order| format!("{order:?}"));
        format!("{order}, frozen after {} steps, driver {driver}", self.freeze_after)
    }
}
