//! What a user would pick instead, each as a user would write it: wakes of a target merge by earliest due,
//! and each target that is due is handed out once.
//!
//! None of them has a handler to replace, floors, runs in flight, counters or a stop: their figures are a
//! lower bound for their approach. A test shows that all of them, and Reveille, do the same work.

use crate::HeapScheduler;
use hierarchical_hash_wheel_timer::wheels::Skip;
use hierarchical_hash_wheel_timer::wheels::quad_wheel::{QuadWheelWithOverflow, no_prune};
use reveille::{Precision, Reveille, Run, Target, Tick, Wake};
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant as TokioInstant, sleep_until};
use tokio_util::time::DelayQueue;
use tokio_util::time::delay_queue::Key;

/// Is told of each target that fires, on the thread or task that found it due.
pub type Fired = Arc<dyn Fn(u32) + Send + Sync>;

/// A wake of a row: the target, and how long after the row's instant it is due, in microseconds.
pub type Row = (u32, u64);

/// A scheduler of so many targets, known by their index, with a driver that runs.
pub trait Peer: Send + Sync + 'static {
    /// Requests that `target` be run so many microseconds after the origin, or earlier.
    fn wake(&self, target: u32, due: u64);

    /// The same for an instant so long from now, on the clock that started at `origin`.
    #[inline]
    fn wake_within(&self, target: u32, delay: Duration, origin: TokioInstant) {
        self.wake(target, micros(origin.elapsed() + delay));
    }

    /// A row of wakes: of each target, so long after `from`. The loop is compiled for each peer, so that no
    /// call through a pointer is measured with every wake.
    fn wake_row(&self, row: &[Row], from: u64) {
        for &(target, after) in row {
            self.wake(target, from + after);
        }
    }

    /// A row of wakes, each so long from now.
    fn wake_row_within(&self, row: &[Row], delay: Duration, origin: TokioInstant) {
        for &(target, _) in row {
            self.wake_within(target, delay, origin);
        }
    }

    /// Ends its driver, where that does not end with the runtime or the peer.
    fn stop(&self) {}
}

/// How a peer is started: for so many targets, on a clock that starts at the instant, telling what fires.
/// To be called inside a tokio runtime.
pub type Start = fn(u32, TokioInstant, Fired) -> Arc<dyn Peer>;

/// All of them by name, Reveille first. Those that find a target by its index do so, as Reveille's handles do;
/// Reveille by key stands beside it, and so does one whose driver runs handlers itself, as all the others do.
pub const PEERS: &[(&str, Start)] = &[
    ("reveille", |targets, _, fired| Arc::new(Ours::start(targets, fired, Precision::new()))),
    ("reveille_inline", |targets, _, fired| {
        Arc::new(Ours::start(targets, fired, Precision::new().inline()))
    }),
    ("reveille_by_key", |targets, _, fired| {
        Arc::new(ByKey(Ours::start(targets, fired, Precision::new())))
    }),
    ("heap_condvar", |_, origin, fired| HeapCondvar::start(origin, fired)),
    ("btree_notify", |targets, origin, fired| BTreeNotify::start(targets, origin, fired)),
    ("delay_queue_mutex", |targets, origin, fired| DelayQueueMutex::start(targets, origin, fired)),
    ("delay_queue_channel", |targets, origin, fired| {
        Arc::new(DelayQueueChannel::start(targets, origin, fired))
    }),
    #[cfg(feature = "kube")]
    ("kube_scheduler", |_, origin, fired| Arc::new(KubeScheduler::start(origin, fired))),
    ("wheel_mutex", |targets, origin, fired| WheelMutex::start(targets, origin, fired)),
    ("watch_sleep_until", |targets, origin, fired| {
        Arc::new(WatchSleep::start(targets, origin, fired))
    }),
    ("crossbeam_actor", |targets, origin, fired| {
        Arc::new(CrossbeamActor::start(targets, origin, fired))
    }),
];

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reveille with its own thread, by handles.
struct Ours {
    hub: Reveille<u32>,
    targets: Vec<Target<u32>>,
    _driver: reveille::Driver,
}

