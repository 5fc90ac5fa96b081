//! What a reload replaces: a handler that knows one roster, and the roster's cadences.

use super::{Event, Hub};
use crate::config::{Agent, Config};
use crate::process::{self, Call, Ended, Kill};
use crate::words::{Why, Words, reasons};
use crossbeam_channel::Sender;
use reveille::{Cadence, Generation, Outcome, Roster, Run};
use std::collections::HashMap;
use std::error::Error;
use std::thread;
use std::time::Duration;

/// How late an old runner cleans up: after its successor is in, as services do.
const LATE: Duration = Duration::from_millis(100);

/// How a run ended, for those who look on.
pub(crate) struct Told {
    pub(crate) agent: String,
    pub(crate) reasons: String,
    pub(crate) attempt: u32,
    pub(crate) missed: u64,
    pub(crate) ended: Ended,
}

pub(crate) struct Runner {
    inner: reveille::Runner<String, Why, Words>,
}

impl Runner {
    /// Installs a handler for the agents of `config`, whatever is installed, and sets their
    /// cadences: those that are unchanged keep their instants (P17).
    pub(crate) fn start(
        hub: &Hub,
        config: &Config,
        events: &Sender<Event>,
        kill: &Kill,
    ) -> Result<Self, Box<dyn Error>> {
        let mut roster = Roster::new();
        for agent in &config.agents {
            let cadence = Cadence::every(agent.every)?;
            let cadence = match agent.phase {
                Some(phase) => cadence.with_phase(phase),
                None => cadence,
            };
            roster.insert(agent.name.clone(), cadence);
        }
        let agents: HashMap<String, Agent> =
            config.agents.iter().map(|agent| (agent.name.clone(), agent.clone())).collect();
        let (events, kill) = (events.clone(), kill.clone());
        let handler = move |run: &Run<String, Why, Words>| {
            // A wake that waited while its agent went.
            let Some(agent) = agents.get(run.key()) else { return Outcome::skipped() };
            let reasons = reasons(run.reasons(), run.payload());
            let (attempt, missed) = (run.attempt(), run.missed());
            let call = Call { reasons: reasons.clone(), attempt, missed };
            let ended = process::run(agent, &call, &kill);
            let outcome = ended.outcome;
            let agent = agent.name.clone();
            let told = Told { agent, reasons, attempt, missed, ended };
            let _ = events.send(Event::Told(told)); // nobody looks on after the end
            outcome
        };
        Ok(Self { inner: hub.runner(handler, roster)? })
    }

    pub(crate) fn generation(&self) -> Generation {
        self.inner.generation()
    }

    /// Cleans up, late and on a thread of its own. By then another runner is there, whose handler and
    /// cadences are not this one's to clear: its disposal is a stale one, and changes nothing (P1).
    pub(crate) fn clean_up_late(self, events: Sender<Event>) {
        // Where no thread can be had, the drop of the closure disposes at once.
        let _ = thread::Builder::new().name("clean-up".into()).spawn(move || {
            thread::sleep(LATE);
            let _ = events.send(Event::CleanedUp(self.inner.stop().disposal));
        });
    }
}
