//! What an outcome means: the three classes, floors, backoff, giving up (P7, P9).

use super::Engine;
use super::record::{Detail, InFlight, Poison, early};
use crate::fault::{Place, contain};
use crate::history::History;
use crate::hub::Key;
use crate::marks::Mark;
use crate::merge::Merge;
use crate::node::{Last, show};
use crate::outcome::Done;
use crate::policy::{Jitter, Missed, Policy};
use crate::reasons::Reasons;
#[cfg(feature = "tracing")]
use crate::shared::Shared;
use crate::ticket::Unserved;
#[cfg(feature = "tracing")]
use crate::trace::tell;
use fastrand::Rng;
use reveille_core::Tick;
use reveille_core::Urgency;
use reveille_core::completion::Ending;
use reveille_core::pending::Word;
use reveille_core::sync::{Arc, Ordering};
use std::time::Duration;

/// What becomes of the wake that a run served.
enum Fate {
    /// It is served, and never run again (P7).
    Served,
    /// It failed too often.
    GivenUp,
    /// It is kept, held back by what the detail says.
    Kept,
    /// It is kept, and passes to the handler that replaced its own and moved it.
    Cancelled,
    /// It is kept, and passes to the handler that had replaced its own.
    PassedOn,
}

/// When a wake that a run gave back is due.
#[derive(Clone, Copy)]
enum Kept {
    Held(Tick),
    Moved(Tick),
}

impl<K: Key, R: Reasons, P: Merge> Engine<K, R, P> {
    /// Collects the ending of a target's run, if it has ended. True if nothing is left to look at.
    pub(super) fn collect_ending(&mut self, index: usize) -> bool {
        let Ok(index) = u32::try_from(index) else { return false };
        let ending = self.node(index).and_then(|node| node.completion.collect());
        ending.is_some_and(|ending| self.finish(index, ending))
    }

    fn finish(&mut self, index: u32, ending: Ending) -> bool {
        let (now, current) = (self.state.now, self.state.generation);
        let Some(record) = self.record(index) else { return false };
        let place = record.detail.as_mut().and_then(|detail| detail.run.take());
        let Some(run) = place.and_then(|place| self.leave_running(place)) else { return false };
        self.state.recheck.looked_at(index);
        self.forget_limits();
        if !run.overran {
            self.state.active -= 1;
        }
        if run.is_barrier && !run.overran {
            self.state.alone = false;
        }
        if ending == Ending::Aborted {
            self.shared.tallies.aborted.add(1);
        }
        let shared = &self.shared;
        let mut rng = self.state.rng.clone();
        let Some((node, detail)) = self.state.node_and_detail(index) else { return false };
        let fate = judge(detail, &shared.policy, ending, now, run.generation == current, &mut rng);
        match fate {
            Fate::Served => {
                if let Some(rare) = detail.rare_mut() {
                    rare.poisoned = None;
                }
                detail.note_served(run.beats);
                if run.beats > 0 {
                    shared.tallies.beats_done.add_alone(1);
                }
                // A ledger keeps it: one that is owed is not to be skipped for a later one.
                let owed = shared.policy.missed == Missed::Burst && detail.beats > 0;
                if let Some(beat) = run.last_beat.filter(|_| !owed) {
                    show(&detail.extras.vitals.served_beat, beat.cast_unsigned());
                }
            }
            Fate::GivenUp => {
                let poisoned = &mut detail.rare_or_new().poisoned;
                *poisoned = Some(Poison::of(poisoned.take(), run.taken, &run.payload));
                if !node.word.load().is_closed() {
                    shared.tallies.gave_up.add(1);
                }
            }
            _ => {}
        }
        let is_poisoned = detail.rare().is_some_and(|rare| rare.poisoned.is_some());
        show(&detail.extras.vitals.poisoned, u64::from(is_poisoned));
        #[cfg(feature = "metrics")]
        let started = detail.extras.vitals.running_since.load(Ordering::Relaxed);
        show(&detail.extras.vitals.running_since, Tick::NEVER.as_micros());
        show(&detail.extras.vitals.overran, 0);
        let last = if matches!(fate, Fate::GivenUp) { Last::GaveUp } else { Last::from(ending) };
        let history = &detail.extras.vitals.history;
        let history_now = History::from_bits(history.load(Ordering::Relaxed)).and(last);
        show(history, history_now.to_bits());
        show(&detail.extras.vitals.ended_at, now.as_micros());
        show(&detail.extras.vitals.attempts, u64::from(detail.hold.attempt));
        let window = shared.policy.coalesce;
        #[cfg(feature = "tracing")]
        tell_outcome(shared, detail, index, last, &fate);
        #[cfg(feature = "metrics")]
        if let Some(histograms) = &*shared.histograms.load() {
            let since = Tick::from_micros(started);
            shared.note_recording(contain(|| histograms.ended(now, since)));
        }
        if !run.tickets.is_empty() {
            let _ = detail.extras.running.take();
        }
        self.state.rng = rng;
        let kept = match fate {
            Fate::Served | Fate::GivenUp => None,
            Fate::Kept => Some(Kept::Held(now)),
            Fate::Cancelled => Some(Kept::Moved(now + window)),
            Fate::PassedOn => Some(Kept::Held(now + window)),
        };
        let looked_at = self.end(index, &run, kept);
        match fate {
            Fate::Served if ending == Ending::Skipped => run.tickets.end(Ok(Done::Skipped)),
            Fate::Served => run.tickets.end(Ok(Done::Ran)),
            Fate::GivenUp => run.tickets.end(Err(Unserved::GaveUp)),
            _ => {} // they wait on, with what is kept
        }
        self.shared.discard(run);
        looked_at
    }

