//! What the engine remembers of a target.

use super::timers::Entry;
use crate::cadence::Grid;
use crate::fault::contain;
use crate::installed::Runs;
use crate::marks::Mark;
use crate::merge::Merge;
use crate::node::{Extras, Node, show};
use crate::policy::{Flood, Policy};
use crate::setting::Setting;
use crate::ticket::Taken as Awaited;
use reveille_core::completion::RunNumber;
use reveille_core::pending::Taken;
use reveille_core::sync::{Arc, Ordering};
use reveille_core::{Generation, Tick, Urgency};
use std::collections::VecDeque;
use std::time::Duration;

pub(super) struct Record<K, P> {
    pub(super) node: Arc<Node<K, P>>,
    pub(super) created: u64,
    /// Nothing for a target that never had a wake or a cadence.
    pub(super) detail: Option<Box<Detail<K, P>>>,
}

impl<K, P> Record<K, P> {
    pub(super) fn entry(&self) -> Entry {
        Entry { created: self.created, index: self.node.index }
    }

    /// Takes marks that lie beside the word. Who puts one has made the extras; a target that has a detail has them
    /// there.
    pub(super) fn take_marks(&self, marks: Mark) -> Mark {
        match &self.detail {
            Some(detail) => detail.extras.marks.take(marks),
            None => self.node.extras().map_or(Mark::NONE, |extras| extras.marks.take(marks)),
        }
    }

    /// The node, and the detail, made now if there is none; renewed for the handler of `generation`.
    pub(super) fn parts(&mut self, generation: Generation) -> Parts<'_, K, P> {
        let node = &self.node;
        let new = || Box::new(Detail::new(node.extras_or_new()));
        let detail = self.detail.get_or_insert_with(new);
        detail.hold.renew(generation);
        (node, detail)
    }
}

/// A target's node, and what is remembered of it.
pub(super) type Parts<'a, K, P> = (&'a Arc<Node<K, P>>, &'a mut Detail<K, P>);

/// The wake that waits lives in the target's word; here is when it may start, and why not sooner.
///
/// There may be a million of them, and to fetch one from memory costs more than to work on it: what each run touches
/// stands together, in the order of its use, and what few targets have stands elsewhere.
#[repr(C)]
pub(super) struct Detail<K, P> {
    pub(super) extras: Arc<Extras<K, P>>,
    rare: Option<Box<Rare<P>>>,
    pub(super) hold: Hold,
    pub(super) due: Due,
    /// Where the target stands in the store of starts; never: not in it.
    pub(super) may_start: Tick,
    /// It stands in the store of barriers too, at the same instant.
    pub(super) is_in_turn: bool,
    /// The wake that waits is a barrier.
    pub(super) is_barrier: bool,
    /// A beat that waits passed unserved, so that under [`Missed::Delay`](crate::Missed::Delay) the
    /// cadence counts on from the next start.
    pub(super) passed: bool,
    /// It was removed, and its last run is still in flight.
    pub(super) removed: bool,
    /// Where its run stands among those in flight.
    pub(super) run: Option<u32>,
    /// When the last run of this key ended: no start is older.
    pub(super) free_since: Tick,
    /// To where an install has moved what waits behind a run; never: it has not.
    pub(super) moved_behind: Tick,
    /// The removed target of the same key whose last run must end first (P6).
    pub(super) blocked_by: Option<u32>,
    /// The beats in the wake that waits, and the instant of the last.
    pub(super) beats: u64,
    pub(super) last_beat: Option<i64>,
    /// How many of them an earlier run of this wake stood for already.
    pub(super) told: u64,
    pub(super) cadence: Option<Beating>,
    /// What is wanted of the cadence, as obeyed.
    pub(super) setting: Option<Arc<Setting>>,
}

/// What few targets need to have remembered.
pub(super) struct Rare<P> {
    /// The last starts, oldest first, as many as matter to the rates.
    starts: VecDeque<Tick>,
    /// What was given up, until a run is done.
    pub(super) poisoned: Option<Poison<P>>,
    /// Which of the beats that are owed an install has moved.
    pub(super) owed: Owed,
    /// The target that waits for this one's last run.
    pub(super) successor: Option<u32>,
}

