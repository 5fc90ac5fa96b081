//! The thread driver under real threads: nobody harms anybody else (P6, P8, P10, P13, P18).
//!
//! No test sleeps to wait for something: they wait for channels, with a limit that only a
//! failure reaches.

use crossbeam_channel::{Receiver, unbounded};
use reveille::{
    Builder, Cadence, Counters, DriveError, OnReplace, Outcome, Place, PolicyError, Precision,
    Refusal, Reveille, Run, StartError, Wake, Woken,
};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

type Hub = Reveille<&'static str>;

const LIMIT: Duration = Duration::from_secs(20);

fn recv<T>(from: &Receiver<T>) -> T {
    from.recv_timeout(LIMIT).expect("nothing came within the limit")
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Stops the hub, waits for its driver, and checks the law of conservation (P12).
fn conserved(hub: &Hub, driver: reveille::Driver) -> Counters {
    hub.stop().wait();
    driver.join();
    let counters = hub.counters();
    assert!(counters.is_conserved(), "{counters:?}");
    assert_eq!(counters.pending, 0);
    counters
}

/// P3: a wake before any handler is kept, and served after the install.
#[test]
fn a_wake_before_the_handler_is_kept() {
    let hub: Hub = Builder::new().policy(|p| p.coalesce = ms(1)).build().unwrap();
    let driver = hub.drive().unwrap();
    assert_eq!(hub.wake("main", Wake::now()), Woken::Armed);
    let (tell, told) = unbounded();
    let _registration = hub.install(move |run| tell.send(*run.key())).unwrap();
    assert_eq!(recv(&told), "main");
    conserved(&hub, driver);
}

/// P8, P18: handlers that panic are outcomes; their cadence beats on.
#[test]
fn a_panicking_handler_beats_on() {
    let (tell, told) = unbounded();
    let faults = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&faults);
    let hub: Hub = Builder::new()
        .policy(|p| p.retry_after = ms(1))
        .on_fault(move |fault| {
            assert_eq!((fault.place, fault.message.as_str()), (Place::Handler, "as told"));
            counting.fetch_add(1, Ordering::Relaxed);
        })
        .build()
        .unwrap();
    let driver = hub.drive().unwrap();
    let registration = hub
        .install(move |_| -> Outcome {
            let _ = tell.send(());
            std::panic::resume_unwind(Box::new("as told"));
        })
        .unwrap();
    let target = hub.target("main").unwrap();
    target.beat(Cadence::every(ms(2)).unwrap()).unwrap();
    for _ in 0..20 {
        recv(&told);
    }
    drop(registration);
    let counters = conserved(&hub, driver);
    assert!(counters.panics >= 19, "{counters:?}");
    assert_eq!(faults.load(Ordering::Relaxed) as u64, counters.panics);
}

/// P10: a hung run is replaced in the pool once it passes its limit, and keeps its target (P6).
#[test]
fn a_hung_run_delays_nobody_else() {
    let hub: Hub = Builder::new()
        .policy(|p| {
            p.max_active = NonZeroUsize::MIN;
            p.run_limit = Some(ms(20));
        })
        .build()
        .unwrap();
    let driver = hub.drive().unwrap();
    let (tell, told) = unbounded();
    let (release, released) = unbounded::<()>();
    let _registration = hub
        .install(move |run| {
            let _ = tell.send(*run.key());
            if *run.key() == "hung" {
                let _ = released.recv();
            }
        })
        .unwrap();
    hub.wake("hung", Wake::now());
    assert_eq!(recv(&told), "hung");
    hub.wake("hung", Wake::now());
    for _ in 0..5 {
        hub.wake("other", Wake::now());
        assert_eq!(recv(&told), "other");
    }
    drop(release);
    assert_eq!(recv(&told), "hung", "the wake during the run causes one further run");
    let counters = conserved(&hub, driver);
    assert_eq!(counters.overran, 1);
}

