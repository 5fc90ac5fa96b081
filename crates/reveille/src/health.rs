//! Whether a hub keeps its promises: its progress, compared with what it promised (P18).
//!
//! Nothing here runs by itself, so nothing here can die: [`Reveille::health`] is a comparison made by
//! whoever asks, from words that others write. It takes no lock but the engine's seat, for a moment,
//! to see whether a driver sits there, and the map's, to see all targets.
//!
//! An immediate wake carries no instant (it reads no clock), so how long it has waited shows only to
//! who asks twice: the first look writes down at which turn it found one, in the [`Witness`].

use crate::engine::Seat;
use crate::hub::{Key, Reveille};
use crate::merge::Merge;
use crate::node::Node;
use crate::reasons::Reasons;
use crate::shared::{Shared, lock};
use reveille_core::Tick;
use reveille_core::sync::{Arc, Ordering, PlainU64};
use std::time::Duration;

/// How well a hub does, from well to ill; a hub that was stopped is neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Condition {
    /// It keeps what it promised.
    Healthy,
    /// It goes on, and something about it wants a look.
    Degraded,
    /// Something that is due cannot run.
    Stalled,
    /// It was stopped: nothing is due any more.
    Stopped,
}

/// What is wrong with a hub. Instants are of its clock.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(tag = "name", rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Concern<K> {
    /// A stall: something is due, and the hub has no driver.
    NoDriver,
    /// A stall: the driver has not turned, though an instant that was asked for has passed, or its
    /// longest sleep has.
    DriverLate {
        /// By when it was to turn; for an immediate wake, when it was first seen to wait.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::tick"))]
        since: Tick,
    },
    /// A stall: wakes are due, and no handler is installed.
    NoHandler {
        /// So many wakes.
        waiting: u64,
        /// Since the oldest of them was due, or the handler went.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::tick"))]
        since: Tick,
    },
    /// A [`Watch`](crate::Watch) found itself late: the machine slept, or its processors were taken
    /// away. Shown until the driver has had time to notice.
    TimeGap {
        /// When it ended.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::tick"))]
        until: Tick,
        /// How long it was.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::duration"))]
        length: Duration,
    },
    /// A run goes on past the run limit. Its target stays taken (P6).
    RunPastLimit {
        /// Whose run.
        key: K,
        /// When it started.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::tick"))]
        since: Tick,
    },
    /// A beat of this target has waited for a run that is done for too many of its periods, whatever
    /// holds it back: failures, floors, rates, its own run, want of a place. Or, where the target has no
    /// cadence, a wake could have started long ago.
    Overdue {
        /// Whose beat, or wake.
        key: K,
        /// When it was due.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::tick"))]
        since: Tick,
        /// The period of its cadence, if it has one.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::maybe_duration"))]
        period: Option<Duration>,
    },
}

impl<K> Concern<K> {
    /// Its name in metrics, traces and status pages; does not change.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NoDriver => "no_driver",
            Self::DriverLate { .. } => "driver_late",
            Self::NoHandler { .. } => "no_handler",
            Self::TimeGap { .. } => "time_gap",
            Self::RunPastLimit { .. } => "run_past_limit",
            Self::Overdue { .. } => "overdue",
        }
    }

    /// Whether it makes a hub stalled, rather than degraded.
    pub const fn is_stall(&self) -> bool {
        matches!(self, Self::NoDriver | Self::DriverLate { .. } | Self::NoHandler { .. })
    }

    /// The target it is about, if it is about one.
    pub const fn key(&self) -> Option<&K> {
        match self {
            Self::RunPastLimit { key, .. } | Self::Overdue { key, .. } => Some(key),
            _ => None,
        }
    }
}

/// What [`Reveille::health`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Health<K> {
    /// When it was asked for, on the hub's clock.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::tick"))]
    pub at: Tick,
    /// How well the hub does: the worst of its concerns.
    pub condition: Condition,
    /// What is wrong: stalls first, then what has lasted longest. At most
    /// [`WatchPolicy::max_concerns`](crate::WatchPolicy::max_concerns) of targets.
    pub concerns: Vec<Concern<K>>,
    /// How many concerns of targets there are beyond those.
    pub more: u64,
    /// The instant of the driver's last turn.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::tick"))]
    pub last_turn: Tick,
    /// When a [`Watch`](crate::Watch) last looked, if one ever did: nothing here depends on it.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::maybe_tick"))]
    pub last_look: Option<Tick>,
}

impl<K> Health<K> {
    /// Whether nothing is wrong.
    pub fn is_healthy(&self) -> bool {
        self.condition == Condition::Healthy
    }

    /// Whether something that is due cannot run.
    pub fn is_stalled(&self) -> bool {
        self.condition == Condition::Stalled
    }

    /// The names of the concerns, without repetition.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.concerns.iter().map(Concern::name).collect();
        names.dedup();
        names
    }
}

impl<K: Eq> Health<K> {
    /// Whether the same is wrong, however long it has lasted.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let same = |a: &Concern<K>, b: &Concern<K>| a.name() == b.name() && a.key() == b.key();
        self.condition == other.condition
            && self.concerns.len() == other.concerns.len()
            && self.concerns.iter().all(|a| other.concerns.iter().any(|b| same(a, b)))
    }
}

