use super::precision::Precision;
use super::workers::Workers;
use crate::engine::{AlreadyDriven, Engine, STARTS};
use crate::fault::Place;
use crate::hub::Key;
use crate::merge::Merge;
use crate::policy::{OnOverrun, OnReplace};
use crate::reasons::Reasons;
use crate::run;
use crate::shared::{Ring, Shared};
use reveille_core::sync::Arc;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, Thread};

/// Why a hub could not be driven by threads.
#[derive(Debug)]
#[non_exhaustive]
pub enum DriveError {
    /// It has a driver.
    AlreadyDriven,
    /// Its policy cancels runs, on replacement or past their limit, and a thread cannot be made to
    /// end one.
    CannotCancel,
    /// The driver's thread could not be started.
    Spawn(std::io::Error),
}

impl fmt::Display for DriveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyDriven => AlreadyDriven.fmt(f),
            Self::CannotCancel => f.write_str(
                "the policy cancels runs (OnReplace::Cancel or OnOverrun::Cancel), \
                 which threads cannot do: use OnReplace::Finish and OnOverrun::Report",
            ),
            Self::Spawn(error) => write!(f, "the driver's thread could not be started: {error}"),
        }
    }
}

impl std::error::Error for DriveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Spawn(error) => Some(error),
            _ => None,
        }
    }
}

/// One driver thread and its pool of workers; none where it runs handlers itself
/// ([`Precision::inline`](crate::Precision::inline)).
///
/// Dropping it ends the driver, not the hub: what waits goes on waiting, runs in flight go on, and
/// another driver may be started. The driver of a stopped hub ends by itself once the runs in
/// flight have ended.
#[must_use = "dropping the driver ends it; `detach()` lets it drive until the hub stops"]
pub struct Driver {
    thread: Option<JoinHandle<()>>,
    leave: Arc<AtomicBool>,
}

/// Unparks the driver's thread: no system call unless it is parked.
struct Unpark(Thread);

impl Ring for Unpark {
    fn ring(&self) {
        // A run on the driver's own thread: it looks at the slot before it sleeps.
        if thread::current().id() != self.0.id() {
            self.0.unpark();
        }
    }
}

impl Driver {
    pub(crate) fn start<K: Key, R: Reasons, P: Merge>(
        shared: &Arc<Shared<K, R, P>>,
        precision: Precision,
    ) -> Result<Self, DriveError> {
        let cancels = shared.policy.on_overrun == OnOverrun::Cancel;
        if cancels || shared.policy.on_replace == OnReplace::Cancel {
            return Err(DriveError::CannotCancel);
        }
        let engine = Engine::attach(shared).map_err(|AlreadyDriven| DriveError::AlreadyDriven)?;
        let leave = Arc::new(AtomicBool::new(false));
        let (shared, leaving) = (Arc::clone(shared), Arc::clone(&leave));
        let thread = thread::Builder::new()
            .name("reveille-driver".into())
            .spawn(move || drive(engine, &shared, precision, &leaving))
            .map_err(DriveError::Spawn)?;
        Ok(Self { thread: Some(thread), leave })
    }

    /// Lets the driver go on until the hub has stopped.
    pub fn detach(mut self) {
        self.thread = None;
    }

    /// Blocks until the hub has stopped and no run is in flight.
    ///
    /// From inside a run of the same hub this would wait for itself.
    pub fn join(mut self) {
        if let Some(thread) = self.thread.take() {
            // The loop contains all panics; there is none to pass on.
            let _ = thread.join();
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.leave.store(true, Ordering::Release);
            thread.thread().unpark();
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

/// The driver: a page around the engine.
fn drive<K: Key, R: Reasons, P: Merge>(
    mut engine: Engine<K, R, P>,
    shared: &Arc<Shared<K, R, P>>,
    precision: Precision,
    leave: &AtomicBool,
) {
    engine.set_ring(Unpark(thread::current()));
    if let Err(error) = precision.set_timer_slack() {
        shared.fault(Place::Spawn, format!("the timer slack could not be set: {error}"));
    }
    let workers = (!precision.is_inline()).then(|| Workers::new(shared));
    if workers.is_none() {
        run::drives_inline(shared);
    }
    // Acquire: who told us to leave sees the engine in its seat when we are joined.
    while !leave.load(Ordering::Acquire) {
        let now = engine.now();
        let turned = engine.guard(|engine| {
            engine.turn(now);
            match &workers {
                Some(workers) => {
                    workers.replace(engine.overrunning());
                    while let Some(run) = engine.next_run() {
                        workers.submit(run);
                    }
                }
                None => {
                    for _ in 0..STARTS {
                        let Some(run) = engine.next_run() else { break };
                        engine.execute(run);
                    }
                }
            }
        });
        if turned.is_none() || engine.is_finished() {
            return;
        }
        let (armed, latest) = (engine.arm(), now + shared.policy.max_sleep);
        let until = armed.min(latest);
        if until > now && engine.doze(until) {
            // Rings and spurious returns make a turn. Who rings has asked for something sooner.
            let stays = || !leave.load(Ordering::Acquire);
            if stays() {
                let goes_on = || stays() && shared.deadline.peek() >= until;
                precision.sleep(&engine, until, armed <= latest, goes_on);
            }
            engine.rise();
        }
    }
}
