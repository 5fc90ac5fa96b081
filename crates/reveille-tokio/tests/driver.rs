//! The driver on tokio: paused time, dropped at every await, runtimes that come and go.

use reveille::{
    AlreadyDriven, Builder, Cadence, OnOverrun, OnReplace, Outcome, Policy, Reveille, Run,
    SharedRun, Wake,
};
use reveille_tokio::{TokioClock, drive, drive_until};
use std::future::{Future, pending};
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::runtime;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

type Hub = Reveille<u32>;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn hub(change: impl FnOnce(&mut Policy)) -> Hub {
    Builder::new().clock(TokioClock::new()).policy(change).build().expect("the policy holds")
}

/// Counts how many run at once, and how many ran.
#[derive(Default)]
struct Crowd {
    now: AtomicUsize,
    peak: AtomicUsize,
    ran: AtomicUsize,
}

impl Crowd {
    fn enter(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.fetch_max(now, Ordering::SeqCst);
    }

    fn leave(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
        self.ran.fetch_add(1, Ordering::SeqCst);
    }

    fn ran(&self) -> usize {
        self.ran.load(Ordering::SeqCst)
    }
}

/// An asynchronous handler that takes so long, and counts.
fn crowding(
    crowd: &Arc<Crowd>,
    takes: Duration,
) -> impl Fn(SharedRun<u32>) -> std::pin::Pin<Box<dyn Future<Output = Outcome> + Send>> + use<> {
    let crowd = Arc::clone(crowd);
    move |_| {
        let crowd = Arc::clone(&crowd);
        Box::pin(async move {
            crowd.enter();
            sleep(takes).await;
            crowd.leave();
            Outcome::ran()
        })
    }
}

/// P8: a day of beats passes at once on paused time, each at its instant.
#[tokio::test(start_paused = true)]
async fn a_day_of_beats() {
    let (hub, start) = (hub(|_| {}), Instant::now());
    tokio::spawn(drive(&hub).unwrap());
    let beats = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&beats);
    let _handler = hub.install_async(move |run: SharedRun<u32>| {
        let n = counted.fetch_add(1, Ordering::SeqCst) as u64 + 1;
        async move {
            assert_eq!((run.missed(), start.elapsed()), (0, ms(n * 3_600_000)));
        }
    });
    hub.target(1).unwrap().beat(Cadence::every(ms(3_600_000)).unwrap()).unwrap();
    sleep(ms(24 * 3_600_000 + 10)).await;
    assert_eq!(beats.load(Ordering::SeqCst), 24);
    assert_eq!((hub.counters().panics, hub.counters().is_conserved()), (0, true));
}

/// P5, P15: a driver that sleeps is woken by what is due sooner, by an install, and by the end of a run that
/// held others back, all at their instant.
#[tokio::test(start_paused = true)]
async fn a_ring_wakes_a_driver_that_sleeps() {
    let hub = hub(|policy| policy.max_active = NonZeroUsize::MIN);
    tokio::spawn(drive(&hub).unwrap());
    let later = hub.wake_awaited(1, Wake::within(ms(60_000))).unwrap();
    sleep(ms(1)).await;
    let start = Instant::now();
    let first = hub.wake_awaited(2, Wake::now()).unwrap();
    let second = hub.wake_awaited(3, Wake::now()).unwrap();
    sleep(ms(1)).await;
    let crowd = Arc::new(Crowd::default());
    let _handler = hub.install_async(crowding(&crowd, ms(3))).unwrap();
    assert!(first.await.is_ok());
    assert_eq!(start.elapsed(), ms(4));
    assert!(second.await.is_ok());
    assert_eq!(start.elapsed(), ms(7));
    sleep(ms(1)).await;
    let start = Instant::now();
    assert!(hub.wake_awaited(4, Wake::now()).unwrap().await.is_ok());
    assert_eq!(start.elapsed(), ms(3));
    assert!(later.await.is_ok());
}

/// P10: no more than `max_active` run at once, be they tasks or threads; nothing is lost.
#[tokio::test(start_paused = true)]
async fn no_more_run_at_once_than_allowed() {
    let hub = hub(|policy| policy.max_active = NonZeroUsize::MIN.saturating_add(2));
    tokio::spawn(drive(&hub).unwrap());
    let crowd = Arc::new(Crowd::default());
    let first = hub.install_async(crowding(&crowd, ms(10))).unwrap();
    let tickets: Vec<_> = (0..20).map(|n| hub.wake_awaited(n, Wake::now()).unwrap()).collect();
    for ticket in tickets {
        assert!(ticket.await.is_ok());
    }
    assert_eq!((crowd.ran(), crowd.peak.load(Ordering::SeqCst)), (20, 3));
    let counts = Arc::clone(&crowd);
    let second = hub.install(move |_: &Run<u32>| {
        counts.enter();
        std::thread::sleep(ms(1));
        counts.leave();
    });
    let second = second.unwrap();
    let tickets: Vec<_> = (0..20).map(|n| hub.wake_awaited(n, Wake::now()).unwrap()).collect();
    for ticket in tickets {
        assert!(ticket.await.is_ok());
    }
    assert_eq!((crowd.ran(), crowd.peak.load(Ordering::SeqCst)), (40, 3));
    assert!(!first.is_current() && second.is_current() && hub.counters().is_conserved());
}

