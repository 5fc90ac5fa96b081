//! Small programs of a few threads over two atomics: what the checker reaches of their outcomes,
//! and what sequential consistency allows.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, PoisonError};

use loom::sync::Mutex;
use reveille_core::sync::{AtomicU64, Ordering, fence};

use crate::search::{Limits, Searched, search};

/// One step of a thread. Variables are numbered; all are zero at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Reads a variable.
    Load(usize, Ordering),
    /// Sets a variable to a value.
    Store(usize, u64, Ordering),
    /// Sets a variable to a value and reads what was there.
    Swap(usize, u64, Ordering),
    /// Adds to a variable and reads what was there.
    Add(usize, u64, Ordering),
    /// If a variable is the first value, sets it to the second; reads what was there. The ordering
    /// is that of success, and without its releasing half that of failure.
    Cas(usize, u64, u64, Ordering),
    /// Orders what stands around it.
    Fence(Ordering),
    /// Takes the one mutex there is.
    Lock,
    /// Gives it back.
    Unlock,
}

/// Everything that a run of a program reads, thread by thread and step by step, and the values of
/// the variables at the end, as the main thread reads them after joining the others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Outcome {
    /// What the steps read; stores and fences read nothing.
    pub(crate) reads: Vec<u64>,
    /// The variables at the end.
    pub(crate) ends: Vec<u64>,
}

/// A program: its threads' steps. The first thread is the main one, which spawns the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// How many variables there are.
    pub(crate) variables: usize,
    /// The steps of each thread.
    pub(crate) threads: Vec<Vec<Op>>,
}

/// Everything that the executions of `body` return, and the search.
pub(crate) fn collect<T: Ord + Send + 'static>(
    bound: Option<usize>,
    body: impl Fn() -> T + Send + Sync + 'static,
) -> (BTreeSet<T>, Searched) {
    let seen = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    let searched = {
        let seen = Arc::clone(&seen);
        search(bound, Limits::default(), move || {
            let outcome = body();
            seen.lock().unwrap_or_else(PoisonError::into_inner).insert(outcome);
        })
    };
    let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    (seen, searched)
}

/// What the threads of a program share under the checker.
struct Shared {
    words: Vec<AtomicU64>,
    mutex: Mutex<()>,
}

impl Program {
    /// The outcomes that the checker reaches within so many preemptions, and its search.
    pub(crate) fn reached(&self, bound: Option<usize>) -> (BTreeSet<Outcome>, Searched) {
        let program = Arc::new(self.clone());
        collect(bound, move || program.run())
    }

    /// One execution under the checker.
    fn run(self: &Arc<Self>) -> Outcome {
        let words = (0..self.variables).map(|_| AtomicU64::new(0)).collect();
        let shared = Arc::new(Shared { words, mutex: Mutex::new(()) });
        let others: Vec<_> = (1..self.threads.len())
            .map(|thread| {
                let (program, shared) = (Arc::clone(self), Arc::clone(&shared));
                loom::thread::spawn(move || program.run_thread(thread, &shared))
            })
            .collect();
        let mut reads = self.run_thread(0, &shared);
        for other in others {
            reads.extend(other.join().expect("no thread of a program panics"));
        }
        let ends = shared.words.iter().map(|word| word.load(Ordering::Relaxed)).collect();
        Outcome { reads, ends }
    }

    fn run_thread(&self, thread: usize, shared: &Shared) -> Vec<u64> {
        let mut held = None;
        let mut reads = Vec::new();
        for op in &self.threads[thread] {
            match op {
                Op::Lock => held = Some(shared.mutex.lock().expect("no thread panics")),
                Op::Unlock => drop(held.take()),
                access => reads.extend(access.run(&shared.words)),
            }
        }
        reads
    }

    /// The outcomes that sequential consistency allows, by trying every order of the steps; with a
    /// bound, only those orders that leave a thread before its end so often at most, the main
    /// thread being the one that runs at first.
    pub(crate) fn allowed(&self, bound: Option<usize>) -> BTreeSet<Outcome> {
        let mut search = BruteForce { program: self, bound, found: BTreeSet::new() };
        search.step(&State {
            done: vec![0; self.threads.len()],
            reads: vec![Vec::new(); self.threads.len()],
            words: vec![0; self.variables],
            lock: None,
            running: 0,
            preemptions: 0,
        });
        search.found
    }
}

impl Op {
    /// The variable it touches; the first where it touches none.
    pub(crate) fn word(&self) -> usize {
        match *self {
            Self::Load(word, _)
            | Self::Store(word, _, _)
            | Self::Swap(word, _, _)
            | Self::Add(word, _, _)
            | Self::Cas(word, _, _, _) => word,
            Self::Fence(_) | Self::Lock | Self::Unlock => 0,
        }
    }