impl Ours {
    fn start(targets: u32, fired: Fired, precision: Precision) -> Self {
        let hub: Reveille<u32> =
            reveille::Builder::new().build().expect("the default policy holds");
        hub.install(move |run: &Run<u32>| fired(*run.key())).expect("it has not stopped").keep();
        let driver = hub.drive_with(precision).expect("it has no driver");
        let target = |key| hub.target(key).expect("there is room");
        let targets = (0..targets).map(target).collect();
        Self { hub, targets, _driver: driver }
    }
}

impl Peer for Ours {
    #[inline]
    fn wake(&self, target: u32, due: u64) {
        self.targets[target as usize].wake(Wake::at(Tick::from_micros(due)));
    }

    #[inline]
    fn wake_within(&self, target: u32, delay: Duration, _: TokioInstant) {
        self.targets[target as usize].wake(Wake::within(delay));
    }

    fn stop(&self) {
        self.hub.stop();
    }
}

/// The same, looking the target up at each wake.
struct ByKey(Ours);

impl Peer for ByKey {
    #[inline]
    fn wake(&self, target: u32, due: u64) {
        self.0.hub.wake(target, Wake::at(Tick::from_micros(due)));
    }

    #[inline]
    fn wake_within(&self, target: u32, delay: Duration, _: TokioInstant) {
        self.0.hub.wake(target, Wake::within(delay));
    }

    fn stop(&self) {
        self.0.stop();
    }
}

/// A mutex around a heap and a map, and a condition variable.
struct HeapCondvar(HeapScheduler<u32>);

/// No target; wakes the thread that is to end.
const END: u32 = u32::MAX;

impl HeapCondvar {
    fn start(origin: TokioInstant, fired: Fired) -> Arc<Self> {
        let peer = Arc::new(Self(HeapScheduler::default()));
        let (theirs, origin) = (Arc::clone(&peer), origin.into_std());
        thread::spawn(move || {
            while let Some(target) = theirs.0.wait(origin, Duration::MAX) {
                if target == END {
                    return;
                }
                fired(target);
            }
        });
        peer
    }
}

impl Peer for HeapCondvar {
    #[inline]
    fn wake(&self, target: u32, due: u64) {
        self.0.wake(target, due);
    }

    fn stop(&self) {
        self.0.wake(END, 0);
    }
}

/// Which targets wait, and until when: one entry for each.
struct Store {
    due: Vec<Option<u64>>,
    queue: BTreeSet<(u64, u32)>,
}

impl Store {
    fn new(targets: u32) -> Self {
        Self { due: vec![None; targets as usize], queue: BTreeSet::new() }
    }

    /// True if the earliest due has changed.
    fn wake(&mut self, target: u32, due: u64) -> bool {
        let waits = &mut self.due[target as usize];
        match *waits {
            Some(earlier) if earlier <= due => return false,
            Some(later) => _ = self.queue.remove(&(later, target)),
            None => {}
        }
        *waits = Some(due);
        let first = self.queue.first().is_none_or(|&(first, _)| due < first);
        self.queue.insert((due, target));
        first
    }

    fn next(&mut self, now: u64) -> Option<u32> {
        let &(_, target) = self.queue.first().filter(|(at, _)| *at <= now)?;
        self.queue.pop_first();
        self.due[target as usize] = None;
        Some(target)
    }

    fn deadline(&self) -> Option<u64> {
        self.queue.first().map(|&(at, _)| at)
    }
}

