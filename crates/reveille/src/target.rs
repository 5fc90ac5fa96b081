use crate::cadence::Cadence;
use crate::hub::Key;
use crate::marks::Mark;
use crate::merge::Merge;
use crate::node::{Extras, Node};
use crate::reasons::Reasons;
use crate::setting::{Claim, TakenBack, Wanted};
use crate::shared::{Shared, lock};
use crate::snapshot::{TargetSnapshot, TargetState};
use crate::ticket::{Ticket, Unserved};
use crate::wake::{Refusal, Refused, Rejected, Wake, When, Woken};
use reveille_core::pending::{Request, Verdict, Word};
use reveille_core::sync::Arc;
use reveille_core::{Generation, Tick, Urgency};
use siphasher::sip::SipHasher13;
use std::fmt;
use std::hash::{Hash, Hasher};

/// A handle to one target of a hub: the cheap way to wake it. Clones are handles to the same.
pub struct Target<K: Key = String, R: Reasons = (), P: Merge = ()> {
    shared: Arc<Shared<K, R, P>>,
    node: Arc<Node<K, P>>,
}

impl<K: Key, R: Reasons, P: Merge> Target<K, R, P> {
    pub(crate) fn new(shared: Arc<Shared<K, R, P>>, node: Arc<Node<K, P>>) -> Self {
        Self { shared, node }
    }

    /// The key of this target.
    pub fn key(&self) -> &K {
        &self.node.key
    }

    /// Requests a run (P3, P5), and says what became of the request.
    ///
    /// All that this thread did before is visible to the run that serves the request, also
    /// when it was coalesced (P4). N wakes during a run cause one further run (P6).
    ///
    /// # Progress
    /// Lock-free without a payload, and allocates nothing. A relative delay reads the clock unless
    /// the instant of the last turn proves the request coalesced. A payload allocates and
    /// calls `Merge`.
    #[inline(always)] // by measurement: what a caller knows of `wake` is two thirds of it
    #[allow(clippy::inline_always)]
    pub fn wake(&self, wake: Wake<R, P>) -> Woken<P> {
        let (unnoted, seen) = self.look();
        if wake.payload.is_none() && self.coalesces(&wake, seen, unnoted) {
            self.shared.tallies.accepted_as(Verdict::Coalesced);
            return Woken::Coalesced;
        }
        self.wake_from(wake, seen, unnoted)
    }

    /// The same for a wake that changes something, as far as can be told without a clock.
    #[inline(never)]
    fn wake_from(&self, wake: Wake<R, P>, seen: Word, unnoted: bool) -> Woken<P> {
        if wake.payload.is_some() {
            return self.wake_with_payload(wake);
        }
        // No foreign code but the clock, before anything is counted: its panics are the caller's.
        let verdict = match wake.when {
            When::At(due) => {
                let (reasons, urgency) = (wake.reason_bits(), wake.urgency);
                self.join(Request { due, reasons, urgency }, seen, unnoted)
            }
            When::Within(_) | When::Soon => self.join_by_clock(&wake, seen, unnoted),
        };
        self.shared.tallies.accepted_as(verdict);
        match verdict {
            Verdict::Armed => Woken::Armed,
            Verdict::Preempted => Woken::Preempted,
            Verdict::Coalesced => Woken::Coalesced,
            Verdict::Refused => Woken::Refused(Refused { refusal: self.refusal(), payload: None }),
        }
    }

    #[cold]
    fn wake_with_payload(&self, wake: Wake<R, P>) -> Woken<P> {
        let request = self.shared.tallies.accept();
        match self.attempt(&wake) {
            Ok(woken) => {
                request.take();
                woken
            }
            Err(refusal) => Woken::Refused(Refused { refusal, payload: wake.payload }),
        }
    }

    /// Whether an install is unnoted, and the word: in this order, see [`Word::join`].
    #[inline]
    fn look(&self) -> (bool, Word) {
        (self.shared.has_unnoted(), self.node.word.look())
    }

