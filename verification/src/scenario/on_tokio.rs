//! A hub of a scenario in the hands of the driver on tokio, on paused time.
//!
//! The driver takes all turns, and nobody wakes it when something is due: it must sleep for exactly as
//! long as it may. Steps of one instant are taken in between two of its polls
//! ([`Engine::observe`](reveille::Engine::observe)), which is what scenarios mean by an instant; a poll of
//! [`Driver::run`] is given up for that, as it may be at any `await`. What ends at an instant ends before
//! the turn of this instant, as in the text form.
//!
//! One thing differs by nature: a driver starts all that may run at once, before the first of them has had
//! its turn. Where a scenario says `max-active` greater than 1, a run that takes no time ends after the next
//! one started, and a target that has another wake at the same instant then comes behind those that waited
//! beside it. So random schedules are compared with the oracle where one runs at a time, and watched by the
//! laws in any case.
//!
//! It cannot see what several threads do to the driver, and nobody rings while it sleeps: for these there
//! are the crate's own tests.

use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::ops::Deref;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::SystemTime;

use reveille::{Clock, ManualClock, Outcome, Policy, Roster, Tick};
use reveille_tokio::{Driver, TokioClock};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Notify, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant, advance, sleep_until};

use super::engine::{Causes, Why};
use super::hands::{
    End, Hands, Held, Hub, HubEngine, HubRegistration, HubRun, HubRunner, HubSharedRun, built,
};

/// How often others get their turn before a task that does not come to rest is a fault.
const PATIENCE: u32 = 100_000;

/// Tokio's paused time, asked from outside of the runtime too; and a wall clock that moves along.
struct PausedClock {
    runtime: Handle,
    tokio: TokioClock,
    wall: ManualClock,
}

impl Clock for PausedClock {
    fn now(&self) -> Tick {
        let _inside = self.runtime.enter();
        self.tokio.now()
    }

    fn wall(&self) -> SystemTime {
        self.wall.advance_to(self.now());
        self.wall.wall()
    }
}

/// A run whose task waits to be told how to end.
pub(super) struct Task {
    run: HubSharedRun,
    end: oneshot::Sender<End>,
    /// The handler's future is gone.
    gone: Arc<AtomicBool>,
}

impl Deref for Task {
    type Target = HubRun;

    fn deref(&self) -> &HubRun {
        &self.run
    }
}

/// What handlers tell the subject.
#[derive(Default)]
struct Inbox {
    begun: Mutex<VecDeque<Task>>,
    /// How many runs of this process have begun.
    count: AtomicU64,
    /// A run has begun, or its future is gone.
    news: Notify,
}

impl Inbox {
    fn begun(&self) -> MutexGuard<'_, VecDeque<Task>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells when the handler's future is dropped, however that comes.
struct Gone(Arc<AtomicBool>, Arc<Inbox>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
        self.1.news.notify_one();
    }
}

/// The handler of all runs: hands itself to the subject, and waits for what the script says.
async fn wait_for_the_script(run: HubSharedRun, inbox: Arc<Inbox>) -> Outcome {
    let gone = Gone(Arc::new(AtomicBool::new(false)), Arc::clone(&inbox));
    let (end, told) = oneshot::channel();
    inbox.begun().push_back(Task { run, end, gone: Arc::clone(&gone.0) });
    inbox.count.fetch_add(1, Ordering::Release);
    inbox.news.notify_one();
    match told.await {
        Ok(End::Outcome(outcome)) => outcome,
        // No panic hook for what is meant.
        Ok(End::Panic) => resume_unwind(Box::new("as scripted".to_owned())),
        // Its process has ended.
        Err(_) => pending().await,
    }
}

pub(super) struct OnTokio {
    // Before the runtime, whose time it asks.
    driver: Option<Driver<String, Why, Causes>>,
    inbox: Arc<Inbox>,
    clock: Arc<PausedClock>,
    runtime: Runtime,
}

