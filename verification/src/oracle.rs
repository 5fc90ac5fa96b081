//! The oracle: what a scenario means, written down as slowly and obviously as possible.
//!
//! It shares no code with the product, and none of its ideas. Every request stays in a plain
//! list of its target until a run serves it; what a merged wake would be (its due, its reasons,
//! its urgency, its attempt) is computed from that list whenever somebody asks. Time moves from
//! one interesting instant to the next by looking at everything there is. Where the product and
//! the oracle differ, one of them is wrong, and the text of `docs/scenarios.md` decides.

use std::collections::{BTreeMap, BTreeSet};

use crate::scenario::subject::{Ending, Event, Refusal, Started, Subject};
use crate::scenario::{
    Action, Counter, LAST_INSTANT_MS, LAST_WALL_MS, Missed, Policy, ResultSpec, TargetState,
    TicketState, Urgency,
};

mod cadence;
mod ends;
mod handlers;
mod hours;
mod request;
mod runners;
mod runs;
mod starts;
mod target;
mod tickets;

#[cfg(test)]
mod tests;

use request::Request;
use runners::Runner;
use target::Target;
use tickets::Ticket;

/// The instant that never comes.
const NEVER: u64 = u64::MAX;

/// The instant so long after another one, which is never where no clock could tell it.
fn after(instant: u64, delay: u64) -> u64 {
    match instant.checked_add(delay) {
        Some(later) if later <= LAST_INSTANT_MS => later,
        _ => NEVER,
    }
}

/// A hub, its handlers and its clock, by the letter of the text.
#[derive(Clone, Debug)]
pub struct Oracle {
    policy: Policy,
    now: u64,
    /// What the wall clock said at time 0, if it was never set since.
    wall: i64,
    /// What the hub takes it for.
    noted_wall: i64,
    stopped: bool,
    /// The generation of the latest install; 0 before the first one.
    generation: u64,
    installed: Option<Installed>,
    /// What each name means now: the generation of its latest registration, or none where its
    /// install was refused.
    registrations: BTreeMap<String, Option<u64>>,
    /// The runners that the names mean, or none where its start was refused.
    runners: BTreeMap<String, Option<Runner>>,
    /// All tickets there ever were; requests name them by their place here.
    tickets: Vec<Ticket>,
    /// Scripts by handler, and by target where they hold for one only.
    scripts: BTreeMap<(String, Option<String>), Script>,
    /// In the order in which they were created.
    targets: Vec<Target>,
    flights: Vec<Flight>,
    /// When runs started, of all targets there ever were.
    started: Vec<u64>,
    /// The last beat whose run was done, by target.
    served: BTreeMap<String, u64>,
    /// What a ledger kept of it for this process.
    kept: BTreeMap<String, u64>,
    /// Targets of which this process was told.
    told: BTreeSet<String>,
    /// When the last run of each key ended; a target cannot start before.
    free_since: BTreeMap<String, u64>,
    events: Vec<Event>,
    happened: u64,
    requests_made: u64,
    peak: u64,
    tally: Tally,
}

/// The handler in the slot.
#[derive(Clone, Debug)]
struct Installed {
    name: String,
    since: u64,
}

/// The results still to come of a handler; the last one repeats.
#[derive(Clone, Debug)]
struct Script {
    results: Vec<ResultSpec>,
    next: usize,
}

/// A run in flight.
#[derive(Clone, Debug)]
struct Flight {
    handler: String,
    generation: u64,
    target: String,
    /// Its target was removed, after so many failures in a row: it ends without effect, and until
    /// then the key stays taken.
    orphaned: Option<u64>,
    /// It runs alone.
    barrier: bool,
    /// The requests that it serves.
    requests: Vec<Request>,
    ends: Ends,
    /// When it has taken as long as it may.
    limit: u64,
    /// It has: it takes no place any more.
    overran: bool,
}

/// When a run in flight ends.
#[derive(Clone, Copy, Debug)]
enum Ends {
    /// When a `finish` line says so.
    WhenTold,
    At(u64, crate::scenario::Outcome),
}