    /// Joins a wake that no earlier instant showed to coalesce: now the clock says when it is due.
    #[inline(never)]
    fn join_by_clock(&self, wake: &Wake<R, P>, seen: Word, unnoted: bool) -> Verdict {
        let due = self.due(wake.when, || self.shared.now());
        let request = Request { due, reasons: wake.reason_bits(), urgency: wake.urgency };
        if !unnoted && seen.contains(request) && self.node.word.stays(seen) {
            self.shared.tell_wake(&self.node, Verdict::Coalesced, due);
            return Verdict::Coalesced;
        }
        self.join(request, seen, unnoted)
    }

    /// Requests a run as [`wake`](Self::wake) does, and returns a ticket that ends with it.
    ///
    /// The run that ends it has seen all that this thread did before (P4). Of a wake that races a
    /// start, the ticket may be ended by the run that starts.
    ///
    /// # Errors
    /// The payload, if the wake is refused.
    ///
    /// # Progress
    /// Allocates, and waits for a cancel or another awaited wake of the same target that is under
    /// way. Outside what P15 and P16 promise of plain wakes.
    pub fn wake_awaited(&self, wake: Wake<R, P>) -> Result<Ticket, Refused<P>> {
        let request = self.shared.tallies.accept();
        let refused = |refusal, wake: Wake<R, P>| Refused { refusal, payload: wake.payload };
        if let Err(refusal) = self.add_payload(&wake) {
            return Err(refused(refusal, wake));
        }
        let due = self.due(wake.when, || self.shared.now());
        let (reasons, urgency) = (wake.reason_bits(), wake.urgency);
        let extras = self.node.extras_or_new();
        // No foreign code in here.
        let alone = lock(&extras.awaiting);
        let batch = extras.tickets.join();
        extras.marks.put(Mark::TICKETS);
        let unnoted = self.shared.has_unnoted();
        let join = self.node.word.join(Request { due, reasons, urgency }, unnoted);
        drop(alone);
        if join.publish {
            self.shared.publish(self.node.index, due);
        }
        match join.verdict {
            Verdict::Refused => {
                self.shared.tell_wake(&self.node, join.verdict, due);
                // Put in behind the closer's back, maybe: nobody else will take it out.
                extras.tickets.take().end(Err(self.shared.unserved()));
                return Err(refused(self.refusal(), wake));
            }
            Verdict::Armed => {}
            Verdict::Preempted | Verdict::Coalesced => self.shared.tallies.coalesced(1),
        }
        self.shared.tallies.preempted(join.verdict);
        self.shared.tell_wake(&self.node, join.verdict, due);
        request.take();
        let was_vacant = self.shared.slot.load().handler().is_none();
        let (target, hub) = (Arc::as_ptr(&self.node).addr(), Arc::as_ptr(&self.shared).addr());
        Ok(Ticket::new(batch, target, hub, was_vacant))
    }

    /// A wake, counted as accepted by the caller, and as refused by the caller if it is.
    pub(crate) fn attempt(&self, wake: &Wake<R, P>) -> Result<Woken<P>, Refusal> {
        self.add_payload(wake)?;
        let (unnoted, seen) = self.look(); // behind the payload
        if self.coalesces(wake, seen, unnoted) {
            self.shared.tallies.coalesced(1);
            return Ok(Woken::Coalesced);
        }
        let verdict = self.join_by_clock(wake, seen, unnoted);
        let woken = match verdict {
            Verdict::Armed => return Ok(Woken::Armed),
            Verdict::Preempted => Woken::Preempted,
            Verdict::Coalesced => Woken::Coalesced,
            Verdict::Refused => return Err(self.refusal()),
        };
        self.shared.tallies.preempted(verdict);
        self.shared.tallies.coalesced(1);
        Ok(woken)
    }

    /// Whether the wake that was seen to wait serves this one too; where it can be told without writing
    /// (P4), and without reading a clock.
    #[inline]
    fn coalesces(&self, wake: &Wake<R, P>, seen: Word, unnoted: bool) -> bool {
        // The last turn was no later than now, so this due is no later than that of a delay: what serves
        // it serves us.
        let due = self.due(wake.when, || self.shared.last_turn());
        let at_least = Request { due, reasons: wake.reason_bits(), urgency: wake.urgency };
        let coalesces = !unnoted && seen.contains(at_least) && self.node.word.stays(seen);
        if coalesces {
            self.shared.tell_wake(&self.node, Verdict::Coalesced, due);
        }
        coalesces
    }

