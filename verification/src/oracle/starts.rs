//! Which run starts next: from which instant each may, and what holds it back.

use super::request::{is_urgent, wants_from};
use super::target::flooded;
use super::{NEVER, Oracle, after};
use crate::scenario::subject::Refusal;

/// A target with a wake that no run of its own, no missing handler and nothing else of its own
/// but time keeps from starting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// The instant from which it may start.
    instant: u64,
    /// Its place among the targets, which is the order of their creation.
    index: usize,
    is_barrier: bool,
    is_urgent: bool,
}

impl Oracle {
    fn candidates(&self) -> Vec<Candidate> {
        let indices = 0..self.targets.len();
        let candidate = |index| {
            let rates = self.rates_hold_to(index).unwrap_or(0);
            let instant = self.may_start_but_for_rates(index)?.max(rates);
            let wake = self.targets[index].next_requests(self.policy.missed);
            let is_barrier = wake.iter().any(|request| request.barrier);
            Some(Candidate { instant, index, is_barrier, is_urgent: is_urgent(&wake) })
        };
        indices.filter_map(candidate).collect()
    }

    /// The instant from which the wake of a target may start if its rates allow it; none where
    /// there is no wake or no handler, or while a run of the target is in flight.
    fn may_start_but_for_rates(&self, index: usize) -> Option<u64> {
        let installed = self.installed.as_ref()?;
        let target = &self.targets[index];
        let taken = self.flights.iter().any(|flight| flight.target == target.key);
        if taken || target.requests.is_empty() {
            return None;
        }
        let wake = target.next_requests(self.policy.missed);
        let free_since = self.free_since.get(&target.key).copied().unwrap_or(0);
        let instants = [wants_from(&wake), target.floor, free_since, installed.since];
        Some(instants.into_iter().max().unwrap_or(NEVER))
    }

    /// Until when the rates of a target hold back its wake; none where that is urgent.
    fn rates_hold_to(&self, index: usize) -> Option<u64> {
        let target = &self.targets[index];
        let wake = target.next_requests(self.policy.missed);
        (!is_urgent(&wake)).then(|| target.rates_allow_from(&self.policy))
    }

    /// Until when the rate of all targets together holds back this start. The instant from which it may
    /// start, and so its place among the others, stays what it is.
    fn held_to(&self, candidate: &Candidate) -> u64 {
        if candidate.is_urgent { 0 } else { flooded(&self.started, self.policy.hub_flood) }
    }

    /// Those that it does not hold back now.
    fn let_go(&self) -> Vec<Candidate> {
        let mut candidates = self.candidates();
        candidates.retain(|it| self.held_to(it) <= self.now);
        candidates
    }

    /// Whether no run may start, whatever waits: no place is left, or a barrier runs.
    fn is_closed(&self) -> bool {
        let in_time = self.flights.iter().filter(|flight| !flight.overran);
        in_time.clone().count() as u64 >= self.policy.max_active
            || in_time.clone().any(|flight| flight.barrier)
    }

    /// The barrier whose turn it is, and those that go before it.
    fn turn(&self, candidates: &[Candidate]) -> Option<(Candidate, Vec<Candidate>)> {
        let come = candidates.iter().filter(|it| it.is_barrier && it.instant <= self.now);
        let barrier = *come.min()?;
        let before = |it: &&Candidate| !it.is_barrier && it.instant <= barrier.instant;
        Some((barrier, candidates.iter().filter(before).copied().collect()))
    }

    /// The target whose run starts now: of those that may for the longest time, the one created
    /// first.
    fn next_start(&self) -> Option<usize> {
        if self.is_closed() {
            return None;
        }
        let candidates = self.let_go();
        let Some((barrier, before)) = self.turn(&candidates) else {
            let first = candidates.into_iter().min()?;
            return (first.instant <= self.now).then_some(first.index);
        };
        let limit = after(barrier.instant, self.policy.barrier_limit_ms);
        if limit <= self.now {
            return Some(barrier.index);
        }
        if let Some(first) = before.into_iter().min() {
            return Some(first.index);
        }
        self.flights.is_empty().then_some(barrier.index)
    }

    /// The instants of starts that nothing but time stands against.
    pub(super) fn start_instants(&self) -> Vec<u64> {
        if self.is_closed() {
            return Vec::new();
        }
        let candidates = self.candidates();
        let starts = |it: Candidate| it.instant.max(self.held_to(&it));
        match self.turn(&candidates) {
            None => candidates.into_iter().map(starts).collect(),
            Some((barrier, before)) => {
                let limit = after(barrier.instant, self.policy.barrier_limit_ms);
                before.into_iter().map(starts).chain([limit]).collect()
            }
        }
    }

    /// Starts what may start now, one after the other.
    pub(super) fn start_what_starts(&mut self) -> Result<bool, Refusal> {
        let mut any = false;
        while let Some(index) = self.next_start() {
            self.happens(1)?;
            self.start(index);
            any = true;
        }
        Ok(any)
    }
}