/// The counters that are counted; `pending` is looked up instead.
#[derive(Clone, Debug, Default)]
struct Tally {
    accepted: u64,
    started: u64,
    coalesced: u64,
    refused: u64,
    discarded: u64,
    retried: u64,
    gave_up: u64,
    stale_disposes: u64,
    panics: u64,
    stale_claims: u64,
    overran: u64,
}

impl Oracle {
    /// A hub at time 0 without a handler and without targets.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        Self {
            policy: policy.clone(),
            now: 0,
            wall: policy.wall_ms,
            noted_wall: policy.wall_ms,
            stopped: false,
            generation: 0,
            installed: None,
            registrations: BTreeMap::new(),
            runners: BTreeMap::new(),
            tickets: Vec::new(),
            scripts: BTreeMap::new(),
            targets: Vec::new(),
            flights: Vec::new(),
            started: Vec::new(),
            served: BTreeMap::new(),
            kept: BTreeMap::new(),
            told: BTreeSet::new(),
            free_since: BTreeMap::new(),
            events: Vec::new(),
            happened: 0,
            requests_made: 0,
            peak: 0,
            tally: Tally::default(),
        }
    }

    /// One more thing happened; too many are refused.
    fn happens(&mut self, times: u64) -> Result<(), Refusal> {
        self.happened = self.happened.saturating_add(times);
        if self.happened > crate::scenario::subject::EVENT_LIMIT {
            return Err(Refusal::too_much());
        }
        Ok(())
    }

    /// Within one instant: runs that end, then beats, then limits of runs, then starts; again if
    /// anything happened.
    fn live_through_the_instant(&mut self) -> Result<(), Refusal> {
        loop {
            let ended = self.end_what_ends();
            self.note_wall();
            let beat = self.beat_what_beats()?;
            let overran = self.pass_limits();
            let started = self.start_what_starts()?;
            if !(ended || beat || overran || started) {
                return Ok(());
            }
        }
    }

    /// The next instant after now at which something happens by itself.
    fn next_instant(&self) -> u64 {
        let ends = self.flights.iter().filter_map(|flight| match flight.ends {
            Ends::At(instant, _) => Some(instant),
            Ends::WhenTold => None,
        });
        let all = ends.chain(self.wakeups());
        all.filter(|instant| *instant > self.now).min().unwrap_or(NEVER)
    }

    /// The instants at which the driver has something to do: beats, limits of runs, and starts that
    /// nothing but time stands against.
    fn wakeups(&self) -> impl Iterator<Item = u64> {
        let beats = self.targets.iter().filter_map(Target::next_beat);
        let running = self.flights.iter().filter(|flight| !flight.overran);
        beats.chain(running.map(|flight| flight.limit)).chain(self.start_instants())
    }

    /// Discards what waits for a target; its tickets say how.
    fn discard_pending(&mut self, key: &str, how: TicketState) {
        let missed = self.policy.missed;
        if let Some(target) = self.targets.iter_mut().find(|target| target.key == key) {
            self.tally.discarded += target.waiting(missed);
            let requests = std::mem::take(&mut target.requests);
            self.end_tickets(&requests, how);
        }
    }

    /// What waits is requested anew, no sooner than so long from now, but for beats that are owed.
    fn postpone(&mut self, key: &str, ms: u64) {
        let (now, earliest) = (self.now, after(self.now, ms));
        let missed = self.policy.missed;
        let burst = missed == Missed::Burst;
        let before = self.target(key).waiting(missed);
        for request in &mut self.target(key).requests {
            if burst && request.beats > 0 && !request.retained {
                continue;
            }
            // A deferral is over, whatever it was due before.
            let due = if request.deferred_to.is_some() { 0 } else { request.due };
            let (number, ticket) = (request.age(), request.ticket);
            let anew =
                Request::new(number, &request.reason, request.urgency, now, due.max(earliest));
            *request = Request { ticket, ..anew };
        }
        // What is no beat any more merges into the next beat that is owed.
        self.tally.coalesced += before - self.target(key).waiting(missed);
    }

    fn wake_all(&mut self, reason: &str, delay: u64, urgency: Urgency) {
        if self.stopped {
            return; // there is nobody to wake
        }
        let keys: Vec<String> = self.targets.iter().map(|target| target.key.clone()).collect();
        for key in keys {
            self.wake(&key, reason, delay, urgency);
        }
    }

    fn remove(&mut self, key: &str) {
        if self.stopped {
            return; // the stop has taken all there was to take
        }
        self.discard_pending(key, TicketState::Removed);
        self.served.remove(key);
        if self.told.contains(key) {
            self.kept.remove(key);
        }
        let failures = self.target(key).failures;
        self.targets.retain(|target| target.key != key);
        let flights = self.flights.iter_mut().filter(|flight| flight.target == key);
        for flight in flights.filter(|flight| flight.orphaned.is_none()) {
            flight.orphaned = Some(failures);
        }
    }

    fn stop(&mut self, drains: bool) {
        let keys: Vec<String> = self.targets.iter().map(|target| target.key.clone()).collect();
        for key in keys {
            self.discard_pending(&key, TicketState::Stopped);
        }
        for target in &mut self.targets {
            target.cadence = None;
        }
        if !drains {
            let served = self.flights.iter().flat_map(|flight| flight.requests.clone());
            let served: Vec<Request> = served.collect();
            self.end_tickets(&served, TicketState::Stopped);
        }
        self.installed = None;
        self.stopped = true;
    }

    fn suspend(&mut self, ms: u64) -> Result<(), Refusal> {
        self.live_through_the_instant()?;
        self.now = self.now.saturating_add(ms).min(LAST_INSTANT_MS);
        Ok(())
    }

    /// A process ends as it stands, and another one starts: of this one nothing is left but what the
    /// ledger kept. What a person sees from outside goes on.
    fn restart(&mut self, ms: u64) -> Result<(), Refusal> {
        self.live_through_the_instant()?;
        for flight in std::mem::take(&mut self.flights) {
            self.land(&flight, Ending::Gone);
        }
        let mut kept = std::mem::take(&mut self.kept);
        kept.append(&mut self.served);
        *self = Self {
            now: self.now.saturating_add(ms).min(LAST_INSTANT_MS),
            wall: self.wall,
            noted_wall: self.wall,
            scripts: std::mem::take(&mut self.scripts),
            events: std::mem::take(&mut self.events),
            happened: self.happened,
            requests_made: self.requests_made,
            peak: self.peak,
            kept,
            ..Self::new(&self.policy)
        };
        Ok(())
    }

    fn target(&mut self, key: &str) -> &mut Target {
        let index = self.targets.iter().position(|target| target.key == key);
        let index = index.unwrap_or_else(|| {
            self.targets.push(Target::new(key));
            self.targets.len() - 1
        });
        &mut self.targets[index]
    }
}

