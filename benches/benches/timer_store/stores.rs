//! The candidates, behind the interface that the engine uses.

use hashbrown::DefaultHashBuilder;
use reveille::Tick;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// Not in the store.
pub(crate) const NEVER: u64 = u64::MAX;

/// A target as the engine's timers know it. Ties are broken by creation.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) created: u64,
    pub(crate) index: u32,
}

/// A store of targets by instant. Each stands in it at most once.
pub(crate) trait Store {
    /// For targets with an index below `targets`.
    fn new(targets: u32) -> Self;
    /// Moves `entry` from instant to instant.
    fn set(&mut self, entry: Entry, from: u64, to: u64);
    /// The earliest instant, and whose it is.
    fn first(&mut self) -> Option<(u64, Entry)>;
}

fn entry(created: u64, index: u32) -> Entry {
    Entry { created, index }
}

/// What the engine had once.
pub(crate) struct Tree(BTreeSet<(u64, u64, u32)>);

impl Store for Tree {
    fn new(_: u32) -> Self {
        Self(BTreeSet::new())
    }

    fn set(&mut self, entry: Entry, from: u64, to: u64) {
        if from != NEVER {
            self.0.remove(&(from, entry.created, entry.index));
        }
        if to != NEVER {
            self.0.insert((to, entry.created, entry.index));
        }
    }

    fn first(&mut self) -> Option<(u64, Entry)> {
        self.0.first().map(|&(at, created, index)| (at, entry(created, index)))
    }
}

