//! What a storm is made of: its targets, and every random choice, from one seed.

use crate::config::Agent;
use fastrand::Rng;
use std::panic::panic_any;
use std::time::Duration;

/// Targets with a cadence that are there from the start to the end.
const STEADY: usize = 60;
/// Targets with a cadence that are removed and created anew all the time.
const CHURNED: usize = 4;
/// Targets without a cadence: nothing but a wake runs them, and no beat hides a lost one.
const ON_DEMAND: usize = 4;
/// Real commands among them.
const COMMANDS: usize = 2;
/// The period of these.
const COMMAND_PERIOD: Duration = Duration::from_millis(400);

/// The part of a storm in which handlers are reloaded. Then come wakes and beats without: who was
/// going to die of a reload is dead by then, and no later reload can hide it.
const RELOADING: f64 = 0.7;

/// What a target is in the storm for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Steady,
    /// Fails nearly always, so that its wakes are given up.
    Sick,
    Churned,
    OnDemand,
    Command(Agent),
}

/// One target.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) period: Option<Duration>,
    pub(crate) phase: Option<Duration>,
}

/// A storm, the same for every scheduler.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) length: Duration,
    pub(crate) targets: Vec<Spec>,
}

impl Plan {
    pub(crate) fn new(seed: u64, length: Duration, agents: &[Agent]) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut targets = Vec::new();
        for i in 0..STEADY + CHURNED {
            let period = Duration::from_micros(rng.u64(5_000..=50_000));
            let churned = i >= STEADY;
            let kind = match i {
                _ if churned => Kind::Churned,
                _ if i % 20 == 7 => Kind::Sick,
                _ => Kind::Steady,
            };
            // Every other one has no phase: only those show whether a reload moved the beats. The
            // churned ones have one, so that their beats can be told over all their lives.
            let phase = (churned || i % 2 == 0).then(|| period.mul_f64(rng.f64() * 0.99));
            let phase = phase.map(|phase| Duration::from_micros(phase.as_micros() as u64));
            let name = format!("{}-{i:02}", if churned { "churn" } else { "beat" });
            targets.push(Spec { name, kind, period: Some(period), phase });
        }
        for i in 0..ON_DEMAND {
            let name = format!("demand-{i}");
            targets.push(Spec { name, kind: Kind::OnDemand, period: None, phase: None });
        }
        for agent in agents.iter().take(COMMANDS) {
            targets.push(Spec {
                name: agent.name.clone(),
                kind: Kind::Command(agent.clone()),
                period: Some(COMMAND_PERIOD),
                phase: None,
            });
        }
        Self { seed, length, targets }
    }

    /// A stream of choices of its own for each thread.
    pub(crate) fn rng(&self, thread: u64) -> Rng {
        Rng::with_seed(self.seed ^ thread.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    pub(crate) fn reloading(&self) -> Duration {
        self.length.mul_f64(RELOADING)
    }

    pub(crate) fn indices(&self, kind: impl Fn(&Kind) -> bool) -> Vec<usize> {
        let targets = self.targets.iter().enumerate();
        targets.filter(|(_, spec)| kind(&spec.kind)).map(|(index, _)| index).collect()
    }

    /// What the `n`-th run of a target does, whichever thread runs it.
    pub(crate) fn act(&self, target: usize, n: u64) -> Act {
        let mut rng = self.rng((target as u64) << 32 ^ n ^ 0x5EED << 56);
        let sick = self.targets.get(target).is_some_and(|spec| spec.kind == Kind::Sick);
        match rng.u32(0..100) {
            0..70 if sick => Act::Fail,
            70..80 if sick => Act::Panic,
            0..4 => Act::Busy(None),
            4..8 => Act::Busy(Some(Duration::from_micros(rng.u64(500..10_000)))),
            8..13 => Act::Fail,
            13..16 => Act::Panic,
            16..20 => Act::Defer(Duration::from_micros(rng.u64(500..20_000))),
            20..25 => Act::Slow(Duration::from_micros(rng.u64(500..4_000))),
            25..28 => Act::Skip,
            _ => Act::Run,
        }
    }
}

/// What a handler does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Act {
    Run,
    Skip,
    Slow(Duration),
    Busy(Option<Duration>),
    Fail,
    Defer(Duration),
    Panic,
}

/// What a handler of the storm panics with. Its message is of no interest to anybody.
struct Tantrum;

/// Panics as a handler of the storm does.
pub(crate) fn tantrum() -> ! {
    panic_any(Tantrum)
}

/// Silences the panics of the storm's handlers, and no others.
pub(crate) fn silence_tantrums() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<Tantrum>() {
            report(info);
        }
    }));
}
