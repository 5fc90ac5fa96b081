//! Which run starts next.

use super::record::{Beating, InFlight, instant, tick};
use super::timers::Entry;
use super::{Engine, State, run_of};
use crate::fault::Place;
#[cfg(feature = "metrics")]
use crate::fault::contain;
use crate::hub::Key;
use crate::installed::Stay;
use crate::marks::Mark;
use crate::merge::Merge;
use crate::node::{Extras, Node, show};
use crate::policy::{Flood, Missed, OnOverrun};
use crate::reasons::Reasons;
use crate::run::{Facts, Run};
use crate::shared::Shared;
use crate::ticket::{Taken, Unserved};
use crate::trace::tell;
use reveille_core::completion::{Ending, RunNumber};
use reveille_core::pending;
use reveille_core::sync::{Arc, Ordering, PlainU64};
use reveille_core::{Tick, Urgency};
use std::time::Duration;

impl<K: Key, R: Reasons, P: Merge> Engine<K, R, P> {
    /// Starts the next run that is due at the instant of the last turn: oldest first, ties by
    /// creation of the target. `None` if nothing is due, no handler is installed, or
    /// `max_active` runs are in flight.
    ///
    /// The driver calls it until it returns `None`, and calls [`Run::execute`] on what it returns.
    pub fn next_run(&mut self) -> Option<Run<K, R, P>> {
        while self.can_start() {
            let (at, index) = self.next_start()?;
            if at > self.state.now {
                return None;
            }
            if let Some(run) = self.begin(index) {
                return Some(run);
            }
        }
        None
    }

    /// Which target starts next, and when: the oldest one, where no barrier holds it back. That is
    /// its turn's: it goes when nothing is in flight and nothing else could have started by its turn,
    /// or when it has waited for long enough.
    pub(super) fn next_start(&self) -> Option<(Tick, u32)> {
        let state = &self.state;
        let rate = self.rate_of_all();
        let first = self.first_start(rate)?;
        let Some((turn, barrier)) = state.barriers.first() else { return Some(first) };
        if turn > state.now {
            return Some(first);
        }
        let until = turn + self.shared.policy.barrier_limit;
        if until <= state.now {
            return Some((turn, barrier));
        }
        let mut due = state.starts.up_to(turn);
        let goes_before = |&(at, entry): &(Tick, Entry)| {
            !state.barriers.has(at, entry) && (rate <= state.now || self.is_urgent(entry.index))
        };
        if let Some((at, entry)) = due.find(goes_before) {
            return Some((at, entry.index));
        }
        if state.running.is_empty() {
            return Some((turn, barrier));
        }
        // What the rate of all holds back still goes before it, if that ends while it waits.
        let held = rate > state.now
            && state.starts.up_to(turn).any(|(at, entry)| !state.barriers.has(at, entry));
        Some((if held { until.min(rate) } else { until }, barrier))
    }

    /// When the rate of all targets together lets one start again that is not urgent.
    fn rate_of_all(&self) -> Tick {
        let Some(Flood { starts, within }) = self.shared.policy.hub_flood else { return Tick::NOW };
        let all = &self.state.starts_of_all;
        let nth_last =
            all.len().checked_sub(starts.get() as usize).and_then(|place| all.get(place));
        nth_last.map_or(Tick::NOW, |&start| start + within)
    }

    /// The oldest one, or the oldest urgent one while the rate of all holds the others back.
    fn first_start(&self, rate: Tick) -> Option<(Tick, u32)> {
        let starts = &self.state.starts;
        if rate <= self.state.now {
            return starts.first();
        }
        let mut held = None;
        for (at, entry) in starts.up_to(rate) {
            if self.is_urgent(entry.index) {
                return Some((at, entry.index));
            }
            held.get_or_insert((rate, entry.index));
        }
        held.or_else(|| starts.first())
    }

    fn is_urgent(&self, index: u32) -> bool {
        let record = self.state.records.get(index as usize).and_then(Option::as_ref);
        record.is_some_and(|record| record.node.word.load().urgency() == Urgency::Urgent)
    }

