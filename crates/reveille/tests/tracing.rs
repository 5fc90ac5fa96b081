//! The names of spans and events are part of the interface: each appears when what it is about happens,
//! with its fields, and all of them stand in the documentation.

#![cfg(feature = "tracing")]

use reveille::{Builder, Cadence, Clock, Engine, ManualClock, Outcome, Place, Reveille, Run, Wake};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, SubscriberExt};

type Told = Arc<Mutex<Vec<(&'static str, BTreeMap<&'static str, String>)>>>;

/// Writes down what it is told.
#[derive(Clone, Default)]
struct Recorder(Told);

struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Recorder {
    fn tell(&self, metadata: &'static Metadata<'static>, record: impl FnOnce(&mut Fields)) {
        if metadata.target() != "reveille" {
            return;
        }
        let mut fields = Fields(BTreeMap::new());
        record(&mut fields);
        self.0.lock().expect("nobody panics").push((metadata.name(), fields.0));
    }

    fn names(&self) -> BTreeSet<&'static str> {
        self.0.lock().expect("nobody panics").iter().map(|(name, _)| *name).collect()
    }

    fn total(&self, name: &str) -> usize {
        let told = self.0.lock().expect("nobody panics");
        told.iter().filter(|(other, _)| *other == name).count()
    }

    fn count(&self, name: &str, field: &str, value: &str) -> usize {
        let told = self.0.lock().expect("nobody panics");
        let same = |fields: &BTreeMap<&str, String>| {
            fields.get(field).is_some_and(|found| found.trim_matches('"') == value)
        };
        told.iter().filter(|(other, fields)| *other == name && same(fields)).count()
    }
}

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.tell(event.metadata(), |fields| event.record(fields));
    }

    fn on_new_span(&self, span: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.tell(span.metadata(), |fields| span.record(fields));
    }
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn execute(clock: &ManualClock, engine: &mut Engine<u8>) {
    loop {
        engine.turn(clock.now());
        let runs: Vec<Run<u8>> = std::iter::from_fn(|| engine.next_run()).collect();
        if runs.is_empty() {
            return;
        }
        runs.into_iter().for_each(Run::execute);
    }
}

/// A short life of a hub in which everything happens that has a name, but a defect of ours.
fn live(level: Level) -> Recorder {
    let recorder = Recorder::default();
    let layer = recorder.clone().with_filter(LevelFilter::from_level(level));
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        let clock = ManualClock::new();
        let builder = Builder::new().clock(clock.clone()).policy(|p| {
            p.coalesce = Duration::ZERO;
            p.max_attempts = std::num::NonZeroU32::MIN;
            p.run_limit = Some(secs(5));
        });
        let hub: Reveille<u8> = builder.build().expect("nothing forbids it");
        let mut lookout = hub.lookout();
        let _ = lookout.look();
        let old = hub.install(|_| ()).expect("nothing forbids it"); // nobody drives: a stall
        let _ = lookout.look();
        let mut engine = hub.engine().expect("nothing forbids it");
        execute(&clock, &mut engine);
        let _ = lookout.look(); // recovered
        let new = hub
            .install(|run: &Run<u8>| match (run.key(), run.attempt()) {
                (1, 1) => Outcome::busy_for(secs(1)),
                (2, 1) => Outcome::defer(secs(1)),
                (3, 1) => Outcome::failed(),
                _ => Outcome::ran(),
            })
            .expect("nothing forbids it");
        old.dispose(); // stale
        for key in 1..=3 {
            hub.wake(key, Wake::within(secs(2)));
            hub.wake(key, Wake::within(secs(1)));
            hub.wake(key, Wake::within(secs(3)));
        }
        clock.advance(secs(1));
        execute(&clock, &mut engine);
        clock.advance(secs(1));
        execute(&clock, &mut engine);
        hub.target(4)
            .expect("nothing forbids it")
            .beat(Cadence::every(secs(1)).expect("nothing forbids it"))
            .expect("nothing forbids it");
        execute(&clock, &mut engine);
        clock.advance(secs(60)); // beats are missed, and the lookout is late
        execute(&clock, &mut engine);
        let _ = lookout.look();
        hub.wake(1, Wake::now());
        engine.turn(clock.now());
        let run = engine.next_run().expect("nothing forbids it");
        clock.advance(secs(5));
        engine.turn(clock.now()); // past its limit
        run.execute();
        new.dispose();
        hub.stop();
        assert!(!hub.wake(1, Wake::now()).is_accepted());
    });
    recorder
}

