//! Laws that hold of the engine after every step and at every settled instant, whatever the oracle
//! says: promises that a comparison of what shows does not speak of, or only late.

use std::collections::{BTreeMap, BTreeSet};

use reveille::{Counters, Generation, Snapshot, Tick};

use crate::scenario::engine::EngineSubject;
use crate::scenario::hands::DrivenBy;
use crate::scenario::subject::{Event, Refusal, Subject};
use crate::scenario::{Action, Counter, Missed, Policy, TargetState, TicketState};

/// One law: its name, the promises it belongs to, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Law {
    /// A short name, in kebab case.
    pub name: &'static str,
    /// The promises, by number.
    pub promises: &'static [u8],
    /// What must hold.
    pub says: &'static str,
}

macro_rules! laws {
    ($($id:ident = $name:literal [$($promise:literal),+] $says:literal;)+) => {
        #[derive(Clone, Copy)]
        enum Id { $($id),+ }

        /// All laws.
        pub const LAWS: &[Law] =
            &[$(Law { name: $name, promises: &[$($promise),+], says: $says }),+];
    };
}

laws! {
    Owner = "law-ownership" [1]
        "a dispose clears the slot if its generation is current, and is counted as stale if not";
    Grow = "law-generations" [2] "each install has a greater generation than all before it";
    Kept = "law-no-lost-wake" [3]
        "a wake that was accepted waits, runs or has run when its instant is settled";
    One = "law-one-run" [6] "no target runs twice at once, and no more run than max-active but past \
                      their limit";
    Armed = "law-cadence" [8]
        "a target with a cadence has a next beat, and the driver a deadline no later than it";
    Spin = "law-no-spin" [11]
        "a settled engine has no deadline before the next instant, and turned in proportion to \
         what happened";
    Conserved = "law-conservation" [12]
        "accepted + retried = started + coalesced + pending + refused + discarded";
    Stopped = "law-stop" [13] "after a stop nothing starts, waits or is installed";
    Clock = "law-clock" [14] "a step of the wall clock changes nothing before the next turn";
    Bounded = "law-bounded" [15]
        "there are at most two targets for each name, and unless missed=burst at most one wake \
         each";
    Reload = "law-reload" [17] "setting the cadence that is in force keeps its next instant";
    Told = "law-told" [18] "a wake is counted once as accepted, once as refused if it is, no \
                        counter but `pending` ever shrinks, and no re-check finds anything";
}

/// How often each law was checked, in the order of [`LAWS`].
pub type Checks = [u64; LAWS.len()];

/// A law that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The law.
    pub law: Law,
    /// What there was instead.
    pub got: String,
}

impl From<Broken> for Refusal {
    fn from(broken: Broken) -> Self {
        let Law { name, promises, says } = broken.law;
        let promises: Vec<String> = promises.iter().map(|number| format!("P{number}")).collect();
        Self { expected: format!("{} {name}: {says}", promises.join(", ")), got: broken.got }
    }
}

/// The engine as a subject that refuses to go on once a law is broken.
pub struct Watched {
    engine: EngineSubject,
    policy: Policy,
    turns_each: u64,
    checks: Checks,
    broken: Option<Broken>,
    /// Before the action that is applied now.
    before: Snapshot<String>,
    /// What each name means now.
    generations: BTreeMap<String, Generation>,
    newest: Generation,
    /// The cadences in force that beat at all: period and phase modulo it.
    cadences: BTreeMap<String, (u64, Option<u64>)>,
    names: BTreeSet<String>,
    /// Targets whose wake was accepted at this instant, and not discarded since.
    woken: BTreeSet<String>,
    /// How many events have been looked at.
    told: usize,
    /// What runs, and since when.
    running: BTreeMap<String, u64>,
    stopped: bool,
    /// There was another process before.
    restarted: bool,
    /// Steps since the last settled instant, and the counters there.
    steps: u64,
    settled: Counters,
    settled_events: usize,
}

/// A period that no cadence reaches the end of within a schedule's clock.
const FOR_EVER_MS: u64 = crate::scenario::LAST_INSTANT_MS / 2;

/// How many turns one thing that happens may cost: the step's own, that of its instant, that of
/// the instant it makes due, and one for what its run gives back. A driver that is given up for each of
/// them, and goes on, makes another one each time.
const fn turns_each(driven: DrivenBy) -> u64 {
    match driven {
        DrivenBy::Hand => 4,
        DrivenBy::Tokio => 8,
    }
}

impl Watched {
    /// A hub at time 0.
    #[must_use]
    pub fn new(policy: &Policy, driven: DrivenBy) -> Self {
        Self::watching(policy, driven, EngineSubject::new(policy, driven))
    }