    /// Starts a run of this target, or takes it from the front of the store.
    fn begin(&mut self, index: u32) -> Option<Run<K, R, P>> {
        let node = Arc::clone(self.node(index)?);
        let now = self.state.now;
        let (limit, missed) = (self.shared.policy.run_limit, self.shared.policy.missed);
        // The gate first: a stop that closes it from here on counts this run as in flight.
        if !self.shared.gate.enter() {
            self.note_stop();
            return None;
        }
        // Then that of its generation: one that is retired has left the slot, which shows by now, though who
        // has replaced it may not have counted that yet.
        let enter = |entry| Stay::enter(entry).zip(entry.handler().map(|it| Arc::clone(&it.runs)));
        let Some((stay, runs)) = self.handler().and_then(enter) else {
            self.shared.leave_gate();
            self.note_slot();
            self.shared.discard(node);
            return None;
        };
        let Ok(taken) = node.word.begin() else {
            // News, cancelled, removed or stopped: look, which notes an install before it takes
            // in what came after it, and takes what may not start from the front.
            self.shared.leave_gate();
            self.look(index as usize);
            self.shared.discard((stay, node));
            return None;
        };
        if self.is_marked_as_barrier(index) {
            // Marked since it was looked at, and maybe not its turn: as if it had not begun.
            self.unbegin(index, taken);
            self.shared.leave_gate();
            self.shared.discard((stay, node));
            return None;
        }
        let Some(number) = node.completion.start() else {
            // Only the driver starts and collects, so a run of this target would have to be in
            // flight, and then the word would not have begun.
            unreachable!("word and completion disagree: {:?} {:?}", node.word, node.completion);
        };
        #[cfg(feature = "metrics")]
        self.record_start(index);
        let shared = Arc::clone(&self.shared);
        let place = self.state.running.len() as u32; // each target has one run, and an index of 32 bits
        let Some(detail) = self.state.unplace(index) else {
            unreachable!("its word has a wake that was looked at, so it has a detail")
        };
        detail.run = Some(place);
        detail.hold.attempt = detail.hold.attempt.saturating_add(1);
        let payload = detail.extras.take_payload();
        let tickets = take_tickets(&detail.extras, &shared);
        let (beats, last_beat, passed) = (detail.beats, detail.last_beat, detail.passed);
        let limit = limit.map_or(Tick::NEVER, |limit| now + limit);
        let (attempt, told) = (detail.hold.attempt, detail.told);
        let fresh_at = detail.due.is_fresh(now).then_some(now);
        let is_barrier = detail.is_barrier;
        detail.count_start(now, &shared.policy);
        detail.forget_wake();
        let vitals = &detail.extras.vitals;
        show(&vitals.attempts, u64::from(attempt));
        show(&vitals.running_since, now.as_micros());
        show(&vitals.runs, vitals.runs.load(Ordering::Relaxed) + 1);
        let stood_for = beats.saturating_sub(told.max(1));
        show(&vitals.missed, vitals.missed.load(Ordering::Relaxed) + stood_for);
        let beating = detail.cadence.filter(|_| missed == Missed::Delay && passed);
        let beside = is_barrier.then(|| self.nodes_of_runs());
        self.state.running.push(InFlight {
            index,
            number,
            generation: stay.entry().generation(),
            runs,
            taken,
            payload: payload.clone(),
            tickets,
            fresh_at,
            beats,
            last_beat,
            is_barrier,
            overran: false,
        });
        self.state.active += 1;
        self.state.alone = is_barrier;
        if let Some(beating) = beating {
            let grid = beating.grid.through(now);
            let next = self.open_from(index, grid, grid.after(now));
            self.set_beating(index, Some(Beating { grid, next, last: Some(instant(now)) }));
        }
        if missed == Missed::Burst {
            self.serve_owed(index);
        }
        if limit < Tick::HORIZON {
            self.state.limits.push_back((limit, index, number));
        }
        if let Some(Flood { starts, .. }) = self.shared.policy.hub_flood {
            let all = &mut self.state.starts_of_all;
            if all.len() >= starts.get() as usize {
                all.pop_front();
            }
            all.push_back(now);
        }
        self.shared.tallies.started.add_alone(1);
        self.shared.tallies.missed.add_alone(stood_for);
        if stood_for > 0 {
            tell!(self.shared, INFO, "reveille.missed_beats", index = index, missed = stood_for);
        }
        let (reasons, urgency) = (taken.reasons, taken.urgency);
        let last_beat = last_beat.map(tick);
        let facts = Facts { reasons, urgency, attempt, beats, last_beat, started: now, limit };
        Some(Run { shared, node, stay, number, facts, payload, beside, ended: PlainU64::new(0) })
    }

