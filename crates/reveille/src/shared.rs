//! What handles, runs and the driver of one hub share: the composition of the core's parts.

use crate::clock::{Clock, unix_micros};
use crate::counters::Tallies;
use crate::fault::{Fault, Observer, Place, contain};
use crate::health::Witness;
use crate::hub::Key;
use crate::installed::Installed;
use crate::merge::Merge;
use crate::node::Node;
use crate::policy::Policy;
use crate::reasons::Reasons;
use crate::registry::Registry;
use crate::stop::{InFlight, StopCell, StopTicket};
use crate::sync::{Mutex, MutexGuard};
use crate::ticket::Unserved;
use crate::trace::{tell, tell_wake};
use crate::{engine, run};
use reveille_core::gate::Gate;
use reveille_core::pending::Verdict;
use reveille_core::sync::{Arc, ArcSwapOption, AtomicU64, CachePadded, Ordering};
use reveille_core::{
    Bell, Change, DeadlineSlot, Disposal, HandlerSlot, Owner, ReadySet, Replaced, Tick,
};
use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;

/// Wakes a sleeping driver. Called from any thread, also from inside runs; must not block.
pub trait Ring: Send + Sync + 'static {
    /// The driver must turn: it would oversleep, or a command or stop waits for it.
    fn ring(&self);
}

pub(crate) struct Shared<K: Key, R: Reasons, P: Merge> {
    pub(crate) slot: HandlerSlot<Installed<K, R, P>>,
    pub(crate) ready: ReadySet,
    pub(crate) deadline: CachePadded<DeadlineSlot>,
    pub(crate) bell: CachePadded<Bell>,
    pub(crate) gate: CachePadded<Gate>,
    /// Read by every wake, written by installs and turns: apart from what wakes write.
    pub(crate) times: CachePadded<Times>,
    pub(crate) ringer: ArcSwapOption<Box<dyn Ring>>,
    pub(crate) registry: Registry<K, P>,
    pub(crate) tallies: Tallies,
    pub(crate) policy: Policy,
    pub(crate) clock: Box<dyn Clock>,
    observer: Option<Observer>,
    /// What the driver records as it goes, once somebody has asked for it.
    #[cfg(feature = "metrics")]
    pub(crate) histograms: ArcSwapOption<crate::meters::Histograms>,
    /// What those who ask for the hub's health leave behind.
    pub(crate) witness: CachePadded<Witness>,
    pub(crate) stop: Arc<StopCell>,
    /// Set once a stop waits for no run any more.
    abandoned: AtomicU64,
    /// User handles; the last one to go stops the hub.
    pub(crate) handles: AtomicU64,
    /// What a ledger kept of earlier processes.
    pub(crate) kept: ArcSwapOption<HashMap<K, KeptBeat>>,
    /// The engine, while no driver has it.
    pub(crate) seat: Mutex<engine::Seat<K, R, P>>,
}

/// The last beat of a target in an earlier process.
pub(crate) struct KeptBeat {
    /// In microseconds from the Unix epoch.
    pub(crate) at: i64,
    /// 1 once a cadence of the target was set, which goes on from it.
    pub(crate) told: AtomicU64,
}

/// A target was closed before.
pub(crate) struct AlreadyClosed;

pub(crate) struct Times {
    /// Installs that took effect.
    pub(crate) installs: AtomicU64,
    /// Those of them that the driver has noted: it has moved what it held.
    pub(crate) noted: AtomicU64,
    /// The instant of the last turn: a lower bound of now.
    pub(crate) last_turn: AtomicU64,
    /// Handlers that their owners removed, or a stop.
    pub(crate) removals: AtomicU64,
}

