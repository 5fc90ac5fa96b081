//! P18: each concern is raised when its promise is broken, and cleared when it is kept again; on
//! virtual time, with nobody but the test to drive and to look.

use reveille::{
    Builder, Cadence, Clock, Concern, Condition, Engine, Health, Last, ManualClock, Outcome, Place,
    Policy, PolicyError, Reveille, Run, Tick, Wake,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

type Hub = Reveille<u32>;

const LIMIT: Duration = Duration::from_secs(20);

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn hub_with(change: impl FnOnce(&mut Policy)) -> (ManualClock, Hub) {
    let clock = ManualClock::new();
    clock.advance(secs(1_000)); // an origin long ago
    let builder = Builder::new().clock(clock.clone()).policy(|p| p.coalesce = Duration::ZERO);
    (clock, builder.policy(change).build().expect("the policy holds"))
}

fn hub() -> (ManualClock, Hub) {
    hub_with(|_| ())
}

fn turn(clock: &ManualClock, engine: &mut Engine<u32>) -> Vec<Run<u32>> {
    engine.turn(clock.now());
    let runs = std::iter::from_fn(|| engine.next_run()).collect();
    engine.arm();
    runs
}

fn execute(clock: &ManualClock, engine: &mut Engine<u32>) {
    loop {
        let runs = turn(clock, engine);
        if runs.is_empty() {
            return;
        }
        runs.into_iter().for_each(Run::execute);
    }
}

fn names(health: &Health<u32>) -> Vec<&'static str> {
    health.concerns.iter().map(Concern::name).collect()
}

fn healthy(hub: &Hub) {
    let health = hub.health();
    assert_eq!((health.condition, names(&health)), (Condition::Healthy, vec![]));
    assert!(health.is_healthy());
}

fn stalled(hub: &Hub, name: &str) {
    let health = hub.health();
    assert_eq!((health.condition, names(&health)), (Condition::Stalled, vec![name]));
    assert!(health.is_stalled());
}

fn degraded(hub: &Hub, name: &str) -> Health<u32> {
    let health = hub.health();
    assert_eq!((health.condition, names(&health)), (Condition::Degraded, vec![name]));
    health
}

/// A driver that sleeps with nothing due is no stall for as long as it may sleep, and is one after.
#[test]
fn a_sleeping_driver_is_late_after_its_longest_sleep() {
    let (clock, hub) = hub();
    healthy(&hub); // nobody drives it, and nothing is due
    let mut engine = hub.engine().unwrap();
    healthy(&hub); // it came just now, a thousand seconds after the origin
    turn(&clock, &mut engine);
    clock.advance(secs(15)); // max_sleep 10 s, turn_grace 5 s
    healthy(&hub);
    clock.advance(Duration::from_micros(1));
    stalled(&hub, "driver_late");
    turn(&clock, &mut engine);
    healthy(&hub);
}

/// An instant that was asked for passes without a turn.
#[test]
fn a_driver_is_late_past_an_armed_deadline() {
    let (clock, hub) = hub();
    let mut engine = hub.engine().unwrap();
    hub.install(|_| ()).unwrap().keep();
    hub.wake(1, Wake::within(secs(1)));
    execute(&clock, &mut engine);
    clock.advance(secs(6));
    healthy(&hub);
    clock.advance(Duration::from_micros(1));
    let since = clock.now().as_micros() - 5_000_001;
    stalled(&hub, "driver_late");
    let late = Concern::DriverLate { since: Tick::from_micros(since) };
    assert_eq!(hub.health().concerns, [late]);
    execute(&clock, &mut engine);
    healthy(&hub);
}

