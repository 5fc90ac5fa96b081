//! How runs end, and what becomes of their wakes.

use super::{Ending, Ends, Event, Flight, Oracle, after};
use crate::scenario::subject::Refusal;
use crate::scenario::{Missed, OnOverrun, Outcome, TicketState, Urgency};

impl Oracle {
    /// Ends the runs whose time is over.
    pub(super) fn end_what_ends(&mut self) -> bool {
        let mut any = false;
        let mut index = 0;
        while index < self.flights.len() {
            match self.flights[index].ends {
                Ends::At(instant, outcome) if instant <= self.now => {
                    let flight = self.flights.remove(index);
                    self.end(flight, outcome);
                    any = true;
                }
                _ => index += 1,
            }
        }
        any
    }

    pub(super) fn finish(
        &mut self,
        handler: &str,
        target: &str,
        outcome: Outcome,
    ) -> Result<(), Refusal> {
        let held = self.flights.iter().position(|flight| {
            flight.handler == handler
                && flight.target == target
                && matches!(flight.ends, Ends::WhenTold)
        });
        let Some(index) = held else {
            return Err(Refusal {
                expected: format!("a held run of {handler} on {target}"),
                got: "none".to_owned(),
            });
        };
        let flight = self.flights.remove(index);
        self.end(flight, outcome);
        Ok(())
    }

    /// A run is over, whatever becomes of it: its target is free.
    pub(super) fn land(&mut self, flight: &Flight, ending: Ending) {
        self.free_since.insert(flight.target.clone(), self.now);
        let target = flight.target.clone();
        self.events.push(Event::Ended { at_ms: self.now, target, ending });
    }

    /// Runs that have taken as long as they may give up their place, or end as failed.
    pub(super) fn pass_limits(&mut self) -> bool {
        let past = |flight: &Flight, now| !flight.overran && flight.limit <= now;
        let mut any = false;
        while let Some(index) = self.flights.iter().position(|flight| past(flight, self.now)) {
            any = true;
            self.tally.overran += 1;
            self.flights[index].overran = true;
            if self.policy.on_overrun == OnOverrun::Cancel {
                let flight = self.flights.remove(index);
                self.end_as(flight, Outcome::Fail, Ending::Overran);
            }
        }
        any
    }

    pub(super) fn end(&mut self, flight: Flight, outcome: Outcome) {
        self.end_as(flight, outcome, ending(outcome));
    }

    fn end_as(&mut self, flight: Flight, outcome: Outcome, ending: Ending) {
        self.land(&flight, ending);
        if outcome == Outcome::Panic {
            self.tally.panics += 1;
        }
        if self.stopped || flight.orphaned.is_some() {
            self.end_without_effect(&flight, outcome);
            return;
        }
        let older = flight.generation < self.generation;
        match outcome {
            Outcome::Ran | Outcome::Skip => {
                let target = self.target(&flight.target);
                target.failures = 0;
                target.given_up.clear();
                // A beat that is owed has not been served, though a later one may have been.
                let owed = target.requests.iter().any(|request| request.beats > 0);
                let burst = self.policy.missed == Missed::Burst;
                let beats = flight.requests.iter().filter(|request| request.beats > 0);
                if let Some(beat) = beats.map(|request| request.last_beat).max()
                    && !(burst && owed)
                {
                    self.served.insert(flight.target.clone(), beat);
                }
                let done =
                    if outcome == Outcome::Ran { TicketState::Ran } else { TicketState::Skip };
                self.end_tickets(&flight.requests, done);
            }
            _ if older => self.pass_on(flight, false),
            Outcome::Busy { for_ms } => {
                let floor = after(self.now, for_ms.unwrap_or(self.policy.retry_ms));
                self.target(&flight.target).floor = floor;
                self.give_back(flight);
            }
            Outcome::Fail | Outcome::Panic => self.fail(flight, None),
            Outcome::FailFor { for_ms } => self.fail(flight, Some(for_ms)),
            Outcome::Defer { for_ms } => {
                let deferred_to = after(self.now, for_ms);
                // What came during the run is one wake by now: earliest due, highest urgency.
                let came = &mut self.target(&flight.target).requests;
                let earliest = came.iter().map(|request| request.due).min();
                for urgent in came.iter_mut().filter(|it| it.urgency == Urgency::Urgent) {
                    urgent.passes_at = earliest;
                }
                let mut flight = flight;
                for request in &mut flight.requests {
                    request.deferred_to = Some(deferred_to);
                }
                self.give_back(flight);
            }
        }
    }

