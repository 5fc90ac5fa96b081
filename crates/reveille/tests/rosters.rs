//! Random rosters, reloads, zones and suspends against an obvious twin, which looks at each minute.
#![cfg(feature = "calendar")]

use jiff::Timestamp;
use proptest::prelude::*;
use reveille::{Builder, Cadence, Engine, Hours, ManualClock, Reveille, Roster, Runner, Tick};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

const MINUTE: u64 = 60_000_000;
/// How long a schedule is.
const MINUTES: u64 = 4 * 24 * 60;
const ZONES: [&str; 4] = ["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"];
/// Days around which the offsets of these zones change, and one on which none does.
const STARTS: [&str; 4] = [
    "2025-03-28T21:30:00Z",
    "2025-10-24T03:00:00Z",
    "2025-04-04T00:00:00Z",
    "2025-07-01T12:00:00Z",
];

/// What a roster says of one target.
#[derive(Clone, Debug, PartialEq)]
struct Spec {
    period: u64,
    phase: u64,
    hours: Option<(usize, &'static str, &'static str)>,
}

#[derive(Clone, Debug)]
enum Step {
    /// A new runner, or an update of the one that is there.
    Reload {
        roster: BTreeMap<usize, Spec>,
        anew: bool,
    },
    /// The oldest runner that is left, but for the last one, stops.
    StopOld,
    Suspend {
        minutes: u64,
    },
}