impl<K, P> Detail<K, P> {
    pub(super) fn new(extras: Arc<Extras<K, P>>) -> Self {
        Self {
            extras,
            hold: Hold::default(),
            due: Due::NONE,
            may_start: Tick::NEVER,
            is_in_turn: false,
            is_barrier: false,
            passed: false,
            removed: false,
            run: None,
            free_since: Tick::NOW,
            beats: 0,
            last_beat: None,
            told: 0,
            cadence: None,
            moved_behind: Tick::NEVER,
            blocked_by: None,
            setting: None,
            rare: None,
        }
    }

    /// What few targets have, if this one does.
    pub(super) fn rare(&self) -> Option<&Rare<P>> {
        self.rare.as_deref()
    }

    /// The same, to change it.
    pub(super) fn rare_mut(&mut self) -> Option<&mut Rare<P>> {
        self.rare.as_deref_mut()
    }

    /// The same, made now if there is none.
    pub(super) fn rare_or_new(&mut self) -> &mut Rare<P> {
        self.rare.get_or_insert_default()
    }

    /// An install: the beats that are owed start no sooner than `earliest`, but for those that one has moved.
    pub(super) fn move_owed(&mut self, earliest: Tick) {
        let all = self.extras.owed.load(Ordering::Acquire);
        if all > 0 {
            self.rare_or_new().owed.move_older(all, earliest);
        }
    }

    /// When the wake that waits may start under a handler that is there since `since`, and
    /// whether no request but an urgent one could start it sooner.
    pub(super) fn start(&self, urgency: Urgency, since: Tick, policy: &Policy) -> (Tick, bool) {
        if self.blocked_by.is_some() {
            return (Tick::NEVER, false);
        }
        let due = self.due.earliest();
        let at = self
            .hold
            .not_before
            .unwrap_or(due)
            .max(self.hold.floor)
            .max(since.max(self.free_since))
            .max(if urgency == Urgency::Urgent { Tick::NOW } else { self.rate(policy) });
        (at, self.hold.not_before.is_some() || at > due)
    }

    /// When the rates let the target start again.
    fn rate(&self, policy: &Policy) -> Tick {
        let Some(starts_before) = self.rare().map(|rare| &rare.starts) else { return Tick::NOW };
        let Some(&last) = starts_before.back() else { return Tick::NOW };
        let spaced = if policy.spacing.is_zero() { Tick::NOW } else { last + policy.spacing };
        let flood = policy.flood.and_then(|Flood { starts, within }| {
            let nth_last = starts_before.len().checked_sub(starts.get() as usize)?;
            starts_before.get(nth_last).map(|&start| start + within)
        });
        flood.map_or(spaced, |flood| flood.max(spaced))
    }

    /// When the next beat is made: early by less than `leeway`, and by half a period at most.
    pub(super) fn beats_at(&self, leeway: Duration) -> Tick {
        let Some(beating) = self.cadence else { return Tick::NEVER };
        let (next, period) = (beating.next.as_micros(), beating.grid.period);
        early(beating.next, Tick::from_micros(next.saturating_sub(period)), leeway)
    }

    /// A run starts now.
    pub(super) fn count_start(&mut self, now: Tick, policy: &Policy) {
        let matter = policy.starts_that_matter();
        if matter > 0 {
            let starts = &mut self.rare_or_new().starts;
            if starts.len() >= matter {
                starts.pop_front();
            }
            starts.push_back(now);
        }
    }

    /// A beat at `since` waits: the first of which no run was done, if none was there.
    pub(super) fn note_unserved(&self, since: Tick) {
        let shown = &self.extras.vitals.unserved_since;
        if shown.load(Ordering::Relaxed) == Tick::NEVER.as_micros() {
            show(shown, since.as_micros());
        }
    }

    /// A run was done that stood for so many beats. Of those that wait behind it the first is not
    /// remembered, so it counts as no older than the last.
    pub(super) fn note_served(&self, beats: u64) {
        let shown = &self.extras.vitals.unserved_since;
        match self.last_beat {
            None => show(shown, Tick::NEVER.as_micros()),
            Some(last) if beats > 0 => show(shown, tick(last).as_micros()),
            Some(_) => {}
        }
    }

    /// The wake that waited was taken or discarded: what was remembered of it is void.
    pub(super) fn forget_wake(&mut self) {
        self.due = Due::NONE;
        self.hold.not_before = None;
        self.moved_behind = Tick::NEVER;
        self.is_barrier = false;
        self.beats = 0;
        self.last_beat = None;
        self.told = 0;
        self.passed = false;
    }
}