fn micros(since: Duration) -> u64 {
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// A mutex around a B-tree, a `Notify`, and `sleep_until`.
struct BTreeNotify {
    store: Mutex<Store>,
    changed: Notify,
}

impl BTreeNotify {
    fn start(targets: u32, origin: TokioInstant, fired: Fired) -> Arc<Self> {
        let peer =
            Arc::new(Self { store: Mutex::new(Store::new(targets)), changed: Notify::new() });
        let theirs = Arc::clone(&peer);
        tokio::spawn(async move {
            loop {
                let next = locked(&theirs.store).next(micros(origin.elapsed()));
                if let Some(target) = next {
                    fired(target);
                    continue;
                }
                let deadline = locked(&theirs.store).deadline();
                let changed = theirs.changed.notified();
                match deadline {
                    None => changed.await,
                    Some(at) => tokio::select! {
                        () = changed => {}
                        () = sleep_until(origin + Duration::from_micros(at)) => {}
                    },
                }
            }
        });
        peer
    }
}

impl Peer for BTreeNotify {
    #[inline]
    fn wake(&self, target: u32, due: u64) {
        let first = locked(&self.store).wake(target, due);
        if first {
            self.changed.notify_one();
        }
    }
}

/// Tokio's delay queue, and where each target stands in it.
struct Delays {
    queue: DelayQueue<u32>,
    waits: Vec<Option<(Key, u64)>>,
    origin: TokioInstant,
}

impl Delays {
    fn new(targets: u32, origin: TokioInstant) -> Self {
        Self { queue: DelayQueue::new(), waits: vec![None; targets as usize], origin }
    }

    /// True if something waits now, or waits for less.
    fn wake(&mut self, target: u32, due: u64) -> bool {
        let at = self.origin + Duration::from_micros(due);
        match &mut self.waits[target as usize] {
            Some((_, earlier)) if *earlier <= due => return false,
            Some((key, later)) => {
                self.queue.reset_at(key, at);
                *later = due;
            }
            none => *none = Some((self.queue.insert_at(target, at), due)),
        }
        true
    }

    /// The next target that is due. Pending where none waits, too.
    fn poll(&mut self, context: &mut std::task::Context<'_>) -> Poll<u32> {
        match self.queue.poll_expired(context) {
            Poll::Ready(Some(expired)) => {
                let target = expired.into_inner();
                self.waits[target as usize] = None;
                Poll::Ready(target)
            }
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

/// A delay queue behind a mutex, and a `Notify`.
struct DelayQueueMutex {
    delays: Mutex<Delays>,
    changed: Notify,
}

impl DelayQueueMutex {
    fn start(targets: u32, origin: TokioInstant, fired: Fired) -> Arc<Self> {
        let delays = Mutex::new(Delays::new(targets, origin));
        let peer = Arc::new(Self { delays, changed: Notify::new() });
        let theirs = Arc::clone(&peer);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    target = poll_fn(|context| locked(&theirs.delays).poll(context)) => fired(target),
                    () = theirs.changed.notified() => {}
                }
            }
        });
        peer
    }
}

impl Peer for DelayQueueMutex {
    #[inline]
    fn wake(&self, target: u32, due: u64) {
        let changed = locked(&self.delays).wake(target, due);
        if changed {
            self.changed.notify_one();
        }
    }
}

/// A task that owns a delay queue, behind a channel.
struct DelayQueueChannel(mpsc::UnboundedSender<(u32, u64)>);

impl DelayQueueChannel {
    fn start(targets: u32, origin: TokioInstant, fired: Fired) -> Self {
        let (sender, mut requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut delays = Delays::new(targets, origin);
            loop {
                tokio::select! {
                    biased;
                    request = requests.recv() => match request {
                        None => return,
                        Some((target, due)) => _ = delays.wake(target, due),
                    },
                    target = poll_fn(|context| delays.poll(context)) => fired(target),
                }
            }
        });
        Self(sender)
    }
}

impl Peer for DelayQueueChannel {
    #[inline]
    fn wake(&self, target: u32, due: u64) {
        let _ = self.0.send((target, due));
    }
}

/// What Kubernetes controllers in Rust use, behind a channel, as their runtime has it.
#[cfg(feature = "kube")]
struct KubeScheduler {
    requests: mpsc::UnboundedSender<kube_runtime::scheduler::ScheduleRequest<u32>>,
    origin: TokioInstant,
}

#[cfg(feature = "kube")]
impl KubeScheduler {
    fn start(origin: TokioInstant, fired: Fired) -> Self {
        use futures_util::{StreamExt, stream};
        let (sender, mut requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let requests = stream::poll_fn(move |context| requests.poll_recv(context));
            let mut due = std::pin::pin!(kube_runtime::scheduler::scheduler(requests));
            while let Some(target) = due.next().await {
                fired(target);
            }
        });
        Self { requests: sender, origin }
    }
}

#[cfg(feature = "kube")]
impl Peer for KubeScheduler {
    #[inline]
    fn wake(&self, target: u32, due: u64) {
        let run_at = self.origin + Duration::from_micros(due);
        let request = kube_runtime::scheduler::ScheduleRequest { message: target, run_at };
        let _ = self.requests.send(request);
    }
}