impl Subject for Oracle {
    fn name_target(&mut self, target: &str) {
        self.target(target);
    }

    fn advance_to(&mut self, at_ms: u64) -> Result<(), Refusal> {
        let at_ms = at_ms.min(LAST_INSTANT_MS);
        while self.now < at_ms {
            self.live_through_the_instant()?;
            self.now = self.next_instant().min(at_ms);
        }
        Ok(())
    }

    fn apply(&mut self, action: &Action) -> Result<(), Refusal> {
        match action {
            Action::Install { name } => self.install(name),
            Action::Script { name, target, results } => {
                let script = Script { results: results.clone(), next: 0 };
                self.scripts.insert((name.clone(), target.clone()), script);
            }
            Action::Dispose { name } => self.dispose(name)?,
            Action::Wake { target, reason, in_ms, urgency } => {
                let delay = in_ms.unwrap_or(self.policy.coalesce_ms);
                self.wake(target, reason, delay, *urgency);
            }
            Action::Beat { target, every_ms, phase_ms, hours } => {
                self.set_cadence(target, (*every_ms, *phase_ms, hours.clone()), None);
            }
            Action::BeatOff { target } => self.target(target).cadence = None,
            Action::Postpone { target, in_ms } => self.postpone(target, *in_ms),
            Action::WakeAll { reason, in_ms, urgency } => {
                let delay = in_ms.unwrap_or(self.policy.coalesce_ms);
                self.wake_all(reason, delay, *urgency);
            }
            Action::Barrier { target, reason } => self.barrier(target, reason),
            Action::Await { name, target, reason, in_ms, urgency, or } => {
                let delay = in_ms.unwrap_or(self.policy.coalesce_ms);
                self.await_wake(name, *or, (target, reason, delay, *urgency));
            }
            Action::Revive { target } => self.revive(target),
            Action::Forgive { target } => self.forgive(target),
            Action::Runner { name, roster } => self.start_runner(name, roster),
            Action::Update { name, roster } => self.update_runner(name, roster)?,
            Action::StopRunner { name } => self.stop_runner(name)?,
            Action::Finish { name, target, outcome } => self.finish(name, target, *outcome)?,
            Action::Cancel { target } => self.discard_pending(target, TicketState::Cancelled),
            Action::Remove { target } => self.remove(target),
            Action::Suspend { ms } => self.suspend(*ms)?,
            Action::Restart { ms } => self.restart(*ms)?,
            // Only cadences with hours live by it.
            Action::Wallclock { ms } => {
                self.wall = self.wall.saturating_add(*ms).clamp(-LAST_WALL_MS, LAST_WALL_MS);
            }
            // Nothing that a scenario can see waits for a drain but the tickets of runs in flight.
            Action::Stop { drain_ms } => self.stop(drain_ms.is_some()),
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), Refusal> {
        self.live_through_the_instant()
    }

    fn events(&self) -> &[Event] {
        &self.events
    }

    fn state(&self, target: &str) -> TargetState {
        let runs = self.flights.iter().any(|flight| flight.target == target);
        let waits = self.targets.iter().any(|it| it.key == target && !it.requests.is_empty());
        match (runs, waits) {
            (true, _) => TargetState::Running,
            (false, true) => TargetState::Pending,
            (false, false) => TargetState::Idle,
        }
    }

    fn deadline(&self) -> Option<u64> {
        self.wakeups().min().filter(|instant| *instant != NEVER)
    }

    fn handler(&self) -> Option<String> {
        self.installed.as_ref().map(|installed| installed.name.clone())
    }

    fn active(&self) -> u64 {
        self.flights.len() as u64
    }

    fn peak(&self) -> u64 {
        self.peak
    }

    fn count(&self, counter: Counter) -> u64 {
        match counter {
            Counter::Accepted => self.tally.accepted,
            Counter::Started => self.tally.started,
            Counter::Coalesced => self.tally.coalesced,
            Counter::Pending => {
                self.targets.iter().map(|target| target.waiting(self.policy.missed)).sum()
            }
            Counter::Refused => self.tally.refused,
            Counter::Discarded => self.tally.discarded,
            Counter::Retried => self.tally.retried,
            Counter::GaveUp => self.tally.gave_up,
            Counter::StaleDisposes => self.tally.stale_disposes,
            Counter::Panics => self.tally.panics,
            Counter::StaleClaims => self.tally.stale_claims,
            Counter::Overran => self.tally.overran,
        }
    }

    fn ticket(&self, name: &str) -> Option<TicketState> {
        let latest = self.tickets.iter().rfind(|ticket| ticket.name == name);
        latest.map(|ticket| ticket.state)
    }

    fn poisoned(&self) -> Vec<String> {
        let poisoned = self.targets.iter().filter(|target| !target.given_up.is_empty());
        let poisoned = poisoned.filter(|_| !self.stopped);
        poisoned.map(|target| target.key.clone()).collect()
    }
}