impl<K: Key, R: Reasons, P: Merge> Shared<K, R, P> {
    pub(crate) fn new(policy: Policy, clock: Box<dyn Clock>, observer: Option<Observer>) -> Self {
        let max_targets = policy.max_targets.get();
        let state = engine::State::seeded(policy.jitter_seed);
        Self {
            slot: HandlerSlot::vacant(),
            ready: ReadySet::with_capacity(usize::try_from(max_targets).unwrap_or(usize::MAX)),
            deadline: CachePadded::default(),
            bell: CachePadded::default(),
            gate: CachePadded::default(),
            times: CachePadded::new(Times {
                installs: AtomicU64::new(0),
                noted: AtomicU64::new(0),
                last_turn: AtomicU64::new(0),
                removals: AtomicU64::new(0),
            }),
            ringer: ArcSwapOption::empty(),
            registry: Registry::new(max_targets),
            tallies: Tallies::default(),
            policy,
            clock,
            observer,
            #[cfg(feature = "metrics")]
            histograms: ArcSwapOption::empty(),
            witness: CachePadded::default(),
            stop: Arc::default(),
            abandoned: AtomicU64::new(0),
            handles: AtomicU64::new(1),
            kept: ArcSwapOption::empty(),
            seat: Mutex::new(engine::Seat::Free(Box::new(state))),
        }
    }

    /// Whether an install took effect that the driver has not noted.
    #[inline]
    pub(crate) fn has_unnoted(&self) -> bool {
        // Acquire on `noted`, and first: who sees an install as noted sees the words as moved
        // (partner: `note`). `installs` is at least what this thread knows of; a later one only
        // makes the answer "yes".
        let noted = self.times.noted.load(Ordering::Acquire);
        noted != self.times.installs.load(Ordering::Acquire)
    }

    /// Traces what became of a wake. Empty without the feature.
    #[cfg_attr(not(feature = "tracing"), inline(always), expect(clippy::unused_self))]
    pub(crate) fn tell_wake(&self, node: &Node<K, P>, verdict: Verdict, due: Tick) {
        let _ = (node, due);
        match verdict {
            Verdict::Armed => {
                tell_wake!(DEBUG, node.index, "armed", due);
            }
            Verdict::Preempted => {
                tell_wake!(DEBUG, node.index, "preempted", due);
            }
            Verdict::Coalesced => {
                tell_wake!(TRACE, node.index, "coalesced", due);
            }
            Verdict::Refused => {
                tell_wake!(DEBUG, node.index, "refused", due);
            }
        }
    }

    /// Traces that a wake was refused for which there is no target. Empty without the feature.
    #[cfg_attr(not(feature = "tracing"), inline(always))]
    #[expect(clippy::unused_self, reason = "as `tell_wake` is called")]
    pub(crate) fn tell_refused(&self) {
        #[cfg(feature = "tracing")]
        tracing::event!(
            name: "reveille.wake",
            target: "reveille",
            tracing::Level::DEBUG,
            verdict = "refused"
        );
    }

    /// A subscriber panicked.
    #[cfg(feature = "tracing")]
    pub(crate) fn untold(&self, message: String) {
        self.tallies.faults.add(1);
        self.report(Place::Trace, message);
    }

    /// Ready bit, deadline slot, bell: what everyone owes who leaves news behind.
    #[inline]
    pub(crate) fn publish(&self, index: u32, at: Tick) {
        let marked = self.ready.set(index as usize);
        let asked = self.deadline.request_for(marked, at);
        if self.bell.must_ring(asked) {
            self.ring();
        }
    }

    /// Has a turn made at once, whatever the driver's bell says.
    pub(crate) fn demand_turn(&self) {
        self.deadline.request(Tick::NOW);
        self.ring();
    }

    #[cold]
    fn ring(&self) {
        if let Some(ringer) = &*self.ringer.load() {
            ringer.ring();
        }
    }

    /// Now, on this hub's clock, on a user's thread: its panics are the user's.
    pub(crate) fn now(&self) -> Tick {
        self.clock.now()
    }

    /// Where on this hub's clock, which says `now`, the Unix epoch lies by the wall clock: mostly
    /// long before its origin. Read on a user's thread.
    pub(crate) fn epoch(&self, now: Tick) -> i64 {
        let now = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
        now.saturating_sub(unix_micros(self.clock.wall()))
    }

