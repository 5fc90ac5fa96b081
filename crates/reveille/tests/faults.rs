//! User code that panics on the driver's own thread is counted and reported, and leaves a hub
//! that goes on (P18).

use crossbeam_channel::{Receiver, unbounded};
use reveille::{
    Builder, Clock, Fault, Merge, MonotonicClock, Outcome, Place, Reveille, Tick, Wake,
};
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

fn recv<T>(from: &Receiver<T>) -> T {
    from.recv_timeout(LIMIT).expect("nothing came within the limit")
}

/// Panics without the default hook's message on standard error.
fn blow() -> ! {
    resume_unwind(Box::new("as told"))
}

fn builder(retry_ms: u64) -> (Builder, Receiver<Fault>) {
    let (tell, told) = unbounded();
    let builder = Builder::new()
        .policy(|p| {
            p.coalesce = Duration::ZERO;
            p.retry_after = Duration::from_millis(retry_ms);
        })
        .on_fault(move |fault| drop(tell.send(fault.clone())));
    (builder, told)
}

/// Waits for a fault of this place; others may come before it.
fn fault_in(place: Place, faults: &Receiver<Fault>) {
    while recv(faults).place != place {}
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            blow();
        }
    }
}

/// A replaced handler that panics in its `Drop`, which runs on the driver's thread.
#[test]
fn a_handler_that_panics_when_dropped() {
    let (builder, faults) = builder(1);
    let hub: Reveille<u8> = builder.start().unwrap();
    let bomb = Bomb;
    hub.install(move |_| {
        let _hold = &bomb;
    })
    .unwrap()
    .keep();
    let (tell, told) = unbounded();
    hub.wake(1, Wake::now());
    // The driver holds the old entry until it notes the new one, so it drops it.
    while hub.counters().started == 0 || hub.snapshot().in_flight > 0 {
        std::thread::yield_now();
    }
    let installed = catch_unwind(AssertUnwindSafe(|| hub.install(move |_| tell.send(())).unwrap()));
    let registration = installed.expect("the driver has the last reference");
    fault_in(Place::Drop, &faults);
    hub.wake(1, Wake::now());
    recv(&told);
    drop(registration);
    assert!(hub.counters().faults >= 1);
}

/// A clock that panics now and then: the last instant is used, and wakes still run.
#[test]
fn a_clock_that_panics() {
    struct Broken(MonotonicClock, AtomicU64, Arc<AtomicBool>);
    impl Clock for Broken {
        fn now(&self) -> Tick {
            let count = self.1.fetch_add(1, Ordering::Relaxed);
            let on_driver = std::thread::current().name() == Some("reveille-driver");
            if on_driver && self.2.load(Ordering::Relaxed) && count.is_multiple_of(2) {
                blow();
            }
            self.0.now()
        }
    }
    let (builder, faults) = builder(1);
    let broken = Arc::new(AtomicBool::new(true));
    let clock = Broken(MonotonicClock::new(), AtomicU64::new(0), Arc::clone(&broken));
    let hub: Reveille<u8> = builder.clock(clock).start().unwrap();
    let (tell, told) = unbounded();
    let _registration = hub.install(move |_| tell.send(())).unwrap();
    for _ in 0..20 {
        hub.wake(1, Wake::now());
        recv(&told);
        hub.wake(1, Wake::within(Duration::from_millis(2)));
        recv(&told);
    }
    fault_in(Place::Clock, &faults);
    assert!(!hub.is_stopped());
}

/// A `Merge` that panics on the driver's thread, when a run gives its wake back: the payload is
/// lost and reported, the wake is not.
#[test]
fn a_merge_that_panics() {
    #[derive(Clone)]
    struct Payload;
    impl Merge for Payload {
        fn merge(&mut self, _: Self) {
            if std::thread::current().name() == Some("reveille-driver") {
                blow();
            }
        }
    }
    let (builder, faults) = builder(1);
    let hub: Reveille<u8, (), Payload> = builder.start().unwrap();
    let (tell, told) = unbounded();
    let _registration = hub
        .install(move |run| {
            let _ = tell.send(run.attempt());
            if run.attempt() > 1 {
                return Outcome::ran();
            }
            run.hub().wake(1, Wake::now().with(Payload));
            Outcome::busy()
        })
        .unwrap();
    hub.wake(1, Wake::now().with(Payload));
    assert_eq!(recv(&told), 1);
    fault_in(Place::Merge, &faults);
    assert_eq!(recv(&told), 2, "the wake is kept");
}

