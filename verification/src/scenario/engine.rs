//! The real engine as a subject: the product's own hub on virtual time, driven by hand or by the driver
//! on tokio ([`DrivenBy`]).
//!
//! Nothing of scheduling is decided here. The subject holds runs until their scripted end, and
//! lets the driver go on from instant to instant.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::{Duration, SystemTime};

use reveille::{
    Cadence, Done, Flood, Generation, Hours, MemoryLedger, Merge, Registration, Roster, Run,
    Runner, Snapshot, Tick, Ticket, Unserved, Wake,
};

use super::hands::{DrivenBy, End, Hands, Held, Hub};
use super::subject::{EVENT_LIMIT, Ending, Event, Refusal, Started, Subject};
use super::{
    Action, ActiveHours, Counter, LAST_WALL_MS, Missed, OnOverrun, OnReplace, Or, Outcome, Policy,
    ResultSpec, RosterEntry, TargetState, TicketState, Urgency,
};

/// How many turns a scenario may take for each event that it may: beats that pass unseen cost
/// nothing, and a turn little.
const TURNS_OF_AN_EVENT: u64 = 20;

const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);

reveille::reasons! {
    /// Beats that were given up come back as a reason alone.
    pub(super) struct Why { BEAT }
}

/// What a word of eight bits has no room for: the reasons as text, and which of them leads.
#[derive(Clone, Debug)]
pub(super) struct Causes {
    reasons: BTreeSet<String>,
    leader: Cause,
}

/// Ordered by how much it leads: highest urgency first, then the latest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cause {
    urgency: Urgency,
    at: Tick,
    /// Beats come after the steps of their instant.
    is_beat: bool,
    number: u64,
    reason: String,
}

impl Merge for Causes {
    fn merge(&mut self, later: Self) {
        self.reasons.extend(later.reasons);
        if later.leader >= self.leader {
            self.leader = later.leader;
        }
    }
}

/// A hub at its origin, its engine, and the runs that it has handed out.
pub struct EngineSubject {
    hands: Box<dyn Hands>,
    /// What the wall clock said at time 0, if it was never set since.
    wall_ms: i64,
    hub: Hub,
    policy: Policy,
    /// What outlives a process: the last beats.
    ledger: MemoryLedger<String>,
    /// What each name means now; nothing where its install was refused.
    registrations: BTreeMap<String, Option<Owner>>,
    /// Registrations that a second install of their name has displaced: nobody drops them.
    displaced: Vec<Registration<String, Why, Causes>>,
    /// What each name of a runner means now; nothing where it was refused.
    runners: BTreeMap<String, Option<Runner<String, Why, Causes>>>,
    displaced_runners: Vec<Runner<String, Why, Causes>>,
    /// Nothing for a wake that was refused.
    tickets: BTreeMap<String, Option<Ticket>>,
    names: HashMap<Generation, String>,
    scripts: BTreeMap<(String, Option<String>), Script>,
    flights: Vec<Flight>,
    events: Vec<Event>,
    peak: u64,
    /// Turns, and runs at the price of as many turns as the limits say.
    happened: u64,
    /// The most that may happen.
    limit: u64,
    requests: u64,
    /// When the machine slept: beats of that time are made at its end.
    suspends: Vec<(Tick, Tick)>,
    /// When each target got its first cadence in this process: beats of an earlier one come then.
    first_cadences: HashMap<String, Tick>,
}

/// Whose registration a name means.
enum Owner {
    Install(Registration<String, Why, Causes>),
    /// That of the runner of this name.
    Runner,
}

impl Owner {
    fn install(self) -> Option<Registration<String, Why, Causes>> {
        match self {
            Self::Install(registration) => Some(registration),
            Self::Runner => None,
        }
    }
}

struct Script {
    results: Vec<ResultSpec>,
    next: usize,
}

