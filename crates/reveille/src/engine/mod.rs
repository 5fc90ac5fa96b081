//! The engine: plain single-owner code that says what to run and when to call again.
//!
//! It has no thread and never sleeps; `now` is an argument. A driver is a page around it:
//!
//! ```text
//!   loop {
//!       engine.turn(now)                          collect news, endings, beats
//!       while let Some(run) = engine.next_run()   start what is due, oldest first
//!       sleep until engine.arm()                  what must be armed is a function of state
//!   }
//! ```
//!
//! A turn takes the deadline slot first and collects second, so that what arrives meanwhile
//! leaves a deadline behind. It then notes the handler, before it looks at any news: what it
//! already held is moved by an install that it notes, what it drains now counts as requested after
//! it. Then endings, then news, then beats; starts come last.
//!
//! | file | what it does |
//! | --- | --- |
//! | `look` | what becomes of a target's word: installs, news, cancels, removals |
//! | `beats`, `instants` | cadences |
//! | `start` | which run starts next |
//! | `finish` | what an outcome means: the three classes, floors, backoff, giving up |
//! | `recheck` | whether anything was forgotten after all |
//! | `record`, `timers` | what is remembered |

mod beats;
mod finish;
mod instants;
mod look;
mod recheck;
mod record;
mod start;
mod timers;

use crate::fault::{Place, contain};
use crate::hub::{Key, Reveille};
use crate::installed::HeldEntry;
use crate::merge::Merge;
use crate::node::{Node, show};
use crate::policy::Policy;
use crate::reasons::Reasons;
use crate::run::{self, Run};
use crate::shared::{Ring, Shared, lock};
use fastrand::Rng;
use recheck::Recheck;
use record::{Detail, InFlight, Parts, Record};
use reveille_core::completion::RunNumber;
use reveille_core::sync::{Arc, Ordering, PlainU64};
use reveille_core::{Generation, Tick};
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::hint::black_box;
use timers::Timers;

/// So many targets that have news, or that beat, are looked at in one turn at most: what a crowd asks for at one
/// instant is taken in by turns that follow each other, and what else is due starts in between.
const AT_ONCE: usize = 64;

/// One that is new costs as much as so many others: there is no memory for it yet.
const NEWCOMER: usize = 4;

/// A driver that runs handlers itself starts so many before it turns again, for news and beats.
pub(crate) const STARTS: usize = 16;

/// What is remembered of so few targets comes from memory as fast one by one.
const FEW: usize = 4;

/// Where the engine's state is.
pub(crate) enum Seat<K: Key, R: Reasons, P: Merge> {
    /// No driver has it.
    Free(Box<State<K, R, P>>),
    /// A driver has it.
    Taken,
}

/// What a stopped hub's seat knows of the handler, if no driver has it. Holds the seat's lock for no longer.
pub(crate) fn let_go<K: Key, R: Reasons, P: Merge>(
    shared: &Shared<K, R, P>,
) -> Option<HeldEntry<K, R, P>> {
    match &mut *lock(&shared.seat) {
        Seat::Free(state) => state.let_go(),
        Seat::Taken => None,
    }
}

/// The hub has a driver already: one drives, and hands over when it is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlreadyDriven;

impl fmt::Display for AlreadyDriven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the hub has a driver already")
    }
}

impl std::error::Error for AlreadyDriven {}