    /// Joins a request to the target's wake, seen before, and publishes it if that is owed (P3).
    #[inline(always)] // by measurement, as `wake`
    #[allow(clippy::inline_always)]
    fn join(&self, request: Request, seen: Word, unnoted: bool) -> Verdict {
        let join = self.node.word.join_from(seen, request, unnoted);
        if join.publish {
            self.shared.publish(self.node.index, request.due);
        }
        self.shared.tell_wake(&self.node, join.verdict, request.due);
        join.verdict
    }

    /// Puts the payload in, before the word.
    fn add_payload(&self, wake: &Wake<R, P>) -> Result<(), Refusal> {
        let Some(payload) = &wake.payload else { return Ok(()) };
        if self.is_removed() {
            self.shared.tell_wake(&self.node, Verdict::Refused, Tick::NOW);
            return Err(self.refusal());
        }
        self.node.extras_or_new().add_payload(payload);
        Ok(())
    }

    /// When a wake is due, by what `now` says if that is asked.
    #[inline]
    fn due(&self, when: When, now: impl FnOnce() -> Tick) -> Tick {
        match when {
            When::At(instant) => instant,
            When::Within(micros) => Tick::from_micros(now().as_micros().saturating_add(micros)),
            When::Soon => now() + self.shared.policy.coalesce,
        }
    }

    /// Why a closed word is closed.
    fn refusal(&self) -> Refusal {
        let stopped = self.shared.gate.load().is_closed();
        if stopped { Refusal::Stopped } else { Refusal::Removed }
    }

    /// Sets or changes the cadence; the latest setting wins. An unchanged one keeps its next
    /// instant and its phase (P17); a changed period counts from the last beat.
    ///
    /// From here on a beat is armed, pending or running until the cadence or the target is
    /// removed or the hub stops, whatever runs do (P8).
    ///
    /// # Errors
    /// The cadence, if the target was removed or the hub has stopped.
    pub fn beat(&self, cadence: Cadence) -> Result<(), Rejected<Cadence>> {
        if self.node.word.load().is_closed() {
            return Err(Rejected { refusal: self.refusal(), value: cadence });
        }
        let now = self.shared.now();
        let wanted = self.wanted(cadence, now);
        let extras = self.node.extras_or_new();
        extras.setting.set(Some(wanted), now);
        self.publish_setting(&extras);
        Ok(())
    }

    /// Removes the cadence; a wake that waits stays.
    pub fn stop_beating(&self) {
        let extras = self.node.extras_or_new();
        extras.setting.set(None, self.shared.now());
        self.publish_setting(&extras);
    }

    /// `cadence`, as it falls for this target.
    fn wanted(&self, cadence: Cadence, now: Tick) -> Wanted {
        let epoch = || self.shared.epoch(now);
        let grid = cadence.grid(stable_hash(self.key()), epoch);
        let resume = self.shared.last_beat(self.key()).map(|beat| beat.saturating_add(epoch()));
        Wanted { cadence, grid, resume }
    }

    fn publish_setting(&self, extras: &Extras<K, P>) {
        self.mark_setting(extras);
        self.shared.demand_turn();
    }

    /// The driver is to hear of a setting.
    fn mark_setting(&self, extras: &Extras<K, P>) {
        extras.marks.put(Mark::SETTING);
        self.shared.ready.set(self.node.index as usize);
    }

    /// A runner sets the cadence as its own. The caller demands a turn.
    pub(crate) fn claim(&self, cadence: &Cadence, by: Generation) -> Claim {
        let now = self.shared.now();
        let wanted = self.wanted(cadence.clone(), now);
        let extras = self.node.extras_or_new();
        let claim = extras.setting.claim(&wanted, by, now);
        if matches!(claim, Claim::Set | Claim::Unchanged) {
            self.mark_setting(&extras);
        }
        claim
    }