    /// When the target of `key` last beat in an earlier process, if a ledger kept that: told once.
    pub(crate) fn last_beat(&self, key: &K) -> Option<i64> {
        let kept = self.kept.load();
        let beat = kept.as_ref()?.get(key)?;
        (beat.told.swap(1, Ordering::AcqRel) == 0).then_some(beat.at)
    }

    /// The instant of the last turn: a lower bound of now, for the price of a load.
    pub(crate) fn last_turn(&self) -> Tick {
        Tick::from_micros(self.times.last_turn.load(Ordering::Relaxed))
    }

    /// Counts and reports a contained panic; the observer's own panics are counted too (P18).
    pub(crate) fn fault(&self, place: Place, message: String) {
        match place {
            Place::Handler => self.tallies.panics.add(1),
            Place::RunLimit | Place::Recheck => {} // counted where they are found
            Place::Stall => self.tallies.stalls.add(1),
            _ => self.tallies.faults.add(1),
        }
        tell!(
            self,
            WARN,
            "reveille.fault",
            place = tracing::field::debug(place),
            message = &*message
        );
        self.report(place, message);
    }

    fn report(&self, place: Place, message: String) {
        if let Some(observer) = &self.observer
            && contain(|| observer(&Fault { place, message })).is_err()
        {
            self.tallies.faults.add(1);
        }
    }

    /// What a recorder of metrics made of a figure.
    #[cfg(feature = "metrics")]
    pub(crate) fn note_recording(&self, recording: Result<(), String>) {
        if let Err(message) = recording {
            self.fault(Place::Metrics, message);
        }
    }

    /// Drops foreign values; a panic in their `Drop` is a fault, not ours.
    pub(crate) fn discard<T>(&self, value: T) {
        if let Err(message) = contain(|| drop(value)) {
            self.fault(Place::Drop, message);
        }
    }

    /// A run that entered the gate has ended.
    pub(crate) fn leave_gate(&self) {
        let word = self.gate.leave();
        if word.is_closed() {
            self.stop.run_left(|| self.gate.load().in_flight());
        }
    }

    /// Stops the hub, or asks for less patience where it is stopping already (P13).
    ///
    /// The gate goes first, so nothing starts from here on; then the slot; then every word. Never
    /// waits for the driver, nor for a run.
    pub(crate) fn stop(&self, drain: Option<Duration>) {
        let found = self.gate.close();
        if found.is_closed() {
            if drain.is_none() {
                self.stop.hurry(|| self.gate.load().in_flight());
                self.abandon();
            }
            return;
        }
        let handler = self.slot.close();
        let noted = engine::let_go(self);
        self.times.removals.fetch_add(1, Ordering::AcqRel); // so that the driver lets go of it too
        let mut discarded = 0;
        self.registry.for_each(|node| discarded += self.close(node).unwrap_or(0));
        let left = || self.gate.load().in_flight();
        self.stop.closed(found.in_flight(), discarded, drain, left);
        if drain.is_none() {
            self.abandon();
        }
        self.demand_turn();
        self.discard((handler, noted));
        tell!(
            self,
            INFO,
            "reveille.stop",
            discarded = discarded,
            in_flight = found.in_flight(),
            drains = drain.is_some(),
        );
    }

    /// Closes one target for good; what waited is counted as discarded, and returned.
    ///
    /// # Errors
    /// If it was closed already.
    pub(crate) fn close(&self, node: &Node<K, P>) -> Result<u64, AlreadyClosed> {
        let found = node.word.close();
        // Word first, `owed` second, against `discard_owed_if_closed`, which has them the other way
        // round: all four are read-modify-writes or follow one, so one of the two sees the other,
        // and a beat that is owed is counted here or there.
        let discarded = u64::from(found.has_wake()) + node.take_owed();
        self.tallies.discarded.add(discarded);
        node.end_tickets(Err(self.unserved()));
        if found.is_closed() { Err(AlreadyClosed) } else { Ok(discarded) }
    }

