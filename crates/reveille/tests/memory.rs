//! What a target costs, and what a wake allocates: counted, not estimated (P15, P16).

use reveille::{Builder, Clock, ManualClock, Reveille, Tick, Wake, Woken};
use std::time::Duration;

fn hub() -> (ManualClock, Reveille<u64>) {
    let clock = ManualClock::new();
    let hub = Builder::new().clock(clock.clone()).build().expect("the default policy holds");
    (clock, hub)
}

/// P15: an idle target costs at most 96 bytes beside its key; key map and engine record included.
#[test]
fn an_idle_target_costs_at_most_96_bytes() {
    const TARGETS: u64 = 1 << 20;
    let (_clock, hub) = hub();
    let mut engine = hub.engine().unwrap();
    let counted = allocation_counter::measure(|| {
        for key in 0..TARGETS {
            hub.target(key).unwrap();
        }
        engine.observe(Tick::NOW);
    });
    assert_eq!(hub.snapshot().targets.len() as u64, TARGETS);
    let bytes = counted.bytes_current as u64 / TARGETS - size_of::<u64>() as u64;
    println!("{bytes} bytes a target beside its key of 8");
    assert!(bytes <= 96, "{bytes} bytes a target");
}

/// P15: memory does not grow with requests, with or without a handler.
#[test]
fn requests_cost_no_memory() {
    let (clock, hub) = hub();
    let mut engine = hub.engine().unwrap();
    let target = hub.target(1).unwrap();
    let mut flood = || {
        for n in 0..10_000 {
            target.wake(Wake::within(Duration::from_micros(20_000 - n)));
            target.wake(Wake::now());
            if n % 100 == 0 {
                clock.advance(Duration::from_micros(1));
                engine.turn(clock.now());
            }
        }
    };
    flood(); // the first look at a target allocates its record
    let counted = allocation_counter::measure(&mut flood);
    assert_eq!(counted.bytes_current, 0, "without a handler");
    hub.install(|_| ()).unwrap().keep();
    let counted = allocation_counter::measure(&mut flood);
    assert!(counted.bytes_current < 1_000, "with a handler, whose runs nobody executes");
}

/// P16: a wake without payload allocates nothing, whether it arms, preempts or coalesces.
#[test]
fn a_wake_allocates_nothing() {
    let (clock, hub) = hub();
    let mut engine = hub.engine().unwrap();
    let target = hub.target(1).unwrap();
    let far = |seconds| Wake::within(Duration::from_secs(seconds));
    target.wake(far(100)); // counters of this thread
    target.cancel();
    engine.turn(clock.now());
    let mut woken = Vec::with_capacity(8);
    let counted = allocation_counter::measure(|| {
        woken.push(target.wake(far(9)));
        woken.push(target.wake(far(9)));
        woken.push(target.wake(far(5)));
        woken.push(target.wake(Wake::now()));
        woken.push(target.wake(Wake::soon()));
    });
    use Woken::{Armed, Coalesced, Preempted};
    assert_eq!(woken, [Armed, Coalesced, Preempted, Preempted, Coalesced]);
    assert_eq!(counted.count_total, 0);
}
