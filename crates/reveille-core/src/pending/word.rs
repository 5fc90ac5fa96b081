use crate::{Tick, Urgency};
use core::fmt;

const CLOSED: u64 = 1;
const CANCELLED: u64 = 1 << 1;
const RUNNING: u64 = 1 << 2;
const SEEN: u64 = 1 << 3;
const FLAGS: u32 = 4;

const URGENCY_BITS: u32 = 2;
const REASON_BITS: u32 = 8;
const DUE_BITS: u32 = 50;
const URGENCY_AT: u32 = FLAGS;
const REASONS_AT: u32 = URGENCY_AT + URGENCY_BITS;
const DUE_AT: u32 = REASONS_AT + REASON_BITS;

const _: () = assert!(DUE_AT + DUE_BITS == u64::BITS, "the fields fill the word");

/// No wake: a due that no request can have.
const EMPTY: u64 = (1 << DUE_BITS) - 1;
/// The due of a wake that pends without ever being armed.
const NEVER: u64 = EMPTY - 1;
const _: () = assert!(NEVER == Tick::HORIZON.as_micros());
/// The due of a parked word, and of a request for now.
const NOW: u64 = 0;

/// A snapshot of a pending word: fields, predicates, and edges from snapshot to snapshot.
///
/// No atomics here; [`Pending`](super::Pending) has them. The module has the table of valid words.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Word(pub(super) u64);

/// What is asked for: to be run by `due`, for these reasons, this urgently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The latest instant at which the run is to start. Dues past 2^50 µs (35 years) pend and
    /// are never armed.
    pub due: Tick,
    /// A set of up to eight reasons.
    pub reasons: u8,
    /// How much it presses.
    pub urgency: Urgency,
}

/// What a join meant for the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing waited; now a wake does.
    Armed,
    /// A wake waited, and is now due sooner.
    Preempted,
    /// A wake waited that serves this request too.
    Coalesced,
    /// The target was removed or its hub stopped.
    Refused,
}

/// A join's new word, what it meant, and whether its caller must publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a join that must be published and is not is a lost wake"]
pub struct Joined {
    /// The word after the join.
    pub word: Word,
    /// What it meant for the target.
    pub verdict: Verdict,
    /// Whether the caller owes: ready bit, deadline slot, bell.
    pub publish: bool,
}

/// The wake that a run serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its reasons.
    pub reasons: u8,
    /// Its urgency.
    pub urgency: Urgency,
}

impl Word {
    /// Nothing waits, nothing runs.
    pub const IDLE: Self = Self(EMPTY << DUE_AT);

    const fn due_bits(self) -> u64 {
        self.0 >> DUE_AT
    }

    const fn with_wake(self, due: u64, reasons: u8, urgency: Urgency) -> Self {
        let flags = self.0 & (CLOSED | CANCELLED | RUNNING | SEEN);
        Self(
            due << DUE_AT | (reasons as u64) << REASONS_AT | (urgency as u64) << URGENCY_AT | flags,
        )
    }

    const fn without_wake(self) -> Self {
        Self(self.with_wake(EMPTY, 0, Urgency::Retry).0 & !SEEN)
    }

    const fn with(self, flag: u64) -> Self {
        Self(self.0 | flag)
    }

    const fn without(self, flag: u64) -> Self {
        Self(self.0 & !flag)
    }

    const fn has(self, flag: u64) -> bool {
        self.0 & flag != 0
    }

    /// The word of these bits, for whoever draws an execution.
    #[cfg(any(reveille_loom, reveille_shuttle))]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Whether a wake waits.
    pub const fn has_wake(self) -> bool {
        self.due_bits() != EMPTY
    }

    /// Whether a run is in flight.
    pub const fn is_running(self) -> bool {
        self.has(RUNNING)
    }

    /// Whether the driver has this word's due in its timer store.
    pub const fn is_seen(self) -> bool {
        self.has(SEEN) && !self.has(RUNNING)
    }

    /// Whether the driver holds the wake back.
    pub const fn is_parked(self) -> bool {
        self.has(SEEN) && !self.has(RUNNING) && self.due_bits() == NOW
    }