/// All that the engine remembers between two turns.
pub(crate) struct State<K: Key, R: Reasons, P: Merge> {
    records: Vec<Option<Record<K, P>>>,
    created: u64,
    /// When waiting targets may start.
    starts: Timers,
    /// When the turn of waiting barriers comes: they stand in `starts` too.
    barriers: Timers,
    /// A barrier runs: nothing else starts.
    alone: bool,
    #[cfg(feature = "calendar")]
    wall: instants::Wall,
    /// For the jitter of the backoff.
    rng: Rng,
    /// When cadences beat.
    beats: Timers,
    /// When runs pass their limit. It is as long for all, so they stand in the order of their starts; one that
    /// has ended may stand among them still, but not in front.
    limits: VecDeque<(Tick, u32, RunNumber)>,
    /// The runs in flight; each target knows the place of its own.
    running: Vec<InFlight<P>>,
    /// Targets that wait for a removed one of the same key.
    blocked: BTreeSet<u32>,
    /// Runs that count against `max_active`.
    active: usize,
    /// The last starts of all targets, oldest first, as many as matter to the rate of all.
    starts_of_all: VecDeque<Tick>,
    /// Removals of handlers, as noted; nothing before the first turn.
    removals: Option<u64>,
    /// The handler, as noted.
    entry: Option<HeldEntry<K, R, P>>,
    generation: Generation,
    /// Since when there is a handler, be it replaced meanwhile: no start is older.
    handler_since: Tick,
    /// An install is being noted.
    noting: bool,
    now: Tick,
    stopped: bool,
    /// What was found in the ready set, and is to be looked at.
    news: Vec<usize>,
    /// New targets that are to be taken in.
    newcomers: Option<std::vec::IntoIter<Arc<Node<K, P>>>>,
    /// Whose run is looked at first, while there are more of these than one turn takes in: by its place.
    first_run: usize,
    /// There is more of these than one turn takes in, or than it has looked for.
    is_behind: bool,
    recheck: Recheck,
}

impl<K: Key, R: Reasons, P: Merge> State<K, R, P> {
    /// A hub at its origin, whose random numbers start there.
    pub(crate) fn seeded(seed: Option<u64>) -> Self {
        let rng = seed.map_or_else(Rng::new, Rng::with_seed);
        Self { rng, ..Self::default() }
    }

    /// The handler, of which a stopped hub keeps nothing.
    pub(crate) fn let_go(&mut self) -> Option<HeldEntry<K, R, P>> {
        self.entry.take()
    }

    fn record(&mut self, index: u32) -> Option<&mut Record<K, P>> {
        self.records.get_mut(index as usize)?.as_mut()
    }

    /// Touches what is remembered of these targets, before each is worked on: so the processor fetches that from
    /// memory for many at a time, and not for one after the other.
    #[inline(never)]
    fn fetch(&self, indices: impl Iterator<Item = u32>) {
        for index in indices {
            let Some(Some(record)) = self.records.get(index as usize) else { continue };
            black_box(record.node.word.look());
            if let Some(detail) = &record.detail {
                black_box((detail.may_start, detail.cadence, detail.extras.marks.look()));
                black_box(detail.extras.vitals.beats.load(Ordering::Relaxed));
            }
        }
    }

    /// The same for those that a store has as due, so many at most.
    #[inline(never)]
    fn fetch_due(&self, store: &Timers, at_most: usize) {
        let due = store.up_to(self.now).take(at_most);
        if due.clone().nth(FEW).is_some() {
            self.fetch(due.map(|(_, entry)| entry.index));
        }
    }

    /// Some of the targets with a run in flight, by turns.
    #[inline(never)]
    fn next_indices_of_runs(&mut self) -> Vec<u32> {
        let all = self.running.len();
        let from = self.first_run;
        self.first_run = from.wrapping_add(AT_ONCE);
        (0..all.min(AT_ONCE)).map(|nth| self.running[(from % all + nth) % all].index).collect()
    }

    /// The targets with a run in flight.
    fn indices_of_runs(&self) -> Vec<u32> {
        self.running.iter().map(|run| run.index).collect()
    }

    fn detail_or_new(&mut self, index: u32) -> Option<&mut Detail<K, P>> {
        Some(self.node_and_detail(index)?.1)
    }

    /// The same, with the target's node.
    fn node_and_detail(&mut self, index: u32) -> Option<Parts<'_, K, P>> {
        let generation = self.generation;
        Some(self.record(index)?.parts(generation))
    }
}

/// The run in flight of this target.
fn run_of<'a, K, P>(
    records: &[Option<Record<K, P>>],
    running: &'a [InFlight<P>],
    index: u32,
) -> Option<&'a InFlight<P>> {
    let record = records.get(index as usize)?.as_ref()?;
    running.get(record.detail.as_ref()?.run? as usize)
}

