//! M5: request ∥ run completes.

use crate::model::{Extent, Model};
use crate::parts::{request, take};
use crate::support::{join, spawn};
use reveille_core::Urgency;
use reveille_core::completion::{Completion, Ending};
use reveille_core::pending::{Pending, Request, Taken};
use reveille_core::sync::{AtomicU64, Ordering};
use std::sync::Arc;

/// A target whose run is in flight.
fn running() -> (Arc<Pending>, Taken) {
    let word = Arc::new(Pending::new());
    let _ = word.join(request(0, 1), false);
    match take(&word) {
        Ok(taken) => (word, taken),
        Err(word) => panic!("{word:?}"),
    }
}

pub const MODELS: &[Model] = &[
    // Two requests of one thread, while a run ends as done.
    // Seen to fail on: an end by load and store; an end that forgets what came; a request during
    // a run that leaves the word as it is; a begin beside a run.
    Model {
        name: "m05-requests-meet-a-run-that-ends",
        promises: &["P3", "P6"],
        law: "Requests while a run ends cause one further run, and the driver learns of it.",
        threads: 2,
        extent: Extent::All,
        body: || {
            let (word, _) = running();
            let requester = spawn("requester", {
                let word = Arc::clone(&word);
                move || [2, 4].map(|reasons| word.join(request(0, reasons), false).publish)
            });
            assert!(word.begin().is_err(), "P6: two runs at once");
            let (_, after) = word.end(None);
            let told = join(requester).contains(&true);
            assert!(after.has_wake() || told, "P3: a wake of which the driver hears nothing");
            match take(&word) {
                Ok(taken) => assert_eq!(taken.reasons, 6, "P3: a reason was lost"),
                Err(word) => panic!("P3: no further run starts: {word:?}"),
            }
            assert!(!word.end(None).1.has_wake(), "P6: one further run, not two");
        },
    },
    // A request during a run that gives its wake back.
    // Seen to fail on: an end by load and store; one that keeps only the reasons, or only the
    // urgency, that the run gave back.
    Model {
        name: "m05-request-meets-a-run-given-back",
        promises: &["P3", "P9"],
        law: "What a run gives back is merged with what came meanwhile, and held back.",
        threads: 2,
        extent: Extent::All,
        body: || {
            let (word, taken) = running();
            let requester = spawn("requester", {
                let word = Arc::clone(&word);
                let urgent = Request { urgency: Urgency::Urgent, ..request(5, 2) };
                move || word.join(urgent, false).publish
            });
            let (_, after) = word.end(Some(taken));
            assert!(after.is_parked(), "P9: what was given back is held back: {after:?}");
            let told = join(requester);
            let last = word.load();
            assert_eq!(last.reasons(), 3, "P3: a reason was lost: {last:?}");
            assert_eq!(last.urgency(), Urgency::Urgent, "P3: the urgency was lost: {last:?}");
            // It came first and is held back with the rest, or it passed: news that is told.
            assert_eq!(last.is_parked(), !told, "P3: {last:?}, and told: {told}");
            assert_eq!(after.reasons() == 3, !told, "P3: the driver saw {after:?}");
        },
    },
    // The worker completes its run, the driver collects it, a request comes at any moment.
    // Seen to fail on: a completion that does not release; an end by load and store; one that
    // forgets what came; a request during a run that leaves the word as it is.
    Model {
        name: "m05-request-meets-a-completion",
        promises: &["P3", "P6"],
        law: "The run after a completion sees what the completed one did, and starts once.",
        threads: 3,
        extent: Extent::All,
        body: || {
            let (word, _) = running();
            let completion = Arc::new(Completion::new());
            let Some(number) = completion.start() else { panic!("the first run starts") };
            let data = Arc::new(AtomicU64::new(0));
            let worker = spawn("worker", {
                let (completion, data) = (Arc::clone(&completion), Arc::clone(&data));
                move || {
                    data.store(1, Ordering::Relaxed);
                    let completed = completion.complete(number, Ending::Ran);
                    assert!(completed.is_ok(), "P7: nobody else ends it");
                }
            });
            let requester = spawn("requester", {
                let word = Arc::clone(&word);
                move || word.join(request(0, 2), false).publish
            });
            // What a turn does with an ending; true if a further run starts.
            let collects = |again: bool| match completion.collect() {
                None => again && take(&word).is_ok(),
                Some(ending) => {
                    assert_eq!(ending, Ending::Ran);
                    let seen = data.load(Ordering::Relaxed);
                    assert_eq!(seen, 1, "P6: the next run misses what the last one did");
                    assert!(completion.start().is_some(), "P6: collected, so the next may start");
                    word.end(None);
                    take(&word).is_ok()
                }
            };
            let early = collects(false);
            join(worker);
            let told = join(requester);
            let late = !early && collects(told);
            assert!(early || late, "P3: no run for the request that came meanwhile");
            assert!(!word.load().has_wake(), "P6: one further run, not two");
        },
    },
];