struct Flight {
    run: Held,
    ends: Option<(Tick, Outcome)>,
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn at_ms(tick: Tick) -> u64 {
    tick.as_micros() / 1_000
}

/// What the wall clock says so long after time 0, at which it would have said that.
fn wall_at(at_0_ms: i64, now_ms: u64) -> SystemTime {
    let wall = at_0_ms.saturating_add_unsigned(now_ms);
    let distance = ms(wall.unsigned_abs());
    let epoch = SystemTime::UNIX_EPOCH;
    let wall = if wall < 0 { epoch.checked_sub(distance) } else { epoch.checked_add(distance) };
    wall.unwrap_or(epoch)
}

fn hours_of(hours: &ActiveHours) -> Result<Hours, Refusal> {
    let ActiveHours { from_min: from, to_min: to, zone } = hours;
    let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    Hours::daily(&time(*from), &time(*to), zone)
        .map_err(|error| refused("hours of the day in a zone", error.to_string()))
}

fn policy_of(policy: &Policy) -> impl Fn(&mut reveille::Policy) {
    let small = |n: u64| NonZeroU32::new(u32::try_from(n).unwrap_or(u32::MAX));
    let policy = policy.clone();
    move |to| {
        to.coalesce = ms(policy.coalesce_ms);
        to.retry_after = ms(policy.retry_ms);
        to.backoff_max = ms(policy.backoff_max_ms);
        to.backoff_factor = small(policy.backoff_factor).unwrap_or(NonZeroU32::MIN);
        to.max_attempts = small(policy.max_attempts).unwrap_or(NonZeroU32::MIN);
        let active = usize::try_from(policy.max_active).unwrap_or(usize::MAX);
        to.max_active = NonZeroUsize::new(active).unwrap_or(NonZeroUsize::MIN);
        to.missed = match policy.missed {
            Missed::Skip => reveille::Missed::Skip,
            Missed::Burst => reveille::Missed::Burst,
            Missed::Delay => reveille::Missed::Delay,
        };
        to.on_replace = match policy.on_replace {
            OnReplace::Finish => reveille::OnReplace::Finish,
            OnReplace::Cancel => reveille::OnReplace::Cancel,
        };
        to.spacing = ms(policy.spacing_ms);
        let flood_of = |flood: super::Flood| Flood {
            starts: small(flood.starts).unwrap_or(NonZeroU32::MIN),
            within: ms(flood.within_ms),
        };
        to.flood = policy.flood.map(flood_of);
        to.hub_flood = policy.hub_flood.map(flood_of);
        to.barrier_limit = ms(policy.barrier_limit_ms);
        // A held run of a scenario is no hung one, unless the policy says so.
        to.run_limit = policy.run_limit_ms.map(ms);
        to.on_overrun = match policy.on_overrun {
            OnOverrun::Report => reveille::OnOverrun::Report,
            OnOverrun::Cancel => reveille::OnOverrun::Cancel,
        };
        // Nothing changes but by what is asked for: a driver may sleep as long as it likes.
        (to.max_sleep, to.recheck) = (YEAR, YEAR);
        // Scenarios name few targets.
        to.max_targets = NonZeroU32::MIN.saturating_add(4_095);
    }
}

impl EngineSubject {
    /// A hub at time 0 without a handler and without targets, that goes on for [`EVENT_LIMIT`].
    ///
    /// # Panics
    /// If the product refuses a policy that the grammar allows.
    #[must_use]
    pub fn new(policy: &Policy, driven: DrivenBy) -> Self {
        Self::with_limit(policy, driven, EVENT_LIMIT)
    }

    /// The same with another limit than [`EVENT_LIMIT`].
    ///
    /// # Panics
    /// If the product refuses a policy that the grammar allows.
    #[must_use]
    pub fn with_limit(policy: &Policy, driven: DrivenBy, events: u64) -> Self {
        let mut hands = driven.hands();
        let hub = hands.start(&policy_of(policy));
        hands.set_wall(wall_at(policy.wall_ms, 0));
        Self {
            hands,
            wall_ms: policy.wall_ms,
            hub,
            policy: policy.clone(),
            ledger: MemoryLedger::new(),
            registrations: BTreeMap::new(),
            displaced: Vec::new(),
            runners: BTreeMap::new(),
            displaced_runners: Vec::new(),
            tickets: BTreeMap::new(),
            names: HashMap::new(),
            scripts: BTreeMap::new(),
            flights: Vec::new(),
            events: Vec::new(),
            peak: 0,
            happened: 0,
            limit: events.saturating_mul(TURNS_OF_AN_EVENT),
            requests: 0,
            suspends: Vec::new(),
            first_cadences: HashMap::new(),
        }
    }