    /// Why the tickets of a closed target end.
    pub(crate) fn unserved(&self) -> Unserved {
        if self.gate.load().is_closed() { Unserved::Stopped } else { Unserved::Removed }
    }

    /// A stop waits for no run any more: the tickets of those in flight end too (P13).
    ///
    /// Against the driver, which puts them in and then looks at `abandoned`: if this take comes first
    /// in the cell's order, the driver sees the flag.
    pub(crate) fn abandon(&self) {
        self.abandoned.swap(1, Ordering::AcqRel);
        self.registry.for_each(|node| {
            if let Some(extras) = node.extras() {
                extras.running.take().end(Err(Unserved::Stopped));
            }
        });
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire) == 1
    }

    /// Wakes that wait, by looking at every target.
    pub(crate) fn waiting(&self) -> u64 {
        let mut waiting = 0;
        self.registry.for_each(|node| waiting += node.waiting());
        waiting
    }
}

impl<K: Key, R: Reasons, P: Merge> Owner for Shared<K, R, P> {
    type Handler = Installed<K, R, P>;

    fn slot(&self) -> &HandlerSlot<Self::Handler> {
        &self.slot
    }

    fn published(&self, change: Change, replaced: Option<Replaced<Self::Handler>>) {
        match change {
            Change::Installed(_) => {
                self.tallies.installs.add(1);
                // Release: whoever sees it sees the entry in the slot (`note`).
                self.times.installs.fetch_add(1, Ordering::AcqRel);
                self.demand_turn();
            }
            Change::Disposed(Disposal::Removed) => {
                // Release: as above.
                self.times.removals.fetch_add(1, Ordering::AcqRel);
                self.demand_turn();
            }
            Change::Disposed(Disposal::Superseded) => self.tallies.stale_disposes.add(1),
            _ => {}
        }
        self.tell_change(change, replaced.as_ref());
        self.discard(replaced);
    }
}

impl<K: Key, R: Reasons, P: Merge> Shared<K, R, P> {
    /// Traces what became of the handler slot. Empty without the feature.
    #[cfg_attr(not(feature = "tracing"), inline(always), expect(clippy::unused_self))]
    fn tell_change(&self, change: Change, replaced: Option<&Replaced<Installed<K, R, P>>>) {
        let replaced = replaced.filter(|entry| entry.handler().is_some());
        let replaced = replaced.map(|entry| entry.generation().get());
        match (change, replaced) {
            (Change::Installed(new), Some(replaced)) => {
                let generation = new.get();
                let _ = (generation, replaced);
                tell!(self, INFO, "reveille.replace", generation = generation, replaced = replaced);
            }
            (Change::Installed(new), None) => {
                let generation = new.get();
                let _ = generation;
                tell!(self, INFO, "reveille.install", generation = generation);
            }
            (Change::Disposed(Disposal::Removed), Some(generation)) => {
                let _ = generation;
                tell!(self, INFO, "reveille.dispose", generation = generation, stale = false);
            }
            (Change::Disposed(Disposal::Superseded), _) => {
                tell!(self, INFO, "reveille.dispose", stale = true);
            }
            _ => {}
        }
    }
}

impl<K: Key, R: Reasons, P: Merge> InFlight for Shared<K, R, P> {
    fn in_flight(&self) -> u64 {
        self.gate.load().in_flight()
    }

    fn abandon(&self) {
        Self::abandon(self);
    }

    fn inside_own_run(&self) -> bool {
        run::inside(std::ptr::from_ref(self).addr())
    }
}

pub(crate) fn ticket<K: Key, R: Reasons, P: Merge>(shared: &Arc<Shared<K, R, P>>) -> StopTicket {
    let in_flight: Arc<dyn InFlight> = Arc::<Shared<K, R, P>>::clone(shared);
    StopTicket::new(Arc::clone(&shared.stop), in_flight)
}

/// The seat's engine, or who has it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