    /// The run at this place has ended, and the last one takes the place.
    fn leave_running(&mut self, place: u32) -> Option<InFlight<P>> {
        let running = &mut self.state.running;
        let ended = place as usize;
        let run = (ended < running.len()).then(|| running.swap_remove(ended))?;
        if let Some(moved) = running.get(ended).map(|moved| moved.index)
            && let Some(detail) = self.detail(moved)
        {
            detail.run = Some(place);
        }
        Some(run)
    }

    /// Clears RUNNING, and merges what the run gave back with what came during it. True if the target
    /// was looked at, or need not be.
    fn end(&mut self, index: u32, run: &InFlight<P>, kept: Option<Kept>) -> bool {
        let Some(node) = self.node(index) else { return false };
        let now = self.state.now;
        let (before, after) = node.word.end(kept.map(|_| run.taken));
        if after.is_closed() {
            // A run of a removed target ends without effect; what a run of a stopped hub gives
            // back is discarded.
            let removed = self.detail(index).is_some_and(|detail| detail.removed);
            if kept.is_some() && !removed && self.shared.gate.load().is_closed() {
                self.shared.tallies.retried.add(1);
                self.shared.tallies.discarded.add(1);
            }
            if kept.is_some() {
                let stopped = !removed && self.shared.gate.load().is_closed();
                run.tickets.end(Err(if stopped { Unserved::Stopped } else { Unserved::Removed }));
            }
            self.retire(index, after);
            return true;
        }
        if kept.is_some() && !run.tickets.is_empty() {
            self.give_back_tickets(index, run);
        }
        if before.is_cancelled() {
            // What waited behind the run was discarded or put off; what the run gives back was not.
            let hold = self.detail(index).map(|detail| detail.hold);
            self.forget(index, before);
            if let (Some(detail), Some(hold)) = (self.detail(index), hold) {
                detail.hold = hold;
            }
        }
        if kept.is_some() {
            self.shared.tallies.retried.add(1);
        }
        if before.is_late() && self.must_note() {
            // What came during the run came after an install: note that first, so that it does
            // not move this.
            self.note();
        }
        // Where only a beat waited behind the run, and stays a wake of its own, nothing came.
        let parted = kept.and_then(|_| self.part_beats(index, run.beats, before));
        let came = before.has_wake() && parted != Some(true);
        let came_due = if before.due() == Tick::NOW { now } else { before.due() };
        let leeway = self.shared.policy.leeway;
        let Some(detail) = self.detail(index) else { return false };
        detail.free_since = now;
        let beats_due = detail.due.earliest();
        if came {
            let moved = detail.moved_behind;
            if came_due < moved {
                detail.due.add_older(early(came_due, now, leeway));
            }
            if moved != Tick::NEVER {
                detail.due.add_moved(moved);
            }
        }
        detail.moved_behind = Tick::NEVER;
        if let Some(kept) = kept {
            match kept {
                // An install of this very instant does not move what was requested at it.
                Kept::Held(due) if run.fresh_at == Some(now) => detail.due.add(now, due),
                Kept::Held(due) => detail.due.add_older(due),
                Kept::Moved(due) => detail.due.add_moved(due),
            }
            detail.is_barrier |= run.is_barrier;
            detail.beats += run.beats;
            detail.told = run.beats;
            detail.last_beat = detail.last_beat.max(run.last_beat);
            if came {
                if before.urgency() == Urgency::Urgent
                    && let Some(not_before) = &mut detail.hold.not_before
                {
                    *not_before = came_due.min(beats_due).max(now).min(*not_before);
                }
                if parted.is_none() {
                    self.shared.tallies.coalesced(1);
                }
            }
            self.give_back_payload(index, run);
        }
        let Some(word) = self.node(index).map(|node| node.word.load()) else { return false };
        // What came during the run is merged already: as news it would be as young as this instant.
        let known = word == after && word.has_wake() && !word.is_cancelled();
        if known && self.place(index, word) {
            return false;
        }
        if word != Word::IDLE || !self.is_at_rest(index) {
            self.look(index as usize);
        }
        true
    }

