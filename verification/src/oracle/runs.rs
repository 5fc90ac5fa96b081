//! Requests, and the runs that serve them.

use super::request::{Request, leader};
use super::{Ends, Event, Flight, NEVER, Oracle, Started, after};
use crate::scenario::{Outcome, ResultSpec, Urgency};

impl Oracle {
    pub(super) fn next_number(&mut self) -> u64 {
        self.requests_made += 1;
        self.requests_made
    }

    pub(super) fn wake(&mut self, key: &str, reason: &str, delay: u64, urgency: Urgency) {
        let request = self.request(reason, delay, urgency);
        self.ask(key, request);
    }

    /// An urgent wake, due now, whose run is to run alone.
    pub(super) fn barrier(&mut self, key: &str, reason: &str) {
        let request = self.request(reason, 0, Urgency::Urgent);
        self.ask(key, Request { barrier: true, ..request });
    }

    pub(super) fn request(&mut self, reason: &str, delay: u64, urgency: Urgency) -> Request {
        let number = self.next_number();
        Request::new(number, reason, urgency, self.now, after(self.now, delay))
    }

    pub(super) fn ask(&mut self, key: &str, request: Request) {
        self.tally.accepted += 1;
        if self.stopped {
            self.tally.refused += 1;
            return;
        }
        let missed = self.policy.missed;
        let merged = self.target(key).put(vec![request], 1, missed);
        self.tally.coalesced += merged;
    }

    /// What was given up for a target is one new wake, due now.
    pub(super) fn revive(&mut self, key: &str) {
        let mut given_up = std::mem::take(&mut self.target(key).given_up);
        if given_up.is_empty() || self.stopped {
            return;
        }
        self.tally.accepted += 1;
        // They are as old as they were: of equal urgency a later one leads.
        let (now, due) = (self.now, after(self.now, 0));
        let anew = |old: Request| Request::new(old.age(), &old.reason, old.urgency, now, due);
        let again: Vec<Request> = given_up.drain(..).map(anew).collect();
        let missed = self.policy.missed;
        let target = self.target(key);
        target.floor = 0;
        target.failures = 0;
        let merged = target.put(again, 1, missed);
        self.tally.coalesced += merged;
    }

    /// The target starts clean, as it would after an install, but that its wakes stay where they are.
    pub(super) fn forgive(&mut self, key: &str) {
        let target = self.target(key);
        target.floor = 0;
        target.failures = 0;
        for request in &mut target.requests {
            request.deferred_to = None;
            request.starts = 0;
        }
        for flight in self.flights.iter_mut().filter(|flight| flight.target == key) {
            flight.requests.iter_mut().for_each(|request| request.starts = 0);
        }
    }

    pub(super) fn start(&mut self, index: usize) {
        let Some(installed) = self.installed.clone() else { return };
        let generation = self.generation;
        let (wake, rest) = self.targets[index].next_wake(self.policy.missed);
        self.targets[index].requests = rest;
        self.targets[index].started.push(self.now);
        self.started.push(self.now);
        self.delay_cadence(index, &wake);

        let key = self.targets[index].key.clone();
        let earlier = wake.iter().map(|request| request.starts_under(generation)).max();
        let barrier = wake.iter().any(|request| request.barrier);
        let beats: u64 = wake.iter().map(|request| request.beats).sum();
        self.events.push(Event::Started(Started {
            at_ms: self.now,
            handler: installed.name.clone(),
            target: key.clone(),
            reason: leader(&wake).map(|request| request.reason.clone()).unwrap_or_default(),
            reasons: wake.iter().map(|request| request.reason.clone()).collect(),
            attempt: earlier.unwrap_or(0) + 1,
            missed: beats.saturating_sub(1),
            beside: barrier.then_some(self.flights.len() as u64),
        }));
        self.tally.started += 1;
        self.peak = self.peak.max(self.flights.len() as u64 + 1);

        let result = self.next_result(&installed.name, &key);
        let flight = Flight {
            handler: installed.name,
            generation,
            target: key,
            orphaned: None,
            barrier,
            limit: self.policy.run_limit_ms.map_or(NEVER, |limit| after(self.now, limit)),
            overran: false,
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
