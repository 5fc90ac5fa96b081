use reveille_core::Tick;
use std::collections::VecDeque;

/// A timer store: targets by instant, earliest first, among equals by creation.
///
/// Entries in order, cut into blocks, by measurement: see `docs/decisions/0020-blocks-and-lines.md`. The usual work, to
/// take the first out and put one in behind the last or before the first, is done at one end of one block and moves
/// nothing. Elsewhere it moves a part of a block, and a part of the list of blocks where one is cut in two: no pause
/// that anybody would notice, however many wait.
///
/// Each target stands in it at most once, at an instant that its record keeps, so that moving it is a removal and
/// an insertion.
#[derive(Default)]
pub(super) struct Timers<const BLOCK: usize = 256>(VecDeque<Block>);

/// Neighbours, in order. Empty only if it is the only one.
struct Block {
    /// None of them is behind it, and all of the next block are: so a block is found without a look into each.
    last: Key,
    keys: VecDeque<Key>,
}

/// An instant, and the rank in the order of creation and the index of whose it is.
type Key = (Tick, u64, u32);

/// A target as the timers know it: its rank in the order of creation, and its index.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) created: u64,
    pub(super) index: u32,
}

impl<const BLOCK: usize> Timers<BLOCK> {
    /// A block keeps the room of so many, however few it has.
    const SMALL: usize = BLOCK / 16;

    /// Moves `entry` from instant to instant; those past [`Tick::HORIZON`] are not in the store.
    pub(super) fn set(&mut self, entry: Entry, from: Tick, to: Tick) {
        if from == to {
            return;
        }
        if from < Tick::HORIZON {
            self.remove((from, entry.created, entry.index));
        }
        if to < Tick::HORIZON {
            self.insert((to, entry.created, entry.index));
        }
    }

    /// The earliest instant, and whose it is.
    pub(super) fn first(&self) -> Option<(Tick, u32)> {
        let &(at, _, index) = self.0.front()?.keys.front()?;
        Some((at, index))
    }

    /// The earliest instant, or never.
    pub(super) fn earliest(&self) -> Tick {
        self.first().map_or(Tick::NEVER, |(at, _)| at)
    }

    /// Whether there may be more than so few.
    pub(super) fn has_more_than(&self, few: usize) -> bool {
        self.0.len() > 1 || self.0.front().is_some_and(|block| block.keys.len() > few)
    }

    /// Those up to an instant, earliest first.
    pub(super) fn up_to(&self, until: Tick) -> impl Iterator<Item = (Tick, Entry)> + Clone {
        let all = self.keys().map(|&(at, created, index)| (at, Entry { created, index }));
        all.take_while(move |&(at, _)| at <= until)
    }

    /// Whether the target stands in it at this instant.
    pub(super) fn has(&self, at: Tick, entry: Entry) -> bool {
        let key = (at, entry.created, entry.index);
        let block = self.0.get(self.block_of(key));
        block.is_some_and(|block| block.keys.binary_search(&key).is_ok())
    }

    /// All targets in the store.
    pub(super) fn indices(&self) -> Vec<u32> {
        self.keys().map(|&(_, _, index)| index).collect()
    }

    pub(super) fn clear(&mut self) {
        self.0 = VecDeque::new();
    }

    fn keys(&self) -> impl Iterator<Item = &Key> + Clone {
        self.0.iter().flat_map(|block| &block.keys)
    }

    /// The place of the only block in which `key` may stand; past the end for one behind all others.
    fn block_of(&self, key: Key) -> usize {
        self.0.partition_point(|block| block.last < key)
    }

    fn insert(&mut self, key: Key) {
        let Some(last) = self.0.back_mut() else { return self.0.push_back(Block::of(key)) };
        if last.last < key || last.keys.is_empty() {
            if last.keys.len() >= BLOCK {
                return self.0.push_back(Block::of(key));
            }
            last.keys.push_back(key);
            last.last = key;
            return;
        }
        let is_first = self.0.front().and_then(|block| block.keys.front()) > Some(&key);
        let place = if is_first { 0 } else { self.block_of(key) };
        let Some(block) = self.0.get_mut(place) else { return };
        if block.keys.len() < BLOCK {
            return block.insert(key);
        }
        let mut upper = block.cut();
        let half = if key <= block.last { &mut *block } else { &mut upper };
        half.insert(key);
        self.0.insert(place + 1, upper);
    }

    fn remove(&mut self, key: Key) {
        let place = match self.0.front_mut() {
            Some(first) if first.keys.front() == Some(&key) => {
                first.keys.pop_front();
                0
            }
            _ => {
                let place = self.block_of(key);
                let Some(block) = self.0.get_mut(place) else { return };
                block.remove(key);
                place
            }
        };
        let is_only = self.0.len() == 1;
        let Some(Block { keys, .. }) = self.0.get_mut(place) else { return };
        if keys.is_empty() && !is_only {
            self.0.remove(place);
            if self.0.len() < self.0.capacity() / 4 {
                self.0.shrink_to(self.0.capacity() / 2);
            }
        } else if keys.len() < keys.capacity() / 4 && keys.capacity() > Self::SMALL {
            // What is left takes no more room than a few times its own, and a few places (P15).
            keys.shrink_to(keys.capacity() / 2);
        }
    }
}

