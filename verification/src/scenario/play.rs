//! The one interpreter of scenarios, for every subject.

use super::check::check;
pub use super::check::conserved;
use super::subject::{Event, Refusal, Subject};
use super::{Scenario, Step, Verb};

/// What came of playing a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Played {
    /// The steps, the runs and their ends in order, a line each, up to the end or the failure.
    pub trace: Vec<String>,
    /// What did not hold, if anything.
    pub failure: Option<Failure>,
}

/// The first line of a scenario that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The line, counted from 1.
    pub line: usize,
    /// What was expected there.
    pub expected: String,
    /// What there was.
    pub got: String,
}

/// Plays a scenario against a subject that stands at time 0.
pub fn play(scenario: &Scenario, subject: &mut dyn Subject) -> Played {
    let mut player = Player { subject, trace: Vec::new(), told: 0 };
    let failure = scenario.steps.iter().find_map(|step| player.step(step).err());
    let failure = failure.or_else(|| player.close(scenario.steps.last()).err());
    Played { trace: player.trace, failure }
}

struct Player<'subject> {
    subject: &'subject mut dyn Subject,
    trace: Vec<String>,
    /// How many events of the subject stand in the trace.
    told: usize,
}

impl Player<'_> {
    fn step(&mut self, step: &Step) -> Result<(), Failure> {
        let advanced = self.subject.advance_to(step.at_ms);
        self.tell();
        advanced.map_err(|refusal| failed(step, refusal))?;
        for target in step.verb.targets() {
            self.subject.name_target(target);
        }
        match &step.verb {
            Verb::Act(action) => {
                self.trace.push(step.to_string());
                let applied = self.subject.apply(action);
                self.tell();
                applied.map_err(|refusal| failed(step, refusal))
            }
            Verb::Expect(expectation) => {
                let settled = self.subject.settle();
                self.tell();
                self.trace.push(step.to_string());
                settled.map_err(|refusal| failed(step, refusal))?;
                check(expectation, self.subject).map_err(|mismatch| Failure {
                    line: step.line,
                    expected: mismatch.expected,
                    got: mismatch.got,
                })
            }
        }
    }

    /// Lets happen what is due at the last time, so that the trace tells of it.
    fn close(&mut self, last: Option<&Step>) -> Result<(), Failure> {
        let Some(last) = last else { return Ok(()) };
        let settled = self.subject.settle();
        self.tell();
        settled.map_err(|refusal| failed(last, refusal))
    }

    fn tell(&mut self) {
        let events = self.subject.events();
        self.trace.extend(events[self.told..].iter().map(Event::to_string));
        self.told = events.len();
    }
}

fn failed(step: &Step, refusal: Refusal) -> Failure {
    Failure { line: step.line, expected: refusal.expected, got: refusal.got }
}