impl<K: Key, R: Reasons, P: Merge> Default for State<K, R, P> {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            created: 0,
            starts: Timers::default(),
            barriers: Timers::default(),
            alone: false,
            #[cfg(feature = "calendar")]
            wall: instants::Wall::default(),
            rng: Rng::new(),
            beats: Timers::default(),
            limits: VecDeque::new(),
            running: Vec::new(),
            blocked: BTreeSet::new(),
            active: 0,
            starts_of_all: VecDeque::new(),
            removals: None,
            entry: None,
            generation: Generation::NONE,
            handler_since: Tick::NOW,
            noting: false,
            now: Tick::NOW,
            stopped: false,
            news: Vec::new(),
            newcomers: None,
            first_run: 0,
            is_behind: false,
            recheck: Recheck::default(),
        }
    }
}

/// The engine of one hub, in the hands of its one driver.
///
/// Dropping it, at any moment, leaves the hub consistent: another may be attached and goes on. Runs
/// that were handed out go on too.
///
/// ```
/// use reveille::{Builder, ManualClock, Outcome, Reveille, Run, Tick, Wake};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let hub: Reveille<&str> = Builder::new().clock(clock.clone()).build()?;
/// let mut engine = hub.engine()?;
/// hub.install(|_: &Run<&str>| Outcome::ran())?.keep();
/// hub.wake("main", Wake::within(Duration::from_secs(5)));
///
/// engine.turn(Tick::NOW);
/// assert!(engine.next_run().is_none(), "not due yet");
/// clock.advance_to(engine.deadline());
/// engine.turn(engine.deadline());
/// let run = engine.next_run().expect("it is due");
/// assert_eq!(*run.key(), "main");
/// run.execute();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping the engine leaves its hub without a driver"]
pub struct Engine<K: Key = String, R: Reasons = (), P: Merge = ()> {
    shared: Arc<Shared<K, R, P>>,
    /// Out of its seat; taken only by `drop`.
    state: Box<State<K, R, P>>,
    /// The last instant that the clock was seen to say.
    read: PlainU64,
}

impl<K: Key, R: Reasons, P: Merge> Engine<K, R, P> {
    pub(crate) fn attach(shared: &Arc<Shared<K, R, P>>) -> Result<Self, AlreadyDriven> {
        let found = std::mem::replace(&mut *lock(&shared.seat), Seat::Taken);
        match found {
            Seat::Free(state) => {
                // For who asks whether the driver is late: before it came it was not.
                let now = contain(|| shared.now()).unwrap_or(state.now);
                show(&shared.witness.driven_since, now.as_micros());
                Ok(Self { shared: Arc::clone(shared), state, read: PlainU64::new(0) })
            }
            Seat::Taken => Err(AlreadyDriven),
        }
    }

    /// Has `ring` called whenever the driver would oversleep (see [`doze`](Self::doze)). To be set
    /// before the first turn: what was asked for earlier rang nobody.
    pub fn set_ring(&self, ring: impl Ring) {
        self.shared.ringer.store(Some(Arc::new(Box::new(ring))));
    }

    /// One step at instant `now`: collects what arrived, notes installs, beats.
    ///
    /// An instant before that of an earlier turn counts as that one. Allocates for targets
    /// that wake for the first time; costs O(news), plus O(waiting) after an install. Where more than 64
    /// targets have news, or beat, at once, or 16 are new, this takes in as many, and [`deadline`](Self::deadline)
    /// says that another turn is due now.
    pub fn turn(&mut self, now: Tick) {
        self.collect(now, AT_ONCE);
        self.note_wall();
        self.beat_what_is_due();
        self.pass_limits();
        self.recheck();
        if self.state.starts.has_more_than(FEW) {
            self.state.fetch_due(&self.state.starts, STARTS);
        }
    }