    /// What the hub says of itself, where the questions of [`Subject`] are too few.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<String> {
        self.hub.snapshot()
    }

    fn now(&self) -> Tick {
        self.hub.now()
    }

    /// The result of the next run of `name` on `target`.
    fn result(&mut self, name: &str, target: &str) -> ResultSpec {
        let own = (name.to_owned(), Some(target.to_owned()));
        let key = if self.scripts.contains_key(&own) { own } else { (name.to_owned(), None) };
        let Some(script) = self.scripts.get_mut(&key) else {
            return ResultSpec::Ends { outcome: Outcome::Ran, lasts_ms: None };
        };
        let result = script.results[script.next.min(script.results.len() - 1)];
        script.next += 1;
        result
    }

    fn start(&mut self, run: Held) {
        let name = self.names.get(&run.generation()).cloned().unwrap_or_default();
        let target = run.key().clone();
        let from = self.first_cadences.get(&target).copied().unwrap_or(Tick::NOW);
        let (reason, reasons) = causes(&run, from, &self.suspends);
        self.events.push(Event::Started(Started {
            at_ms: at_ms(run.started()),
            handler: name.clone(),
            target: target.clone(),
            reason,
            reasons,
            attempt: u64::from(run.attempt()),
            missed: run.missed(),
            beside: run.is_barrier().then(|| run.beside().len() as u64),
        }));
        let result = self.result(&name, &target);
        self.peak = self.peak.max(self.flights.len() as u64 + 1);
        match result {
            ResultSpec::Hold => self.flights.push(Flight { run, ends: None }),
            ResultSpec::Ends { outcome, lasts_ms: None } => {
                let end = self.ends(&run, outcome);
                self.hands.end_at_once(run, end);
            }
            ResultSpec::Ends { outcome, lasts_ms: Some(lasts) } => {
                let ends = Some((self.now() + ms(lasts), outcome));
                self.flights.push(Flight { run, ends });
            }
        }
    }

    fn end(&mut self, run: Held, outcome: Outcome) {
        let end = self.ends(&run, outcome);
        self.hands.end(run, end);
    }

    /// Tells of the end that a run comes to now, and how it comes to it.
    fn ends(&mut self, run: &Held, outcome: Outcome) -> End {
        use reveille::Outcome as Real;
        let (ending, real) = match outcome {
            Outcome::Ran => (Ending::Ran, Real::ran()),
            Outcome::Skip => (Ending::Skip, Real::skipped()),
            Outcome::Busy { for_ms: None } => (Ending::Busy, Real::busy()),
            Outcome::Busy { for_ms: Some(delay) } => (Ending::Busy, Real::busy_for(ms(delay))),
            Outcome::Defer { for_ms } => (Ending::Defer, Real::defer(ms(for_ms))),
            Outcome::Fail => (Ending::Fail, Real::failed()),
            Outcome::FailFor { for_ms } => (Ending::Fail, Real::failed_for(ms(for_ms))),
            Outcome::Panic => {
                self.tell_end(run, Ending::Panic);
                return End::Panic;
            }
        };
        self.tell_end(run, ending);
        End::Outcome(real)
    }

    fn tell_end(&mut self, run: &Run<String, Why, Causes>, ending: Ending) {
        let (at_ms, target) = (at_ms(self.now()), run.key().clone());
        self.events.push(Event::Ended { at_ms, target, ending });
    }

    /// Ends the runs whose time has come, in the order in which they started.
    fn end_what_is_over(&mut self) {
        let now = self.now();
        let over = |flight: &mut Flight| flight.ends.is_some_and(|(at, _)| at <= now);
        for flight in self.flights.extract_if(.., over).collect::<Vec<_>>() {
            if let Some((_, outcome)) = flight.ends {
                self.end(flight.run, outcome);
            }
        }
    }

