//! The core's parts of one target, in the order in which a hub's wake and its engine's turn use
//! them, without their bookkeeping.

use loom::sync::Notify;
use reveille_core::pending::{Pending, Request, Taken, Word};
use reveille_core::{Asked, Bell, DeadlineSlot, ReadySet, Tick, Urgency};
use std::sync::Arc;

/// Takes the wake of a word as the engine does: what the driver has not seen it looks at first.
///
/// # Errors
/// The word, where no run may start.
pub fn take(word: &Pending) -> Result<Taken, Word> {
    loop {
        let seen = word.load();
        if seen.settle(seen.due()).is_some() && word.settle(seen, seen.due()).is_err() {
            continue;
        }
        match word.begin() {
            Err(now) if now.has_wake() && !now.is_seen() && !now.is_running() => {}
            begun => return begun,
        }
    }
}

/// One target's word, and the way to its driver.
pub struct Parts {
    pub word: Pending,
    pub deadline: DeadlineSlot,
    ready: ReadySet,
    bell: Bell,
    ring: Notify,
    /// The target's place in the ready set.
    index: usize,
}

/// A request for `due`, for `reasons`.
pub const fn request(due: u64, reasons: u8) -> Request {
    Request { due: Tick::from_micros(due), reasons, urgency: Urgency::Event }
}

impl Parts {
    /// An idle target, under the second leaf of two, so that the summary counts.
    pub fn new() -> Arc<Self> {
        Self::at(2)
    }

    /// An idle target in a ready set without a summary, where three threads are enough to search.
    pub fn flat() -> Arc<Self> {
        Self::at(0)
    }

    fn at(index: usize) -> Arc<Self> {
        Arc::new(Self {
            word: Pending::new(),
            deadline: DeadlineSlot::new(),
            ready: ReadySet::with_capacity(index + 1),
            bell: Bell::new(),
            ring: Notify::new(),
            index,
        })
    }

    /// A requester's wake. True if it rang.
    pub fn wake(&self, request: Request) -> bool {
        self.wake_but_stall(request).is_some_and(|asked| self.bell.must_ring(asked)) && {
            self.ring.notify();
            true
        }
    }

    /// The same up to the bell, which is still owed if this says so.
    pub fn wake_but_stall(&self, request: Request) -> Option<Asked> {
        let join = self.word.join(request, false);
        join.publish.then(|| {
            let marked = self.ready.set(self.index);
            self.deadline.request_for(marked, request.due)
        })
    }

    /// Driver: takes the deadline first, and collects second. True if the target had news.
    pub fn turn(&self) -> bool {
        self.deadline.take();
        let mut news = Vec::new();
        self.ready.drain(&mut news);
        news.contains(&self.index)
    }

    /// Driver: sleeps until `own`, or what was asked for if that is sooner. The clock goes no
    /// further than `end`: a sleep past that ends by a ring, or is a deadlock.
    pub fn sleep(&self, own: Tick, end: Tick) {
        self.deadline.request(own);
        let until = self.deadline.peek();
        if self.doze(until) {
            if until > end {
                self.ring.wait();
            }
            self.bell.rise();
        }
    }

    /// Driver: is about to sleep until `until`. False if it must not.
    pub fn doze(&self, until: Tick) -> bool {
        let sleeps = self.bell.doze(until, &self.deadline) >= until;
        if !sleeps {
            self.bell.rise();
        }
        sleeps
    }
}