    /// Executes a run on this thread, and takes in at once how it ended: [`Run::execute`], without the turn that
    /// would collect it. For drivers that run handlers themselves.
    ///
    /// The clock is read when it has ended, and what is due by then starts next; but beats and news want a
    /// [`turn`](Self::turn), so make one after some runs. A run of another hub is executed, no more.
    pub fn execute(&mut self, run: Run<K, R, P>) {
        if !Arc::ptr_eq(&run.shared, &self.shared) {
            return run.execute();
        }
        let index = run.node.index;
        if let Err(message) = run::execute_to_collect(run) {
            self.shared.fault(Place::Drop, message);
        }
        self.state.now = self.now();
        self.collect_ending(index as usize);
    }

    /// A turn without beats: all that was asked for up to here is taken in as asked for at `now`.
    ///
    /// For drivers on virtual time that apply several steps at one instant; see also
    /// [`open`](Self::open).
    pub fn observe(&mut self, now: Tick) {
        self.collect(now, usize::MAX);
        self.take_in_behind_runs();
        self.shut();
    }

    /// Takes in what arrived, of so many targets `at_most`.
    fn collect(&mut self, now: Tick, at_most: usize) {
        // Take first, collect second.
        self.shared.deadline.take();
        let state = &mut self.state;
        state.now = state.now.max(now);
        self.shared.times.last_turn.store(state.now.as_micros(), Ordering::Relaxed);
        self.shared.tallies.turns.add_alone(1);
        self.note();
        // What an earlier turn left comes first, and the rest may wait in the ready set, unless all is to be taken in.
        let is_late = !self.state.news.is_empty() && at_most != usize::MAX;
        if !is_late {
            self.shared.ready.drain(&mut self.state.news);
        }
        let may_be_more = self.adopt(at_most / NEWCOMER);
        let mut news = std::mem::take(&mut self.state.news);
        let left = news.len().saturating_sub(at_most);
        let is_behind = left > 0;
        if is_behind {
            let mine = news.split_off(left);
            self.state.news = std::mem::replace(&mut news, mine);
        }
        if is_late || is_behind {
            // Not so a run that has ended: another may start in its place.
            for index in self.state.next_indices_of_runs() {
                self.collect_ending(index as usize);
            }
        }
        if news.len() > FEW {
            self.state.fetch(news.iter().filter_map(|&index| u32::try_from(index).ok()));
        }
        // Who is looked at as its run ends is not looked at again: its bit was taken before.
        news.retain(|&index| !self.collect_ending(index));
        for &index in &news {
            self.look(index);
        }
        if !is_behind {
            news.clear();
            self.state.news = news; // for its room
        }
        self.state.is_behind = is_late || is_behind || may_be_more;
        self.note_stop();
    }

    /// When to call [`turn`](Self::turn) again at the latest, from state alone: the next beat,
    /// start or run limit, or [`Tick::NOW`] where the last turn did not take in all. [`Tick::NEVER`] if nothing
    /// but news can make it necessary.
    pub fn deadline(&self) -> Tick {
        let state = &self.state;
        if state.is_behind {
            return Tick::NOW;
        }
        let next = self.next_start().filter(|_| self.can_start());
        let start = next.map_or(Tick::NEVER, |(at, _)| at);
        start
            .min(state.beats.earliest())
            .min(state.limits.front().map_or(Tick::NEVER, |&(at, ..)| at))
            .min(state.recheck.goes_on_at())
    }

    /// Arms the deadline slot with [`deadline`](Self::deadline), and returns the earliest instant
    /// that anybody has asked for.
    pub fn arm(&self) -> Tick {
        self.shared.deadline.request(self.deadline());
        self.shared.deadline.peek()
    }

    /// The driver is about to sleep until `until`: from here on, whoever asks for something
    /// sooner rings. False if somebody has already: do not sleep.
    ///
    /// Without a handler no wake could start anything, so wakes do not ring; installs, commands
    /// and stops always do.
    #[must_use = "if somebody asked for something sooner, do not sleep"]
    pub fn doze(&self, until: Tick) -> bool {
        let asleep = if self.handler().is_some() { until } else { Tick::NOW };
        let sleeps = self.shared.bell.doze(asleep, &self.shared.deadline) >= until;
        if !sleeps {
            self.rise();
        }
        sleeps
    }

