//! Playing one scenario on two subjects and comparing everything that can be seen of them.

use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;

use crate::scenario::play::conserved;
use crate::scenario::subject::{Event, Subject};
use crate::scenario::{Action, Counter, Scenario, Verb};

/// How far the time goes on after the last step, so that what it left behind shows.
const AFTERMATH_MS: [u64; 6] = [1, 10, 20, 50, 100, 250];

/// The first thing in which two subjects differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The instant after which it showed.
    pub at_ms: u64,
    /// What differs.
    pub what: String,
    /// What the first subject says.
    pub first: String,
    /// What the second subject says.
    pub second: String,
}

impl Difference {
    /// A case that failed and did not fail again.
    pub(super) fn unrepeatable(reason: impl fmt::Display, scenario: &Scenario) -> Self {
        Self {
            at_ms: last_instant(scenario),
            what: "not repeatable".to_owned(),
            first: reason.to_string(),
            second: String::new(),
        }
    }

    /// A case on which an implementation panicked.
    pub(super) fn panicked(panic: &(dyn Any + Send), scenario: &Scenario) -> Self {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
        Self {
            at_ms: last_instant(scenario),
            what: "whether it panics".to_owned(),
            first: message.unwrap_or("a panic without a message").to_owned(),
            second: "no panic".to_owned(),
        }
    }
}

fn last_instant(scenario: &Scenario) -> u64 {
    scenario.steps.last().map_or(0, |step| step.at_ms)
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at_ms, what, first, second } = self;
        writeln!(f, "they differ at {at_ms} in: {what}")?;
        writeln!(f, "first:  {first}")?;
        write!(f, "second: {second}")
    }
}

/// Plays a scenario on two subjects that stand at time 0, and compares all that can be observed
/// of them after every instant, and for a while after the last step. Expectations are skipped.
pub fn differ(
    first: &mut dyn Subject,
    second: &mut dyn Subject,
    scenario: &Scenario,
) -> Option<Difference> {
    let mut pair = Pair {
        first,
        second,
        compared: (0, 0),
        targets: Vec::new(),
        tickets: Vec::new(),
        at_ms: 0,
    };
    match pair.play(scenario) {
        Ok(()) => None,
        Err(difference) => Some(*difference),
    }
}

struct Pair<'subject> {
    first: &'subject mut dyn Subject,
    second: &'subject mut dyn Subject,
    /// How many events of each have been compared.
    compared: (usize, usize),
    targets: Vec<String>,
    tickets: Vec<String>,
    at_ms: u64,
}

impl Pair<'_> {
    fn play(&mut self, scenario: &Scenario) -> Result<(), Box<Difference>> {
        for step in &scenario.steps {
            if step.at_ms > self.at_ms {
                self.settle_and_compare()?;
                self.advance(step.at_ms)?;
            }
            for target in step.verb.targets() {
                self.first.name_target(target);
                self.second.name_target(target);
                if !self.targets.iter().any(|known| known == target) {
                    self.targets.push(target.to_owned());
                }
            }
            if let Verb::Act(action) = &step.verb {
                // The words of a refusal are nobody's contract.
                let refused =
                    (self.first.apply(action).is_err(), self.second.apply(action).is_err());
                self.same(&format!("whether `{step}` is refused"), &refused.0, &refused.1)?;
                if let Action::Await { name, .. } = action
                    && !self.tickets.contains(name)
                {
                    self.tickets.push(name.clone());
                }
                if let Action::Suspend { ms } | Action::Restart { ms } = action {
                    self.at_ms = self.at_ms.saturating_add(*ms);
                }
            }
        }
        self.settle_and_compare()?;
        for more in AFTERMATH_MS {
            self.advance(self.at_ms.saturating_add(more))?;
            self.settle_and_compare()?;
        }
        Ok(())
    }

    fn advance(&mut self, at_ms: u64) -> Result<(), Box<Difference>> {
        let refused =
            (self.first.advance_to(at_ms).is_err(), self.second.advance_to(at_ms).is_err());
        self.at_ms = at_ms;
        self.same("whether there is too much on the way", &refused.0, &refused.1)
    }

    fn settle_and_compare(&mut self) -> Result<(), Box<Difference>> {
        let refused = (self.first.settle().is_err(), self.second.settle().is_err());
        self.same("whether it settles", &refused.0, &refused.1)?;
        self.compare_events()?;
        for target in &self.targets {
            let states = (self.first.state(target), self.second.state(target));
            self.same(&format!("the state of {target}"), &states.0, &states.1)?;
        }
        for ticket in &self.tickets {
            let tickets = (self.first.ticket(ticket), self.second.ticket(ticket));
            self.same(&format!("the ticket {ticket}"), &tickets.0, &tickets.1)?;
        }
        let poisoned = (poisoned(self.first), poisoned(self.second));
        self.same("the poisoned targets", &poisoned.0, &poisoned.1)?;
        self.same("the deadline", &self.first.deadline(), &self.second.deadline())?;
        self.same("the handler", &self.first.handler(), &self.second.handler())?;
        self.same("the runs in flight", &self.first.active(), &self.second.active())?;
        self.same("the peak", &self.first.peak(), &self.second.peak())?;
        let counts = (counts(self.first), counts(self.second));
        self.same("the counters", &counts.0, &counts.1)?;
        let conserved = (conserved(self.first), conserved(self.second));
        if conserved != (true, true) {
            return Err(self.differs("conservation", counts.0, counts.1));
        }
        Ok(())
    }

    /// Starts are compared in their order; ends of one instant may stand in any.
    fn compare_events(&mut self) -> Result<(), Box<Difference>> {
        let (first, second) = (self.first.events(), self.second.events());
        let new = (&first[self.compared.0..], &second[self.compared.1..]);
        self.same("the starts", &starts(new.0), &starts(new.1))?;
        self.same("the ends", &ends(new.0), &ends(new.1))?;
        self.compared = (first.len(), second.len());
        Ok(())
    }

    fn same<T: fmt::Debug + PartialEq>(
        &self,
        what: &str,
        first: &T,
        second: &T,
    ) -> Result<(), Box<Difference>> {
        if first == second {
            return Ok(());
        }
        Err(self.differs(what, format!("{first:?}"), format!("{second:?}")))
    }

    fn differs(&self, what: &str, first: String, second: String) -> Box<Difference> {
        let at_ms = self.at_ms;
        Box::new(Difference { at_ms, what: what.to_owned(), first, second })
    }
}

fn starts(events: &[Event]) -> Vec<String> {
    let starts = events.iter().filter(|event| matches!(event, Event::Started(_)));
    starts.map(told).collect()
}

fn ends(events: &[Event]) -> Vec<String> {
    let ends = events.iter().filter(|event| matches!(event, Event::Ended { .. }));
    let mut ends: Vec<String> = ends.map(told).collect();
    ends.sort();
    ends
}

fn told(event: &Event) -> String {
    event.to_string()
}

fn poisoned(subject: &dyn Subject) -> BTreeSet<String> {
    subject.poisoned().into_iter().collect()
}

fn counts(subject: &dyn Subject) -> String {
    let counts =
        Counter::ALL.map(|counter| format!("{}={}", counter.name(), subject.count(counter)));
    counts.join(" ")
}
