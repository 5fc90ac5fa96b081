//! What becomes of a target's word: installs, news, cancels, removals.

use super::record::{Beating, Detail, Hold, early, instant};
use super::{Engine, State, run_of};
use crate::cadence::Grid;
use crate::fault::{Place, contain};
use crate::hub::Key;
use crate::marks::Mark;
use crate::merge::Merge;
use crate::node::show;
use crate::policy::OnReplace;
use crate::reasons::Reasons;
use crate::setting::Wanted;
use reveille_core::completion::Ending;
use reveille_core::pending::{Request, Taken, Verdict, Word};
use reveille_core::sync::{Arc, Guard, Ordering};
use reveille_core::{Tick, Urgency};

impl<K: Key, R: Reasons, P: Merge> Engine<K, R, P> {
    /// Notes which handler is installed. A new one starts clean (P9), and what waited before it
    /// moves to no sooner than one coalesce window from now.
    ///
    /// Goes on until no install is unnoted: news that is taken in at this instant is not moved by
    /// one that is noted at it. Nothing that is moved may note in between, since what is not
    /// moved yet would then pass for moved.
    pub(super) fn note(&mut self) {
        // Acquire: pairs with the owner's increment, so the slot shows it to us. What is about to be counted is
        // told by another turn.
        let removals = self.shared.times.removals.load(Ordering::Acquire);
        if self.state.removals != Some(removals) || self.shared.has_unnoted() {
            self.state.removals = Some(removals);
            self.note_slot();
        }
    }

    /// The same, where the slot may show more than is counted yet.
    pub(super) fn note_slot(&mut self) {
        loop {
            // Acquire: pairs with the installer's increment, so its entry is in the slot for us.
            let installs = self.shared.times.installs.load(Ordering::Acquire);
            self.state.noting = true;
            self.note_handler();
            self.state.noting = false;
            if self.shared.times.noted.load(Ordering::Relaxed) == installs {
                return; // the driver's own word: nothing has moved
            }
            // Release: whoever sees these installs as noted sees the words as moved. Last.
            self.shared.times.noted.swap(installs, Ordering::AcqRel);
            if !self.shared.has_unnoted() {
                return;
            }
        }
    }

    fn note_handler(&mut self) {
        let entry = self.shared.slot.load();
        let known = self.state.entry.as_ref();
        if known.is_some_and(|known| Arc::ptr_eq(known, &entry)) {
            return;
        }
        let entry = Guard::into_inner(entry);
        let generation = entry.generation();
        let vacant = entry.handler().is_none();
        let vacant_since = if vacant { self.state.now } else { Tick::NEVER };
        show(&self.shared.witness.vacant_since, vacant_since.as_micros());
        if self.handler().is_none() {
            self.state.handler_since = self.state.now;
        }
        let old = self.state.entry.replace(entry);
        if generation != self.state.generation {
            self.state.generation = generation;
            self.move_what_waited();
        }
        self.shared.discard(old);
    }

    /// Whether an install must be noted before news is taken in.
    pub(super) fn must_note(&self) -> bool {
        !self.state.noting && self.shared.has_unnoted()
    }

    fn move_what_waited(&mut self) {
        let (now, earliest) = (self.state.now, self.state.now + self.shared.policy.coalesce);
        let mut waiting = self.state.starts.indices();
        waiting.extend(&self.state.blocked);
        for index in waiting {
            if let Some(detail) = self.detail_or_new(index) {
                detail.due.move_older(now, earliest);
                detail.move_owed(earliest);
                // News keeps its own due, and is looked at in this turn.
                let word = self.node(index).map(|node| node.word.load());
                if let Some(word) = word.filter(|word| word.is_seen())
                    && !self.place(index, word)
                {
                    self.look(index as usize);
                }
            }
        }
        for index in self.state.indices_of_runs() {
            self.move_behind_run(index, earliest);
            if self.shared.policy.on_replace == OnReplace::Cancel {
                self.end_run(index, Ending::Cancelled);
            }
        }
    }

    /// What waits behind a run was requested before the install, unless its word says late.
    fn move_behind_run(&mut self, index: u32, earliest: Tick) {
        let (now, leeway) = (self.state.now, self.shared.policy.leeway);
        let Some((node, detail)) = self.state.node_and_detail(index) else { return };
        detail.due.move_older(now, earliest);
        detail.move_owed(earliest);
        let word = node.word.load();
        if word.is_late() {
            // Requested after it: stays, and is from now on like the rest.
            let _ = node.word.settle(word, word.due());
        } else if word.has_wake()
            && early(word.due(), now, leeway) < earliest.min(detail.moved_behind)
        {
            let to = earliest.min(detail.moved_behind);
            // If a request comes in between, the word stays as it is: early is allowed.
            if node.word.settle(word, to).is_ok() {
                detail.moved_behind = to;
            }
        }
    }

