//! Awaited wakes and retirements: on virtual time where a driver by hand will do, on threads where
//! somebody must block.

use reveille::{
    Answer, Builder, Disposal, Done, Engine, ManualClock, OnReplace, Outcome, Policy, Registration,
    RetireError, Reveille, Run, Ticket, Unserved, Wake,
};
use std::future::Future;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

type Hub = Reveille<&'static str>;

struct Stand {
    clock: ManualClock,
    hub: Hub,
    engine: Engine<&'static str>,
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

impl Stand {
    fn new(change: impl FnOnce(&mut Policy)) -> Self {
        let clock = ManualClock::new();
        let builder = Builder::new().policy(change).clock(clock.clone());
        let hub: Hub = builder.build().expect("a policy that holds");
        let engine = hub.engine().expect("it has no driver");
        Self { clock, hub, engine }
    }

    fn install(&self) -> Registration<&'static str> {
        self.hub.install(|_| ()).expect("it has not stopped")
    }

    fn ticket(&self) -> Ticket {
        self.hub.wake_awaited("a", Wake::now()).expect("it has not stopped")
    }

    /// The next run, after so long.
    fn run_after(&mut self, delay: Duration) -> Option<Run<&'static str>> {
        self.clock.advance(delay);
        self.engine.turn(self.hub.now());
        self.engine.next_run()
    }

    fn ends(&mut self, run: Run<&'static str>, outcome: Outcome) {
        run.finish(outcome);
        self.engine.turn(self.hub.now());
    }
}

fn poll(ticket: &mut Ticket) -> Poll<Answer> {
    Pin::new(ticket).poll(&mut Context::from_waker(Waker::noop()))
}

/// Tickets of wakes that merged end together, as their run does; later ones do not.
#[test]
fn tickets_end_with_the_run_that_serves_them() {
    let mut stand = Stand::new(|_| {});
    let registration = stand.install();
    let (mut first, second) = (stand.ticket(), stand.ticket());
    let run = stand.run_after(Duration::ZERO).unwrap();
    let later = stand.ticket();
    assert!(poll(&mut first).is_pending());
    assert_eq!((first.answer(), second.wait_timeout(ms(1))), (None, None));
    stand.ends(run, Outcome::skipped());
    assert_eq!(poll(&mut first), Poll::Ready(Ok(Done::Skipped)));
    assert_eq!((second.wait(), later.answer()), (Ok(Done::Skipped), None));
    let run = stand.run_after(Duration::ZERO).unwrap();
    stand.ends(run, Outcome::ran());
    assert_eq!(later.answer(), Some(Ok(Done::Ran)));
    drop(registration);
}

/// P7: a wake that is given back keeps its tickets, those that came meanwhile join it.
#[test]
fn a_ticket_outlives_what_gives_its_wake_back() {
    for outcome in [Outcome::busy(), Outcome::failed(), Outcome::defer(ms(1_000))] {
        let mut stand = Stand::new(|_| {});
        stand.install().keep();
        let (kept, impatient) = (stand.ticket(), stand.ticket().or_deferral());
        let run = stand.run_after(Duration::ZERO).unwrap();
        let (meanwhile, also) = (stand.ticket(), stand.ticket().or_deferral());
        stand.ends(run, outcome);
        assert_eq!(impatient.answer(), Some(Err(Unserved::Deferred)));
        assert_eq!((kept.answer(), meanwhile.answer(), also.answer()), (None, None, None));
        let run = stand.run_after(ms(1_000)).unwrap();
        stand.ends(run, Outcome::ran());
        for ticket in [kept, meanwhile, also] {
            assert_eq!(ticket.answer(), Some(Ok(Done::Ran)), "{outcome:?}");
        }
    }
}

