//! Cadences with active hours, on virtual time and a wall clock that is stepped.
#![cfg(feature = "calendar")]

use reveille::{Builder, Cadence, Engine, Hours, ManualClock, Missed, Policy, Reveille, Tick};
use std::time::{Duration, SystemTime};

const MINUTE: u64 = 60_000_000;

struct Stand {
    clock: ManualClock,
    hub: Reveille<&'static str>,
    engine: Engine<&'static str>,
}

fn minutes(n: u64) -> Duration {
    Duration::from_micros(n * MINUTE)
}

impl Stand {
    /// At so many minutes after midnight, with a cadence of so many minutes from 8 to 9 o'clock.
    fn new(at: u64, every: u64, change: impl FnOnce(&mut Policy)) -> Self {
        let clock = ManualClock::new();
        clock.set_wall(SystemTime::UNIX_EPOCH + minutes(at));
        let builder = Builder::new().policy(change).clock(clock.clone());
        let hub: Reveille<&'static str> = builder.build().expect("a policy that holds");
        hub.install(|_| ()).expect("it has not stopped").keep();
        let hours = Hours::daily("08:00", "09:00", "UTC").expect("hours");
        let cadence = Cadence::every(minutes(every)).expect("a period").during(hours);
        hub.target("main").expect("there is room").beat(cadence).expect("it has not stopped");
        let engine = hub.engine().expect("it has no driver");
        Self { clock, hub, engine }
    }

    fn up_to(&mut self, n: u64) -> Vec<(u64, u64)> {
        let (mut runs, end) = (Vec::new(), Tick::from_micros(n * MINUTE));
        loop {
            self.engine.turn(self.hub.now());
            while let Some(run) = self.engine.next_run() {
                runs.push((run.started().as_micros() / MINUTE, run.missed() + 1));
                run.execute();
            }
            let next = self.engine.arm();
            self.clock.advance_to(next.min(end));
            if next > end {
                assert!(self.hub.counters().is_conserved());
                return runs;
            }
        }
    }
}

/// P8, D-45: the next beat is sought inside the hours, whatever the period, with nothing in between.
#[test]
fn a_cadence_seeks_inside_its_hours() {
    let mut stand = Stand::new(0, 25, |_| {});
    // 8:20 and 8:45 by the grid of 25 minutes, and the next day 8:00, 8:25 and 8:50 less 20.
    assert_eq!(stand.up_to(24 * 60), [(500, 1), (525, 1)]);
    let turns = stand.hub.counters().turns;
    assert!(turns < 12, "{turns} turns for two beats");
    assert_eq!(stand.up_to(33 * 60), [(1925, 1), (1950, 1), (1975, 1)]);
}

/// P14: a step of the wall clock moves what is ahead; drift of less than a second does not.
#[test]
fn a_step_of_the_wall_clock_is_followed() {
    let mut stand = Stand::new(0, 10, |_| {});
    stand.up_to(60);
    let next = |stand: &Stand| stand.hub.snapshot().targets[0].next_beat;
    let before = next(&stand);
    assert_eq!(before, Some(Tick::from_micros(480 * MINUTE)));
    // An hour and a bit ahead: 8:00 by the new time is 6:45 by the old one.
    stand.clock.set_wall(SystemTime::UNIX_EPOCH + minutes(60 + 75));
    stand.up_to(61);
    assert_eq!(next(&stand), Some(Tick::from_micros(410 * MINUTE)));
    let now = stand.hub.now();
    let drifted = minutes(75) + Duration::from_micros(now.as_micros()) + Duration::from_millis(900);
    stand.clock.set_wall(SystemTime::UNIX_EPOCH + drifted);
    stand.up_to(62);
    assert_eq!(next(&stand), Some(Tick::from_micros(410 * MINUTE)));
    assert_eq!(stand.up_to(430), [(410, 1), (420, 1), (430, 1)]);
}

/// P12, P18: a step while beats pass breaks nothing: the beat that was armed is made.
#[test]
fn a_step_while_beats_pass_breaks_nothing() {
    for missed in [Missed::Skip, Missed::Burst, Missed::Delay] {
        let mut stand = Stand::new(480, 1, |policy| policy.missed = missed);
        assert_eq!(stand.up_to(2), [(1, 1), (2, 1)]);
        stand.clock.advance(minutes(5));
        stand.clock.set_wall(SystemTime::UNIX_EPOCH + minutes(12 * 60));
        assert!(!stand.up_to(8).is_empty(), "{missed:?}");
        assert_eq!(stand.up_to(60), [], "{missed:?}");
    }
}

/// P8, P14: a suspend over the hours is one run that stands for the beats inside them.
#[test]
fn a_suspend_misses_what_was_inside() {
    let mut stand = Stand::new(0, 10, |_| {});
    stand.up_to(1);
    stand.clock.advance(minutes(24 * 60));
    assert_eq!(stand.up_to(24 * 60 + 2), [(1441, 6)]);
}

/// P14: a step is a second or more; P8: a beat that is due in the very turn that notes one is made.
#[test]
fn a_second_is_a_step_and_a_beat_that_is_due_is_made() {
    let mut stand = Stand::new(0, 10, |_| {});
    stand.up_to(60);
    stand.clock.set_wall(SystemTime::UNIX_EPOCH + minutes(60) - Duration::from_secs(1));
    stand.up_to(61);
    let next = stand.hub.snapshot().targets[0].next_beat;
    assert_eq!(next, Some(Tick::from_micros(490 * MINUTE)), "8:00 is a second later");

    let mut stand = Stand::new(480, 10, |_| {});
    stand.up_to(1);
    stand.clock.advance_to(Tick::from_micros(10 * MINUTE));
    stand.clock.set_wall(SystemTime::UNIX_EPOCH + minutes(12 * 60));
    assert_eq!(stand.up_to(10), [(10, 1)]);
}
