//! How runs end, and what becomes of their wakes.

use super::{Ending, Ends, Event, Flight, Oracle, after};
use crate::scenario::subject::Refusal;
use crate::scenario::{Outcome, Urgency};

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

    pub(super) fn end(&mut self, flight: Flight, outcome: Outcome) {
        self.land(&flight, ending(outcome));
        if outcome == Outcome::Panic {
            self.tally.panics += 1;
        }
        if flight.orphaned {
            return;
        }
        if self.stopped {
            self.end_after_stop(&flight, outcome);
            return;
        }
        let older = flight.generation < self.generation;
        match outcome {
            Outcome::Ran | Outcome::Skip => {
                self.target(&flight.target).failures = 0;
            }
            _ if older => self.pass_on(flight, false),
            Outcome::Busy { for_ms } => {
                let floor = after(self.now, for_ms.unwrap_or(self.policy.retry_ms));
                self.target(&flight.target).floor = floor;
                self.give_back(flight);
            }
            Outcome::Fail | Outcome::Panic => self.fail(flight),
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

    fn fail(&mut self, flight: Flight) {
        let failures = self.target(&flight.target).failures + 1;
        let floor = after(self.now, self.backoff(failures));
        let gives_up = failures >= self.policy.max_attempts;
        let target = self.target(&flight.target);
        target.floor = floor;
        target.failures = if gives_up { 0 } else { failures };
        if gives_up {
            self.tally.gave_up += 1;
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

    /// A run after the stop ends without effect; what it would give back is discarded.
    fn end_after_stop(&mut self, flight: &Flight, outcome: Outcome) {
        let older = flight.generation < self.generation;
        let would_give_back = match outcome {
            Outcome::Ran | Outcome::Skip => false,
            Outcome::Busy { .. } | Outcome::Defer { .. } => true,
            Outcome::Fail | Outcome::Panic => {
                older || self.target(&flight.target).failures + 1 < self.policy.max_attempts
            }
        };
        if would_give_back {
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
        if !flight.orphaned {
            self.give_back(flight);
        }
    }

    fn give_back(&mut self, flight: Flight) {
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
        Outcome::Fail => Ending::Fail,
        Outcome::Panic => Ending::Panic,
    }
}