impl<P> Default for Rare<P> {
    fn default() -> Self {
        let (starts, poisoned, owed) = (VecDeque::new(), None, Owed::default());
        Self { starts, poisoned, owed, successor: None }
    }
}

/// When what is due `at` may start, as of now: with the window of that length in which it lies, but no sooner than
/// after half of the time until then.
pub(super) fn early(at: Tick, now: Tick, leeway: Duration) -> Tick {
    let (at, now, window) = (at.as_micros(), now.as_micros(), (Tick::NOW + leeway).as_micros());
    if window < 2 || at <= now {
        return Tick::from_micros(at);
    }
    Tick::from_micros((at / window * window).max(at - (at - now) / 2))
}

/// An instant as those are kept that may lie before the origin of the hub's clock.
pub(super) fn instant(at: Tick) -> i64 {
    i64::try_from(at.as_micros()).unwrap_or(i64::MAX)
}

/// The same as a tick: the origin for what lies before it.
pub(super) fn tick(at: i64) -> Tick {
    u64::try_from(at).map_or(Tick::NOW, Tick::from_micros)
}

/// What holds a target back, and for which handler: for a newer one it counts for nothing (P9).
#[derive(Clone, Copy)]
pub(super) struct Hold {
    generation: Generation,
    /// No start before this.
    pub(super) floor: Tick,
    /// The wake's own deferral.
    pub(super) not_before: Option<Tick>,
    /// Failures in a row.
    pub(super) failures: u32,
    /// Starts of the wake that waits or runs.
    pub(super) attempt: u32,
}

impl Default for Hold {
    fn default() -> Self {
        let generation = Generation::NONE;
        Self { generation, floor: Tick::NOW, not_before: None, failures: 0, attempt: 0 }
    }
}

impl Hold {
    /// Under `generation` a new handler starts clean.
    pub(super) fn renew(&mut self, generation: Generation) {
        if self.generation != generation {
            *self = Self { generation, ..Self::default() };
        }
    }
}

/// When the wake that waits is due, in three parts: an install moves requests of earlier
/// instants, and each of them once (P9).
#[derive(Clone, Copy)]
pub(super) struct Due {
    /// Requests that an install has moved.
    moved: Tick,
    /// Other requests of earlier instants.
    older: Tick,
    /// Requests of the instant `fresh_at`.
    fresh: Tick,
    fresh_at: Tick,
}

impl Due {
    pub(super) const NONE: Self =
        Self { moved: Tick::NEVER, older: Tick::NEVER, fresh: Tick::NEVER, fresh_at: Tick::NOW };

    pub(super) fn earliest(self) -> Tick {
        self.moved.min(self.older).min(self.fresh)
    }

    /// Whether all that waits was requested at `now`.
    pub(super) fn is_fresh(self, now: Tick) -> bool {
        self.fresh_at == now && self.moved == Tick::NEVER && self.older == Tick::NEVER
    }

    fn age(&mut self, now: Tick) {
        if self.fresh_at != now {
            self.older = self.older.min(self.fresh);
            (self.fresh, self.fresh_at) = (Tick::NEVER, now);
        }
    }

    /// A request at `now` for `due`.
    pub(super) fn add(&mut self, now: Tick, due: Tick) {
        self.age(now);
        self.fresh = self.fresh.min(due);
    }

    /// A request before now for `due`.
    pub(super) fn add_older(&mut self, due: Tick) {
        self.older = self.older.min(due);
    }

    /// A request for `due` that an install has moved.
    pub(super) fn add_moved(&mut self, due: Tick) {
        self.moved = self.moved.min(due);
    }

    /// An install at `now`: requests before it that no install has moved start no sooner than
    /// `earliest`.
    pub(super) fn move_older(&mut self, now: Tick, earliest: Tick) {
        self.age(now);
        if self.older < earliest {
            self.moved = self.moved.min(earliest);
            self.older = Tick::NEVER;
        }
    }
}

/// Which of the beats that are owed an install has moved, and to where; oldest first.
///
/// How many are owed in all stands in the target's extras, where a stop can take them. Kept short:
/// past a few installs the later ones join the last entry, and so start early rather than late.
#[derive(Default)]
pub(super) struct Owed(Vec<(u64, Tick)>);

impl Owed {
    const LONGEST: usize = 4;