    /// Ends a run, for drivers that can: one of an older handler, or one past its limit.
    pub(super) fn end_run(&mut self, index: u32, ending: Ending) {
        let Some(run) = run_of(&self.state.records, &self.state.running, index) else { return };
        let Some(node) = self.node(index) else { return };
        if node.completion.complete(run.number, ending).is_ok() {
            run.runs.cancelled.notify(usize::MAX);
            self.shared.leave_gate();
            self.collect_ending(index as usize);
        }
    }

    /// Looks at a target: takes in what its word says, and puts it where it belongs.
    pub(super) fn look(&mut self, index: usize) {
        let Ok(index) = u32::try_from(index) else { return };
        self.state.recheck.looked_at(index);
        self.obey(index);
        while let Some(node) = self.node(index) {
            let word = node.word.load();
            if word.is_closed() {
                self.retire(index, word);
                break;
            }
            if word.is_cancelled() {
                self.forget(index, word);
                if let Some(node) = self.node(index) {
                    node.word.forget();
                }
                continue;
            }
            // Behind the above: a cancel takes no later request's mark along.
            if self.heed(index) {
                continue;
            }
            if word.is_running() || !word.has_wake() {
                self.unplace(index);
                // A cancel took the wake to which owed beats stood next: they go on without.
                if !word.is_running() && self.serve_owed(index) {
                    continue;
                }
                break;
            }
            if !word.is_seen() {
                // An install that took effect meanwhile must move what is held before this
                // request is taken in: the request may have come after it.
                if self.must_note() {
                    self.note();
                    continue;
                }
                self.take_in(index, word);
            }
            if self.place(index, word) {
                break;
            }
        }
    }

    /// News: a request came that the records do not know.
    fn take_in(&mut self, index: u32, word: Word) {
        let (now, leeway) = (self.state.now, self.shared.policy.leeway);
        let Some(detail) = self.detail_or_new(index) else { return };
        let due = if word.due() == Tick::NOW { now } else { early(word.due(), now, leeway) };
        // Under a deferral this counts for nothing, until an install clears that.
        detail.due.add(now, due);
        // A fresh urgent wake takes a deferral along at the earlier of the two; any other merges
        // into it and waits (P9).
        if let Some(not_before) = &mut detail.hold.not_before
            && word.urgency() == Urgency::Urgent
        {
            *not_before = due.min(*not_before);
        }
    }

    /// Puts a waiting target where it belongs in the store, and its word in accord with that.
    /// False if the word has changed meanwhile: look again.
    pub(super) fn place(&mut self, index: u32, word: Word) -> bool {
        let state = &mut *self.state;
        let (now, since) = (state.now, state.handler_since);
        let Some(record) = state.records.get_mut(index as usize).and_then(Option::as_mut) else {
            return true;
        };
        let entry = record.entry();
        let (node, detail) = record.parts(state.generation);
        let (at, held) = detail.start(word.urgency(), since, &self.shared.policy);
        // Due already: only a slot or a handler is missing, and no request brings those.
        let due = if held || at <= now { Tick::NOW } else { detail.due.earliest() };
        let from = std::mem::replace(&mut detail.may_start, at);
        let was_in_turn = std::mem::replace(&mut detail.is_in_turn, detail.is_barrier);
        let turn = |is_in: bool, at| if is_in { at } else { Tick::NEVER };
        state.barriers.set(entry, turn(was_in_turn, from), turn(detail.is_barrier, at));
        show(&detail.extras.vitals.next_due, at.as_micros());
        state.starts.set(entry, from, at);
        node.word.settle(word, due).is_ok()
    }

    /// Takes in what was requested behind runs, which a turn leaves until they end.
    pub(super) fn take_in_behind_runs(&mut self) {
        let (now, leeway) = (self.state.now, self.shared.policy.leeway);
        for index in self.state.indices_of_runs() {
            let Some((node, detail)) = self.state.node_and_detail(index) else { continue };
            let word = node.word.load();
            if word.has_wake() && node.word.settle(word, Tick::NEVER).is_ok() {
                let due =
                    if word.due() == Tick::NOW { now } else { early(word.due(), now, leeway) };
                detail.due.add(now, due);
            }
        }
    }