    /// Forgets the runs that the hub has ended.
    fn drop_ended(&mut self, ending: Ending) {
        let cancelled = |flight: &mut Flight| flight.run.is_cancelled();
        for flight in self.flights.extract_if(.., cancelled).collect::<Vec<_>>() {
            self.tell_end(&flight.run, ending);
        }
    }

    fn next_end(&self) -> Option<Tick> {
        self.flights.iter().filter_map(|flight| flight.ends).map(|(at, _)| at).min()
    }

    fn wake(&mut self, reason: &str, in_ms: Option<u64>, urgency: Urgency) -> Wake<Why, Causes> {
        self.requests += 1;
        let leader = Cause {
            urgency,
            at: self.now(),
            is_beat: false,
            number: self.requests,
            reason: reason.to_owned(),
        };
        let causes = Causes { reasons: BTreeSet::from([reason.to_owned()]), leader };
        let wake = match in_ms {
            Some(delay) => Wake::within(ms(delay)),
            None => Wake::soon(),
        };
        let urgency = match urgency {
            Urgency::Retry => reveille::Urgency::Retry,
            Urgency::Beat => reveille::Urgency::Beat,
            Urgency::Event => reveille::Urgency::Event,
            Urgency::Urgent => reveille::Urgency::Urgent,
        };
        wake.urgency(urgency).with(causes)
    }

    /// One more turn or run; too many are refused.
    fn happens(&mut self) -> Result<(), Refusal> {
        self.happened += 1;
        if self.happened > self.limit { Err(Refusal::too_much()) } else { Ok(()) }
    }
}

/// The leading reason of a run, and all of them. Beats have the reason `beat`.
fn causes(
    run: &Run<String, Why, Causes>,
    from: Tick,
    suspends: &[(Tick, Tick)],
) -> (String, BTreeSet<String>) {
    let causes = run.payload();
    let mut reasons = causes.map_or_else(BTreeSet::new, |causes| causes.reasons.clone());
    let made_at = |at: Tick| {
        let at = at.max(from);
        let asleep = suspends.iter().find(|&&(from, to)| from < at && at < to);
        asleep.map_or(at, |&(_, to)| to)
    };
    let beat = run.beat().map(|at| Cause {
        urgency: Urgency::Beat,
        at: made_at(at),
        is_beat: true,
        number: 0,
        reason: "beat".to_owned(),
    });
    // One that was given up and asked for again is a reason, and no beat any more: it leads
    // before no other, not even one of time 0.
    let reason_alone = run.reasons().contains(Why::BEAT).then(|| Cause {
        urgency: Urgency::Beat,
        at: Tick::NOW,
        is_beat: false,
        number: 0,
        reason: "beat".to_owned(),
    });
    if beat.is_some() || reason_alone.is_some() {
        reasons.insert("beat".to_owned());
    }
    let leader = causes.map(|causes| causes.leader.clone()).max(beat).max(reason_alone);
    (leader.map(|cause| cause.reason).unwrap_or_default(), reasons)
}

impl EngineSubject {
    /// What the name of a runner means; nothing where it was refused.
    fn runner(&self, name: &str) -> Result<Option<&Runner<String, Why, Causes>>, Refusal> {
        match self.runners.get(name) {
            Some(runner) => Ok(runner.as_ref()),
            None => Err(refused("a runner that was started", format!("`{name}`, which never was"))),
        }
    }

    fn beats_from_now(&mut self, target: &str) {
        let now = self.now();
        self.first_cadences.entry(target.to_owned()).or_insert(now);
    }

    fn start_runner(&mut self, name: &str, roster: &[RosterEntry]) {
        roster.iter().for_each(|entry| self.beats_from_now(&entry.target));
        let new = self.hands.runner(&self.hub, roster_of(roster));
        if let Some(runner) = &new {
            self.names.insert(runner.generation(), name.to_owned());
        }
        let means = self.registrations.entry(name.to_owned()).or_default();
        let known = self.runners.entry(name.to_owned()).or_default();
        if let Some(new) = new {
            self.displaced.extend(means.replace(Owner::Runner).and_then(Owner::install));
            self.displaced_runners.extend(known.replace(new));
        }
    }
}

