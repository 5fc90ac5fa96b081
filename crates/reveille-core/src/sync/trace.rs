//! What happened in one execution of a model: the events, in the order of execution.
//!
//! Off until [`start`]. All threads of a model are coroutines of one thread of the system, so
//! the log is that thread's. It lies outside the model: it takes no step and orders nothing.

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::sync::atomic::{self, Ordering};

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// Which thread of the model.
    pub lane: usize,
    /// Where, in our source.
    pub at: &'static Location<'static>,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum What {
    /// An operation on a word.
    Access {
        /// The operation's name.
        operation: &'static str,
        /// Which word, counted from the start of the execution.
        object: u64,
        /// Where the word was made.
        made_at: &'static Location<'static>,
        /// What its maker calls it.
        name: Option<&'static str>,
        /// The value read.
        read: Option<u64>,
        /// The value written.
        wrote: Option<u64>,
        /// The newest value in the order of execution: a read of another one is stale.
        newest: u64,
        /// The ordering.
        order: Ordering,
    },
    /// A fence.
    Fence(Ordering),
    /// A line of the model's own.
    Note(String),
}

thread_local! {
    static ON: Cell<bool> = const { Cell::new(false) };
    static EVENTS: RefCell<Vec<Event>> = const { RefCell::new(Vec::new()) };
    static LANES: RefCell<Vec<(ThreadId, String)>> = const { RefCell::new(Vec::new()) };
    static OBJECTS: Cell<u64> = const { Cell::new(0) };
}

#[cfg(reveille_loom)]
type ThreadId = loom::thread::ThreadId;
#[cfg(all(reveille_shuttle, not(reveille_loom)))]
type ThreadId = shuttle::thread::ThreadId;

fn thread() -> ThreadId {
    #[cfg(reveille_loom)]
    return loom::thread::current().id();
    #[cfg(all(reveille_shuttle, not(reveille_loom)))]
    return shuttle::thread::current().id();
}

/// Forgets what there is, and keeps events from here on: at the start of each execution.
pub fn start() {
    ON.set(true);
    EVENTS.with_borrow_mut(Vec::clear);
    LANES.with_borrow_mut(Vec::clear);
    OBJECTS.set(0);
}

/// Takes out the events, and the names of the lanes.
pub fn take() -> (Vec<Event>, Vec<String>) {
    ON.set(false);
    let lanes = LANES.with_borrow_mut(std::mem::take);
    (EVENTS.with_borrow_mut(std::mem::take), lanes.into_iter().map(|(_, name)| name).collect())
}

/// Names the lane of the thread that calls. A thread without a name gets a number.
pub fn name_lane(name: &str) {
    if ON.get() {
        let thread = thread();
        LANES.with_borrow_mut(|lanes| match lanes.iter_mut().find(|(id, _)| *id == thread) {
            Some((_, old)) => *old = name.to_string(),
            None => lanes.push((thread, name.to_string())),
        });
    }
}

fn lane() -> usize {
    let thread = thread();
    LANES.with_borrow_mut(|lanes| match lanes.iter().position(|(id, _)| *id == thread) {
        Some(lane) => lane,
        None => {
            lanes.push((thread, format!("thread {}", lanes.len())));
            lanes.len() - 1
        }
    })
}

/// Adds a line of the model's own.
#[track_caller]
pub fn note(text: impl FnOnce() -> String) {
    if ON.get() {
        push(Location::caller(), What::Note(text()));
    }
}

pub(super) fn fence(at: &'static Location<'static>, order: Ordering) {
    if ON.get() {
        push(at, What::Fence(order));
    }
}

fn push(at: &'static Location<'static>, what: What) {
    let event = Event { lane: lane(), at, what };
    EVENTS.with_borrow_mut(|events| events.push(event));
}

/// A word's part in the log.
pub(super) struct Object {
    number: u64,
    pub(super) name: Option<&'static str>,
    made_at: &'static Location<'static>,
    newest: atomic::AtomicU64,
}

impl Object {
    pub(super) fn new(made_at: &'static Location<'static>, value: u64) -> Self {
        let number = OBJECTS.replace(OBJECTS.get() + 1);
        Self { number, name: None, made_at, newest: atomic::AtomicU64::new(value) }
    }

    pub(super) fn newest(&self) -> u64 {
        self.newest.load(Ordering::Relaxed)
    }

    pub(super) fn read(
        &self,
        at: &'static Location<'static>,
        operation: &'static str,
        value: u64,
        order: Ordering,
    ) {
        if ON.get() {
            push(at, self.access(operation, Some(value), None, order));
        }
    }

    pub(super) fn wrote(
        &self,
        at: &'static Location<'static>,
        operation: &'static str,
        read: Option<u64>,
        value: u64,
        order: Ordering,
    ) {
        if ON.get() {
            push(at, self.access(operation, read, Some(value), order));
        }
        self.newest.store(value, Ordering::Relaxed);
    }

    fn access(
        &self,
        operation: &'static str,
        read: Option<u64>,
        wrote: Option<u64>,
        order: Ordering,
    ) -> What {
        let (object, name, made_at) = (self.number, self.name, self.made_at);
        let newest = self.newest();
        What::Access { operation, object, made_at, name, read, wrote, newest, order }
    }
}
