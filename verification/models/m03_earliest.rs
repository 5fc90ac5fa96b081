//! M3: early request ∥ late request ∥ take.

use crate::model::{Extent, Model};
use crate::parts::request;
use crate::support::{join, spawn};
use reveille_core::pending::{Pending, Request};
use reveille_core::{DeadlineSlot, Tick};
use std::sync::Arc;

const EARLY: u64 = 3;
const SEEN: u64 = 7;
const LATE: u64 = 9;

pub const MODELS: &[Model] = &[
    // Seen to fail on: a take by load and store; a request that compares, then stores; one where
    // the latest wins.
    Model {
        name: "m03-slot-early-late-take",
        promises: &["P5"],
        law: "What a take returns and what it leaves behind are together all that was asked for.",
        threads: 3,
        extent: Extent::All,
        body: || {
            let slot = Arc::new(DeadlineSlot::new());
            let ask = |name, at| {
                let slot = Arc::clone(&slot);
                spawn(name, move || slot.request(Tick::from_micros(at)))
            };
            let requesters = [ask("early", EARLY), ask("late", LATE)];
            let taken = slot.take();
            requesters.into_iter().for_each(|thread| _ = join(thread));
            let left = slot.take();
            let (early, late) = (Tick::from_micros(EARLY), Tick::from_micros(LATE));
            assert_eq!(taken.min(left), early, "P5: took {taken:?}, left {left:?}");
            let other = taken.max(left);
            assert!(other == late || other == Tick::NEVER, "nobody asked for {other:?}");
        },
    },
    // The target waits for 7, and the driver has seen that. The early request preempts it, the
    // late one brings only a reason. The driver turns once while they come.
    // Seen to fail on: a join that keeps SEEN over an earlier due; a join, a settle or a take by
    // load and store; a slot where the latest wins; a request that does not release; a take that
    // does not acquire.
    Model {
        name: "m03-word-early-late-take",
        promises: &["P5", "P3"],
        law: "Of two requests the earlier decides when the driver turns, and both reasons wait.",
        threads: 3,
        extent: Extent::All,
        body: || {
            let target = Arc::new((Pending::new(), DeadlineSlot::new()));
            let (word, slot) = (&target.0, &target.1);
            let _ = word.join(request(SEEN, 1), false);
            assert!(word.settle(word.load(), Tick::from_micros(SEEN)).is_ok());
            let ask = |name, request: Request| {
                let target = Arc::clone(&target);
                spawn(name, move || {
                    if target.0.join(request, false).publish {
                        target.1.request(request.due);
                    }
                })
            };
            let requesters = [ask("early", request(EARLY, 2)), ask("late", request(LATE, 4))];
            // What the driver's timer store has.
            let mut armed = Tick::from_micros(SEEN);
            let taken = slot.take();
            let news = word.load();
            let at = Tick::from_micros(EARLY);
            assert!(taken == Tick::NEVER || news.due() == at, "P3: {taken:?} taken, {news:?}");
            if !news.is_seen() {
                armed = news.due();
                // If a request comes in between, it leaves a deadline.
                let _ = word.settle(news, armed);
            }
            requesters.into_iter().for_each(join);
            let last = word.load();
            assert_eq!(last.due(), at, "P5: the earliest wins");
            assert_eq!(last.reasons(), 7, "P3: a reason was lost");
            let next = armed.min(slot.peek());
            assert_eq!(next, at, "P5: the driver turns at {next:?}");
            assert!(last.is_seen() || slot.peek() < Tick::NEVER, "P3: news, and no turn for it");
        },
    },
];
