//! The thread that keeps a ledger: off the driver, batched, at most once a second.

use super::{LastBeat, Ledger, LedgerError};
use crate::fault::{Place, contain};
use crate::hub::{Key, Reveille};
use crate::merge::Merge;
use crate::node::NO_BEAT;
use crate::reasons::Reasons;
use crate::shared::{KeptBeat, Shared};
use reveille_core::sync::{Arc, AtomicU64, Ordering};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Between two stores.
const PAUSE: Duration = Duration::from_secs(1);

/// Keeps a ledger for a hub, on a thread of its own; see [`Reveille::keep_ledger`]. Dropping it
/// stores once more and ends the thread; so does the end of the hub.
#[must_use = "dropping the keeper ends it: beats are kept no longer"]
pub struct LedgerKeeper {
    refused: Option<LedgerError>,
    leave: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<(), LedgerError>>>,
}

impl LedgerKeeper {
    /// Why the ledger could not be loaded, if it could not: the schedule goes on without what was
    /// kept, and this was reported as a [`Place::Ledger`] fault too.
    pub fn refused(&self) -> Option<&LedgerError> {
        self.refused.as_ref()
    }

    /// Stores once more, and ends. Blocks.
    ///
    /// # Errors
    /// Why that last store failed.
    pub fn close(mut self) -> Result<(), LedgerError> {
        self.end().unwrap_or(Ok(()))
    }

    fn end(&mut self) -> Option<Result<(), LedgerError>> {
        let thread = self.thread.take()?;
        self.leave.store(1, Ordering::Release);
        thread.thread().unpark();
        // Its panics are contained where they may come from.
        thread.join().ok()
    }
}

impl Drop for LedgerKeeper {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

impl fmt::Debug for LedgerKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerKeeper").field("refused", &self.refused).finish_non_exhaustive()
    }
}

impl<K: Key, R: Reasons, P: Merge> Reveille<K, R, P> {
    /// Keeps the last beat of each target in `ledger`, so that the next process goes on where this
    /// one ended: a cadence that is set there for the first time counts from the beat that was kept,
    /// and what was missed meanwhile is made up for as by [`Policy::missed`](crate::Policy::missed).
    ///
    /// To be called before cadences are set; blocks while the ledger is loaded. A ledger that cannot
    /// be loaded is reported, and the schedule goes on ([`LedgerKeeper::refused`]). Then beats
    /// whose runs are *done* are stored from a thread of its own, at most once a second. So what a
    /// crash loses may repeat a beat, and never skips one. Failures to store are reported as faults
    /// of [`Place::Ledger`], and tried again. Targets that were removed are forgotten.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn keep_ledger(&self, mut ledger: impl Ledger<K>) -> io::Result<LedgerKeeper> {
        let shared = self.shared();
        let (entries, refused) = match ledger.load() {
            Ok(entries) => (entries, None),
            Err(error) => {
                shared.fault(Place::Ledger, error.to_string());
                (Vec::new(), Some(error))
            }
        };
        let entries: HashMap<K, i64> =
            entries.into_iter().map(|(key, beat)| (key, beat.as_unix_micros())).collect();
        let beat = |at: i64| KeptBeat { at, told: AtomicU64::new(0) };
        let kept = entries.iter().map(|(key, &at)| (key.clone(), beat(at)));
        shared.kept.store(Some(Arc::new(kept.collect())));
        let leave = Arc::new(AtomicU64::new(0));
        let book =
            Book { shared, ledger, stored: entries.clone(), entries, leave: Arc::clone(&leave) };
        let thread = thread::Builder::new().name("reveille-ledger".into()).spawn(|| book.keep())?;
        Ok(LedgerKeeper { refused, leave, thread: Some(thread) })
    }
}

struct Book<K: Key, R: Reasons, P: Merge, L> {
    shared: Arc<Shared<K, R, P>>,
    ledger: L,
    entries: HashMap<K, i64>,
    stored: HashMap<K, i64>,
    leave: Arc<AtomicU64>,
}

impl<K: Key, R: Reasons, P: Merge, L: Ledger<K>> Book<K, R, P, L> {
    fn keep(mut self) -> Result<(), LedgerError> {
        loop {
            // Looked at before the beats are: what is stored last is not older than the end.
            let ends =
                self.leave.load(Ordering::Acquire) == 1 || self.shared.gate.load().is_closed();
            let done = self.store();
            if let Err(error) = &done {
                self.shared.fault(Place::Ledger, error.to_string());
            }
            if ends {
                return done;
            }
            thread::park_timeout(PAUSE);
        }
    }

    fn store(&mut self) -> Result<(), LedgerError> {
        self.read_beats();
        if self.entries == self.stored {
            return Ok(());
        }
        let all = self.entries.iter();
        let all: Vec<(K, LastBeat)> =
            all.map(|(key, &at)| (key.clone(), LastBeat::from_unix_micros(at))).collect();
        let ledger = &mut self.ledger;
        contain(|| ledger.store(&all)).unwrap_or_else(|why| Err(LedgerError::Other(why.into())))?;
        self.stored = self.entries.clone();
        Ok(())
    }

    fn read_beats(&mut self) {
        let Ok(epoch) = contain(|| self.shared.epoch(self.shared.now())) else { return };
        let mut known = HashMap::new();
        let stopped = self.shared.gate.load().is_closed();
        self.shared.registry.for_each(|node| {
            // Removed, though its last run still holds the key. (A stop closes all, behind its gate.)
            if !stopped && node.word.load().is_closed() {
                return;
            }
            let Some(extras) = node.extras() else { return };
            let beat = extras.vitals.served_beat.load(Ordering::Relaxed).cast_signed();
            let wall = (beat != NO_BEAT).then(|| beat.saturating_sub(epoch));
            known.insert(node.key.clone(), wall);
        });
        // A stopped hub forgets its targets one by one: what they did is not forgotten with them.
        if !self.shared.gate.load().is_closed() {
            let kept = self.shared.kept.load();
            let waits = |key: &K| {
                let beat = kept.as_ref().and_then(|kept| kept.get(key));
                beat.is_some_and(|beat| beat.told.load(Ordering::Acquire) == 0)
            };
            self.entries.retain(|key, _| known.contains_key(key) || waits(key));
        }
        for (key, wall) in known {
            if let Some(wall) = wall {
                // The wall clock is read anew each time, and may have moved a little against ours.
                let entry = self.entries.entry(key).or_insert(wall);
                if entry.abs_diff(wall) > 1_000 {
                    *entry = wall;
                }
            }
        }
    }
}
