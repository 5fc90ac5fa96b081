//! Rates, jitter, what was given up, limits of runs, postponed wakes and barriers, on virtual time.

use reveille::{
    Builder, Done, Engine, Flood, Jitter, ManualClock, Outcome, Place, Policy, Reveille, Run, Tick,
    Unserved, Urgency, Wake,
};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Hub = Reveille<&'static str>;

struct Stand {
    clock: ManualClock,
    hub: Hub,
    engine: Engine<&'static str>,
    faults: Arc<Mutex<Vec<Place>>>,
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn at(n: u64) -> Tick {
    Tick::NOW + ms(n)
}

impl Stand {
    /// A hub with a handler.
    fn new(change: impl FnOnce(&mut Policy)) -> Self {
        let clock = ManualClock::new();
        let faults: Arc<Mutex<Vec<Place>>> = Arc::default();
        let told = Arc::clone(&faults);
        let builder = Builder::new().policy(change).clock(clock.clone());
        let builder =
            builder.on_fault(move |fault| told.lock().expect("not poisoned").push(fault.place));
        let hub: Hub = builder.build().expect("a policy that holds");
        hub.install(|_| ()).expect("it has not stopped").keep();
        let engine = hub.engine().expect("it has no driver");
        Self { clock, hub, engine, faults }
    }

    fn turn_at(&mut self, n: u64) -> Option<Run<&'static str>> {
        self.clock.advance_to(at(n));
        self.engine.turn(self.hub.now());
        self.engine.next_run()
    }

    /// The next run fails at `n`; until when that holds its target back.
    fn fails_at(&mut self, n: u64) -> Tick {
        let run = self.turn_at(n).expect("it is due");
        run.finish(Outcome::failed());
        assert!(self.turn_at(n).is_none());
        self.engine.deadline()
    }
}

/// P9: full jitter spreads each delay of the backoff anew, over no more than that delay.
#[test]
fn full_jitter_spreads_the_backoff() {
    let delays = |seed| {
        let mut stand = Stand::new(|policy| {
            (policy.jitter, policy.jitter_seed) = (Jitter::Full, Some(seed));
            (policy.backoff_factor, policy.retry_after) = (NonZeroU32::MIN, ms(1_000));
            policy.max_attempts = NonZeroU32::MAX;
        });
        let _ = stand.hub.wake("a", Wake::now());
        let mut failed_at = 0;
        let mut delays = Vec::new();
        for _ in 0..50 {
            let until = stand.fails_at(failed_at);
            let delay = until.as_micros() - at(failed_at).as_micros();
            assert!(delay > 0 && delay <= 1_000_000, "{delay} µs");
            delays.push(delay);
            failed_at += 1_000;
        }
        delays
    };
    let first = delays(1);
    assert_eq!(first, delays(1), "the seed says where it starts");
    assert_ne!(first, delays(2));
    let distinct: std::collections::BTreeSet<_> = first.iter().collect();
    assert!(distinct.len() > 40, "the same again and again: {first:?}");
    let mean = first.iter().sum::<u64>() / 50;
    assert!((300_000..700_000).contains(&mean), "{mean} µs on average");
}

/// P10, P18: a run past its limit is reported to the observer, once.
#[test]
fn an_overrun_is_reported() {
    let mut stand = Stand::new(|policy| policy.run_limit = Some(ms(10)));
    let _ = stand.hub.wake("a", Wake::now());
    let run = stand.turn_at(0).unwrap();
    assert!(stand.turn_at(9).is_none());
    assert_eq!(*stand.faults.lock().unwrap(), []);
    assert!(stand.turn_at(10).is_none());
    assert!(stand.turn_at(11).is_none());
    assert_eq!(*stand.faults.lock().unwrap(), [Place::RunLimit]);
    assert_eq!(stand.hub.counters().overran, 1);
    run.finish(Outcome::ran());
}

