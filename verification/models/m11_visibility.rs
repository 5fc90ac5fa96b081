//! M11: a coalescing request's writes are visible to the run.

use crate::model::{Extent, Model};
use crate::parts::{request, take};
use crate::support::{join, spawn};
use reveille_core::pending::{Pending, Request};
use reveille_core::sync::{ArcSwapOption, AtomicU64, Ordering};
use std::sync::Arc;

const REQUEST: Request = request(5, 1);

/// What a target shares here.
#[derive(Default)]
struct Target {
    word: Pending,
    /// Relaxed: the data brings no order of its own.
    data: AtomicU64,
}

/// A target for which [`REQUEST`] waits, and whether the driver has seen it: then equal requests
/// leave without writing.
fn waiting(seen: bool) -> Arc<Target> {
    let target = Arc::new(Target::default());
    let _ = target.word.join(REQUEST, false);
    if seen {
        assert!(target.word.settle(target.word.load(), REQUEST.due).is_ok());
    }
    target
}

/// A producer writes, then asks; a run starts meanwhile.
fn writes_then_asks(target: &Arc<Target>, ask: fn(&Pending)) {
    let producer = spawn("producer", {
        let target = Arc::clone(target);
        move || {
            target.data.store(1, Ordering::Relaxed);
            ask(&target.word);
        }
    });
    let taken = take(&target.word);
    let seen = target.data.load(Ordering::Relaxed);
    assert!(taken.is_ok(), "a wake that is due starts");
    join(producer);
    let waits = target.word.load().has_wake();
    assert!(waits || seen == 1, "P4: no wake waits, and the run read {seen}");
}

pub const MODELS: &[Model] = &[
    // The request is contained in what the driver has seen, and leaves unwritten.
    // Seen to fail on: no fence in `stays`, or only after its load; no fence in `begin`.
    Model {
        name: "m11-coalesced-writes-are-seen",
        promises: &["P4"],
        law: "What a thread wrote before a wake that coalesces is seen by the run that serves it.",
        threads: 2,
        extent: Extent::All,
        body: || {
            writes_then_asks(&waiting(true), |word| {
                let _ = word.join(REQUEST, false);
            });
        },
    },
    // No fence stands before a join that is written: what is written carries alone.
    // Seen to fail on: a join that does not release; a begin by load and store.
    Model {
        name: "m11-merged-writes-are-seen",
        promises: &["P4"],
        law: "What a thread wrote before a wake that is merged is seen by the run that serves it.",
        threads: 2,
        extent: Extent::All,
        body: || {
            writes_then_asks(&waiting(true), |word| {
                let _ = word.join(request(5, 2), true);
            });
        },
    },
    // The driver has not looked yet, so an equal request is written although it changes nothing.
    // Seen to fail on: a join that does not release; one that writes only what changes.
    Model {
        name: "m11-equal-news-writes-are-seen",
        promises: &["P4"],
        law: "A wake that leaves the word as it is, unseen, still hands over what was written.",
        threads: 2,
        extent: Extent::All,
        body: || {
            writes_then_asks(&waiting(false), |word| {
                let _ = word.join(REQUEST, true);
            });
        },
    },
    // A relative delay is first tried with a due from below, without reading the clock.
    // Seen to fail on: no fence in `stays`, or only after its load; no fence in `begin`.
    Model {
        name: "m11-relative-delay-writes-are-seen",
        promises: &["P4"],
        law: "A relative delay that coalesces by the last turn's instant hands over as well.",
        threads: 2,
        extent: Extent::All,
        body: || {
            writes_then_asks(&waiting(true), |word| {
                let seen = word.look();
                if !(seen.contains(request(6, 1)) && word.stays(seen)) {
                    let _ = word.join_from(seen, request(7, 1), false);
                }
            });
        },
    },
    // Two producers write; either may find the other's request, or the word before it.
    // Seen to fail on: a join that does not release; a join, or a begin, by load and store.
    Model {
        name: "m11-two-producers-writes-are-seen",
        promises: &["P4"],
        law: "The run that serves two wakes sees what both threads wrote before theirs.",
        threads: 3,
        extent: Extent::All,
        body: || {
            let target = Arc::new(Target::default());
            let other = Arc::new(AtomicU64::new(0));
            let first = spawn("producer", {
                let target = Arc::clone(&target);
                move || {
                    target.data.store(1, Ordering::Relaxed);
                    let _ = target.word.join(REQUEST, true);
                }
            });
            let second = spawn("other producer", {
                let (target, other) = (Arc::clone(&target), Arc::clone(&other));
                move || {
                    other.store(1, Ordering::Relaxed);
                    let _ = target.word.join(request(5, 2), true);
                }
            });
            let run = take(&target.word).map(|taken| {
                (taken.reasons, [&target.data, &other].map(|data| data.load(Ordering::Relaxed)))
            });
            join(first);
            join(second);
            if let Ok((reasons, [one, two])) = run {
                let waits = target.word.load().reasons();
                assert_eq!(reasons | waits, 3, "P3: a reason was lost");
                assert!(reasons & 1 == 0 || one == 1, "P4: a wake without what came before it");
                assert!(reasons & 2 == 0 || two == 1, "P4: a wake without what came before it");
            }
        },
    },
    // A payload is put in before the word, and taken after it.
    // Seen to fail on: no fence in `stays`, or only after its load; no fence in `begin`.
    Model {
        name: "m11-payload-of-a-coalesced-wake",
        promises: &["P3", "P4"],
        law: "The payload of a wake that coalesces goes with the run, or a wake waits for it.",
        threads: 2,
        extent: Extent::All,
        body: || payload_meets_run(true),
    },
    // The same where the request is written.
    // Seen to fail on: a join that does not release.
    Model {
        name: "m11-payload-of-a-written-wake",
        promises: &["P3", "P4"],
        law: "The payload of a wake that is written goes with the run, or a wake waits for it.",
        threads: 2,
        extent: Extent::All,
        body: || payload_meets_run(false),
    },
];

/// A request with a payload, as a node takes it in, meets a run.
fn payload_meets_run(coalesces: bool) {
    let target = waiting(coalesces);
    let payload = Arc::new(ArcSwapOption::<u64>::empty());
    let producer = spawn("producer", {
        let (target, payload) = (Arc::clone(&target), Arc::clone(&payload));
        move || {
            let found = payload.compare_and_swap(&None, Some(Arc::new(1)));
            assert!(found.is_none(), "nobody else puts one in");
            let _ = target.word.join(REQUEST, !coalesces);
        }
    });
    let taken = take(&target.word);
    assert!(taken.is_ok(), "a wake that is due starts");
    let with_run = payload.load().is_some() && payload.swap(None).is_some();
    join(producer);
    let waits = target.word.load().has_wake();
    assert!(with_run || waits, "P4: no wake waits, and the payload stays behind");
}
