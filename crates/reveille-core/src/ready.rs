use crate::sync::{AtomicU64, Ordering, WIDTH, fence};
use core::fmt;

/// Which targets have news: a hierarchical bitmap (P3, P15).
///
/// A bit means "look", never "there is": a spurious bit costs a look. Level 0 has a bit for
/// each index; each level above has a bit for each word below, until a level is one word. Four
/// levels reach 16 million.
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
/// with news in flight write no line that they share. The driver clears top down, by read-modify-writes: a
/// summary before its leaves. Whoever finds a word as the driver has left it, or as it became behind that,
/// acquires from it that the level above was cleared before, and so looks at that level as it is.
///
/// A bit that is found set at level 0 stands for news that is not the producer's own. There alone a
/// `SeqCst` fence is needed, between the news and the look, and one in [`drain`](Self::drain) between the
/// leaves and the news.
///
/// # Cost
/// `set`: a load a level (four at 10^6), a fence where the index is marked already, else a read-modify-write
/// for each bit that was clear; no allocation. `drain`: proportional to the words that have bits, not to the
/// capacity. Memory: capacity / 8 bytes and 1/64 of that a level, allocated once.
pub struct ReadySet {
    /// Level 0: a bit for each index.
    leaves: Box<[AtomicU64]>,
    /// The levels above; the last one is a word.
    summaries: Box<[Box<[AtomicU64]>]>,
    capacity: usize,
}

/// Proof that news was marked: its bits are set at every level. For one request.
#[derive(Debug)]
pub struct Marked(());

impl ReadySet {
    /// A set for the indices `0..capacity`, all clear. Allocates all of its memory here.
    pub fn with_capacity(capacity: usize) -> Self {
        let level = |bits: usize| -> Box<[AtomicU64]> {
            (0..bits.div_ceil(WIDTH)).map(|_| AtomicU64::new(0)).collect()
        };
        let leaves = level(capacity.max(1));
        let mut summaries = Vec::new();
        let mut bits = leaves.len();
        while bits > 1 {
            summaries.push(level(bits));
            bits = bits.div_ceil(WIDTH);
        }
        Self { leaves, summaries: summaries.into_boxed_slice(), capacity }
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
        if index < self.capacity {
            let (mut position, bit) = (index / WIDTH, 1 << (index % WIDTH));
            let leaf = &self.leaves[position];
            if !is_marked(leaf, bit) {
                // Release: the news, to the drain that clears this. Acquire: what the last drain did
                // before it cleared this word, to the looks below.
                leaf.fetch_or(bit, Ordering::AcqRel);
            }
            // Every level, also above a bit that is set: whoever set it may be stopped below this one.
            for level in &self.summaries {
                let (word, bit) = (&level[position / WIDTH], 1 << (position % WIDTH));
                // Acquire, of both: as above.
                if word.load(Ordering::Acquire) & bit == 0 {
                    word.fetch_or(bit, Ordering::AcqRel);
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
        self.drain_word(self.summaries.len(), 0, into);
        fence(Ordering::SeqCst); // partner: the fence of `is_marked`
    }

    /// Clears a word of the level at this `height`, and what is below it.
    fn drain_word(&self, height: usize, word: usize, into: &mut Vec<usize>) {
        let below = height.checked_sub(1);
        let level = below.map_or(&self.leaves, |below| &self.summaries[below]);
        // Acquire: the news behind the bits. Release: that the level above was cleared before this one, and
        // the deadline taken before that; partner: `set`.
        let mut bits = level[word].swap(0, Ordering::AcqRel);
        while bits != 0 {
            let position = word * WIDTH + bits.trailing_zeros() as usize;
            bits &= bits - 1;
            match below {
                None => into.push(position),
                Some(below) => self.drain_word(below, position, into),
            }
        }
    }
}

/// Whether somebody has set this bit of a leaf, and no drain can clear it without seeing the caller's news.
#[inline]
fn is_marked(leaf: &AtomicU64, bit: u64) -> bool {
    leaf.load(Ordering::Relaxed) & bit != 0 && {
        // Orders the news before the look below. Partner: the fence of `drain`. No weaker: a bit seen set
        // may be cleared by a drain that then misses the news.
        fence(Ordering::SeqCst);
        // Acquire: as in `set`.
        leaf.load(Ordering::Acquire) & bit != 0
    }
}

impl fmt::Debug for ReadySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set: u32 = self.leaves.iter().map(|w| w.load(Ordering::Relaxed).count_ones()).sum();
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
        assert_eq!(ReadySet::with_capacity(64).summaries.len(), 0);
        assert_eq!(ReadySet::with_capacity(65).summaries.len(), 1);
        assert_eq!(ReadySet::with_capacity(1 << 24).summaries.len(), 3);
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
