//! What the operations cost: beside their floors, and beside a mutex, a heap and a map.
//!
//! Absolute figures do not travel from machine to machine; the ratios within a group do.

// A benchmark that cannot be set up has nothing to measure.
#![allow(clippy::unwrap_used)]

use arc_swap::ArcSwap;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use reveille::{Builder, Driver, Engine, ManualClock, Outcome, Reveille, Run, Target, Tick, Wake};
use reveille_benches::HeapScheduler;
use reveille_core::HandlerSlot;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Arc, Barrier, Mutex, RwLock, mpsc};
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3_600);
const FAR: Tick = Tick::from_micros(3_600_000_000);

/// A hub without a thread, with a handler that does nothing, and its engine.
fn quiet() -> (Reveille<u32>, Engine<u32>, Target<u32>) {
    with(Builder::new())
}

fn with(builder: Builder) -> (Reveille<u32>, Engine<u32>, Target<u32>) {
    let hub: Reveille<u32> = builder.build().unwrap();
    hub.install(|_: &Run<u32>| Outcome::ran()).unwrap().keep();
    let mut engine = hub.engine().unwrap();
    engine.turn(hub.now());
    let target = hub.target(0).unwrap();
    (hub, engine, target)
}

/// The same with a wake that waits, and that the engine has taken in.
fn waiting() -> (Reveille<u32>, Engine<u32>, Target<u32>) {
    let (hub, mut engine, target) = quiet();
    target.wake(Wake::at(FAR));
    engine.turn(hub.now());
    (hub, engine, target)
}

/// What every approach pays for, at least.
fn floors(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("floor");
    let word = AtomicU64::new(0);
    group.bench_function("load", |b| b.iter(|| black_box(&word).load(Ordering::Acquire)));
    group.bench_function("fence_load", |b| {
        b.iter(|| {
            fence(Ordering::SeqCst);
            black_box(&word).load(Ordering::Acquire)
        });
    });
    group.bench_function("fetch_min_unchanged", |b| {
        b.iter(|| black_box(&word).fetch_min(1, Ordering::AcqRel));
    });
    group.bench_function("fetch_add", |b| {
        b.iter(|| black_box(&word).fetch_add(1, Ordering::Relaxed));
    });
    let mutex = Mutex::new(0_u64);
    group.bench_function("mutex", |b| b.iter(|| *black_box(&mutex).lock().unwrap() += 1));
    group.bench_function("instant_now", |b| b.iter(Instant::now));
}

/// A wake that merges with one that waits: the most frequent request of all.
fn coalesced(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("coalesced");
    let (hub, _engine, target) = waiting();
    group.bench_function("target_at", |b| b.iter(|| target.wake(black_box(Wake::at(FAR)))));
    group.bench_function("target_within", |b| {
        b.iter(|| target.wake(black_box(Wake::within(2 * HOUR))));
    });
    // The last turn was at about 0, so that this delay proves nothing and the clock is read.
    let just = HOUR - Duration::from_nanos(1_000);
    let behind = Wake::within(just.saturating_sub(Duration::from_micros(hub.now().as_micros())));
    let clock_reading: Wake = behind;
    std::thread::sleep(Duration::from_millis(2));
    group.bench_function("target_within_clock_read", |b| {
        b.iter(|| target.wake(black_box(clock_reading.clone())));
    });
    group.bench_function("hub_by_key", |b| b.iter(|| hub.wake(0, black_box(Wake::at(FAR)))));
    let heap = HeapScheduler::default();
    heap.wake(0_u32, FAR.as_micros());
    group.bench_function("heap_and_map", |b| b.iter(|| heap.wake(0, black_box(FAR.as_micros()))));
}

/// The same from two threads at once, on one target: nanoseconds a wake of one thread. Noisy on
/// few cores.
fn coalesced_by_two(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("coalesced_by_two_threads");
    group.sample_size(20);
    let (_hub, _engine, target) = waiting();
    group.bench_function("target_at", |b| {
        b.iter_custom(|n| {
            by_two(n, || {
                black_box(target.wake(black_box(Wake::at(FAR))));
            })
        });
    });
    let heap = HeapScheduler::default();
    heap.wake(0_u32, FAR.as_micros());
    group.bench_function("heap_and_map", |b| {
        b.iter_custom(|n| {
            by_two(n, || {
                black_box(heap.wake(0, black_box(FAR.as_micros())));
            })
        });
    });
}

fn by_two(n: u64, work: impl Fn() + Sync) -> Duration {
    let barrier = Barrier::new(2);
    let round = || {
        barrier.wait();
        let start = Instant::now();
        (0..n).for_each(|_| work());
        start.elapsed()
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(round);
        let mine = round();
        mine.max(other.join().unwrap())
    })
}