    /// Whether the wake that waits behind a run was requested, in part, after an install that
    /// the driver has not noted: that install must not move it.
    pub const fn is_late(self) -> bool {
        self.has(SEEN) && self.has(RUNNING)
    }

    /// Whether a wake was discarded, or put off, and the driver does not know yet.
    pub const fn is_cancelled(self) -> bool {
        self.has(CANCELLED)
    }

    /// Whether the target takes no wakes any more.
    pub const fn is_closed(self) -> bool {
        self.has(CLOSED)
    }

    /// When the wake that waits is due; [`Tick::NEVER`] if none does.
    pub const fn due(self) -> Tick {
        match self.due_bits() {
            EMPTY | NEVER => Tick::NEVER,
            due => Tick::from_micros(due),
        }
    }

    /// The reasons of the wake that waits.
    pub const fn reasons(self) -> u8 {
        (self.0 >> REASONS_AT) as u8
    }

    /// The urgency of the wake that waits.
    pub const fn urgency(self) -> Urgency {
        Urgency::from_bits(self.0 >> URGENCY_AT)
    }

    /// Whether `request` changes nothing in this word and obliges to nothing: it may be coalesced
    /// without being written, behind a fence.
    ///
    /// Where its due is only known from below: what holds for an earlier due holds for a later one.
    #[inline]
    pub fn contains(self, request: Request) -> bool {
        // No request is due as late as EMPTY: what is due no later is a wake.
        self.has(SEEN | RUNNING)
            && self.due_bits() <= due_bits(request.due)
            && !(self.is_parked() && request.urgency == Urgency::Urgent)
            && self.reasons() & request.reasons == request.reasons
            && self.urgency() >= request.urgency
    }

    /// A request arrives.
    ///
    /// ```text
    ///   idle             ─▶ news       armed      publish
    ///   news             ─▶ news       merged     publish, to help whoever stalled
    ///   seen, parked     ─▶ the same   merged
    ///   seen, parked     ─▶ news       replaced   publish: sooner, urgent on parked, or unnoted
    ///   running, again   ─▶ again      merged; late if unnoted
    ///   closed           ─▶ closed     refused
    /// ```
    /// `unnoted`: an install took effect that the driver has not noted, so what it has seen says
    /// nothing about this request.
    #[inline]
    pub fn join(self, request: Request, unnoted: bool) -> Joined {
        if self.is_closed() {
            return Joined { word: self, verdict: Verdict::Refused, publish: false };
        }
        let due = due_bits(request.due);
        let reasons = self.reasons() | request.reasons;
        let urgency = self.urgency().max(request.urgency);
        let sooner = due < self.due_bits();
        let verdict = match self.has_wake() {
            false => Verdict::Armed,
            true if sooner => Verdict::Preempted,
            true => Verdict::Coalesced,
        };
        if self.is_running() {
            let word = self.with_wake(due.min(self.due_bits()), reasons, urgency);
            let word = if unnoted { word.with(SEEN) } else { word };
            return Joined { word, verdict, publish: false };
        }
        if !self.is_seen() {
            let word = self.with_wake(due.min(self.due_bits()), reasons, urgency);
            return Joined { word, verdict, publish: true };
        }
        let passes_deferral = self.is_parked() && request.urgency == Urgency::Urgent;
        if sooner || passes_deferral || unnoted {
            let word = self.without(SEEN).with_wake(due, reasons, urgency);
            return Joined { word, verdict, publish: true };
        }
        let word = self.with_wake(self.due_bits(), reasons, urgency);
        Joined { word, verdict, publish: false }
    }

    /// The driver has put `due` into its timer store, or parks the wake with [`Tick::NOW`].
    ///
    /// ```text
    ///   news, seen, parked ─▶ seen (due > now) or parked (due = now)
    ///   again, late        ─▶ again, with this due
    /// ```
    /// `None` where there is no wake to settle, or a cancel to look at first.
    pub fn settle(self, due: Tick) -> Option<Self> {
        if !self.has_wake() || self.is_cancelled() {
            return None;
        }
        let settled = self.with_wake(due_bits(due), self.reasons(), self.urgency());
        Some(if self.is_running() { settled.without(SEEN) } else { settled.with(SEEN) })
    }