/// Keys whose `Hash` or `Eq` panic harm the caller alone: the driver calls neither.
#[test]
fn keys_that_panic() {
    #[derive(Clone, Debug)]
    struct Key(u8, Arc<AtomicBool>);
    impl Hash for Key {
        fn hash<H: Hasher>(&self, state: &mut H) {
            if self.1.load(Ordering::Relaxed) {
                blow();
            }
            self.0.hash(state);
        }
    }
    impl PartialEq for Key {
        fn eq(&self, other: &Self) -> bool {
            if self.0 == 9 {
                blow();
            }
            self.0 == other.0
        }
    }
    impl Eq for Key {}
    let (builder, _faults) = builder(1);
    let hub: Reveille<Key> = builder.start().unwrap();
    let (tell, told) = unbounded();
    let _registration = hub.install(move |run| tell.send(run.key().0)).unwrap();
    let armed = Arc::new(AtomicBool::new(false));
    let key = |n| Key(n, Arc::clone(&armed));
    for n in 0..8 {
        hub.target(key(n)).unwrap();
    }
    let target = hub.target(key(1)).unwrap();
    armed.store(true, Ordering::Relaxed);
    let thrown = catch_unwind(AssertUnwindSafe(|| hub.wake(key(1), Wake::now())));
    assert!(thrown.is_err());
    target.wake(Wake::now());
    assert_eq!(recv(&told), 1);
    target.remove();
    armed.store(false, Ordering::Relaxed);
    hub.target(key(9)).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| hub.target(key(9)))).is_err());
    hub.wake(key(2), Wake::now());
    assert_eq!(recv(&told), 2);
}

/// An observer that panics is counted, and asked again the next time.
#[test]
fn an_observer_that_panics() {
    let (tell, told) = unbounded();
    let hub: Reveille<u8> = Builder::new()
        .policy(|p| p.retry_after = Duration::from_millis(1))
        .on_fault(move |_| {
            let _ = tell.send(());
            blow();
        })
        .start()
        .unwrap();
    let _registration = hub.install(|_| -> Outcome { blow() }).unwrap();
    hub.wake(1, Wake::now());
    recv(&told);
    recv(&told);
    assert!(!hub.is_stopped());
}

/// A handler that panics when it is dropped by an install or a stop: both have taken effect, are
/// published, and are reported; neither caller is harmed (P1, P13).
#[test]
fn a_replaced_handler_that_panics_harms_no_install_and_no_stop() {
    let (builder, faults) = builder(1);
    let hub: Reveille<u8> = builder.build().unwrap(); // nobody drives: each edge drops
    let install = |bomb: Bomb| {
        hub.install(move |_| {
            let _hold = &bomb;
        })
        .unwrap()
    };
    let first = install(Bomb);
    let second = install(Bomb);
    fault_in(Place::Drop, &faults);
    assert!(second.is_current() && !first.is_current());
    assert_eq!(hub.counters().installs, 2);
    let report = hub.stop().report();
    assert_eq!(report.map(|report| report.left), Some(0));
    fault_in(Place::Drop, &faults);
}

/// Keys that panic when dropped, by the driver or a worker: whoever has the last reference of a
/// removed target.
#[test]
fn a_key_that_panics_when_dropped() {
    #[derive(Clone, PartialEq, Eq, Hash)]
    struct Key(u8);
    impl Drop for Key {
        fn drop(&mut self) {
            let ours = std::thread::current().name().is_some_and(|n| n.starts_with("reveille-"));
            if ours && !std::thread::panicking() {
                blow();
            }
        }
    }
    let (builder, faults) = builder(1);
    let hub: Reveille<Key> = builder.start().unwrap();
    let (tell, told) = unbounded();
    let (release, released) = unbounded::<()>();
    let _registration = hub
        .install(move |run| {
            let _ = tell.send(run.key().0);
            let _ = released.recv();
        })
        .unwrap();
    for key in 0..4 {
        hub.wake(Key(key), Wake::now());
        assert_eq!(recv(&told), key);
        assert!(hub.find(&Key(key)).unwrap().remove());
        release.send(()).unwrap();
        fault_in(Place::Drop, &faults);
    }
    assert!(!hub.is_stopped());
}
