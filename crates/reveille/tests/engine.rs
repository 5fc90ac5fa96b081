//! The engine by hand, on virtual time: what no scenario can say.

use reveille::{
    Builder, Cadence, Clock, Engine, ManualClock, Merge, Missed, Outcome, Reveille, Run,
    TargetState, Tick, Urgency, Wake, Woken,
};
use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

reveille::reasons! {
    /// Why the tests wake.
    struct Why { BEAT, HOOK, TICK }
}

/// Everything that was said, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Words(Vec<&'static str>);

impl Merge for Words {
    fn merge(&mut self, later: Self) {
        self.0.extend(later.0);
    }
}

type Hub = Reveille<&'static str, Why, Words>;

struct Stand {
    clock: ManualClock,
    hub: Hub,
    engine: Engine<&'static str, Why, Words>,
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

impl Stand {
    fn new() -> Self {
        let clock = ManualClock::new();
        let hub: Hub =
            Builder::new().clock(clock.clone()).build().expect("the default policy holds");
        hub.install(|_| Outcome::ran()).expect("it has not stopped").keep();
        let engine = hub.engine().expect("it has no driver");
        Self { clock, hub, engine }
    }

    fn turn_at(&mut self, n: u64) -> Option<Run<&'static str, Why, Words>> {
        self.clock.advance_to(Tick::NOW + ms(n));
        self.engine.turn(self.clock.now());
        self.engine.next_run()
    }
}

/// P8: a cadence that is set just before a run ends is heard in the turn that collects it, whether a wake
/// waits behind the run or not, and whether the run gives its own back or not.
#[test]
fn a_cadence_set_while_a_run_ends_is_heard() {
    for (waits, is_busy) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut stand = Stand::new();
        let target = stand.hub.target("main").unwrap();
        target.wake(Wake::now());
        let run = stand.turn_at(0).unwrap();
        if waits {
            target.wake(Wake::within(ms(90)));
        }
        target.beat(Cadence::every(ms(50)).unwrap()).unwrap();
        run.finish(if is_busy { Outcome::busy() } else { Outcome::ran() });
        assert!(stand.turn_at(1).is_none());
        let next_beat = stand.hub.snapshot().targets[0].next_beat;
        assert_eq!(next_beat, Some(Tick::NOW + ms(50)), "{waits} {is_busy}");
    }
}

/// P12: a snapshot says how often each target ran, and for how many beats beyond their own those runs stood.
#[test]
fn a_snapshot_counts_runs_and_missed_beats() {
    let mut stand = Stand::new();
    let target = stand.hub.target("main").unwrap();
    target.beat(Cadence::every(ms(10)).unwrap()).unwrap();
    stand.turn_at(0);
    for (at, runs, missed) in [(10, 1, 0), (40, 2, 2), (50, 3, 2), (70, 4, 3)] {
        stand.turn_at(at).unwrap().execute();
        stand.turn_at(at);
        let shown = &stand.hub.snapshot().targets[0];
        assert_eq!((shown.runs, shown.missed), (runs, missed), "at {at}");
    }
}

/// P12: each request by handle is counted once, as what it was told that it is; with and without a delay.
#[test]
fn a_wake_by_handle_is_counted_as_what_it_is() {
    let mut stand = Stand::new();
    let target = stand.hub.target("main").unwrap();
    let wakes = [
        (Wake::at(Tick::NOW + ms(50)), Woken::Armed, (1, 0, 0)),
        (Wake::at(Tick::NOW + ms(50)), Woken::Coalesced, (2, 1, 0)),
        (Wake::within(ms(60)), Woken::Coalesced, (3, 2, 0)),
        (Wake::soon(), Woken::Coalesced, (4, 3, 0)),
        (Wake::within(ms(40)), Woken::Preempted, (5, 4, 1)),
    ];
    for (wake, woken, counted) in wakes {
        assert_eq!(target.wake(wake), woken);
        assert_eq!(stand.turn_at(0).map(|_| ()), None);
        let counters = stand.hub.counters();
        assert_eq!((counters.accepted, counters.coalesced, counters.preempted), counted);
        assert!(counters.is_conserved(), "{counters:?}");
    }
}

/// P15: a delay that the last turn proves to be long enough reads no clock; one that it does not reads it once.
#[test]
fn a_wake_that_coalesces_reads_no_clock() {
    struct Counting(Arc<AtomicU64>);
    impl Clock for Counting {
        fn now(&self) -> Tick {
            self.0.fetch_add(1, Ordering::Relaxed);
            Tick::from_micros(1_000)
        }
    }
    let reads = Arc::new(AtomicU64::new(0));
    let hub: Hub = Builder::new().clock(Counting(Arc::clone(&reads))).build().unwrap();
    hub.install(|_| Outcome::ran()).unwrap().keep();
    let mut engine = hub.engine().unwrap();
    let target = hub.target("main").unwrap();
    target.wake(Wake::at(Tick::from_micros(5_000)));
    engine.turn(Tick::from_micros(500));
    let reading = |wake| {
        let before = reads.load(Ordering::Relaxed);
        assert_eq!(target.wake(wake), Woken::Coalesced);
        reads.load(Ordering::Relaxed) - before
    };
    assert_eq!(reading(Wake::within(Duration::from_micros(4_500))), 0);
    assert_eq!(reading(Wake::within(Duration::from_micros(4_499))), 1, "it is due at 5,499");
}

/// A driver finds the policy of its hub, and the hub, at its engine (P11: how long it may sleep).
#[test]
fn an_engine_knows_its_hub() {
    let policy = |policy: &mut reveille::Policy| policy.max_sleep = ms(1_234);
    let hub: Hub = Builder::new().policy(policy).build().expect("the policy holds");
    let engine = hub.engine().expect("it has no driver");
    assert_eq!(engine.policy().max_sleep, ms(1_234));
    engine.hub().stop();
    assert!(hub.is_stopped());
}

