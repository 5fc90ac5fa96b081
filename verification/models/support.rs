//! What models share: named threads, a hub in virtual time, a driver by hand.

use loom::sync::Notify;
pub use loom::thread::JoinHandle;
use reveille::{Builder, Cadence, ManualClock, Merge, Outcome, Policy, Reveille, Ring};
use reveille_core::sync::{Ordering, PlainU64, trace};
use reveille_core::{Generation, Tick};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// Starts a thread of the model; its lane in a drawing is called `name`.
pub fn spawn<T: 'static>(name: &'static str, f: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
    loom::thread::spawn(move || {
        trace::name_lane(name);
        f()
    })
}

/// Waits for a thread of the model.
///
/// # Panics
/// If it panicked.
pub fn join<T>(thread: JoinHandle<T>) -> T {
    match thread.join() {
        Ok(value) => value,
        Err(_) => panic!("a thread of the model panicked"),
    }
}

/// A hub of a model: targets are numbers.
pub type Hub = Reveille<u32>;
/// Its engine.
pub type Engine = reveille::Engine<u32>;
/// Its targets.
pub type Target = reveille::Target<u32>;
/// Its runs.
pub type Run = reveille::Run<u32>;

/// The coalesce window of [`hub`]: what an install moves goes so far.
pub const WINDOW: Duration = Duration::from_micros(100);

/// The instant `micros`.
pub const fn at(micros: u64) -> Tick {
    Tick::from_micros(micros)
}

/// A beat each `micros`.
pub fn every(micros: u64) -> Cadence {
    match Cadence::every(Duration::from_micros(micros)) {
        Ok(cadence) => cadence,
        Err(error) => panic!("{error}"),
    }
}

/// A hub with room for two targets, and nothing in it. Its clock stands still: time is what its
/// turns are given.
pub fn hub(change: impl FnOnce(&mut Policy)) -> Hub {
    hub_of(change)
}

/// The same, of wakes with payloads.
pub fn hub_of<P: Merge>(change: impl FnOnce(&mut Policy)) -> Reveille<u32, (), P> {
    let two = NonZeroU32::MIN.saturating_add(1);
    let builder = Builder::new().clock(ManualClock::new()).policy(|policy| {
        (policy.max_targets, policy.coalesce) = (two, WINDOW);
        change(policy);
    });
    match builder.build() {
        Ok(hub) => hub,
        Err(error) => panic!("{error}"),
    }
}

/// The engine of a hub that nobody drives yet.
pub fn engine(hub: &Hub) -> Engine {
    match hub.engine() {
        Ok(engine) => engine,
        Err(error) => panic!("{error}"),
    }
}

/// A target of an open hub.
pub fn target(hub: &Hub, key: u32) -> Target {
    match hub.target(key) {
        Ok(target) => target,
        Err(rejected) => panic!("{rejected:?}"),
    }
}

/// Installs a handler that says `ran`, for good; `None` if the hub has stopped.
pub fn install(hub: &Hub) -> Option<Generation> {
    hub.install(|_: &Run| Outcome::ran()).ok().map(reveille::Registration::keep)
}

/// A run that was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// Of which target.
    pub key: u32,
    /// The instant of its turn.
    pub at: Tick,
    /// Under which handler.
    pub generation: Generation,
}

impl Started {
    /// What is known of `run`.
    pub fn of(run: &Run) -> Self {
        Self { key: *run.key(), at: run.started(), generation: run.generation() }
    }
}

/// Turns that [`rest`] makes before it takes the hub to spin.
const TURNS: usize = 20;

/// Drives a hub that nobody else uses from the instant `now` on, until nothing is due: what it
/// starts ends at once as ran, and is returned.
///
/// It turns only when the deadline slot or the engine's own state asks for it, as a driver that
/// sleeps well does: news without a demand stays where it is.
pub fn rest(engine: &mut Engine, now: Tick) -> Vec<Started> {
    let (mut now, mut started) = (now, Vec::new());
    for _ in 0..TURNS {
        let next = engine.arm();
        if next == Tick::NEVER {
            return started;
        }
        now = now.max(next);
        engine.turn(now);
        while let Some(run) = engine.next_run() {
            started.push(Started::of(&run));
            run.finish(Outcome::ran());
        }
    }
    panic!("P11: the hub spins: {engine:?}")
}

/// Panics unless the counters of a hub at rest are conserved.
pub fn conserved(hub: &Hub) {
    let counters = hub.counters();
    assert!(counters.is_conserved(), "P12: {counters:?}");
}

/// A bell by which a driver of a model sleeps. A ring that is lost shows as loom's deadlock.
#[derive(Clone)]
pub struct Sleep(Arc<(Notify, PlainU64)>);

impl Sleep {
    /// A bell for `engine`; to be called before its first turn, and after what is not to ring it.
    pub fn of(engine: &Engine) -> Self {
        let sleep = Self(Arc::new((Notify::new(), PlainU64::new(0))));
        engine.set_ring(sleep.clone());
        sleep
    }

    /// Sleeps as a driver that has nothing to do at `now`, and returns when it is to turn next:
    /// at once where somebody rang, at the next deadline where there is one.
    pub fn until_next(&self, engine: &Engine, now: Tick) -> Tick {
        let until = engine.arm();
        if until <= now {
            return now;
        }
        if engine.doze(until) {
            if until < Tick::NEVER {
                return until;
            }
            let (notify, rings) = &*self.0;
            // loom's wait may end without a reason.
            while rings.swap(0, Ordering::Relaxed) == 0 {
                notify.wait();
            }
            engine.rise();
        }
        now
    }
}

impl Ring for Sleep {
    fn ring(&self) {
        let (notify, rings) = &*self.0;
        rings.fetch_add(1, Ordering::Relaxed);
        notify.notify();
    }
}

/// What a driver does at `now` and no later: turns while the deadline slot says so, and hands
/// each run to `serve`.
///
/// # Panics
/// If that does not end.
pub fn drive<P: Merge>(
    engine: &mut reveille::Engine<u32, (), P>,
    now: Tick,
    mut serve: impl FnMut(reveille::Run<u32, (), P>),
) {
    for _ in 0..TURNS {
        if engine.arm() > now {
            return;
        }
        engine.turn(now);
        while let Some(run) = engine.next_run() {
            serve(run);
        }
    }
    panic!("P11: the hub spins: {engine:?}")
}

/// A sign that stands beside the model: it shows the order of execution and orders nothing.
#[derive(Clone, Default)]
pub struct Aside(Arc<PlainU64>);

impl Aside {
    /// Puts up `value`, and returns what stood there.
    pub fn put(&self, value: u64) -> u64 {
        self.0.swap(value, Ordering::Relaxed)
    }

    /// One more; returns how many there were.
    pub fn count(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// How many targets more a hub takes; makes them.
pub fn room(hub: &Hub) -> usize {
    (1_000..).take_while(|&key| hub.target(key).is_ok()).count()
}
