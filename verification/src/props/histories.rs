//! Histories of the handler slot and of the deadline slot, recorded on real threads: each must be
//! linearizable with respect to a specification of a few lines.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use reveille_core::{DeadlineSlot, Disposal, Generation, HandlerSlot, Tick};

use super::linear::{Call, Stamps, linearize, overlaps};
use super::{Progress, drawn, timed};
use crate::lab::CheckResult;

/// As many as can disagree about the order of two others; on fewer cores they are preempted.
const THREADS: usize = 3;

/// Calls of one thread on one slot. Short histories have many beginnings, where generations are
/// small and slots are empty.
const CALLS: usize = 24;

/// Slots between two looks at the clock.
const BATCH: usize = 64;

const LAW: &str = "Some order of the calls, in which none comes before one that had returned, \
                   explains all answers.";

/// Records histories of both slots, each for that long.
#[must_use]
pub fn check(time: Duration, seed: u64, progress: Progress<'_>) -> Vec<CheckResult> {
    let handlers = search::<Handlers>("handler-slot-histories", &[1, 2, 13], time, seed, progress);
    let deadlines = search::<Deadlines>("deadline-slot-histories", &[5], time, seed, progress);
    vec![handlers, deadlines]
}

/// A shared word, how to use it at random, and what its answers mean.
trait Subject {
    type Shared: Sync + Default;
    /// What one thread remembers.
    type Own: Default;
    type Operation: Debug + Send;
    type State: Clone + Eq + Hash + Debug;

    fn call(
        shared: &Self::Shared,
        own: &mut Self::Own,
        rng: &mut Rng,
        stamps: &Stamps,
    ) -> Call<Self::Operation>;
    fn initial() -> Self::State;
    fn step(state: &Self::State, operation: &Self::Operation) -> Option<Self::State>;
}

fn search<S: Subject>(
    name: &str,
    promises: &[u8],
    time: Duration,
    seed: u64,
    progress: Progress<'_>,
) -> CheckResult {
    let start = Instant::now();
    let (mut done, mut met, mut batch_seed) = (0, 0, seed);
    let mut failure = None;
    let ((), seconds) = timed(|| {
        while failure.is_none() && (done == 0 || start.elapsed() < time) {
            let passed = start.elapsed().min(time).as_millis();
            let whole = time.as_millis();
            progress(passed as u64, whole as u64, name);
            for history in record::<S>(batch_seed) {
                done += 1;
                met += overlaps(&history);
                if let Err(why) = linearize(S::initial(), &history, S::step) {
                    failure = Some(format!("{why}  (threads drawn with seed {batch_seed})"));
                    break;
                }
            }
            batch_seed = batch_seed.wrapping_add(1);
        }
    });
    CheckResult {
        threads: THREADS as u32,
        seconds,
        note: Some(format!("{met} of the calls overlapped another; seeds from {seed}")),
        ..drawn(name, LAW, promises, done, failure)
    }
}