impl EngineSubject {
    /// Has the hub take in what the ledger keeps, and keep its own.
    fn keep_ledger(&self) -> Result<(), Refusal> {
        let kept = self.hub.keep_ledger(self.ledger.clone());
        let lost = |error: String| refused("a ledger that is kept", error);
        let keeper = kept.map_err(|error| lost(error.to_string()))?;
        keeper.close().map_err(|error| lost(error.to_string()))
    }

    /// All that a process takes along when it ends.
    fn end_process(&mut self) {
        for flight in std::mem::take(&mut self.flights) {
            self.tell_end(&flight.run, Ending::Gone);
        }
        self.registrations.clear();
        self.displaced.clear();
        self.runners.clear();
        self.displaced_runners.clear();
        self.tickets.clear();
        self.names.clear();
        self.suspends.clear();
        self.first_cadences.clear();
    }
}

fn roster_of(entries: &[RosterEntry]) -> Roster<String> {
    let cadence = |entry: &RosterEntry| {
        let cadence = Cadence::every(ms(entry.every_ms)).ok()?;
        Some(match entry.phase_ms {
            Some(phase) => cadence.with_phase(ms(phase)),
            None => cadence,
        })
    };
    entries.iter().filter_map(|entry| Some((entry.target.clone(), cadence(entry)?))).collect()
}

fn asked(ticket: Ticket, or: Option<Or>) -> Ticket {
    match or {
        None => ticket,
        Some(Or::NoHandler) => ticket.or_no_handler(),
        Some(Or::Deferral) => ticket.or_deferral(),
    }
}

fn said(ticket: &Ticket) -> TicketState {
    match ticket.answer() {
        None => TicketState::Waiting,
        Some(Ok(Done::Ran)) => TicketState::Ran,
        Some(Ok(Done::Skipped)) => TicketState::Skip,
        Some(Err(Unserved::GaveUp)) => TicketState::GaveUp,
        Some(Err(Unserved::Cancelled)) => TicketState::Cancelled,
        Some(Err(Unserved::Removed)) => TicketState::Removed,
        Some(Err(Unserved::NoHandler)) => TicketState::NoHandler,
        Some(Err(Unserved::Deferred)) => TicketState::Deferred,
        Some(Err(_)) => TicketState::Stopped,
    }
}

fn refused(expected: &str, got: String) -> Refusal {
    Refusal { expected: expected.to_owned(), got }
}

impl Subject for EngineSubject {
    fn name_target(&mut self, target: &str) {
        // After a stop there are no targets to name.
        let _ = self.hub.target(target.to_owned());
        let now = self.now();
        self.hands.engine_mut().observe(now);
    }

    fn advance_to(&mut self, to_ms: u64) -> Result<(), Refusal> {
        let to = Tick::NOW + ms(to_ms.min(super::LAST_INSTANT_MS));
        while self.now() < to {
            self.settle()?;
            let until = to.min(self.next_end().unwrap_or(Tick::NEVER));
            self.happened += self.hands.sleep(until, self.limit.saturating_sub(self.happened));
        }
        Ok(())
    }

