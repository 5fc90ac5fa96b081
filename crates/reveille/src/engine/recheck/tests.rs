//! Things that a correct core never does, done by hand: each is found on the second re-check, counted
//! once, and served; and what is made up for in between is not.

use super::*;
use crate::{Builder, Cadence, Clock, ManualClock, Policy, Reveille, Roster, Run, Target, Wake};
use std::time::Duration;

const PERIOD: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_secs(86_400);

struct Bench {
    clock: ManualClock,
    hub: Reveille<u8>,
    engine: Engine<u8>,
    target: Target<u8>,
}

impl Bench {
    fn new() -> Self {
        let clock = ManualClock::new();
        clock.advance(PERIOD);
        let policy = |policy: &mut Policy| policy.coalesce = Duration::ZERO;
        let hub: Reveille<u8> =
            Builder::new().clock(clock.clone()).policy(policy).build().expect("the policy holds");
        hub.install(|_| ()).expect("it has not stopped").keep();
        let engine = hub.engine().expect("nobody drives it");
        let target = hub.target(1).expect("it has not stopped");
        let mut bench = Self { clock, hub, engine, target };
        bench.pass(PERIOD / 10); // the first turn; what follows is off the instants of the re-check
        bench
    }

    /// The target is to beat once a day.
    fn beat_daily(&self) {
        let daily = Cadence::every(DAY).expect("not zero");
        self.target.beat(daily).expect("it has not stopped");
    }

    /// Time passes; what starts, ends at once.
    fn pass(&mut self, time: Duration) -> usize {
        let runs = self.starts_after(time);
        let started = runs.len();
        runs.into_iter().for_each(Run::execute);
        started
    }

    fn starts_after(&mut self, time: Duration) -> Vec<Run<u8>> {
        self.clock.advance(time);
        self.engine.turn(self.clock.now());
        std::iter::from_fn(|| self.engine.next_run()).collect()
    }

    /// All ready bits are lost.
    fn lose_news(&self) {
        self.engine.shared.ready.drain(&mut Vec::new());
    }

    fn found(&self) -> u64 {
        self.hub.counters().found_by_recheck
    }

    /// What was lost before is found on the second re-check from here, and not before; what it
    /// makes start is returned.
    fn is_found(&mut self) -> usize {
        assert_eq!((self.pass(PERIOD), self.found()), (0, 0), "once is no proof");
        let started = self.pass(PERIOD);
        assert_eq!(self.found(), 1);
        assert_eq!(self.pass(3 * PERIOD), 0, "it is served");
        assert_eq!(self.found(), 1, "and found once");
        assert!(self.hub.counters().is_conserved());
        started
    }
}

/// P3: a wake whose ready bit is lost.
#[test]
fn lost_news() {
    let mut bench = Bench::new();
    bench.target.wake(Wake::now());
    bench.lose_news();
    assert_eq!(bench.is_found(), 1);
}

/// P3: the same for a target that nobody has looked at before.
#[test]
fn lost_news_of_a_new_target() {
    let mut bench = Bench::new();
    let new = bench.hub.target(2).expect("it has not stopped");
    bench.pass(Duration::from_secs(1));
    new.wake(Wake::now());
    bench.lose_news();
    assert_eq!(bench.is_found(), 1);
}

/// P3, P7: the same where all that it has to say is that it was removed, or that a wake was discarded.
#[test]
fn a_lost_end_of_a_new_target() {
    for removed in [true, false] {
        let mut bench = Bench::new();
        let new = bench.hub.target(2).expect("it has not stopped");
        bench.pass(Duration::from_secs(1));
        if removed {
            new.remove();
        } else {
            new.wake(Wake::now());
            new.cancel();
        }
        bench.lose_news();
        assert_eq!(bench.is_found(), 0, "removed: {removed}");
    }
}

/// P3: a wake that the store of starts has lost.
#[test]
fn a_lost_start() {
    let mut bench = Bench::new();
    bench.target.wake(Wake::within(Duration::from_secs(5)));
    bench.pass(Duration::from_millis(1));
    bench.engine.state.starts.clear();
    assert_eq!(bench.is_found(), 1);
}