const ALL: [&str; 17] = [
    "reveille.deferral",
    "reveille.dispose",
    "reveille.fault",
    "reveille.found_by_recheck",
    "reveille.give_up",
    "reveille.install",
    "reveille.missed_beats",
    "reveille.outcome",
    "reveille.overrun",
    "reveille.recovered",
    "reveille.replace",
    "reveille.retry",
    "reveille.run",
    "reveille.stall",
    "reveille.stop",
    "reveille.time_gap",
    "reveille.wake",
];

/// P18: everything that has a name is told by it, with fields; all but a defect of ours, which a unit
/// test seeds.
#[test]
fn every_name_appears() {
    let told = live(Level::TRACE);
    let mut expected = BTreeSet::from(ALL);
    assert!(expected.remove("reveille.found_by_recheck"));
    assert_eq!(told.names(), expected);
    for (verdict, at_least) in [("armed", 4), ("preempted", 3), ("coalesced", 3), ("refused", 1)] {
        let count = told.count("reveille.wake", "verdict", verdict);
        assert!(count >= at_least, "{verdict}: {count}");
    }
    assert_eq!(told.count("reveille.outcome", "outcome", "busy"), 1);
    // What is done is told by its outcome alone.
    for once in ["reveille.retry", "reveille.deferral", "reveille.give_up"] {
        assert_eq!(told.total(once), 1, "{once}");
    }
    assert_eq!(told.count("reveille.deferral", "not_before", "2000000"), 1);
    assert_eq!(told.count("reveille.retry", "floor", "2000000"), 1);
    assert_eq!(told.count("reveille.dispose", "stale", "true"), 1);
    assert_eq!(told.count("reveille.missed_beats", "missed", "59"), 1);
    assert_eq!(told.count("reveille.stall", "concerns", "no_driver"), 1);
    assert_eq!(told.count("reveille.run", "beats", "60"), 1);
}

/// Nothing is told on the coalescing path unless TRACE is on.
#[test]
fn coalesced_wakes_are_told_on_trace_alone() {
    let told = live(Level::DEBUG);
    assert_eq!(told.count("reveille.wake", "verdict", "coalesced"), 0);
    assert!(told.count("reveille.wake", "verdict", "preempted") >= 3);
}

/// What has a name is documented, and what is documented has one.
#[test]
fn every_name_is_documented() {
    let text = include_str!("../../../docs/OBSERVABILITY.md");
    let documented: BTreeSet<&str> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.starts_with("reveille.") && !word.contains('('))
        .collect();
    assert_eq!(documented, BTreeSet::from(ALL));
}

/// A subscriber that panics harms neither an install nor a turn; it is a fault.
#[test]
fn a_subscriber_that_panics() {
    struct Bomb;
    impl<S: Subscriber> Layer<S> for Bomb {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            if event.metadata().name() != "reveille.wake" {
                std::panic::resume_unwind(Box::new("as told"));
            }
        }
    }
    let (faults, told) = std::sync::mpsc::channel();
    let clock = ManualClock::new();
    let builder = Builder::new().clock(clock.clone());
    let builder = builder.on_fault(move |fault| faults.send(fault.place).unwrap_or(()));
    let hub: Reveille<u8> = builder.build().unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(Bomb), || {
        hub.install(|_| ()).unwrap().keep();
        let mut engine = hub.engine().unwrap();
        hub.wake(1, Wake::now());
        execute(&clock, &mut engine);
    });
    assert!(told.try_iter().filter(|place| *place == Place::Trace).count() >= 2);
    assert_eq!(hub.snapshot().targets[0].runs, 1);
    assert!(hub.counters().is_conserved() && hub.counters().faults >= 2);
}