    fn apply(&mut self, action: &Action) -> Result<(), Refusal> {
        // A postpone reads in the word when it was due, and is no request that could be news.
        if !matches!(action, Action::Postpone { .. }) {
            self.hands.engine_mut().open();
        }
        match action {
            Action::Install { name } => {
                let installed = self.hands.install(&self.hub);
                if let Some(registration) = &installed {
                    self.names.insert(registration.generation(), name.clone());
                }
                // A refused install is no registration: the name means what it meant.
                let known = self.registrations.entry(name.clone()).or_default();
                if let Some(new) = installed {
                    let old = known.replace(Owner::Install(new));
                    self.displaced.extend(old.and_then(Owner::install));
                }
            }
            Action::Script { name, target, results } => {
                let script = Script { results: results.clone(), next: 0 };
                self.scripts.insert((name.clone(), target.clone()), script);
            }
            Action::Dispose { name } => match self.registrations.get(name) {
                None => {
                    let got = format!("`{name}`, which never was");
                    return Err(refused("a handler that was installed", got));
                }
                Some(None) => {}
                Some(Some(Owner::Install(registration))) => {
                    registration.dispose();
                }
                Some(Some(Owner::Runner)) => {
                    if let Some(Some(runner)) = self.runners.get(name) {
                        runner.registration().dispose();
                    }
                }
            },
            Action::Wake { target, reason, in_ms, urgency } => {
                let wake = self.wake(reason, *in_ms, *urgency);
                // By handle and by key in turns: both must mean the same.
                match self.hub.find(target).filter(|_| self.requests.is_multiple_of(2)) {
                    Some(target) => drop(target.wake(wake)),
                    None => drop(self.hub.wake(target.clone(), wake)),
                }
            }
            Action::Beat { target, every_ms, phase_ms, hours } => {
                let Ok(mut cadence) = Cadence::every(ms(*every_ms)) else {
                    return Err(refused("a period of at least 1", every_ms.to_string()));
                };
                if let Some(phase) = phase_ms {
                    cadence = cadence.with_phase(ms(*phase));
                }
                if let Some(hours) = hours {
                    cadence = cadence.during(hours_of(hours)?);
                }
                self.beats_from_now(target);
                if let Ok(target) = self.hub.target(target.clone()) {
                    let _ = target.beat(cadence);
                }
            }
            Action::BeatOff { target } => {
                if let Some(target) = self.hub.find(target) {
                    target.stop_beating();
                }
            }
            Action::Finish { name, target, outcome } => {
                let held = self.flights.iter().position(|flight| {
                    flight.run.key() == target
                        && flight.ends.is_none()
                        && self.names.get(&flight.run.generation()) == Some(name)
                });
                let Some(held) = held else {
                    let got = "none".to_owned();
                    return Err(refused(&format!("a held run of {target} by {name}"), got));
                };
                let flight = self.flights.remove(held);
                self.end(flight.run, *outcome);
            }
            Action::Cancel { target } => {
                if let Some(target) = self.hub.find(target) {
                    target.cancel();
                }
            }
            Action::Postpone { target, in_ms } => {
                if let Some(target) = self.hub.find(target) {
                    target.postpone(self.now() + ms(*in_ms));
                }
            }
            Action::WakeAll { reason, in_ms, urgency } => {
                let wake = self.wake(reason, *in_ms, *urgency);
                self.hub.wake_all(&wake);
            }
            Action::Barrier { target, reason } => {
                let wake = self.wake(reason, Some(0), Urgency::Urgent);
                match self.hub.target(target.clone()) {
                    Ok(target) => drop(target.barrier(wake)),
                    // Refused as any wake is, and counted.
                    Err(_) => drop(self.hub.wake(target.clone(), wake)),
                }
            }
            Action::Await { name, target, reason, in_ms, urgency, or } => {
                let wake = self.wake(reason, *in_ms, *urgency);
                let ticket = self.hub.wake_awaited(target.clone(), wake).ok();
                self.tickets.insert(name.clone(), ticket.map(|ticket| asked(ticket, *or)));
            }
            Action::Forgive { target } => {
                if let Some(target) = self.hub.find(target) {
                    target.forgive();
                }
            }
            Action::Revive { target } => {
                if let Some(target) = self.hub.find(target) {
                    target.revive();
                }
            }
            Action::Runner { name, roster } => self.start_runner(name, roster),
            Action::Update { name, roster } => {
                roster.iter().for_each(|entry| self.beats_from_now(&entry.target));
                if let Some(runner) = self.runner(name)? {
                    // One that has stopped refuses.
                    let _ = runner.update(roster_of(roster));
                }
            }
            Action::StopRunner { name } => {
                if let Some(runner) = self.runner(name)? {
                    runner.stop();
                }
            }
            Action::Remove { target } => {
                if let Some(target) = self.hub.find(target) {
                    target.remove();
                }
            }
            Action::Suspend { ms: length } => {
                self.settle()?;
                let from = self.now();
                let last = Tick::NOW + ms(super::LAST_INSTANT_MS);
                self.hands.pass((from + ms(*length)).min(last));
                self.suspends.push((from, self.now()));
            }
            Action::Restart { ms: length } => {
                self.settle()?;
                self.keep_ledger()?;
                self.end_process();
                let last = Tick::NOW + ms(super::LAST_INSTANT_MS);
                self.hands.pass((self.now() + ms(*length)).min(last));
                self.hub = self.hands.start(&policy_of(&self.policy));
                self.keep_ledger()?;
            }
            // Nothing lives by it but cadences with hours (P14).
            Action::Wallclock { ms } => {
                let wall_ms = self.wall_ms.saturating_add(*ms);
                self.wall_ms = wall_ms.clamp(-LAST_WALL_MS, LAST_WALL_MS);
                self.hands.set_wall(wall_at(self.wall_ms, at_ms(self.now())));
            }
            Action::Stop { drain_ms } => {
                match drain_ms {
                    Some(limit) => self.hub.drain(ms(*limit)),
                    None => self.hub.stop(),
                };
            }
        }
        let now = self.now();
        self.hands.engine_mut().observe(now);
        self.drop_ended(Ending::Cancelled);
        Ok(())
    }