fn spec() -> impl Strategy<Value = Spec> {
    let window = prop_oneof![
        Just(("08:00", "23:00")),
        Just(("22:00", "03:00")),
        Just(("02:00", "03:00")),
        Just(("12:00", "24:00")),
    ];
    let hours = proptest::option::of((0..ZONES.len(), window));
    (prop_oneof![1..90_u64, Just(1440), 90..2000_u64], 0..3000_u64, hours).prop_map(
        |(period, phase, hours)| Spec {
            period,
            phase: phase % period,
            hours: hours.map(|(zone, (from, to))| (zone, from, to)),
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let roster = proptest::collection::btree_map(0..3_usize, spec(), 0..=3);
    prop_oneof![
        4 => (roster, any::<bool>()).prop_map(|(roster, anew)| Step::Reload { roster, anew }),
        1 => Just(Step::StopOld),
        2 => (1..1500_u64).prop_map(|minutes| Step::Suspend { minutes }),
    ]
}

fn cadence(spec: &Spec) -> Cadence {
    let every =
        Cadence::every(Duration::from_micros(spec.period * MINUTE)).expect("as it is made here");
    let cadence = every.with_phase(Duration::from_micros(spec.phase * MINUTE));
    match spec.hours {
        None => cadence,
        Some((zone, from, to)) => {
            cadence.during(Hours::daily(from, to, ZONES[zone]).expect("as it is made here"))
        }
    }
}

fn is_open(spec: &Spec, start: Timestamp, minute: u64) -> bool {
    let Some((zone, from, to)) = spec.hours else { return true };
    let at =
        start + jiff::SignedDuration::from_mins(i64::try_from(minute).expect("as it is made here"));
    let civil = at.in_tz(ZONES[zone]).expect("as it is made here");
    let now = format!("{:02}:{:02}", civil.hour(), civil.minute());
    if from < to {
        from <= now.as_str() && now.as_str() < to
    } else {
        now.as_str() >= from || now.as_str() < to
    }
}

/// A run: of whom, at which minute, for how many beats.
type Ran = (usize, u64, u64);

/// By looking at each minute. Steps come half a minute before a minute, so that none meets a beat.
fn by_the_minute(start: Timestamp, steps: &[(u64, Step)]) -> Vec<Ran> {
    let (mut now, mut runs) = (0, Vec::new());
    let mut roster: BTreeMap<usize, Spec> = BTreeMap::new();
    let beats = |roster: &BTreeMap<usize, Spec>, minute: u64| {
        let due = |spec: &Spec| minute % spec.period == spec.phase && is_open(spec, start, minute);
        roster.iter().filter(|(_, spec)| due(spec)).map(|(key, _)| *key).collect::<Vec<_>>()
    };
    let ends = steps.iter().map(|(at, step)| (*at, Some(step))).chain([(MINUTES, None)]);
    for (at, step) in ends {
        while now + 1 < at {
            now += 1;
            runs.extend(beats(&roster, now).into_iter().map(|key| (key, now, 1)));
        }
        match step {
            None | Some(Step::StopOld) => {}
            Some(Step::Reload { roster: new, .. }) => roster = new.clone(),
            Some(Step::Suspend { minutes }) => {
                let mut missed = BTreeMap::new();
                for minute in now + 1..=now + minutes {
                    for key in beats(&roster, minute) {
                        *missed.entry(key).or_insert(0) += 1;
                    }
                }
                now += minutes;
                runs.extend(missed.into_iter().map(|(key, count)| (key, now, count)));
            }
        }
    }
    runs
}

struct Service {
    clock: ManualClock,
    hub: Reveille<usize>,
    engine: Engine<usize>,
    runners: Vec<Runner<usize>>,
    runs: Vec<Ran>,
}

impl Service {
    fn new(start: Timestamp) -> Self {
        let clock = ManualClock::new();
        let micros = u64::try_from(start.as_microsecond()).expect("as it is made here");
        clock.set_wall(SystemTime::UNIX_EPOCH + Duration::from_micros(micros));
        let hub: Reveille<usize> =
            Builder::new().clock(clock.clone()).build().expect("as it is made here");
        let engine = hub.engine().expect("as it is made here");
        Self { clock, hub, engine, runners: Vec::new(), runs: Vec::new() }
    }

    fn up_to(&mut self, end: Tick) {
        loop {
            self.engine.turn(self.hub.now());
            while let Some(run) = self.engine.next_run() {
                let at = run.started().as_micros() / MINUTE;
                self.runs.push((*run.key(), at, run.missed() + 1));
                run.execute();
            }
            let next = self.engine.arm();
            self.clock.advance_to(next.min(end));
            if next > end {
                return;
            }
        }
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Reload { roster, anew } => {
                let roster: Roster<usize> =
                    roster.iter().map(|(key, spec)| (*key, cadence(spec))).collect();
                match self.runners.last() {
                    Some(last) if !anew => drop(last.update(roster).expect("as it is made here")),
                    _ => {
                        let new = self.hub.runner(|_| (), roster).expect("as it is made here");
                        self.runners.push(new);
                    }
                }
                // What the older runners named alone goes with them.
                let last = self.runners.len().saturating_sub(1);
                drop(self.runners.drain(..last.saturating_sub(1)));
                if last > 0 {
                    self.runners[0].update(Roster::new()).expect("as it is made here");
                }
            }
            Step::StopOld => {
                if self.runners.len() > 1 {
                    self.runners.remove(0).stop();
                }
            }
            Step::Suspend { minutes } => {
                self.clock.advance(Duration::from_micros(minutes * MINUTE));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// P8, P14, P17: whatever is reloaded, in whatever zone, however the machine sleeps: each target
    /// beats at the minutes at which it should, no more and no less.
    #[test]
    fn rosters_beat_as_by_the_minute(
        start in 0..STARTS.len(),
        mut gaps in proptest::collection::vec((2..700_u64, step()), 1..12),
    ) {
        let start: Timestamp = STARTS[start].parse().unwrap();
        let mut at = 0;
        let mut steps = Vec::new();
        for (gap, step) in gaps.drain(..) {
            at += gap;
            if at + 2 >= MINUTES {
                break;
            }
            steps.push((at, step.clone()));
            if let Step::Suspend { minutes } = step {
                at += minutes;
            }
        }
        let expected = by_the_minute(start, &steps);
        let mut service = Service::new(start);
        for (at, step) in &steps {
            service.up_to(Tick::from_micros(at * MINUTE - MINUTE / 2));
            service.apply(step);
        }
        service.up_to(Tick::from_micros(MINUTES * MINUTE - MINUTE / 2));
        let mut runs = service.runs.clone();
        runs.sort_by_key(|&(key, at, _)| (at, key));
        let mut expected = expected;
        expected.sort_by_key(|&(key, at, _)| (at, key));
        let differs = runs.iter().zip(&expected).find(|(run, expected)| run != expected);
        prop_assert!(differs.is_none(), "ran and expected: {:?}", differs);
        prop_assert_eq!(runs.len(), expected.len());
        prop_assert!(service.hub.counters().is_conserved());
    }
}
