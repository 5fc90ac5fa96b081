use crate::clock::{Clock, MonotonicClock};
use crate::counters::Counters;
use crate::driver::precision::Precision;
use crate::driver::thread::{DriveError, Driver};
use crate::engine::{AlreadyDriven, Engine};
use crate::fault::{Fault, Observer};
use crate::installed::{Callee, Installed as Inside, Runs};
use crate::merge::Merge;
use crate::outcome::Outcome;
use crate::policy::{Policy, PolicyError};
use crate::reasons::Reasons;
use crate::registry::Full;
use crate::run::{Handler, Run};
use crate::shared::{self, Shared};
use crate::snapshot::Snapshot;
use crate::stop::StopTicket;
use crate::target::Target;
use crate::ticket::Ticket;
use crate::wake::{Refusal, Refused, Rejected, Wake, Woken, WokenAll};
use reveille_core::sync::{Arc, Ordering};
use reveille_core::{Disposal, Generation, Tick};
use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::time::Duration;

/// What a target can be called by. Implemented for all such types.
///
/// `Hash` and `Eq` are called on the threads that look keys up, never on the driver's.
pub trait Key: Eq + Hash + Clone + Send + Sync + 'static {}

impl<T: Eq + Hash + Clone + Send + Sync + 'static> Key for T {}

/// A hub: one scheduler with one handler slot, many targets, one driver. Cheap to clone.
///
/// `K` is what targets are called by, `R` the [`Reasons`] of wakes, `P` the payload ([`Merge`])
/// that they may carry. Dropping the last clone stops the hub; targets and registrations do not
/// keep it going.
pub struct Reveille<K: Key = String, R: Reasons = (), P: Merge = ()> {
    shared: Arc<Shared<K, R, P>>,
}

/// Makes a hub: its [`Policy`], its clock, and who is told of faults.
#[must_use = "a builder does nothing until `build` or `start`"]
pub struct Builder {
    policy: Policy,
    clock: Box<dyn Clock>,
    observer: Option<Observer>,
}

impl Builder {
    /// The default policy on the system's monotonic clock.
    pub fn new() -> Self {
        Self { policy: Policy::default(), clock: Box::new(MonotonicClock::new()), observer: None }
    }

    /// Changes the policy: `builder.policy(|p| p.max_active = n)`.
    pub fn policy(mut self, change: impl FnOnce(&mut Policy)) -> Self {
        change(&mut self.policy);
        self
    }

