//! Cadences (P8): a beat is a wake with urgency `Beat`, due at once.

use super::record::{Beating, Due, instant, tick};
use super::{AT_ONCE, Engine};
use crate::hub::Key;
use crate::merge::Merge;
use crate::node::show;
use crate::policy::Missed;
use crate::reasons::Reasons;
use reveille_core::pending::{Request, Verdict, Word};
use reveille_core::sync::Ordering;
use reveille_core::{Tick, Urgency};

impl<K: Key, R: Reasons, P: Merge> Engine<K, R, P> {
    /// Puts a cadence in force, or none: the one place at which a beat is armed.
    pub(super) fn set_beating(&mut self, index: u32, beating: Option<Beating>) {
        let leeway = self.shared.policy.leeway;
        let Some(record) = self.record(index) else { return };
        let entry = record.entry();
        let Some(detail) = &mut record.detail else { return };
        let from = detail.beats_at(leeway);
        detail.cadence = beating;
        let to = detail.beats_at(leeway);
        let next = beating.map_or(Tick::NEVER, |beating| beating.next);
        show(&detail.extras.vitals.next_beat, next.as_micros());
        if beating.is_none() {
            show(&detail.extras.vitals.unserved_since, Tick::NEVER.as_micros());
        }
        self.state.beats.set(entry, from, to);
    }

    /// The earliest that are due, so many at most.
    pub(super) fn beat_what_is_due(&mut self) {
        let mut left = 0..AT_ONCE;
        while let Some((at, index)) = self.state.beats.first()
            && at <= self.state.now
            && let Some(done) = left.next()
        {
            if done == 0 {
                self.state.fetch_due(&self.state.beats, AT_ONCE);
            }
            self.beat(index);
        }
    }

    /// The beats of one target from its next instant, which may come early, up to now. The next one is armed first, by
    /// whole periods from the beat's own instant, whatever becomes of these.
    fn beat(&mut self, index: u32) {
        if self.node(index).is_some_and(|node| node.word.load().is_cancelled()) {
            self.look(index as usize); // forget the beats that were discarded
        }
        let Some(detail) = self.detail_or_new(index) else { return };
        let Some(beating) = detail.cadence else { return };
        let first = beating.next;
        let (count, last) = self.passed(index, beating.grid, first);
        let next = self.open_from(index, beating.grid, beating.grid.after(last));
        let last = instant(last);
        self.set_beating(index, Some(Beating { next, last: Some(last), ..beating }));
        // One that comes early is due as it comes.
        self.make_beats(index, count, first.min(self.state.now), last);
    }

    /// `count` beats from `first` to `last` have come: they become wakes.
    pub(super) fn make_beats(&mut self, index: u32, count: u64, first: Tick, last: i64) {
        let now = self.state.now;
        let Some(detail) = self.state.detail_or_new(index) else { return };
        let unserved = detail.beats > 0;
        self.shared.tallies.beats.add_alone(count);
        self.shared.tallies.accepted(count);
        let vitals = &detail.extras.vitals;
        show(&vitals.beats, vitals.beats.load(Ordering::Relaxed) + count);
        if self.shared.policy.missed == Missed::Burst {
            let own = u64::from(!unserved);
            detail.extras.owed.fetch_add(count - own, Ordering::AcqRel);
            if own > 0 && !self.join_beats(index, first, last, 1) {
                self.shared.tallies.refused.add(1);
            }
            self.discard_owed_if_closed(index);
        } else {
            let passed = unserved || now > first;
            if !self.join_beats(index, first, last, count) {
                self.shared.tallies.refused.add(count);
            } else if let Some(detail) = self.detail(index) {
                detail.passed |= passed;
            }
        }
        self.look(index as usize);
    }

    /// Joins `count` beats to the wake that waits, as one request. True if they were accepted.
    fn join_beats(&mut self, index: u32, due: Tick, last: i64, count: u64) -> bool {
        // Behind a run the records keep the due, by the instant at which it was made; the word
        // says that something waits.
        let behind = self.detail(index).is_some_and(|detail| detail.run.is_some());
        let word_due = if behind { Tick::NEVER } else { due };
        let tallies = &self.shared.tallies;
        let unnoted = self.shared.has_unnoted();
        let Some(node) = self.node(index) else { return false };
        let (before, verdict) = node.word.join_and_forget(beat_request::<R>(word_due), unnoted);
        tallies.preempted(verdict);
        match verdict {
            Verdict::Armed => tallies.coalesced(count - 1),
            Verdict::Preempted | Verdict::Coalesced => tallies.coalesced(count),
            Verdict::Refused => return false,
        }
        if before.is_cancelled() {
            self.forget(index, before);
        }
        let now = self.state.now;
        if let Some(detail) = self.detail(index) {
            detail.beats += count;
            detail.last_beat = Some(last);
            detail.note_unserved(due.min(tick(last)));
            detail.due.add(now, due); // also where the word took it in without a change
        }
        true
    }

    /// Under [`Missed::Burst`] a beat that a run gave back does not merge with the next one,
    /// which waited behind the run: that one is owed again. True if nothing but it waited there.
    pub(super) fn part_beats(&mut self, index: u32, run_beats: u64, behind: Word) -> Option<bool> {
        if self.shared.policy.missed != Missed::Burst || run_beats == 0 {
            return None;
        }
        let detail = self.detail(index)?;
        if detail.beats == 0 {
            return None;
        }
        (detail.beats, detail.last_beat) = (0, None);
        let alone = behind.reasons() == R::BEAT.to_bits() && behind.urgency() == Urgency::Beat;
        if alone {
            detail.due = Due::NONE;
        }
        let moved = detail.moved_behind;
        if moved != Tick::NEVER {
            detail.rare_or_new().owed.put_back(moved);
        }
        detail.extras.owed.fetch_add(1, Ordering::AcqRel);
        self.discard_owed_if_closed(index);
        Some(alone)
    }

    /// The last beat was taken by a run or a cancel: the next one that is owed waits from now on.
    /// True if there was one.
    pub(super) fn serve_owed(&mut self, index: u32) -> bool {
        if self.shared.policy.missed != Missed::Burst {
            return false; // none ever is
        }
        let now = self.state.now;
        let Some(detail) = self.detail(index) else { return false };
        let owed = &detail.extras.owed;
        let took = owed.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1));
        if took.is_err() {
            return false;
        }
        let moved = detail.rare_mut().and_then(|rare| rare.owed.take());
        match moved {
            Some(due) => detail.due.add_moved(due),
            None => detail.due.add_older(now),
        }
        let last = detail.cadence.and_then(|beating| beating.last).unwrap_or(instant(now));
        // It was counted as accepted when it passed.
        if !self.join_beats(index, Tick::NEVER, last, 1) {
            // Closed: it was not refused but discarded, as it waited.
            self.shared.tallies.discarded.add(1);
        }
        true
    }

    /// Owed beats were added: a stop or removal that came first has counted what it found, so these
    /// are the driver's to count.
    fn discard_owed_if_closed(&self, index: u32) {
        if let Some(node) = self.node(index)
            && node.word.load().is_closed()
        {
            self.shared.tallies.discarded.add(node.take_owed());
        }
    }
}

fn beat_request<R: Reasons>(due: Tick) -> Request {
    Request { due, reasons: R::BEAT.to_bits(), urgency: Urgency::Beat }
}