    /// The driver is awake again.
    pub fn rise(&self) {
        self.shared.bell.rise();
    }

    /// Now, on the hub's clock: never before the last turn, nor before the last answer, which is given
    /// again where the user's clock panics; that is reported.
    pub fn now(&self) -> Tick {
        let now = contain(|| self.shared.now()).unwrap_or_else(|message| {
            self.shared.fault(Place::Clock, message);
            Tick::NOW
        });
        let last = Tick::from_micros(self.read.load(Ordering::Relaxed)).max(self.state.now);
        self.read.store(now.max(last).as_micros(), Ordering::Relaxed);
        now.max(last)
    }

    /// Makes `step` of a driver, a turn and the starts behind it, say. If the engine panics in it, its
    /// state may be half-changed: the hub stops, loudly, and the answer is `None` (P18).
    pub fn guard<T>(&mut self, step: impl FnOnce(&mut Self) -> T) -> Option<T> {
        contain(|| step(self)).map_err(|message| self.give_up(message)).ok()
    }

    /// The policy of its hub.
    pub fn policy(&self) -> &Policy {
        &self.shared.policy
    }

    /// The hub, for a driver that stops it.
    pub fn hub(&self) -> Reveille<K, R, P> {
        Reveille::share(&self.shared)
    }

    /// Runs in flight past their limit: each has a worker that is to be replaced.
    pub fn overrunning(&self) -> usize {
        self.state.running.len() - self.state.active
    }

    /// Whether the hub has stopped and no run is in flight: the driver's work is done.
    pub fn is_finished(&self) -> bool {
        self.state.stopped && self.state.running.is_empty()
    }

    /// Runs in flight that count against `max_active`.
    pub fn active(&self) -> usize {
        self.state.active
    }

    fn handler(&self) -> Option<&HeldEntry<K, R, P>> {
        self.state.entry.as_ref().filter(|entry| entry.handler().is_some())
    }

    fn can_start(&self) -> bool {
        // A wake that came in while a stop was closing the words, one after the other, may still
        // stand in the store; nothing starts for it, and its word is closed in a moment.
        !self.state.stopped
            && !self.state.alone
            && self.state.active < self.shared.policy.max_active.get()
            && self.handler().is_some()
    }

    fn record(&mut self, index: u32) -> Option<&mut Record<K, P>> {
        self.state.record(index)
    }

    /// The node of a target that has a record, for as long as that is not touched.
    fn node(&self, index: u32) -> Option<&Arc<Node<K, P>>> {
        Some(&self.state.records.get(index as usize)?.as_ref()?.node)
    }

    /// The detail of a target that has one.
    fn detail(&mut self, index: u32) -> Option<&mut Detail<K, P>> {
        self.record(index)?.detail.as_deref_mut()
    }

    /// The detail of a target, made now if it has none; renewed for the handler as noted.
    fn detail_or_new(&mut self, index: u32) -> Option<&mut Detail<K, P>> {
        self.state.detail_or_new(index)
    }

    /// The next target that was created, in the order of their creation.
    fn newcomer(&mut self) -> Option<Arc<Node<K, P>>> {
        loop {
            if let Some(newcomers) = &mut self.state.newcomers {
                let node = newcomers.next();
                if node.is_some() {
                    return node;
                }
                self.state.newcomers = None;
            }
            self.state.newcomers = Some(self.shared.registry.newcomers()?.into_iter());
        }
    }

    /// Takes in the targets that were created, so many at most. What is asked of one before is not lost: it is looked
    /// at here. True if there may be more.
    fn adopt(&mut self, at_most: usize) -> bool {
        for _ in 0..at_most {
            let Some(node) = self.newcomer() else { return false };
            let index = node.index;
            let place = index as usize;
            if self.state.records.len() <= place {
                self.state.records.resize_with(place + 1, || None);
            }
            self.state.created += 1;
            let created = self.state.created;
            let extras = node.extras();
            self.state.records[place] = Some(Record { node, created, detail: None });
            let predecessor = extras.and_then(|extras| extras.predecessor.swap(None));
            if let Some(predecessor) = predecessor {
                self.wait_for(index, predecessor);
            }
            self.look(place);
        }
        true
    }