    /// A hub at time 0 that refuses to go on after so many runs: an engine that spins is to fail
    /// soon, since a failing schedule is played hundreds of times while it shrinks.
    #[must_use]
    pub fn with_limit(policy: &Policy, driven: DrivenBy, events: u64) -> Self {
        Self::watching(policy, driven, EngineSubject::with_limit(policy, driven, events))
    }

    fn watching(policy: &Policy, driven: DrivenBy, engine: EngineSubject) -> Self {
        let before = engine.snapshot();
        let settled = before.counters;
        Self {
            engine,
            policy: policy.clone(),
            turns_each: turns_each(driven),
            checks: [0; LAWS.len()],
            broken: None,
            before,
            generations: BTreeMap::new(),
            newest: Generation::NONE,
            cadences: BTreeMap::new(),
            names: BTreeSet::new(),
            woken: BTreeSet::new(),
            told: 0,
            running: BTreeMap::new(),
            stopped: false,
            restarted: false,
            steps: 0,
            settled,
            settled_events: 0,
        }
    }

    /// Another process: what was known of the one before says nothing of it.
    fn begin_anew(&mut self) {
        self.look_at_events();
        self.before = self.engine.snapshot();
        self.settled = self.before.counters;
        self.generations.clear();
        self.newest = Generation::NONE;
        self.cadences.clear();
        self.woken.clear();
        self.running.clear();
        self.stopped = false;
        self.restarted = true;
        self.steps = 0;
        self.told = self.engine.events().len();
        self.settled_events = self.told;
    }

    /// The law that was broken first.
    #[must_use]
    pub fn broken(&self) -> Option<&Broken> {
        self.broken.as_ref()
    }

    /// How often each law was checked.
    #[must_use]
    pub fn checks(&self) -> Checks {
        self.checks
    }

    fn check(&mut self, law: Id, holds: bool, got: impl FnOnce() -> String) {
        self.checks[law as usize] += 1;
        if !holds && self.broken.is_none() {
            self.broken = Some(Broken { law: LAWS[law as usize], got: got() });
        }
    }

    fn verdict(&self) -> Result<(), Refusal> {
        self.broken.clone().map_or(Ok(()), |broken| Err(broken.into()))
    }

    fn after(&mut self, action: &Action) {
        let now = self.engine.snapshot();
        let (before, after) = (self.before.clone(), now);
        self.steps += 1;
        self.names.extend(action.targets().into_iter().map(str::to_owned));
        self.keep_books(action);
        let counters = after.counters;
        self.check(Id::Conserved, counters.is_conserved(), || format!("{counters:?}"));
        self.check(Id::Told, only_grow(&before.counters, &counters), || {
            format!("{counters:?} after {:?}", before.counters)
        });
        let asked = match action {
            Action::Wake { .. } | Action::Barrier { .. } | Action::Await { .. } => 1,
            // One that was removed, and still runs, is there and takes none.
            Action::WakeAll { .. } if !self.stopped => {
                let accepted = counters.accepted - before.counters.accepted;
                accepted.min(before.targets.len() as u64)
            }
            Action::Revive { target } if !self.stopped => {
                u64::from(poisoned(&before).contains(target))
            }
            _ => 0,
        };
        let refused = if self.stopped { asked } else { 0 };
        // The first cadence after a restart asks for what was missed.
        let resumes = self.restarted
            && matches!(
                action,
                Action::Beat { .. } | Action::Runner { .. } | Action::Update { .. }
            );
        if !resumes && !matches!(action, Action::Suspend { .. }) {
            let accepted = counters.accepted - before.counters.accepted;
            let told = (accepted, counters.refused - before.counters.refused);
            self.check(Id::Told, told == (asked, refused), || {
                format!("{} accepted, {} refused by `{action}`", told.0, told.1)
            });
        }
        match action {
            Action::Install { name } => self.installed(name, &after),
            // A name of its own kind.
            Action::Runner { name, roster } => {
                self.installed(name, &after);
                if let Some(&generation) = self.generations.get(name)
                    && !self.stopped
                {
                    self.generations.insert(format!("runner {name}"), generation);
                }
                // Claimed or taken back, a cadence may be another's: the oracle knows.
                for entry in roster {
                    self.cadences.remove(&entry.target);
                }
            }
            Action::Update { .. } => self.cadences.clear(),
            Action::StopRunner { name } => {
                self.disposed(&format!("runner {name}"), &before, &after);
                self.cadences.clear();
            }
            Action::Dispose { name } => self.disposed(name, &before, &after),
            Action::Wake { target, .. }
            | Action::Barrier { target, .. }
            | Action::Await { target, .. }
                if !self.stopped =>
            {
                let state = self.engine.state(target);
                self.check(Id::Kept, state != TargetState::Idle, || format!("{target} is idle"));
            }
            // Hours may never come.
            Action::Beat { target, hours: Some(_), .. } => {
                self.cadences.remove(target);
            }
            Action::Beat { target, every_ms, phase_ms, hours: None } if !self.stopped => {
                self.beats(target, *every_ms, *phase_ms, &before, &after);
            }
            Action::Wallclock { .. } => {
                let mut expected = before.counters;
                expected.turns = counters.turns;
                expected.rechecks = counters.rechecks;
                let same = expected == counters
                    && beats_of(&before) == beats_of(&after)
                    && before.at == after.at;
                self.check(Id::Clock, same, || format!("{after:?} after {before:?}"));
            }
            Action::Stop { .. } => {
                self.stopped = true;
                self.cadences.clear();
                self.woken.clear();
            }
            _ => {}
        }
        self.look_at_events();
        self.after_a_stop(&before, &after);
        self.bounded(&after);
    }

