//! What bounds runs and retries, on virtual time: run limits, barriers, jitter, what was given up.

use reveille::{
    Builder, Engine, Flood, Jitter, Last, ManualClock, OnOverrun, Outcome, Place, Policy, Reveille,
    Run, Tick, Urgency, Wake,
};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Hub = Reveille<&'static str>;
type Faults = Arc<Mutex<Vec<(Place, String)>>>;

struct Stand {
    clock: ManualClock,
    hub: Hub,
    engine: Engine<&'static str>,
    faults: Faults,
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

impl Stand {
    fn new(change: impl FnOnce(&mut Policy)) -> Self {
        let clock = ManualClock::new();
        let faults = Faults::default();
        let told = Arc::clone(&faults);
        let hub: Hub = Builder::new()
            .policy(change)
            .clock(clock.clone())
            .on_fault(move |fault| {
                told.lock().expect("nobody panics").push((fault.place, fault.message.clone()));
            })
            .build()
            .expect("a policy that holds");
        hub.install(|_| ()).expect("it has not stopped").keep();
        let mut engine = hub.engine().expect("it has no driver");
        engine.turn(Tick::NOW);
        Self { clock, hub, engine, faults }
    }

    fn wake(&self, key: &'static str) {
        assert!(self.hub.wake(key, Wake::now()).is_accepted());
    }

    fn run_at(&mut self, n: u64) -> Option<Run<&'static str>> {
        self.clock.advance_to(Tick::NOW + ms(n));
        self.engine.turn(self.hub.now());
        self.engine.next_run()
    }
}

impl Stand {
    /// A run starts, and fails for so long.
    fn fails_at(&mut self, n: u64, delay: Duration) {
        let run = self.run_at(n).expect("its floor has passed");
        run.finish(Outcome::failed_for(delay));
        self.engine.turn(self.hub.now());
    }
}

/// P10, P18: a run past its limit is reported once, shows as the longest, and gives up its place.
#[test]
fn a_run_past_its_limit_is_told() {
    let mut stand = Stand::new(|policy| {
        policy.run_limit = Some(ms(100));
        policy.max_active = NonZeroUsize::MIN;
    });
    stand.wake("long");
    stand.wake("next");
    let long = stand.run_at(1).expect("it is due");
    assert_eq!(long.deadline(), Some(Tick::NOW + ms(101)));
    assert!(stand.run_at(100).is_none(), "there is one place");
    let longest = stand.hub.snapshot().longest_run;
    assert_eq!(longest, Some(("long", Tick::NOW + ms(1))));
    let next = stand.run_at(101).expect("the place is free");
    let snapshot = stand.hub.target("long").expect("it is there").snapshot();
    assert!(snapshot.overran && snapshot.running_since.is_some());
    let faults = stand.faults.lock().expect("nobody panics").clone();
    assert!(matches!(&faults[..], [(Place::RunLimit, why)] if why.contains("100ms")), "{faults:?}");
    assert!(!long.is_cancelled(), "it is reported, and goes on");
    long.finish(Outcome::ran());
    next.finish(Outcome::ran());
    assert!(stand.run_at(102).is_none());
    let snapshot = stand.hub.snapshot();
    assert_eq!((snapshot.longest_run, snapshot.counters.overran), (None, 1));
    assert!(snapshot.counters.is_conserved());
}

/// P7, P10: a driver that can ends a run past its limit: that is a failure, and its wake is kept.
#[test]
fn a_run_past_its_limit_can_be_ended() {
    let mut stand = Stand::new(|policy| {
        policy.run_limit = Some(ms(100));
        policy.on_overrun = OnOverrun::Cancel;
    });
    stand.wake("long");
    let long = stand.run_at(0).expect("it is due");
    assert!(stand.run_at(100).is_none());
    assert!(long.is_cancelled());
    long.finish(Outcome::ran()); // too late
    let last = stand.hub.target("long").expect("it is there").snapshot().last;
    assert_eq!(last, Some((Last::Overran, Tick::NOW + ms(100))));
    assert!(stand.run_at(1_099).is_none(), "it failed: the backoff holds");
    let again = stand.run_at(1_100).expect("its floor has passed");
    assert_eq!(again.attempt(), 2);
    again.finish(Outcome::ran());
    stand.engine.turn(stand.hub.now());
    let counters = stand.hub.counters();
    assert_eq!((counters.late_completions, counters.overran, counters.retried), (1, 1, 1));
    assert!(counters.is_conserved());
}

/// P10: a barrier that hangs holds the others back for no longer than its limit.
#[test]
fn a_barrier_that_hangs_gives_up_its_turn() {
    let mut stand = Stand::new(|policy| policy.run_limit = Some(ms(100)));
    let target = stand.hub.target("all").expect("there is room");
    assert!(target.barrier(Wake::now()).is_accepted());
    let barrier = stand.run_at(0).expect("nothing is in flight");
    assert!(barrier.is_barrier());
    assert_eq!(barrier.beside().len(), 0);
    stand.wake("other");
    assert!(stand.run_at(99).is_none());
    let other = stand.run_at(100).expect("the limit of the barrier has passed");
    // The next barrier waits for both, and the late end of the first one is not taken for its own.
    let second = stand.hub.target("second").expect("there is room");
    assert!(second.barrier(Wake::now()).is_accepted());
    assert!(stand.run_at(110).is_none());
    other.finish(Outcome::ran());
    let second = {
        assert!(stand.run_at(111).is_none(), "one is in flight");
        stand.run_at(110 + 30_000).expect("it has waited for long enough")
    };
    assert_eq!(second.beside().collect::<Vec<_>>(), [&"all"]);
    barrier.finish(Outcome::ran());
    stand.wake("third");
    assert!(stand.run_at(110 + 30_001).is_none(), "the second one runs, and is not over its limit");
    second.finish(Outcome::ran());
    assert!(stand.run_at(110 + 30_002).is_some());
}

