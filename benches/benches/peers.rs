//! The same work for Reveille and for what a user would pick instead ([`reveille_benches::peers`]), end to end:
//! a batch of wakes by one or two producers, and then one more that is due now, until it has fired. So what
//! stands in a channel counts.
//!
//! `cargo bench -p reveille-benches --bench peers`. Absolute figures do not travel; the ratios within a group do.

// A benchmark that cannot be set up has nothing to measure.
#![allow(clippy::unwrap_used)]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use reveille_benches::peers::PEERS;
use reveille_benches::stand::{HOUR, Stand, Work};
use std::time::Duration;

/// Targets that are woken.
const TARGETS: u32 = 1_000;

fn each(criterion: &mut Criterion, name: &str, producers: u64, all_wait: bool, work: &Work) {
    let mut group = criterion.benchmark_group(format!("{name}/{producers}"));
    group.throughput(Throughput::Elements(producers));
    for &(peer, start) in PEERS {
        let stand = Stand::new(start, TARGETS);
        if all_wait {
            stand.all_wait(HOUR);
        }
        group.bench_function(BenchmarkId::from_parameter(peer), |b| {
            b.iter_custom(|n| stand.time(producers, n, work));
        });
        assert!(!all_wait || stand.fired() == 0, "{peer} fired early");
    }
}

/// Each wake finds one that waits and serves it too.
fn coalescing(criterion: &mut Criterion) {
    for producers in [1, 2] {
        each(criterion, "coalescing", producers, true, &Work::coalescing(TARGETS));
    }
}

/// Each wake is due sooner than the one that waits; each producer has targets of its own.
fn preempting(criterion: &mut Criterion) {
    for producers in [1, 2] {
        each(criterion, "preempting", producers, true, &Work::preempting(TARGETS));
    }
}

/// A random target, due in 1 to 50 ms; what is due fires.
fn random(criterion: &mut Criterion) {
    for producers in [1, 2] {
        each(criterion, "mixed", producers, false, &Work::mixed(TARGETS));
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