    /// The driver starts a run and takes the wake.
    ///
    /// ```text
    ///   seen, parked ─▶ running
    /// ```
    /// `None` where no run may start: no wake, a run in flight, closed, or cancelled and not
    /// yet looked at. Nor from news: a wake that was requested after an install must not be taken
    /// by a run of the handler before it, so the driver looks first, and notes the install.
    pub fn begin(self) -> Option<(Self, Taken)> {
        if !self.has_wake() || !self.is_seen() || self.has(CANCELLED | CLOSED) {
            return None;
        }
        let taken = Taken { reasons: self.reasons(), urgency: self.urgency() };
        Some((self.without_wake().with(RUNNING), taken))
    }

    /// The run ended; `kept` is the wake that it gave back, if any. A cancel has discarded what
    /// waited behind the run, not what the run gives back.
    ///
    /// ```text
    ///   running, again ─▶ parked with what was kept; the driver knows when it may go on
    ///   running        ─▶ idle
    ///   again          ─▶ news
    ///   closed         ─▶ closed; what was kept is not taken back
    /// ```
    pub fn end(self, kept: Option<Taken>) -> Self {
        let ended = self.without(RUNNING | SEEN | CANCELLED);
        match kept {
            Some(kept) if !self.is_closed() => {
                let reasons = self.reasons() | kept.reasons;
                ended.with_wake(NOW, reasons, self.urgency().max(kept.urgency)).with(SEEN)
            }
            _ => ended,
        }
    }

    /// The wake that waits is discarded; a run in flight goes on. `None` where nothing is to do.
    ///
    /// ```text
    ///   any with a wake ─▶ the same without, CANCELLED
    /// ```
    pub fn cancel(self) -> Option<Self> {
        (self.has_wake() && !self.is_closed()).then(|| self.without_wake().with(CANCELLED))
    }

    /// What waits is put off: it is cancelled, and requested again with its reasons and urgency, in one
    /// step; due no sooner than `to`. `None` where nothing waits.
    ///
    /// ```text
    ///   seen, news   ─▶ news, CANCELLED, no sooner than to, nor than it was
    ///   parked       ─▶ news, CANCELLED, due at to: when it was due, only the driver knew
    ///   again, late  ─▶ the same, CANCELLED, no sooner
    /// ```
    pub fn postpone(self, to: Tick) -> Option<Self> {
        if !self.has_wake() || self.is_closed() {
            return None;
        }
        let due = due_bits(to).max(self.due_bits());
        let put_off = self.with_wake(due, self.reasons(), self.urgency()).with(CANCELLED);
        Some(if self.is_running() { put_off } else { put_off.without(SEEN) })
    }

    /// The driver has forgotten what it remembered of the wake that was discarded or put off.
    pub fn forget(self) -> Self {
        self.without(CANCELLED)
    }

    /// The target takes no more wakes; a run in flight goes on.
    ///
    /// ```text
    ///   any ─▶ closed
    /// ```
    pub fn close(self) -> Self {
        self.without_wake().without(CANCELLED).with(CLOSED)
    }
}

/// A tick as the word keeps it: saturating one below EMPTY.
const fn due_bits(due: Tick) -> u64 {
    let micros = due.as_micros();
    if micros < NEVER { micros } else { NEVER }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = f.debug_struct("Word");
        if self.has_wake() {
            parts.field("due", &self.due());
            parts.field("reasons", &format_args!("{:#010b}", self.reasons()));
            parts.field("urgency", &self.urgency());
        }
        for (flag, name) in
            [(SEEN, "seen"), (RUNNING, "running"), (CANCELLED, "cancelled"), (CLOSED, "closed")]
        {
            if self.has(flag) {
                parts.field(name, &true);
            }
        }
        parts.finish()
    }
}
