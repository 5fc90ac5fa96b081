//! A driver that spins before what is due, has its timers fire promptly, or runs handlers itself, keeps what
//! the other one keeps.

#![allow(clippy::unwrap_used)] // a test that cannot be set up has failed

use crossbeam_channel::unbounded;
use reveille::{
    Builder, Cadence, Clock, Concern, Place, Precision, Reveille, Run, Tick, Unserved, Wake,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

type Hub = Reveille<&'static str>;

const LIMIT: Duration = Duration::from_secs(20);
const FAR: Duration = Duration::from_secs(3_600);

/// The process's clock, which counts how often it is asked.
struct Counting(Instant, Arc<AtomicU64>);

impl Clock for Counting {
    fn now(&self) -> Tick {
        self.1.fetch_add(1, Ordering::Relaxed);
        Tick::from_micros(u64::try_from(self.0.elapsed().as_micros()).unwrap())
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// P5: while the driver spins before something far away, what is asked for sooner runs at once, and what
/// stops it stops it.
#[test]
fn a_spinning_driver_hears() {
    let (tell, told) = unbounded();
    let hub: Hub = Builder::new().policy(|p| p.max_sleep = 2 * FAR).build().unwrap();
    hub.install(move |run: &Run<&'static str>| tell.send(*run.key())).unwrap().keep();
    let driver = hub.drive_with(Precision::new().spin(2 * FAR)).unwrap();
    hub.wake("far", Wake::within(FAR));
    for _ in 0..3 {
        hub.wake("near", Wake::within(Duration::from_millis(5)));
        assert_eq!(told.recv_timeout(LIMIT), Ok("near"));
        hub.wake("now", Wake::now());
        assert_eq!(told.recv_timeout(LIMIT), Ok("now"));
    }
    // It spins again, with nothing to hear of but that it is to leave.
    std::thread::sleep(Duration::from_millis(50));
    let (tell, told) = unbounded();
    let leaves = std::thread::spawn(move || {
        drop(driver);
        tell.send(())
    });
    assert_eq!(told.recv_timeout(LIMIT), Ok(()), "it spins on");
    leaves.join().unwrap().unwrap();
    let driver = hub.drive_with(Precision::new().spin(2 * FAR)).unwrap();
    hub.stop().wait();
    driver.join();
    assert!(hub.counters().is_conserved());
}

/// P5, P11: it is never early, and spins at the end, without turns; not before a turn at which nothing is due.
#[test]
fn it_spins_at_the_end_alone() {
    let reads = Arc::new(AtomicU64::new(0));
    let (tell, told) = unbounded();
    let hub: Hub = Builder::new()
        .clock(Counting(Instant::now(), Arc::clone(&reads)))
        .policy(|p| p.max_sleep = Duration::from_millis(50))
        .build()
        .unwrap();
    let clock = hub.clone();
    hub.install(move |_: &Run<&'static str>| tell.send(clock.now())).unwrap().keep();
    let driver = hub.drive_with(Precision::new().spin(Duration::from_millis(2))).unwrap();
    // Nothing is due for some turns of `max_sleep`.
    std::thread::sleep(Duration::from_millis(200));
    let idle = reads.load(Ordering::Relaxed);
    assert!(idle < 200, "it has spun for nothing: {idle} looks at the clock");
    let (due, turns) = (hub.now() + Duration::from_millis(20), hub.counters().turns);
    hub.wake("main", Wake::at(due));
    let ran = told.recv_timeout(LIMIT).unwrap();
    assert!(ran >= due, "early: {ran:?} for {due:?}");
    // In two milliseconds it looks some 10,000 times; a loaded machine may take most of them away.
    let looks = reads.load(Ordering::Relaxed) - idle;
    assert!(looks > 20, "it has not spun: {looks} looks at the clock");
    let turns = hub.counters().turns - turns;
    assert!(turns < 20, "it has not spun but turned (P11): {turns} turns");
    hub.stop();
    driver.join();
}

/// P8, P12, P13, P18: a driver that runs handlers itself outlives what they do, wake and panic, and its runs are all
/// of its thread.
#[test]
fn an_inline_driver_outlives_its_handlers() {
    let (tell, told) = unbounded();
    let hub: Hub = Builder::new()
        .policy(|p| p.retry_after = Duration::from_millis(1))
        .on_fault(|fault| assert_eq!(fault.place, Place::Handler))
        .build()
        .unwrap();
    let handler = move |run: &Run<&'static str>| {
        let _ = tell.send((*run.key(), std::thread::current().id()));
        match *run.key() {
            "panics" => std::panic::resume_unwind(Box::new("as told")),
            "wakes" => _ = run.hub().wake("woken", Wake::now()),
            "stops" => _ = run.hub().stop().wait(), // does not wait inside a run
            _ => {}
        }
    };
    hub.install(handler).unwrap().keep();
    let driver = hub.drive_with(Precision::new().inline()).unwrap();
    let beats = hub.target("beats").unwrap();
    beats.beat(Cadence::every(Duration::from_millis(2)).unwrap()).unwrap();
    hub.wake("panics", Wake::now());
    hub.wake("wakes", Wake::now());
    let mut threads = Vec::new();
    let mut keys = std::collections::BTreeMap::new();
    while keys.len() < 4 || keys["panics"] < 3 || keys["beats"] < 10 {
        let (key, thread) = told.recv_timeout(LIMIT).unwrap();
        *keys.entry(key).or_insert(0) += 1;
        threads.push(thread);
    }
    threads.dedup();
    assert_eq!(threads.len(), 1, "all on one thread");
    hub.wake("stops", Wake::now());
    driver.join();
    assert!(hub.counters().is_conserved(), "{:?}", hub.counters());
    assert!(hub.counters().panics >= 3);
}

/// P13: inside a run on the thread that is to make all others, none of them is waited for; in another hub's it is.
#[test]
fn an_inline_run_waits_for_no_other() {
    let (tell, told) = unbounded();
    let (inline, other): (Hub, Hub) = (Builder::new().build().unwrap(), Reveille::start().unwrap());
    other.install(|_: &Run<&'static str>| ()).unwrap().keep();
    let beside = other.clone();
    let handler = move |run: &Run<&'static str>| {
        if *run.key() == "waits" {
            let mine = run.hub().wake_awaited("awaited", Wake::now()).unwrap();
            let theirs = beside.wake_awaited("awaited", Wake::now()).unwrap();
            let _ = tell.send((mine.wait_timeout(LIMIT), theirs.wait_timeout(LIMIT)));
        }
    };
    inline.install(handler).unwrap().keep();
    let driver = inline.drive_with(Precision::new().inline()).unwrap();
    inline.wake("waits", Wake::now());
    let (mine, theirs) = told.recv_timeout(2 * LIMIT).unwrap();
    assert_eq!(mine, Some(Err(Unserved::InsideRun)));
    assert!(matches!(theirs, Some(Ok(_))), "{theirs:?}");
    // From any other thread it can be waited for.
    assert!(
        inline.wake_awaited("awaited", Wake::now()).unwrap().wait_timeout(LIMIT).unwrap().is_ok()
    );
    drop(driver);
    // Another driver takes over, with workers.
    let _driver = inline.drive().unwrap();
    inline.wake("waits", Wake::now());
    let (mine, _) = told.recv_timeout(2 * LIMIT).unwrap();
    assert!(matches!(mine, Some(Ok(_))), "{mine:?}");
}

/// P18: who is held up by a handler that runs on the driver's thread is told so, and it goes on when that returns.
#[test]
fn a_held_up_inline_driver_is_not_silent() {
    let (go, gone) = unbounded::<()>();
    let (tell, told) = unbounded();
    let grace = Duration::from_millis(1);
    let hub: Hub = Builder::new().policy(|p| p.watch.turn_grace = grace).build().unwrap();
    let handler = move |run: &Run<&'static str>| {
        let _ = tell.send(*run.key());
        if *run.key() == "hangs" {
            let _ = gone.recv_timeout(LIMIT);
        }
    };
    hub.install(handler).unwrap().keep();
    let driver = hub.drive_with(Precision::new().inline()).unwrap();
    hub.wake("hangs", Wake::now());
    assert_eq!(told.recv_timeout(LIMIT), Ok("hangs"));
    hub.wake("held", Wake::now());
    let end = Instant::now() + LIMIT;
    let is_late = |concern: &Concern<_>| matches!(concern, Concern::DriverLate { .. });
    while !hub.health().concerns.iter().any(is_late) {
        assert!(Instant::now() < end, "{:?}", hub.health());
        std::thread::sleep(grace);
    }
    assert!(told.try_recv().is_err(), "nobody else runs it");
    go.send(()).unwrap();
    assert_eq!(told.recv_timeout(LIMIT), Ok("held"));
    hub.stop().wait();
    driver.join();
    assert!(hub.counters().is_conserved());
}

/// The thread of the driver has the timer slack that was asked for.
#[cfg(target_os = "linux")]
#[test]
fn its_thread_has_the_timer_slack() {
    let slack = |nanos| {
        let hub: Hub = Builder::new().build().unwrap();
        let (tell, told) = unbounded();
        hub.install(move |_: &Run<&'static str>| {
            // A worker has what the driver had when it started it.
            let own = rustix::thread::gettid().as_raw_nonzero();
            tell.send(std::fs::read_to_string(format!("/proc/{own}/timerslack_ns")))
        })
        .unwrap()
        .keep();
        let precision = Precision::new().timer_slack(Duration::from_nanos(nanos));
        let driver = hub.drive_with(precision).unwrap();
        hub.wake("main", Wake::now());
        let told = told.recv_timeout(LIMIT).unwrap().unwrap();
        hub.stop();
        driver.join();
        told.trim().to_owned()
    };
    assert_eq!(slack(7_000), "7000");
    assert_eq!(slack(0), "1", "nothing at all would mean the default");
}
