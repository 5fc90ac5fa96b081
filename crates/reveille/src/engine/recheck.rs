//! The re-check: insurance against ourselves (P3, P8, P18).
//!
//! What must be looked at is found by ready bits, what must start by a store, what must beat by
//! another. If one of them ever lost an entry, its target would be silent for ever, and nothing would
//! show it. So now and then ([`Policy::recheck`](crate::Policy::recheck)) the engine looks over all
//! targets and asks of each, from its words alone: is there anything to do that nobody will do?
//!
//! Once is no proof: a request may stand between its word and its ready bit. What is found so twice, a
//! period apart and without a look in between, is lost; it is counted, reported, and served. In a
//! correct core that never happens, which the storm asserts.
//!
//! It begins with the first turn after its period, and makes none of its own for that (P11): a driver turns at
//! least each `max_sleep`. O(targets) each time, but a slice of them in one turn: what is due does not wait for a look
//! over a million targets. For the next slice it does ask for a turn, two milliseconds later, so that it takes a
//! tenth of the driver's time at most. It neither begins nor goes on while more news waits than one turn takes in.

use super::Engine;
use super::record::{Detail, Record};
use super::timers::Entry;
use crate::fault::Place;
use crate::hub::Key;
use crate::marks::Mark;
use crate::merge::Merge;
use crate::reasons::Reasons;
use crate::trace::tell;
use reveille_core::{Tick, Urgency};
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

/// What the re-check remembers.
#[derive(Default)]
pub(super) struct Recheck {
    /// When it is due; not before there was a turn.
    due: Option<Tick>,
    /// How far it has come, and when it goes on, where it has begun.
    slice: Option<(usize, Tick)>,
    /// Targets that looked lost the last time, and that nobody has looked at since.
    suspects: BTreeSet<u32>,
}

/// So many targets are looked over in one turn: a quarter of a millisecond, where they come from memory.
const SLICE: usize = 256;
const PAUSE: Duration = Duration::from_millis(2);

impl Recheck {
    /// The engine looks at this target.
    pub(super) fn looked_at(&mut self, index: u32) {
        if !self.suspects.is_empty() {
            self.suspects.remove(&index);
        }
    }

    /// Nobody starts any more.
    pub(super) fn stop(&mut self) {
        self.slice = None;
    }

    /// When it needs another turn.
    pub(super) fn goes_on_at(&self) -> Tick {
        self.slice.map_or(Tick::NEVER, |(_, at)| at)
    }
}

impl<K: Key, R: Reasons, P: Merge> Engine<K, R, P> {
    /// Looks over all targets, if it is time, or over the next slice of them. Not while news waits to be looked
    /// at, which would seem lost.
    pub(super) fn recheck(&mut self) {
        let now = self.state.now;
        if self.state.is_behind || self.state.stopped {
            return;
        }
        let next = Some(now + self.shared.policy.recheck);
        let Recheck { due, slice, .. } = self.state.recheck;
        let (from, at) = slice.unwrap_or((0, due.unwrap_or(now)));
        if now < at {
            return;
        }
        if due.is_none() {
            self.state.recheck.due = next;
            return;
        }
        let all = self.state.records.len();
        let to = all.min(from + SLICE);
        self.recheck_slice(from..to);
        if to < all {
            self.state.recheck.slice = Some((to, now + PAUSE));
            return;
        }
        // The next one begins a period from here, so that it comes to each target a period later at least.
        (self.state.recheck.slice, self.state.recheck.due) = (None, next);
        self.shared.tallies.rechecks.add_alone(1);
    }

    fn recheck_slice(&mut self, slice: Range<usize>) {
        let records = self.state.records[slice.clone()].iter().flatten();
        let lost: BTreeSet<u32> =
            records.filter(|record| self.is_lost(record)).map(|record| record.node.index).collect();
        let suspects = &mut self.state.recheck.suspects;
        let (before, others): (BTreeSet<u32>, BTreeSet<u32>) =
            suspects.iter().partition(|&&index| slice.contains(&(index as usize)));
        *suspects = others;
        suspects.extend(lost.difference(&before));
        for &index in before.intersection(&lost) {
            self.shared.tallies.found_by_recheck.add(1);
            tell!(self.shared, ERROR, "reveille.found_by_recheck", index = index);
            let message = "a target that nobody would have looked at was found".to_owned();
            self.shared.fault(Place::Recheck, message);
            self.serve(index);
        }
    }

    /// Whether there is something to do for this target that neither bit nor store will bring up, as
    /// far as the driver can see.
    fn is_lost(&self, record: &Record<K, P>) -> bool {
        let word = record.node.word.load();
        if record.node.completion.load().ending().is_some() {
            return true; // an ending that is to be collected
        }
        let Some(detail) = &record.detail else {
            let extras = record.node.extras();
            let unheard = extras.is_some_and(|extras| extras.setting.is_unheard(None));
            return unheard || word.has_wake() || word.is_closed() || word.is_cancelled();
        };
        if word.is_closed() {
            return !word.is_running() && detail.blocked_by.is_none();
        }
        if word.is_cancelled() || self.is_beat_lost(detail, record.entry()) {
            return true;
        }
        if !word.has_wake() || word.is_running() {
            return false;
        }
        !word.is_seen() || self.is_start_lost(detail, word.urgency(), record.entry())
    }

    fn is_start_lost(&self, detail: &Detail<K, P>, urgency: Urgency, entry: Entry) -> bool {
        let (at, _) = detail.start(urgency, self.state.handler_since, &self.shared.policy);
        at < Tick::HORIZON && !self.state.starts.has(detail.may_start, entry)
    }

    fn is_beat_lost(&self, detail: &Detail<K, P>, entry: Entry) -> bool {
        let next = detail.beats_at(self.shared.policy.leeway);
        let armed = next >= Tick::HORIZON || self.state.beats.has(next, entry);
        !armed || detail.extras.setting.is_unheard(detail.setting.as_ref())
    }

    /// Does what was left undone, whatever it was.
    fn serve(&mut self, index: u32) {
        self.collect_ending(index as usize);
        let leeway = self.shared.policy.leeway;
        if let Some(record) = self.record(index) {
            if let Some(extras) = record.node.extras() {
                extras.marks.put(Mark::SETTING);
            }
            let entry = record.entry();
            let next = record.detail.as_ref().map_or(Tick::NEVER, |detail| detail.beats_at(leeway));
            self.state.beats.set(entry, Tick::NEVER, next); // if it is not there
            self.unplace(index);
        }
        self.look(index as usize);
    }
}

#[cfg(test)]
mod tests;
