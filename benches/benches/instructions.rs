//! How many instructions the hot paths take, counted by valgrind: the gate that noise cannot fool.
//!
//! `cargo bench -p reveille-benches --features instructions --bench instructions`, with `valgrind` and
//! `gungraun-runner` installed (`cargo install gungraun-runner --locked`, of the version in Cargo.lock).
//! Each figure is of a hundred operations in a loop that takes some seven instructions itself (`nothing`).
//! What takes more than its limit fails. The goals are 40 for a wake that coalesces, 42 with a delay, 90 for one
//! that preempts, 110 for the first, and 800 for a run with all that belongs to it; the first two are met, and
//! the limits of the others are what is measured now and some percent, so that it gets no worse.

// A benchmark that cannot be set up has nothing to count.
#![allow(clippy::unwrap_used, missing_docs, unused_qualifications)]

use gungraun::{
    Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main,
};
use reveille::{Builder, Engine, ManualClock, Outcome, Reveille, Run, Target, Tick, Wake};
use std::hint::black_box;
use std::time::Duration;

const OPERATIONS: u64 = 100;
const FAR: Tick = Tick::from_micros(3_600_000_000);

struct Stand {
    hub: Reveille<u32>,
    engine: Engine<u32>,
    targets: Vec<Target<u32>>,
}

/// A hub with a handler, and targets that nobody has woken.
fn idle() -> Stand {
    let hub: Reveille<u32> = Builder::new().clock(ManualClock::new()).build().unwrap();
    hub.install(|_: &Run<u32>| Outcome::ran()).unwrap().keep();
    let mut engine = hub.engine().unwrap();
    let targets = (0..OPERATIONS as u32).map(|key| hub.target(key).unwrap()).collect();
    engine.observe(Tick::NOW);
    Stand { hub, engine, targets }
}

/// The same with a wake of each that waits, far away, and is known to the engine.
fn waiting() -> Stand {
    let mut stand = idle();
    for target in &stand.targets {
        target.wake(Wake::at(FAR));
    }
    stand.engine.observe(Tick::NOW);
    stand
}

/// One target that has run before.
fn warm() -> Stand {
    let mut stand = idle();
    for _ in 0..3 {
        fire_one(&mut stand, Tick::from_micros(1_000_000));
    }
    stand
}

fn fire_one(Stand { engine, targets, .. }: &mut Stand, now: Tick) {
    targets[0].wake(Wake::at(now));
    engine.turn(now);
    if let Some(run) = engine.next_run() {
        run.execute();
    }
    engine.turn(now);
}

/// Instructions that the loop takes each time.
const LOOP: u64 = 7;

fn limit(each: u64) -> LibraryBenchmarkConfig {
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(Callgrind::default().hard_limits([(EventKind::Ir, (each + LOOP) * OPERATIONS)]));
    config
}

#[library_benchmark(config = limit(0))]
#[bench::the_loop(waiting())]
fn nothing(stand: Stand) -> Stand {
    let target = &stand.targets[0];
    for _ in 0..OPERATIONS {
        black_box((target, black_box(FAR)));
    }
    stand
}

#[library_benchmark(config = limit(40))]
#[bench::handle(waiting())]
fn coalescing(stand: Stand) -> Stand {
    let target = &stand.targets[0];
    for _ in 0..OPERATIONS {
        black_box(target.wake(Wake::at(black_box(FAR))));
    }
    stand
}

#[library_benchmark(config = limit(42))]
#[bench::handle(waiting())]
fn coalescing_relative(stand: Stand) -> Stand {
    let target = &stand.targets[0];
    for _ in 0..OPERATIONS {
        black_box(black_box(target).wake(Wake::within(Duration::from_secs(7_200))));
    }
    stand
}

// The same with a delay that the compiler does not know.
#[library_benchmark(config = limit(54))]
#[bench::handle(waiting())]
fn coalescing_variable(stand: Stand) -> Stand {
    let (target, delay) = (&stand.targets[0], Duration::from_secs(7_200));
    for _ in 0..OPERATIONS {
        black_box(target.wake(Wake::within(black_box(delay))));
    }
    stand
}

#[library_benchmark(config = limit(240))]
#[bench::handle(waiting())]
fn coalescing_by_key(stand: Stand) -> Stand {
    for _ in 0..OPERATIONS {
        black_box(stand.hub.wake(black_box(7), Wake::at(black_box(FAR))));
    }
    stand
}

// Two more than with a ready set of fewer levels, which took two fences more and a quarter more time.
#[library_benchmark(config = limit(214))]
#[bench::handle(waiting())]
fn preempting(stand: Stand) -> Stand {
    let target = &stand.targets[0];
    for n in 1..=OPERATIONS {
        let due = Tick::from_micros(FAR.as_micros() - n);
        black_box(target.wake(black_box(Wake::at(black_box(due)))));
    }
    stand
}

#[library_benchmark(config = limit(193))]
#[bench::handle(idle())]
fn first_wake(stand: Stand) -> Stand {
    for target in &stand.targets {
        black_box(target.wake(Wake::at(black_box(FAR))));
    }
    stand
}

#[library_benchmark(config = limit(3_080))]
#[bench::handle(warm())]
fn fire(mut stand: Stand) -> Stand {
    for _ in 0..OPERATIONS {
        fire_one(&mut stand, Tick::from_micros(1_000_000));
    }
    stand
}

// The same where the driver executes the run itself.
#[library_benchmark(config = limit(2_570))]
#[bench::handle(warm())]
fn fire_inline(Stand { hub, mut engine, targets }: Stand) -> Stand {
    let now = Tick::from_micros(1_000_000);
    for _ in 0..OPERATIONS {
        targets[0].wake(Wake::at(now));
        engine.turn(now);
        if let Some(run) = engine.next_run() {
            engine.execute(run);
        }
    }
    Stand { hub, engine, targets }
}

library_benchmark_group!(
    name = hot_paths;
    benchmarks =
        nothing, coalescing, coalescing_relative, coalescing_variable, coalescing_by_key, preempting,
        first_wake, fire, fire_inline
);
main!(library_benchmark_groups = hot_paths);
