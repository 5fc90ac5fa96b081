//! What the core needs of `ArcSwap`, as one suite for the real one and for its twin.
//!
//! Built without a checker, `reveille_core::sync` is arc-swap and the threads are the system's;
//! under loom it is the twin, and the threads are loom's. A value knows whether it is alive: it is
//! dropped once, not before its last owner is gone, and never read after that.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};

use reveille_core::sync::{Arc, ArcSwap, ArcSwapOption, Guard};

#[cfg(reveille_loom)]
use loom::thread;
#[cfg(not(reveille_loom))]
use std::thread;

/// Counts the drops of each value.
#[derive(Debug)]
pub(crate) struct Ledger(Vec<AtomicU64>);

/// A value with an identity.
#[derive(Debug)]
pub(crate) struct Token {
    id: usize,
    ledger: Arc<Ledger>,
}

impl Ledger {
    fn new(tokens: usize) -> Arc<Self> {
        Arc::new(Self((0..tokens).map(|_| AtomicU64::new(0)).collect()))
    }

    fn token(self: &Arc<Self>, id: usize) -> Token {
        Token { id, ledger: Arc::clone(self) }
    }

    fn drops(&self, id: usize) -> u64 {
        self.0[id].load(Ordering::SeqCst)
    }
}

impl Token {
    /// Which value this is; the value must be alive.
    fn id(&self) -> usize {
        assert_eq!(self.ledger.drops(self.id), 0, "value {} was read after its drop", self.id);
        self.id
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        // Judged at the end: a panic here would hide what happened.
        self.ledger.0[self.id].fetch_add(1, Ordering::SeqCst);
    }
}

/// What can stand in a slot, and the slot for it.
pub(crate) trait Value: Clone + Send + Sync + 'static {
    /// The slot.
    type Slot: Send + Sync + 'static;
    /// What a load returns.
    type Guard: Deref<Target = Self>;
    /// A value.
    fn of(token: Token) -> Self;
    /// Which it is.
    fn id(&self) -> usize;
    /// Whether both are the same place.
    fn same(&self, other: &Self) -> bool;
    /// See arc-swap; the others, too.
    fn slot(self) -> Self::Slot;
    /// Borrows what stands there.
    fn load(slot: &Self::Slot) -> Self::Guard;
    /// Owns what stands there.
    fn load_full(slot: &Self::Slot) -> Self;
    /// Makes a guard own.
    fn owned(guard: Self::Guard) -> Self;
    /// Replaces what stands there and returns it.
    fn swap(slot: &Self::Slot, new: Self) -> Self;
    /// Replaces what stands there.
    fn store(slot: &Self::Slot, new: Self);
    /// Replaces what stands there if it is `current`; returns what stood there.
    fn compare_and_swap(slot: &Self::Slot, current: &Self, new: Self) -> Self::Guard;
}

macro_rules! value {
    ($value:ty, $slot:ty, $of:path, $arc:path) => {
        impl Value for $value {
            type Slot = $slot;
            type Guard = Guard<$value>;

            fn of(token: Token) -> Self {
                $of(Arc::new(token))
            }

            fn id(&self) -> usize {
                Token::id($arc(self))
            }

            fn same(&self, other: &Self) -> bool {
                Arc::ptr_eq($arc(self), $arc(other))
            }

            fn slot(self) -> $slot {
                <$slot>::new(self)
            }

            fn load(slot: &$slot) -> Self::Guard {
                slot.load()
            }

            fn load_full(slot: &$slot) -> Self {
                slot.load_full()
            }

            fn owned(guard: Self::Guard) -> Self {
                Guard::into_inner(guard)
            }

            fn swap(slot: &$slot, new: Self) -> Self {
                slot.swap(new)
            }

            fn store(slot: &$slot, new: Self) {
                slot.store(new);
            }

            fn compare_and_swap(slot: &$slot, current: &Self, new: Self) -> Self::Guard {
                slot.compare_and_swap(current, new)
            }
        }
    };
}