/// A heap that finds stale entries when they come to the top, or when they are too many. Each
/// entry has the number of the move that made it, since an instant alone does not tell a stale
/// entry from a new one where a target was moved away and back.
macro_rules! lazy {
    ($(#[$meta:meta])* $name:ident, $heap:ty) => {
        $(#[$meta])*
        pub(crate) struct $name {
            heap: $heap,
            /// The latest move of each target; 0 if it is not in the store.
            moves: Vec<u32>,
            next: u32,
            live: usize,
        }

        impl Store for $name {
            fn new(targets: u32) -> Self {
                Self { heap: <$heap>::new(), moves: vec![0; targets as usize], next: 0, live: 0 }
            }

            fn set(&mut self, entry: Entry, _: u64, to: u64) {
                let latest = &mut self.moves[entry.index as usize];
                self.live -= usize::from(*latest != 0);
                *latest = 0;
                if to != NEVER {
                    self.next = self.next.checked_add(1).unwrap_or(1);
                    *latest = self.next;
                    self.live += 1;
                    self.heap.push(Reverse((to, entry.created, entry.index, self.next)));
                    // Memory must not grow with the number of requests.
                    if self.heap.len() > 2 * self.live + 64 {
                        let moves = &self.moves;
                        self.heap.retain(|Reverse((_, _, index, n))| moves[*index as usize] == *n);
                    }
                }
            }

            fn first(&mut self) -> Option<(u64, Entry)> {
                while let Some(&Reverse((at, created, index, n))) = self.heap.peek() {
                    if self.moves[index as usize] == n {
                        return Some((at, entry(created, index)));
                    }
                    self.heap.pop();
                }
                None
            }
        }
    };
}

type Item = Reverse<(u64, u64, u32, u32)>;

lazy! {
    /// std's heap, with lazy deletion.
    LazyHeap, BinaryHeap<Item>
}
lazy! {
    /// The same with four children a node (`dary_heap`).
    LazyQuaternary, dary_heap::QuaternaryHeap<Item>
}

/// The crate `priority-queue`: a heap and a hash map from target to place.
pub(crate) struct PriorityQueue(
    priority_queue::PriorityQueue<u32, Reverse<(u64, u64)>, DefaultHashBuilder>,
);

impl Store for PriorityQueue {
    fn new(_: u32) -> Self {
        Self(priority_queue::PriorityQueue::with_default_hasher())
    }

    fn set(&mut self, entry: Entry, from: u64, to: u64) {
        let priority = Reverse((to, entry.created));
        match (from, to) {
            (_, NEVER) => {
                self.0.remove(&entry.index);
            }
            (NEVER, _) => {
                self.0.push(entry.index, priority);
            }
            _ => {
                self.0.change_priority(&entry.index, priority);
            }
        }
    }

    fn first(&mut self) -> Option<(u64, Entry)> {
        self.0.peek().map(|(&index, &Reverse((at, created)))| (at, entry(created, index)))
    }
}

/// The crate `keyed_priority_queue`: the same idea.
pub(crate) struct KeyedQueue(
    keyed_priority_queue::KeyedPriorityQueue<u32, Reverse<(u64, u64)>, DefaultHashBuilder>,
);

impl Store for KeyedQueue {
    fn new(_: u32) -> Self {
        Self(keyed_priority_queue::KeyedPriorityQueue::with_hasher(DefaultHashBuilder::default()))
    }

    fn set(&mut self, entry: Entry, from: u64, to: u64) {
        let priority = Reverse((to, entry.created));
        match (from, to) {
            (_, NEVER) => {
                self.0.remove(&entry.index);
            }
            (NEVER, _) => {
                self.0.push(entry.index, priority);
            }
            _ => {
                let _ = self.0.set_priority(&entry.index, priority); // it is there
            }
        }
    }

    fn first(&mut self) -> Option<(u64, Entry)> {
        self.0.peek().map(|(&index, &Reverse((at, created)))| (at, entry(created, index)))
    }
}

/// The crate `orx-priority-queue`: four children a node, and an array from target to place.
pub(crate) struct OrxQuaternary(orx_priority_queue::QuaternaryHeapOfIndices<u32, (u64, u64)>);

impl Store for OrxQuaternary {
    fn new(targets: u32) -> Self {
        Self(orx_priority_queue::QuaternaryHeapOfIndices::with_index_bound(targets as usize))
    }

    fn set(&mut self, entry: Entry, from: u64, to: u64) {
        use orx_priority_queue::{PriorityQueue as _, PriorityQueueDecKey as _};
        match (from, to) {
            (_, NEVER) => {
                self.0.remove(&entry.index);
            }
            (NEVER, _) => self.0.push(entry.index, (to, entry.created)),
            _ => {
                self.0.update_key(&entry.index, (to, entry.created));
            }
        }
    }

    fn first(&mut self) -> Option<(u64, Entry)> {
        use orx_priority_queue::PriorityQueue as _;
        self.0.peek().map(|&(index, (at, created))| (at, entry(created, index)))
    }
}

/// The same by hand, in safe code: what it would cost to have no dependency for it.
pub(crate) struct IndexedQuaternary {
    heap: Vec<(u64, u64, u32)>,
    /// Where each target stands in the heap.
    places: Vec<u32>,
}

const ABSENT: u32 = u32::MAX;

impl IndexedQuaternary {
    fn put(&mut self, place: usize, item: (u64, u64, u32)) {
        self.heap[place] = item;
        self.places[item.2 as usize] = place as u32;
    }

    fn rise(&mut self, mut place: usize) -> usize {
        let item = self.heap[place];
        while place > 0 {
            let parent = (place - 1) / 4;
            if self.heap[parent] <= item {
                break;
            }
            self.put(place, self.heap[parent]);
            place = parent;
        }
        self.put(place, item);
        place
    }

    fn sink(&mut self, mut place: usize) {
        let item = self.heap[place];
        loop {
            let first = 4 * place + 1;
            let children = first..(first + 4).min(self.heap.len());
            let Some(least) = children.min_by_key(|&child| self.heap[child]) else { break };
            if item <= self.heap[least] {
                break;
            }
            self.put(place, self.heap[least]);
            place = least;
        }
        self.put(place, item);
    }
}

impl Store for IndexedQuaternary {
    fn new(targets: u32) -> Self {
        Self { heap: Vec::new(), places: vec![ABSENT; targets as usize] }
    }

    fn set(&mut self, entry: Entry, _: u64, to: u64) {
        let place = self.places[entry.index as usize];
        let item = (to, entry.created, entry.index);
        match (place, to) {
            (ABSENT, NEVER) => {}
            (ABSENT, _) => {
                self.heap.push(item);
                self.rise(self.heap.len() - 1);
            }
            (place, NEVER) => {
                self.places[entry.index as usize] = ABSENT;
                let last = self.heap.pop();
                if let Some(last) = last.filter(|_| (place as usize) < self.heap.len()) {
                    self.put(place as usize, last);
                    let risen = self.rise(place as usize);
                    self.sink(risen);
                }
            }
            (place, _) => {
                self.put(place as usize, item);
                let risen = self.rise(place as usize);
                self.sink(risen);
            }
        }
    }

    fn first(&mut self) -> Option<(u64, Entry)> {
        self.heap.first().map(|&(at, created, index)| (at, entry(created, index)))
    }
}

/// What the engine has: the very code.
#[path = "../../../crates/reveille/src/engine/timers.rs"]
#[allow(dead_code, unused_imports, reason = "not all of it is compared here, nor tested")]
mod timers;

pub(crate) struct Blocks(timers::Timers);

impl Store for Blocks {
    fn new(_: u32) -> Self {
        Self(timers::Timers::default())
    }

    fn set(&mut self, entry: Entry, from: u64, to: u64) {
        let entry = timers::Entry { created: entry.created, index: entry.index };
        self.0.set(entry, Tick::from_micros(from), Tick::from_micros(to));
    }

    fn first(&mut self) -> Option<(u64, Entry)> {
        let (at, index) = self.0.first()?;
        // Here targets were created in the order of their indices.
        Some((at.as_micros(), entry(u64::from(index), index)))
    }
}
