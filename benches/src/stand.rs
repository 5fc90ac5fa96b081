//! A peer with targets that wait, and producers that wake them: what is timed end to end.

use crate::peers::{Fired, Peer, Row, Start};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// An hour from the origin, in microseconds: nothing that is due then fires while it is measured.
pub const HOUR: u64 = 3_600_000_000;

/// One peer, running.
pub struct Stand {
    peer: Arc<dyn Peer>,
    /// How many targets there are; one more is there to be waited for.
    targets: u32,
    ended: crossbeam_channel::Receiver<()>,
    others: Arc<AtomicU32>,
    /// Wakes of each producer so far.
    made: AtomicU64,
    origin: tokio::time::Instant,
    runtime: Runtime,
}

impl Stand {
    /// Starts a peer of so many targets.
    ///
    /// # Panics
    /// Where a runtime or a thread cannot be started: then there is nothing to measure.
    pub fn new(start: Start, targets: u32) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_time().build().expect("a runtime");
        let inside = runtime.enter();
        let (tell, ended) = crossbeam_channel::unbounded();
        let others = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&others);
        let fired: Fired = Arc::new(move |target| {
            if target == targets {
                let _ = tell.send(());
            } else {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        let origin = tokio::time::Instant::now();
        let peer = start(targets + 1, origin, fired);
        drop(inside);
        let made = AtomicU64::new(0);
        let stand = Self { peer, targets, ended, others, made, origin, runtime };
        stand.flush();
        stand
    }

    /// The peer.
    pub fn peer(&self) -> &dyn Peer {
        &*self.peer
    }

    /// When its clock started.
    pub fn origin(&self) -> tokio::time::Instant {
        self.origin
    }

    /// How often another target than the one that is waited for has fired.
    pub fn fired(&self) -> u32 {
        self.others.load(Ordering::Relaxed)
    }

    /// All that was asked for up to here has reached the scheduler: one more target has fired, which was asked
    /// for last.
    ///
    /// # Panics
    /// Where the scheduler has died.
    pub fn flush(&self) {
        let _inside = self.runtime.enter();
        self.peer.wake(self.targets, 0);
        self.ended.recv().expect("the scheduler runs");
    }

    /// Has all targets wait until `due`.
    pub fn all_wait(&self, due: u64) {
        {
            let _inside = self.runtime.enter();
            (0..self.targets).for_each(|target| self.peer.wake(target, due));
        }
        self.flush();
    }

    /// Microseconds from the origin.
    pub fn micros(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// So many wakes by each producer, end to end: until what was asked for last has fired.
    ///
    /// # Panics
    /// Where a producer does.
    pub fn time(&self, producers: u64, wakes: u64, work: &Work) -> Duration {
        self.times(producers, wakes, work).1
    }

    /// How long a flush takes that has nothing to wait for: the median.
    pub fn idle_flush(&self) -> Duration {
        let mut times: Vec<Duration> = (0..64)
            .map(|_| {
                let start = Instant::now();
                self.flush();
                start.elapsed()
            })
            .collect();
        times.sort_unstable();
        times[times.len() / 2]
    }

    /// How long that takes until the producers have made all, and until what was asked for last has fired.
    ///
    /// # Panics
    /// Where a producer does.
    pub fn times(&self, producers: u64, wakes: u64, work: &Work) -> (Duration, Duration) {
        let made = self.made.fetch_add(wakes, Ordering::Relaxed);
        let barrier = Barrier::new(producers as usize);
        let produce = |producer| {
            let _inside = self.runtime.enter(); // as a delay queue's user is
            barrier.wait();
            let start = Instant::now();
            work.make(self, producer, made..made + wakes);
            start
        };
        let start = std::thread::scope(|scope| {
            let others: Vec<_> =
                (1..producers).map(|producer| scope.spawn(move || produce(producer))).collect();
            let mine = produce(0);
            let theirs = others.into_iter().map(|other| other.join().expect("it ends"));
            theirs.fold(mine, Instant::min)
        });
        let produced = start.elapsed();
        self.flush();
        (produced, start.elapsed())
    }
}

/// What producers ask for, again and again. It is made before: what is measured is neither a division nor a
/// random number.
pub struct Work {
    /// The wakes of each producer.
    pub wakes: [Vec<Row>; 2],
    /// So many of them have one instant from which they count.
    pub row: usize,
    /// That instant, by how many rows came before.
    pub from: fn(&Stand, u64) -> u64,
    /// Each is due so long from now instead.
    pub delay: Option<Duration>,
}

impl Work {
    /// Each target finds a wake that serves this one too.
    pub fn coalescing(targets: u32) -> Self {
        let wake =
            |producer: u32, n: u32| ((n * 7 + producer * 500) % targets, u64::from(n) % 1_000);
        let wakes = [0, 1].map(|producer| (0..targets).map(|n| wake(producer, n)).collect());
        Self { wakes, row: targets as usize, from: |_, _| HOUR, delay: None }
    }

    /// The same for a delay of two hours.
    pub fn relative(targets: u32) -> Self {
        Self { delay: Some(Duration::from_secs(7_200)), ..Self::coalescing(targets) }
    }

    /// Each producer has targets of its own, and each wake is due sooner than the one that waits: far from now.
    pub fn preempting(targets: u32) -> Self {
        let own = targets / 2;
        let wakes = [0, own].map(|first| (first..first + own).map(|target| (target, 0)).collect());
        Self { wakes, row: own as usize, from: |_, row| HOUR - 1 - row, delay: None }
    }

    /// A random target, due in 1 to 50 ms; what is due fires. The clock is read for each 64th.
    pub fn mixed(targets: u32) -> Self {
        let wake = |_| (fastrand::u32(..targets), fastrand::u64(1_000..50_000));
        let wakes = [(); 2].map(|()| (0..targets.max(1 << 15) * 2).map(wake).collect());
        Self { wakes, row: 64, from: |stand, _| stand.micros(), delay: None }
    }

    /// Each target in turn, each due far from now.
    pub fn first(targets: u32) -> Self {
        let wakes = [(0..targets).map(|target| (target, target.into())).collect(), Vec::new()];
        Self { wakes, row: targets as usize, from: |_, _| HOUR, delay: None }
    }

    /// What this producer makes as the wakes of these numbers.
    fn make(&self, stand: &Stand, producer: u64, numbers: Range<u64>) {
        let all = &self.wakes[producer as usize];
        let Range { start: mut made, end } = numbers;
        while made < end {
            let place = (made % all.len() as u64) as usize;
            let left = self.row - place % self.row;
            let row = &all[place..all.len().min(place + left)];
            let row = &row[..row.len().min((end - made) as usize)];
            match self.delay {
                Some(delay) => stand.peer.wake_row_within(row, delay, stand.origin),
                None => stand.peer.wake_row(row, (self.from)(stand, made / self.row as u64)),
            }
            made += row.len() as u64;
        }
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.peer.stop();
    }
}
