//! M4, of the ready set alone: set ∥ set ∥ drain.

use crate::model::{Extent, Model};
use crate::support::{join, spawn};
use reveille_core::ReadySet;
use reveille_core::sync::{AtomicU64, Ordering};
use std::sync::Arc;

/// Two producers, each with news behind its bit, and a driver that drains while they set.
fn sets_and_drains(indices: [usize; 2]) {
    // Two bits a word: three levels.
    let ready = Arc::new(ReadySet::with_capacity(8));
    let news = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let set = |name, which: usize| {
        let (ready, news) = (Arc::clone(&ready), Arc::clone(&news));
        spawn(name, move || {
            news[which].store(1, Ordering::Relaxed);
            ready.set(indices[which]);
        })
    };
    let producers = [set("producer 0", 0), set("producer 1", 1)];
    let mut drained = Vec::new();
    ready.drain(&mut drained);
    for (which, index) in indices.iter().enumerate() {
        if drained.contains(index) {
            let seen = news[which].load(Ordering::Relaxed);
            assert_eq!(seen, 1, "P3: the bit of {index} without its news");
        }
    }
    producers.into_iter().for_each(join);
    ready.drain(&mut drained);
    for index in indices {
        let times = drained.iter().filter(|&&found| found == index).count();
        assert_eq!(times, 1, "P3: {index} was set once, and drained {times} times");
    }
}

pub const MODELS: &[Model] = &[
    // Both bits in one leaf.
    // Seen to fail on: a set from the top down; a drain from the leaves up; a drain
    // by load and store; a set that does not release; a drain that does not acquire.
    Model {
        name: "m04-set-set-drain-same-leaf",
        promises: &["P3"],
        law: "A bit set while the driver drains is found by this drain or the next, with its news.",
        threads: 3,
        extent: Extent::All,
        body: || sets_and_drains([6, 7]),
    },
    // Two leaves under one summary.
    // Seen to fail on: the same.
    Model {
        name: "m04-set-set-drain-same-summary",
        promises: &["P3"],
        law: "A bit set below a summary that is being cleared leaves the summary set behind it.",
        threads: 3,
        extent: Extent::All,
        body: || sets_and_drains([4, 6]),
    },
];