    /// A runner gives up the cadence, if it is its own. The caller demands a turn.
    pub(crate) fn take_back(&self, by: Generation) -> TakenBack {
        let Some(extras) = self.node.extras() else { return TakenBack::Gone };
        let taken = extras.setting.take_back(by, self.shared.now());
        if taken == TakenBack::Yes {
            self.mark_setting(&extras);
        }
        taken
    }

    /// Discards the wake that waits, and its payload; a run in flight goes on, and so does the
    /// cadence. True if there was one: it counts as discarded.
    ///
    /// A payload belongs to what waits, not to one request: that of a wake which races this call
    /// may go with the wake that is discarded; and so may the mark of a [barrier](Self::barrier).
    pub fn cancel(&self) -> bool {
        // Made where there are none: an awaited wake may be about to make them.
        let waits = self.node.word.load().has_wake();
        let extras = waits.then(|| self.node.extras_or_new());
        // No foreign code in here.
        let alone = extras.as_ref().map(|extras| lock(&extras.awaiting));
        let cancelled = waits && self.node.word.cancel();
        let tickets = extras.as_ref().filter(|_| cancelled).map(|extras| extras.tickets.take());
        drop(alone);
        if cancelled && let Some(extras) = &extras {
            // Not heard of yet, where it waits behind a run; a request that races this may lose it.
            extras.marks.take(Mark::BARRIER);
            drop(extras.payload.swap(None));
        }
        if let Some(tickets) = tickets {
            tickets.end(Err(Unserved::Cancelled));
        }
        let discarded = u64::from(cancelled) + self.node.take_owed();
        self.shared.tallies.discarded.add(discarded);
        if discarded > 0 {
            self.shared.publish(self.node.index, Tick::NOW);
        }
        discarded > 0
    }

    /// Puts what waits off to no sooner than `instant`. True if something waited.
    ///
    /// It is a cancel and a wake in one step, of which nothing is lost: reasons, urgency, payload and
    /// tickets stay, and so do the target's floor and failures. It starts afresh in all else: a deferral
    /// is over, its attempts count from 1, the beats in it are told as a reason alone, and it is no
    /// barrier any more. A wake that is held back, by a deferral or a floor or for want of a place, is
    /// due at `instant`; any other stays where it is due later. What is requested from here on has its
    /// own due, and takes the rest along (P5). Beats that are owed
    /// ([`Missed::Burst`](crate::Missed::Burst)) are not moved.
    ///
    /// # Progress
    /// Lock-free; allocates nothing.
    pub fn postpone(&self, instant: Tick) -> bool {
        let postponed = self.node.word.postpone(instant);
        if postponed {
            if let Some(extras) = self.node.extras() {
                extras.marks.take(Mark::BARRIER); // as a cancel does
            }
            self.shared.publish(self.node.index, Tick::NOW);
        }
        postponed
    }

    /// Requests a run that runs alone: a *barrier*. Its urgency is [`Urgency::Urgent`], whatever
    /// `wake` says.
    ///
    /// From the instant from which it may start (its due, and the target's floors), no other run of the
    /// hub starts, but those that could have started by then. When these and all runs in flight have
    /// ended, the barrier runs, and nothing else until it has ended. It waits for at most
    /// [`Policy::barrier_limit`](crate::Policy::barrier_limit), and then starts beside what is
    /// still in flight, which [`Run::beside`](crate::Run::beside) names. It needs a place among
    /// `max_active` like any run. If the run gives its wake back, that stays a barrier.
    ///
    /// Of a request that races the start of an earlier wake of the target, that run may be the barrier's,
    /// and has seen all that was done before; the wake then causes one more run, a plain one.
    ///
    /// The one exception to P5 and P10: a barrier delays other targets, by as long as it waits and runs.
    pub fn barrier(&self, wake: Wake<R, P>) -> Woken<P> {
        let request = self.shared.tallies.accept();
        let refused = |refusal, payload| Woken::Refused(Refused { refusal, payload });
        if let Err(refusal) = self.add_payload(&wake) {
            return refused(refusal, wake.payload);
        }
        let due = self.due(wake.when, || self.shared.now());
        let urgent = Request { due, reasons: wake.reason_bits(), urgency: Urgency::Urgent };
        // Before the word: who takes the wake from it finds the mark.
        self.node.extras_or_new().marks.put(Mark::BARRIER);
        let unnoted = self.shared.has_unnoted();
        let join = self.node.word.join(urgent, unnoted);
        if join.publish {
            self.shared.publish(self.node.index, due);
        }
        self.shared.tallies.preempted(join.verdict);
        self.shared.tell_wake(&self.node, join.verdict, due);
        let woken = match join.verdict {
            Verdict::Refused => return refused(self.refusal(), wake.payload),
            Verdict::Armed => Woken::Armed,
            Verdict::Preempted => Woken::Preempted,
            Verdict::Coalesced => Woken::Coalesced,
        };
        request.take();
        if join.verdict != Verdict::Armed {
            self.shared.tallies.coalesced(1);
        }
        woken
    }

