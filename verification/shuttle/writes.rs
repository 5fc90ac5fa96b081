//! What a wake that coalesces writes to words that threads share: nothing. The traced facade says so.

use crate::arena::{self, Theirs};
use crate::check::{Check, Found};
use reveille::{Builder, ManualClock, Reveille, Target, Tick, Wake, Woken};
use reveille_core::sync::trace::{self, What};
use shuttle::scheduler::DfsScheduler;
use std::time::Duration;

/// The check.
pub fn checks() -> Vec<Check> {
    vec![Check {
        name: "writes-of-a-coalescing-wake",
        promises: &["P3", "P4"],
        law: "A wake that coalesces writes no word that threads share; one that does not coalesce does.",
        threads: 1,
        body: Box::new(|| {
            let strategy = Theirs::new(DfsScheduler::new(None, false), "depth-first");
            let outcome = arena::run(strategy, u64::MAX, || arena::verdict(body()));
            Found {
                executions: outcome.executions,
                complete: outcome.failure.is_none(),
                failure: outcome.failure,
                note: "a target that waits, and one with a run in flight; counters are the thread's own".into(),
                ..Found::default()
            }
        }),
    }]
}

/// How many words, the same one counted again, were written, and read.
fn accesses(of: impl FnOnce()) -> (usize, usize) {
    trace::start();
    of();
    let (events, _) = trace::take();
    let count = |wrote_any: bool| {
        let is = |what: &What| matches!(what, What::Access { wrote, .. } if wrote.is_some() == wrote_any);
        events.iter().filter(|event| is(&event.what)).count()
    };
    (count(true), count(false))
}

fn body() -> Result<(), String> {
    let far = Tick::from_micros(1_000_000);
    let hub: Reveille<u8> =
        Builder::new().clock(ManualClock::new()).build().map_err(|e| e.to_string())?;
    hub.install(|_| ()).map_err(|_| "it has not stopped")?.keep();
    let mut engine = hub.engine().map_err(|e| e.to_string())?;
    let [waits, runs]: [Target<u8>; 2] = [hub.target(0), hub.target(1)]
        .map(|target| target.unwrap_or_else(|_| unreachable!("there is room")));
    waits.wake(Wake::at(far));
    runs.wake(Wake::now());
    engine.turn(Tick::NOW);
    let run = engine.next_run().ok_or("a run is due")?;
    runs.wake(Wake::at(far)); // waits behind its run
    for (what, target) in [("waits", &waits), ("runs", &runs)] {
        // Installs noted and made, the word twice; and for a delay the instant of the last turn.
        for (wake, expected) in [(Wake::at(far), 4), (Wake::within(Duration::from_secs(2)), 5)] {
            let mut woken = Woken::Armed;
            let (writes, reads) = accesses(|| woken = target.wake(wake));
            if woken != Woken::Coalesced || writes != 0 || reads != expected {
                return Err(format!("{what}: {woken:?} after {reads} reads and {writes} writes"));
            }
        }
    }
    // The trace can tell: what preempts writes its word, the ready set and the deadline.
    let (writes, _) = accesses(|| _ = waits.wake(Wake::at(Tick::from_micros(5))));
    if writes < 3 {
        return Err(format!("a wake that preempts wrote {writes} words"));
    }
    run.finish(reveille::Outcome::ran());
    Ok(())
}