/// Each way in which a wake ends without a run that is done is told.
#[test]
fn whatever_becomes_of_the_wake_is_told() {
    let told = |becomes: fn(&mut Stand)| {
        let mut stand = Stand::new(|policy| policy.max_attempts = NonZeroU32::MIN);
        let ticket = stand.ticket();
        becomes(&mut stand);
        ticket.answer()
    };
    assert_eq!(told(|_| {}), None);
    let cancelled = told(|stand| assert!(stand.hub.target("a").unwrap().cancel()));
    assert_eq!(cancelled, Some(Err(Unserved::Cancelled)));
    let removed = told(|stand| assert!(stand.hub.target("a").unwrap().remove()));
    assert_eq!(removed, Some(Err(Unserved::Removed)));
    assert_eq!(told(|stand| drop(stand.hub.stop())), Some(Err(Unserved::Stopped)));
    let gave_up = told(|stand| {
        stand.install().keep();
        let run = stand.run_after(ms(250)).unwrap();
        stand.ends(run, Outcome::failed());
    });
    assert_eq!(gave_up, Some(Err(Unserved::GaveUp)));
    let ran_after_its_removal = told(|stand| {
        stand.install().keep();
        let run = stand.run_after(ms(250)).unwrap();
        stand.hub.target("a").unwrap().remove();
        stand.ends(run, Outcome::ran());
    });
    assert_eq!(ran_after_its_removal, Some(Ok(Done::Ran)));
    let busy_after_its_removal = told(|stand| {
        stand.install().keep();
        let run = stand.run_after(ms(250)).unwrap();
        stand.hub.target("a").unwrap().remove();
        stand.ends(run, Outcome::busy());
    });
    assert_eq!(busy_after_its_removal, Some(Err(Unserved::Removed)));
}

/// D-18: an awaited wake without a handler ends at once, if asked; the wake stays (P3).
#[test]
fn a_ticket_can_do_without_a_handler() {
    let mut stand = Stand::new(|_| {});
    let ticket = stand.ticket().or_no_handler();
    assert_eq!(ticket.wait(), Err(Unserved::NoHandler));
    stand.install().keep();
    assert!(stand.run_after(ms(250)).is_some());
    assert_eq!(stand.ticket().or_no_handler().answer(), None);
}

/// P13: a stop ends the tickets of runs in flight too; a drain does when they end, or at its limit.
#[test]
fn a_stop_ends_every_waiter() {
    for drain in [None, Some(LIMIT), Some(ms(1))] {
        let mut stand = Stand::new(|_| {});
        stand.install().keep();
        let running = stand.ticket();
        let run = stand.run_after(Duration::ZERO).unwrap();
        let waiting = stand.ticket();
        let stopped = match drain {
            None => stand.hub.stop(),
            Some(limit) => stand.hub.drain(limit),
        };
        assert_eq!(waiting.answer(), Some(Err(Unserved::Stopped)));
        assert!(stand.hub.wake_awaited("a", Wake::now()).is_err());
        match drain {
            None => assert_eq!(running.answer(), Some(Err(Unserved::Stopped))),
            Some(LIMIT) => {
                assert_eq!(running.answer(), None);
                stand.ends(run, Outcome::ran());
                assert_eq!(running.answer(), Some(Ok(Done::Ran)));
            }
            Some(_) => {
                assert_eq!(stopped.wait().left, 1);
                assert_eq!(running.answer(), Some(Err(Unserved::Stopped)));
            }
        }
        assert!(stand.hub.counters().is_conserved());
    }
}

/// A replaced run's ticket goes with its wake to the next handler (P7).
#[test]
fn a_ticket_passes_on_with_its_wake() {
    let mut stand = Stand::new(|policy| policy.on_replace = OnReplace::Cancel);
    stand.install().keep();
    let ticket = stand.ticket();
    let run = stand.run_after(Duration::ZERO).unwrap();
    let mut cancelled = std::pin::pin!(run.cancelled());
    let waker = Waker::noop();
    assert!(cancelled.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
    stand.install().keep();
    stand.engine.turn(stand.hub.now());
    assert!(cancelled.as_mut().poll(&mut Context::from_waker(waker)).is_ready());
    let next = stand.run_after(ms(250)).unwrap();
    stand.ends(next, Outcome::ran());
    assert_eq!(ticket.answer(), Some(Ok(Done::Ran)));
}

/// P4: what was written before an awaited wake is seen by the run that ends its ticket; blocking
/// and async, beside a driver of its own.
#[test]
fn a_ticket_can_be_awaited_on_threads() {
    let hub: Hub = Reveille::start().unwrap();
    let data = Arc::new(AtomicU64::new(0));
    let (seen, read) = (Arc::new(AtomicU64::new(0)), Arc::clone(&data));
    let sees = Arc::clone(&seen);
    let _registration = hub
        .install(move |_| {
            sees.fetch_max(read.load(Ordering::Relaxed), Ordering::Relaxed);
        })
        .unwrap();
    for n in 1..=200 {
        data.store(n, Ordering::Relaxed);
        let ticket = hub.wake_awaited("a", Wake::now()).unwrap();
        let answer = if n % 2 == 0 { pollster::block_on(ticket) } else { ticket.wait() };
        assert_eq!(answer, Ok(Done::Ran));
        assert!(seen.load(Ordering::Relaxed) >= n, "the run that ended ticket {n} saw less");
    }
}

/// A run that waits for the next run of its own target would wait for itself; for another's it may.
#[test]
fn no_run_waits_for_itself() {
    let hub: Hub = Reveille::start().unwrap();
    let (sender, answers) = mpsc::channel();
    let _registration = hub
        .install(move |run: &Run<&'static str>| {
            if *run.key() == "outer" {
                let own = run.hub().wake_awaited("outer", Wake::within(LIMIT)).unwrap();
                let other = run.hub().wake_awaited("inner", Wake::now()).unwrap();
                let _ = sender.send((own.wait(), other.wait()));
            }
        })
        .unwrap();
    hub.wake("outer", Wake::now());
    let answers = answers.recv_timeout(LIMIT).unwrap();
    assert_eq!(answers, (Err(Unserved::InsideRun), Ok(Done::Ran)));
}

