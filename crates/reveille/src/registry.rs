//! Which targets there are: by key for users, by index for the engine.
//!
//! Creating and removing targets takes a lock, outside what P16 promises; looking one up takes a
//! read lock. No lock is held while foreign code runs, but for `Eq` of a key on the thread that
//! looks it up, and none is poisoned by its panic.

use crate::node::Node;
use crate::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, SHARDS};
use hashbrown::{DefaultHashBuilder, HashTable};
use reveille_core::sync::{Arc, AtomicU64, Ordering};
use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::sync::PoisonError;

type Shard<K, P> = RwLock<HashTable<Arc<Node<K, P>>>>;

pub(crate) struct Registry<K, P> {
    hasher: DefaultHashBuilder,
    shards: [Shard<K, P>; SHARDS],
    indices: Mutex<Indices<K, P>>,
    /// 1 where there are newcomers; changed under the lock of the indices.
    has_newcomers: AtomicU64,
}

/// Who has which index, and who the engine does not know yet.
struct Indices<K, P> {
    free: Vec<u32>,
    next: u32,
    limit: u32,
    /// In the order of creation.
    newcomers: Vec<Arc<Node<K, P>>>,
}

/// All indices are taken.
pub(crate) struct Full<K>(pub(crate) K);

/// The bits of the 64 that a table reads, from the 32 that a node keeps.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

fn read<K, P>(shard: &Shard<K, P>) -> RwLockReadGuard<'_, HashTable<Arc<Node<K, P>>>> {
    shard.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<K, P>(shard: &Shard<K, P>) -> RwLockWriteGuard<'_, HashTable<Arc<Node<K, P>>>> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

impl<K: Eq + Hash, P> Registry<K, P> {
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            hasher: DefaultHashBuilder::default(),
            shards: std::array::from_fn(|_| RwLock::new(HashTable::new())),
            indices: Mutex::new(Indices {
                free: Vec::new(),
                next: 0,
                limit,
                newcomers: Vec::new(),
            }),
            has_newcomers: AtomicU64::new(0),
        }
    }

    fn indices(&self) -> MutexGuard<'_, Indices<K, P>> {
        self.indices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u32 {
        let hash = self.hasher.hash_one(key);
        (hash >> 32) as u32 ^ hash as u32
    }

    fn shard(&self, hash: u32) -> &Shard<K, P> {
        &self.shards[(hash.rotate_right(16) as usize) % self.shards.len()]
    }

    /// The target of this key, if there is one that takes wakes.
    pub(crate) fn find<Q>(&self, key: &Q) -> Option<Arc<Node<K, P>>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let hash = self.hash(key);
        let shard = read(self.shard(hash));
        let node = shard.find(spread(hash), |node| node.key.borrow() == key)?;
        (!node.word.load().is_closed()).then(|| Arc::clone(node))
    }

    /// The target of this key, made now if there is none.
    pub(crate) fn find_or_create(&self, key: K) -> Result<Arc<Node<K, P>>, Full<K>> {
        if let Some(node) = self.find(&key) {
            return Ok(node);
        }
        let hash = self.hash(&key);
        let mut shard = write(self.shard(hash));
        let found = shard.find_mut(spread(hash), |node| node.key == key);
        if let Some(node) = &found
            && !node.word.load().is_closed()
        {
            return Ok(Arc::clone(node));
        }
        let mut indices = self.indices();
        let Some(index) = indices.take() else { return Err(Full(key)) };
        let node = Arc::new(Node::new(key, index, hash));
        match found {
            // A removed target still holds the key: its last run must end before ours starts.
            Some(place) => {
                let removed = std::mem::replace(place, Arc::clone(&node));
                // Where that one never ran, it is its own predecessor's run that must end.
                let earlier = removed.extras().and_then(|extras| extras.predecessor.swap(None));
                node.extras_or_new().predecessor.store(Some(earlier.unwrap_or(removed)));
            }
            None => {
                shard.insert_unique(spread(hash), Arc::clone(&node), |node| spread(node.hash));
            }
        }
        // Last, and under the lock: the engine learns of it before anybody can wake it.
        indices.newcomers.push(Arc::clone(&node));
        // Relaxed: whoever wakes it has it from here, and the driver hears of that wake behind this.
        self.has_newcomers.store(1, Ordering::Relaxed);
        Ok(node)
    }

    /// The targets that were created since the last call, in the order of their creation, if there may be any.
    pub(crate) fn newcomers(&self) -> Option<Vec<Arc<Node<K, P>>>> {
        if self.has_newcomers.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut indices = self.indices();
        self.has_newcomers.store(0, Ordering::Relaxed);
        Some(std::mem::take(&mut indices.newcomers))
    }

    /// Forgets a removed target whose last run has ended; its index may be used again.
    pub(crate) fn collect(&self, node: &Arc<Node<K, P>>) {
        let mut shard = write(self.shard(node.hash));
        if let Ok(entry) = shard.find_entry(spread(node.hash), |other| Arc::ptr_eq(other, node)) {
            let (removed, _) = entry.remove();
            drop(shard);
            drop(removed); // never the last: the caller has one
        } else {
            drop(shard);
        }
        self.indices().free.push(node.index);
    }

    /// All targets, a shard at a time: wakes and runs go on meanwhile.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Arc<Node<K, P>>)) {
        for shard in &self.shards {
            let nodes: Vec<_> = read(shard).iter().map(Arc::clone).collect();
            nodes.iter().for_each(&mut visit);
        }
    }
}

impl<K, P> Indices<K, P> {
    fn take(&mut self) -> Option<u32> {
        if let Some(index) = self.free.pop() {
            return Some(index);
        }
        let index = self.next;
        (index < self.limit).then(|| {
            self.next += 1;
            index
        })
    }
}