value!(Arc<Token>, ArcSwap<Token>, std::convert::identity, std::convert::identity);
value!(Option<Arc<Token>>, ArcSwapOption<Token>, Some, there);

fn there(value: &Option<Arc<Token>>) -> &Arc<Token> {
    value.as_ref().expect("these slots are never empty")
}

/// Threads of the system are let go together; a checker tries every start anyway.
#[cfg(not(reveille_loom))]
use std::sync::Barrier;

#[cfg(reveille_loom)]
struct Barrier;

#[cfg(reveille_loom)]
impl Barrier {
    fn new(_: usize) -> Self {
        Self
    }

    fn wait(&self) {}
}

/// One step of one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Loads, and lets go at once.
    Load,
    /// Loads, and holds the guard to the thread's end.
    Hold,
    /// Stores a new value.
    Store,
    /// Swaps a new value in.
    Swap,
    /// Compares with what this thread put in or saw last, at first the first value, and swaps a
    /// new value in.
    CasSeen,
    /// Compares with a value that was never there, which must fail.
    CasOther,
}

/// What one step saw.
#[derive(Clone, Copy, Debug)]
enum Seen {
    Loaded(usize),
    Stored(usize),
    Replaced { old: usize, new: usize },
    Refused { expected: usize, found: usize },
}

/// Runs a script on each thread, the first on the caller's, and judges what they saw.
///
/// With `dies`, a value must be gone as soon as its last owner is; the twin can be told to keep
/// all until the slot goes.
///
/// # Panics
/// Where a rule is broken.
pub(crate) fn concurrently<V: Value>(scripts: &[Vec<Step>], dies: bool) {
    let longest = scripts.iter().map(Vec::len).max().unwrap_or(0);
    // Value 0 stands there first; each step has a value of its own, and one to compare with.
    let ledger = Ledger::new(1 + 2 * scripts.len() * longest);
    let first = V::of(ledger.token(0));
    let slot = Arc::new(first.clone().slot());
    let first_id = move |thread: usize| 1 + 2 * thread * longest;
    let start = Arc::new(Barrier::new(scripts.len()));
    let others: Vec<_> = (1..scripts.len())
        .map(|thread| {
            let (slot, ledger, start) =
                (Arc::clone(&slot), Arc::clone(&ledger), Arc::clone(&start));
            let (script, first) = (scripts[thread].clone(), first.clone());
            thread::spawn(move || {
                start.wait();
                follow::<V>(&script, &slot, first, &ledger, first_id(thread))
            })
        })
        .collect();
    start.wait();
    let mut seen = vec![follow::<V>(&scripts[0], &slot, first, &ledger, first_id(0))];
    seen.extend(others.into_iter().map(|other| other.join().expect("a script panicked")));

    let end = V::load_full(&slot).id();
    judge(&seen, end);
    if dies {
        assert_drops(&ledger, scripts, first_id, Some(end));
    }
    drop(slot);
    assert_drops(&ledger, scripts, first_id, None);
}

/// Does the steps and returns what they saw; all that was held is let go.
fn follow<V: Value>(
    script: &[Step],
    slot: &V::Slot,
    first: V,
    ledger: &Arc<Ledger>,
    first_id: usize,
) -> Vec<Seen> {
    let mut last = first;
    let mut seen = Vec::new();
    let mut guards = Vec::new();
    for (number, step) in script.iter().enumerate() {
        let id = first_id + 2 * number;
        let new = || V::of(ledger.token(id));
        match step {
            Step::Load => {
                last = V::owned(V::load(slot));
                seen.push(Seen::Loaded(last.id()));
            }
            Step::Hold => {
                let guard = V::load(slot);
                last = guard.clone();
                seen.push(Seen::Loaded(guard.id()));
                guards.push(guard);
            }
            Step::Store => {
                last = new();
                V::store(slot, last.clone());
                seen.push(Seen::Stored(id));
            }
            Step::Swap => {
                last = new();
                let old = V::swap(slot, last.clone());
                seen.push(Seen::Replaced { old: old.id(), new: id });
            }
            Step::CasSeen | Step::CasOther => {
                let (other, new) = (step == &Step::CasOther, new());
                let current = if other { V::of(ledger.token(id + 1)) } else { last.clone() };
                let found = V::owned(V::compare_and_swap(slot, &current, new.clone()));
                let (expected, old) = (current.id(), found.id());
                if found.same(&current) {
                    seen.push(Seen::Replaced { old, new: id });
                    last = new;
                } else {
                    seen.push(Seen::Refused { expected, found: old });
                    last = found;
                }
            }
        }
    }
    // What is held is alive, whatever has been replaced meanwhile.
    for guard in &guards {
        guard.id();
    }
    seen
}

