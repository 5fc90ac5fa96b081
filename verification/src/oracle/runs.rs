//! Requests, and the runs that serve them.

use super::request::{Request, leader, wants_from};
use super::{Ends, Event, Flight, NEVER, Oracle, Started, after};
use crate::scenario::subject::Refusal;
use crate::scenario::{Outcome, ResultSpec, Urgency};

impl Oracle {
    pub(super) fn next_number(&mut self) -> u64 {
        self.requests_made += 1;
        self.requests_made
    }

    pub(super) fn wake(&mut self, key: &str, reason: &str, delay: u64, urgency: Urgency) {
        self.tally.accepted += 1;
        if self.stopped {
            self.tally.refused += 1;
            return;
        }
        let number = self.next_number();
        let due = after(self.now, delay);
        let request = Request::new(number, reason, urgency, self.now, due);
        let missed = self.policy.missed;
        let merged = self.target(key).put(vec![request], 1, missed);
        self.tally.coalesced += merged;
    }

    /// The targets that only time keeps from starting, with the instant from which they may,
    /// in the order of their creation.
    pub(super) fn starts(&self) -> Vec<(u64, usize)> {
        let Some(installed) = &self.installed else { return Vec::new() };
        if self.flights.len() as u64 >= self.policy.max_active {
            return Vec::new();
        }
        let mut starts = Vec::new();
        for (index, target) in self.targets.iter().enumerate() {
            let taken = self.flights.iter().any(|flight| flight.target == target.key);
            if taken || target.requests.is_empty() {
                continue;
            }
            let (wake, _) = target.next_wake(self.policy.missed);
            let free_since = self.free_since.get(&target.key).copied().unwrap_or(0);
            let instant = [wants_from(&wake), target.floor, free_since, installed.since];
            starts.push((instant.into_iter().max().unwrap_or(NEVER), index));
        }
        starts
    }

    /// Starts what may start now, one after the other: of those that may for the longest time,
    /// the one created first.
    pub(super) fn start_what_starts(&mut self) -> Result<bool, Refusal> {
        let mut any = false;
        while let Some((instant, index)) = self.starts().into_iter().min() {
            if instant > self.now {
                break;
            }
            self.happens(1)?;
            self.start(index);
            any = true;
        }
        Ok(any)
    }

    fn start(&mut self, index: usize) {
        let Some(installed) = self.installed.clone() else { return };
        let generation = self.generation;
        let (wake, rest) = self.targets[index].next_wake(self.policy.missed);
        self.targets[index].requests = rest;
        self.delay_cadence(index, &wake);

        let key = self.targets[index].key.clone();
        let earlier = wake.iter().map(|request| request.starts_under(generation)).max();
        let beats: u64 = wake.iter().map(|request| request.beats).sum();
        self.events.push(Event::Started(Started {
            at_ms: self.now,
            handler: installed.name.clone(),
            target: key.clone(),
            reason: leader(&wake).map(|request| request.reason.clone()).unwrap_or_default(),
            reasons: wake.iter().map(|request| request.reason.clone()).collect(),
            attempt: earlier.unwrap_or(0) + 1,
            missed: beats.saturating_sub(1),
        }));
        self.tally.started += 1;
        self.peak = self.peak.max(self.flights.len() as u64 + 1);

        let result = self.next_result(&installed.name, &key);
        let flight = Flight {
            handler: installed.name,
            generation,
            target: key,
            orphaned: false,
            requests: wake.into_iter().map(|request| request.taken_under(generation)).collect(),
            ends: match result {
                ResultSpec::Hold => Ends::WhenTold,
                ResultSpec::Ends { outcome, lasts_ms } => {
                    Ends::At(after(self.now, lasts_ms.unwrap_or(0)), outcome)
                }
            },
        };
        match result {
            ResultSpec::Ends { outcome, lasts_ms: None } => self.end(flight, outcome),
            _ => self.flights.push(flight),
        }
    }

    /// The next scripted result: the script for the target goes before the general one.
    fn next_result(&mut self, handler: &str, target: &str) -> ResultSpec {
        let for_target = (handler.to_owned(), Some(target.to_owned()));
        let general = (handler.to_owned(), None);
        let key = if self.scripts.contains_key(&for_target) { for_target } else { general };
        let Some(script) = self.scripts.get_mut(&key) else {
            return ResultSpec::Ends { outcome: Outcome::Ran, lasts_ms: None };
        };
        let last = script.results.len() - 1;
        let result = script.results[script.next.min(last)];
        script.next += 1;
        result
    }
}