    /// Whether a wake of this target was given up, and no run of it was done since, nor a
    /// [`revive`](Self::revive) heard.
    pub fn is_poisoned(&self) -> bool {
        !self.is_removed() && self.node.extras().is_some_and(|extras| extras.is_poisoned())
    }

    /// Requests again what was given up, with its reasons, urgency and payload, due now; the target's
    /// floor and its failures are forgotten. Nothing happens where the target is not poisoned.
    /// True if it was. The request counts as accepted when the driver hears of it.
    pub fn revive(&self) -> bool {
        let Some(extras) = self.node.extras().filter(|_| self.is_poisoned()) else {
            return false;
        };
        extras.marks.put(Mark::REVIVE);
        self.shared.ready.set(self.node.index as usize);
        self.shared.demand_turn();
        true
    }

    /// Forgets the target's floor, backoff, failures and deferral, as an install does for all targets
    /// (P9): what waits may start as soon as it is due. For an operator who knows that the cause is
    /// gone; a request, however urgent, never does that. What a run in flight ends with counts anew.
    ///
    /// Takes effect when the driver hears of it, before what is asked for from here on. Rates stay.
    pub fn forgive(&self) {
        // A target without extras never ran.
        let Some(extras) = self.node.extras() else { return };
        extras.marks.put(Mark::FORGIVE);
        self.shared.ready.set(self.node.index as usize);
        self.shared.demand_turn();
    }

    /// Forgets the target: the wake that waits is discarded, the cadence gone, this handle dead.
    /// A run in flight goes on without effect, and keeps the key until it ends: a new target of
    /// the key waits for it (P6). True for the call that removed it.
    pub fn remove(&self) -> bool {
        let Ok(_) = self.shared.close(&self.node) else { return false };
        self.shared.ready.set(self.node.index as usize);
        self.shared.demand_turn();
        true
    }

    /// Whether this handle's target takes no wakes any more.
    pub fn is_removed(&self) -> bool {
        self.node.word.load().is_closed()
    }

    /// Whether a wake waits, a run is in flight, or neither.
    pub fn state(&self) -> TargetState {
        TargetState::of(self.node.word.load())
    }

    /// All that a hub's snapshot says of this target.
    pub fn snapshot(&self) -> TargetSnapshot<K> {
        TargetSnapshot::of(&self.node)
    }
}

impl<K: Key, R: Reasons, P: Merge> Clone for Target<K, R, P> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), node: Arc::clone(&self.node) }
    }
}

impl<K: Key + fmt::Debug, R: Reasons, P: Merge> fmt::Debug for Target<K, R, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("key", &self.node.key)
            .field("word", &self.node.word)
            .field("completion", &self.node.completion)
            .finish()
    }
}

/// A hash of a key that is the same in every process: what spreads phases (SipHash 1-3, all-zero
/// key).
fn stable_hash<K: Hash>(key: &K) -> u64 {
    let mut hasher = SipHasher13::new();
    key.hash(&mut hasher);
    hasher.finish()
}
