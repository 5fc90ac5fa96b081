//! What a round keeps books in, the handler that it installs, and the driver by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Thread, park_timeout};

use fastrand::Rng;
use reveille::{AlreadyDriven, Engine, Outcome, Reveille, Ring, Run, Urgency, Wake, Woken};
use std::time::Duration;

use super::plan::TARGETS;
use crate::props::histories::dawdle;

pub(super) type Hub = Reveille<usize>;

/// What was asked and what became of it, counted by those who asked.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) targets: [Account; TARGETS],
    pub(super) wakes: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) merged: AtomicU64,
    pub(super) cancelled: AtomicU64,
    pub(super) installs: AtomicU64,
    pub(super) stale: AtomicU64,
    /// Calls of handlers.
    pub(super) calls: AtomicU64,
    pub(super) panics: AtomicU64,
    /// Runs that were dropped since the hub had cancelled them.
    pub(super) dropped: AtomicU64,
    /// What must not have happened.
    pub(super) wrong: AtomicU64,
    active: AtomicU64,
    /// From here on each run is done at once.
    pub(super) calm: AtomicBool,
    draws: AtomicU64,
}

/// One target.
#[derive(Default)]
pub(super) struct Account {
    asked: AtomicU64,
    /// The last request that was accepted.
    pub(super) owed: AtomicU64,
    /// The last request that a run saw before it was done.
    pub(super) served: AtomicU64,
    inside: AtomicBool,
}

const RELAXED: Ordering = Ordering::Relaxed;

impl Ledger {
    /// Wakes a target, and keeps books of it.
    pub(super) fn wake(&self, target: usize, wake: impl FnOnce() -> Woken) {
        let account = &self.targets[target];
        // Relaxed: that the run sees it is what the wake promises (P4).
        let number = account.asked.fetch_add(1, RELAXED) + 1;
        self.wakes.fetch_add(1, RELAXED);
        match wake() {
            Woken::Refused(_) => {
                self.refused.fetch_add(1, RELAXED);
                return;
            }
            Woken::Preempted | Woken::Coalesced => {
                self.merged.fetch_add(1, RELAXED);
            }
            _ => {}
        }
        account.owed.fetch_max(number, RELAXED);
    }

    fn behave(&self, run: &Run<usize>, seed: u64, max_active: u64) -> Outcome {
        let account = &self.targets[*run.key()];
        self.calls.fetch_add(1, RELAXED);
        let twice = account.inside.swap(true, Ordering::SeqCst);
        let crowded = self.active.fetch_add(1, Ordering::SeqCst) >= max_active;
        if twice || crowded {
            self.wrong.fetch_add(1, RELAXED);
        }
        let asked = account.asked.load(RELAXED);
        let draw = self.draws.fetch_add(1, RELAXED);
        let mut rng = Rng::with_seed(seed ^ draw.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        dawdle(&mut rng);
        let us = Duration::from_micros;
        let calm = self.calm.load(RELAXED);
        let kind = if calm { 0 } else { rng.u8(..16) };
        if !calm && rng.u8(..8) == 0 {
            // A handler may use its hub.
            let other = rng.usize(..TARGETS);
            self.wake(other, || run.hub().wake(other, Wake::now().urgency(Urgency::Urgent)));
        }
        if kind < 10 {
            account.served.fetch_max(asked, RELAXED);
        }
        self.active.fetch_sub(1, Ordering::SeqCst);
        account.inside.store(false, Ordering::SeqCst);
        match kind {
            0..8 => Outcome::ran(),
            8..10 => Outcome::skipped(),
            10 => Outcome::busy(),
            11 => Outcome::busy_for(us(rng.u64(1..400))),
            12 | 13 => Outcome::defer(us(rng.u64(1..400))),
            14 => Outcome::failed(),
            _ => {
                self.panics.fetch_add(1, RELAXED);
                // Unlike `panic!` this prints nothing.
                std::panic::resume_unwind(Box::new("as drawn"))
            }
        }
    }

    /// A handler for a round.
    pub(super) fn handler(
        self: &Arc<Self>,
        seed: u64,
        max_active: usize,
    ) -> impl Fn(&Run<usize>) -> Outcome + Send + Sync + 'static {
        let ledger = Arc::clone(self);
        move |run| ledger.behave(run, seed, max_active as u64)
    }
}

struct Unpark(Thread);

impl Ring for Unpark {
    fn ring(&self) {
        self.0.unpark();
    }
}

fn take_up(hub: &Hub) -> Result<Engine<usize>, AlreadyDriven> {
    let engine = hub.engine()?;
    engine.set_ring(Unpark(std::thread::current()));
    Ok(engine)
}

/// Drives a hub until it is stopped, unlike a driver should: holds runs back, executes cancelled
/// ones late, and drops the engine and takes it up again.
pub(super) fn drive_by_hand(hub: &Hub, ledger: &Ledger, seed: u64) -> Result<(), AlreadyDriven> {
    let mut rng = Rng::with_seed(seed);
    let mut engine = take_up(hub)?;
    let mut held: Vec<Run<usize>> = Vec::new();
    loop {
        if rng.u8(..32) == 0 {
            drop(engine);
            dawdle(&mut rng);
            engine = take_up(hub)?;
        }
        let now = hub.now();
        engine.turn(now);
        while let Some(run) = engine.next_run() {
            if held.iter().any(|other| other.key() == run.key() && !other.is_cancelled()) {
                ledger.wrong.fetch_add(1, RELAXED);
            }
            held.push(run);
        }
        let calm = ledger.calm.load(RELAXED) || hub.is_stopped();
        for run in std::mem::take(&mut held) {
            if !calm && rng.u8(..4) == 0 {
                held.push(run);
            } else if run.is_cancelled() && rng.bool() {
                ledger.dropped.fetch_add(1, RELAXED);
            } else {
                let calls = ledger.calls.load(RELAXED);
                run.execute();
                // A hub that has stopped calls nothing any more.
                let called = ledger.calls.load(RELAXED) > calls;
                ledger.dropped.fetch_add(u64::from(!called), RELAXED);
            }
        }
        // Before any sleep: this turn may have noted the stop, and nobody rings for it again.
        if engine.is_finished() {
            return Ok(());
        }
        if held.is_empty() {
            let until = engine.arm();
            if until > now && engine.doze(until) {
                // Of no use to hub or rounds, but a lost ring must not hang this thread for ever.
                park_timeout(until.since(hub.now()).min(Duration::from_secs(3_600)));
                engine.rise();
            }
        } else {
            std::thread::yield_now();
        }
    }
}
