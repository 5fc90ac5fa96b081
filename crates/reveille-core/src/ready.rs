use crate::sync::{AtomicU64, Ordering, WIDTH};
use core::fmt;

/// Which targets have news: a hierarchical bitmap (P3, P15).
///
/// A bit means "look", never "there is": a spurious bit costs a look. Level 0 has a bit for
/// each index; each level above has a bit for each word below. Four levels reach 16 million.
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
/// A producer sets bottom up, at every level, whatever it finds: the one before it may be
/// stopped between two levels (P16, helping). The driver clears top down: a summary before its
/// leaves. So a bit set below a cleared summary leaves the summary set behind it. All accesses are
/// AcqRel read-modify-writes: the pair "set leaf, set summary" against "clear summary, clear
/// leaf" is store buffering, which needs that on all four.
///
/// # Cost
/// `set`: one read-modify-write a level (four at 10^6), no allocation. `drain`: proportional to
/// the words that have bits, not to the capacity. Memory: capacity / 8 bytes and 1/64 of that a
/// level, allocated once.
pub struct ReadySet {
    /// Leaves first; the last level is a single word.
    levels: Box<[Box<[AtomicU64]>]>,
    capacity: usize,
}

impl ReadySet {
    /// A set for the indices `0..capacity`, all clear. Allocates all of its memory here.
    pub fn with_capacity(capacity: usize) -> Self {
        let mut levels = Vec::new();
        let mut bits = capacity.max(1);
        loop {
            let words = bits.div_ceil(WIDTH);
            levels.push((0..words).map(|_| AtomicU64::new(0)).collect());
            if words == 1 {
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

    /// Says that `index` has news. Wait-free.
    ///
    /// An index outside the capacity is ignored: the bit is a hint, and there is nothing there.
    pub fn set(&self, index: usize) {
        if index >= self.capacity {
            return;
        }
        let mut position = index;
        for level in &self.levels {
            // AcqRel, at every level: releases the news to the drain that clears this bit.
            level[position / WIDTH].fetch_or(1 << (position % WIDTH), Ordering::AcqRel);
            position /= WIDTH;
        }
    }

    /// Clears all bits it finds and appends their indices to `into`, in ascending order.
    ///
    /// For the driver alone. Bits set meanwhile are found now or by the next drain. Runs no
    /// foreign code, so it cannot end early and lose what it cleared.
    pub fn drain(&self, into: &mut Vec<usize>) {
        self.drain_word(self.levels.len() - 1, 0, into);
    }

    fn drain_word(&self, level: usize, word: usize, into: &mut Vec<usize>) {
        // AcqRel: acquires what the setter did before; ordered before the words below.
        let mut bits = self.levels[level][word].swap(0, Ordering::AcqRel);
        while bits != 0 {
            let position = word * WIDTH + bits.trailing_zeros() as usize;
            bits &= bits - 1;
            match level {
                0 => into.push(position),
                _ => self.drain_word(level - 1, position, into),
            }
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
        assert_eq!(ReadySet::with_capacity(64).levels.len(), 1);
        assert_eq!(ReadySet::with_capacity(1_000_000).levels.len(), 4);
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
                    scope.spawn(move || (0..5_000).for_each(|i| set.set(2 * i + half)))
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
