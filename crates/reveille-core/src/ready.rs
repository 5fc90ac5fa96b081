use crate::sync::{AtomicU64, Ordering, ROOTS, WIDTH, fence};
use core::fmt;

/// Which targets have news: a hierarchical bitmap (P3, P15).
///
/// A bit means "look", never "there is": a spurious bit costs a look. Level 0 has a bit for
/// each index; each level above has a bit for each word below, until a level is one cache line. Three
/// levels reach two million.
///
/// ```text
///   level 1          [ 0 1 0 … ]            a bit says: that word below may have bits
///                        │
///   level 0  [ … ]   [ 0 0 1 1 … ]   [ … ]  a bit says: look at that index
/// ```
///
/// # Roles
/// Any number of producers [`set`](Self::set); one driver [`drains`](Self::drain).
///
/// # Synchronisation
/// A producer goes bottom up, through every level, whatever it finds: the one before it may be
/// stopped between two levels (P16, helping). It writes only what it does not find set, so that producers
/// with news in flight write no line that they share. The driver clears top down: a summary before its
/// leaves. Each step of the one and each step of the other are store buffering ("write mine, look at
/// yours"), so a `SeqCst` fence stands between any two steps, on both sides: the news before the looks, a
/// bit that is set before the level above; a summary that is cleared before its leaves, and all of them
/// before the news that the driver looks at.
///
/// # Cost
/// `set`: a fence and a load a level (three at 10^6), and a read-modify-write and a fence for each bit that
/// was clear; no allocation. `drain`: proportional to the words that have bits, not to the capacity.
/// Memory: capacity / 8 bytes and 1/64 of that a level, allocated once.
pub struct ReadySet {
    /// Leaves first; the last level is a cache line at most.
    levels: Box<[Box<[AtomicU64]>]>,
    capacity: usize,
}

/// Proof that news was marked: its bits are set at every level, and a fence stands behind that. For one request.
#[derive(Debug)]
pub struct Marked(());

impl ReadySet {
    /// A set for the indices `0..capacity`, all clear. Allocates all of its memory here.
    pub fn with_capacity(capacity: usize) -> Self {
        let mut levels = Vec::new();
        let mut bits = capacity.max(1);
        loop {
            let words = bits.div_ceil(WIDTH);
            levels.push((0..words).map(|_| AtomicU64::new(0)).collect());
            if words <= ROOTS {
                break;
            }
            bits = words;
        }
        Self { levels: levels.into_boxed_slice(), capacity }
    }

    /// How many indices the set has.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Says that `index` has news, which the caller has written before. Wait-free.
    ///
    /// An index outside the capacity is ignored: the bit is a hint, and there is nothing there.
    #[inline]
    pub fn set(&self, index: usize) -> Marked {
        // Orders the news before the loads below. Partner: the last fence of `drain`. No weaker: a bit
        // seen set may be cleared by a drain that then misses the news.
        fence(Ordering::SeqCst);
        if index < self.capacity {
            let mut position = index;
            // Every level, also above a bit that is set: whoever set it may be stopped below this one.
            for level in &self.levels {
                let (word, bit) = (&level[position / WIDTH], 1 << (position % WIDTH));
                if word.load(Ordering::Relaxed) & bit == 0 {
                    // AcqRel: one strength for all that change this word; the fences carry the order.
                    word.fetch_or(bit, Ordering::AcqRel);
                    // Orders this bit before the load of the level above, and the last one before what
                    // the caller looks at. Partners: the fences of `drain`.
                    fence(Ordering::SeqCst);
                }
                position /= WIDTH;
            }
        }
        Marked(())
    }

    /// Clears all bits it finds and appends their indices to `into`, in ascending order. What the caller
    /// then reads of an index is no older than its bit.
    ///
    /// For the driver alone. Bits set meanwhile are found now or by the next drain. Runs no
    /// foreign code, so it cannot end early and lose what it cleared.
    pub fn drain(&self, into: &mut Vec<usize>) {
        // What the driver wrote before (it took the deadline) comes before the looks. Partner: the fence
        // of `set` that comes last, before the producer looks at the deadline.
        fence(Ordering::SeqCst);
        if let Some((top, below)) = self.levels.split_last() {
            for (word, place) in top.iter().enumerate() {
                // Of several, most have none: a load takes no line from producers that look at it.
                if top.len() == 1 || place.load(Ordering::Relaxed) != 0 {
                    drain_word(top, below, word, into);
                }
            }
        }
        fence(Ordering::SeqCst); // partner: the first fence of `set`
    }
}

/// Clears a word of `level`, and what is `below` it.
fn drain_word(level: &[AtomicU64], below: &[Box<[AtomicU64]>], word: usize, into: &mut Vec<usize>) {
    // AcqRel: as in `set`.
    let mut bits = level[word].swap(0, Ordering::AcqRel);
    let below = below.split_last();
    if below.is_some() {
        fence(Ordering::SeqCst); // this summary before its leaves; partner: the fence behind a leaf
    }
    while bits != 0 {
        let position = word * WIDTH + bits.trailing_zeros() as usize;
        bits &= bits - 1;
        match below {
            None => into.push(position),
            Some((level, below)) => drain_word(level, below, position, into),
        }
    }
}

impl fmt::Debug for ReadySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set: u32 = self.levels[0].iter().map(|w| w.load(Ordering::Relaxed).count_ones()).sum();
        f.debug_struct("ReadySet").field("capacity", &self.capacity).field("set", &set).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(set: &ReadySet) -> Vec<usize> {
        let mut all = Vec::new();
        set.drain(&mut all);
        all
    }

    /// P3: each index that was set is drained once, at every size of the hierarchy.
    #[test]
    fn what_is_set_is_drained_once() {
        for capacity in [1, 63, 64, 65, 4_096, 4_097, 262_145, 1 << 20] {
            let set = ReadySet::with_capacity(capacity);
            assert_eq!(set.capacity(), capacity);
            let mut indices = vec![0, capacity / 3, capacity / 2, capacity - 1];
            for &index in indices.iter().chain(&indices) {
                set.set(index);
            }
            indices.dedup();
            assert_eq!(drained(&set), indices, "capacity {capacity}");
            assert_eq!(drained(&set), [], "capacity {capacity}");
        }
    }

    #[test]
    fn an_index_outside_is_ignored() {
        let set = ReadySet::with_capacity(64);
        set.set(64);
        set.set(usize::MAX);
        assert_eq!(drained(&set), []);
    }

    #[test]
    fn levels_are_as_documented() {
        assert_eq!(ReadySet::with_capacity(512).levels.len(), 1);
        assert_eq!(ReadySet::with_capacity(513).levels.len(), 2);
        assert_eq!(ReadySet::with_capacity(1 << 21).levels.len(), 3);
        assert_eq!(ReadySet::with_capacity(0).capacity(), 0);
    }

    /// P3 under real threads: nothing that was set stays behind.
    #[test]
    fn concurrent_sets_are_all_drained() {
        let set = ReadySet::with_capacity(10_000);
        let mut all = Vec::new();
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..2)
                .map(|half| {
                    let set = &set;
                    scope.spawn(move || {
                        (0..5_000).for_each(|i| {
                            set.set(2 * i + half);
                        })
                    })
                })
                .collect();
            while workers.iter().any(|w| !w.is_finished()) {
                set.drain(&mut all);
            }
        });
        set.drain(&mut all);
        all.sort_unstable();
        assert_eq!(all, (0..10_000).collect::<Vec<_>>());
    }
}
