//! A driver by hand: the page around the engine, on a thread of the model, in virtual time.

use crate::arena;
use reveille::{Clock, Key, ManualClock, Merge, Reasons, Reveille, Ring, Run, Tick};
use reveille_core::sync::{AtomicU64, Ordering};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64 as Outside};

/// What a driver shows and is told, outside the model.
#[derive(Clone)]
pub struct Bedside(Arc<Inner>);

struct Inner {
    clock: ManualClock,
    /// A step of the model, so that a thread can be frozen just before it rings.
    hammer: AtomicU64,
    rung: AtomicBool,
    /// Until when the driver sleeps; 0 while it is awake.
    asleep_until: Outside,
    leave: AtomicBool,
}

impl Bedside {
    /// Of a driver that is awake.
    pub fn new(clock: &ManualClock) -> Self {
        Self(Arc::new(Inner {
            clock: clock.clone(),
            hammer: AtomicU64::new(0),
            rung: AtomicBool::new(false),
            asleep_until: Outside::new(0),
            leave: AtomicBool::new(false),
        }))
    }

    /// Until when the driver sleeps, if it does.
    pub fn asleep_until(&self) -> Option<Tick> {
        match self.0.asleep_until.load(Ordering::Relaxed) {
            0 => None,
            until => Some(Tick::from_micros(until)),
        }
    }

    /// Ends the driver, whatever it waits for.
    pub fn leave(&self) {
        self.0.leave.store(true, Ordering::Relaxed);
    }

    fn sleep(&self, until: Tick) {
        self.0.asleep_until.store(until.as_micros(), Ordering::Relaxed);
        let inner = Arc::clone(&self.0);
        arena::until("the driver to be rung", move || {
            inner.rung.load(Ordering::Relaxed)
                || inner.leave.load(Ordering::Relaxed)
                || inner.clock.now() >= until
        });
        self.0.asleep_until.store(0, Ordering::Relaxed);
        self.0.rung.store(false, Ordering::Relaxed);
    }
}

impl Ring for Bedside {
    fn ring(&self) {
        self.0.hammer.fetch_or(1, Ordering::AcqRel);
        self.0.rung.store(true, Ordering::Relaxed);
    }
}

/// Who is told what the driver does.
pub trait Household<K: Key, R: Reasons, P: Merge>: Send + 'static {
    /// The driver is about to turn.
    fn turning(&mut self) {}
    /// The driver is about to ask for a run.
    fn asking(&mut self) {}
    /// A run was started, and is to be executed.
    fn serve(&mut self, run: Run<K, R, P>);
}

/// Drives until told to leave, or until the hub has stopped and no run is in flight.
///
/// Sleeps until what it has armed, however far: a lost ring must show.
///
/// # Panics
/// If the hub has a driver.
pub fn drive<K: Key, R: Reasons, P: Merge>(
    hub: &Reveille<K, R, P>,
    bedside: &Bedside,
    mut household: impl Household<K, R, P>,
) {
    let mut engine = match hub.engine() {
        Ok(engine) => engine,
        Err(error) => panic!("{error}"),
    };
    engine.set_ring(bedside.clone());
    while !bedside.0.leave.load(Ordering::Relaxed) {
        household.turning();
        engine.turn(bedside.0.clock.now());
        loop {
            household.asking();
            match engine.next_run() {
                Some(run) => household.serve(run),
                None => break,
            }
        }
        if engine.is_finished() {
            return;
        }
        let until = engine.arm();
        if until > bedside.0.clock.now() && engine.doze(until) {
            bedside.sleep(until);
            engine.rise();
        }
    }
}
