//! What a hub shares about one target.

use crate::marks::{Mark, Marks};
use crate::merge::Merge;
use crate::setting::SettingCell;
use crate::sync::Mutex;
use crate::ticket::{Answer, Tickets};
use reveille_core::Tick;
use reveille_core::completion::{Completion, Ending};
use reveille_core::pending::Pending;
use reveille_core::sync::{Arc, ArcSwapOption, AtomicU64, Ordering, PlainU64};

/// One target: its words, its key, and a pointer to what only busy targets need.
///
/// Handles, runs, the map and the engine own it by `Arc`; only the ready bit goes by index.
///
/// | field | written by | read by |
/// | --- | --- | --- |
/// | `word` | anyone, by edges | anyone |
/// | `completion` | driver, holder of the run | driver |
/// | `extras` | whoever needs it first, once | anyone |
/// | the rest | nobody | anyone |
pub(crate) struct Node<K, P> {
    pub(crate) word: Pending,
    pub(crate) completion: Completion,
    extras: ArcSwapOption<Extras<K, P>>,
    pub(crate) index: u32,
    /// Kept so that no table operation but a look-up by the user runs the user's `Hash`.
    pub(crate) hash: u32,
    pub(crate) key: K,
}

/// What a target needs once it has a cadence, a payload or a first wake. One a target, for ever.
///
/// What each run touches stands together here, and in [`Vitals`].
#[repr(C)]
pub(crate) struct Extras<K, P> {
    /// What is wanted of the cadence, and by whom: the latest wins.
    pub(crate) setting: SettingCell,
    /// The merged payload of the wake that waits. Put in before the word, taken after it.
    pub(crate) payload: ArcSwapOption<P>,
    /// Who awaits the wake that waits.
    pub(crate) tickets: Tickets,
    /// Held by an awaited wake and by a cancel, never by the driver nor by a plain wake.
    pub(crate) awaiting: Mutex<()>,
    /// Who awaits the run in flight: put in and taken out by the driver, taken by a stop.
    pub(crate) running: Tickets,
    /// The removed target of the same key whose last run must end first (P6).
    pub(crate) predecessor: ArcSwapOption<Node<K, P>>,
    /// Beats that each will be a run of its own. Whoever takes them out counts them.
    pub(crate) owed: AtomicU64,
    /// Which of these cells hold something, and what else is said beside the word.
    pub(crate) marks: Marks,
    pub(crate) vitals: Vitals,
}

/// What the driver tells snapshots. Each word is current for itself; together they may be torn.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Vitals {
    /// When the wake that waits may start; a tick.
    pub(crate) next_due: PlainU64,
    /// When the run in flight started; a tick, never without one.
    pub(crate) running_since: PlainU64,
    /// When the last run ended; a tick.
    pub(crate) ended_at: PlainU64,
    /// How the last runs ended, of which that is the newest: a [`History`](crate::History).
    pub(crate) history: PlainU64,
    /// Runs of the wake that waits or runs, so far.
    pub(crate) attempts: PlainU64,
    /// Runs started, ever.
    pub(crate) runs: PlainU64,
    /// Beats that runs stood for beyond their own, ever.
    pub(crate) missed: PlainU64,
    /// 1 if a wake was given up, and no run was done since.
    pub(crate) poisoned: PlainU64,
    /// 1 if the run in flight has passed its limit.
    pub(crate) overran: PlainU64,
    /// When the next beat is; a tick, never without a cadence.
    pub(crate) next_beat: PlainU64,
    /// Beats, ever.
    pub(crate) beats: PlainU64,
    /// The last beat whose run was done: microseconds from the clock's origin on, before it for one of an
    /// earlier process; [`NO_BEAT`] without one.
    pub(crate) served_beat: PlainU64,
    /// The first beat of which no run was done yet; a tick, never without one.
    pub(crate) unserved_since: PlainU64,
}

/// No beat, where one is kept as an instant that may lie before the clock's origin.
pub(crate) const NO_BEAT: i64 = i64::MIN;

/// A word of [`Vitals`]: only the driver writes it, so stores suffice, and it orders nothing.
pub(crate) fn show(word: &PlainU64, value: u64) {
    word.store(value, Ordering::Relaxed);
}

impl<K, P> Extras<K, P> {
    fn new() -> Self {
        let vitals = Vitals::default();
        show(&vitals.next_due, Tick::NEVER.as_micros());
        show(&vitals.next_beat, Tick::NEVER.as_micros());
        show(&vitals.running_since, Tick::NEVER.as_micros());
        show(&vitals.served_beat, NO_BEAT.cast_unsigned());
        show(&vitals.unserved_since, Tick::NEVER.as_micros());
        Self {
            setting: SettingCell::new(),
            payload: ArcSwapOption::empty(),
            marks: Marks::none(),
            tickets: Tickets::new(),
            awaiting: Mutex::new(()),
            running: Tickets::new(),
            predecessor: ArcSwapOption::empty(),
            owed: AtomicU64::new(0),
            vitals,
        }
    }
}

impl<K, P> Node<K, P> {
    pub(crate) fn new(key: K, index: u32, hash: u32) -> Self {
        Self {
            word: Pending::new(),
            completion: Completion::new(),
            extras: ArcSwapOption::empty(),
            index,
            hash,
            key,
        }
    }

