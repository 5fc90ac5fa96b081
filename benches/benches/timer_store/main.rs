//! The engine's timer store: candidates on the same work. The decision and its figures stand in
//! `docs/decisions/0002-timer-store.md`, and in decision 20 which came after it.
//!
//! | work | what the engine does so |
//! | --- | --- |
//! | `fill` | targets get their first beat, in random order of instants |
//! | `beat` | the earliest target beats, and stands again one period later; periods are equal |
//! | `beat_mixed` | the same, with a period of its own for each target |
//! | `move` | a waiting target is pulled forward, and later put back |
//! | `come_and_go` | a target starts to wait for now, and is started, while all others wait |

mod stores;

use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group,
    criterion_main,
};
use std::hint::black_box;
use std::time::Duration;
use stores::{
    Blocks, Entry, IndexedQuaternary, KeyedQueue, LazyHeap, LazyQuaternary, NEVER, OrxQuaternary,
    PriorityQueue, Store, Tree,
};

const SIZES: [u32; 3] = [1_000, 100_000, 1_000_000];
/// 30 minutes in microseconds.
const PERIOD: u64 = 1_800_000_000;

/// Xorshift: the same numbers in each run.
struct Numbers(u64);

impl Numbers {
    fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

fn target(index: u32) -> Entry {
    Entry { created: u64::from(index), index }
}

/// Each target at a random instant of one period, and where it stands.
fn filled<S: Store>(targets: u32) -> (S, Vec<u64>) {
    let mut numbers = Numbers::new();
    let mut store = S::new(targets);
    let at: Vec<u64> = (0..targets).map(|_| PERIOD + numbers.below(PERIOD)).collect();
    for (index, &at) in (0..).zip(&at) {
        store.set(target(index), NEVER, at);
    }
    (store, at)
}

/// All stores give the same answers as the tree, or there is nothing to compare.
fn agrees<S: Store>() {
    const TARGETS: u32 = 50;
    let (mut tree, mut store) = (Tree::new(TARGETS), S::new(TARGETS));
    let mut at = [NEVER; TARGETS as usize];
    let mut numbers = Numbers::new();
    for _ in 0..20_000 {
        let index = numbers.below(u64::from(TARGETS)) as u32;
        let to = if numbers.below(4) == 0 { NEVER } else { numbers.below(40) };
        let from = std::mem::replace(&mut at[index as usize], to);
        if from == to {
            continue;
        }
        tree.set(target(index), from, to);
        store.set(target(index), from, to);
        let (expected, found) = (tree.first(), store.first());
        let plain = |first: Option<(u64, Entry)>| first.map(|(at, e)| (at, e.created, e.index));
        assert_eq!(plain(expected), plain(found), "{}", std::any::type_name::<S>());
    }
}

fn candidate<S: Store>(work: &mut Work<'_>, name: &str) {
    agrees::<S>();
    let targets = work.targets;
    let id = || BenchmarkId::new(name, targets);
    match work.name {
        "fill" => {
            work.group.throughput(Throughput::Elements(u64::from(targets)));
            work.group.bench_function(id(), |b| {
                b.iter_batched(|| (), |()| filled::<S>(targets), BatchSize::PerIteration);
            });
        }
        "beat" | "beat_mixed" => {
            let mixed = work.name == "beat_mixed";
            let (mut store, _) = filled::<S>(targets);
            work.group.bench_function(id(), |b| {
                b.iter(|| {
                    if let Some((at, entry)) = store.first() {
                        let own = u64::from(entry.index) * 7_919 % PERIOD;
                        store.set(entry, at, at + PERIOD + if mixed { own } else { 0 });
                    }
                });
            });
        }
        "move" => {
            let (mut store, at) = filled::<S>(targets);
            let mut numbers = Numbers::new();
            work.group.throughput(Throughput::Elements(2));
            work.group.bench_function(id(), |b| {
                b.iter(|| {
                    let index = numbers.below(u64::from(targets)) as u32;
                    let (from, to) = (at[index as usize], numbers.below(at[index as usize]));
                    store.set(target(index), from, to);
                    black_box(store.first());
                    store.set(target(index), to, from);
                    black_box(store.first());
                });
            });
        }
        _ => {
            let (mut store, at) = filled::<S>(targets);
            let newcomer = target(targets - 1);
            store.set(newcomer, at[newcomer.index as usize], NEVER);
            work.group.bench_function(id(), |b| {
                b.iter(|| {
                    store.set(newcomer, NEVER, 1);
                    if let Some((at, entry)) = store.first() {
                        store.set(entry, at, NEVER);
                    }
                });
            });
        }
    }
}

struct Work<'a> {
    group: BenchmarkGroup<'a, WallTime>,
    name: &'static str,
    targets: u32,
}

fn compare(criterion: &mut Criterion) {
    for name in ["fill", "beat", "beat_mixed", "move", "come_and_go"] {
        for targets in SIZES {
            let mut group = criterion.benchmark_group(name);
            group.sample_size(10).sampling_mode(SamplingMode::Flat);
            group.warm_up_time(Duration::from_millis(100));
            group.measurement_time(Duration::from_millis(250));
            let work = &mut Work { group, name, targets };
            candidate::<Tree>(work, "btree_set");
            candidate::<Blocks>(work, "blocks");
            candidate::<LazyHeap>(work, "binary_heap_lazy");
            candidate::<LazyQuaternary>(work, "dary_heap_lazy");
            candidate::<PriorityQueue>(work, "priority_queue");
            candidate::<KeyedQueue>(work, "keyed_priority_queue");
            candidate::<OrxQuaternary>(work, "orx_quaternary");
            candidate::<IndexedQuaternary>(work, "indexed_quaternary");
        }
    }
}

criterion_group! {
    name = timer_store;
    config = Criterion::default().without_plots();
    targets = compare
}
criterion_main!(timer_store);
