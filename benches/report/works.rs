//! Works that all do, timed in slices that take turns.

use crate::{median, quantile};
use nix::sys::resource::{UsageWho, getrusage};
use reveille::{Builder, Engine, Outcome, Reveille, Run, Target, Tick, Wake};
use reveille_benches::peers::PEERS;
use reveille_benches::stand::{HOUR, Stand, Work as Asked};
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a slice is to take: so short that few are preempted.
const SLICE: Duration = Duration::from_micros(500);

/// One work, and what it cost each who did it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Work {
    pub(crate) name: String,
    pub(crate) about: String,
    pub(crate) cases: Vec<Case>,
}

/// What one of them took: nanoseconds an operation.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) median: f64,
    pub(crate) quartiles: [f64; 2],
    /// How many times as long as the first case, which is ours, pair by pair.
    pub(crate) ratio: f64,
    /// Slices that counted: those in which the thread was preempted do not.
    pub(crate) slices: usize,
}

/// A work that can be measured.
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    about: &'static str,
    start: fn() -> Vec<Slices>,
}

/// One case, running: does so many operations, and says how long they took.
struct Slices {
    name: &'static str,
    run: Box<dyn FnMut(u64) -> Took>,
}

/// How long operations took.
struct Took {
    /// Until all were asked for.
    asked: Duration,
    /// Until they had reached the scheduler, but for what it takes to tell its thread or task, and to hear of
    /// it, which is taken off: what has piled up until then counts.
    all: Duration,
}

impl Took {
    fn without(flush: Duration, (asked, all): (Duration, Duration)) -> Self {
        Self { asked, all: asked.max(all.saturating_sub(flush)) }
    }
}

const PLANS: [Plan; 13] = [
    Plan {
        name: "coalescing, 1 target",
        about: "A wake by handle that finds one which serves it too, beside what it is made of.",
        start: coalescing_alone,
    },
    Plan {
        name: "coalescing with a delay, 1 target",
        about: "The same with a relative delay, beside a clock that is read.",
        start: relative_alone,
    },
    Plan {
        name: "handler load",
        about: "A hub's handler slot, loaded for a turn, beside a plain ArcSwap.",
        start: handler_load,
    },
    Plan {
        name: "coalescing, 1,000 targets, 1 producer",
        about: "Each wake finds one that waits and serves it too.",
        start: || stands(1_000, 1, Some(HOUR), Asked::coalescing),
    },
    Plan {
        name: "coalescing, 1,000 targets, 2 producers",
        about: "The same from two threads, of the same targets.",
        start: || stands(1_000, 2, Some(HOUR), Asked::coalescing),
    },
    Plan {
        name: "coalescing with a delay, 1,000 targets, 1 producer",
        about: "Due so long from now: who needs a clock reads it.",
        start: || stands(1_000, 1, Some(HOUR), Asked::relative),
    },
    Plan {
        name: "preempting, 1,000 targets, 1 producer",
        about: "Each wake is due sooner than the one that waits.",
        start: || stands(1_000, 1, Some(HOUR), Asked::preempting),
    },
    Plan {
        name: "preempting, 1,000 targets, 2 producers",
        about: "The same from two threads, each with targets of its own.",
        start: || stands(1_000, 2, Some(HOUR), Asked::preempting),
    },
    Plan {
        name: "first wake of an idle target",
        about: "100,000 targets for which nothing waits are woken, each once, far from now.",
        start: first_wakes,
    },
    Plan {
        name: "mixed, 1,000 targets, 1 producer",
        about: "A random target, due in 1 to 50 ms; what is due fires.",
        start: || stands(1_000, 1, None, Asked::mixed),
    },
    Plan {
        name: "mixed, 1,000 targets, 2 producers",
        about: "The same from two threads.",
        start: || stands(1_000, 2, None, Asked::mixed),
    },
    Plan {
        name: "mixed, 100,000 targets, 1 producer",
        about: "The same over many targets.",
        start: || stands(100_000, 1, None, Asked::mixed),
    },
    Plan {
        name: "reload storm",
        about: "A handler installed and disposed of beside a wake, beside a lock around a handler.",
        start: reloads,
    },
];

/// Those with such a name.
pub(crate) fn wanted(wanted: impl Fn(&str) -> bool) -> Vec<Plan> {
    PLANS.into_iter().filter(|plan| wanted(plan.name)).collect()
}