/// What who looks leaves for who looks next. Written by whoever asks for the hub's health.
pub(crate) struct Witness {
    /// The turn (low 32 bits) before which an immediate request was found, and when: milliseconds,
    /// modulo 2^32, plus one. 0 where none was.
    urgent: PlainU64,
    /// When a watch last looked; a tick, never if none did.
    pub(crate) last_look: PlainU64,
    /// When the last time gap ended, and how long it was; 0 where there was none.
    pub(crate) gap_until: PlainU64,
    pub(crate) gap_length: PlainU64,
    /// Since when the driver knows of no handler; a tick, never where it knows of one.
    pub(crate) vacant_since: PlainU64,
    /// When the driver came.
    pub(crate) driven_since: PlainU64,
}

impl Default for Witness {
    fn default() -> Self {
        Self {
            urgent: PlainU64::new(0),
            last_look: PlainU64::new(Tick::NEVER.as_micros()),
            gap_until: PlainU64::new(0),
            gap_length: PlainU64::new(0),
            vacant_since: PlainU64::new(0),
            driven_since: PlainU64::new(0),
        }
    }
}

impl Witness {
    /// Since when an immediate request has been waiting for the turn after the `turns`-th, as far as
    /// anybody has seen; now, where this is the first look at it.
    ///
    /// One word, so that no two looks can mix.
    fn urgent_since(&self, turns: u64, now: Tick) -> Tick {
        let millis = now.as_micros() / 1_000;
        let (turn, at) = (turns << 32, (millis + 1) & 0xffff_ffff);
        let seen = self.urgent.load(Ordering::Relaxed);
        if seen & 0xffff_ffff == 0 || seen >> 32 << 32 != turn {
            self.urgent.store(turn | at, Ordering::Relaxed);
            return now;
        }
        let age = at.wrapping_sub(seen) & 0xffff_ffff;
        Tick::from_micros(now.as_micros().saturating_sub(age * 1_000))
    }
}

fn read(word: &PlainU64) -> Tick {
    Tick::from_micros(word.load(Ordering::Relaxed))
}

impl<K: Key, R: Reasons, P: Merge> Reveille<K, R, P> {
    /// How the hub does: its progress compared with its promises, now (P18).
    ///
    /// A comparison made by the caller, from what the hub's threads leave behind; it needs none of
    /// them, nor a [`Watch`](crate::Watch), and says so if they are gone. Its thresholds are
    /// [`Policy::watch`](crate::Policy::watch). How long an *immediate* wake has been waiting for a
    /// turn is known from the second call on. Just after a suspend that no watch has noticed, the
    /// driver shows as late until it has turned.
    ///
    /// # Progress
    /// O(targets). Locks the map of targets, a part at a time, to read it.
    pub fn health(&self) -> Health<K> {
        judge(&self.shared())
    }
}

/// A concern about a target, before its key is copied.
struct Found<K, P> {
    since: Tick,
    node: Arc<Node<K, P>>,
    /// Of its cadence; of a run past its limit there is none.
    period: Option<Duration>,
    is_run: bool,
}

/// What the look at all targets finds.
struct Findings<K, P> {
    found: Vec<Found<K, P>>,
    more: u64,
    most: usize,
    /// Something is due.
    is_due: bool,
    /// Wakes that are due, and since when the oldest is; immediate ones tell no instant.
    waiting: u64,
    oldest: Tick,
}

impl<K, P> Findings<K, P> {
    fn add(&mut self, found: Found<K, P>) {
        self.found.push(found);
        if self.found.len() >= 2 * self.most {
            self.keep_longest();
        }
    }

    fn keep_longest(&mut self) {
        self.found.sort_by_key(|found| found.since);
        self.more += self.found.len().saturating_sub(self.most) as u64;
        self.found.truncate(self.most);
    }
}

pub(crate) fn judge<K: Key, R: Reasons, P: Merge>(shared: &Shared<K, R, P>) -> Health<K> {
    // First the turns, then the clock, then the rest: what is read later can only be younger, and
    // makes nobody look late.
    let turns = shared.tallies.turns.get();
    let now = shared.now();
    let witness = &shared.witness;
    let last_look = Some(read(&witness.last_look)).filter(|&at| at != Tick::NEVER);
    let mut health = Health {
        at: now,
        condition: Condition::Stopped,
        concerns: Vec::new(),
        more: 0,
        last_turn: shared.last_turn(),
        last_look,
    };
    if shared.gate.load().is_closed() {
        return health;
    }
    let findings = look_at_targets(shared, now);
    driver_concerns(shared, &findings, turns, &mut health);
    gap_concern(shared, &mut health);
    let mut findings = findings;
    findings.keep_longest();
    health.more = findings.more;
    health.concerns.extend(findings.found.into_iter().map(
        |Found { since, node, period, is_run }| {
            let key = node.key.clone();
            if is_run {
                Concern::RunPastLimit { key, since }
            } else {
                Concern::Overdue { key, since, period }
            }
        },
    ));
    health.condition = match health.concerns.first() {
        None => Condition::Healthy,
        Some(first) if first.is_stall() => Condition::Stalled,
        Some(_) => Condition::Degraded,
    };
    health
}

