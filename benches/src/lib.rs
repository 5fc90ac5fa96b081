//! What the benchmarks share: the scheduler that one would write instead, in fifty lines, and [others](peers).

pub mod peers;
pub mod stand;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A mutex around a heap and a map, and a condition variable: what most people write, and what
/// most need. Wakes of a key merge by earliest due. It has no handler to replace, no floors, no
/// runs in flight, no counters and no stop: its figures are a lower bound for the approach.
pub struct HeapScheduler<K> {
    state: Mutex<State<K>>,
    changed: Condvar,
}

struct State<K> {
    /// When each waiting key is due, in microseconds.
    due: HashMap<K, u64>,
    /// The same by instant, with stale entries that are skipped.
    queue: BinaryHeap<Reverse<(u64, K)>>,
}

impl<K: Ord> Default for HeapScheduler<K> {
    fn default() -> Self {
        let state = State { due: HashMap::new(), queue: BinaryHeap::new() };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl<K: Eq + Hash + Ord + Copy> HeapScheduler<K> {
    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests that `key` be run at `due`. True if nothing as early was asked for before.
    pub fn wake(&self, key: K, due: u64) -> bool {
        let mut state = self.lock();
        match state.due.get_mut(&key) {
            Some(earlier) if *earlier <= due => return false,
            Some(later) => *later = due,
            None => {
                state.due.insert(key, due);
            }
        }
        let was = state.queue.peek().map(|&Reverse((at, _))| at);
        state.queue.push(Reverse((due, key)));
        // A long row of preempting requests must not fill the memory.
        if state.queue.len() > 2 * state.due.len() + 64 {
            let State { due, queue } = &mut *state;
            queue.retain(|Reverse((at, key))| due.get(key) == Some(at));
        }
        drop(state);
        if was.is_none_or(|was| due < was) {
            self.changed.notify_one();
        }
        true
    }

    /// Takes a key that is due at `now`.
    pub fn next(&self, now: u64) -> Option<K> {
        self.lock().next(now)
    }

    /// Waits for a key that is due, on the clock that started at `origin`; gives up at `limit`.
    pub fn wait(&self, origin: Instant, limit: Duration) -> Option<K> {
        let mut state = self.lock();
        loop {
            let elapsed = origin.elapsed();
            let now = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
            if let Some(key) = state.next(now) {
                return Some(key);
            }
            if elapsed >= limit {
                return None;
            }
            let until = state.queue.peek().map_or(u64::MAX, |&Reverse((at, _))| at);
            let left = Duration::from_micros(until).min(limit).saturating_sub(elapsed);
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl<K: Eq + Hash + Ord + Copy> State<K> {
    fn next(&mut self, now: u64) -> Option<K> {
        while let Some(&Reverse((at, key))) = self.queue.peek() {
            let stale = self.due.get(&key) != Some(&at);
            if !stale && at > now {
                return None;
            }
            self.queue.pop();
            if !stale {
                self.due.remove(&key);
                return Some(key);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wakes_merge_by_earliest_due() {
        let scheduler = HeapScheduler::default();
        assert!(scheduler.wake('a', 50));
        assert!(!scheduler.wake('a', 60));
        assert!(scheduler.wake('b', 40));
        assert!(scheduler.wake('a', 30));
        assert_eq!(scheduler.next(29), None);
        assert_eq!(scheduler.next(30), Some('a'));
        assert_eq!(scheduler.next(30), None);
        assert_eq!(scheduler.next(90), Some('b'));
        assert_eq!(scheduler.next(90), None, "the later entry of `a` is stale");
        assert_eq!(scheduler.wait(Instant::now(), Duration::from_millis(1)), None);
    }
}