/// An immediate wake tells no instant: its age shows from the second look on. Turns in between,
/// however many such wakes they find, are no stall.
#[test]
fn an_immediate_wake_ages_between_two_looks() {
    let (clock, hub) = hub();
    let mut engine = hub.engine().unwrap();
    hub.install(|_| ()).unwrap().keep();
    execute(&clock, &mut engine);
    for _ in 0..10 {
        hub.wake(1, Wake::now());
        healthy(&hub);
        clock.advance(secs(4));
        healthy(&hub);
        execute(&clock, &mut engine);
    }
    hub.wake(1, Wake::now());
    healthy(&hub);
    clock.advance(secs(5) + Duration::from_millis(2));
    stalled(&hub, "driver_late");
    execute(&clock, &mut engine);
    healthy(&hub);
    // What was noted of an earlier one does not age a later one.
    clock.advance(secs(9));
    hub.wake(1, Wake::now());
    healthy(&hub);
}

/// Without a handler wakes ring nobody, so the driver may sleep on; then it is the handler that is
/// missed, once the wakes have waited for long enough.
#[test]
fn wakes_without_a_handler() {
    let (clock, hub) = hub();
    let mut engine = hub.engine().unwrap();
    turn(&clock, &mut engine);
    hub.wake(1, Wake::now());
    hub.wake(2, Wake::within(secs(3_600)));
    healthy(&hub);
    clock.advance(secs(10));
    healthy(&hub);
    turn(&clock, &mut engine); // learns of the wake
    clock.advance(secs(5));
    turn(&clock, &mut engine);
    healthy(&hub);
    clock.advance(secs(1));
    stalled(&hub, "no_handler");
    let since = Tick::from_micros(clock.now().as_micros() - 6_000_000);
    assert_eq!(hub.health().concerns, [Concern::NoHandler { waiting: 1, since }]);
    let registration = hub.install(|_| ()).unwrap();
    execute(&clock, &mut engine);
    healthy(&hub);

    // A reload: what had waited before the old handler went does not count against the new one.
    let busy = hub.install(|_| Outcome::busy_for(secs(3))).unwrap();
    registration.dispose();
    hub.wake(1, Wake::now());
    execute(&clock, &mut engine);
    clock.advance(secs(20));
    engine.turn(clock.now()); // it has been waiting for long, and starts in a moment
    busy.dispose();
    healthy(&hub);
    execute(&clock, &mut engine);
    healthy(&hub);
    clock.advance(secs(5));
    healthy(&hub);
    clock.advance(Duration::from_micros(1));
    stalled(&hub, "no_handler");
    hub.install(|_| ()).unwrap().keep();
    execute(&clock, &mut engine);
    healthy(&hub);
}

/// Nobody drives the hub, and something is due: a wake, or a beat.
#[test]
fn nobody_drives() {
    let (clock, hub) = hub();
    hub.install(|_| ()).unwrap().keep();
    stalled(&hub, "no_driver"); // an install waits for its turn
    let mut engine = hub.engine().unwrap();
    hub.target(1).unwrap().beat(Cadence::every(secs(60)).unwrap()).unwrap();
    execute(&clock, &mut engine);
    drop(engine);
    healthy(&hub);
    clock.advance(secs(59));
    healthy(&hub);
    clock.advance(secs(1));
    stalled(&hub, "no_driver");
    let mut engine = hub.engine().unwrap();
    execute(&clock, &mut engine);
    healthy(&hub);
}

/// A run past its limit is named, also by who asks before the driver notices.
#[test]
fn a_run_past_its_limit() {
    let (clock, hub) = hub_with(|p| p.run_limit = Some(secs(7)));
    let mut engine = hub.engine().unwrap();
    hub.install(|_| ()).unwrap().keep();
    hub.wake(5, Wake::now());
    let mut runs = turn(&clock, &mut engine);
    let started = clock.now();
    clock.advance(secs(6));
    healthy(&hub);
    clock.advance(secs(1));
    let past = [Concern::RunPastLimit { key: 5, since: started }];
    assert_eq!(degraded(&hub, "run_past_limit").concerns, past);
    turn(&clock, &mut engine);
    assert_eq!(degraded(&hub, "run_past_limit").concerns[0].key(), Some(&5));
    runs.remove(0).execute();
    turn(&clock, &mut engine);
    healthy(&hub);
}