impl Plan {
    pub(crate) fn measure(&self, rounds: u32) -> Work {
        let mut cases: Vec<(Slices, u64)> = (self.start)()
            .into_iter()
            .map(|mut case| {
                let operations = calibrated(&mut case);
                (case, operations)
            })
            .collect();
        let mut times = vec![Vec::new(); cases.len()];
        let mut order: Vec<usize> = (0..cases.len()).collect();
        for _ in 0..rounds {
            fastrand::shuffle(&mut order);
            for &which in &order {
                let (case, operations) = &mut cases[which];
                let before = preemptions();
                let took = (case.run)(*operations).all.as_nanos() as f64 / *operations as f64;
                let alone = preemptions() == before;
                times[which].push((took, alone));
            }
        }
        let first = times[0].clone();
        let measured =
            cases.iter().zip(&times).map(|((case, _), slices)| case_of(case.name, slices, &first));
        let (name, about) = (self.name.to_owned(), self.about.to_owned());
        Work { name, about, cases: measured.collect() }
    }
}

fn case_of(name: &str, slices: &[(f64, bool)], first: &[(f64, bool)]) -> Case {
    // Where hardly any slice was left alone, all count: a noisy figure is better than none.
    let enough =
        |slices: &[(f64, bool)]| slices.iter().filter(|slice| slice.1).count() * 3 >= slices.len();
    let all = !enough(slices) || !enough(first);
    let mut times: Vec<f64> =
        slices.iter().filter(|slice| all || slice.1).map(|slice| slice.0).collect();
    let ratios = |all: bool| -> Vec<f64> {
        let pairs = slices.iter().zip(first).filter(|(mine, ours)| all || mine.1 && ours.1);
        pairs.map(|(mine, ours)| mine.0 / ours.0).collect()
    };
    // Each may have been left alone in rounds in which the other was not.
    let alone = ratios(all);
    let ratio = median(if alone.is_empty() { ratios(true) } else { alone });
    Case {
        name: name.to_owned(),
        quartiles: [quantile(&mut times, 0.25), quantile(&mut times, 0.75)],
        slices: times.len(),
        median: median(times),
        ratio,
    }
}

/// How often this thread was preempted so far.
fn preemptions() -> i64 {
    getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| usage.involuntary_context_switches())
}

/// So many operations as can be asked for in a slice, and enough of them to be more than noise.
fn calibrated(case: &mut Slices) -> u64 {
    const LEAST: u64 = 1_000;
    let mut operations = LEAST;
    loop {
        let asked = (case.run)(operations).asked;
        if asked >= SLICE / 2 || operations >= 1 << 24 {
            let fits = operations as f64 * SLICE.as_secs_f64() / asked.as_secs_f64().max(1e-9);
            return (fits as u64).max(LEAST);
        }
        operations *= 2;
    }
}

/// The median over processes, case by case.
pub(crate) fn merge<'a>(works: &mut [Work], others: impl Iterator<Item = &'a Vec<Work>> + Clone) {
    for (place, work) in works.iter_mut().enumerate() {
        for (which, case) in work.cases.iter_mut().enumerate() {
            let mut all = vec![case.clone()];
            all.extend(
                others.clone().filter_map(|other| other.get(place)?.cases.get(which).cloned()),
            );
            let of = |figure: fn(&Case) -> f64| median(all.iter().map(figure).collect());
            case.median = of(|case| case.median);
            case.ratio = of(|case| case.ratio);
            case.quartiles = [of(|case| case.quartiles[0]), of(|case| case.quartiles[1])];
            case.slices = all.iter().map(|case| case.slices).sum();
        }
    }
}

/// All peers with so many targets, which wait until then.
fn stands(targets: u32, producers: u64, wait: Option<u64>, asked: fn(u32) -> Asked) -> Vec<Slices> {
    let asked = Arc::new(asked(targets));
    let start = |&(name, start): &(&'static str, _)| {
        let stand = Stand::new(start, targets);
        if let Some(due) = wait {
            stand.all_wait(due);
        }
        let flush = stand.idle_flush();
        let asked = Arc::clone(&asked);
        let run = move |operations| {
            let each = operations / producers + 1;
            let mut took = Took::without(flush, stand.times(producers, each, &asked));
            // An operation is one wake, by whichever producer.
            took.all = took.all.mul_f64(operations as f64 / (each * producers) as f64);
            took
        };
        Slices { name, run: Box::new(run) }
    };
    PEERS.iter().map(start).collect()
}

/// A hub without a thread, with a handler that does nothing.
fn quiet() -> (Reveille<u32>, Engine<u32>, Target<u32>) {
    let hub: Reveille<u32> = Builder::new().build().expect("the default policy holds");
    hub.install(|_: &Run<u32>| Outcome::ran()).expect("it has not stopped").keep();
    let mut engine = hub.engine().expect("it has no driver");
    let target = hub.target(0).expect("there is room");
    target.wake(Wake::at(Tick::from_micros(HOUR)));
    engine.turn(hub.now());
    (hub, engine, target)
}

