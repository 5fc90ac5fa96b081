//! M6, of the completion word alone: complete ∥ cancel ∥ collect.

use crate::model::{Extent, Model};
use crate::support::{join, spawn};
use reveille_core::completion::{Completion, Ending};
use reveille_core::sync::{AtomicU64, Ordering};
use std::sync::Arc;

pub const MODELS: &[Model] = &[
    // The driver cancels the run that its worker completes, collects, and starts the next.
    // Seen to fail on: a completion that asks only whether a run is in flight; one over an ending;
    // one by load and store; one that does not release.
    Model {
        name: "m06-complete-meets-cancel",
        promises: &["P6", "P7"],
        law: "One of two ends a run; the other is late, and late to the next run too.",
        threads: 2,
        extent: Extent::All,
        body: || {
            let word = Arc::new(Completion::new());
            let data = Arc::new(AtomicU64::new(0));
            let Some(first) = word.start() else { panic!("the first run starts") };
            let worker = spawn("worker", {
                let (word, data) = (Arc::clone(&word), Arc::clone(&data));
                move || {
                    data.store(1, Ordering::Relaxed);
                    word.complete(first, Ending::Ran)
                }
            });
            let cancelled = word.complete(first, Ending::Cancelled).is_ok();
            let ending = word.collect();
            let expected = if cancelled { Ending::Cancelled } else { Ending::Ran };
            assert_eq!(ending, Some(expected), "P7: whoever ended it says how");
            let seen = data.load(Ordering::Relaxed);
            assert!(cancelled || seen == 1, "P6: an ending without what its run did");
            let Some(second) = word.start() else { panic!("P6: collected, so the next starts") };
            let completed = join(worker).is_ok();
            assert_ne!(completed, cancelled, "P7: one of two ends it");
            assert!(word.load().is_running(), "P7: a late completion ended the next run");
            assert!(word.complete(second, Ending::Ran).is_ok(), "P7: the next run ends itself");
        },
    },
    // Two holders end one run, and the driver collects meanwhile.
    // Seen to fail on: a completion by load and store; one over an ending.
    Model {
        name: "m06-complete-complete-collect",
        promises: &["P7"],
        law: "A run that two end at once is ended once, and its ending is collected once.",
        threads: 3,
        extent: Extent::All,
        body: || {
            let word = Arc::new(Completion::new());
            let Some(number) = word.start() else { panic!("the first run starts") };
            let end = |name, ending| {
                let word = Arc::clone(&word);
                spawn(name, move || word.complete(number, ending).is_ok())
            };
            let holders = [end("worker", Ending::Ran), end("its guard", Ending::Aborted)];
            let early = word.collect();
            let [ran, aborted] = holders.map(join);
            assert!(ran != aborted, "P7: ended by {}", if ran { "both" } else { "neither" });
            let late = word.collect();
            assert!(early.is_some() != late.is_some(), "P7: collected {early:?}, then {late:?}");
            let expected = if ran { Ending::Ran } else { Ending::Aborted };
            assert_eq!(early.or(late), Some(expected), "P7: the ending of whoever ended it");
        },
    },
];