    /// A target whose key a removed one still holds waits until that one's last run has ended.
    fn wait_for(&mut self, index: u32, predecessor: Arc<Node<K, P>>) {
        let earlier = predecessor.index;
        let same = self.node(earlier).is_some_and(|node| Arc::ptr_eq(node, &predecessor));
        let between = self.detail(earlier).and_then(|detail| detail.blocked_by).filter(|_| same);
        let runs = same && predecessor.word.load().is_running();
        // One that was removed before it ever ran stands in between no longer: so a key that is
        // removed and made again N times has one run that it waits for, and one that waits (P15).
        let blocker = between.or(runs.then_some(earlier));
        if let Some(blocker) = blocker {
            if let Some(detail) = self.detail_or_new(blocker) {
                detail.rare_or_new().successor = Some(index);
            }
            if let Some(detail) = self.detail_or_new(index) {
                detail.blocked_by = Some(blocker);
            }
            self.state.blocked.insert(index);
        }
        if between.is_some() {
            self.state.blocked.remove(&earlier);
            if let Some(detail) = self.detail(earlier) {
                detail.blocked_by = None;
            }
            self.look(earlier as usize);
        }
        self.shared.discard(predecessor);
    }

    /// A stopped hub has no starts and no cadences; runs in flight are still collected.
    fn note_stop(&mut self) {
        if self.state.stopped {
            self.shared.stop.expire(&*self.shared);
        }
        if self.state.stopped || !self.shared.gate.load().is_closed() {
            return;
        }
        self.state.stopped = true;
        self.state.starts.clear();
        self.state.barriers.clear();
        self.state.beats.clear();
        self.state.recheck.stop();
        #[cfg(feature = "calendar")]
        self.state.wall.hourly.clear();
        for record in self.state.records.iter_mut().flatten() {
            if let Some(detail) = &mut record.detail {
                detail.cadence = None;
                show(&detail.extras.vitals.next_beat, Tick::NEVER.as_micros());
                detail.may_start = Tick::NEVER;
            }
        }
    }

    fn give_up(&self, message: String) {
        self.shared.stop(None);
        self.shared.fault(Place::Engine, message);
    }
}

impl<K: Key, R: Reasons, P: Merge> Drop for Engine<K, R, P> {
    fn drop(&mut self) {
        self.shared.ringer.store(None);
        self.shared.bell.rise();
        let mut state = std::mem::take(&mut self.state);
        let mut seat = lock(&self.shared.seat);
        // Under the lock: a stop that comes later finds the handler there.
        let stopped = self.shared.gate.load().is_closed();
        let handler = if stopped { state.let_go() } else { None };
        *seat = Seat::Free(state);
        drop(seat);
        self.shared.discard(handler);
    }
}

