//! What is exported says what happened (P12, P18).

#![cfg(feature = "metrics")]

use metrics_util::MetricKind;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use reveille::{Builder, Cadence, Clock, Engine, ManualClock, Outcome, Reveille, Run, Wake};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// What the recorder has, by name; every label on the way.
fn exported(snapshotter: &Snapshotter, hub: &str) -> HashMap<String, DebugValue> {
    let all = snapshotter.snapshot().into_vec().into_iter();
    all.map(|(key, unit, description, value)| {
        let name = key.key().name().to_owned();
        let labels: Vec<_> = key.key().labels().map(|l| (l.key(), l.value())).collect();
        assert_eq!(labels, [("hub", hub)], "{name}");
        assert!(unit.is_some() && description.is_some(), "{name} is not described");
        let named = match key.kind() {
            MetricKind::Counter => name.ends_with("_total"),
            MetricKind::Histogram => name.ends_with("_seconds"),
            MetricKind::Gauge => !name.ends_with("_total"),
        };
        assert!(named && name.starts_with("reveille_"), "{name}");
        (name, value)
    })
    .collect()
}

fn number(all: &HashMap<String, DebugValue>, name: &str) -> f64 {
    match all.get(name) {
        Some(DebugValue::Counter(count)) => *count as f64,
        Some(DebugValue::Gauge(value)) => value.into_inner(),
        other => panic!("{name}: {other:?}"),
    }
}

fn values(all: &HashMap<String, DebugValue>, name: &str) -> Vec<f64> {
    match all.get(name) {
        Some(DebugValue::Histogram(values)) => values.iter().map(|v| v.into_inner()).collect(),
        other => panic!("{name}: {other:?}"),
    }
}

/// P12, as a scraper sees it.
fn conserved(all: &HashMap<String, DebugValue>) -> bool {
    let get = |name: &str| number(all, name);
    let gone = ["starts_total", "coalesced_total", "depth", "refused_total", "discarded_total"];
    let gone: f64 = gone.iter().map(|name| get(&format!("reveille_{name}"))).sum();
    let come = get("reveille_adds_total") + get("reveille_retries_total");
    come == gone + get("reveille_in_motion")
}

fn runs(clock: &ManualClock, engine: &mut Engine<u8>) -> Vec<Run<u8>> {
    engine.turn(clock.now());
    std::iter::from_fn(|| engine.next_run()).collect()
}

