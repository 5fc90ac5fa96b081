//! M4, of the ready set alone: set ∥ set ∥ drain.

use crate::model::{Extent, Model};
use crate::support::{join, spawn};
use reveille_core::{DeadlineSlot, ReadySet, Tick};
use reveille_core::sync::{AtomicU64, Ordering};
use std::sync::Arc;

/// Two producers, each with news behind its bit, and a driver that drains while they set.
fn sets_and_drains(indices: [usize; 2]) {
    // Two bits a word: for four there is one summary, for eight there are two and a root.
    let ready = Arc::new(ReadySet::with_capacity(indices[1] + 1));
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

/// Two producers of one index, each with news of its own: neither writes what it finds set.
fn sets_the_same_and_drains() {
    const INDEX: usize = 2;
    let ready = Arc::new(ReadySet::with_capacity(4)); // two leaves, one summary
    let news = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let set = |name, which: usize| {
        let (ready, news) = (Arc::clone(&ready), Arc::clone(&news));
        spawn(name, move || {
            news[which].store(1, Ordering::Relaxed);
            ready.set(INDEX);
        })
    };
    let producers = [set("producer 0", 0), set("producer 1", 1)];
    let mut drained = Vec::new();
    ready.drain(&mut drained);
    let seen = [0, 1].map(|which| news[which].load(Ordering::Relaxed));
    producers.into_iter().for_each(join);
    let first = std::mem::take(&mut drained);
    ready.drain(&mut drained);
    assert!(first.len() <= 1 && drained.len() <= 1, "P3: one index, drained twice at once");
    if drained.is_empty() {
        assert_eq!((first, seen), (vec![INDEX], [1, 1]), "P3: news behind a bit that is gone");
    }
}

/// A producer marks its news and finds the slot asked for an instant as early, which the driver takes.
fn marks_while_the_slot_is_taken() {
    const INDEX: usize = 2;
    let parts = Arc::new((ReadySet::with_capacity(INDEX + 1), DeadlineSlot::new()));
    parts.1.request(Tick::NOW);
    let producer = spawn("producer", {
        let parts = Arc::clone(&parts);
        move || {
            let marked = parts.0.set(INDEX);
            parts.1.request_for(marked, Tick::NOW);
        }
    });
    parts.1.take();
    let mut drained = Vec::new();
    parts.0.drain(&mut drained);
    join(producer);
    let asked = parts.1.peek() == Tick::NOW;
    assert!(asked || drained == [INDEX], "P3: a bit for which nobody asked a turn");
}

pub const MODELS: &[Model] = &[
    // Seen to fail on: a summary that is set and acquires nothing; a drain that releases nothing.
    Model {
        name: "m04-mark-while-the-slot-is-taken",
        promises: &["P3", "P5"],
        law: "A bit is drained by the turn that takes the instant for which it leaves the slot as it is, or a turn is asked for.",
        threads: 2,
        extent: Extent::All,
        body: marks_while_the_slot_is_taken,
    },
    // Seen to fail on: no fence in `is_marked`, or none in `drain`.
    Model {
        name: "m04-set-set-drain-same-bit",
        promises: &["P3"],
        law: "News whose bit was found set already is seen by the drain that clears it, or a bit is left.",
        threads: 3,
        extent: Extent::All,
        body: sets_the_same_and_drains,
    },
    // Both bits in one leaf, below one bit of its summary, which one finds set by the other.
    // Seen to fail on: a drain from the leaves up.
    Model {
        name: "m04-set-set-drain-same-leaf",
        promises: &["P3"],
        law: "A bit set while the driver drains is found by this drain or the next, with its news.",
        threads: 3,
        extent: Extent::All,
        body: || sets_and_drains([6, 7]),
    },
    // Two leaves under one summary.
    // Seen to fail on: the same; a set from the top down.
    Model {
        name: "m04-set-set-drain-same-summary",
        promises: &["P3"],
        law: "A bit set below a summary that is being cleared leaves the summary set behind it.",
        threads: 3,
        extent: Extent::All,
        body: || sets_and_drains([4, 7]),
    },
];