/// A beat that no run serves for more than three periods: its runs fail, or are kept waiting. What is
/// served late, and then in time, is no concern.
#[test]
fn a_target_overdue_by_its_period() {
    let (clock, hub) = hub_with(|p| p.retry_after = secs(1));
    let mut engine = hub.engine().unwrap();
    let works = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&works);
    hub.install(move |_| match flag.load(Ordering::Relaxed) {
        true => Outcome::ran(),
        false => Outcome::failed(),
    })
    .unwrap()
    .keep();
    let target = hub.target(1).unwrap();
    target.beat(Cadence::every(secs(10)).unwrap()).unwrap();
    let mut pass = |seconds: u64| {
        for _ in 0..seconds {
            clock.advance(secs(1));
            execute(&clock, &mut engine);
        }
    };
    pass(45);
    healthy(&hub);
    works.store(false, Ordering::Relaxed);
    pass(5 + 30); // the beat at 50 s fails, and has been waiting for 30 s
    healthy(&hub);
    pass(1);
    let since = Tick::from_micros((1_000 + 50) * 1_000_000);
    let overdue = Concern::Overdue { key: 1, since, period: Some(secs(10)) };
    assert_eq!(degraded(&hub, "overdue").concerns, [overdue]);
    assert_eq!(target.snapshot().history.iter().next(), Some(Last::Failed));
    assert_eq!(target.snapshot().last.map(|(last, _)| last), Some(Last::Failed), "the newest");
    works.store(true, Ordering::Relaxed);
    pass(60);
    healthy(&hub);
    let history: Vec<Last> = target.snapshot().history.iter().collect();
    assert!(history.contains(&Last::Failed) && history[0] == Last::Ran, "{history:?}");
    // What is discarded is not overdue.
    works.store(false, Ordering::Relaxed);
    pass(45);
    degraded(&hub, "overdue");
    target.stop_beating();
    target.cancel();
    pass(1);
    healthy(&hub);
}

/// Targets without a cadence that could start, and do not: as many as the policy says are named,
/// those that have waited longest, and the rest is counted.
#[test]
fn concerns_are_bounded() {
    let (clock, hub) = hub();
    let mut engine = hub.engine().unwrap();
    hub.install(|_| ()).unwrap().keep();
    execute(&clock, &mut engine);
    for key in 0..104 {
        hub.wake(key, Wake::within(Duration::from_millis(u64::from(key))));
        clock.advance(Duration::from_micros(1));
    }
    let mut runs = Vec::new();
    for _ in 0..61 {
        clock.advance(secs(1));
        runs.extend(turn(&clock, &mut engine)); // four start, and hold the others up
    }
    assert_eq!(runs.len(), 4);
    let health = hub.health();
    assert_eq!(
        (health.condition, health.concerns.len(), health.more),
        (Condition::Degraded, 16, 84)
    );
    let keys: Vec<u32> = health.concerns.iter().filter_map(|c| c.key().copied()).collect();
    assert_eq!(keys, (4..20).collect::<Vec<_>>());
    runs.into_iter().for_each(Run::execute);
    execute(&clock, &mut engine);
    healthy(&hub);
}

/// A lookout that finds itself late has found a gap; it excuses a driver that may sleep on, and
/// passes.
#[test]
fn a_time_gap() {
    let (clock, hub) = hub();
    let mut engine = hub.engine().unwrap();
    hub.install(|_| ()).unwrap().keep();
    hub.target(1).unwrap().beat(Cadence::every(secs(1)).unwrap()).unwrap();
    execute(&clock, &mut engine);
    let mut lookout = hub.lookout();
    assert!(lookout.look().unwrap().is_healthy());
    clock.advance(secs(5));
    execute(&clock, &mut engine);
    assert_eq!(lookout.look(), None, "it came as it was meant to");
    clock.advance(secs(8 * 3_600)); // the lid is closed
    let health = lookout.look().expect("it has changed");
    assert_eq!((health.condition, names(&health)), (Condition::Degraded, vec!["time_gap"]));
    let (until, length) = (clock.now(), secs(8 * 3_600 - 5));
    assert_eq!(health.concerns, [Concern::TimeGap { until, length }]);
    assert_eq!((hub.counters().gaps, hub.counters().stalls), (1, 0));
    for _ in 0..3 {
        clock.advance(secs(5));
        execute(&clock, &mut engine);
        let _ = lookout.look();
    }
    healthy(&hub);
    // One that sleeps on for too long after it is late all the same.
    clock.advance(secs(3_600));
    assert_eq!(names(&lookout.look().unwrap()), ["time_gap"]);
    for _ in 0..4 {
        clock.advance(secs(5));
        let _ = lookout.look();
    }
    assert!(hub.health().is_stalled());
    assert_eq!((hub.counters().gaps, hub.counters().stalls), (2, 1));
}