    /// Whether nothing is to be done for a target that is idle, whose run has just ended.
    fn is_at_rest(&self, index: u32) -> bool {
        let record = self.state.records.get(index as usize).and_then(Option::as_ref);
        let extras = record.and_then(|record| record.detail.as_ref()).map(|detail| &detail.extras);
        self.shared.policy.missed != Missed::Burst // then beats may be owed
            && extras.is_some_and(|extras| extras.marks.look().is_none())
    }

    /// Before anything is looked at: whether a cancel came meanwhile still shows in the word.
    fn give_back_tickets(&mut self, index: u32, run: &InFlight<P>) {
        run.tickets.defer();
        let Some(detail) = self.detail(index) else { return };
        let extras = Arc::clone(&detail.extras);
        extras.tickets.give_back(&run.tickets);
        extras.marks.put(Mark::TICKETS);
        let Some(node) = self.node(index) else { return };
        let word = node.word.load();
        if word.is_closed() {
            extras.tickets.take().end(Err(self.shared.unserved()));
        } else if word.is_cancelled() {
            // It discarded what the run had given back, and may have missed its tickets.
            run.tickets.end(Err(Unserved::Cancelled));
        }
    }

    fn give_back_payload(&mut self, index: u32, run: &InFlight<P>) {
        let Some(payload) = &run.payload else { return };
        let Some(detail) = self.detail(index) else { return };
        let extras = Arc::clone(&detail.extras);
        if let Err(message) = contain(|| extras.give_back(payload)) {
            self.shared.fault(Place::Merge, message);
        }
    }
}

/// Applies an ending to what the target remembers. Late endings of older handlers leave nothing
/// behind (P9).
fn judge<K, P>(
    detail: &mut Detail<K, P>,
    policy: &Policy,
    ending: Ending,
    now: Tick,
    is_current: bool,
    rng: &mut Rng,
) -> Fate {
    let hold = &mut detail.hold;
    match ending {
        Ending::Ran | Ending::Skipped => {
            (hold.failures, hold.attempt) = (0, 0);
            Fate::Served
        }
        Ending::Cancelled => {
            hold.attempt = 0;
            Fate::Cancelled
        }
        _ if !is_current => {
            hold.attempt = 0;
            Fate::PassedOn
        }
        Ending::Busy => {
            hold.floor = now + policy.retry_after;
            Fate::Kept
        }
        // No delay at all would spin (P11).
        Ending::BusyFor(Duration::ZERO) => {
            hold.floor = now + policy.retry_after;
            Fate::Kept
        }
        Ending::Deferred(Duration::ZERO) => {
            hold.not_before = Some(now + policy.retry_after);
            Fate::Kept
        }
        Ending::BusyFor(delay) => {
            hold.floor = now + delay;
            Fate::Kept
        }
        Ending::Deferred(delay) => {
            hold.not_before = Some(now + delay);
            Fate::Kept
        }
        _ => {
            hold.failures = hold.failures.saturating_add(1);
            hold.floor = now
                + match ending {
                    Ending::FailedFor(delay) if !delay.is_zero() => delay,
                    _ => jittered(policy.backoff(hold.failures), policy.jitter, rng),
                };
            if hold.failures < policy.max_attempts.get() {
                return Fate::Kept;
            }
            (hold.failures, hold.attempt) = (0, 0);
            Fate::GivenUp
        }
    }
}

/// Traces how a run ended, and what becomes of its wake.
#[cfg(feature = "tracing")]
fn tell_outcome<K: Key, R: Reasons, P: Merge>(
    shared: &Shared<K, R, P>,
    detail: &Detail<K, P>,
    index: u32,
    last: Last,
    fate: &Fate,
) {
    let (attempt, outcome) = (detail.hold.attempt, last.name());
    tell!(shared, DEBUG, "reveille.outcome", index = index, outcome = outcome);
    match fate {
        Fate::Served => {}
        Fate::GivenUp => {
            tell!(shared, WARN, "reveille.give_up", index = index, outcome = outcome);
        }
        _ if last == Last::Deferred => {
            let not_before = detail.hold.not_before.unwrap_or(Tick::NOW).as_micros();
            tell!(shared, DEBUG, "reveille.deferral", index = index, not_before = not_before);
        }
        _ => {
            let floor = detail.hold.floor.as_micros();
            tell!(shared, DEBUG, "reveille.retry", index = index, attempt = attempt, floor = floor);
        }
    }
}

/// A delay of the backoff, varied. Never none at all, which would spin (P11).
fn jittered(delay: Duration, jitter: Jitter, rng: &mut Rng) -> Duration {
    match jitter {
        Jitter::None => delay,
        Jitter::Full => Duration::from_secs_f64(delay.as_secs_f64() * rng.f64()),
    }
    .max(Duration::from_micros(1))
}
