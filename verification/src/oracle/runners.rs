//! Runners: a registration each, and cadences as their own.

use super::Oracle;
use crate::scenario::RosterEntry;
use crate::scenario::subject::Refusal;

/// What a name of a runner means.
#[derive(Clone, Debug)]
pub(super) struct Runner {
    /// The generation of its registration.
    generation: u64,
    /// The targets of its roster.
    roster: Vec<String>,
    stopped: bool,
}

impl Oracle {
    pub(super) fn start_runner(&mut self, name: &str, roster: &[RosterEntry]) {
        self.install(name);
        if self.stopped {
            self.runners.entry(name.to_owned()).or_insert(None);
            return;
        }
        let generation = self.generation;
        let runner = Runner { generation, roster: keys(roster), stopped: false };
        self.runners.insert(name.to_owned(), Some(runner));
        self.claim(generation, roster);
    }

    pub(super) fn update_runner(
        &mut self,
        name: &str,
        roster: &[RosterEntry],
    ) -> Result<(), Refusal> {
        let Some(mut runner) = self.running(name)?.filter(|runner| !runner.stopped) else {
            return Ok(());
        };
        if self.stopped {
            return Ok(());
        }
        self.claim(runner.generation, roster);
        let new = keys(roster);
        let gone = runner.roster.iter().filter(|key| !new.contains(key));
        gone.for_each(|key| self.take_back(runner.generation, key));
        runner.roster = new;
        self.runners.insert(name.to_owned(), Some(runner));
        Ok(())
    }

    pub(super) fn stop_runner(&mut self, name: &str) -> Result<(), Refusal> {
        let Some(mut runner) = self.running(name)? else { return Ok(()) };
        self.dispose_generation(runner.generation);
        // A second stop finds no roster any more: it is a repeated dispose and nothing else.
        for key in std::mem::take(&mut runner.roster) {
            self.take_back(runner.generation, &key);
        }
        runner.stopped = true;
        self.runners.insert(name.to_owned(), Some(runner));
        Ok(())
    }

    /// The runner of that name; none where its start was refused.
    fn running(&self, name: &str) -> Result<Option<Runner>, Refusal> {
        match self.runners.get(name) {
            None => Err(Refusal {
                expected: format!("an earlier runner {name}"),
                got: "none".to_owned(),
            }),
            Some(runner) => Ok(runner.clone()),
        }
    }

    /// Sets cadences as those of this registration, where no later one has claimed them.
    fn claim(&mut self, generation: u64, roster: &[RosterEntry]) {
        for RosterEntry { target: key, every_ms, phase_ms } in roster {
            let target = self.target(key);
            if target.claimed > Some(generation) {
                self.tally.stale_claims += 1;
                continue;
            }
            target.claimed = Some(generation);
            self.set_cadence(key, (*every_ms, *phase_ms, None), Some(generation));
        }
    }

    /// Takes a cadence away, if it is this registration's.
    fn take_back(&mut self, generation: u64, key: &str) {
        let Some(target) = self.targets.iter_mut().find(|target| target.key == key) else {
            return;
        };
        match &target.cadence {
            None => {}
            Some(cadence) if cadence.owner == Some(generation) => target.cadence = None,
            Some(_) => self.tally.stale_claims += 1,
        }
    }
}

fn keys(roster: &[RosterEntry]) -> Vec<String> {
    roster.iter().map(|entry| entry.target.clone()).collect()
}