/// A stopped hub is not stalled, whatever it had left to do.
#[test]
fn a_stopped_hub_says_so() {
    let (clock, hub) = hub();
    hub.wake(1, Wake::now());
    stalled(&hub, "no_driver");
    hub.stop();
    clock.advance(secs(3_600));
    let health = hub.health();
    assert_eq!((health.condition, health.concerns), (Condition::Stopped, vec![]));
}

/// Thresholds that cannot hold are refused when the hub is built (P11).
#[test]
fn thresholds_are_validated() {
    let built = |change: fn(&mut Policy)| Builder::new().policy(change).build::<u32, (), ()>();
    let zero = [
        built(|p| p.watch.every = Duration::ZERO),
        built(|p| p.watch.turn_grace = Duration::ZERO),
        built(|p| p.watch.overdue_least = Duration::ZERO),
        built(|p| p.watch.wake_grace = Duration::ZERO),
        built(|p| p.watch.gap = Duration::ZERO),
    ];
    for built in zero {
        assert!(matches!(built, Err(PolicyError::Watch(_))));
    }
}

fn watched(told: &Receiver<Condition>) -> Condition {
    told.recv_timeout(LIMIT).expect("nothing was told within the limit")
}

/// A watch on its own thread tells of a stall, of its end, and of the hub's; a callback that panics is
/// counted, and called again. Its death hides nothing.
#[test]
fn a_watch_tells_of_changes() {
    let (faults, fault) = channel();
    let hub: Hub = Builder::new()
        .policy(|p| p.watch.every = Duration::from_millis(2))
        .on_fault(move |fault| faults.send(fault.place).unwrap_or(()))
        .build()
        .unwrap();
    let (tell, told) = channel();
    let calls = AtomicU64::new(0);
    let watch = hub.watch(move |health| {
        let _ = tell.send(health.condition);
        if calls.fetch_add(1, Ordering::Relaxed) == 0 {
            std::panic::resume_unwind(Box::new("as told"));
        }
    });
    let watch = watch.unwrap();
    assert_eq!(watched(&told), Condition::Healthy);
    assert_eq!(fault.recv_timeout(LIMIT), Ok(Place::Watch));
    hub.wake(1, Wake::now());
    assert_eq!(watched(&told), Condition::Stalled);
    assert_eq!(fault.recv_timeout(LIMIT), Ok(Place::Stall));
    assert_eq!((hub.counters().stalls, hub.counters().faults), (1, 1));
    assert!(watch.is_alive() && watch.last_look().is_some());
    hub.install(|_| ()).unwrap().keep();
    hub.drive().unwrap().detach();
    assert_eq!(watched(&told), Condition::Healthy);
    assert!(hub.health().last_look >= watch.last_look());
    drop(watch);
    healthy(&hub);

    let (tell, told) = channel();
    let watch = hub.watch(move |health| tell.send(health.condition).unwrap_or(())).unwrap();
    assert_eq!(watched(&told), Condition::Healthy);
    drop(hub);
    assert_eq!(watched(&told), Condition::Stopped);
    assert!(told.recv_timeout(LIMIT).is_err(), "the thread has ended");
    drop(watch);
}
