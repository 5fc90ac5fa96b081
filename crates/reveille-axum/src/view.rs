//! What the page shows, as plain data. Times are seconds from the instant of the view, so that the reader
//! needs no clock: what comes is positive, what has been is negative.

use reveille::{
    Concern, Condition, Key, Last, Merge, Reasons, Reveille, TargetSnapshot, TargetState, Tick,
};
use serde::Serialize;
use std::cmp::Reverse;
use std::fmt::Display;

/// All of it.
#[derive(Serialize)]
pub(crate) struct View {
    health: Health,
    /// The generation of the handler that is installed, if one is.
    handler: Option<u64>,
    in_flight: u64,
    counters: Counters,
    /// How many targets there are; `targets` may be fewer.
    total: usize,
    /// Those that want a look first, then by name.
    targets: Vec<Target>,
}

/// How the hub does, and why.
#[derive(Serialize)]
pub(crate) struct Health {
    condition: Condition,
    concerns: Vec<Reason>,
    /// Concerns that are not listed.
    more: u64,
    last_turn: f64,
}

#[derive(Serialize)]
struct Reason {
    name: &'static str,
    /// For a person.
    text: String,
    target: Option<String>,
}

#[derive(Serialize)]
struct Counters {
    accepted: u64,
    started: u64,
    coalesced: u64,
    pending: u64,
    refused: u64,
    discarded: u64,
    retried: u64,
    gave_up: u64,
    missed: u64,
    panics: u64,
    installs: u64,
    stale_disposals: u64,
    stalls: u64,
}

#[derive(Serialize)]
struct Target {
    name: String,
    state: TargetState,
    /// When its next run or beat is, whichever comes first.
    next: Option<f64>,
    last: Option<Last>,
    last_at: Option<f64>,
    /// Oldest first.
    history: Vec<Last>,
    running: Option<f64>,
    overran: bool,
    poisoned: bool,
    attempts: u64,
    missed: u64,
    runs: u64,
    /// The runner that owns its cadence.
    owner: Option<u64>,
}

fn seconds(at: Tick, now: Tick) -> f64 {
    if at >= now { at.since(now).as_secs_f64() } else { -now.since(at).as_secs_f64() }
}

impl Health {
    pub(crate) fn of<K: Display>(health: &reveille::Health<K>) -> Self {
        let concerns = health.concerns.iter().map(|concern| Reason {
            name: concern.name(),
            text: say(concern, health.at),
            target: concern.key().map(ToString::to_string),
        });
        Self {
            condition: health.condition,
            concerns: concerns.collect(),
            more: health.more,
            last_turn: seconds(health.last_turn, health.at),
        }
    }
}

/// A concern in words.
fn say<K: Display>(concern: &Concern<K>, now: Tick) -> String {
    let ago = |since: Tick| format!("{:.0} s", now.since(since).as_secs_f64());
    match concern {
        Concern::NoDriver => "Nobody drives the hub, and something is due.".to_owned(),
        Concern::DriverLate { since } => {
            format!("The driver has not turned for {} when it should have.", ago(*since))
        }
        Concern::NoHandler { waiting, since } => {
            format!("No handler is installed: {waiting} wakes have waited for {}.", ago(*since))
        }
        Concern::TimeGap { length, .. } => format!(
            "Time was missing: the machine slept or stood still for {:.1} s.",
            length.as_secs_f64()
        ),
        Concern::RunPastLimit { key, since } => {
            format!("The run of {key} has passed its limit: it has run for {}.", ago(*since))
        }
        Concern::Overdue { key, since, .. } => format!("{key} is overdue by {}.", ago(*since)),
        _ => concern.name().replace('_', " "),
    }
}

impl View {
    /// The view of a hub, with at most so many targets.
    pub(crate) fn of<K, R, P>(hub: &Reveille<K, R, P>, limit: usize) -> Self
    where
        K: Key + Display,
        R: Reasons,
        P: Merge,
    {
        let snapshot = hub.snapshot();
        let (now, counters, total) = (snapshot.at, snapshot.counters, snapshot.targets.len());
        let mut targets: Vec<Target> =
            snapshot.targets.iter().map(|target| Target::of(target, now)).collect();
        let order = |a: &Target, b: &Target| {
            let key = |target: &Target| Reverse(target.trouble());
            key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
        };
        if targets.len() > limit {
            if limit > 0 {
                targets.select_nth_unstable_by(limit - 1, order);
            }
            targets.truncate(limit);
        }
        targets.sort_unstable_by(order);
        Self {
            health: Health::of(&hub.health()),
            handler: snapshot.handler.map(reveille::Generation::get),
            in_flight: snapshot.in_flight,
            counters: Counters {
                accepted: counters.accepted,
                started: counters.started,
                coalesced: counters.coalesced,
                pending: counters.pending,
                refused: counters.refused,
                discarded: counters.discarded,
                retried: counters.retried,
                gave_up: counters.gave_up,
                missed: counters.missed,
                panics: counters.panics,
                installs: counters.installs,
                stale_disposals: counters.stale_disposes,
                stalls: counters.stalls,
            },
            total,
            targets,
        }
    }
}

impl Target {
    fn of<K: Display>(target: &TargetSnapshot<K>, now: Tick) -> Self {
        // An immediate wake is due at tick 0.
        let due = target.next_due.map(|due| if due == Tick::NOW { now } else { due });
        let next = [due, target.next_beat].into_iter().flatten().min();
        let mut history: Vec<Last> = target.history.iter().collect();
        history.reverse();
        Self {
            name: target.key.to_string(),
            state: target.state,
            next: next.filter(|&next| next < Tick::HORIZON).map(|next| seconds(next, now)),
            last: target.last.map(|(last, _)| last),
            last_at: target.last.map(|(_, at)| seconds(at, now)),
            history,
            running: target.running_since.map(|since| seconds(since, now)),
            overran: target.overran,
            poisoned: target.poisoned,
            attempts: target.attempts,
            missed: target.missed,
            runs: target.runs,
            owner: target.owner.map(reveille::Generation::get),
        }
    }

    /// How much it wants a look.
    fn trouble(&self) -> u8 {
        if self.poisoned {
            3
        } else if self.overran {
            2
        } else {
            u8::from(self.attempts > 1)
        }
    }
}