    fn fail(&mut self, flight: Flight, for_ms: Option<u64>) {
        let failures = self.target(&flight.target).failures + 1;
        let floor = after(self.now, for_ms.unwrap_or_else(|| self.backoff(failures)));
        let gives_up = failures >= self.policy.max_attempts;
        let target = self.target(&flight.target);
        target.floor = floor;
        target.failures = if gives_up { 0 } else { failures };
        if gives_up {
            target.given_up.extend(flight.requests.iter().cloned());
            self.tally.gave_up += 1;
            self.end_tickets(&flight.requests, TicketState::GaveUp);
        } else {
            self.give_back(flight);
        }
    }

    /// The floor after so many failures in a row.
    fn backoff(&self, failures: u64) -> u64 {
        let mut delay = self.policy.retry_ms.min(self.policy.backoff_max_ms);
        for _ in 1..failures {
            let longer = delay.saturating_mul(self.policy.backoff_factor);
            let longer = longer.min(self.policy.backoff_max_ms);
            if longer == delay {
                break;
            }
            delay = longer;
        }
        delay
    }

    /// A run after the stop, or of a target that was removed, ends without effect; what it would
    /// give back is discarded. Only its tickets say how it ended.
    fn end_without_effect(&mut self, flight: &Flight, outcome: Outcome) {
        let older = flight.generation < self.generation;
        let failures = match flight.orphaned {
            Some(failures) => failures,
            None => self.target(&flight.target).failures,
        };
        let would_give_back = match outcome {
            Outcome::Ran => return self.end_tickets(&flight.requests, TicketState::Ran),
            Outcome::Skip => return self.end_tickets(&flight.requests, TicketState::Skip),
            Outcome::Busy { .. } | Outcome::Defer { .. } => true,
            Outcome::Fail | Outcome::FailFor { .. } | Outcome::Panic => {
                older || failures + 1 < self.policy.max_attempts
            }
        };
        let how = match (would_give_back, flight.orphaned) {
            (false, _) => TicketState::GaveUp,
            (true, Some(_)) => TicketState::Removed,
            (true, None) => TicketState::Stopped,
        };
        self.end_tickets(&flight.requests, how);
        if would_give_back && flight.orphaned.is_none() {
            self.tally.retried += 1;
            self.tally.discarded += 1;
        }
    }

    /// The wake of a run that lost its handler waits for the next one: due one coalesce window
    /// from now.
    pub(super) fn pass_on(&mut self, mut flight: Flight, by_install: bool) {
        let due = after(self.now, self.policy.coalesce_ms);
        for request in &mut flight.requests {
            request.due = due;
            request.moved = by_install;
        }
        if flight.orphaned.is_some() {
            self.end_tickets(&flight.requests, TicketState::Removed);
        } else {
            self.give_back(flight);
        }
    }

    fn give_back(&mut self, flight: Flight) {
        self.defer_tickets(&flight.requests);
        let missed = self.policy.missed;
        let target = self.target(&flight.target);
        let merged = target.put(flight.requests, 1, missed);
        self.tally.retried += 1;
        self.tally.coalesced += merged;
    }
}

fn ending(outcome: Outcome) -> Ending {
    match outcome {
        Outcome::Ran => Ending::Ran,
        Outcome::Skip => Ending::Skip,
        Outcome::Busy { .. } => Ending::Busy,
        Outcome::Defer { .. } => Ending::Defer,
        Outcome::Fail | Outcome::FailFor { .. } => Ending::Fail,
        Outcome::Panic => Ending::Panic,
    }
}
