//! Who drives the hub of a scenario: the subject itself, or the driver on tokio. That is a parameter;
//! all else is the same.

use std::ops::Deref;
use std::time::SystemTime;

use clap::ValueEnum;
use reveille::{
    Builder, Clock, Engine, ManualClock, Outcome, Policy, Registration, Reveille, Roster, Run,
    Runner, SharedRun, Tick,
};

use super::engine::{Causes, Why};
use super::on_tokio;

pub(super) type Hub = Reveille<String, Why, Causes>;
pub(super) type HubEngine = Engine<String, Why, Causes>;
pub(super) type HubRun = Run<String, Why, Causes>;
pub(super) type HubSharedRun = SharedRun<String, Why, Causes>;
pub(super) type HubRegistration = Registration<String, Why, Causes>;
pub(super) type HubRunner = Runner<String, Why, Causes>;

/// Who drives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DrivenBy {
    /// The subject, on a [`ManualClock`]: it steps the engine from deadline to deadline, and holds the
    /// runs itself.
    #[default]
    Hand,
    /// The driver of `reveille-tokio`, on a runtime whose time is paused: it takes the turns, sleeps until
    /// it is due, and starts each run as a task, whose handler waits for the outcome of the script.
    Tokio,
}

impl DrivenBy {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Hand, Self::Tokio];

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hand => "by hand",
            Self::Tokio => "on tokio",
        }
    }

    pub(super) fn hands(self) -> Box<dyn Hands> {
        match self {
            Self::Hand => Box::new(ByHand { clock: ManualClock::new(), engine: None }),
            Self::Tokio => Box::new(on_tokio::OnTokio::new()),
        }
    }
}

/// How an outcome of the script reaches the run.
pub(super) enum End {
    Outcome(Outcome),
    Panic,
}

/// A run in flight, in the hands of the subject.
pub(super) enum Held {
    /// The subject carries it.
    Own(HubRun),
    /// A task carries it, which waits to be told how to end.
    Task(on_tokio::Task),
}

impl Deref for Held {
    type Target = HubRun;

    fn deref(&self) -> &HubRun {
        match self {
            Self::Own(run) => run,
            Self::Task(task) => task,
        }
    }
}

/// Clock and driver of the hub.
pub(super) trait Hands {
    /// A hub of a new process, on this clock, driven from now on.
    fn start(&mut self, policy: &dyn Fn(&mut Policy)) -> Hub;

    /// The engine between two turns.
    fn engine(&self) -> &HubEngine;
    fn engine_mut(&mut self) -> &mut HubEngine;

    fn install(&self, hub: &Hub) -> Option<HubRegistration>;
    fn runner(&self, hub: &Hub, roster: Roster<String>) -> Option<HubRunner>;

    /// Makes a turn at this instant, at least.
    fn turn(&mut self);
    /// The next run that is started, in the order of the starts.
    fn next_run(&mut self) -> Option<Held>;
    /// Ends a run.
    fn end(&mut self, run: Held, end: End);
    /// Ends a run that takes no time, before the next one is asked for.
    fn end_at_once(&mut self, run: Held, end: End);

    /// The driver sleeps and turns until then at the latest, and no further than where something shows, or
    /// that many turns. Answers how many it took at most.
    fn sleep(&mut self, until: Tick, turns: u64) -> u64;
    /// Time passes in which nobody drives.
    fn pass(&mut self, until: Tick);
    /// Sets the wall clock.
    fn set_wall(&self, wall: SystemTime);
}

pub(super) fn built(policy: &dyn Fn(&mut Policy), clock: impl Clock) -> Hub {
    let built = Builder::new().policy(policy).clock(clock).build();
    built.expect("the grammar allows only policies that hold")
}

/// No driver: the subject takes the turns, and never oversleeps.
struct ByHand {
    clock: ManualClock,
    engine: Option<HubEngine>,
}

impl Hands for ByHand {
    fn start(&mut self, policy: &dyn Fn(&mut Policy)) -> Hub {
        let hub = built(policy, self.clock.clone());
        self.engine = Some(hub.engine().expect("a new hub has no driver"));
        hub
    }

    fn engine(&self) -> &HubEngine {
        self.engine.as_ref().expect("a hub was started")
    }

    fn engine_mut(&mut self) -> &mut HubEngine {
        self.engine.as_mut().expect("a hub was started")
    }

    fn install(&self, hub: &Hub) -> Option<HubRegistration> {
        hub.install(|_: &HubRun| {}).ok()
    }

    fn runner(&self, hub: &Hub, roster: Roster<String>) -> Option<HubRunner> {
        hub.runner(|_: &HubRun| {}, roster).ok()
    }

    fn turn(&mut self) {
        let now = self.clock.now();
        self.engine_mut().turn(now);
    }

    fn next_run(&mut self) -> Option<Held> {
        self.engine_mut().next_run().map(Held::Own)
    }

    fn end(&mut self, run: Held, end: End) {
        let Held::Own(run) = run else { unreachable!("no task was started") };
        match end {
            End::Outcome(outcome) => run.finish(outcome),
            End::Panic => run.panicked("as scripted".to_owned()),
        }
    }

    fn end_at_once(&mut self, run: Held, end: End) {
        self.end(run, end);
        let now = self.clock.now();
        self.engine_mut().observe(now);
    }

    fn sleep(&mut self, until: Tick, _: u64) -> u64 {
        self.clock.advance_to(self.engine().deadline().min(until));
        0
    }

    fn pass(&mut self, until: Tick) {
        self.clock.advance_to(until);
    }

    fn set_wall(&self, wall: SystemTime) {
        self.clock.set_wall(wall);
    }
}