/// P3, P8: a cancel during a run discards what waits behind it, not what the run gives back.
#[test]
fn a_cancel_during_a_run_spares_what_it_gives_back() {
    for outcome in [Outcome::busy_for(ms(10)), Outcome::defer(ms(10)), Outcome::failed()] {
        let mut stand = Stand::new();
        let target = stand.hub.target("main").unwrap();
        target.beat(Cadence::every(ms(5)).unwrap()).unwrap();
        let run = stand.turn_at(5).unwrap();
        target.stop_beating();
        target.wake(Wake::now().with(Words(vec!["behind"])));
        assert!(target.cancel());
        run.finish(outcome);
        stand.turn_at(6);
        assert_eq!(target.state(), TargetState::Pending, "{outcome:?}");
        let again = stand.turn_at(2_000).expect("the wake that was given back runs again");
        assert!(again.is_beat() && again.attempt() == 2);
        assert_eq!(again.payload(), None);
        again.finish(Outcome::ran());
        stand.turn_at(2_001);
        assert!(stand.hub.counters().is_conserved());
    }
}

/// P8: a beat that comes between a cancel and the driver's look at it is a beat.
#[test]
fn a_beat_right_after_a_cancel_is_a_beat() {
    let mut stand = Stand::new();
    let target = stand.hub.target("main").unwrap();
    target.beat(Cadence::every(ms(5)).unwrap()).unwrap();
    let run = stand.turn_at(5).unwrap();
    target.wake(Wake::now());
    assert!(target.cancel());
    // The run in flight hides the cancel from all but the beat itself.
    assert!(stand.turn_at(10).is_none());
    run.finish(Outcome::ran());
    let run = stand.turn_at(11).unwrap();
    assert!(run.is_beat() && run.missed() == 0);
    assert_eq!(run.beat(), Some(Tick::NOW + ms(10)));
    run.finish(Outcome::ran());
}

/// Reasons, urgency and payload of all wakes that a run serves reach it merged; what a run gives
/// back comes before what came since.
#[test]
fn a_run_knows_all_that_it_serves() {
    let mut stand = Stand::new();
    let target = stand.hub.target("main").unwrap();
    target.wake(Wake::now().because(Why::TICK).urgency(Urgency::Retry).with(Words(vec!["a"])));
    target.wake(Wake::now().because(Why::HOOK).with(Words(vec!["b"])));
    let run = stand.turn_at(1).unwrap();
    assert_eq!((run.reasons(), run.urgency()), (Why::TICK | Why::HOOK, Urgency::Event));
    assert_eq!(run.payload(), Some(&Words(vec!["a", "b"])));
    target.wake(Wake::now().because(Why::TICK).with(Words(vec!["c"])));
    assert_eq!(target.state(), TargetState::RunningAgain);
    run.finish(Outcome::busy_for(ms(1)));
    let run = stand.turn_at(3).or_else(|| stand.turn_at(5)).unwrap();
    assert_eq!(run.payload(), Some(&Words(vec!["a", "b", "c"])));
    drop(run); // aborted: retained once more
    stand.turn_at(6);
    assert_eq!(target.state(), TargetState::Pending);
    assert_eq!(stand.hub.counters().aborted, 1);
}

/// P8, P18: each way a run can end leaves the cadence armed.
#[test]
fn every_way_to_end_keeps_the_cadence_armed() {
    let mut stand = Stand::new();
    let target = stand.hub.target("main").unwrap();
    target.beat(Cadence::every(ms(100)).unwrap()).unwrap();
    let mut now = 0;
    for round in 0..40 {
        let run = loop {
            now += 1;
            if let Some(run) = stand.turn_at(now) {
                break run;
            }
            assert!(now < 100_000, "silent since round {round}");
        };
        match round % 6 {
            0 => run.finish(Outcome::ran()),
            1 => run.finish(Outcome::busy()),
            2 => run.finish(Outcome::defer(ms(1))),
            3 => run.panicked("as told".to_owned()),
            4 => drop(run),
            _ => run.finish(Outcome::failed()),
        }
        stand.engine.turn(stand.clock.now());
        assert!(stand.engine.deadline() != Tick::NEVER);
    }
    assert!(stand.hub.counters().is_conserved());
}

/// P5, P18: the answer to a wake is about the target.
#[test]
fn a_wake_is_told_what_became_of_it() {
    let mut stand = Stand::new();
    let target = stand.hub.target("main").unwrap();
    assert_eq!(target.wake(Wake::within(ms(50))), Woken::Armed);
    assert_eq!(target.wake(Wake::within(ms(60))), Woken::Coalesced);
    assert_eq!(target.wake(Wake::within(ms(40))), Woken::Preempted);
    assert!(stand.turn_at(1).is_none());
    assert_eq!(stand.engine.deadline(), Tick::NOW + ms(40));
    assert_eq!(target.wake(Wake::within(ms(40))), Woken::Coalesced);
    assert_eq!(target.wake(Wake::now()), Woken::Preempted);
    target.remove();
    match target.wake(Wake::now().with(Words(vec!["back"]))) {
        Woken::Refused(refused) => assert_eq!(refused.payload, Some(Words(vec!["back"]))),
        other => panic!("{other:?}"),
    }
}

/// P11: dues and periods past the horizon pend, and arm nothing.
#[test]
fn far_futures_are_never() {
    let mut stand = Stand::new();
    let target = stand.hub.target("main").unwrap();
    target.wake(Wake::within(Duration::MAX));
    target.beat(Cadence::every(Duration::MAX).unwrap()).unwrap();
    assert!(stand.turn_at(1).is_none());
    assert_eq!(stand.engine.deadline(), Tick::NEVER);
    assert_eq!(target.state(), TargetState::Pending);
    assert_eq!(target.wake(Wake::at(Tick::NOW + ms(2))), Woken::Preempted);
    assert!(stand.turn_at(2).is_some());
}