    fn settle(&mut self) -> Result<(), Refusal> {
        loop {
            self.end_what_is_over();
            self.hands.turn();
            self.drop_ended(Ending::Overran);
            self.happens()?;
            let mut started = false;
            while let Some(run) = self.hands.next_run() {
                started = true;
                self.start(run);
                self.happened += TURNS_OF_AN_EVENT - 1;
                self.happens()?;
            }
            if !started && self.next_end().is_none_or(|at| at > self.now()) {
                return Ok(());
            }
        }
    }

    fn events(&self) -> &[Event] {
        &self.events
    }

    fn state(&self, target: &str) -> TargetState {
        // A removed target that still runs holds its key.
        if self.flights.iter().any(|flight| flight.run.key() == target) {
            return TargetState::Running;
        }
        match self.hub.find(target).map(|target| target.state()) {
            None | Some(reveille::TargetState::Idle) => TargetState::Idle,
            Some(reveille::TargetState::Pending) => TargetState::Pending,
            Some(_) => TargetState::Running,
        }
    }

    fn deadline(&self) -> Option<u64> {
        Some(self.hands.engine().deadline()).filter(|&at| at != Tick::NEVER).map(at_ms)
    }

    fn handler(&self) -> Option<String> {
        self.hub.handler().and_then(|generation| self.names.get(&generation).cloned())
    }

    fn active(&self) -> u64 {
        self.flights.len() as u64
    }

    fn peak(&self) -> u64 {
        self.peak
    }

    fn count(&self, counter: Counter) -> u64 {
        let counters = self.hub.counters();
        match counter {
            Counter::Accepted => counters.accepted,
            Counter::Started => counters.started,
            Counter::Coalesced => counters.coalesced,
            Counter::Pending => counters.pending,
            Counter::Refused => counters.refused,
            Counter::Discarded => counters.discarded,
            Counter::Retried => counters.retried,
            Counter::GaveUp => counters.gave_up,
            Counter::StaleDisposes => counters.stale_disposes,
            Counter::Panics => counters.panics,
            Counter::StaleClaims => counters.stale_claims,
            Counter::Overran => counters.overran,
        }
    }

    fn ticket(&self, name: &str) -> Option<TicketState> {
        let ticket = self.tickets.get(name)?;
        // A wake that was refused has none, and the hub had stopped.
        Some(ticket.as_ref().map_or(TicketState::Stopped, said))
    }

    fn poisoned(&self) -> Vec<String> {
        self.hub.poisoned().iter().map(|target| target.key().clone()).collect()
    }
}