/// P3, P8: a driver that is dropped at any of its awaits leaves all that waits to the next one.
#[tokio::test(start_paused = true)]
async fn dropped_at_every_await_it_loses_nothing() {
    for polls in 0..40 {
        let hub = hub(|_| {});
        let crowd = Arc::new(Crowd::default());
        let _handler = hub.install_async(crowding(&crowd, ms(2))).unwrap();
        let tickets: Vec<_> = (0..8)
            .map(|n| hub.wake_awaited(n, Wake::within(ms(5 * u64::from(n)))).unwrap())
            .collect();
        {
            let mut driver = pin!(drive(&hub).unwrap());
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..polls {
                assert!(driver.as_mut().poll(&mut context).is_pending());
                tokio::time::advance(ms(1)).await;
            }
        }
        tokio::spawn(drive(&hub).expect("the seat is free again"));
        for ticket in tickets {
            assert!(timeout(ms(60_000), ticket).await.expect("it is not lost").is_ok());
        }
        let counters = hub.counters();
        assert_eq!((crowd.ran(), counters.started, counters.retried), (8, 8, 0), "{polls} polls");
        assert!(counters.is_conserved());
    }
}

/// P1: one drives, and hands over.
#[tokio::test(start_paused = true)]
async fn a_second_driver_is_refused() {
    let hub = hub(|_| {});
    let driver = drive(&hub).unwrap();
    assert_eq!(drive(&hub).err(), Some(AlreadyDriven));
    drop(driver);
    assert!(drive_until(&hub, CancellationToken::new(), ms(1)).is_ok());
}

/// P6, P7: an install under `cancel` drops the future of the older run, and its wake is served once.
#[tokio::test(start_paused = true)]
async fn a_replaced_run_is_cancelled_and_its_wake_passes_on() {
    struct Gone(Arc<AtomicUsize>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let hub = hub(|policy| policy.on_replace = OnReplace::Cancel);
    tokio::spawn(drive(&hub).unwrap());
    let gone = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&gone);
    let old = hub.install_async(move |_| {
        let gone = Gone(Arc::clone(&counts));
        async move {
            pending::<()>().await;
            drop(gone);
        }
    });
    let old = old.unwrap();
    let ticket = hub.wake_awaited(1, Wake::now()).unwrap();
    sleep(ms(10)).await;
    assert_eq!((old.in_flight(), gone.load(Ordering::SeqCst)), (1, 0));
    let crowd = Arc::new(Crowd::default());
    let _new = hub.install_async(crowding(&crowd, ms(1))).unwrap();
    assert!(ticket.await.is_ok());
    assert_eq!((gone.load(Ordering::SeqCst), crowd.ran(), old.in_flight()), (1, 1, 0));
    assert!(old.retired().await.is_ok());
    let counters = hub.counters();
    assert_eq!((counters.started, counters.retried, counters.late_completions), (2, 1, 0));
}

/// P10: a run past its limit is ended where the policy says so, and tried again.
#[tokio::test(start_paused = true)]
async fn a_run_past_its_limit_is_dropped() {
    let hub = hub(|policy| {
        policy.run_limit = Some(ms(100));
        policy.on_overrun = OnOverrun::Cancel;
    });
    tokio::spawn(drive(&hub).unwrap());
    let _handler = hub.install_async(|run: SharedRun<u32>| async move {
        if run.attempt() == 1 {
            pending::<()>().await;
        }
    });
    assert!(hub.wake_awaited(1, Wake::now()).unwrap().await.is_ok());
    assert_eq!((hub.counters().overran, hub.counters().started), (1, 2));
}

/// P10, P18: a panic before the first await, behind it, and in a blocking handler is an outcome.
#[tokio::test(start_paused = true)]
async fn panics_are_outcomes() {
    let hub = hub(|_| {});
    tokio::spawn(drive(&hub).unwrap());
    let _first = hub.install_async(|run: SharedRun<u32>| {
        assert!(run.attempt() != 1, "before the first await");
        async move {
            tokio::task::yield_now().await;
            assert!(run.attempt() != 2, "behind it");
        }
    });
    assert!(hub.wake_awaited(1, Wake::now()).unwrap().await.is_ok());
    assert_eq!((hub.counters().panics, hub.counters().started), (2, 3));
    let _second = hub.install(|run: &Run<u32>| assert!(run.attempt() > 1, "where it may block"));
    assert!(hub.wake_awaited(2, Wake::now()).unwrap().await.is_ok());
    assert_eq!((hub.counters().panics, hub.counters().is_conserved()), (3, true));
}