/// P6 under load: no target runs twice at once, across replacements; N wakes during a run are one.
#[test]
fn no_target_runs_twice_at_once() {
    let hub: Hub = Builder::new().policy(|p| p.coalesce = ms(0)).build().unwrap();
    let driver = hub.drive().unwrap();
    let running = Arc::new(AtomicUsize::new(0));
    let runs = Arc::new(AtomicU64::new(0));
    let install = || {
        let (running, runs) = (Arc::clone(&running), Arc::clone(&runs));
        hub.install(move |_| {
            assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0);
            std::thread::yield_now();
            assert_eq!(running.fetch_sub(1, Ordering::SeqCst), 1);
            runs.fetch_add(1, Ordering::SeqCst);
        })
        .unwrap()
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let target = hub.target("main").unwrap();
                for _ in 0..20_000 {
                    assert!(target.wake(Wake::now()).is_accepted());
                }
            });
        }
        scope.spawn(|| {
            let mut registrations = Vec::new();
            for _ in 0..500 {
                registrations.push(install());
                if registrations.len() > 3 {
                    drop(registrations.remove(0)); // late, and stale
                }
            }
            registrations.pop().map(reveille::Registration::keep);
        });
    });
    // The last wake is served: then nothing is pending.
    while hub.counters().pending > 0 || hub.snapshot().in_flight > 0 {
        std::thread::yield_now();
    }
    let counters = conserved(&hub, driver);
    assert_eq!(counters.panics, 0, "{counters:?}");
    assert_eq!(counters.started, runs.load(Ordering::SeqCst));
    assert_eq!(counters.stale_disposes, 499);
}

/// P4: what a thread wrote before a wake is seen by the run that serves it, coalesced or not.
#[test]
fn what_was_written_before_a_wake_is_seen() {
    let hub: Hub = Builder::new().policy(|p| p.coalesce = ms(0)).start().unwrap();
    let written = Arc::new(AtomicU64::new(0));
    let (tell, told) = unbounded();
    let reading = Arc::clone(&written);
    let _registration = hub.install(move |_| tell.send(reading.load(Ordering::Relaxed))).unwrap();
    let target = hub.target("main").unwrap();
    for value in 1..=20_000 {
        written.store(value, Ordering::Relaxed);
        target.wake(Wake::now());
        if value % 64 == 0 {
            while recv(&told) < value {}
        }
    }
}

/// P13: from inside a run: install, wake, dispose, stop, and waiting for the stop.
#[test]
fn a_handler_may_use_its_hub() {
    let hub: Hub = Builder::new().policy(|p| p.coalesce = ms(0)).build().unwrap();
    let driver = hub.drive().unwrap();
    let (tell, told) = unbounded();
    let _registration = hub
        .install(move |run| {
            let hub = run.hub();
            match *run.key() {
                "install" => {
                    let tell = tell.clone();
                    let second = move |run: &Run<&'static str>| {
                        let _ = tell.send(*run.key());
                        if *run.key() == "stop" {
                            let report = run.hub().drain(LIMIT).wait();
                            let _ = tell.send(if report.left == 1 { "stopped" } else { "?" });
                        }
                    };
                    hub.install(second).unwrap().keep();
                    assert!(!run.is_current());
                    hub.wake("woken", Wake::now());
                }
                other => drop(tell.send(other)),
            }
        })
        .unwrap();
    hub.wake("install", Wake::now());
    assert_eq!(recv(&told), "woken");
    hub.wake("stop", Wake::now());
    assert_eq!(recv(&told), "stop");
    assert_eq!(recv(&told), "stopped", "a drain does not wait for a run that waits in stop");
    driver.join();
    assert!(hub.counters().is_conserved());
}

/// P13: every caller gets the same report, and nothing starts after a stop returned.
#[test]
fn stops_agree_and_nothing_starts_after_one() {
    for _ in 0..50 {
        let hub: Hub = Builder::new().policy(|p| p.coalesce = ms(0)).build().unwrap();
        let driver = hub.drive().unwrap();
        let stopped = Arc::new(AtomicUsize::new(0));
        let late = Arc::new(AtomicUsize::new(0));
        let (reading, counting) = (Arc::clone(&stopped), Arc::clone(&late));
        let registration = hub
            .install(move |_| {
                counting.fetch_add(reading.load(Ordering::SeqCst), Ordering::SeqCst);
            })
            .unwrap();
        let go = Barrier::new(4);
        let reports = std::thread::scope(|scope| {
            for name in ["a", "b"] {
                let (hub, go) = (&hub, &go);
                scope.spawn(move || {
                    go.wait();
                    while hub.wake(name, Wake::now()).is_accepted() {}
                });
            }
            let stops: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        go.wait();
                        hub.drain(LIMIT).wait()
                    })
                })
                .collect();
            stops.into_iter().map(|stop| stop.join().unwrap()).collect::<Vec<_>>()
        });
        stopped.store(1, Ordering::SeqCst);
        assert_eq!(reports[0], reports[1]);
        assert_eq!(reports[0].left, 0);
        assert_eq!(hub.stop().wait(), reports[0]);
        let refused = hub.wake("a", Wake::now());
        assert!(matches!(refused, Woken::Refused(r) if r.refusal == Refusal::Stopped));
        assert!(hub.install(|_| ()).is_err());
        assert!(hub.target("new").is_err());
        drop(registration);
        conserved(&hub, driver);
        assert_eq!(late.load(Ordering::SeqCst), 0);
    }
}