    /// Which wakes must show, and which cadences are in force.
    fn keep_books(&mut self, action: &Action) {
        match action {
            Action::Wake { target, .. }
            | Action::Barrier { target, .. }
            | Action::Await { target, .. }
                if !self.stopped =>
            {
                self.woken.insert(target.clone());
            }
            Action::Cancel { target } => {
                self.woken.remove(target);
            }
            Action::Remove { target } => {
                self.woken.remove(target);
                self.cadences.remove(target);
            }
            Action::BeatOff { target } => {
                self.cadences.remove(target);
            }
            _ => {}
        }
    }

    fn installed(&mut self, name: &str, after: &Snapshot<String>) {
        let newest = self.newest;
        match after.handler {
            Some(generation) if !self.stopped => {
                self.check(Id::Grow, generation > newest, || {
                    format!("{generation} after {newest}")
                });
                self.newest = generation;
                self.generations.insert(name.to_owned(), generation);
            }
            _ => self.check(Id::Grow, self.stopped, || "no handler after an install".to_owned()),
        }
    }

    fn disposed(&mut self, name: &str, before: &Snapshot<String>, after: &Snapshot<String>) {
        let Some(&generation) = self.generations.get(name) else { return };
        let current = generation == self.newest;
        let stale = after.counters.stale_disposes - before.counters.stale_disposes;
        let handler = if current { None } else { before.handler };
        let holds = after.handler == handler && stale == u64::from(!current);
        self.check(Id::Owner, holds, || {
            format!("{:?}, {stale} stale, after a dispose of {generation}", after.handler)
        });
    }

    fn beats(
        &mut self,
        target: &str,
        every: u64,
        phase: Option<u64>,
        before: &Snapshot<String>,
        after: &Snapshot<String>,
    ) {
        let cadence = (every, phase.map(|phase| phase % every));
        let old = self.cadences.remove(target);
        if every >= FOR_EVER_MS {
            return;
        }
        self.cadences.insert(target.to_owned(), cadence);
        let next = |at: &Snapshot<String>| beats_of(at).get(target).copied().flatten();
        if old == Some(cadence) {
            let (was, is) = (next(before), next(after));
            self.check(Id::Reload, was == is, || format!("{is:?}, which was {was:?}"));
        }
    }

    fn look_at_events(&mut self) {
        let events = self.engine.events()[self.told..].to_vec();
        for event in events {
            match event {
                Event::Started(run) => {
                    let alone = self.running.insert(run.target.clone(), run.at_ms).is_none();
                    let limit = self.policy.run_limit_ms.unwrap_or(u64::MAX);
                    let in_time = self.running.values().filter(|start| run.at_ms - **start < limit);
                    let places = in_time.count() as u64 <= self.policy.max_active;
                    let running = self.running.clone();
                    self.check(Id::One, alone && places, || {
                        format!("a start of {} while these run: {running:?}", run.target)
                    });
                    self.woken.remove(&run.target);
                }
                Event::Ended { target, .. } => {
                    self.running.remove(&target);
                }
            }
        }
        self.told = self.engine.events().len();
    }

    fn after_a_stop(&mut self, before: &Snapshot<String>, after: &Snapshot<String>) {
        if self.stopped && before.stopped {
            let holds = after.handler.is_none()
                && after.counters.pending == 0
                && after.counters.started == before.counters.started
                && after.counters.beats == before.counters.beats;
            self.check(Id::Stopped, holds, || format!("{after:?}"));
        }
    }

    fn bounded(&mut self, after: &Snapshot<String>) {
        let names = self.names.len();
        let few = after.targets.len() <= 2 * names;
        let wakes = self.policy.missed == Missed::Burst
            || after.counters.pending <= after.targets.len() as u64;
        self.check(Id::Bounded, few && wakes, || format!("{names} names, {after:?}"));
    }