/// A hashed wheel of milliseconds behind a mutex, when each target is due, and a condition variable.
struct WheelMutex {
    wheel: Mutex<Wheel>,
    changed: Condvar,
}

struct Wheel {
    /// Targets, and when each entry is due: it is stale if the target is due at another time.
    wheel: QuadWheelWithOverflow<(u32, u64)>,
    due: Vec<u64>,
    /// Where the wheel stands, in milliseconds.
    now: u64,
    /// Until when its thread sleeps.
    asleep_until: u64,
    stopped: bool,
}

impl WheelMutex {
    fn start(targets: u32, origin: TokioInstant, fired: Fired) -> Arc<Self> {
        let wheel = Wheel {
            wheel: QuadWheelWithOverflow::new(no_prune),
            due: vec![NEVER; targets as usize],
            now: 0,
            asleep_until: 0,
            stopped: false,
        };
        let peer = Arc::new(Self { wheel: Mutex::new(wheel), changed: Condvar::new() });
        let (theirs, origin) = (Arc::clone(&peer), origin.into_std());
        thread::spawn(move || {
            loop {
                let mut wheel = locked(&theirs.wheel);
                let due = wheel.turn(micros(origin.elapsed()) / 1_000);
                if !due.is_empty() {
                    drop(wheel);
                    due.into_iter().for_each(&*fired);
                    continue;
                }
                if wheel.stopped {
                    return;
                }
                let until = match wheel.wheel.can_skip() {
                    Skip::Empty => NEVER,
                    Skip::Millis(idle) => wheel.now + u64::from(idle) + 1,
                    Skip::None => wheel.now + 1,
                };
                wheel.asleep_until = until;
                let left = Duration::from_millis(until).saturating_sub(origin.elapsed());
                let limit = left.min(Duration::from_secs(3_600));
                let woken = theirs.changed.wait_timeout(wheel, limit);
                woken.unwrap_or_else(PoisonError::into_inner).0.asleep_until = 0;
            }
        });
        peer
    }
}

impl Wheel {
    /// Turns the wheel to `to`, and says who was due.
    fn turn(&mut self, to: u64) -> Vec<u32> {
        let mut fired = Vec::new();
        while self.now < to {
            match self.wheel.can_skip() {
                Skip::Empty => self.now = to,
                Skip::Millis(idle) => {
                    let idle = u64::from(idle).min(to - self.now);
                    self.wheel.skip(u32::try_from(idle).unwrap_or(u32::MAX));
                    self.now += idle;
                }
                Skip::None => {
                    let entries = self.wheel.tick();
                    self.now += 1;
                    for (target, at) in entries {
                        if self.due[target as usize] == at {
                            self.due[target as usize] = NEVER;
                            fired.push(target);
                        }
                    }
                }
            }
        }
        fired
    }
}

impl Peer for WheelMutex {
    #[inline]
    fn wake(&self, target: u32, due: u64) {
        let mut wheel = locked(&self.wheel);
        if wheel.due[target as usize] <= due {
            return;
        }
        wheel.due[target as usize] = due;
        // Never early: a millisecond that has begun counts for the next one.
        let delay = due.div_ceil(1_000).saturating_sub(wheel.now).max(1);
        let at = wheel.now + delay;
        let _ = wheel.wheel.insert_with_delay((target, due), Duration::from_millis(delay));
        if at < wheel.asleep_until {
            drop(wheel);
            self.changed.notify_one();
        }
    }

    fn stop(&self) {
        locked(&self.wheel).stopped = true;
        self.changed.notify_one();
    }
}

/// A task for each target, which sleeps until what a watch channel says.
struct WatchSleep(Vec<watch::Sender<u64>>);

const NEVER: u64 = u64::MAX;