/// P13: a drain ends at its limit, and says what it left.
#[test]
fn a_drain_ends_at_its_limit() {
    let hub: Hub = Builder::new().start().unwrap();
    let (tell, told) = unbounded();
    let (release, released) = unbounded::<()>();
    let _registration = hub
        .install(move |_| {
            let _ = tell.send(());
            let _ = released.recv();
        })
        .unwrap();
    hub.wake("main", Wake::now());
    recv(&told);
    let ticket = hub.drain(ms(10));
    assert_eq!(ticket.report(), None);
    let report = ticket.wait();
    assert_eq!((report.in_flight, report.left), (1, 1));
    drop(release);
}

/// One driver a hub; dropping it leaves the hub consistent, and another takes over (P8).
#[test]
fn another_driver_takes_over() {
    let hub: Hub = Builder::new().policy(|p| p.coalesce = ms(0)).build().unwrap();
    let (tell, told) = unbounded();
    let _registration = hub.install(move |_| tell.send(())).unwrap();
    hub.target("main").unwrap().beat(Cadence::every(ms(1)).unwrap()).unwrap();
    for _ in 0..5 {
        let driver = hub.drive().unwrap();
        assert!(matches!(hub.drive(), Err(DriveError::AlreadyDriven)));
        assert!(hub.engine().is_err());
        for _ in 0..3 {
            recv(&told);
        }
        drop(driver);
    }
    let driver = hub.drive().unwrap();
    recv(&told);
    conserved(&hub, driver);
}

/// P18: what cannot work is said when it is asked for.
#[test]
fn what_cannot_work_is_said() {
    let cancel = Builder::new().policy(|p| p.on_replace = OnReplace::Cancel).start::<u8, (), ()>();
    assert!(matches!(cancel, Err(StartError::Drive(DriveError::CannotCancel))));
    let spin = Builder::new().policy(|p| p.retry_after = ms(0)).build::<u8, (), ()>();
    assert!(matches!(spin, Err(PolicyError::RetryAfter(_))));
    let few = Builder::new().policy(|p| p.max_targets = std::num::NonZeroU32::MIN).build();
    let few: Hub = few.unwrap();
    few.target("first").unwrap();
    let refused = few.target("second").unwrap_err();
    assert_eq!((refused.refusal, refused.value), (Refusal::TooManyTargets, "second"));
}

/// Dropping the last user handle stops the hub; targets and registrations do not keep it.
#[test]
fn the_last_handle_stops_the_hub() {
    let hub: Hub = Reveille::start().unwrap();
    let target = hub.target("main").unwrap();
    let registration = hub.install(|run| drop(run.hub())).unwrap();
    let clone = hub.clone();
    drop(hub);
    assert!(target.wake(Wake::now()).is_accepted());
    drop(clone);
    let woken = target.wake(Wake::now());
    assert!(matches!(woken, Woken::Refused(r) if r.refusal == Refusal::Stopped));
    assert!(!registration.is_current());
}

/// P5 on real threads: an immediate wake interrupts a long sleep of the driver.
#[test]
fn an_earlier_wake_interrupts_the_drivers_sleep() {
    let hub: Hub = Builder::new().policy(|p| p.max_sleep = LIMIT * 2).start().unwrap();
    let (tell, told) = unbounded();
    let _registration = hub.install(move |_| tell.send(())).unwrap();
    let target = hub.target("main").unwrap();
    for _ in 0..200 {
        target.wake(Wake::within(LIMIT * 3));
        target.wake(Wake::now());
        recv(&told);
    }
}

