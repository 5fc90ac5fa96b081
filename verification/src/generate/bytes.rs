//! Schedules from bytes, for coverage-guided fuzzing: a byte a choice, from the same lists.
//!
//! Not proptest's generator fed with the bytes: that takes eight of them a choice, and one
//! inserted byte would change every choice behind it. Here a mutation changes a line or two.

use super::alphabet::{
    ACTIVES, ATTEMPTS, BACKOFFS, BARRIER_LIMITS, COALESCES, DELAYS, DISTANCES, DRAINS, DURATIONS,
    FLOODS, HANDLERS, HOURS, MISSED, ON_OVERRUN, ON_REPLACE, ORS, PERIODS, PHASES, REASONS,
    RUN_LIMITS, SPACINGS, STEPS_OF_THE_WALL_CLOCK, SUSPENDS, TARGETS, TICKETS, URGENCIES, WALLS,
    active_hours, without_doubles,
};
use super::machine::{State, Transition};
use crate::scenario::{Action, Outcome, Policy, ResultSpec, RosterEntry, Scenario};

/// As many steps as a schedule has at most; what is longer finds nothing new, but slowly.
const STEPS: usize = 64;

struct Bytes<'data>(std::slice::Iter<'data, u8>);

impl Bytes<'_> {
    /// One of these; the first one when the bytes are used up.
    fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        let byte = self.0.next().copied().unwrap_or(0);
        among[usize::from(byte) % among.len()]
    }

    fn name(&mut self, among: &[&str]) -> String {
        self.pick(among).to_owned()
    }

    fn policy(&mut self) -> Policy {
        Policy {
            coalesce_ms: self.pick(&COALESCES),
            retry_ms: self.pick(&DURATIONS),
            backoff_factor: self.pick(&[1, 2, 3]),
            backoff_max_ms: self.pick(&BACKOFFS),
            max_attempts: self.pick(&ATTEMPTS),
            max_active: self.pick(&ACTIVES),
            missed: self.pick(&MISSED),
            on_replace: self.pick(&ON_REPLACE),
            spacing_ms: self.pick(&SPACINGS),
            flood: self.pick(&FLOODS),
            hub_flood: self.pick(&FLOODS),
            barrier_limit_ms: self.pick(&BARRIER_LIMITS),
            run_limit_ms: self.pick(&RUN_LIMITS),
            on_overrun: self.pick(&ON_OVERRUN),
            wall_ms: self.pick(&WALLS),
        }
    }

    fn outcome(&mut self) -> Outcome {
        match self.pick(&[0, 1, 2, 3, 4, 5, 6, 7]) {
            0 => Outcome::Ran,
            1 => Outcome::Skip,
            2 => Outcome::Busy { for_ms: None },
            3 => Outcome::Busy { for_ms: Some(self.pick(&DURATIONS)) },
            4 => Outcome::Defer { for_ms: self.pick(&DURATIONS) },
            5 => Outcome::Fail,
            6 => Outcome::FailFor { for_ms: self.pick(&DURATIONS) },
            _ => Outcome::Panic,
        }
    }

    fn result(&mut self) -> ResultSpec {
        match self.pick(&[0, 1, 2, 3]) {
            0 => ResultSpec::Hold,
            1 => ResultSpec::Ends { outcome: self.outcome(), lasts_ms: None },
            2 => ResultSpec::Ends { outcome: self.outcome(), lasts_ms: Some(0) },
            _ => {
                let lasts_ms = Some(self.pick(&DURATIONS));
                ResultSpec::Ends { outcome: self.outcome(), lasts_ms }
            }
        }
    }

    fn transition(&mut self, state: &State) -> Transition {
        let kinds: [u8; 32] = [
            0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 1, 12, 12, 13, 13, 14,
            15, 16, 16, 17, 18,
        ];
        let kind = self.pick(&kinds);
        Transition::Act(match kind {
            0 => return Transition::Later(self.pick(&DISTANCES)),
            1 => Action::Wake {
                target: self.name(&TARGETS),
                in_ms: self.pick(&DELAYS),
                urgency: self.pick(&URGENCIES),
                reason: self.name(&REASONS),
            },
            2 => Action::Install { name: self.name(&HANDLERS) },
            3 => {
                let running = state.running();
                if running.is_empty() {
                    return Transition::Later(self.pick(&DISTANCES));
                }
                let among: Vec<usize> = (0..running.len()).collect();
                let (name, target) = running[self.pick(&among)].clone();
                Action::Finish { name, target, outcome: self.outcome() }
            }
            4 => Action::Dispose { name: self.name(&HANDLERS) },
            5 => Action::Script {
                name: self.name(&HANDLERS),
                target: self.pick(&[None, None, Some("x"), Some("y")]).map(str::to_owned),
                results: (0..self.pick(&[1, 2, 3])).map(|_| self.result()).collect(),
            },
            6 => Action::Beat {
                target: self.name(&TARGETS),
                every_ms: self.pick(&PERIODS),
                phase_ms: self.pick(&PHASES),
                hours: self.pick(&HOURS).map(active_hours),
            },
            7 => Action::BeatOff { target: self.name(&TARGETS) },
            8 => Action::Cancel { target: self.name(&TARGETS) },
            9 => Action::Remove { target: self.name(&TARGETS) },
            10 => Action::Suspend { ms: self.pick(&SUSPENDS) },
            12..=15 => self.request(kind),
            16..=18 => self.runner(kind),
            _ => match self.pick(&[0, 1, 2]) {
                0 => Action::Wallclock { ms: self.pick(&STEPS_OF_THE_WALL_CLOCK) },
                _ => Action::Stop { drain_ms: self.pick(&DRAINS) },
            },
        })
    }

    /// Of the kinds from 12 to 15: what is more than a wake, or moves one.
    fn request(&mut self, kind: u8) -> Action {
        match kind {
            12 => Action::Await {
                name: self.name(&TICKETS),
                target: self.name(&TARGETS),
                in_ms: self.pick(&DELAYS),
                urgency: self.pick(&URGENCIES),
                reason: self.name(&REASONS),
                or: self.pick(&ORS),
            },
            13 => Action::Barrier { target: self.name(&TARGETS), reason: self.name(&REASONS) },
            14 => match self.pick(&[0, 1, 2]) {
                0 => Action::Revive { target: self.name(&TARGETS) },
                1 => Action::Forgive { target: self.name(&TARGETS) },
                _ => Action::WakeAll {
                    in_ms: self.pick(&DELAYS),
                    urgency: self.pick(&URGENCIES),
                    reason: self.name(&REASONS),
                },
            },
            _ => Action::Postpone { target: self.name(&TARGETS), in_ms: self.pick(&DURATIONS) },
        }
    }

    /// Of the kinds from 16 to 18: what begins, changes or ends a runner.
    fn runner(&mut self, kind: u8) -> Action {
        let name = self.name(&HANDLERS);
        match kind {
            16 => Action::Runner { name, roster: self.roster() },
            17 => Action::Update { name, roster: self.roster() },
            _ => Action::StopRunner { name },
        }
    }

    fn roster(&mut self) -> Vec<RosterEntry> {
        let entries: Vec<RosterEntry> = (0..self.pick(&[0, 1, 2, 1]))
            .map(|_| RosterEntry {
                target: self.name(&TARGETS),
                every_ms: self.pick(&PERIODS),
                phase_ms: self.pick(&PHASES),
            })
            .collect();
        without_doubles(entries.into_iter())
    }
}

/// The schedule that these bytes say, of those on which engine and oracle must agree.
#[must_use]
pub fn schedule_from(data: &[u8]) -> Scenario {
    let mut bytes = Bytes(data.iter());
    let mut state = State::new(bytes.policy());
    for _ in 0..STEPS {
        if bytes.0.len() == 0 {
            break;
        }
        let transition = bytes.transition(&state);
        if state.allows(&transition) && state.is_compared(&transition) {
            state = state.then(&transition);
        }
    }
    state.scenario()
}