/// P8: a cadence that the store of beats has lost.
#[test]
fn a_lost_beat() {
    let mut bench = Bench::new();
    bench.beat_daily();
    bench.pass(Duration::from_millis(1));
    bench.engine.state.beats.clear();
    assert_eq!(bench.is_found(), 0);
    assert_eq!(bench.pass(DAY), 1, "it beats again");
}

/// P8, P11: a target that is found though its cadence is armed goes on beating once a day.
#[test]
fn a_found_cadence_beats_once() {
    let mut bench = Bench::new();
    bench.beat_daily();
    bench.pass(Duration::from_millis(1));
    let armed = bench.engine.deadline();
    bench.target.wake(Wake::now());
    bench.lose_news();
    assert_eq!(bench.is_found(), 1);
    assert_eq!(bench.engine.deadline(), armed);
    for _ in 0..3 {
        assert_eq!(bench.pass(DAY), 1, "it beats");
        bench.pass(Duration::ZERO);
        assert!(bench.engine.deadline() > bench.clock.now());
    }
    assert_eq!(bench.hub.counters().beats, 3);
}

/// P8: a cadence of which the driver has not heard.
#[test]
fn a_lost_setting() {
    let mut bench = Bench::new();
    bench.beat_daily();
    bench.lose_news();
    // A target without detail: its setting alone says that there is something to do.
    assert_eq!(bench.is_found(), 0);
    assert_eq!(bench.pass(DAY), 1, "it beats");
}

/// P6, P8: an ending that nobody collects keeps its target taken.
#[test]
fn a_lost_ending() {
    let mut bench = Bench::new();
    bench.target.wake(Wake::now());
    let runs = bench.starts_after(Duration::from_millis(1));
    bench.target.wake(Wake::now()); // behind the run
    runs.into_iter().for_each(Run::execute);
    bench.lose_news();
    assert_eq!(bench.is_found(), 1);
}

/// A removal that is lost keeps the index.
#[test]
fn a_lost_removal() {
    let mut bench = Bench::new();
    bench.target.wake(Wake::within(Duration::from_secs(86_400)));
    bench.pass(Duration::from_millis(1));
    bench.target.remove();
    bench.lose_news();
    assert_eq!(bench.is_found(), 0);
}

/// A request that stood between its word and its bit at the re-check, and went on, is none; nor is
/// one of which that holds twice, if it was looked at in between.
#[test]
fn what_only_lags_is_not_counted() {
    let mut bench = Bench::new();
    for _ in 0..5 {
        bench.target.wake(Wake::now());
        bench.lose_news();
        assert_eq!(bench.pass(PERIOD), 0);
        bench.engine.shared.publish(bench.target_index(), Tick::NOW); // it goes on
        assert_eq!(bench.pass(Duration::from_millis(1)), 1);
        bench.pass(Duration::from_millis(1));
        // Each time a re-check of its own, as the one above was.
        bench.clock.advance(PERIOD - Duration::from_millis(2));
    }
    assert_eq!(bench.found(), 0);
    assert!(bench.hub.counters().rechecks >= 5);
}

/// The same for an ending that was not told yet, and then, when that was heard of, for a wake.
#[test]
fn an_ending_that_only_lags_is_not_counted() {
    let mut bench = Bench::new();
    bench.target.wake(Wake::now());
    bench.starts_after(Duration::from_millis(1)).into_iter().for_each(Run::execute);
    bench.lose_news();
    bench.pass(PERIOD);
    assert_eq!((bench.engine.active(), bench.found()), (1, 0), "it lags");
    bench.engine.shared.publish(bench.target_index(), Tick::NOW); // it goes on
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.engine.active(), 0);
    bench.target.wake(Wake::now());
    bench.lose_news();
    bench.pass(PERIOD);
    assert_eq!((bench.hub.counters().rechecks, bench.found()), (2, 0));
}