/// P13: a cancelled token drains; runs have their limit, and no longer.
#[tokio::test(start_paused = true)]
async fn a_token_drains_the_hub() {
    for (takes, left) in [(50, 0), (5_000, 1)] {
        let (hub, shutdown) = (hub(|_| {}), CancellationToken::new());
        let driver = tokio::spawn(drive_until(&hub, shutdown.clone(), ms(1_000)).unwrap());
        let crowd = Arc::new(Crowd::default());
        let _handler = hub.install_async(crowding(&crowd, ms(takes))).unwrap();
        let run = hub.wake_awaited(1, Wake::now()).unwrap();
        let waits = hub.wake_awaited(2, Wake::within(ms(60_000))).unwrap();
        sleep(ms(10)).await;
        let since = Instant::now();
        shutdown.cancel();
        let report = driver.await.unwrap();
        assert_eq!((report.in_flight, report.left, report.discarded), (1, left, 1));
        assert!(since.elapsed() <= ms(1_001), "{:?}", since.elapsed());
        assert_eq!(run.await.is_ok(), left == 0);
        assert!(waits.await.is_err() && hub.is_stopped());
    }
}

/// P13: whoever stops the hub ends its driver, and so does the drop of the last handle.
#[tokio::test(start_paused = true)]
async fn a_stopped_hub_ends_its_driver() {
    let first = hub(|_| {});
    let driver = tokio::spawn(drive(&first).unwrap());
    let until = hub(|_| {});
    let report = tokio::spawn(drive_until(&until, CancellationToken::new(), ms(1)).unwrap());
    tokio::task::yield_now().await;
    drop(first);
    driver.await.unwrap();
    until.stop();
    assert_eq!(report.await.unwrap().in_flight, 0);
}

/// P3: runs that the runtime aborts at its end are retained, and the next runtime serves them.
#[test]
fn a_runtime_that_ends_loses_nothing() {
    let build = || runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let hub: Hub = Builder::new().build().unwrap();
    let crowd = Arc::new(Crowd::default());
    let hung = hub.install_async(|_| pending::<()>()).unwrap();
    hub.wake(1, Wake::now());
    hub.target(2).unwrap().beat(Cadence::every(ms(20)).unwrap()).unwrap();
    let first = build();
    first.block_on(async {
        tokio::spawn(drive(&hub).unwrap());
        sleep(ms(50)).await;
    });
    drop(first);
    assert_eq!(hub.counters().started, 2);
    assert_eq!(hung.in_flight(), 0, "the runs went with their runtime");
    let _handler = hub.install_async(crowding(&crowd, ms(1))).unwrap();
    build().block_on(async {
        tokio::spawn(drive(&hub).unwrap());
        while crowd.ran() < 5 {
            sleep(ms(5)).await;
        }
    });
    assert_eq!(hub.counters().aborted, 2);
}

/// P3, P12: on several threads, with wakes from tasks and from threads, each wake is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wakes_from_everywhere_are_served() {
    let hub: Hub = Builder::new().build().unwrap();
    let driver = tokio::spawn(drive(&hub).unwrap());
    let crowd = Arc::new(Crowd::default());
    let _handler = hub.install_async(crowding(&crowd, Duration::ZERO)).unwrap();
    let thread = {
        let hub = hub.clone();
        std::thread::spawn(move || {
            for n in 0..2_000 {
                assert!(hub.wake(n % 50, Wake::now()).is_accepted());
            }
        })
    };
    let mut tickets = Vec::new();
    for n in 0..500 {
        tickets.push(hub.wake_awaited(n % 50, Wake::within(ms(u64::from(n % 7)))).unwrap());
        if n % 16 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for ticket in tickets {
        assert!(timeout(Duration::from_secs(30), ticket).await.expect("it is served").is_ok());
    }
    tokio::task::spawn_blocking(move || thread.join().unwrap()).await.unwrap();
    let last: Vec<_> = (0..50).map(|n| hub.wake_awaited(n, Wake::now()).unwrap()).collect();
    for ticket in last {
        assert!(ticket.await.is_ok());
    }
    let report = hub.stop().report().unwrap();
    driver.await.unwrap();
    assert_eq!((report.discarded, hub.counters().is_conserved()), (0, true));
}