/// Whether there is one order of all values that explains what every thread saw.
fn judge(seen: &[Vec<Seen>], end: usize) {
    let mut next = BTreeMap::new();
    let mut stored = Vec::new();
    for seen in seen.iter().flatten() {
        match *seen {
            Seen::Replaced { old, new } => {
                let twice = next.insert(old, new);
                assert_eq!(twice, None, "two operations replaced value {old}");
            }
            Seen::Stored(new) => stored.push(new),
            Seen::Refused { expected, found } => {
                assert_ne!(expected, found, "refused though value {found} stood there");
            }
            Seen::Loaded(_) => {}
        }
    }
    // A store does not say what it replaced: its place is found by trying.
    let mut chain = Vec::new();
    extend(&mut chain, 0, &next);
    let explained = arrange(&mut chain, &mut stored, &next, &|chain| {
        chain.last() == Some(&end)
            && chain.len() == 1 + seen.iter().flatten().filter(|seen| seen.writes()).count()
            && seen.iter().all(|seen| in_order(seen, chain))
    });
    assert!(explained, "no order of the values explains {seen:?} and {end} at the end");
}

impl Seen {
    fn writes(self) -> bool {
        matches!(self, Self::Replaced { .. } | Self::Stored(_))
    }
}

fn extend(chain: &mut Vec<usize>, from: usize, next: &BTreeMap<usize, usize>) {
    let mut value = Some(&from);
    while let Some(id) = value {
        if chain.contains(id) {
            return;
        }
        chain.push(*id);
        value = next.get(id);
    }
}

fn arrange(
    chain: &mut Vec<usize>,
    stored: &mut Vec<usize>,
    next: &BTreeMap<usize, usize>,
    explains: &dyn Fn(&[usize]) -> bool,
) -> bool {
    if stored.is_empty() {
        return explains(chain);
    }
    for place in 0..stored.len() {
        let id = stored.remove(place);
        let before = chain.len();
        extend(chain, id, next);
        let explained = arrange(chain, stored, next, explains);
        chain.truncate(before);
        stored.insert(place, id);
        if explained {
            return true;
        }
    }
    false
}

/// Whether a thread never went back: each value it saw stood there no earlier than the last.
fn in_order(seen: &[Seen], chain: &[usize]) -> bool {
    let place = |id: usize| chain.iter().position(|there| *there == id);
    let mut at = 0;
    for seen in seen {
        let now = match *seen {
            Seen::Loaded(id) | Seen::Refused { found: id, .. } | Seen::Stored(id) => place(id),
            // It was the very next: nothing stood in between.
            Seen::Replaced { old, new } => match (place(old), place(new)) {
                (Some(old), Some(new)) if old >= at && new == old + 1 => Some(new),
                _ => None,
            },
        };
        match now {
            Some(now) if now >= at => at = now,
            _ => return false,
        }
    }
    true
}