/// P6 across removal: a new target of a removed key waits for the old one's run.
#[test]
fn a_removed_target_keeps_its_key_until_its_run_ends() {
    let hub: Hub = Builder::new().policy(|p| p.coalesce = ms(0)).build().unwrap();
    let driver = hub.drive().unwrap();
    let (tell, told) = unbounded();
    let (release, released) = unbounded::<()>();
    let running = Arc::new(AtomicUsize::new(0));
    let _registration = hub
        .install(move |_| {
            assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0);
            let _ = tell.send(());
            let _ = released.recv();
            running.fetch_sub(1, Ordering::SeqCst);
        })
        .unwrap();
    let old = hub.target("main").unwrap();
    old.wake(Wake::now());
    recv(&told);
    assert!(old.remove());
    assert!(!old.remove());
    let refused = old.wake(Wake::now());
    assert!(matches!(refused, Woken::Refused(r) if r.refusal == Refusal::Removed));
    assert_eq!(hub.wake("main", Wake::now()), Woken::Armed);
    assert!(hub.find("main").unwrap().remove(), "removed again before it ever ran");
    assert_eq!(hub.wake("main", Wake::now()), Woken::Armed);
    assert!(told.try_recv().is_err());
    release.send(()).unwrap();
    recv(&told);
    release.send(()).unwrap();
    drop(release);
    let counters = conserved(&hub, driver);
    assert_eq!((counters.started, counters.panics), (2, 0), "{counters:?}");
}

/// P13: who only asks for the report gets it when the limit has passed; dropping the last handle
/// does not cut a drain short; a later stop does.
#[test]
fn a_drain_keeps_its_patience() {
    let held = || {
        let hub: Hub = Builder::new().start().unwrap();
        let (tell, told) = unbounded();
        let (release, released) = unbounded::<()>();
        let installed = hub.install(move |_| {
            let _ = tell.send(());
            let _ = released.recv();
        });
        installed.unwrap().keep();
        hub.wake("main", Wake::now());
        recv(&told);
        (hub, release)
    };
    let (hub, release) = held();
    let ticket = hub.drain(ms(1));
    while ticket.report().is_none() {
        std::thread::yield_now();
    }
    drop(release);

    let (hub, release) = held();
    let ticket = hub.drain(LIMIT);
    drop(hub);
    assert_eq!(ticket.report(), None);
    drop(release);
    assert_eq!(ticket.wait().left, 0);

    let (hub, _release) = held();
    let ticket = hub.drain(LIMIT * 100);
    assert_eq!(ticket.report(), None);
    assert_eq!(hub.stop().wait().left, 1);
    assert_eq!(ticket.wait().left, 1);
}

/// P11: a hub at rest does not turn.
#[test]
fn a_hub_at_rest_does_not_turn() {
    let hub: Reveille<&'static str> = Reveille::start().unwrap();
    let _registration = hub.install(|_| ()).unwrap();
    let ticket = hub.wake_awaited("main", Wake::now()).unwrap();
    assert!(ticket.wait_timeout(Duration::from_secs(20)).is_some());
    // Until the driver has gone to sleep; then it turns no more.
    let at_rest = (0..400).any(|_| {
        let before = hub.counters().turns;
        std::thread::sleep(Duration::from_millis(25));
        hub.counters().turns == before
    });
    assert!(at_rest, "{:?}", hub.counters());
}

/// P15: a hub that has stopped keeps nothing of its handler, whoever holds a handle to it or to a target.
#[test]
fn a_stopped_hub_lets_go_of_its_handler() {
    for inline in [false, true] {
        let held = Arc::new(());
        let hub: Hub = Builder::new().build().unwrap();
        let theirs = Arc::clone(&held);
        hub.install(move |_| _ = &theirs).unwrap().keep();
        let target = hub.target("main").unwrap();
        let precision = if inline { Precision::new().inline() } else { Precision::new() };
        let driver = hub.drive_with(precision).unwrap();
        assert!(target.wake_awaited(Wake::now()).unwrap().wait_timeout(LIMIT).unwrap().is_ok());
        conserved(&hub, driver);
        assert_eq!(Arc::strong_count(&held), 1);
        assert!(target.is_removed());
    }
    // By hand: with an engine that turns once more, with one that does not, and with none any more.
    for case in 0..3 {
        let held = Arc::new(());
        let hub: Hub = Builder::new().build().unwrap();
        let theirs = Arc::clone(&held);
        hub.install(move |_| _ = &theirs).unwrap().keep();
        let mut engine = hub.engine().unwrap();
        engine.turn(hub.now());
        let mut engine = (case < 2).then_some(engine);
        hub.stop().wait();
        if let Some(engine) = engine.as_mut().filter(|_| case == 0) {
            engine.turn(hub.now());
            assert_eq!(Arc::strong_count(&held), 1, "turned");
        }
        drop(engine);
        assert_eq!(Arc::strong_count(&held), 1, "case {case}");
    }
}