/// The histories of a batch of slots, by slot and thread. The seed draws the calls, not the
/// interleaving.
fn record<S: Subject>(seed: u64) -> Vec<Vec<Vec<Call<S::Operation>>>> {
    let slots: Vec<S::Shared> = (0..BATCH).map(|_| S::Shared::default()).collect();
    let stamps = Stamps::default();
    let (slots, stamps, arrived) = (&slots, &stamps, &AtomicUsize::new(0));
    let by_thread: Vec<Vec<Vec<Call<S::Operation>>>> = std::thread::scope(|scope| {
        let record = |thread: usize| {
            move || {
                let mut rng = Rng::with_seed(seed.wrapping_mul(THREADS as u64) + thread as u64);
                let histories = slots.iter().enumerate().map(|(index, slot)| {
                    meet(arrived, (index + 1) * THREADS);
                    let mut own = S::Own::default();
                    let calls = (0..CALLS).map(|_| {
                        dawdle(&mut rng);
                        S::call(slot, &mut own, &mut rng, stamps)
                    });
                    calls.collect()
                });
                histories.collect()
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(record(thread))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a recorder panicked")).collect()
    });
    let mut by_slot: Vec<Vec<_>> = (0..BATCH).map(|_| Vec::new()).collect();
    for histories in by_thread {
        for (slot, history) in by_slot.iter_mut().zip(histories) {
            slot.push(history);
        }
    }
    by_slot
}

/// Waits until as many have arrived in all: spinning, so that they leave together.
fn meet(arrived: &AtomicUsize, all: usize) {
    arrived.fetch_add(1, Ordering::SeqCst);
    let mut spins = 0_u32;
    while arrived.load(Ordering::SeqCst) < all {
        spins += 1;
        if spins.is_multiple_of(200) { std::thread::yield_now() } else { std::hint::spin_loop() }
    }
}

/// Loses a little time, at random.
pub(super) fn dawdle(rng: &mut Rng) {
    match rng.u8(..) {
        0..16 => std::thread::yield_now(),
        16..64 => (0..rng.u32(..64)).for_each(|_| std::hint::spin_loop()),
        _ => {}
    }
}

/// What stands in a handler slot: its generation, and content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Stands {
    generation: Generation,
    content: Content,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Content {
    Vacant,
    Handler(u64),
    Closed,
}

impl Stands {
    fn of(entry: &reveille_core::Entry<u64>) -> Self {
        let content = match entry.handler() {
            _ if entry.is_closed() => Content::Closed,
            Some(&handler) => Content::Handler(handler),
            None => Content::Vacant,
        };
        Self { generation: entry.generation(), content }
    }
}

#[derive(Debug)]
enum HandlerCall {
    /// The new generation and what was replaced; nothing where the slot was closed.
    Install(u64, Option<(Generation, Stands)>),
    Dispose(Generation, Disposal, Option<Stands>),
    Load(Stands),
    Close(Option<Stands>),
}

struct Handlers;

#[derive(Default)]
struct Known {
    installed: u64,
    generations: BTreeSet<Generation>,
}

impl Subject for Handlers {
    type Shared = HandlerSlot<u64>;
    type Own = Known;
    type Operation = HandlerCall;
    type State = Stands;

    fn call(
        slot: &HandlerSlot<u64>,
        own: &mut Known,
        rng: &mut Rng,
        stamps: &Stamps,
    ) -> Call<HandlerCall> {
        let known: Vec<Generation> = own.generations.iter().copied().collect();
        let call = match rng.u8(..100) {
            0..35 => {
                let handler = rng.u64(..);
                own.installed += 1;
                stamps.record(|| {
                    let installed = slot.install(handler).ok();
                    let installed = installed.map(|(new, old)| (new, Stands::of(&old)));
                    HandlerCall::Install(handler, installed)
                })
            }
            // The newest generation it knows, or an old one: a stale dispose.
            35..70 if !known.is_empty() => {
                let newest = known.len() - 1;
                let which = if rng.bool() { newest } else { rng.usize(..=newest) };
                let generation = known[which];
                stamps.record(|| {
                    let (disposal, removed) = slot.dispose(generation);
                    let removed = removed.map(|entry| Stands::of(&entry));
                    HandlerCall::Dispose(generation, disposal, removed)
                })
            }
            70 if own.installed > 3 => {
                stamps.record(|| HandlerCall::Close(slot.close().map(|entry| Stands::of(&entry))))
            }
            _ => stamps.record(|| HandlerCall::Load(Stands::of(&slot.load()))),
        };
        match &call.operation {
            HandlerCall::Install(_, Some((generation, _))) => {
                own.generations.insert(*generation);
            }
            // Registrations have owners, but nothing stops anybody from knowing a generation.
            HandlerCall::Load(stands) if stands.generation != Generation::NONE => {
                own.generations.insert(stands.generation);
            }
            _ => {}
        }
        call
    }

    fn initial() -> Stands {
        Stands { generation: Generation::NONE, content: Content::Vacant }
    }

    fn step(now: &Stands, call: &HandlerCall) -> Option<Stands> {
        let closed = now.content == Content::Closed;
        match call {
            HandlerCall::Install(_, None) => closed.then_some(*now),
            HandlerCall::Install(handler, Some((generation, replaced))) => {
                let next = generation.get() == now.generation.get() + 1;
                let content = Content::Handler(*handler);
                (!closed && next && replaced == now)
                    .then_some(Stands { generation: *generation, content })
            }
            HandlerCall::Dispose(generation, disposal, removed) => {
                let occupied = matches!(now.content, Content::Handler(_));
                let expected = match (*generation == now.generation, occupied) {
                    (false, _) => (Disposal::Superseded, None),
                    (true, false) => (Disposal::AlreadyDisposed, None),
                    (true, true) => (Disposal::Removed, Some(*now)),
                };
                let content = if expected.1.is_some() { Content::Vacant } else { now.content };
                ((*disposal, *removed) == expected).then_some(Stands { content, ..*now })
            }
            HandlerCall::Load(stands) => (stands == now).then_some(*now),
            HandlerCall::Close(found) => {
                let expected = if closed { None } else { Some(*now) };
                (*found == expected).then_some(Stands { content: Content::Closed, ..*now })
            }
        }
    }
}

#[derive(Debug)]
enum DeadlineCall {
    Request(Tick),
    Take(Tick),
    Peek(Tick),
}

struct Deadlines;

impl Subject for Deadlines {
    type Shared = DeadlineSlot;
    type Own = ();
    type Operation = DeadlineCall;
    type State = Tick;

    fn call(
        slot: &DeadlineSlot,
        (): &mut (),
        rng: &mut Rng,
        stamps: &Stamps,
    ) -> Call<DeadlineCall> {
        match rng.u8(..10) {
            0..6 => {
                // Few instants, so that requests meet, the earliest and the latest among them.
                let at = match rng.u64(..10) {
                    0 => Tick::NOW,
                    1 => Tick::NEVER,
                    at => Tick::from_micros(at),
                };
                stamps.record(|| {
                    slot.request(at);
                    DeadlineCall::Request(at)
                })
            }
            // One driver takes; here any thread may, which is only harder.
            6..8 => stamps.record(|| DeadlineCall::Take(slot.take())),
            _ => stamps.record(|| DeadlineCall::Peek(slot.peek())),
        }
    }

    fn initial() -> Tick {
        Tick::NEVER
    }

    fn step(now: &Tick, call: &DeadlineCall) -> Option<Tick> {
        match call {
            DeadlineCall::Request(at) => Some(*at.min(now)),
            DeadlineCall::Take(taken) => (taken == now).then_some(Tick::NEVER),
            DeadlineCall::Peek(seen) => (seen == now).then_some(*now),
        }
    }
}