/// P9, P11: full jitter draws each delay from the whole of it, and the same seed the same ones.
#[test]
fn jitter_is_full_and_seeded() {
    let delays = |jitter, seed| {
        let mut stand = Stand::new(|policy| {
            policy.jitter = jitter;
            policy.jitter_seed = Some(seed);
            policy.backoff_factor = NonZeroU32::MIN;
            policy.max_attempts = NonZeroU32::MAX;
        });
        stand.wake("main");
        let mut starts = Vec::new();
        for _ in 0..200 {
            stand.engine.turn(stand.hub.now());
            let run = stand.engine.next_run().expect("it is due");
            starts.push(run.started().as_micros());
            run.finish(Outcome::failed());
            stand.engine.turn(stand.hub.now());
            stand.clock.advance_to(stand.engine.deadline());
        }
        starts.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<u64>>()
    };
    let drawn = delays(Jitter::Full, 7);
    assert_eq!(drawn, delays(Jitter::Full, 7));
    assert_ne!(drawn, delays(Jitter::Full, 8));
    assert!(drawn.iter().all(|&delay| (1..=1_000_000).contains(&delay)), "{drawn:?}");
    for tenth in 0..10 {
        let within = |delay: &&u64| (tenth * 100_000..(tenth + 1) * 100_000).contains(*delay);
        assert!(drawn.iter().any(|delay| within(&delay)), "none in tenth {tenth}: {drawn:?}");
    }
    assert!(delays(Jitter::None, 7).iter().all(|&delay| delay == 1_000_000));
}

/// P9: a handler's own delay takes the place of the backoff, and counts as a failure.
#[test]
fn a_failure_can_say_when() {
    let mut stand = Stand::new(|policy| policy.max_attempts = NonZeroU32::MIN.saturating_add(2));
    stand.wake("main");
    stand.fails_at(0, ms(5));
    stand.fails_at(5, Duration::ZERO); // which is the backoff, of the second failure
    assert!(stand.run_at(2_004).is_none());
    stand.fails_at(2_005, ms(5));
    assert!(stand.run_at(60_000).is_none());
    assert_eq!(stand.hub.counters().gave_up, 1);
    assert_eq!(stand.hub.poisoned().len(), 1);
}

fn flood(starts: u32, within: u64) -> Option<Flood> {
    Some(Flood { starts: NonZeroU32::new(starts).expect("not zero"), within: ms(within) })
}

impl Stand {
    /// What starts by `n`, turn by turn; each ends at once.
    fn runs_by(&mut self, n: u64) -> Vec<(u64, &'static str)> {
        let mut runs = Vec::new();
        loop {
            let now = self.hub.now();
            self.engine.turn(now);
            while let Some(run) = self.engine.next_run() {
                runs.push((now.as_micros() / 1_000, *run.key()));
                run.finish(Outcome::ran());
            }
            let (next, end) = (self.engine.arm(), Tick::NOW + ms(n));
            if now == end && next > now {
                return runs;
            }
            self.clock.advance_to(next.min(end));
        }
    }
}

/// P3, P11: what the rate of all targets holds back is kept, sets the deadline, and starts oldest
/// first; urgent wakes pass it, and count.
#[test]
fn a_hub_starts_no_more_than_its_rate() {
    let mut stand = Stand::new(|policy| policy.hub_flood = flood(2, 100));
    for key in ["a", "b", "c", "d", "e"] {
        stand.wake(key);
    }
    assert_eq!(stand.runs_by(50), [(0, "a"), (0, "b")]);
    assert_eq!(stand.engine.deadline(), Tick::NOW + ms(100));
    assert!(stand.hub.wake("e", Wake::now().urgency(Urgency::Urgent)).is_accepted());
    assert_eq!(stand.runs_by(120), [(50, "e"), (100, "c")]);
    assert_eq!(stand.runs_by(1_000), [(150, "d")]);
    assert!(stand.hub.counters().is_conserved());
}

/// A barrier waits for what may start before it, and not for what the rate of all holds back.
#[test]
fn a_barrier_waits_for_no_rate() {
    let mut stand = Stand::new(|policy| policy.hub_flood = flood(1, 100));
    stand.wake("a");
    stand.wake("b");
    assert_eq!(stand.runs_by(10), [(0, "a")]);
    stand.hub.target("all").expect("it has not stopped").barrier(Wake::now());
    assert_eq!(stand.runs_by(1_000), [(10, "all"), (110, "b")]);
}

/// P9: only an operator shortens a floor, by having the target start clean.
#[test]
fn a_target_that_is_forgiven_starts_clean() {
    let mut stand = Stand::new(|_| {});
    let target = stand.hub.target("main").expect("it has not stopped");
    for outcome in [Outcome::failed(), Outcome::busy_for(ms(5_000)), Outcome::defer(ms(5_000))] {
        target.wake(Wake::now());
        let now = stand.hub.now().as_micros() / 1_000;
        let run = stand.run_at(now + 1).expect("nothing holds it back");
        assert_eq!(run.attempt(), 1);
        run.finish(outcome);
        assert!(stand.run_at(now + 2).is_none());
        assert!(stand.run_at(now + 3).is_none());
        target.forgive();
        let again = stand.run_at(now + 4).expect("it starts clean");
        assert_eq!(again.attempt(), 1);
        again.finish(Outcome::ran());
        assert!(stand.run_at(now + 5).is_none());
    }
}