    /// Records how long a wake has waited that starts now.
    #[cfg(feature = "metrics")]
    fn record_start(&mut self, index: u32) {
        let (now, histograms) = (self.state.now, self.shared.histograms.load_full());
        if let (Some(histograms), Some(detail)) = (histograms, self.detail(index)) {
            let (due, may_start) = (detail.due.earliest(), detail.may_start);
            let recording = contain(|| histograms.started(now, due, may_start));
            self.shared.note_recording(recording);
        }
    }

    /// Whether a barrier was requested that the driver has not heard of. Asked once the word is taken:
    /// whoever's wake is in it has set the mark before.
    fn is_marked_as_barrier(&mut self, index: u32) -> bool {
        let marked = self.record(index).and_then(|record| record.detail.as_ref());
        marked.is_some_and(|detail| detail.extras.marks.look().has(Mark::BARRIER))
    }

    /// Puts back what was taken from the word, with what came meanwhile.
    fn unbegin(&mut self, index: u32, taken: pending::Taken) {
        let now = self.state.now;
        let Some(node) = self.node(index) else { return };
        let (before, after) = node.word.end(Some(taken));
        if after.is_closed() {
            self.shared.tallies.discarded.add(1); // whoever closed it found it taken
        } else if before.has_wake() {
            self.shared.tallies.coalesced(1);
            let due = if before.due() == Tick::NOW { now } else { before.due() };
            if let Some(detail) = self.detail(index) {
                detail.due.add(now, due);
            }
        }
        self.look(index as usize);
    }

    /// The targets that run, for a barrier that did not wait for them.
    fn nodes_of_runs(&self) -> Vec<Arc<Node<K, P>>> {
        self.state.running.iter().filter_map(|run| self.node(run.index).cloned()).collect()
    }

    /// A run has ended, or passed its limit: none that has stands in front of the others. And of those further
    /// back no more than the runs in flight, or a few (P15).
    pub(super) fn forget_limits(&mut self) {
        let State { records, running, limits, .. } = &mut *self.state;
        let is_watched = |&(_, index, number): &(Tick, u32, RunNumber)| {
            let run = run_of(records, running, index);
            run.is_some_and(|run| run.number == number && !run.overran)
        };
        while limits.front().is_some_and(|limit| !is_watched(limit)) {
            limits.pop_front();
        }
        if limits.len() > 2 * running.len() + 64 {
            limits.retain(is_watched);
        }
    }

    /// Runs past their limit give up their place among the active ones (P10).
    pub(super) fn pass_limits(&mut self) {
        while let Some(&(at, index, _)) = self.state.limits.front()
            && at <= self.state.now
        {
            self.state.limits.pop_front();
            let Some(detail) = self.detail(index) else { return };
            show(&detail.extras.vitals.overran, 1);
            let Some(place) = detail.run else { return };
            let Some(run) = self.state.running.get_mut(place as usize) else { return };
            run.overran = true;
            if run.is_barrier {
                self.state.alone = false; // no run stops others for longer than its limit (P10)
            }
            self.state.active -= 1;
            self.forget_limits();
            self.shared.tallies.overran.add(1);
            tell!(self.shared, WARN, "reveille.overrun", index = index);
            let limit = self.shared.policy.run_limit.unwrap_or(Duration::MAX);
            self.shared.fault(Place::RunLimit, format!("a run has passed its limit of {limit:?}"));
            if self.shared.policy.on_overrun == OnOverrun::Cancel {
                self.end_run(index, Ending::Overran);
            }
        }
    }
}

/// Whoever awaits the wake awaits this run from here on.
fn take_tickets<K: Key, R: Reasons, P: Merge>(
    extras: &Extras<K, P>,
    shared: &Shared<K, R, P>,
) -> Taken {
    if extras.marks.take(Mark::TICKETS).is_none() {
        return Taken::NONE;
    }
    let tickets = extras.tickets.take();
    extras.running.put(&tickets);
    // Put first, looked second: see `Shared::abandon`.
    if shared.is_abandoned() {
        tickets.end(Err(Unserved::Stopped));
    }
    tickets
}