/// A wake that is due sooner than what waits; it is published to the driver.
fn preempting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("preempting");
    let (_hub, _engine, target) = waiting();
    let mut due = FAR.as_micros();
    group.bench_function("target_at", |b| {
        b.iter(|| {
            // Far from 0 for as long as anybody measures; starts again there.
            due = if due == 1 { FAR.as_micros() } else { due - 1 };
            target.wake(Wake::at(Tick::from_micros(due)))
        });
    });
    let heap = HeapScheduler::default();
    let mut due = u64::MAX;
    group.bench_function("heap_and_map", |b| {
        b.iter(|| {
            due -= 1;
            heap.wake(0_u32, due)
        });
    });
}

/// From the first wake of an idle target to the end of its run, on one thread.
fn whole_run(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("whole_run");
    let (_hub, mut engine, target) = with(Builder::new().clock(ManualClock::new()));
    let now = Tick::from_micros(1_000_000); // after the install's window
    group.bench_function("engine", |b| {
        b.iter(|| {
            target.wake(Wake::now());
            engine.turn(now);
            if let Some(run) = engine.next_run() {
                run.execute();
            }
            engine.turn(now); // collects the ending
        });
    });
    let heap = HeapScheduler::default();
    let handler: Box<dyn Fn(u32)> = Box::new(|key| {
        black_box(key);
    });
    group.bench_function("heap_and_map", |b| {
        b.iter(|| {
            heap.wake(0_u32, 0);
            if let Some(key) = heap.next(0) {
                handler(key);
            }
        });
    });
}

/// The heartbeat at rest: of many targets, one beats. Nanoseconds a beat, its run included.
fn beats(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("beat");
    group.sample_size(10);
    for targets in [1_000_u32, 100_000] {
        let (hub, mut engine, _) = with(Builder::new().clock(ManualClock::new()));
        let period = Duration::from_micros(10 * u64::from(targets));
        for key in 0..targets {
            let phase = Duration::from_micros(10 * u64::from(key));
            let cadence = reveille::Cadence::every(period).unwrap().with_phase(phase);
            hub.target(key).unwrap().beat(cadence).unwrap();
        }
        engine.observe(Tick::NOW);
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("engine/{targets}"), |b| {
            b.iter(|| {
                let deadline = engine.deadline();
                engine.turn(deadline);
                while let Some(run) = engine.next_run() {
                    run.execute();
                }
            });
        });
    }
}

/// Reading and replacing the handler.
fn handler(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("handler");
    let (hub, _engine, _) = quiet();
    group.bench_function("hub_load", |b| b.iter(|| hub.handler()));
    let slot = HandlerSlot::vacant();
    slot.install(0_u64).unwrap();
    group.bench_function("slot_load", |b| b.iter(|| slot.load().handler().copied()));
    let plain = ArcSwap::from_pointee(0_u64);
    group.bench_function("arc_swap_load", |b| b.iter(|| **plain.load()));
    let locked = RwLock::new(Arc::new(0_u64));
    group.bench_function("rw_lock_load", |b| b.iter(|| **locked.read().unwrap()));
    group.bench_function("hub_install_dispose", |b| {
        b.iter(|| hub.install(|_: &Run<u32>| Outcome::ran()).unwrap().dispose());
    });
    group.bench_function("slot_install_dispose", |b| {
        b.iter(|| {
            let (generation, _) = slot.install(0).unwrap();
            slot.dispose(generation)
        });
    });
    group.bench_function("arc_swap_store_twice", |b| {
        b.iter(|| {
            plain.store(Arc::new(1));
            plain.store(Arc::new(2));
        });
    });
}

/// From a wake on one thread to the handler on another and back: mostly what it costs to wake
/// sleeping threads (driver and worker here, one thread there).
fn threads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("round_trip");
    group.sample_size(20);
    let (sender, ran) = mpsc::channel();
    let hub: Reveille<u32> = Builder::new().build().unwrap();
    let driver: Driver = hub.drive().unwrap();
    let handler = move |_: &Run<u32>| {
        let _ = sender.send(());
    };
    hub.install(handler).unwrap().keep();
    let target = hub.target(0).unwrap();
    group.bench_function("hub", |b| {
        b.iter(|| {
            target.wake(Wake::now());
            ran.recv().unwrap();
        });
    });
    drop(driver);

    let (sender, ran) = mpsc::channel();
    let heap = Arc::new(HeapScheduler::default());
    let theirs = Arc::clone(&heap);
    let thread = std::thread::spawn(move || {
        while theirs.wait(Instant::now(), HOUR) == Some(0_u32) {
            let _ = sender.send(());
        }
    });
    group.bench_function("heap_and_map", |b| {
        b.iter(|| {
            heap.wake(0, 0);
            ran.recv().unwrap();
        });
    });
    heap.wake(1, 0);
    thread.join().unwrap();
}

criterion_group! {
    name = wake;
    config = Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50);
    targets =
        floors, coalesced, coalesced_by_two, preempting, whole_run, beats, handler, threads
}
criterion_main!(wake);
