//! Runners on virtual time: two of them overlap, and neither takes what is the other's.

use reveille::{
    Builder, Cadence, Disposal, Engine, ManualClock, Policy, Refusal, Reveille, Roster, Tick, Wake,
};
use std::num::NonZeroU32;
use std::time::Duration;

type Hub = Reveille<&'static str>;

struct Stand {
    clock: ManualClock,
    hub: Hub,
    engine: Engine<&'static str>,
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn every(n: u64) -> Cadence {
    Cadence::every(ms(n)).expect("a period")
}

fn roster(entries: &[(&'static str, u64)]) -> Roster<&'static str> {
    entries.iter().map(|&(key, period)| (key, every(period))).collect()
}

impl Stand {
    fn new(change: impl FnOnce(&mut Policy)) -> Self {
        let clock = ManualClock::new();
        let hub: Hub = Builder::new()
            .policy(change)
            .clock(clock.clone())
            .build()
            .expect("a policy that holds");
        let engine = hub.engine().expect("it has no driver");
        Self { clock, hub, engine }
    }

    /// All runs up to `n`, each at its instant: who, when, and under which generation.
    fn up_to(&mut self, n: u64) -> Vec<(&'static str, u64, u64)> {
        let (mut runs, end) = (Vec::new(), Tick::NOW + ms(n));
        loop {
            self.engine.turn(self.hub.now());
            while let Some(run) = self.engine.next_run() {
                let at = run.started().as_micros() / 1_000;
                runs.push((*run.key(), at, run.generation().get()));
                run.execute();
            }
            let next = self.engine.arm();
            if next > end {
                self.clock.advance_to(end);
                return runs;
            }
            self.clock.advance_to(next);
        }
    }
}

/// P1, P17: a reload with two overlapping runners. The stale stop clears neither the handler nor a
/// cadence that the newer runner claims, and no instant moves.
#[test]
fn two_runners_overlap() {
    let mut stand = Stand::new(|_| {});
    let old = stand.hub.runner(|_| (), roster(&[("a", 1_000), ("b", 1_000)])).unwrap();
    assert_eq!(stand.up_to(1_500), [("a", 1_000, 1), ("b", 1_000, 1)]);
    let new = stand.hub.runner(|_| (), roster(&[("a", 1_000), ("c", 1_000)])).unwrap();
    stand.up_to(1_600);
    let stopped = old.stop();
    assert_eq!(stopped.disposal, Disposal::Superseded);
    assert_eq!((stopped.taken_back, stopped.stale), (1, 1));
    assert_eq!(stand.hub.counters().stale_claims, 1);
    // "a" keeps its grid, "b" is gone, "c" counts from when it was set.
    let expected = [("a", 2_000, 2), ("c", 2_500, 2), ("a", 3_000, 2), ("c", 3_500, 2)];
    assert_eq!(stand.up_to(3_600), expected);
    assert!(new.is_current());
    drop(old); // once more, and nothing
    assert_eq!(stand.up_to(4_000), [("a", 4_000, 2)]);
    drop(new);
    assert_eq!(stand.up_to(9_000), []);
    assert!(stand.hub.counters().is_conserved());
}

/// P17: an update changes what has changed, and nothing else.
#[test]
fn an_update_diffs() {
    let mut stand = Stand::new(|_| {});
    let runner =
        stand.hub.runner(|_| (), roster(&[("same", 100), ("gone", 100), ("slow", 100)])).unwrap();
    assert_eq!(stand.up_to(150).len(), 3);
    let updated = runner.update(roster(&[("same", 100), ("slow", 300), ("new", 100)])).unwrap();
    assert_eq!((updated.set, updated.unchanged), (2, 1));
    assert_eq!((updated.taken_back, updated.stale), (1, 0));
    // A changed period counts from the last beat.
    let expected = [("same", 200, 1), ("new", 250, 1), ("same", 300, 1), ("new", 350, 1)];
    assert_eq!(stand.up_to(399), expected);
    // In the order of their creation.
    assert_eq!(stand.up_to(400), [("same", 400, 1), ("slow", 400, 1)]);
}

/// P1: an update of an older runner is a counted no-op where a newer one has claimed.
#[test]
fn a_stale_update_changes_nothing() {
    let mut stand = Stand::new(|_| {});
    let old = stand.hub.runner(|_| (), roster(&[("a", 100)])).unwrap();
    let new = stand.hub.runner(|_| (), roster(&[("a", 100)])).unwrap();
    let updated = old.update(roster(&[("a", 7)])).unwrap();
    assert_eq!((updated.set, updated.stale), (0, 1));
    assert_eq!(stand.up_to(100), [("a", 100, 2)]);
    // Set by hand it is nobody's, and no runner takes it back.
    stand.hub.target("a").unwrap().beat(every(50)).unwrap();
    assert_eq!(stand.hub.target("a").unwrap().snapshot().owner, None);
    assert_eq!(new.stop().stale, 1);
    assert_eq!(stand.hub.snapshot().targets[0].next_beat, Some(Tick::from_micros(200_000)));
    stand.engine.turn(stand.hub.now());
    assert_eq!(stand.hub.snapshot().targets[0].next_beat, Some(Tick::from_micros(150_000)));
}

/// What cannot be set is handed back, and nothing is changed.
#[test]
fn what_is_refused_is_handed_back() {
    let stand = Stand::new(|policy| policy.max_targets = NonZeroU32::MIN);
    let rejected = stand.hub.runner(|_| (), roster(&[("a", 1), ("b", 1)])).unwrap_err();
    assert_eq!(rejected.refusal, Refusal::TooManyTargets);
    assert_eq!(rejected.value.1.len(), 2);
    assert_eq!(stand.hub.handler(), None);
    let runner = stand.hub.runner(|_| (), roster(&[("a", 1)])).unwrap();
    let rejected = runner.update(roster(&[("a", 2), ("b", 2)])).unwrap_err();
    assert_eq!(rejected.refusal, Refusal::TooManyTargets);
    assert_eq!(rejected.value.get(&"b"), Some(&every(2)));
    runner.stop();
    let rejected = runner.update(roster(&[])).unwrap_err();
    assert_eq!(rejected.refusal, Refusal::RunnerStopped);
    stand.hub.stop();
    let rejected = stand.hub.runner(|_| (), roster(&[("a", 1)])).unwrap_err();
    assert_eq!(rejected.refusal, Refusal::Stopped);
    assert!(stand.hub.counters().is_conserved());
}

/// P3, P6: runs in flight and wakes that wait outlive an update and a stop.
#[test]
fn what_runs_or_waits_is_not_touched() {
    let mut stand = Stand::new(|_| {});
    let runner = stand.hub.runner(|_| (), roster(&[("a", 100), ("b", 100)])).unwrap();
    stand.clock.advance(ms(100));
    stand.engine.turn(stand.hub.now());
    let run = stand.engine.next_run().unwrap();
    let _ = stand.hub.wake("a", Wake::now());
    runner.update(roster(&[])).unwrap();
    stand.engine.turn(stand.hub.now());
    let waiting = stand.engine.next_run().expect("the beat of `b` waits still");
    assert_eq!((run.key(), waiting.key()), (&"a", &"b"));
    drop(runner);
    stand.engine.turn(stand.hub.now());
    assert_eq!(stand.engine.active(), 2);
    run.finish(reveille::Outcome::ran());
    waiting.finish(reveille::Outcome::ran());
    stand.engine.turn(stand.hub.now());
    assert_eq!(stand.hub.counters().pending, 1, "the wake waits for a handler");
    assert!(stand.hub.counters().is_conserved());
}

/// P17: phases that are anchored or spread are the same after a restart.
#[test]
fn a_restart_keeps_anchored_and_spread_phases() {
    let instants = |wall_minutes: u64, cadence: Cadence| {
        let mut stand = Stand::new(|_| {});
        let wall = std::time::UNIX_EPOCH + ms(wall_minutes * 60_000);
        stand.clock.set_wall(wall);
        let roster = ["a", "b", "c"].into_iter().map(|key| (key, cadence.clone())).collect();
        let _runner = stand.hub.runner(|_| (), roster).unwrap();
        let mut runs = stand.up_to(3_600_000);
        for run in &mut runs {
            run.1 = (wall_minutes * 60_000 + run.1) % 3_600_000;
        }
        runs.sort_unstable();
        runs.into_iter().map(|(key, at, _)| (key, at)).collect::<Vec<_>>()
    };
    let hourly = every(3_600_000);
    assert_eq!(instants(647, hourly.clone().anchored()), [("a", 0), ("b", 0), ("c", 0)]);
    let spread = instants(647, hourly.clone().spread().anchored());
    assert_eq!(spread, instants(673, hourly.clone().spread().anchored()));
    assert_ne!(spread[0].1, spread[1].1);
    assert_ne!(spread[1].1, spread[2].1);
}