fn timed(name: &'static str, mut operation: impl FnMut(u64) + 'static) -> Slices {
    let run = move |operations| {
        let start = Instant::now();
        (0..operations).for_each(&mut operation);
        let all = start.elapsed();
        Took { asked: all, all }
    };
    Slices { name, run: Box::new(run) }
}

fn coalescing_alone() -> Vec<Slices> {
    let (hub, engine, target) = quiet();
    let (word, mutex) = (AtomicU64::new(0), Mutex::new(0_u64));
    vec![
        timed("reveille", move |n| {
            let _ = (&hub, &engine);
            black_box(target.wake(Wake::at(Tick::from_micros(black_box(HOUR + n)))));
        }),
        timed("fetch_min", move |n| {
            black_box(black_box(&word).fetch_min(black_box(HOUR + n), Ordering::AcqRel));
        }),
        timed("mutex", move |n| {
            if let Ok(mut value) = black_box(&mutex).lock() {
                *value = (*value).min(black_box(n));
            }
        }),
    ]
}

fn relative_alone() -> Vec<Slices> {
    let (hub, engine, target) = quiet();
    vec![
        timed("reveille", move |_| {
            let _ = (&hub, &engine);
            black_box(target.wake(Wake::within(black_box(Duration::from_secs(7_200)))));
        }),
        timed("instant_now", |_| {
            black_box(Instant::now());
        }),
    ]
}

fn handler_load() -> Vec<Slices> {
    let slot = reveille_core::HandlerSlot::vacant();
    assert!(slot.install(7_u64).is_ok(), "it is open");
    let plain = arc_swap::ArcSwap::from_pointee(7_u64);
    vec![
        timed("reveille", move |_| {
            black_box(black_box(&slot).load().generation());
        }),
        timed("arc_swap", move |_| {
            black_box(**black_box(&plain).load());
        }),
    ]
}

/// Idle targets in turn. When all wait, a new stand is made: that is not timed.
fn first_wakes() -> Vec<Slices> {
    const TARGETS: u32 = 100_000;
    let asked = Arc::new(Asked::first(TARGETS));
    let start = |&(name, start): &(&'static str, _)| {
        let mut fresh: Option<(Stand, Duration, u32)> = None;
        let asked = Arc::clone(&asked);
        let run = move |operations: u64| {
            let operations = operations.min(u64::from(TARGETS)) as u32;
            let (stand, flush, used) = match fresh.take() {
                Some((stand, flush, used)) if used + operations <= TARGETS => (stand, flush, used),
                _ => {
                    let stand = Stand::new(start, TARGETS);
                    let flush = stand.idle_flush();
                    (stand, flush, 0)
                }
            };
            let times = stand.times(1, u64::from(operations), &asked);
            fresh = Some((stand, flush, used + operations));
            Took::without(flush, times)
        };
        Slices { name, run: Box::new(run) }
    };
    PEERS.iter().map(start).collect()
}

/// A handler is replaced for each wake.
fn reloads() -> Vec<Slices> {
    let (hub, engine, target) = quiet();
    type Held = Arc<dyn Fn(u32) + Send + Sync>;
    let nothing: fn() -> Held = || Arc::new(|_| {});
    let (locked, waits) = (std::sync::RwLock::new(nothing()), Mutex::new(HOUR));
    vec![
        timed("reveille", move |n| {
            let _ = &engine;
            if let Ok(registration) = hub.install(|_: &Run<u32>| Outcome::ran()) {
                black_box(target.wake(Wake::at(Tick::from_micros(HOUR + n))));
                registration.dispose();
            }
        }),
        timed("rwlock", move |n| {
            if let Ok(mut handler) = locked.write() {
                *handler = nothing();
            }
            if let Ok(mut due) = waits.lock() {
                *due = (*due).min(HOUR + n);
            }
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ratio is of rounds that left both alone, and of all where there is none: a figure, in any case.
    #[test]
    fn a_ratio_is_a_number() {
        let ours = [(1.0, true), (1.0, true), (1.0, false)];
        let theirs = [(2.0, true), (9.0, false), (9.0, true)];
        assert_eq!(case_of("peer", &theirs, &ours).ratio, 2.0);
        let apart = [(3.0, false), (3.0, false), (3.0, true)];
        assert_eq!(case_of("peer", &apart, &ours).ratio, 3.0);
    }
}
