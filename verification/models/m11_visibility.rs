//! M11: a coalescing request's writes are visible to the run.

use crate::model::{Extent, Model};
use crate::support::{join, spawn};
use reveille_core::pending::{Pending, Request, Verdict};
use reveille_core::sync::{AtomicU64, Ordering};
use reveille_core::{Tick, Urgency};
use std::sync::Arc;

const REQUEST: Request = Request { due: Tick::from_micros(5), reasons: 1, urgency: Urgency::Event };

pub const MODELS: &[Model] = &[Model {
    name: "m11-coalesced-writes-are-seen",
    promises: &["P4"],
    law: "What a thread wrote before a wake that coalesces is seen by the run that serves it.",
    threads: 2,
    extent: Extent::All,
    body: || {
        let word = Arc::new(Pending::new());
        // Relaxed: the data brings no order of its own.
        let data = Arc::new(AtomicU64::new(0).named("data"));
        assert_eq!(word.join(REQUEST, false).verdict, Verdict::Armed);
        // The driver has seen it: from here on equal requests leave without writing.
        assert!(word.settle(word.load(), REQUEST.due).is_ok());
        let producer = spawn("producer", {
            let (word, data) = (Arc::clone(&word), Arc::clone(&data));
            move || {
                data.store(1, Ordering::Relaxed);
                word.join(REQUEST, false).verdict
            }
        });
        let taken = word.begin();
        let seen = data.load(Ordering::Relaxed);
        assert!(taken.is_ok(), "a wake that is due starts");
        let verdict = join(producer);
        let waits = word.load().has_wake();
        assert!(waits || seen == 1, "{verdict:?}, no wake waits, and the run read {seen}");
    },
}];