    /// Does the step under the checker; returns what it reads.
    fn run(&self, words: &[AtomicU64]) -> Option<u64> {
        match *self {
            Self::Load(word, order) => Some(words[word].load(order)),
            Self::Store(word, value, order) => {
                words[word].store(value, order);
                None
            }
            Self::Swap(word, value, order) => Some(words[word].swap(value, order)),
            Self::Add(word, value, order) => Some(words[word].fetch_add(value, order)),
            Self::Cas(word, from, to, order) => {
                let failure = match order {
                    Ordering::SeqCst => Ordering::SeqCst,
                    Ordering::Acquire | Ordering::AcqRel => Ordering::Acquire,
                    _ => Ordering::Relaxed,
                };
                match words[word].compare_exchange(from, to, order, failure) {
                    Ok(found) | Err(found) => Some(found),
                }
            }
            Self::Fence(order) => {
                fence(order);
                None
            }
            Self::Lock | Self::Unlock => None,
        }
    }

    /// Does the step at once and in order; returns what it reads.
    fn run_in_order(&self, words: &mut [u64]) -> Option<u64> {
        match *self {
            Self::Load(word, _) => Some(words[word]),
            Self::Store(word, value, _) => {
                words[word] = value;
                None
            }
            Self::Swap(word, value, _) => Some(std::mem::replace(&mut words[word], value)),
            Self::Add(word, value, _) => {
                let next = words[word].wrapping_add(value);
                Some(std::mem::replace(&mut words[word], next))
            }
            Self::Cas(word, from, to, _) => {
                let next = if words[word] == from { to } else { words[word] };
                Some(std::mem::replace(&mut words[word], next))
            }
            Self::Fence(_) | Self::Lock | Self::Unlock => None,
        }
    }
}

struct BruteForce<'a> {
    program: &'a Program,
    bound: Option<usize>,
    found: BTreeSet<Outcome>,
}

#[derive(Clone)]
struct State {
    done: Vec<usize>,
    reads: Vec<Vec<u64>>,
    words: Vec<u64>,
    lock: Option<usize>,
    running: usize,
    preemptions: usize,
}

impl BruteForce<'_> {
    fn step(&mut self, state: &State) {
        let threads = &self.program.threads;
        let next_of = |thread: usize| threads[thread].get(state.done[thread]).copied();
        if (0..threads.len()).all(|thread| next_of(thread).is_none()) {
            let outcome = Outcome { reads: state.reads.concat(), ends: state.words.clone() };
            self.found.insert(outcome);
            return;
        }
        let can_go_on = |thread: usize| match next_of(thread) {
            None => false,
            Some(Op::Lock) => state.lock.is_none(),
            Some(_) => true,
        };
        for thread in (0..threads.len()).filter(|thread| can_go_on(*thread)) {
            let Some(op) = next_of(thread) else { continue };
            let mut next = state.clone();
            if thread != state.running && can_go_on(state.running) {
                next.preemptions += 1;
            }
            if self.bound.is_some_and(|bound| next.preemptions > bound) {
                continue;
            }
            match op {
                Op::Lock => next.lock = Some(thread),
                Op::Unlock => next.lock = None,
                access => next.reads[thread].extend(access.run_in_order(&mut next.words)),
            }
            next.running = thread;
            next.done[thread] += 1;
            self.step(&next);
        }
    }
}

/// The names of the variables.
const NAMES: [&str; 3] = ["x", "y", "z"];

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Load(word, order) => write!(f, "{} {order:?}", NAMES[word]),
            Self::Store(word, value, order) => write!(f, "{}={value} {order:?}", NAMES[word]),
            Self::Swap(word, value, order) => write!(f, "swap {} {value} {order:?}", NAMES[word]),
            Self::Add(word, value, order) => write!(f, "add {} {value} {order:?}", NAMES[word]),
            Self::Cas(word, from, to, order) => {
                write!(f, "cas {} {from}->{to} {order:?}", NAMES[word])
            }
            Self::Fence(order) => write!(f, "fence {order:?}"),
            Self::Lock => write!(f, "lock"),
            Self::Unlock => write!(f, "unlock"),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, thread) in self.threads.iter().enumerate() {
            let steps: Vec<_> = thread.iter().map(ToString::to_string).collect();
            let between = if number == 0 { "" } else { " || " };
            write!(f, "{between}[{}]", steps.join("; "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |values: &[u64]| values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        write!(f, "({})", list(&self.reads))?;
        if !self.ends.is_empty() {
            write!(f, " ends {}", list(&self.ends))?;
        }
        Ok(())
    }
}