/// Until when a time gap excuses whatever is late: its driver may sleep on for so long.
fn excused_until<K: Key, R: Reasons, P: Merge>(shared: &Shared<K, R, P>) -> Tick {
    let until = read(&shared.witness.gap_until);
    if until == Tick::NOW { until } else { until + shared.policy.max_sleep }
}

/// How long something has been late at `now` that was due at `since`.
fn late(now: Tick, since: Tick, excused: Tick) -> Duration {
    now.since(since.max(excused))
}

fn driver_concerns<K: Key, R: Reasons, P: Merge>(
    shared: &Shared<K, R, P>,
    findings: &Findings<K, P>,
    turns: u64,
    health: &mut Health<K>,
) {
    let (now, watch, witness) = (health.at, &shared.policy.watch, &shared.witness);
    let excused = excused_until(shared);
    let is_driven = matches!(*lock(&shared.seat), Seat::Taken);
    let has_handler = shared.slot.load().handler().is_some();
    let asked = shared.deadline.peek();
    if !is_driven {
        if findings.is_due || asked <= now {
            health.concerns.push(Concern::NoDriver);
        }
    } else {
        // Without a handler wakes ask without ringing, and the driver sleeps on.
        let asked = if has_handler { asked } else { Tick::NEVER };
        let asked = if asked != Tick::NOW && !shared.has_unnoted() {
            asked
        } else {
            witness.urgent_since(turns, now)
        };
        let woke = health.last_turn.max(read(&witness.driven_since));
        let since = asked.min(woke + shared.policy.max_sleep);
        if since <= now && late(now, since, excused) > watch.turn_grace {
            health.concerns.push(Concern::DriverLate { since });
        }
    }
    // Where the driver has not heard of the disposal yet, it cannot be long ago, or it is late.
    let vacant_since = read(&witness.vacant_since);
    let since = findings.oldest.max(vacant_since);
    if !has_handler && since < now && late(now, since, excused) > watch.handler_grace {
        health.concerns.push(Concern::NoHandler { waiting: findings.waiting, since });
    }
}

fn gap_concern<K: Key, R: Reasons, P: Merge>(shared: &Shared<K, R, P>, health: &mut Health<K>) {
    let until = read(&shared.witness.gap_until);
    let shown = excused_until(shared) + shared.policy.watch.turn_grace;
    if until != Tick::NOW && health.at < shown {
        let length = Duration::from_micros(shared.witness.gap_length.load(Ordering::Relaxed));
        health.concerns.push(Concern::TimeGap { until, length });
    }
}

fn look_at_targets<K: Key, R: Reasons, P: Merge>(
    shared: &Shared<K, R, P>,
    now: Tick,
) -> Findings<K, P> {
    let (policy, watch) = (&shared.policy, &shared.policy.watch);
    let excused = excused_until(shared);
    let mut findings = Findings {
        found: Vec::new(),
        more: 0,
        most: usize::from(watch.max_concerns.get()),
        is_due: false,
        waiting: 0,
        oldest: Tick::NEVER,
    };
    shared.registry.for_each(|node| {
        let word = node.word.load();
        if word.is_closed() {
            return;
        }
        let extras = node.extras();
        let vitals = extras.as_ref().map(|extras| &extras.vitals);
        let shown = |tick: Option<Tick>| tick.unwrap_or(Tick::NEVER);
        if let Some(running) = vitals.map(|vitals| read(&vitals.running_since))
            && running != Tick::NEVER
            && policy.run_limit.is_some_and(|limit| running + limit <= now)
        {
            let node = Arc::clone(node);
            findings.add(Found { since: running, node, period: None, is_run: true });
        }
        let waits = word.has_wake() && !word.is_running();
        let due = match vitals {
            _ if !waits => Tick::NEVER,
            Some(vitals) if word.is_seen() => read(&vitals.next_due),
            _ => word.due(),
        };
        let beat = shown(vitals.map(|vitals| read(&vitals.next_beat)));
        if due <= now {
            findings.waiting += 1;
            if due != Tick::NOW {
                findings.oldest = findings.oldest.min(due);
            }
        }
        findings.is_due |= due <= now || beat <= now;
        // An unserved beat, whatever holds it back; an unmade one, where the driver is late.
        let unserved = shown(vitals.map(|vitals| read(&vitals.unserved_since))).min(beat);
        let period = extras.as_ref().filter(|_| unserved <= now);
        let period = period.and_then(|extras| extras.setting.period());
        let (since, patience) = match period {
            Some(period) => {
                let patience = period.saturating_mul(watch.overdue_factor.get());
                (unserved, patience.max(watch.overdue_least))
            }
            None => (due, watch.wake_grace),
        };
        if since != Tick::NOW && since <= now && late(now, since, excused) > patience {
            let node = Arc::clone(node);
            findings.add(Found { since, node, period, is_run: false });
        }
    });
    findings
}