/// P14: an instant that goes back counts as the last one.
#[test]
fn time_that_goes_back_stands_still() {
    let mut stand = Stand::new();
    let target = stand.hub.target("main").unwrap();
    target.beat(Cadence::every(ms(10)).unwrap()).unwrap();
    stand.turn_at(25).unwrap().finish(Outcome::ran());
    stand.engine.turn(Tick::NOW);
    assert!(stand.engine.next_run().is_none());
    assert_eq!(stand.engine.deadline(), Tick::NOW + ms(30));
}

/// P10: a run past its limit gives up its place, and stays one run of its target (P6).
#[test]
fn a_run_past_its_limit_gives_up_its_place() {
    let clock = ManualClock::new();
    let hub: Hub = Builder::new()
        .policy(|p| {
            p.max_active = NonZeroUsize::MIN;
            p.run_limit = Some(ms(10));
        })
        .clock(clock.clone())
        .build()
        .unwrap();
    hub.install(|_| ()).unwrap().keep();
    let engine = hub.engine().unwrap();
    let mut stand = Stand { clock, hub, engine };
    stand.hub.wake("hung", Wake::now());
    let hung = stand.turn_at(0).unwrap();
    stand.hub.wake("hung", Wake::now());
    stand.hub.wake("other", Wake::now());
    assert!(stand.turn_at(9).is_none());
    assert_eq!(stand.engine.deadline(), Tick::NOW + ms(10));
    let other = stand.turn_at(10).unwrap();
    assert_eq!((*other.key(), stand.engine.active(), stand.engine.overrunning()), ("other", 1, 1));
    other.finish(Outcome::ran());
    assert!(stand.turn_at(11).is_none());
    hung.finish(Outcome::ran());
    assert_eq!(*stand.turn_at(12).unwrap().key(), "hung");
    assert_eq!(stand.engine.overrunning(), 0);
}

/// P15, P6: a key that is removed and made again while its last run is in flight costs no more
/// each time, and has one run that waits.
#[test]
fn a_key_made_again_and_again_costs_nothing() {
    let clock = ManualClock::new();
    let builder = Builder::new().clock(clock.clone());
    let few = NonZeroU32::MIN.saturating_add(3);
    let hub: Hub = builder.policy(|p| p.max_targets = few).build().unwrap();
    hub.install(|_| ()).unwrap().keep();
    let engine = hub.engine().unwrap();
    let mut stand = Stand { clock, hub, engine };
    stand.hub.wake("main", Wake::now());
    let run = stand.turn_at(0).unwrap();
    for _ in 0..10_000 {
        assert!(stand.hub.find("main").unwrap().remove());
        assert_eq!(stand.hub.wake("main", Wake::now()), Woken::Armed);
        assert!(stand.turn_at(1).is_none(), "its last run is in flight");
    }
    run.finish(Outcome::ran());
    let next = stand.turn_at(2).expect("the one that waits");
    next.finish(Outcome::ran());
    assert!(stand.turn_at(3).is_none());
    let counters = stand.hub.counters();
    assert_eq!((counters.started, counters.discarded), (2, 9_999));
    assert!(counters.is_conserved());
}

/// P5: an install while another is being noted does not hide a third: what is requested after an
/// install has its own due.
#[test]
fn installs_are_noted_once_each() {
    let clock = ManualClock::new();
    let builder = Builder::new().clock(clock.clone());
    let cancel = |p: &mut reveille::Policy| p.on_replace = reveille::OnReplace::Cancel;
    let hub: Hub = builder.policy(cancel).build().unwrap();
    hub.install(|_| ()).unwrap().keep();
    let engine = hub.engine().unwrap();
    let mut stand = Stand { clock, hub, engine };
    stand.hub.wake("a", Wake::now());
    let run = stand.turn_at(0).unwrap();
    let other = stand.hub.target("c").unwrap();
    other.wake(Wake::within(ms(250)));
    stand.hub.find("a").unwrap().remove();
    stand.hub.target("a").unwrap();
    assert!(stand.turn_at(1).is_none());
    stand.hub.install(|_| ()).unwrap().keep();
    stand.hub.wake("a", Wake::within(ms(5_000)));
    assert!(stand.turn_at(2).is_none());
    assert!(run.is_cancelled());
    stand.clock.advance_to(Tick::NOW + ms(240));
    stand.hub.install(|_| ()).unwrap().keep();
    other.wake(Wake::within(ms(20)));
    assert!(stand.turn_at(240).is_none());
    let served = (241..=260).find_map(|now| stand.turn_at(now)).expect("due at 260");
    assert_eq!(*served.key(), "c");
    served.finish(Outcome::ran());
}

/// P11: no delay at all counts as the policy's.
#[test]
fn no_delay_does_not_spin() {
    for outcome in [Outcome::busy_for(Duration::ZERO), Outcome::defer(Duration::ZERO)] {
        let mut stand = Stand::new();
        stand.hub.wake("main", Wake::now());
        stand.turn_at(0).unwrap().finish(outcome);
        assert!(stand.turn_at(0).is_none());
        assert_eq!(stand.engine.deadline(), Tick::NOW + ms(1_000));
    }
}