/// A busy, healthy hub: wakes far off, held back, behind runs, blocked by a removed target; nothing of
/// that is lost.
#[test]
fn nothing_is_found_where_nothing_is_lost() {
    let mut bench = Bench::new();
    let far = bench.hub.target(2).expect("it has not stopped");
    far.wake(Wake::within(Duration::MAX));
    bench.hub.wake(3, Wake::within(Duration::from_secs(86_400)));
    bench.hub.wake(4, Wake::now());
    let held = bench.starts_after(Duration::from_millis(1));
    bench.hub.wake(4, Wake::now()); // behind its run
    bench.hub.find(&4).expect("it is there").remove();
    bench.hub.wake(4, Wake::now()); // blocked by that run
    let period = Cadence::every(Duration::from_secs(7)).expect("not zero");
    bench.target.beat(period).expect("it has not stopped");
    for _ in 0..50 {
        bench.pass(Duration::from_secs(3));
    }
    held.into_iter().for_each(Run::execute);
    for _ in 0..50 {
        bench.pass(Duration::from_secs(3));
    }
    // Runners that overlap: a claim of what is in force changes the owner, and tells nobody.
    let daily = Cadence::every(Duration::from_secs(86_400)).expect("not zero");
    let roster = Roster::new().with(1, daily.clone()).with(5, daily);
    let old = bench.hub.runner(|_| (), roster.clone()).expect("it has not stopped");
    bench.pass(Duration::from_secs(1));
    let new = bench.hub.runner(|_| (), roster).expect("it has not stopped");
    bench.lose_news(); // there is none
    for _ in 0..5 {
        bench.pass(PERIOD);
    }
    drop((old, new));
    bench.pass(PERIOD);
    bench.hub.stop();
    bench.pass(3 * PERIOD);
    bench.pass(3 * PERIOD);
    assert_eq!(bench.found(), 0);
    assert!(bench.hub.counters().rechecks > 20);
}

/// P5, P11: a crowd is looked over in slices, two milliseconds apart, each time from the first to the last: a target
/// at the end is found on the second look as well, and not before.
#[test]
fn a_crowd_is_looked_over_in_slices() {
    let clock = ManualClock::new();
    let hub: Reveille<u32> = Builder::new().clock(clock.clone()).build().expect("the policy holds");
    hub.install(|_| ()).expect("it has not stopped").keep();
    let mut engine = hub.engine().expect("nobody drives it");
    let last = 2 * SLICE as u32 + 7;
    (0..=last).for_each(|key| drop(hub.target(key).expect("there is room")));
    engine.observe(clock.now());
    engine.turn(clock.now());
    hub.wake(last, Wake::now());
    engine.shared.ready.drain(&mut Vec::new()); // it is lost
    engine.shared.deadline.take();
    let look = |engine: &mut Engine<u32>| {
        clock.advance(PERIOD);
        for slices in 1.. {
            engine.turn(clock.now());
            match engine.deadline() {
                next if next == clock.now() + PAUSE => clock.advance(PAUSE),
                _ => return (slices, hub.counters().found_by_recheck, hub.counters().rechecks),
            }
        }
        unreachable!()
    };
    assert_eq!(look(&mut engine), (3, 0, 1), "once is no proof");
    assert_eq!(look(&mut engine), (3, 1, 2));
    engine.next_run().expect("it is served").execute();
    assert_eq!(look(&mut engine), (3, 1, 3), "and found once");
    // A period from its end: the last slice is not looked over again at once.
    clock.advance(PERIOD - PAUSE);
    engine.turn(clock.now());
    assert_eq!(engine.deadline(), Tick::NEVER);
    // What waits to be looked at is not lost, however long that takes.
    clock.advance(PERIOD);
    (0..=last).for_each(|key| _ = hub.wake(key, Wake::within(Duration::MAX)));
    while {
        engine.turn(clock.now());
        engine.deadline() == Tick::NOW
    } {
        clock.advance(PERIOD);
    }
    assert_eq!(hub.counters().found_by_recheck, 1);
    while engine.deadline() != Tick::NEVER {
        clock.advance_to(engine.deadline());
        engine.turn(clock.now());
    }
    clock.advance(PERIOD - PAUSE);
    engine.turn(clock.now());
    // A stop in the middle leaves nothing to go on with.
    clock.advance(PAUSE);
    engine.turn(clock.now());
    assert_eq!(engine.deadline(), clock.now() + PAUSE);
    hub.stop();
    engine.turn(clock.now());
    assert_eq!(engine.deadline(), Tick::NEVER);
}

impl Bench {
    fn target_index(&self) -> u32 {
        let records = self.engine.state.records.iter().flatten();
        let ours = records.filter(|record| record.node.key == 1);
        ours.map(|record| record.node.index).next().expect("it is there")
    }
}
