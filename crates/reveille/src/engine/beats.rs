//! Cadences (P8): a beat is a wake with urgency `Beat`, due at once.

use super::Engine;
use super::record::Beating;
use crate::hub::Key;
use crate::merge::Merge;
use crate::node::{Node, show};
use crate::policy::Missed;
use crate::reasons::Reasons;
use reveille_core::pending::{Request, Verdict};
use reveille_core::sync::Ordering;
use reveille_core::{Tick, Urgency};

impl<K: Key, R: Reasons, P: Merge> Engine<K, R, P> {
    /// Puts a cadence in force, or none: the one place at which a beat is armed.
    pub(super) fn set_beating(&mut self, index: u32, beating: Option<Beating>) {
        let Some(record) = self.record(index) else { return };
        let entry = record.entry();
        let Some(detail) = &mut record.detail else { return };
        let instant = |beating: Option<Beating>| beating.map_or(Tick::NEVER, |b| b.next);
        let from = instant(detail.cadence);
        detail.cadence = beating;
        show(&detail.extras.vitals.next_beat, instant(beating).as_micros());
        self.state.beats.set(entry, from, instant(beating));
    }

    pub(super) fn beat_what_is_due(&mut self) {
        while let Some((at, index)) = self.state.beats.first()
            && at <= self.state.now
        {
            self.beat(index);
        }
    }

    /// The beats of one target from its next instant up to now. The next one is armed first, by
    /// whole periods from the beat's own instant, whatever becomes of these.
    fn beat(&mut self, index: u32) {
        let now = self.state.now;
        let Some(node) = self.node(index) else { return };
        let Some(detail) = self.detail_or_new(index) else { return };
        let Some(beating) = detail.cadence else { return };
        let first = beating.next;
        let (count, last) = beating.cadence.passed(first, now);
        let next = beating.cadence.after(last);
        let in_flight = detail.run.as_ref().is_some_and(|run| run.beats > 0);
        let unserved = detail.beats > 0;
        let extras = std::sync::Arc::clone(&detail.extras);
        self.set_beating(index, Some(Beating { next, last: Some(last), ..beating }));
        self.shared.tallies.beats.add(count);
        self.shared.tallies.accepted(count);
        let vitals = &extras.vitals;
        show(&vitals.beats, vitals.beats.load(Ordering::Relaxed) + count);
        if self.shared.policy.missed == Missed::Burst {
            let own = u64::from(!unserved && !in_flight);
            extras.owed.fetch_add(count - own, Ordering::AcqRel);
            if own > 0 {
                self.join_beats(index, &node, first, last, 1);
            }
            // A hub that stopped meanwhile has counted what it found; the rest is ours.
            if node.word.load().is_closed() {
                self.shared.tallies.discarded.add(node.take_owed());
            }
        } else {
            let passed = unserved || now > first;
            if self.join_beats(index, &node, first, last, count) {
                if let Some(detail) = self.detail(index) {
                    detail.passed |= passed;
                }
            }
        }
        self.look(index as usize);
    }

    /// Joins `count` beats to the wake that waits, as one request. True if they were accepted.
    fn join_beats(
        &mut self,
        index: u32,
        node: &Node<K, P>,
        due: Tick,
        last: Tick,
        count: u64,
    ) -> bool {
        let tallies = &self.shared.tallies;
        let reasons = R::BEAT.to_bits();
        let request = Request { due, reasons, urgency: Urgency::Beat };
        match node.word.join(request, self.shared.has_unnoted()).verdict {
            Verdict::Armed => tallies.coalesced(count - 1),
            Verdict::Preempted | Verdict::Coalesced => tallies.coalesced(count),
            Verdict::Refused => {
                tallies.refused.add(count);
                return false;
            }
        }
        if let Some(detail) = self.detail(index) {
            detail.beats += count;
            detail.last_beat = Some(last);
        }
        true
    }

    /// The next beat that is owed becomes a wake, now that the last one was served.
    pub(super) fn serve_owed(&mut self, index: u32) {
        let now = self.state.now;
        let Some(node) = self.node(index) else { return };
        let Some(detail) = self.detail(index) else { return };
        if detail.beats > 0 {
            return;
        }
        let last = detail.cadence.and_then(|beating| beating.last).unwrap_or(now);
        let owed = &detail.extras.owed;
        let took = owed.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1));
        // It was counted as accepted when it passed.
        if took.is_ok() && !self.join_beats(index, &node, now, last, 1) {
            // Closed: it was not refused but discarded, as it waited.
            self.shared.tallies.discarded.add(1);
        }
    }
}
