//! A pool of threads that execute runs.

use crate::fault::{Place, contain};
use crate::hub::Key;
use crate::merge::Merge;
use crate::reasons::Reasons;
use crate::run::Run;
use crate::shared::Shared;
use crossbeam_channel::{Receiver, Sender, unbounded};
use reveille_core::sync::Arc;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::thread;

/// Workers are started when runs need them, and stay. As many as `max_active` are allowed, and
/// one more for each run past its limit: so a hung worker is replaced, and one leaves when a
/// hung one comes back. The queue holds at most `max_active` runs, since the engine hands
/// out no more.
///
/// `vacant` is the number of workers that committed to take a run, less the runs handed in. A
/// worker commits before it waits, so a run that finds `vacant` positive has a worker of its own,
/// and does not wait behind another (P10).
pub(super) struct Workers<K: Key, R: Reasons, P: Merge> {
    shared: Arc<Shared<K, R, P>>,
    queue: Sender<Run<K, R, P>>,
    taken: Receiver<Run<K, R, P>>,
    crew: Arc<Crew>,
}

struct Crew {
    alive: AtomicUsize,
    allowed: AtomicUsize,
    vacant: AtomicIsize,
}

impl Crew {
    /// Leaves, if there are more workers than allowed.
    fn leaves(&self) -> bool {
        let allowed = self.allowed.load(Ordering::Acquire);
        self.alive
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |alive| {
                (alive > allowed).then(|| alive - 1)
            })
            .is_ok()
    }
}

impl<K: Key, R: Reasons, P: Merge> Workers<K, R, P> {
    pub(super) fn new(shared: &Arc<Shared<K, R, P>>) -> Self {
        let (queue, taken) = unbounded();
        let crew = Arc::new(Crew {
            alive: AtomicUsize::new(0),
            allowed: AtomicUsize::new(shared.policy.max_active.get()),
            vacant: AtomicIsize::new(0),
        });
        Self { shared: Arc::clone(shared), queue, taken, crew }
    }

    /// Allows one worker more than `max_active` for each of the runs that passed their limit.
    pub(super) fn replace(&self, overrunning: usize) {
        let allowed = self.shared.policy.max_active.get().saturating_add(overrunning);
        self.crew.allowed.store(allowed, Ordering::Release);
    }

    /// Hands a run to a worker, starting one if none is vacant.
    pub(super) fn submit(&self, run: Run<K, R, P>) {
        let vacant = self.crew.vacant.fetch_sub(1, Ordering::AcqRel);
        // The receiver is ours too, so the channel is never disconnected.
        let _ = self.queue.send(run);
        let alive = self.crew.alive.load(Ordering::Acquire);
        if vacant <= 0
            && alive < self.crew.allowed.load(Ordering::Acquire)
            && let Err(error) = self.start()
        {
            // Nobody may come for it: it ends as aborted, and is tried again after its backoff.
            if let Ok(run) = self.taken.try_recv() {
                self.crew.vacant.fetch_add(1, Ordering::AcqRel);
                self.shared.discard(run);
            }
            self.shared.fault(Place::Spawn, error.to_string());
        }
    }

    fn start(&self) -> std::io::Result<()> {
        let (shared, taken) = (Arc::clone(&self.shared), self.taken.clone());
        let crew = Arc::clone(&self.crew);
        crew.alive.fetch_add(1, Ordering::AcqRel);
        let started = thread::Builder::new().name("reveille-worker".into()).spawn(move || {
            loop {
                if crew.leaves() {
                    return;
                }
                crew.vacant.fetch_add(1, Ordering::AcqRel);
                let Ok(run) = taken.recv() else { return };
                // The handler's panics end its run; what is left are those of its `Drop`.
                if let Err(message) = contain(|| run.execute()) {
                    shared.fault(Place::Drop, message);
                }
            }
        });
        if started.is_err() {
            self.crew.alive.fetch_sub(1, Ordering::AcqRel);
        }
        started.map(drop)
    }
}