impl<K: Key, R: Reasons, P: Merge> fmt::Debug for Engine<K, R, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("now", &self.state.now)
            .field("generation", &self.state.generation)
            .field("active", &self.state.active)
            .field("deadline", &self.deadline())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Builder, Cadence, Done, ManualClock, Place, Reveille, Wake};
    use reveille_core::Tick;
    use reveille_core::sync::Ordering;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    /// P18: a driver whose engine panicked stops its hub, and says why.
    #[test]
    fn an_engine_that_gives_up_is_heard() {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&heard);
        let hub: Reveille = Builder::new()
            .on_fault(move |fault| {
                hears.lock().unwrap().push((fault.place, fault.message.clone()));
            })
            .build()
            .unwrap();
        hub.wake("main".to_owned(), Wake::now());
        let engine = hub.engine().unwrap();
        engine.give_up("out of order".to_owned());
        assert_eq!(*heard.lock().unwrap(), [(Place::Engine, "out of order".to_owned())]);
        assert!(!hub.wake("main".to_owned(), Wake::now()).is_accepted());
        assert_eq!((hub.counters().discarded, hub.counters().faults), (1, 1));
    }

    /// P8: since when a beat waits of which no run was done. A run without a beat changes nothing; one with a beat
    /// leaves the last of those behind it, as the others are not remembered.
    #[test]
    fn it_shows_since_when_a_beat_is_unserved() {
        let clock = ManualClock::new();
        let hub: Reveille<u8> = Builder::new().clock(clock.clone()).build().unwrap();
        hub.install(|_| ()).unwrap().keep();
        let mut engine = hub.engine().unwrap();
        engine.turn(Tick::NOW);
        let target = hub.target(1).unwrap();
        target.beat(Cadence::every(Duration::from_micros(10)).unwrap()).unwrap();
        engine.turn(Tick::NOW);
        let extras = engine.node(0).and_then(|node| node.extras()).unwrap();
        let since = || extras.vitals.unserved_since.load(Ordering::Relaxed);
        let never = Tick::NEVER.as_micros();
        let mut run_until = |start: u64, turns: &[u64]| {
            engine.turn(Tick::from_micros(start));
            let run = engine.next_run().unwrap();
            turns.iter().for_each(|at| engine.turn(Tick::from_micros(*at)));
            run.execute();
            engine.turn(Tick::from_micros(turns.last().copied().unwrap_or(start)));
            engine.turn(Tick::from_micros(turns.last().copied().unwrap_or(start)));
        };
        target.wake(Wake::now());
        run_until(5, &[10, 20, 25]);
        assert_eq!(since(), 10, "a run without a beat");
        run_until(25, &[30, 40, 45]);
        assert_eq!(since(), 40, "a run with beats, and two behind it");
        run_until(45, &[]);
        assert_eq!(since(), never, "a run with beats, and none behind it");
    }

    /// P10, P15: when each run passes its limit is known, in the room of those in flight, whichever has ended.
    #[test]
    fn limits_are_kept_of_what_is_in_flight() {
        let clock = ManualClock::new();
        let hub: Reveille<u8> = Builder::new()
            .clock(clock.clone())
            .policy(|p| p.run_limit = Some(Duration::from_secs(10)))
            .build()
            .unwrap();
        hub.install(|_| ()).unwrap().keep();
        let mut engine = hub.engine().unwrap();
        let at = |n: u64| Tick::from_micros(n);
        let mut hung = Vec::new();
        for n in 1..=1_000 {
            clock.advance_to(at(n));
            hub.wake(if n % 500 == 1 { (n / 500) as u8 } else { 7 }, Wake::now());
            engine.turn(at(n));
            let run = engine.next_run().unwrap();
            match n % 500 {
                1 => hung.push(run),
                2 => run.execute(),
                _ => engine.execute(run),
            }
            engine.turn(at(n));
            assert_eq!(engine.deadline(), at(10_000_001), "the first one in flight");
            assert!(engine.state.limits.len() <= 2 * hung.len() + 64, "{n}");
        }
        hung.remove(0).execute();
        engine.turn(at(1_000));
        assert_eq!(engine.deadline(), at(10_000_501), "the next one in flight");
        engine.turn(at(10_000_501));
        assert_eq!((engine.overrunning(), hub.counters().overran), (1, 1));
        assert_eq!(engine.deadline(), Tick::NEVER);
        hung.remove(0).execute();
        engine.turn(at(10_000_501));
        assert_eq!((engine.overrunning(), engine.active()), (0, 0));
    }

    /// P13, P15: while a run is in flight a stop finds the tickets that it serves; then they are let go.
    #[test]
    fn tickets_are_let_go_with_their_run() {
        let hub: Reveille<u8> = Builder::new().clock(ManualClock::new()).build().unwrap();
        hub.install(|_| ()).unwrap().keep();
        let mut engine = hub.engine().unwrap();
        let ticket = hub.wake_awaited(1, Wake::now()).unwrap();
        engine.turn(Tick::NOW);
        let run = engine.next_run().unwrap();
        let extras = engine.node(0).and_then(|node| node.extras()).unwrap();
        assert!(!extras.running.is_empty());
        run.execute();
        engine.turn(Tick::NOW);
        assert!(extras.running.is_empty());
        assert_eq!(ticket.wait(), Ok(Done::Ran));
    }
}