/// P7: poison stays until a run is done; a revival brings back all that was given up, once.
#[test]
fn what_was_given_up_comes_back_once() {
    let mut stand = Stand::new(|policy| policy.max_attempts = NonZeroU32::MIN);
    let target = stand.hub.target("a").unwrap();
    assert!(!target.revive(), "nothing was given up");
    let _ = target.wake(Wake::now());
    assert_eq!(stand.fails_at(0), Tick::NEVER, "nothing waits");
    assert!(target.is_poisoned());
    let _ = target.wake(Wake::now());
    stand.turn_at(2_000).expect("the floor has passed").finish(Outcome::ran());
    assert!(stand.turn_at(2_000).is_none());
    assert!(!target.is_poisoned() && !target.revive(), "a run was done");
    let _ = target.wake(Wake::now().urgency(Urgency::Urgent));
    stand.fails_at(2_001);
    assert!(target.is_poisoned());
    assert!(target.revive() && target.revive(), "it is told of once");
    let run = stand.turn_at(2_002).expect("the floor is forgotten");
    assert_eq!((run.urgency(), run.attempt()), (Urgency::Urgent, 1));
    run.finish(Outcome::ran());
    assert!(stand.turn_at(2_003).is_none());
    assert!(!target.is_poisoned() && !target.revive());
    // Nor does it come back by itself where it is given up again.
    let _ = target.wake(Wake::now());
    stand.fails_at(2_004);
    assert!(stand.turn_at(9_000).is_none());
    let counters = stand.hub.counters();
    assert_eq!((counters.gave_up, counters.pending), (3, 0));
    assert!(counters.is_conserved());
}

/// P7: a ticket of a wake that merges into one that was given back has no part in that deferral.
#[test]
fn an_earlier_deferral_ends_no_later_ticket() {
    let mut stand = Stand::new(|_| {});
    let ticket = |stand: &Stand| stand.hub.wake_awaited("a", Wake::now()).unwrap().or_deferral();
    let first = ticket(&stand);
    stand.turn_at(0).unwrap().finish(Outcome::busy());
    assert!(stand.turn_at(0).is_none());
    let later = ticket(&stand);
    assert_eq!((first.answer(), later.answer()), (Some(Err(Unserved::Deferred)), None));
    stand.turn_at(1_000).unwrap().finish(Outcome::ran());
    assert!(stand.turn_at(1_000).is_none());
    assert_eq!(later.answer(), Some(Ok(Done::Ran)));
}

/// What is due later than it is put off to stays there, also where the driver has not seen it.
#[test]
fn a_postpone_brings_nothing_forward() {
    for is_seen in [false, true] {
        let mut stand = Stand::new(|_| {});
        let target = stand.hub.target("a").unwrap();
        let _ = target.wake(Wake::at(at(500)));
        if is_seen {
            assert!(stand.turn_at(0).is_none());
        }
        assert!(target.postpone(at(100)));
        assert!(stand.turn_at(499).is_none(), "seen: {is_seen}");
        assert!(stand.turn_at(500).is_some(), "seen: {is_seen}");
        assert!(!target.postpone(at(1_000)), "nothing waits");
    }
}

/// P10: the mark of a barrier goes with its run; what comes after it is a plain wake.
#[test]
fn a_barrier_is_one_run() {
    let mut stand = Stand::new(|_| {});
    let target = stand.hub.target("a").unwrap();
    let _ = stand.hub.wake("b", Wake::now());
    let beside = stand.turn_at(0).unwrap();
    assert!(target.barrier(Wake::now()).is_accepted());
    assert!(stand.turn_at(1).is_none(), "it waits for what is in flight");
    let _ = stand.hub.wake("c", Wake::now());
    assert!(stand.turn_at(2).is_none(), "nothing newer starts before it");
    beside.finish(Outcome::ran());
    let barrier = stand.turn_at(3).unwrap();
    assert!(barrier.is_barrier() && barrier.beside().is_empty());
    assert!(stand.turn_at(4).is_none(), "nothing starts beside it");
    let _ = target.wake(Wake::now());
    barrier.finish(Outcome::ran());
    let (first, second) = (stand.turn_at(5).unwrap(), stand.engine.next_run().unwrap());
    assert_eq!((*first.key(), *second.key()), ("c", "a"));
    assert!(!first.is_barrier() && !second.is_barrier());
}

/// P10: of the starts within a window just as many are let through as the policy says.
#[test]
fn a_flood_is_as_long_as_the_policy_says() {
    let starts = NonZeroU32::MIN.saturating_add(2);
    let mut stand = Stand::new(|policy| policy.flood = Some(Flood { starts, within: ms(100) }));
    for n in 0..3 {
        let _ = stand.hub.wake("a", Wake::now());
        stand.turn_at(n).expect("it is one of three").finish(Outcome::ran());
    }
    let _ = stand.hub.wake("a", Wake::now());
    assert!(stand.turn_at(3).is_none());
    assert_eq!(stand.engine.deadline(), at(100));
    let _ = stand.hub.wake("a", Wake::now().urgency(Urgency::Urgent));
    assert!(stand.turn_at(4).is_some(), "an urgent one passes");
}