/// P12: a `Merge` that panics in a wake leaves the counters conserved.
#[test]
fn a_panic_in_a_wake_is_conserved() {
    #[derive(Clone)]
    struct Bomb;
    impl Merge for Bomb {
        fn merge(&mut self, _: Self) {
            std::panic::resume_unwind(Box::new("as told"));
        }
    }
    let hub: Reveille<u8, (), Bomb> = Builder::new().build().unwrap();
    hub.wake(1, Wake::now().with(Bomb));
    let wake = std::panic::AssertUnwindSafe(|| hub.wake(1, Wake::now().with(Bomb)));
    assert!(std::panic::catch_unwind(wake).is_err());
    let counters = hub.counters();
    assert!(counters.is_conserved(), "{counters:?}");
    assert_eq!((counters.accepted, counters.refused), (2, 1));
}

/// P5, P11: a dozing driver is rung by what it would oversleep, and by nothing else; one that rose, by
/// nothing at all.
#[test]
fn only_a_dozing_driver_is_rung() {
    let mut stand = Stand::new();
    let rings = Arc::new(AtomicU64::new(0));
    struct Counted(Arc<AtomicU64>);
    impl reveille::Ring for Counted {
        fn ring(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let rung = || rings.swap(0, Ordering::Relaxed);
    stand.engine.set_ring(Counted(Arc::clone(&rings)));
    let target = stand.hub.target("main").unwrap();
    assert!(stand.turn_at(0).is_none());
    let until = Tick::NOW + ms(100);
    assert!(stand.engine.arm() > until && stand.engine.doze(until), "nothing is asked for");
    assert_eq!(rung(), 0);
    target.wake(Wake::at(Tick::NOW + ms(200)));
    assert_eq!(rung(), 0, "it would not be overslept");
    target.wake(Wake::at(Tick::NOW + ms(50)));
    assert_eq!(rung(), 1);
    stand.engine.rise();
    target.wake(Wake::at(Tick::NOW + ms(40)));
    assert_eq!(rung(), 0, "it is awake");
    assert!(!stand.engine.doze(until), "somebody asked for something sooner");
    target.wake(Wake::at(Tick::NOW + ms(30)));
    assert_eq!(rung(), 0, "it did not doze off");
    assert_eq!(stand.engine.active(), 0);
    let run = stand.turn_at(30).unwrap();
    assert_eq!((stand.engine.active(), stand.engine.overrunning()), (1, 0));
    run.finish(Outcome::ran());
}

/// P6: only a run of the removed target holds its successor back. Where none is in flight, the
/// successor's wake has the place in time that it asked for.
#[test]
fn a_target_made_again_at_rest_waits_for_nobody() {
    let mut stand = Stand::new();
    let (old, other) = (stand.hub.target("main").unwrap(), stand.hub.target("other").unwrap());
    assert!(stand.turn_at(1).is_none());
    stand.clock.advance_to(Tick::NOW + ms(10));
    old.remove();
    other.wake(Wake::at(Tick::NOW + ms(7)));
    stand.hub.target("main").unwrap().wake(Wake::at(Tick::NOW + ms(5)));
    let first = stand.turn_at(10).unwrap();
    assert_eq!(*first.key(), "main");
    first.finish(Outcome::ran());
}

/// P7: a beat that an older handler gave back runs one window after that, before the beat that
/// waited behind it and is owed (`Missed::Burst`), though that one was moved to an earlier instant.
#[test]
fn owed_beats_keep_their_order_through_an_install() {
    let clock = ManualClock::new();
    let hub: Hub = Builder::new()
        .clock(clock.clone())
        .policy(|policy| policy.missed = Missed::Burst)
        .build()
        .expect("the policy holds");
    let engine = hub.engine().expect("it has no driver");
    hub.install(|_| Outcome::ran()).expect("it has not stopped").keep();
    let mut stand = Stand { clock, hub, engine };
    stand.hub.target("main").unwrap().beat(Cadence::every(ms(100)).unwrap()).unwrap();
    assert!(stand.turn_at(0).is_none());
    let run = stand.turn_at(100).unwrap();
    assert!(stand.turn_at(200).is_none(), "the beat waits behind the run");
    stand.clock.advance_to(Tick::NOW + ms(250));
    stand.hub.install(|_| Outcome::ran()).expect("it has not stopped").keep();
    assert!(stand.turn_at(250).is_none());
    stand.clock.advance_to(Tick::NOW + ms(290));
    run.finish(Outcome::busy());
    assert!(stand.turn_at(290).is_none());
    assert_eq!(stand.engine.deadline(), Tick::NOW + ms(300), "the next beat");
    assert!(stand.turn_at(539).is_none());
    let again = stand.turn_at(540).unwrap();
    assert_eq!(again.beat(), Some(Tick::NOW + ms(100)));
    again.finish(Outcome::ran());
}

/// P9: what was requested during a run is as old as its request, so that an install of the instant
/// of the run's end moves it by one window.
#[test]
fn a_request_behind_a_run_is_as_old_as_it_is() {
    let mut stand = Stand::new();
    let target = stand.hub.target("main").unwrap();
    target.wake(Wake::now());
    let run = stand.turn_at(1).unwrap();
    stand.clock.advance_to(Tick::NOW + ms(50));
    target.wake(Wake::at(Tick::NOW + ms(50)));
    stand.clock.advance_to(Tick::NOW + ms(100));
    run.finish(Outcome::ran());
    stand.engine.turn(stand.clock.now());
    stand.hub.install(|_| Outcome::ran()).expect("it has not stopped").keep();
    assert!(stand.turn_at(100).is_none());
    assert!(stand.turn_at(349).is_none());
    stand.turn_at(350).unwrap().finish(Outcome::ran());
}

impl Stand {
    fn install(&self) {
        self.hub.install(|_| Outcome::ran()).expect("it has not stopped").keep();
    }

    /// A wake waits behind a run, requested at 50 for `due`; installs come at these instants, and the
    /// run ends at 220. When the wake starts.
    fn starts_behind_a_run(due: u64, installs: &[u64]) -> u64 {
        let mut stand = Self::new();
        let target = stand.hub.target("main").expect("it has not stopped");
        target.wake(Wake::now());
        let run = stand.turn_at(1).expect("it is due");
        stand.clock.advance_to(Tick::NOW + ms(50));
        assert!(target.wake(Wake::at(Tick::NOW + ms(due))).is_accepted());
        for &at in installs {
            stand.clock.advance_to(Tick::NOW + ms(at));
            stand.install();
            assert!(stand.turn_at(at).is_none());
        }
        stand.clock.advance_to(Tick::NOW + ms(220));
        run.finish(Outcome::ran());
        (220..).find(|&at| stand.turn_at(at).is_some()).expect("it starts")
    }
}

/// P9: an install moves what waits behind a run to no sooner than one window, once, and leaves alone
/// what is due later.
#[test]
fn an_install_moves_what_waits_behind_a_run() {
    assert_eq!(Stand::starts_behind_a_run(50, &[]), 220);
    assert_eq!(Stand::starts_behind_a_run(50, &[100]), 350);
    assert_eq!(Stand::starts_behind_a_run(50, &[100, 200]), 350, "once");
    assert_eq!(Stand::starts_behind_a_run(1_000, &[100]), 1_000);
    assert_eq!(Stand::starts_behind_a_run(350, &[100, 200]), 450, "the first left it where it was");
}

/// P5: a request that cannot start a held target sooner has coalesced, whatever its due.
#[test]
fn a_request_under_a_floor_coalesces() {
    let clock = ManualClock::new();
    let hub: Hub = Builder::new()
        .clock(clock.clone())
        .policy(|policy| policy.max_attempts = NonZeroU32::MIN)
        .build()
        .expect("the policy holds");
    let engine = hub.engine().expect("it has no driver");
    let mut stand = Stand { clock, hub, engine };
    stand.install();
    let target = stand.hub.target("main").unwrap();
    target.wake(Wake::now());
    stand.turn_at(1).unwrap().finish(Outcome::failed_for(ms(1_000)));
    assert!(stand.turn_at(2).is_none(), "it is given up, and the floor stays");
    assert_eq!(target.wake(Wake::at(Tick::NOW + ms(500))), Woken::Armed);
    assert!(stand.turn_at(3).is_none());
    assert_eq!(target.wake(Wake::at(Tick::NOW + ms(100))), Woken::Coalesced);
    assert!(stand.turn_at(1_001).is_none());
    stand.turn_at(1_002).unwrap().finish(Outcome::ran());
}

/// P7, P18: what was given up, once and again, is requested again as a whole.
#[test]
fn all_that_was_given_up_is_revived() {
    let clock = ManualClock::new();
    let hub: Hub = Builder::new()
        .clock(clock.clone())
        .policy(|policy| policy.max_attempts = NonZeroU32::MIN)
        .build()
        .expect("the policy holds");
    let engine = hub.engine().expect("it has no driver");
    let mut stand = Stand { clock, hub, engine };
    stand.install();
    let target = stand.hub.target("main").unwrap();
    for (at, why) in [(1, Why::HOOK), (3_000, Why::HOOK | Why::TICK)] {
        target.wake(Wake::now().because(why));
        stand.turn_at(at).unwrap().finish(Outcome::failed());
        assert!(stand.turn_at(at + 1).is_none());
    }
    assert!(target.revive());
    let run = stand.turn_at(3_002).unwrap();
    assert_eq!(run.reasons(), Why::HOOK | Why::TICK);
    run.finish(Outcome::ran());
}

/// P3, P5: a crowd that asks for something at one instant is taken in by several turns, in which what else is due
/// starts and ends; nobody is left out, whatever comes meanwhile.
#[test]
fn a_crowd_does_not_hold_up_the_others() {
    const CROWD: u32 = 500;
    let clock = ManualClock::new();
    let hub: Reveille<u32> = Builder::new()
        .clock(clock.clone())
        .policy(|p| p.max_active = NonZeroUsize::MIN)
        .build()
        .unwrap();
    hub.install(|_: &Run<u32>| Outcome::ran()).unwrap().keep();
    let mut engine = hub.engine().unwrap();
    let first = hub.target(CROWD).unwrap();
    first.beat(Cadence::every(ms(1)).unwrap()).unwrap();
    engine.turn(Tick::NOW);
    let next = |engine: &mut Engine<u32>| {
        clock.advance(ms(1));
        engine.turn(clock.now());
        let run = engine.next_run()?;
        let key = *run.key();
        run.execute();
        Some(key)
    };
    // New targets, then known ones: all are set to beat, and woken.
    for round in 1..=2 {
        for key in 0..CROWD {
            hub.wake(key, Wake::within(ms(3_600_000 * round)));
            let cadence = Cadence::every(ms(7_200_000 * round)).unwrap();
            hub.target(key).unwrap().beat(cadence).unwrap();
        }
        let mut turns = 0;
        while turns == 0 || engine.deadline() == Tick::NOW {
            assert_eq!(next(&mut engine), Some(CROWD), "its turn {turns} of round {round}");
            turns += 1;
            // Also where the engine has not heard of it before.
            hub.wake(CROWD - 1, Wake::within(ms(3_000_000)));
        }
        assert!((5..50).contains(&turns), "{turns} turns");
    }
    first.stop_beating();
    next(&mut engine);
    let waiting = hub.snapshot().targets.into_iter();
    let waiting = waiting.filter(|target| target.next_due.is_some() && target.next_beat.is_some());
    assert_eq!(waiting.count(), CROWD as usize);
    // What a driver on virtual time takes in at one instant, it takes in as a whole.
    (0..CROWD).for_each(|key| _ = hub.wake(key, Wake::within(ms(3))));
    engine.observe(clock.now());
    assert!(engine.deadline() > Tick::NOW);
    assert!(hub.counters().is_conserved(), "{:?}", hub.counters());
}

/// P3: where more is asked for than one turn takes in, the next one is due at once, until all is taken in: also for a
/// new target of whose wake the engine heard before it knew it, and for a wake that came while it was behind.
#[test]
fn who_is_behind_turns_again() {
    const CROWD: u32 = 100;
    let clock = ManualClock::new();
    let hub: Reveille<u32> = Builder::new().clock(clock.clone()).build().unwrap();
    hub.install(|_: &Run<u32>| Outcome::ran()).unwrap().keep();
    let mut engine = hub.engine().unwrap();
    engine.turn(Tick::NOW);
    let targets: Vec<_> = (0..CROWD).map(|key| hub.target(key).unwrap()).collect();
    let at = |n| Tick::from_micros(n);
    targets.last().unwrap().wake(Wake::at(at(9_000)));
    let catch_up = |engine: &mut Engine<u32>| {
        let turns = (1..).find(|_| {
            engine.turn(Tick::NOW);
            engine.deadline() != Tick::NOW
        });
        (turns, engine.deadline())
    };
    assert_eq!(catch_up(&mut engine), (Some(7), at(9_000)));
    targets.iter().for_each(|target| _ = target.wake(Wake::at(at(8_000))));
    engine.turn(Tick::NOW);
    assert_eq!(engine.deadline(), Tick::NOW);
    targets[0].wake(Wake::at(at(7_000)));
    assert_eq!(catch_up(&mut engine), (Some(2), at(7_000)));
}

/// P3: what a driver on virtual time takes in, it takes in as a whole, also behind a turn that left some of it.
#[test]
fn an_observe_leaves_nothing() {
    let hub: Reveille<u32> = Builder::new().clock(ManualClock::new()).build().unwrap();
    hub.install(|_: &Run<u32>| Outcome::ran()).unwrap().keep();
    let mut engine = hub.engine().unwrap();
    let targets: Vec<_> = (0..100).map(|key| hub.target(key).unwrap()).collect();
    engine.observe(Tick::NOW);
    assert_eq!(engine.deadline(), Tick::NEVER);
    targets.iter().for_each(|target| _ = target.wake(Wake::at(Tick::from_micros(9_000))));
    engine.turn(Tick::NOW);
    assert_eq!(engine.deadline(), Tick::NOW, "more was asked for than a turn takes in");
    targets[99].wake(Wake::at(Tick::from_micros(8_000)));
    engine.observe(Tick::NOW);
    assert_eq!(engine.deadline(), Tick::from_micros(8_000));
}

/// P6, P10: runs that have ended are collected while a crowd is taken in, however many there are: others may start in
/// their places.
#[test]
fn all_that_ended_is_collected_behind_a_crowd() {
    const RUNS: u32 = 200;
    let hub: Reveille<u32> = Builder::new()
        .clock(ManualClock::new())
        .policy(|p| p.max_active = NonZeroUsize::MAX)
        .build()
        .unwrap();
    hub.install(|_: &Run<u32>| Outcome::ran()).unwrap().keep();
    let mut engine = hub.engine().unwrap();
    let targets: Vec<_> = (0..3_000).map(|key| hub.target(key).unwrap()).collect();
    engine.observe(Tick::NOW);
    let now = Tick::from_micros(1_000_000); // past the window of the install
    targets.iter().take(RUNS as usize).for_each(|target| _ = target.wake(Wake::at(now)));
    engine.observe(now);
    let mut runs: Vec<_> = std::iter::from_fn(|| engine.next_run()).collect();
    assert_eq!(engine.active(), RUNS as usize);
    targets.iter().for_each(|target| _ = target.wake(Wake::at(Tick::from_micros(9_000_000))));
    engine.turn(now);
    // Those that started first go on, as many as a turn looks at, and some.
    let ended = runs.split_off(70);
    ended.into_iter().for_each(Run::execute);
    for _ in 0..6 {
        engine.turn(now);
        assert_eq!(engine.deadline(), Tick::NOW, "the crowd is not taken in yet");
    }
    assert_eq!(engine.active(), runs.len());
}

/// P3, P5: a target that is made, and woken, while others are taken in is heard of in the turns that follow at once, and
/// by an `observe`.
#[test]
fn who_comes_while_others_are_taken_in_is_heard() {
    for is_virtual in [false, true] {
        for crowd in 14..36 {
            let hub: Reveille<u32> = Builder::new().clock(ManualClock::new()).build().unwrap();
            hub.install(|_: &Run<u32>| Outcome::ran()).unwrap().keep();
            let mut engine = hub.engine().unwrap();
            (0..crowd).for_each(|key| _ = hub.target(key).unwrap());
            engine.turn(Tick::NOW);
            hub.wake(crowd, Wake::at(Tick::from_micros(9_000)));
            if is_virtual {
                engine.observe(Tick::NOW);
            } else {
                engine.turn(Tick::NOW);
            }
            while !is_virtual && engine.deadline() == Tick::NOW {
                engine.turn(Tick::NOW);
            }
            assert_eq!(engine.deadline(), Tick::from_micros(9_000), "behind {crowd}");
        }
    }
}

/// P8: a crowd whose beats fall on one instant beats by several turns, each target once.
#[test]
fn a_crowd_beats_as_one() {
    const CROWD: u32 = 3_000;
    let clock = ManualClock::new();
    let hub: Reveille<u32> = Builder::new().clock(clock.clone()).build().unwrap();
    hub.install(|_: &Run<u32>| Outcome::ran()).unwrap().keep();
    let mut engine = hub.engine().unwrap();
    for key in 0..CROWD {
        hub.target(key).unwrap().beat(Cadence::every(ms(1_000)).unwrap()).unwrap();
    }
    engine.observe(Tick::NOW);
    clock.advance(ms(1_000));
    engine.turn(clock.now());
    let beats = hub.counters().beats;
    assert!((1..u64::from(CROWD)).contains(&beats), "all in one turn, or none: {beats}");
    let mut runs = 0;
    while {
        while let Some(run) = engine.next_run() {
            assert_eq!(run.missed(), 0);
            runs += 1;
            run.execute();
        }
        engine.turn(clock.now());
        engine.deadline() <= clock.now()
    } {}
    assert_eq!((runs, hub.counters().beats), (CROWD, u64::from(CROWD)));
}

/// P3, P5, P8: thousands of targets that are woken for instants all over, and pulled forward: each starts at the
/// earliest instant that it was woken for, in order, and the engine asks to be called at no other.
#[test]
fn thousands_start_when_they_are_due() {
    const CROWD: u32 = 4_000;
    let clock = ManualClock::new();
    let hub: Reveille<u32> = Builder::new()
        .clock(clock.clone())
        .policy(|p| p.max_active = NonZeroUsize::MAX)
        .build()
        .unwrap();
    hub.install(|_: &Run<u32>| Outcome::ran()).unwrap().keep();
    let mut engine = hub.engine().unwrap();
    let targets: Vec<_> = (0..CROWD).map(|key| hub.target(key).unwrap()).collect();
    engine.observe(Tick::NOW);
    clock.advance(ms(1_000)); // past the window of the install
    let turn = |engine: &mut Engine<u32>| {
        while {
            engine.turn(clock.now());
            engine.deadline() == Tick::NOW
        } {}
    };
    let mut rng = fastrand::Rng::with_seed(11);
    let mut dues: BTreeSet<(Tick, u32)> = BTreeSet::new();
    let mut due_of = vec![Tick::NEVER; CROWD as usize];
    let mut runs = 0;
    for step in 0..40_000_u32 {
        // Crowds, then hardly any, by turns: now and then none waits at all.
        let spread = if step / 5_000 % 2 == 0 { 100_000 } else { 100 };
        for _ in 0..rng.u32(0..4) {
            let key = rng.u32(0..CROWD);
            let due = clock.now() + Duration::from_micros(rng.u64(1..spread));
            targets[key as usize].wake(Wake::at(due));
            let known = &mut due_of[key as usize];
            if due < *known {
                dues.remove(&(*known, key));
                dues.insert((due, key));
                *known = due;
            }
        }
        turn(&mut engine);
        let next = dues.first().map_or(Tick::NEVER, |&(due, _)| due);
        assert_eq!(engine.deadline(), next, "step {step}");
        let until = clock.now() + Duration::from_micros(rng.u64(0..60));
        clock.advance_to(next.min(until));
        turn(&mut engine);
        while let Some(run) = engine.next_run() {
            assert_eq!(dues.pop_first(), Some((run.started(), *run.key())), "step {step}");
            due_of[*run.key() as usize] = Tick::NEVER;
            runs += 1;
            engine.execute(run);
        }
    }
    assert!(runs > 20_000 && hub.counters().is_conserved(), "{runs}: {:?}", hub.counters());
}

/// P6, P9, P12: what an engine executes itself is collected when it returns, as of then, without a turn; what the
/// handler asked for meanwhile is served, and whoever is told of a run is told of this one.
#[test]
fn an_engine_executes_runs_itself() {
    let clock = ManualClock::new();
    let hub: Reveille<&'static str> =
        Builder::new().clock(clock.clone()).policy(|p| p.retry_after = ms(5)).build().unwrap();
    let time = clock.clone();
    let handler = move |run: &Run<&'static str>| {
        time.advance(ms(10));
        match *run.key() {
            "busy" if run.attempt() == 1 => Outcome::busy(),
            "again" if run.started() < Tick::NOW + ms(50) => {
                run.hub().wake("again", Wake::now());
                Outcome::ran()
            }
            "panics" => std::panic::resume_unwind(Box::new("as told")),
            _ => Outcome::ran(),
        }
    };
    hub.install(handler).unwrap().keep();
    let mut engine = hub.engine().unwrap();
    engine.turn(Tick::NOW);
    hub.wake("busy", Wake::now());
    let ticket = hub.wake_awaited("again", Wake::now()).unwrap();
    engine.turn(Tick::NOW);
    let turns = hub.counters().turns;
    let execute = |engine: &mut Engine<&'static str>| {
        let run = engine.next_run()?;
        let (key, started) = (*run.key(), run.started().as_micros() / 1_000);
        engine.execute(run);
        Some((key, started))
    };
    assert_eq!(execute(&mut engine), Some(("busy", 0)));
    assert_eq!(engine.active(), 0, "collected");
    assert_eq!(execute(&mut engine), Some(("again", 10)));
    assert_eq!(ticket.answer(), Some(Ok(reveille::Done::Ran)));
    // The floor of the one has passed, and the other was woken during its run.
    assert_eq!(execute(&mut engine), Some(("busy", 20)), "as of its floor: 15");
    assert_eq!(execute(&mut engine), Some(("again", 30)), "as of its ending: 20");
    assert_eq!(execute(&mut engine), Some(("again", 40)));
    assert_eq!(execute(&mut engine), Some(("again", 50)));
    assert_eq!(execute(&mut engine), None);
    assert_eq!(hub.counters().turns, turns);
    hub.wake("panics", Wake::now());
    engine.turn(clock.now());
    assert_eq!(execute(&mut engine), Some(("panics", 60)));
    assert_eq!((hub.counters().panics, engine.active()), (1, 0));
    assert!(hub.counters().is_conserved(), "{:?}", hub.counters());
    // Of another hub's run its own driver is told.
    let other: Reveille<&'static str> = Builder::new().clock(clock.clone()).build().unwrap();
    other.install(|_| ()).unwrap().keep();
    let mut others = other.engine().unwrap();
    other.wake("other", Wake::now());
    others.turn(clock.now());
    engine.execute(others.next_run().unwrap());
    assert_eq!((others.arm(), others.active()), (Tick::NOW, 1));
    others.turn(clock.now());
    assert_eq!(others.active(), 0);
    // The other way, the driver is told.
    hub.wake("plain", Wake::now());
    engine.turn(clock.now());
    engine.next_run().unwrap().execute();
    assert_eq!(engine.arm(), Tick::NOW);
    // A stop while it is executed: nothing starts, and all is collected.
    engine.turn(clock.now());
    hub.wake("stopped", Wake::now());
    engine.turn(clock.now());
    let run = engine.next_run().unwrap();
    hub.stop();
    engine.execute(run);
    engine.turn(clock.now());
    assert!(engine.is_finished() && hub.counters().is_conserved());
}