    /// Lets every request up to the next turn be news, also one that a waiting wake serves: for
    /// drivers on virtual time, where an install of the same instant may come after it.
    ///
    /// Costs O(waiting). Until the next turn, words do not say when they are due: a
    /// [`postpone`](crate::Target::postpone) would put its wake off for ever. Deferred urgent wakes stay
    /// as they are: their word could not tell which requests are urgent.
    pub fn open(&mut self) {
        for index in self.state.starts.indices() {
            let deferred = self.detail(index).is_some_and(|d| d.hold.not_before.is_some());
            if let Some(node) = self.node(index) {
                let word = node.word.load();
                if word.is_seen() && !(deferred && word.urgency() == Urgency::Urgent) {
                    // The store has the due. What comes in between is news anyway.
                    let _ = node.word.settle(word, Tick::NEVER);
                }
            }
        }
    }

    /// Undoes [`open`](Self::open) for the targets that got no news.
    pub(super) fn shut(&mut self) {
        for index in self.state.starts.indices() {
            self.look(index as usize);
        }
    }

    /// Takes a target out of the store of starts.
    pub(super) fn unplace(&mut self, index: u32) {
        let _ = self.state.unplace(index);
    }

    /// What is said beside the word, before it: that what waits is a barrier, that what was given up is
    /// asked for, or that the target starts clean. True if that has changed the word.
    fn heed(&mut self, index: u32) -> bool {
        let Some(record) = self.record(index) else { return false };
        let said = record.take_marks(Mark::SAID);
        if said.is_none() {
            return false;
        }
        if said.has(Mark::BARRIER)
            && let Some(detail) = self.detail_or_new(index)
        {
            detail.is_barrier = true;
        }
        if said.has(Mark::FORGIVE)
            && let Some(detail) = self.detail_or_new(index)
        {
            detail.hold = Hold::default();
            show(&detail.extras.vitals.attempts, 0);
        }
        if said.has(Mark::REVIVE) {
            self.revive(index);
        }
        said.has(Mark::REVIVE)
    }

    /// What was given up is asked for again, and the target is as if it had not failed.
    fn revive(&mut self, index: u32) {
        let Some(node) = self.node(index).filter(|node| !node.word.load().is_closed()) else {
            return;
        };
        let node = Arc::clone(node);
        let Some(detail) = self.detail_or_new(index) else { return };
        let Some(poison) = detail.rare_mut().and_then(|rare| rare.poisoned.take()) else { return };
        detail.hold.floor = Tick::NOW;
        detail.hold.failures = 0;
        let extras = Arc::clone(&detail.extras);
        show(&extras.vitals.poisoned, 0);
        if let Some(payload) = &poison.payload
            && let Err(message) = contain(|| extras.give_back(payload))
        {
            self.shared.fault(Place::Merge, message);
        }
        let request = self.shared.tallies.accept();
        let Taken { reasons, urgency } = poison.taken;
        let unnoted = self.shared.has_unnoted();
        let join = node.word.join(Request { due: Tick::NOW, reasons, urgency }, unnoted);
        match join.verdict {
            Verdict::Refused => return, // counted by the drop of the request
            Verdict::Armed => {}
            Verdict::Preempted | Verdict::Coalesced => self.shared.tallies.coalesced(1),
        }
        self.shared.tallies.preempted(join.verdict);
        request.take();
        self.shared.discard(poison);
    }

    /// Someone discarded the wake that waited, or put it off: what was remembered is void. What is left
    /// of it stands in the word.
    pub(super) fn forget(&mut self, index: u32, word: Word) {
        let Some(detail) = self.detail(index) else { return };
        detail.forget_wake();
        if let Some(rare) = detail.rare_mut() {
            rare.owed.clear();
        }
        if !word.is_running() {
            show(&detail.extras.vitals.unserved_since, Tick::NEVER.as_micros());
            detail.hold.attempt = 0;
            show(&detail.extras.vitals.attempts, 0);
        }
        self.unplace(index);
    }