/// Retiring waits for the runs of one generation, and for no others.
#[test]
fn a_retirement_waits_for_its_own_runs() {
    let hub: Hub = Reveille::start().unwrap();
    let (inside, entered) = mpsc::channel();
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let old = hub
        .install(move |_| {
            let _ = inside.send(());
            let _ = held.lock().unwrap().recv_timeout(LIMIT);
        })
        .unwrap();
    hub.wake("a", Wake::now());
    entered.recv_timeout(LIMIT).unwrap();
    let new = hub.install(|_| ()).unwrap();
    assert_eq!(old.in_flight(), 1);
    assert_eq!(old.retire(ms(1)), Err(RetireError::StillRunning(1)));
    let waits = thread::spawn(move || old.retire(LIMIT));
    let ticket = hub.wake_awaited("b", Wake::now()).unwrap();
    assert_eq!(ticket.wait(), Ok(Done::Ran), "others go on");
    assert!(!waits.is_finished());
    release.send(()).unwrap();
    assert_eq!(waits.join().unwrap(), Ok(Disposal::Superseded));
    assert_eq!(pollster::block_on(new.retired()), Ok(Disposal::Removed));
    assert_eq!(new.retire(Duration::ZERO), Ok(Disposal::AlreadyDisposed));
}

/// From inside a run of its own generation it is an error, not a deadlock.
#[test]
fn no_run_retires_itself() {
    let hub: Hub = Reveille::start().unwrap();
    let (sender, results) = mpsc::channel();
    let own = Arc::new(std::sync::OnceLock::<Registration<&'static str>>::new());
    let handler_own = Arc::clone(&own);
    let registration = hub
        .install(move |_| {
            if let Some(own) = handler_own.get() {
                let _ = sender.send(own.retire(LIMIT));
            }
        })
        .unwrap();
    own.set(registration).unwrap();
    hub.wake("a", Wake::now());
    assert_eq!(results.recv_timeout(LIMIT).unwrap(), Err(RetireError::InsideRun));
    assert!(own.get().unwrap().is_current(), "nothing was changed");
}

/// No run of a retired generation starts, also by a driver that has not noted the dispose.
#[test]
fn nothing_starts_under_a_retired_handler() {
    let mut stand = Stand::new(|_| {});
    let registration = stand.install();
    let _ = stand.hub.wake("a", Wake::now());
    stand.engine.turn(stand.hub.now());
    assert_eq!(registration.retire(Duration::ZERO), Ok(Disposal::Removed));
    assert!(stand.engine.next_run().is_none());
    assert_eq!(stand.hub.counters().pending, 1);
    stand.install().keep();
    stand.engine.turn(stand.hub.now()); // notes it, and moves what waited
    assert!(stand.run_after(ms(250)).is_some());
    assert!(stand.hub.counters().is_conserved());
}

/// A million tickets that nobody waits for cost no more than one.
#[test]
fn dropped_tickets_leave_nothing_behind() {
    let mut stand = Stand::new(|_| {});
    let target = stand.hub.target("a").unwrap();
    let held = |n: u64| {
        let info = allocation_counter::measure(|| {
            for _ in 0..n {
                drop(target.wake_awaited(Wake::now()).unwrap());
            }
        });
        info.bytes_current
    };
    held(1);
    let (few, many) = (held(10), held(1_000_000));
    assert!((many - few).abs() < 1_024, "{few} and {many} bytes");
    // Nor where each is given back, with new ones behind it.
    stand.install().keep();
    stand.clock.advance(ms(250));
    let info = allocation_counter::measure(|| {
        for _ in 0..1_000 {
            let run = stand.run_after(ms(1_000)).unwrap();
            drop(stand.ticket());
            stand.ends(run, Outcome::busy());
        }
    });
    assert!(info.bytes_current < 16 * 1_024, "{} bytes", info.bytes_current);
}