    /// An install: of the `all` beats that are owed, those that no install has moved start no
    /// sooner than `earliest`.
    pub(super) fn move_older(&mut self, all: u64, earliest: Tick) {
        let moved: u64 = self.0.iter().map(|&(count, _)| count).sum();
        let rest = all.saturating_sub(moved);
        if rest == 0 {
            return;
        }
        let full = self.0.len() >= Self::LONGEST;
        match self.0.last_mut() {
            Some((count, _)) if full => *count += rest,
            _ => self.0.push((rest, earliest)),
        }
    }

    /// The oldest beat becomes a wake: to where an install has moved it, if one has.
    pub(super) fn take(&mut self) -> Option<Tick> {
        let (count, due) = self.0.first_mut()?;
        let due = *due;
        *count -= 1;
        if *count == 0 {
            self.0.remove(0);
        }
        Some(due)
    }

    /// The oldest beat goes back to the front; `moved` is to where an install has moved it.
    pub(super) fn put_back(&mut self, moved: Tick) {
        if moved != Tick::NEVER {
            self.0.insert(0, (1, moved));
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// A wake that was given up.
pub(super) struct Poison<P> {
    pub(super) taken: Taken,
    pub(super) payload: Option<Arc<P>>,
}

impl<P: Merge> Poison<P> {
    /// What was given up, with what had been given up before. A `Merge` that panics costs the later
    /// payload; it was reported when it was first tried.
    pub(super) fn of(earlier: Option<Self>, taken: Taken, payload: &Option<Arc<P>>) -> Self {
        let Some(earlier) = earlier else { return Self { taken, payload: payload.clone() } };
        let taken = Taken {
            reasons: earlier.taken.reasons | taken.reasons,
            urgency: earlier.taken.urgency.max(taken.urgency),
        };
        let payload = match (earlier.payload, payload) {
            (Some(first), Some(second)) => {
                let merged = contain(|| {
                    let mut merged = P::clone(&first);
                    merged.merge(P::clone(second));
                    Arc::new(merged)
                });
                Some(merged.unwrap_or(first))
            }
            (first, second) => first.or_else(|| second.clone()),
        };
        Self { taken, payload }
    }
}

/// A cadence in force.
#[derive(Clone, Copy)]
pub(super) struct Beating {
    pub(super) grid: Grid,
    pub(super) next: Tick,
    /// The last beat; one of an earlier process may lie before the origin of the hub's clock.
    pub(super) last: Option<i64>,
}

/// A run in flight.
pub(super) struct InFlight<P> {
    /// Whose.
    pub(super) index: u32,
    pub(super) number: RunNumber,
    pub(super) generation: Generation,
    pub(super) runs: Arc<Runs>,
    pub(super) taken: Taken,
    pub(super) payload: Option<Arc<P>>,
    /// Who awaits it.
    pub(super) tickets: Awaited,
    /// All of its wake was requested at the instant at which it started.
    pub(super) fresh_at: Option<Tick>,
    pub(super) beats: u64,
    pub(super) last_beat: Option<i64>,
    /// It runs alone.
    pub(super) is_barrier: bool,
    /// Past its limit: it no longer counts against `max_active`.
    pub(super) overran: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: u64) -> Tick {
        Tick::from_micros(n)
    }

    fn rest(owed: &mut Owed) -> Vec<u64> {
        std::iter::from_fn(|| owed.take()).map(Tick::as_micros).collect()
    }

    /// P9: an install moves the beats that are owed once, each, and those that came later to later.
    #[test]
    fn owed_beats_remember_where_an_install_moved_them() {
        let mut owed = Owed::default();
        owed.move_older(2, at(10));
        owed.move_older(2, at(20));
        owed.move_older(5, at(30));
        assert_eq!(owed.take(), Some(at(10)));
        owed.put_back(at(10));
        owed.put_back(Tick::NEVER);
        assert_eq!(rest(&mut owed), [10, 10, 30, 30, 30]);
        owed.move_older(1, at(40));
        owed.clear();
        assert_eq!(owed.take(), None);
    }

    /// P15: past a few installs the later beats join the last entry.
    #[test]
    fn owed_beats_are_remembered_in_little_room() {
        let mut owed = Owed::default();
        for n in 1..=6 {
            owed.move_older(n, at(10 * n));
        }
        assert_eq!(owed.0.len(), Owed::LONGEST);
        assert_eq!(rest(&mut owed), [10, 20, 30, 40, 40, 40]);
    }
}