    /// Takes in the latest setting of the cadence, if it is news.
    fn obey(&mut self, index: u32) {
        let Some(record) = self.record(index) else { return };
        if record.take_marks(Mark::SETTING).is_none() {
            return;
        }
        let news = match &record.detail {
            Some(detail) => detail.extras.setting.news(detail.setting.as_ref()),
            None => record.node.extras().and_then(|extras| extras.setting.news(None)),
        };
        let Some(setting) = news else { return };
        if self.shared.gate.load().is_closed() {
            return;
        }
        let Some(detail) = self.detail_or_new(index) else { return };
        let (old, known) = (detail.cadence, detail.setting.replace(Arc::clone(&setting)));
        let before = known.as_ref().and_then(|known| known.wanted.as_ref());
        match (&setting.wanted, old) {
            (None, _) => self.set_beating_from(index, None),
            // Unchanged: the instants stay as they are, and so does their grid (P17).
            (Some(wanted), Some(_)) if before.is_some_and(|it| it.cadence == wanted.cadence) => {}
            (Some(Wanted { grid, resume: Some(last), .. }), None) => {
                self.resume(index, *grid, *last);
            }
            (Some(wanted), _) => {
                let beating = started(wanted.grid, old, setting.asked_at);
                self.set_beating_from(index, Some(beating));
            }
        }
        setting.obeyed();
    }

    /// A cadence goes on from the beat that an earlier process made at `last`; what has passed since
    /// was missed.
    fn resume(&mut self, index: u32, grid: Grid, last: i64) {
        let now = self.state.now;
        // A wall clock that was set back in between puts it ahead: it is not waited for.
        let last = last.min(instant(now));
        let first = grid.after_last(last);
        let next = grid.first_from(first, now);
        self.set_beating_from(index, Some(Beating { grid, next, last: Some(last) }));
        let (missed, last) = self.missed(index, grid, first);
        let Some(detail) = self.detail(index) else { return };
        if missed > 0 {
            if let Some(cadence) = &mut detail.cadence {
                cadence.last = Some(last);
            }
            detail.passed = true; // though the wake is made now
            self.make_beats(index, missed, now, last);
        }
    }

    /// A target was removed. It goes when its last run has ended, and so may its successor.
    pub(super) fn retire(&mut self, index: u32, word: Word) {
        self.unplace(index);
        self.set_beating_from(index, None);
        let stopped = self.shared.gate.load().is_closed();
        if let Some(detail) = self.detail(index) {
            detail.removed |= !stopped;
            if word.is_running() || detail.blocked_by.is_some() {
                return;
            }
        }
        let Some(record) = self.state.records.get_mut(index as usize).and_then(Option::take) else {
            return;
        };
        let successor = record.detail.as_ref().and_then(|it| it.rare()?.successor);
        self.shared.registry.collect(&record.node);
        self.shared.discard(record);
        if let Some(successor) = successor {
            self.state.blocked.remove(&successor);
            let now = self.state.now;
            if let Some(detail) = self.detail(successor) {
                detail.blocked_by = None;
                detail.free_since = now;
            }
            self.look(successor as usize);
        }
    }
}

impl<K: Key, R: Reasons, P: Merge> State<K, R, P> {
    /// Takes a target out of the store of starts, if it may be there: then it has a detail.
    pub(super) fn unplace(&mut self, index: u32) -> Option<&mut Detail<K, P>> {
        let record = self.records.get_mut(index as usize)?.as_mut()?;
        let entry = record.entry();
        let detail = record.detail.as_deref_mut()?;
        let from = std::mem::replace(&mut detail.may_start, Tick::NEVER);
        self.starts.set(entry, from, Tick::NEVER);
        if std::mem::take(&mut detail.is_in_turn) {
            self.barriers.set(entry, from, Tick::NEVER);
        }
        show(&detail.extras.vitals.next_due, Tick::NEVER.as_micros());
        Some(detail)
    }
}

/// The first instant of the grid after `last`; the origin for one that lies before it.
fn first_after(grid: Grid, last: i64) -> Tick {
    let first = grid.after_last(last).max(0);
    u64::try_from(first).map_or(Tick::NEVER, Tick::from_micros)
}

/// A cadence that is new, or takes the place of `old`.
fn started(grid: Grid, old: Option<Beating>, asked_at: Tick) -> Beating {
    let last = old.and_then(|old| old.last);
    let changed = old.is_some_and(|old| old.grid.period != grid.period);
    let next = grid.next_in_phase(asked_at).unwrap_or_else(|| match last {
        Some(last) if changed => first_after(grid, last).max(asked_at),
        _ => grid.after(asked_at),
    });
    Beating { grid, next, last }
}
