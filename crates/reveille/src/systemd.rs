//! systemd's watchdog, fed by beats that were done (P8, P18).
//!
//! A watchdog that a timer feeds proves that the timer runs. This one is fed by the work: it is told
//! that the service lives only if, since it was told so last, some run that stood for a beat has ended
//! as done. A hub whose driver hangs, whose handler is gone, whose runs hang or fail, feeds nothing, and
//! systemd restarts the service.

use crate::fault::{Place, contain};
use crate::hub::{Key, Reveille};
use crate::merge::Merge;
use crate::reasons::Reasons;
use crate::shared::Shared;
use reveille_core::sync::{Arc, AtomicU64, Ordering, PlainU64};
use sd_notify::NotifyState;
use std::fmt;
use std::io;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Feeds systemd's watchdog; see [`Reveille::feed_systemd`]. Dropping it ends that, and systemd will
/// miss it; so does the end of the hub.
#[must_use = "dropping the feeder lets systemd's watchdog starve"]
pub struct Feeder {
    leave: Arc<AtomicU64>,
    fed: Arc<PlainU64>,
    every: Option<Duration>,
    thread: Option<JoinHandle<()>>,
}

impl Feeder {
    /// How often it feeds at most: half of what systemd waits for. `None` where systemd has no
    /// watchdog on this service, or there is no systemd: nothing is fed then.
    pub fn every(&self) -> Option<Duration> {
        self.every
    }

    /// How often it has fed.
    pub fn fed(&self) -> u64 {
        self.fed.load(Ordering::Relaxed)
    }

    /// Lets it feed until the hub has stopped.
    pub fn detach(mut self) {
        self.thread = None;
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.leave.store(1, Ordering::Release);
            thread.thread().unpark();
            if thread.thread().id() != thread::current().id() {
                // Its panics are contained where they may come from.
                let _ = thread.join();
            }
        }
    }
}

impl fmt::Debug for Feeder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feeder").field("every", &self.every).finish_non_exhaustive()
    }
}

impl<K: Key, R: Reasons, P: Merge> Reveille<K, R, P> {
    /// Tells systemd that the service is ready (`READY=1`), and, where the unit has a watchdog
    /// (`WatchdogSec=`), feeds it (`WATCHDOG=1`) from a thread of its own: each half of its time, and
    /// only if a run that stood for a beat was done since the last time
    /// ([`Counters::beats_done`](crate::Counters::beats_done)).
    ///
    /// So some cadence of the hub must beat more often than that; a target for just this will do. To be
    /// called once handlers and cadences are in. Without systemd (no `NOTIFY_SOCKET`) it does nothing.
    /// What systemd cannot be told later is a fault of [`Place::Systemd`], and told again.
    ///
    /// # Errors
    /// systemd could not be told, or the thread not be started.
    pub fn feed_systemd(&self) -> io::Result<Feeder> {
        let shared = self.shared();
        let done = shared.tallies.beats_done.get();
        sd_notify::notify(&[NotifyState::Ready])?;
        let every = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        let (leave, fed) = (Arc::new(AtomicU64::new(0)), Arc::new(PlainU64::new(0)));
        let thread = match every {
            None => None,
            Some(every) => {
                let (leave, fed) = (Arc::clone(&leave), Arc::clone(&fed));
                let feed = move || feed(&shared, every.max(LEAST), done, &leave, &fed);
                Some(thread::Builder::new().name("reveille-systemd".into()).spawn(feed)?)
            }
        };
        Ok(Feeder { leave, fed, every, thread })
    }
}

/// A watchdog of less than twice this would starve anyway, and must not make us spin (P11).
const LEAST: Duration = Duration::from_millis(1);

fn feed<K: Key, R: Reasons, P: Merge>(
    shared: &Shared<K, R, P>,
    every: Duration,
    mut done: u64,
    leave: &AtomicU64,
    fed: &PlainU64,
) {
    while leave.load(Ordering::Acquire) == 0 && !shared.gate.load().is_closed() {
        thread::park_timeout(every);
        let now_done = shared.tallies.beats_done.get();
        if now_done == done {
            continue; // nothing was done: let it starve
        }
        let told = contain(|| sd_notify::notify(&[NotifyState::Watchdog]));
        match told.unwrap_or_else(|message| Err(io::Error::other(message))) {
            Ok(()) => {
                done = now_done;
                fed.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => shared.fault(Place::Systemd, error.to_string()),
        }
    }
}
