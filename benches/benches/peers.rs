//! The same work for Reveille and for what a user would pick instead ([`reveille_benches::peers`]), end to end:
//! a batch of wakes by one or two producers, and then one more that is due now, until it has fired. So what
//! stands in a channel counts.
//!
//! `cargo bench -p reveille-benches --bench peers`. Absolute figures do not travel; the ratios within a group do.

// A benchmark that cannot be set up has nothing to measure.
#![allow(clippy::unwrap_used)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use reveille_benches::peers::{Fired, PEERS, Peer, Start};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Targets that are woken.
const TARGETS: u32 = 1_000;
const HOUR: u64 = 3_600_000_000;

struct Stand {
    peer: Arc<dyn Peer>,
    ended: crossbeam_channel::Receiver<()>,
    others: Arc<AtomicU32>,
    /// Wakes of each producer so far.
    made: AtomicU64,
    /// The clock of each producer, read each 64th time: it is not what is measured.
    clocks: [AtomicU64; 2],
    origin: tokio::time::Instant,
    runtime: Runtime,
}

impl Stand {
    fn new(start: Start) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_time().build().unwrap();
        let inside = runtime.enter();
        let (tell, ended) = crossbeam_channel::unbounded();
        let others = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&others);
        let fired: Fired = Arc::new(move |target| {
            if target == TARGETS {
                let _ = tell.send(());
            } else {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        let origin = tokio::time::Instant::now();
        let peer = start(TARGETS + 1, origin, fired);
        drop(inside);
        let (made, clocks) = (AtomicU64::new(0), Default::default());
        let stand = Self { peer, ended, others, made, clocks, origin, runtime };
        stand.flush();
        stand
    }

    /// All that was asked for up to here has reached the scheduler.
    fn flush(&self) {
        let _inside = self.runtime.enter();
        self.peer.wake(TARGETS, 0);
        self.ended.recv().unwrap();
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap()
    }

    /// So many wakes by each producer, end to end; a producer is told its number, and how many it has made.
    fn time(
        &self,
        producers: u64,
        wakes: u64,
        due: impl Fn(u64, u64) -> (u32, u64) + Sync,
    ) -> Duration {
        let made = self.made.fetch_add(wakes, Ordering::Relaxed);
        let barrier = Barrier::new(usize::try_from(producers).unwrap());
        let produce = |producer| {
            let _inside = self.runtime.enter(); // as a delay queue's user is
            barrier.wait();
            let start = Instant::now();
            for n in made..made + wakes {
                let (target, due) = due(producer, n);
                self.peer.wake(target, due);
            }
            start
        };
        let start = std::thread::scope(|scope| {
            let others: Vec<_> =
                (1..producers).map(|producer| scope.spawn(move || produce(producer))).collect();
            let mine = produce(0);
            others.into_iter().map(|other| other.join().unwrap()).fold(mine, Instant::min)
        });
        self.flush();
        start.elapsed()
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.peer.stop();
    }
}

fn each(
    criterion: &mut Criterion,
    name: &str,
    producers: u64,
    prepare: impl Fn(&Stand),
    due: impl Fn(&Stand, u64, u64) -> (u32, u64) + Sync,
) {
    let mut group = criterion.benchmark_group(format!("{name}/{producers}"));
    group.throughput(Throughput::Elements(producers));
    for (peer, start) in PEERS {
        let stand = Stand::new(start);
        prepare(&stand);
        group.bench_function(BenchmarkId::from_parameter(peer), |b| {
            b.iter_custom(|n| stand.time(producers, n, |producer, n| due(&stand, producer, n)));
        });
        assert!(name == "mixed" || stand.others.load(Ordering::Relaxed) == 0, "{peer} fired early");
    }
}

fn all_wait(stand: &Stand) {
    let _inside = stand.runtime.enter();
    (0..TARGETS).for_each(|target| stand.peer.wake(target, HOUR));
    stand.flush();
}

/// Each wake finds one that waits and serves it too.
fn coalescing(criterion: &mut Criterion) {
    for producers in [1, 2] {
        each(criterion, "coalescing", producers, all_wait, |_, producer, n| {
            ((n * 7 + producer * 500) as u32 % TARGETS, HOUR + n % 1_000)
        });
    }
}

/// Each wake is due sooner than the one that waits; each producer has targets of its own.
fn preempting(criterion: &mut Criterion) {
    for producers in [1, 2] {
        each(criterion, "preempting", producers, all_wait, |_, producer, n| {
            let own = u64::from(TARGETS) / 2;
            // Sooner each time a target is met, and far from now.
            ((n % own + producer * own) as u32, HOUR - 1 - n / own)
        });
    }
}

/// A random target, due in 1 to 50 ms; what is due fires.
fn random(criterion: &mut Criterion) {
    for producers in [1, 2] {
        each(
            criterion,
            "mixed",
            producers,
            |_| {},
            |stand, producer, n| {
                let clock = &stand.clocks[producer as usize];
                if n % 64 == 0 {
                    clock.store(stand.micros(), Ordering::Relaxed);
                }
                let from = clock.load(Ordering::Relaxed);
                (fastrand::u32(..TARGETS), from + fastrand::u64(1_000..50_000))
            },
        );
    }
}

criterion_group! {
    name = peers;
    config = Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20);
    targets = coalescing, preempting, random
}
criterion_main!(peers);