    /// Takes time from `clock`.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Calls `observer` for each [`Fault`] (P18): panics of user code that were contained, runs past
    /// their limit, ledgers and threads that could not be had; on the thread on which it happened. It must not block; its own panics are counted.
    pub fn on_fault(mut self, observer: impl Fn(&Fault) + Send + Sync + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// A hub without a driver: nothing runs until something drives it. See
    /// [`Reveille::drive`] and [`Reveille::engine`].
    ///
    /// # Errors
    /// What is wrong with the policy.
    pub fn build<K: Key, R: Reasons, P: Merge>(self) -> Result<Reveille<K, R, P>, PolicyError> {
        self.policy.validate()?;
        let shared = Shared::new(self.policy, self.clock, self.observer);
        Ok(Reveille { shared: Arc::new(shared) })
    }

    /// A hub driven by a thread of its own, until it is stopped.
    ///
    /// # Errors
    /// What is wrong with the policy, or why the thread could not be started.
    pub fn start<K: Key, R: Reasons, P: Merge>(self) -> Result<Reveille<K, R, P>, StartError> {
        let hub = self.build().map_err(StartError::Policy)?;
        hub.drive().map_err(StartError::Drive)?.detach();
        Ok(hub)
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// What an install returns: the registration, or the handler that was not taken in.
pub type Installed<K, R = (), P = ()> =
    Result<Registration<K, R, P>, Rejected<Box<dyn Handler<K, R, P>>>>;

/// Why a hub could not be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The policy cannot hold.
    Policy(PolicyError),
    /// Its driver could not be started.
    Drive(DriveError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(error) => error.fmt(f),
            Self::Drive(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

impl<K: Key, R: Reasons, P: Merge> Reveille<K, R, P> {
    /// A hub with the default policy, driven by a thread of its own.
    ///
    /// # Errors
    /// If the thread could not be started.
    pub fn start() -> Result<Self, StartError> {
        Builder::new().start()
    }

    /// What the hub's parts share.
    pub(crate) fn shared(&self) -> Arc<Shared<K, R, P>> {
        Arc::clone(&self.shared)
    }

    /// Another user handle to the hub of a run.
    pub(crate) fn share(shared: &Arc<Shared<K, R, P>>) -> Self {
        shared.handles.fetch_add(1, Ordering::Relaxed);
        Self { shared: Arc::clone(shared) }
    }

    /// Installs `handler`, whatever was installed before, and owns it (P1, P2).
    ///
    /// Targets that waited start one coalesce window from now at the soonest; what is requested
    /// from here on has its own due. Lock-free; allocates.
    ///
    /// # Errors
    /// The handler, if the hub has stopped.
    pub fn install<F, T>(&self, handler: F) -> Installed<K, R, P>
    where
        F: Fn(&Run<K, R, P>) -> T + Send + Sync + 'static,
        T: Into<Outcome>,
    {
        self.install_handler(handler)
    }

    /// Installs a handler that is a type of its own; see [`install`](Self::install).
    ///
    /// # Errors
    /// The handler, if the hub has stopped.
    pub fn install_handler(&self, handler: impl Handler<K, R, P>) -> Installed<K, R, P> {
        self.install_callee(Callee::Blocking(Box::new(handler))).map_err(|callee| {
            let Callee::Blocking(value) = callee else { unreachable!("it is what was handed in") };
            Rejected { refusal: Refusal::Stopped, value }
        })
    }

    /// Installs a handler of either kind; handed back if the hub has stopped.
    pub(crate) fn install_callee(
        &self,
        handler: Callee<K, R, P>,
    ) -> Result<Registration<K, R, P>, Callee<K, R, P>> {
        let runs: Arc<Runs> = Arc::default();
        let installed = Inside { handler, runs: Arc::clone(&runs) };
        match reveille_core::Registration::install(&self.shared, installed) {
            Ok(inner) => Ok(Registration { inner, runs }),
            Err(closed) => Err(closed.0.handler),
        }
    }

    /// The target of `key`, found or created. Takes a lock when it creates.
    ///
    /// # Errors
    /// The key, if the hub has stopped or has as many targets as its policy allows.
    pub fn target(&self, key: K) -> Result<Target<K, R, P>, Rejected<K>> {
        if self.shared.gate.load().is_closed() {
            return Err(Rejected { refusal: Refusal::Stopped, value: key });
        }
        match self.shared.registry.find_or_create(key) {
            Ok(node) => {
                // Registered first, checked second: stop closes all targets it finds, and one
                // that it did not find sees the closed gate here.
                if self.shared.gate.load().is_closed() {
                    let _ = self.shared.close(&node); // it may have found it after all
                }
                Ok(Target::new(Arc::clone(&self.shared), node))
            }
            Err(Full(key)) => Err(Rejected { refusal: Refusal::TooManyTargets, value: key }),
        }
    }

    /// The target of `key`, if there is one.
    pub fn find<Q>(&self, key: &Q) -> Option<Target<K, R, P>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let node = self.shared.registry.find(key)?;
        Some(Target::new(Arc::clone(&self.shared), node))
    }

    /// Wakes the target of `key`, found or created. A [`Target`] does the same without the
    /// look-up.
    pub fn wake(&self, key: K, wake: Wake<R, P>) -> Woken<P> {
        let request = self.shared.tallies.accept();
        let mut key = key;
        let refusal = loop {
            let target = match self.target(key) {
                Ok(target) => target,
                Err(rejected) => {
                    self.shared.tell_refused();
                    break rejected.refusal;
                }
            };
            match target.attempt(&wake) {
                Ok(woken) => {
                    request.take();
                    return woken;
                }
                // Removed between look-up and wake: look it up anew.
                Err(Refusal::Removed) => key = target.key().clone(),
                Err(refusal) => break refusal,
            }
        };
        drop(request);
        Woken::Refused(Refused { refusal, payload: wake.payload })
    }

    /// Wakes the target of `key`, found or created, with a ticket; see [`Target::wake_awaited`].
    ///
    /// # Errors
    /// The payload, if the wake is refused.
    pub fn wake_awaited(&self, key: K, wake: Wake<R, P>) -> Result<Ticket, Refused<P>> {
        let mut key = key;
        loop {
            let target = match self.target(key) {
                Ok(target) => target,
                Err(Rejected { refusal, .. }) => {
                    drop(self.shared.tallies.accept()); // a request, and refused
                    self.shared.tell_refused();
                    return Err(Refused { refusal, payload: wake.payload });
                }
            };
            match target.wake_awaited(wake.clone()) {
                // Removed between look-up and wake: look it up anew.
                Err(Refused { refusal: Refusal::Removed, .. }) => key = target.key().clone(),
                done => return done,
            }
        }
    }

    /// Wakes every target there is, with a copy of `wake` each. A target that is created or removed
    /// meanwhile may be left out. O(targets).
    pub fn wake_all(&self, wake: &Wake<R, P>) -> WokenAll {
        let mut all = WokenAll::default();
        self.shared.registry.for_each(|node| {
            let target = Target::new(Arc::clone(&self.shared), Arc::clone(node));
            if !target.is_removed() {
                match target.wake(wake.clone()) {
                    Woken::Armed => all.armed += 1,
                    Woken::Preempted => all.preempted += 1,
                    Woken::Coalesced => all.coalesced += 1,
                    Woken::Refused(_) => all.refused += 1,
                }
            }
        });
        all
    }

    /// The targets of which a wake was given up, and no run was done since. O(targets).
    pub fn poisoned(&self) -> Vec<Target<K, R, P>> {
        let mut poisoned = Vec::new();
        self.shared.registry.for_each(|node| {
            let is_poisoned = node.extras().is_some_and(|extras| extras.is_poisoned());
            if is_poisoned && !node.word.load().is_closed() {
                poisoned.push(Target::new(Arc::clone(&self.shared), Arc::clone(node)));
            }
        });
        poisoned
    }

    /// Stops the hub now (P13): nothing starts any more, what waits is discarded, runs in
    /// flight go on without effect. Never waits; callable from anywhere, also from inside a
    /// run. Idempotent: every caller's ticket has the same report.
    pub fn stop(&self) -> StopTicket {
        self.shared.stop(None);
        shared::ticket(&self.shared)
    }

    /// Stops the hub as [`stop`](Self::stop) does; the report waits for the runs in flight, at
    /// most `limit`. A later `stop` cuts that short.
    pub fn drain(&self, limit: Duration) -> StopTicket {
        self.shared.stop(Some(limit));
        shared::ticket(&self.shared)
    }

    /// Whether the hub has stopped.
    pub fn is_stopped(&self) -> bool {
        self.shared.gate.load().is_closed()
    }

    /// The generation of the handler that is installed, if one is.
    pub fn handler(&self) -> Option<Generation> {
        let entry = self.shared.slot.load();
        entry.handler().map(|_| entry.generation())
    }

    /// Now, on this hub's clock.
    pub fn now(&self) -> Tick {
        self.shared.now()
    }

    /// The policy, as built.
    pub fn policy(&self) -> &Policy {
        &self.shared.policy
    }

    /// The counters. Looks at every target to count what is pending.
    pub fn counters(&self) -> Counters {
        self.shared.tallies.read(self.shared.waiting())
    }

    /// The state of the hub and of each target, without stopping the world: each figure is
    /// current for itself, together they may be torn.
    pub fn snapshot(&self) -> Snapshot<K> {
        Snapshot::of(&self.shared)
    }

    /// Drives the hub by a thread of its own and a pool of workers.
    ///
    /// # Errors
    /// If the hub has a driver, its policy needs another one, or no thread could be started.
    pub fn drive(&self) -> Result<Driver, DriveError> {
        self.drive_with(Precision::new())
    }

    /// The same, for who needs microseconds, or has handlers so short that a thread of their own costs more.
    ///
    /// # Errors
    /// As [`drive`](Self::drive).
    pub fn drive_with(&self, precision: Precision) -> Result<Driver, DriveError> {
        Driver::start(&self.shared, precision)
    }

    /// The engine, for a driver of one's own, or for tests on virtual time.
    ///
    /// # Errors
    /// If the hub has a driver.
    pub fn engine(&self) -> Result<Engine<K, R, P>, AlreadyDriven> {
        Engine::attach(&self.shared)
    }
}

impl<K: Key, R: Reasons, P: Merge> Clone for Reveille<K, R, P> {
    fn clone(&self) -> Self {
        Self::share(&self.shared)
    }
}

impl<K: Key, R: Reasons, P: Merge> Drop for Reveille<K, R, P> {
    fn drop(&mut self) {
        // AcqRel: the last one sees what the others did before theirs.
        // A stop that is under way keeps its patience.
        let last = self.shared.handles.fetch_sub(1, Ordering::AcqRel) == 1;
        if last && !self.shared.gate.load().is_closed() {
            self.shared.stop(None);
        }
    }
}

impl<K: Key, R: Reasons, P: Merge> fmt::Debug for Reveille<K, R, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reveille")
            .field("slot", &self.shared.slot)
            .field("gate", &self.shared.gate)
            .finish_non_exhaustive()
    }
}

/// Ownership of an installed handler: dropping it removes the handler, if it is still current.
///
/// Disposing is idempotent, and a stale one changes nothing and is counted (P1).
#[must_use = "dropping a registration removes its handler at once; `keep()` leaves it in"]
pub struct Registration<K: Key = String, R: Reasons = (), P: Merge = ()> {
    inner: reveille_core::Registration<Shared<K, R, P>>,
    pub(crate) runs: Arc<Runs>,
}

impl<K: Key, R: Reasons, P: Merge> Registration<K, R, P> {
    /// The generation of this handler (P2).
    pub fn generation(&self) -> Generation {
        self.inner.generation()
    }

    /// Whether this handler is the one installed. May be outdated as soon as it returns.
    pub fn is_current(&self) -> bool {
        self.inner.is_current()
    }

    /// Removes the handler, if this generation is current, and says what it found. Runs in
    /// flight go on. Idempotent, lock-free, callable from anywhere, also from inside a run.
    pub fn dispose(&self) -> Disposal {
        self.inner.dispose()
    }

    /// Leaves the handler in without a guard.
    pub fn keep(self) -> Generation {
        self.inner.keep()
    }
}

impl<K: Key, R: Reasons, P: Merge> fmt::Debug for Registration<K, R, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
