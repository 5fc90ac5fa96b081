//! A peer with targets that wait, and producers that wake them: what is timed end to end.

use crate::peers::{Fired, Peer, Start};
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
    /// The clock of each producer, read each 64th time: it is not what is measured.
    clocks: [AtomicU64; 2],
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
        let (made, clocks) = (AtomicU64::new(0), Default::default());
        let stand = Self { peer, targets, ended, others, made, clocks, origin, runtime };
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

    /// The same, as this producer read it last: each 64th time.
    pub fn coarse_micros(&self, producer: u64, n: u64) -> u64 {
        let clock = &self.clocks[producer as usize];
        if n.is_multiple_of(64) {
            clock.store(self.micros(), Ordering::Relaxed);
        }
        clock.load(Ordering::Relaxed)
    }

    /// So many wakes by each producer, end to end: until what was asked for last has fired. `wake` is told the
    /// producer's number, and how many it has made.
    ///
    /// # Panics
    /// Where a producer does.
    pub fn time(&self, producers: u64, wakes: u64, wake: impl Fn(u64, u64) + Sync) -> Duration {
        self.times(producers, wakes, wake).1
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
    pub fn times(
        &self,
        producers: u64,
        wakes: u64,
        wake: impl Fn(u64, u64) + Sync,
    ) -> (Duration, Duration) {
        let made = self.made.fetch_add(wakes, Ordering::Relaxed);
        let barrier = Barrier::new(producers as usize);
        let produce = |producer| {
            let _inside = self.runtime.enter(); // as a delay queue's user is
            barrier.wait();
            let start = Instant::now();
            for n in made..made + wakes {
                wake(producer, n);
            }
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

impl Drop for Stand {
    fn drop(&mut self) {
        self.peer.stop();
    }
}
