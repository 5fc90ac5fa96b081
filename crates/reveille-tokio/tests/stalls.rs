//! What an operator hears when the driver dies, hangs or sleeps (P18), and that nothing is lost by it.
//!
//! Real time, and generous limits: what is waited for is what is said, never an instant.

use reveille::{
    Builder, Cadence, Clock, Condition, Health, ManualClock, Outcome, Reveille, SharedRun, Tick,
    Wake,
};
use reveille_tokio::drive;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tokio::runtime::{Builder as Runtime, Runtime as Built};
use tokio::time::{sleep, timeout};

type Hub = Reveille<&'static str>;

const PATIENCE: Duration = Duration::from_secs(20);

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn hub(clock: impl Clock) -> Hub {
    let policy = |policy: &mut reveille::Policy| {
        policy.max_sleep = ms(50);
        policy.watch.every = ms(20);
        policy.watch.turn_grace = ms(200);
        policy.watch.gap = ms(5_000);
    };
    Builder::new().clock(clock).policy(policy).build().expect("the policy holds")
}

fn runtime() -> Built {
    Runtime::new_current_thread().enable_time().build().expect("a runtime")
}

/// What a watch on a thread of its own says, as it changes.
struct Heard {
    lines: Receiver<(Condition, String)>,
    _watch: reveille::Watch,
}

impl Heard {
    fn of(hub: &Hub) -> Self {
        let (sender, lines) = channel();
        let tells = move |health: &Health<&'static str>| {
            let names: Vec<_> = health.concerns.iter().map(reveille::Concern::name).collect();
            let _ = sender.send((health.condition, names.join(" ")));
        };
        Self { lines, _watch: hub.watch(tells).expect("a thread") }
    }

    fn until(&self, condition: Condition, name: &str) {
        let mut seen = Vec::new();
        loop {
            let Ok(said) = self.lines.recv_timeout(PATIENCE) else {
                panic!("no {condition:?} for {name:?} among {seen:?}");
            };
            if said.0 == condition && said.1.contains(name) {
                return;
            }
            seen.push(said);
        }
    }
}

async fn recovers(hub: &Hub) {
    let recovered = async {
        while !hub.health().is_healthy() {
            sleep(ms(5)).await;
        }
    };
    timeout(PATIENCE, recovered).await.expect("it recovers");
}

/// The driver's task is killed: the watch says that nobody drives, a new one serves what waited.
#[test]
fn a_killed_driver_is_missed() {
    let hub = hub(reveille::MonotonicClock::new());
    let heard = Heard::of(&hub);
    let served = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counts = Arc::clone(&served);
    let _handler = hub.install_async(move |_| {
        counts.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async {}
    });
    hub.target("heart").unwrap().beat(Cadence::every(ms(20)).unwrap()).unwrap();
    runtime().block_on(async {
        let driver = tokio::spawn(drive(&hub).unwrap());
        while hub.counters().started < 3 {
            sleep(ms(5)).await;
        }
        driver.abort();
        assert!(driver.await.unwrap_err().is_cancelled());
        let ticket = hub.wake_awaited("news", Wake::now()).unwrap();
        heard.until(Condition::Stalled, "no_driver"); // blocks: nobody needs this thread
        assert!(ticket.answer().is_none());
        tokio::spawn(drive(&hub).expect("the seat is free"));
        assert!(ticket.await.is_ok());
        recovers(&hub).await;
    });
    assert!(served.load(std::sync::atomic::Ordering::SeqCst) >= 4);
    let counters = hub.counters();
    assert_eq!((counters.is_conserved(), counters.found_by_recheck), (true, 0), "{counters:?}");
    assert!(counters.stalls >= 1);
}

/// A handler blocks the one thread that the driver has: the watch, which has its own, says so; beats that
/// passed meanwhile are one run that knows of them.
#[test]
fn a_blocked_driver_is_late() {
    let hub = hub(reveille::MonotonicClock::new());
    let heard = Arc::new(std::sync::Mutex::new(Heard::of(&hub)));
    let listens = Arc::clone(&heard);
    let _handler = hub.install_async(move |run: SharedRun<&'static str>| {
        if *run.key() == "rude" {
            // No await: everybody on this thread waits, the driver too.
            listens.lock().unwrap().until(Condition::Stalled, "driver_late");
        }
        async {}
    });
    hub.target("heart").unwrap().beat(Cadence::every(ms(20)).unwrap()).unwrap();
    runtime().block_on(async {
        tokio::spawn(drive(&hub).unwrap());
        assert!(hub.wake_awaited("rude", Wake::now()).unwrap().await.is_ok());
        while hub.counters().missed == 0 {
            sleep(ms(5)).await;
        }
        recovers(&hub).await;
    });
    assert_eq!((hub.counters().found_by_recheck, hub.counters().is_conserved()), (0, true));
}

/// P14: the machine sleeps for an hour, and the hub's clock goes on: the gap is told, the cadence beats
/// once and knows for how many beats that stands, and goes on.
#[test]
fn a_suspend_is_noticed() {
    let clock = ManualClock::new();
    let hub = hub(clock.clone());
    let heard = Heard::of(&hub);
    let beats = Arc::new(std::sync::Mutex::new(Vec::new()));
    let tells = Arc::clone(&beats);
    let _handler = hub.install_async(move |run: SharedRun<&'static str>| {
        tells.lock().unwrap().push((run.started(), run.missed()));
        async {}
    });
    hub.target("heart").unwrap().beat(Cadence::every(Duration::from_secs(60)).unwrap()).unwrap();
    runtime().block_on(async {
        tokio::spawn(drive(&hub).unwrap());
        let mut second = 0;
        while hub.counters().started < 2 {
            // An hour at once, in place of the 61st second.
            second += if second == 61 { 3_600 } else { 1 };
            clock.advance_to(Tick::NOW + Duration::from_secs(second));
            sleep(ms(1)).await;
            if second > 61 {
                sleep(ms(5)).await;
            } else if second >= 60 {
                while hub.counters().started == 0 {
                    sleep(ms(1)).await;
                }
            }
        }
    });
    heard.until(Condition::Degraded, "time_gap");
    let beats = beats.lock().unwrap();
    assert_eq!(beats[0], (Tick::NOW + Duration::from_secs(60), 0));
    assert!(beats[1].1 >= 58, "{beats:?}");
    assert!(hub.counters().is_conserved());
}

/// A handler that panics for ever is an overdue target: degraded, with its name; and when it is well again,
/// so is the hub.
#[test]
fn a_handler_that_panics_is_overdue() {
    let policy = |policy: &mut reveille::Policy| {
        policy.retry_after = ms(10);
        policy.watch.every = ms(20);
        policy.watch.overdue_least = ms(200);
    };
    let hub: Hub = Builder::new().policy(policy).build().unwrap();
    let heard = Heard::of(&hub);
    hub.target("heart").unwrap().beat(Cadence::every(ms(20)).unwrap()).unwrap();
    let runtime = Runtime::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let _bad = hub.install_async(|_| async { assert!(std::hint::black_box(false), "for ever") });
    runtime.spawn(drive(&hub).unwrap());
    heard.until(Condition::Degraded, "overdue");
    assert!(hub.counters().panics > 1);
    let _good = hub.install_async(|_| async { Outcome::ran() });
    heard.until(Condition::Healthy, "");
    runtime.shutdown_timeout(ms(1_000));
}