    fn at_rest(&mut self) {
        let after = self.engine.snapshot();
        let before = self.before.clone();
        let counters = after.counters;
        self.look_at_events();
        self.check(Id::Conserved, counters.is_conserved(), || format!("{counters:?}"));
        self.check(Id::Told, counters.found_by_recheck == 0, || {
            format!("forgotten, and found by a re-check: {counters:?}")
        });
        self.check(Id::Told, only_grow(&before.counters, &counters), || {
            format!("{counters:?} after {:?}", before.counters)
        });
        for target in std::mem::take(&mut self.woken) {
            let idle = self.engine.state(&target) == TargetState::Idle;
            self.check(Id::Kept, !idle, || format!("{target} is idle, and did not run"));
        }
        let next = beats_of(&after);
        let deadline = self.engine.deadline();
        for target in self.cadences.keys().cloned().collect::<Vec<_>>() {
            let beat = next.get(&target).copied().flatten();
            let armed = beat.is_some_and(|beat| {
                let beat_ms = beat.as_micros() / 1_000;
                beat > after.at && deadline.is_some_and(|deadline| deadline <= beat_ms)
            });
            self.check(Id::Armed, armed, || {
                format!("{target} beats next at {beat:?}, and the deadline is {deadline:?}")
            });
        }
        let ahead = deadline.is_none_or(|deadline| deadline > after.at.as_micros() / 1_000);
        self.check(Id::Spin, ahead, || format!("a deadline of {deadline:?} at {:?}", after.at));
        let events = self.engine.events().len();
        let happened = self.steps
            + (events - self.settled_events) as u64
            + (counters.beats - self.settled.beats)
            + (counters.overran - self.settled.overran);
        let turns = counters.turns - self.settled.turns;
        self.check(Id::Spin, turns <= self.turns_each * (happened + 1), || {
            format!("{turns} turns for {happened} steps, beats, starts and ends")
        });
        self.after_a_stop(&before, &after);
        self.bounded(&after);
        self.steps = 0;
        self.settled = counters;
        self.settled_events = events;
        self.before = after;
    }
}

/// The next beat of each target that is not removed.
fn beats_of(snapshot: &Snapshot<String>) -> BTreeMap<String, Option<Tick>> {
    snapshot.targets.iter().map(|target| (target.key.clone(), target.next_beat)).collect()
}

fn poisoned(at: &Snapshot<String>) -> BTreeSet<String> {
    let poisoned = at.targets.iter().filter(|target| target.poisoned);
    poisoned.map(|target| target.key.clone()).collect()
}

fn only_grow(before: &Counters, after: &Counters) -> bool {
    let terms = |counters: &Counters| {
        [
            counters.accepted,
            counters.coalesced,
            counters.started,
            counters.refused,
            counters.discarded,
            counters.retried,
            counters.gave_up,
            counters.beats,
            counters.missed,
            counters.installs,
            counters.stale_disposes,
            counters.panics,
            counters.aborted,
            counters.late_completions,
            counters.overran,
            counters.faults,
            counters.turns,
        ]
    };
    terms(before).iter().zip(terms(after)).all(|(before, after)| *before <= after)
}

impl Subject for Watched {
    fn name_target(&mut self, target: &str) {
        self.names.insert(target.to_owned());
        self.steps += 1;
        self.engine.name_target(target);
    }

    fn advance_to(&mut self, at_ms: u64) -> Result<(), Refusal> {
        self.engine.advance_to(at_ms)?;
        self.look_at_events();
        self.verdict()
    }

    fn apply(&mut self, action: &Action) -> Result<(), Refusal> {
        self.before = self.engine.snapshot();
        self.engine.apply(action)?;
        if let Action::Restart { .. } = action {
            self.begin_anew();
            return self.verdict();
        }
        self.after(action);
        self.before = self.engine.snapshot();
        self.verdict()
    }

    fn settle(&mut self) -> Result<(), Refusal> {
        self.engine.settle()?;
        self.at_rest();
        self.verdict()
    }

    fn events(&self) -> &[Event] {
        self.engine.events()
    }

    fn state(&self, target: &str) -> TargetState {
        self.engine.state(target)
    }

    fn deadline(&self) -> Option<u64> {
        self.engine.deadline()
    }

    fn handler(&self) -> Option<String> {
        self.engine.handler()
    }

    fn active(&self) -> u64 {
        self.engine.active()
    }

    fn peak(&self) -> u64 {
        self.engine.peak()
    }

    fn count(&self, counter: Counter) -> u64 {
        self.engine.count(counter)
    }

    fn ticket(&self, name: &str) -> Option<TicketState> {
        self.engine.ticket(name)
    }

    fn poisoned(&self) -> Vec<String> {
        self.engine.poisoned()
    }
}