impl WatchSleep {
    fn start(targets: u32, origin: TokioInstant, fired: Fired) -> Self {
        let start = |target| {
            let (sender, mut due) = watch::channel(NEVER);
            let (fired, theirs) = (Arc::clone(&fired), sender.clone());
            tokio::spawn(async move {
                loop {
                    let at = *due.borrow_and_update();
                    if at == NEVER {
                        if due.changed().await.is_err() {
                            return;
                        }
                        continue;
                    }
                    tokio::select! {
                        changed = due.changed() => if changed.is_err() { return },
                        () = sleep_until(origin + Duration::from_micros(at)) => {
                            // A wake that came meanwhile is due no later, or waits.
                            theirs.send_if_modified(|due| {
                                let served = micros(origin.elapsed()) >= *due;
                                *due = if served { NEVER } else { *due };
                                served
                            });
                            fired(target);
                        }
                    }
                }
            });
            sender
        };
        Self((0..targets).map(start).collect())
    }
}

impl Peer for WatchSleep {
    #[inline]
    fn wake(&self, target: u32, due: u64) {
        self.0[target as usize].send_if_modified(|waits| {
            let sooner = due < *waits;
            *waits = due.min(*waits);
            sooner
        });
    }
}

/// A thread that owns a B-tree, behind a channel with a time limit.
struct CrossbeamActor(crossbeam_channel::Sender<(u32, u64)>);

impl CrossbeamActor {
    fn start(targets: u32, origin: TokioInstant, fired: Fired) -> Self {
        let (sender, requests) = crossbeam_channel::unbounded::<(u32, u64)>();
        let origin = origin.into_std();
        thread::spawn(move || {
            let mut store = Store::new(targets);
            loop {
                while let Some(target) = store.next(micros(origin.elapsed())) {
                    fired(target);
                }
                let request = match store.deadline() {
                    None => requests.recv().map_err(|_| true),
                    Some(at) => {
                        let at: Instant = origin + Duration::from_micros(at);
                        requests.recv_deadline(at).map_err(|error| error.is_disconnected())
                    }
                };
                match request {
                    Ok((target, due)) => {
                        store.wake(target, due);
                        // What has piled up, before the next look at the clock.
                        for (target, due) in requests.try_iter().take(1_000) {
                            store.wake(target, due);
                        }
                    }
                    Err(true) => return,
                    Err(false) => {}
                }
            }
        });
        Self(sender)
    }
}

impl Peer for CrossbeamActor {
    #[inline]
    fn wake(&self, target: u32, due: u64) {
        let _ = self.0.send((target, due));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGETS: u32 = 50;

    /// What all of them are measured by: of several wakes of a target one run, at the earliest due and not
    /// before; an earlier wake goes before one that waits; what has run may be woken again.
    fn does_the_work(name: &str, start: Start) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build();
        let runtime = runtime.expect("a runtime");
        let _inside = runtime.enter();
        let origin = TokioInstant::now();
        let (fired, runs) = std::sync::mpsc::channel();
        let tell: Fired = Arc::new(move |target| {
            let _ = fired.send((target, micros(origin.elapsed())));
        });
        let peer = start(TARGETS, origin, tell);
        let base = micros(origin.elapsed()) + 100_000;
        let mut rng = fastrand::Rng::with_seed(1);
        for round in 0..2_u64 {
            let from = base + round * 150_000;
            let mut due = vec![u64::MAX; TARGETS as usize];
            let wakes: Vec<(u32, u64)> =
                (0..500).map(|_| (rng.u32(..TARGETS), from + rng.u64(..50_000))).collect();
            // All wait for much longer: what is due sooner must not.
            wakes.iter().for_each(|&(target, at)| peer.wake(target, at + 3_600_000_000));
            for (target, at) in wakes {
                due[target as usize] = due[target as usize].min(at);
                peer.wake(target, at);
            }
            let waited = due.iter().filter(|&&at| at != u64::MAX).count();
            let mut seen = vec![false; TARGETS as usize];
            for _ in 0..waited {
                let (target, at) = runs
                    .recv_timeout(Duration::from_secs(10))
                    .unwrap_or_else(|_| panic!("{name}: a wake is lost"));
                let index = target as usize;
                assert!(!seen[index], "{name}: {target} ran twice");
                assert!(at >= due[index], "{name}: {target} ran {} µs early", due[index] - at);
                seen[index] = true;
            }
            assert!(runs.recv_timeout(Duration::from_millis(20)).is_err(), "{name}: one too many");
        }
        peer.stop();
    }

    #[test]
    fn all_do_the_same_work() {
        for &(name, start) in PEERS {
            does_the_work(name, start);
        }
    }
}