/// Every value that was made was dropped once, but for the one that still stands there.
fn assert_drops(
    ledger: &Ledger,
    scripts: &[Vec<Step>],
    first_id: impl Fn(usize) -> usize,
    stands: Option<usize>,
) {
    let check = |id: usize, made: bool, what: &str| {
        let expected = u64::from(made && stands != Some(id));
        assert_eq!(ledger.drops(id), expected, "drops of value {id}: {what}");
    };
    check(0, true, "the first");
    for (thread, script) in scripts.iter().enumerate() {
        for (number, step) in script.iter().enumerate() {
            let id = first_id(thread) + 2 * number;
            check(id, !matches!(step, Step::Load | Step::Hold), &format!("new in {step:?}"));
            check(id + 1, *step == Step::CasOther, &format!("compared with in {step:?}"));
        }
    }
}

/// One step of a single thread.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sequential {
    /// Loads, and holds the guard.
    Hold,
    /// Loads, and owns.
    Own,
    /// Lets go of something held.
    Release(usize),
    /// Stores a new value.
    Store,
    /// Swaps a new value in, and keeps the old one.
    Swap,
    /// Swaps something held in again.
    PutBack(usize),
    /// Compares with something held.
    Cas(usize),
    /// Compares with something that never was there.
    CasOther,
}

/// Something held by a single thread.
enum Held<V: Value> {
    Guard(V::Guard),
    Owned(V),
}

impl<V: Value> Held<V> {
    fn value(&self) -> &V {
        match self {
            Self::Guard(guard) => guard,
            Self::Owned(value) => value,
        }
    }
}

/// Runs the steps on one thread, beside a model: the value that stands there, and who holds what.
///
/// # Panics
/// Where slot and model differ.
pub(crate) fn sequentially<V: Value>(steps: &[Sequential], dies: bool) {
    let ledger = Ledger::new(1 + steps.len());
    let slot = V::of(ledger.token(0)).slot();
    let mut current = 0;
    let mut held: Vec<(usize, Held<V>)> = Vec::new();
    let mut made = 1;
    for step in steps {
        let mut fresh = || {
            made += 1;
            (made - 1, V::of(ledger.token(made - 1)))
        };
        match *step {
            Sequential::Hold => held.push((current, Held::Guard(V::load(&slot)))),
            Sequential::Own => held.push((current, Held::Owned(V::load_full(&slot)))),
            Sequential::Release(which) => {
                if !held.is_empty() {
                    held.swap_remove(which % held.len());
                }
            }
            Sequential::Store => {
                let (id, value) = fresh();
                V::store(&slot, value);
                current = id;
            }
            Sequential::Swap => {
                let (id, value) = fresh();
                held.push((current, Held::Owned(V::swap(&slot, value))));
                current = id;
            }
            Sequential::PutBack(which) => {
                if let Some((id, value)) = held.get(which % held.len().max(1)) {
                    V::store(&slot, value.value().clone());
                    current = *id;
                }
            }
            Sequential::Cas(which) => {
                if !held.is_empty() {
                    let (expected, value) = &held[which % held.len()];
                    let (id, new) = fresh();
                    let found = V::compare_and_swap(&slot, value.value(), new);
                    assert_eq!(found.id(), current, "what compare_and_swap found");
                    assert_eq!(found.same(value.value()), *expected == current);
                    let succeeded = *expected == current;
                    held.push((current, Held::Guard(found)));
                    if succeeded {
                        current = id;
                    }
                }
            }
            Sequential::CasOther => {
                let (_, new) = fresh();
                let found = V::compare_and_swap(&slot, &new, new.clone());
                held.push((current, Held::Guard(found)));
            }
        }
        assert_eq!(V::load(&slot).id(), current, "what stands there after {step:?}");
        for (id, value) in &held {
            assert_eq!(value.value().id(), *id, "what is held after {step:?}");
        }
        if dies {
            for id in 0..made {
                let alive = id == current || held.iter().any(|(other, _)| *other == id);
                let drops = ledger.drops(id);
                assert_eq!(drops, u64::from(!alive), "drops of value {id} after {step:?}");
            }
        }
    }
    drop(slot);
    drop(held);
    for id in 0..made {
        assert_eq!(ledger.drops(id), 1, "drops of value {id} at the end");
    }
}