/// P5, P8, P9: with leeway what is due in one window starts with the window, early and never late, and no sooner than
/// its floor; cadences keep their grid, and all of their beats.
#[test]
fn leeway_starts_early_and_never_late() {
    let clock = ManualClock::new();
    let hub: Reveille<&'static str> = Builder::new()
        .clock(clock.clone())
        .policy(|p| {
            (p.leeway, p.coalesce, p.retry_after) = (ms(10), ms(13), ms(7));
        })
        .build()
        .unwrap();
    let handler = |run: &Run<&'static str>| match *run.key() {
        "busy" if run.attempt() == 1 => Outcome::busy(),
        "defers" if run.attempt() == 1 => Outcome::defer(ms(7)),
        _ => Outcome::ran(),
    };
    let first = hub.install(handler).unwrap();
    let mut engine = hub.engine().unwrap();
    let starts_until = |engine: &mut Engine<&'static str>, until: u64| {
        let mut starts = Vec::new();
        loop {
            engine.turn(clock.now());
            while let Some(run) = engine.next_run() {
                let beat = run.beat().map_or(0, |beat| beat.as_micros() / 1_000);
                starts.push((run.started().as_micros() / 1_000, *run.key(), beat, run.missed()));
                engine.execute(run);
            }
            let next = engine.deadline().max(clock.now());
            if next >= Tick::NOW + ms(until) {
                clock.advance_to(Tick::NOW + ms(until));
                return starts;
            }
            clock.advance_to(next);
        }
    };
    hub.wake("on", Wake::within(ms(20)));
    hub.wake("in", Wake::within(ms(25)));
    hub.wake("end", Wake::within(ms(29)));
    hub.wake("next", Wake::within(ms(30)));
    hub.wake("soon", Wake::within(ms(9)));
    hub.wake("never", Wake::within(Duration::MAX));
    let windows = [(4, "soon"), (20, "on"), (20, "in"), (20, "end"), (30, "next")];
    assert_eq!(starts_until(&mut engine, 100), windows.map(|(at, key)| (at, key, 0, 0)));
    // Floors and deferrals are kept to the instant.
    hub.wake("busy", Wake::within(ms(4)));
    hub.wake("defers", Wake::within(ms(4)));
    hub.wake("past", Wake::at(Tick::from_micros(1)));
    let kept = [(100, "past"), (102, "busy"), (102, "defers"), (109, "busy"), (109, "defers")];
    assert_eq!(starts_until(&mut engine, 200), kept.map(|(at, key)| (at, key, 0, 0)));
    // A cadence beats at its instants, each told as what it is; a short one no earlier than half a period.
    let target = hub.target("beats").unwrap();
    target.beat(Cadence::every(ms(25)).unwrap()).unwrap();
    let beats = [(220, 225), (250, 250), (270, 275)].map(|(at, beat)| (at, "beats", beat, 0));
    assert_eq!(starts_until(&mut engine, 300), beats);
    target.stop_beating();
    let short = hub.target("short").unwrap();
    short.beat(Cadence::every(ms(6)).unwrap().with_phase(ms(5))).unwrap();
    let beats = [(302, 305), (310, 311), (314, 317)].map(|(at, beat)| (at, "short", beat, 0));
    assert_eq!(starts_until(&mut engine, 320), beats);
    short.stop_beating();
    starts_until(&mut engine, 400);
    // The window after an install is kept to the instant too.
    hub.wake("moved", Wake::within(ms(5)));
    hub.wake("later", Wake::within(ms(18)));
    engine.turn(clock.now());
    clock.advance(ms(1));
    hub.install(|_| ()).unwrap().keep();
    drop(first);
    let moved = [(414, "moved"), (414, "later")].map(|(at, key)| (at, key, 0, 0));
    assert_eq!(starts_until(&mut engine, 500), moved);
    // Behind a run as well, and there it may be early too.
    hub.wake("runs", Wake::now());
    engine.turn(clock.now());
    let run = engine.next_run().unwrap();
    hub.wake("runs", Wake::within(ms(18)));
    run.execute();
    assert_eq!(starts_until(&mut engine, 600), [(510, "runs", 0, 0)]);
    hub.wake("runs", Wake::now());
    engine.turn(clock.now());
    let run = engine.next_run().unwrap();
    hub.wake("runs", Wake::within(ms(18)));
    engine.turn(clock.now());
    clock.advance(ms(1));
    hub.install(|_| ()).unwrap().keep();
    engine.turn(clock.now());
    run.execute();
    assert_eq!(starts_until(&mut engine, 700), [(614, "runs", 0, 0)]);
    assert!(hub.counters().is_conserved());
}