impl Block {
    fn of(key: Key) -> Self {
        Self { last: key, keys: VecDeque::from([key]) }
    }

    /// Puts in `key`, which is not behind its last, unless it is there.
    fn insert(&mut self, key: Key) {
        let is_first = self.keys.front() > Some(&key);
        let at = if is_first { Err(0) } else { self.keys.binary_search(&key) };
        if let Err(at) = at {
            self.keys.insert(at, key);
        }
    }

    fn remove(&mut self, key: Key) {
        if let Ok(at) = self.keys.binary_search(&key) {
            self.keys.remove(at);
        }
        // As near as can be: what comes behind it is quick to put in.
        self.last = self.keys.back().copied().unwrap_or(self.last);
    }

    /// Takes out the upper half.
    fn cut(&mut self) -> Self {
        let upper = Self { last: self.last, keys: self.keys.split_off(self.keys.len() / 2) };
        self.last = self.keys.back().copied().unwrap_or(self.last);
        upper
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// P8, P15: of many moves, in order or at random, the first is always the first, what is in the store is found,
    /// and no room is kept for what has gone.
    #[test]
    fn it_is_a_set_in_order() {
        compare::<4>();
        compare::<16>();
        compare::<256>();
    }

    fn compare<const BLOCK: usize>() {
        let mut rng = fastrand::Rng::with_seed(7);
        for (targets, span) in [(3, 5), (200, 50), (5_000, 20), (5_000, 1_000_000)] {
            let (mut timers, mut set) = (Timers::<BLOCK>::default(), BTreeSet::new());
            let mut at = vec![Tick::NEVER; targets as usize];
            for step in 0..100_000_u64 {
                let earliest = timers.first().filter(|_| rng.bool());
                let index = earliest.map_or_else(|| rng.u32(0..targets), |(_, index)| index);
                // More and fewer by turns, down to none.
                let leaves = if step / 10_000 % 2 == 0 { 1 } else { 5 };
                let to = match rng.u8(0..8) {
                    it if it < leaves => Tick::NEVER,
                    5 => Tick::from_micros(step),
                    6 => Tick::from_micros(step + rng.u64(0..span)),
                    _ => Tick::from_micros(step + span),
                };
                let entry = Entry { created: u64::from(targets - index), index };
                let from = std::mem::replace(&mut at[index as usize], to);
                assert_eq!(timers.has(from, entry), from != Tick::NEVER);
                timers.set(entry, from, to);
                if rng.u8(0..8) == 0 {
                    timers.set(entry, Tick::NEVER, to); // as who makes sure that it is there
                }
                set.remove(&(from, entry.created, index));
                if to != Tick::NEVER {
                    set.insert((to, entry.created, index));
                }
                let first = set.first().map(|&(at, _, index)| (at, index));
                assert_eq!(timers.first(), first, "{targets} targets in {span}");
                if step % 10_000 == 0 {
                    assert!(timers.keys().eq(&set));
                }
                let empty = timers.0.iter().filter(|block| block.keys.is_empty()).count();
                assert!(empty == 0 || timers.0.len() == 1, "{empty} empty blocks");
            }
            for index in 0..targets {
                let entry = Entry { created: u64::from(targets - index), index };
                timers.set(entry, at[index as usize], Tick::NEVER);
                let room: usize = timers.0.iter().map(|block| block.keys.capacity()).sum();
                let (keys, blocks) = (timers.keys().count(), timers.0.len());
                assert!(timers.0.capacity() <= 4 * blocks + 8, "{blocks} blocks");
                assert!(room <= 4 * keys + (BLOCK / 16 + 4) * blocks, "room of {room} for {keys}");
            }
            assert!(timers.first().is_none() && timers.0.len() <= 1);
        }
    }

    /// P11: what is due at the horizon or later is never armed.
    #[test]
    fn nothing_stands_past_the_horizon() {
        let mut timers = Timers::<4>::default();
        let entry = Entry { created: 1, index: 7 };
        let before = Tick::from_micros(Tick::HORIZON.as_micros() - 1);
        let mut from = Tick::NEVER;
        for (to, first) in [
            (Tick::HORIZON, None),
            (before, Some((before, 7))),
            (Tick::NEVER, None),
            (Tick::NOW, Some((Tick::NOW, 7))),
            (Tick::HORIZON, None),
        ] {
            timers.set(entry, from, to);
            assert_eq!(timers.first(), first, "{to:?}");
            from = to;
        }
    }
}
