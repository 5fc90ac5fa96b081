use crate::counters::Counters;
use crate::history::History;
use crate::hub::Key;
use crate::merge::Merge;
use crate::node::{Last, Node};
use crate::reasons::Reasons;
use crate::shared::Shared;
use reveille_core::pending::Word;
use reveille_core::sync::{Arc, Ordering, PlainU64};
use reveille_core::{Generation, Tick};

/// The state of a hub. Each figure is current for itself; together they may be torn.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Snapshot<K> {
    /// When it was taken, on the hub's clock.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::tick"))]
    pub at: Tick,
    /// The instant of the driver's last turn.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::tick"))]
    pub last_turn: Tick,
    /// The generation of the handler that is installed, if one is.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::maybe_generation"))]
    pub handler: Option<Generation>,
    /// Runs in flight.
    pub in_flight: u64,
    /// The run in flight that started first: whose, and when.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::run"))]
    pub longest_run: Option<(K, Tick)>,
    /// Whether the hub has stopped.
    pub stopped: bool,
    /// The counters.
    pub counters: Counters,
    /// Every target, in no order.
    pub targets: Vec<TargetSnapshot<K>>,
}

/// The state of one target.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct TargetSnapshot<K> {
    /// Its key.
    pub key: K,
    /// Its number in traces; another target may have it once this one was removed.
    pub index: u32,
    /// Whether it waits or runs.
    pub state: TargetState,
    /// When the wake that waits may start, as the driver sees it; else when it is due.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::maybe_tick"))]
    pub next_due: Option<Tick>,
    /// When it beats next, if it has a cadence.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::maybe_tick"))]
    pub next_beat: Option<Tick>,
    /// The runner that owns its cadence, by the generation of its handler.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::maybe_generation"))]
    pub owner: Option<Generation>,
    /// How its last run ended, and when.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::last"))]
    pub last: Option<(Last, Tick)>,
    /// How its last runs ended, newest first.
    pub history: History,
    /// When the run in flight started.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serial::maybe_tick"))]
    pub running_since: Option<Tick>,
    /// Whether that run has passed its limit.
    pub overran: bool,
    /// Whether a wake was given up, and no run was done since.
    pub poisoned: bool,
    /// How often the wake that waits or runs was started.
    pub attempts: u64,
    /// Runs, ever.
    pub runs: u64,
    /// Beats, ever.
    pub beats: u64,
    /// Beats for which runs stood beyond their own, ever.
    pub missed: u64,
}

/// What a target does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum TargetState {
    /// Nothing waits, nothing runs.
    Idle,
    /// A wake waits.
    Pending,
    /// A run is in flight.
    Running,
    /// A run is in flight, and a wake waits for its end.
    RunningAgain,
}

impl TargetState {
    pub(crate) fn of(word: Word) -> Self {
        match (word.is_running(), word.has_wake()) {
            (false, false) => Self::Idle,
            (false, true) => Self::Pending,
            (true, false) => Self::Running,
            (true, true) => Self::RunningAgain,
        }
    }
}

fn read(word: &PlainU64) -> u64 {
    word.load(Ordering::Relaxed)
}

fn tick(word: &PlainU64) -> Option<Tick> {
    Some(Tick::from_micros(read(word))).filter(|&tick| tick != Tick::NEVER)
}

impl<K: Clone> TargetSnapshot<K> {
    pub(crate) fn of<P>(node: &Node<K, P>) -> Self {
        let word = node.word.load();
        let mut snapshot = Self {
            key: node.key.clone(),
            index: node.index,
            state: TargetState::of(word),
            next_due: word.has_wake().then(|| word.due()),
            next_beat: None,
            owner: None,
            last: None,
            history: History::default(),
            running_since: None,
            overran: false,
            poisoned: false,
            attempts: 0,
            runs: 0,
            beats: 0,
            missed: 0,
        };
        if let Some(extras) = node.extras() {
            let vitals = &extras.vitals;
            if let Some(may_start) = tick(&vitals.next_due)
                && word.is_seen()
            {
                snapshot.next_due = Some(may_start);
            }
            snapshot.next_beat = tick(&vitals.next_beat);
            snapshot.owner = Some(extras.setting.owner()).filter(|&g| g != Generation::NONE);
            let ended_at = Tick::from_micros(read(&vitals.ended_at));
            snapshot.history = History::from_bits(read(&vitals.history));
            snapshot.last = snapshot.history.iter().next().map(|last| (last, ended_at));
            snapshot.running_since = tick(&vitals.running_since);
            snapshot.overran = read(&vitals.overran) == 1;
            snapshot.poisoned = extras.is_poisoned();
            snapshot.attempts = read(&vitals.attempts);
            snapshot.runs = read(&vitals.runs);
            snapshot.beats = read(&vitals.beats);
            snapshot.missed = read(&vitals.missed);
        }
        snapshot
    }
}

impl<K: Key> Snapshot<K> {
    pub(crate) fn of<R: Reasons, P: Merge>(shared: &Arc<Shared<K, R, P>>) -> Self {
        let mut targets = Vec::new();
        let mut pending = 0;
        shared.registry.for_each(|node| {
            pending += node.waiting();
            targets.push(TargetSnapshot::of(node));
        });
        let entry = shared.slot.load();
        let runs = targets.iter().filter_map(|target| Some((&target.key, target.running_since?)));
        let longest_run = runs.min_by_key(|&(_, since)| since);
        let longest_run = longest_run.map(|(key, since)| (K::clone(key), since));
        Self {
            at: shared.now(),
            last_turn: shared.last_turn(),
            handler: entry.handler().map(|_| entry.generation()),
            in_flight: shared.gate.load().in_flight(),
            longest_run,
            stopped: shared.gate.load().is_closed(),
            counters: shared.tallies.read(pending),
            targets,
        }
    }
}