impl OnTokio {
    pub(super) fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime without I/O needs nothing of the system");
        let tokio = runtime.block_on(async { TokioClock::new() });
        let clock =
            PausedClock { runtime: runtime.handle().clone(), tokio, wall: ManualClock::new() };
        Self { driver: None, inbox: Arc::default(), clock: Arc::new(clock), runtime }
    }

    fn handler(&self) -> impl Fn(HubSharedRun) -> Handled + Send + Sync + 'static {
        let inbox = Arc::clone(&self.inbox);
        move |run| Box::pin(wait_for_the_script(run, Arc::clone(&inbox)))
    }
}

type Handled = std::pin::Pin<Box<dyn Future<Output = Outcome> + Send>>;

impl Hands for OnTokio {
    fn start(&mut self, policy: &dyn Fn(&mut Policy)) -> Hub {
        let hub = built(policy, Arc::clone(&self.clock));
        self.inbox = Arc::default();
        self.driver = Some(Driver::take(&hub).expect("a new hub has no driver"));
        hub
    }

    fn engine(&self) -> &HubEngine {
        self.driver.as_ref().expect("a hub was started").engine()
    }

    fn engine_mut(&mut self) -> &mut HubEngine {
        self.driver.as_mut().expect("a hub was started").engine_mut()
    }

    fn install(&self, hub: &Hub) -> Option<HubRegistration> {
        hub.install_async(self.handler()).ok()
    }

    fn runner(&self, hub: &Hub, roster: Roster<String>) -> Option<HubRunner> {
        hub.runner_async(self.handler(), roster).ok()
    }

    /// A poll of the driver makes a turn, and starts tasks; then each of them must begin.
    fn turn(&mut self) {
        let Self { driver: Some(driver), inbox, runtime, .. } = self else {
            unreachable!("a hub was started")
        };
        let hub = driver.engine().hub();
        runtime.block_on(async {
            let mut driving = pin!(driver.run());
            let mut polled = false;
            let mut patience = 0..PATIENCE;
            loop {
                let over =
                    poll_fn(|context| Poll::Ready(driving.as_mut().poll(context).is_ready()));
                // A driver that is done has nothing left to start.
                if over.await {
                    return;
                }
                let begun = inbox.count.load(Ordering::Acquire);
                if polled && begun == hub.counters().started {
                    return;
                }
                polled = true;
                assert!(patience.next().is_some(), "a task that was started does not begin");
                yield_now().await;
            }
        });
    }

    fn next_run(&mut self) -> Option<Held> {
        self.inbox.begun().pop_front().map(Held::Task)
    }

    fn end(&mut self, run: Held, end: End) {
        let Held::Task(Task { run, end: script, gone }) = run else {
            unreachable!("tasks alone were started")
        };
        drop(run);
        // A task that is gone was ended by the hub.
        let _ = script.send(end);
        self.runtime.block_on(async {
            let mut patience = 0..PATIENCE;
            while !gone.load(Ordering::Acquire) {
                assert!(patience.next().is_some(), "a task that was told to end does not end");
                yield_now().await;
            }
        });
    }

    fn end_at_once(&mut self, run: Held, end: End) {
        self.end(run, end);
    }

    fn sleep(&mut self, until: Tick, turns: u64) -> u64 {
        let Self { driver: Some(driver), inbox, clock, runtime, .. } = self else {
            unreachable!("a hub was started")
        };
        runtime.block_on(async {
            // What showed up to here has been seen.
            let mut news = pin!(inbox.news.notified());
            if news.as_mut().enable() {
                news.set(inbox.news.notified());
            }
            let until = Instant::now() + until.since(clock.now());
            let (mut driving, mut polls, mut is_done) = (pin!(driver.run()), 0, false);
            let driven = poll_fn(|context| {
                polls += 1;
                // Time goes on without it when it is done.
                is_done = is_done || driving.as_mut().poll(context).is_ready();
                if polls < turns { Poll::Pending } else { Poll::Ready(()) }
            });
            tokio::select! {
                biased;
                () = sleep_until(until) => {}
                () = news => {}
                () = driven => {}
            }
            polls
        })
    }

    fn pass(&mut self, until: Tick) {
        let duration = until.since(self.clock.now());
        self.runtime.block_on(advance(duration));
    }

    fn set_wall(&self, wall: SystemTime) {
        self.clock.wall.advance_to(self.clock.now());
        self.clock.wall.set_wall(wall);
    }
}
