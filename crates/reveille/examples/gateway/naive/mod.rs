//! `--naive`: the same storm over the design that this project answers, rewritten in earnest.
//!
//! A wake layer and a runner, global state behind a mutex, a thread that fires timers. It passes
//! any test that reloads politely. Its defects, D-01 to D-04, D-24 and D-49, are named where they
//! are made, in `wake` and `runner`. What kills it in a storm is the first: the runner that was
//! replaced cleans up late, and takes the handler of its successor along. From there on wakes are
//! taken, timers fire, and nothing runs; nobody is told.

mod runner;
mod timers;
mod wake;

use crate::storm::{Arena, Plan, Scheduler, drive, silence_tantrums};
use reveille::Urgency;
use runner::Runner;
use std::error::Error;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Silent for so many of the longest periods is silent: a scheduler that is merely late is not.
const PERIODS: u32 = 5;
/// And for no less than this, whatever the periods.
const LEAST: Duration = Duration::from_millis(300);

struct Naive {
    arena: Arc<Arena>,
    runner: Mutex<Arc<Runner>>,
}

impl Scheduler for Naive {
    type Old = Arc<Runner>;

    /// Of whom, and how urgently: there is no way to say it.
    fn wake(&self, target: usize, delay: Duration, _: Urgency) {
        self.arena.asks(target);
        wake::request(wake::Reason::Requested, delay);
    }

    /// There is none.
    fn cancel(&self, _: usize) {}

    /// There are no targets to recreate: a runner's agents are for its life.
    fn recreate(&self, _: usize) {}

    fn reload(&self) -> Arc<Runner> {
        let new = Runner::start(&self.arena);
        let mut runner = self.runner.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut runner, new)
    }

    fn clean_up(&self, old: &Arc<Runner>) {
        old.stop();
    }

    fn health(&self) -> String {
        let handler = if wake::has_handler() { "a handler" } else { "no handler" };
        format!("{handler}, last heartbeat {:.0?} ago", self.arena.since_heartbeat())
    }
}

/// Storms, and says how long it has been silent. False if it has.
pub(crate) fn run(plan: Plan) -> Result<bool, Box<dyn Error>> {
    silence_tantrums();
    let arena = Arc::new(Arena::new(plan));
    let naive = Naive { arena: Arc::clone(&arena), runner: Mutex::new(Runner::start(&arena)) };
    let (deeds, watch) = drive(&naive, &arena);

    let silence = arena.since_heartbeat();
    let periods = || arena.plan.targets.iter().filter_map(|spec| spec.period);
    let due: f64 = periods().map(|p| (silence.as_secs_f64() / p.as_secs_f64()).floor()).sum();
    let beating = periods().filter(|period| *period < silence).count();
    let longest = periods().filter(|p| *p < Duration::from_millis(100)).max().unwrap_or_default();
    let silent = silence > (longest * PERIODS).max(LEAST);
    let unserved = arena.unserved();
    let late = watch.late(&arena);

    println!();
    println!("reloads             {:>8}", deeds.reloads.load(Ordering::Relaxed));
    println!("cleanups, all late  {:>8}", deeds.cleanups.load(Ordering::Relaxed));
    println!("wakes               {:>8}", deeds.wakes.load(Ordering::Relaxed));
    println!("heartbeats          {:>8}", arena.heartbeats());
    println!("handler             {:>8}", if wake::has_handler() { "in" } else { "gone" });
    println!();
    println!("last heartbeat: {:.3} s ago", silence.as_secs_f64());
    println!("due since then: {due:.0} heartbeats of {beating} agents");
    println!(
        "wakes that nothing served: of {} targets; over {:?} late: of {}",
        unserved.len(),
        crate::storm::PATIENCE,
        late.len()
    );
    match silent {
        true => println!("\nSILENT: it takes wakes, its timers fire, and nothing runs any more"),
        false => println!("\nit is still alive"),
    }
    Ok(!silent)
}