    /// The extras, if this target has any.
    pub(crate) fn extras(&self) -> Option<Arc<Extras<K, P>>> {
        self.extras.load_full()
    }

    /// The extras, made now if there are none. Lock-free; allocates the first time.
    pub(crate) fn extras_or_new(&self) -> Arc<Extras<K, P>> {
        if let Some(extras) = self.extras() {
            return extras;
        }
        let new = Arc::new(Extras::new());
        let none: Option<Arc<Extras<K, P>>> = None;
        match &*self.extras.compare_and_swap(&none, Some(Arc::clone(&new))) {
            Some(other) => Arc::clone(other),
            None => new,
        }
    }

    /// How many wakes wait here: the one in the word, and the beats that are owed.
    pub(crate) fn waiting(&self) -> u64 {
        let owed = self.extras().map_or(0, |extras| extras.owed.load(Ordering::Acquire));
        u64::from(self.word.load().has_wake()) + owed
    }

    /// Ends the tickets of the wake that waits: it will not be run.
    pub(crate) fn end_tickets(&self, answer: Answer) {
        if let Some(extras) = self.extras() {
            extras.tickets.take().end(answer);
        }
    }

    /// Takes out the beats that are owed: they are the caller's to count.
    pub(crate) fn take_owed(&self) -> u64 {
        self.extras().map_or(0, |extras| extras.owed.swap(0, Ordering::AcqRel))
    }
}

impl<K, P> Extras<K, P> {
    pub(crate) fn is_poisoned(&self) -> bool {
        self.vitals.poisoned.load(Ordering::Relaxed) == 1
    }
}

impl<K, P: Merge> Extras<K, P> {
    /// Merges `payload` behind what waits, for a request.
    pub(crate) fn add_payload(&self, payload: &P) {
        self.update_payload(|waiting| match waiting {
            None => payload.clone(),
            Some(earlier) => merged(earlier, payload),
        });
    }

    /// Takes the payload of the wake that a run takes, whose word has been taken before.
    pub(crate) fn take_payload(&self) -> Option<Arc<P>> {
        // Whoever put one in marked it before the word; most wakes have none, and a swap is dear.
        if self.marks.take(Mark::PAYLOAD).is_none() { None } else { self.payload.swap(None) }
    }

    /// Merges a payload that a run gave back in front of what came since.
    pub(crate) fn give_back(&self, payload: &P) {
        self.update_payload(|waiting| match waiting {
            None => payload.clone(),
            Some(later) => merged(payload, later),
        });
    }

    /// Lock-free, apart from the user's `Merge` and the allocator; tries again when another
    /// request of this target got in first.
    fn update_payload(&self, next: impl Fn(Option<&P>) -> P) {
        let mut seen = self.payload.load();
        loop {
            let new = Arc::new(next(seen.as_deref()));
            let found = self.payload.compare_and_swap(&*seen, Some(new));
            let same = match (&*found, &*seen) {
                (None, None) => true,
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                _ => false,
            };
            if same {
                self.marks.put(Mark::PAYLOAD);
                return;
            }
            seen = found;
        }
    }
}

fn merged<P: Merge>(earlier: &P, later: &P) -> P {
    let mut merged = earlier.clone();
    merged.merge(later.clone());
    merged
}

/// How the last run of a target ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Last {
    /// It ran.
    Ran,
    /// There was nothing to do.
    Skipped,
    /// Busy; the wake is kept.
    Busy,
    /// Failed; the wake is kept.
    Failed,
    /// The handler panicked; the wake is kept.
    Panicked,
    /// The run was dropped without an outcome; the wake is kept.
    Aborted,
    /// Deferred; the wake is kept.
    Deferred,
    /// Cancelled when its handler was replaced; the wake is kept.
    Cancelled,
    /// Failed for the last time; the wake was dropped.
    GaveUp,
    /// Ended by its driver as failed, past its limit; the wake is kept.
    Overran,
}

const LASTS: [Last; 10] = [
    Last::Ran,
    Last::Skipped,
    Last::Busy,
    Last::Failed,
    Last::Panicked,
    Last::Aborted,
    Last::Deferred,
    Last::Cancelled,
    Last::GaveUp,
    Last::Overran,
];

impl Last {
    /// Its name in metrics, traces and status pages; does not change.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ran => "ran",
            Self::Skipped => "skipped",
            Self::Busy => "busy",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
            Self::Aborted => "aborted",
            Self::Deferred => "deferred",
            Self::Cancelled => "cancelled",
            Self::GaveUp => "gave_up",
            Self::Overran => "overran",
        }
    }

    pub(crate) fn to_bits(self) -> u64 {
        self as u64 + 1
    }

    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        LASTS.get(usize::try_from(bits.checked_sub(1)?).ok()?).copied()
    }
}

impl From<Ending> for Last {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Ran => Self::Ran,
            Ending::Skipped => Self::Skipped,
            Ending::Busy | Ending::BusyFor(_) => Self::Busy,
            Ending::Failed | Ending::FailedFor(_) => Self::Failed,
            Ending::Overran => Self::Overran,
            Ending::Panicked => Self::Panicked,
            Ending::Deferred(_) => Self::Deferred,
            Ending::Cancelled => Self::Cancelled,
            _ => Self::Aborted,
        }
    }
}