/// Each meter, after a history that is known.
#[test]
fn the_meters_say_what_happened() {
    let clock = ManualClock::new();
    let policy = |p: &mut reveille::Policy| p.coalesce = Duration::ZERO;
    let hub: Reveille<u8> = Builder::new().clock(clock.clone()).policy(policy).build().unwrap();
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let meters = metrics::with_local_recorder(&recorder, || hub.meters("jobs"));
    let mut engine = hub.engine().unwrap();
    let old = hub.install(|_| ()).unwrap();
    let handler = |run: &Run<u8>| match run.attempt() {
        1 if *run.key() == 2 => Outcome::busy_for(secs(3)),
        _ => Outcome::ran(),
    };
    hub.install(handler).unwrap().keep();
    old.dispose(); // stale
    runs(&clock, &mut engine);

    hub.wake(1, Wake::within(secs(9)));
    hub.wake(1, Wake::within(secs(5))); // preempts
    hub.wake(1, Wake::within(secs(7))); // coalesces
    hub.wake(2, Wake::now());
    let started = runs(&clock, &mut engine);
    assert_eq!(started.len(), 1);
    clock.advance(secs(2));
    meters.publish();
    let all = exported(&snapshotter, "jobs");
    assert_eq!(number(&all, "reveille_depth"), 1.0);
    assert_eq!(number(&all, "reveille_running"), 1.0);
    assert_eq!(number(&all, "reveille_unfinished_work_seconds"), 2.0);
    assert_eq!(number(&all, "reveille_longest_running_seconds"), 2.0);
    assert!(conserved(&all));

    started.into_iter().for_each(Run::execute); // busy, until 5 s
    runs(&clock, &mut engine);
    clock.advance(secs(4)); // at 6 s: both are a second late
    runs(&clock, &mut engine).into_iter().for_each(Run::execute);
    hub.target(3).unwrap().beat(Cadence::every(secs(10)).unwrap()).unwrap();
    runs(&clock, &mut engine);
    clock.advance(secs(40)); // four beats at once
    runs(&clock, &mut engine).into_iter().for_each(Run::execute);
    runs(&clock, &mut engine);
    hub.target(4).unwrap().wake(Wake::within(secs(99)));
    hub.target(4).unwrap().cancel();
    meters.publish();

    let counters = hub.counters();
    let all = exported(&snapshotter, "jobs");
    for (name, expected) in [
        ("reveille_adds_total", 4 + 4 + 1),
        ("reveille_starts_total", 4),
        ("reveille_coalesced_total", 2 + 3),
        ("reveille_preemptions_total", 1),
        ("reveille_refused_total", 0),
        ("reveille_discarded_total", 1),
        ("reveille_retries_total", 1),
        ("reveille_gave_up_total", 0),
        ("reveille_beats_total", 4),
        ("reveille_beat_runs_done_total", 1),
        ("reveille_missed_beats_total", 3),
        ("reveille_installs_total", 2),
        ("reveille_stale_disposals_total", 1),
        ("reveille_turns_total", counters.turns),
        ("reveille_stalls_total", 0),
        ("reveille_depth", 0),
        ("reveille_in_motion", 0),
        ("reveille_targets", 4),
        ("reveille_running", 0),
    ] {
        assert_eq!(number(&all, name), expected as f64, "{name}");
    }
    assert!(conserved(&all) && counters.is_conserved());
    // The debugging recorder hands each value out once: these came since it was last asked.
    let sorted = |name: &str| {
        let mut values = values(&all, name);
        values.sort_by(f64::total_cmp);
        values
    };
    assert_eq!(sorted("reveille_lateness_seconds"), [1.0, 1.0, 30.0], "beyond due and floor");
    assert_eq!(sorted("reveille_queue_duration_seconds"), [1.0, 4.0, 30.0], "beyond the due");
    assert_eq!(sorted("reveille_work_duration_seconds").len(), 4);
}

/// P12 in every scrape, with threads that wake, cancel and run meanwhile: what is in motion is told.
#[test]
fn every_scrape_is_conserved() {
    let hub: Reveille<u8> = Builder::new().policy(|p| p.coalesce = secs(0)).start().unwrap();
    hub.install(|_| ()).unwrap().keep();
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let meters = metrics::with_local_recorder(&recorder, || hub.meters("busy"));
    let over = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        for key in 0..2 {
            let (hub, over) = (&hub, &over);
            scope.spawn(move || {
                let target = hub.target(key).unwrap();
                while !over.load(Ordering::Relaxed) {
                    target.wake(Wake::now());
                    target.wake(Wake::within(Duration::from_micros(100)));
                    target.cancel();
                }
            });
        }
        let scrapes = (0..200).map(|_| {
            meters.publish();
            conserved(&exported(&snapshotter, "busy"))
        });
        let broken = scrapes.filter(|holds| !holds).count();
        over.store(true, Ordering::Relaxed);
        assert_eq!(broken, 0, "scrapes of 200");
    });
    hub.stop();
    meters.publish();
    let all = exported(&snapshotter, "busy");
    assert!(conserved(&all));
    assert_eq!(number(&all, "reveille_depth"), 0.0);
}

/// Without a name there is no label; without a recorder nothing happens.
#[test]
fn without_a_name_or_a_recorder() {
    let hub: Reveille<u8> = Builder::new().build().unwrap();
    hub.meters("").publish();
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || hub.meters("")).publish();
    let all = snapshotter.snapshot().into_vec();
    assert!(all.len() > 20 && all.iter().all(|(key, ..)| key.key().labels().count() == 0));
}
