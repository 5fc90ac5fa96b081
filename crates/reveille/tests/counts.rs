//! What is counted, exactly: rings, runs under a flood, and system calls. Instructions are counted by a benchmark,
//! bytes and allocations in `memory.rs`.

// A test that cannot be set up fails.
#![allow(clippy::unwrap_used)]

use reveille::{Builder, ManualClock, Outcome, Reveille, Ring, Run, Target, Tick, Wake, Woken};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

fn at(micros: u64) -> Tick {
    Tick::from_micros(micros)
}

fn hub() -> (ManualClock, Reveille<u64>) {
    let clock = ManualClock::new();
    let hub: Reveille<u64> = Builder::new().clock(clock.clone()).build().unwrap();
    hub.install(|_: &Run<u64>| Outcome::ran()).unwrap().keep();
    (clock, hub)
}

struct Rings(Arc<AtomicU64>);

impl Ring for Rings {
    fn ring(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// P5: a sleeping driver is rung by what it would oversleep, and by nothing else: not by a wake that is due
/// later than it sleeps, that coalesces, or that waits behind a run. An awake one is rung by no wake.
#[test]
fn only_what_would_be_overslept_rings() {
    let (_clock, hub) = hub();
    let mut engine = hub.engine().unwrap();
    let rings = Arc::new(AtomicU64::new(0));
    engine.set_ring(Rings(Arc::clone(&rings)));
    let rung = || rings.swap(0, Ordering::Relaxed);
    let [a, b, runs] = [1, 2, 3].map(|key| hub.target(key).unwrap());
    runs.wake(Wake::now());
    a.wake(Wake::at(at(500)));
    engine.turn(Tick::NOW);
    assert_eq!(rung(), 0, "it was awake");
    let run = engine.next_run().unwrap();
    for _ in 0..3 {
        assert_eq!(engine.arm(), at(500));
        assert!(engine.doze(at(500)));
        for n in 0..100 {
            assert_eq!(a.wake(Wake::at(at(500 + n))), Woken::Coalesced);
            b.wake(Wake::at(at(600 + n)));
            runs.wake(Wake::now());
        }
        assert_eq!(rung(), 0, "later, coalesced, or behind a run");
        b.wake(Wake::at(at(400)));
        assert_eq!(rung(), 1, "it would be overslept");
        engine.rise();
        b.wake(Wake::at(at(300)));
        assert_eq!(rung(), 0, "it is awake");
        assert!(b.cancel());
        engine.turn(Tick::NOW);
    }
    run.finish(Outcome::ran());
    assert_eq!(rung(), 1, "the end of a run always does");
}

/// P11: under a flood of requests with delays of at least `d`, a target runs at most once in each `d`: T / d + 1
/// times in T.
#[test]
fn a_flood_of_delays_runs_no_more_often_than_the_delay() {
    const DELAY: u64 = 1_000;
    const UNTIL: u64 = 200 * DELAY;
    let (clock, hub) = hub();
    let mut engine = hub.engine().unwrap();
    let target = hub.target(1).unwrap();
    let mut rng = fastrand::Rng::with_seed(7);
    let mut runs = 0;
    while clock_micros(&hub) < UNTIL {
        for _ in 0..5 {
            let delay = if rng.bool() { DELAY } else { rng.u64(DELAY..3 * DELAY) };
            target.wake(Wake::within(Duration::from_micros(delay)));
        }
        engine.turn(hub.now());
        while let Some(run) = engine.next_run() {
            runs += 1;
            run.execute();
        }
        clock.advance(Duration::from_micros(rng.u64(1..200)));
    }
    assert!((UNTIL / DELAY / 2..=UNTIL / DELAY + 1).contains(&runs), "{runs} runs");
}

fn clock_micros(hub: &Reveille<u64>) -> u64 {
    hub.now().as_micros()
}

/// P16: a wake that coalesces makes no system call, by a handle or by key, with an absolute due or a delay.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod system_calls {
    use super::*;
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};
    use std::collections::BTreeMap;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, ExitStatus};

    /// What the child is to do once it may make no system call but those by which it ends.
    const CHILD: &str = "REVEILLE_TEST_WITHOUT_SYSTEM_CALLS";
    /// `exit_group`, and before it `sigaltstack` and `munmap`, of std's handler of stack overflows.
    const TO_END: [i64; 3] = [231, 131, 11];
    const BAD_SYSTEM_CALL: i32 = 31;

    fn coalesce(hub: &Reveille<u64>, target: &Target<u64>) -> bool {
        let delay = Duration::from_secs(7_200);
        (0..1_000).all(|n| {
            target.wake(Wake::at(at(3_600_000_000 + n))) == Woken::Coalesced
                && target.wake(Wake::within(delay)) == Woken::Coalesced
                && hub.wake(1, Wake::within(delay)) == Woken::Coalesced
        })
    }

    fn child(what: &str) -> ! {
        let hub: Reveille<u64> = Builder::new().build().unwrap();
        hub.install(|_: &Run<u64>| Outcome::ran()).unwrap().keep();
        let mut engine = hub.engine().unwrap();
        let target = hub.target(1).unwrap();
        target.wake(Wake::at(at(3_600_000_000)));
        engine.turn(hub.now());
        let rules: BTreeMap<i64, _> = TO_END.into_iter().map(|call| (call, Vec::new())).collect();
        let (kill, allow) = (SeccompAction::KillProcess, SeccompAction::Allow);
        let filter = SeccompFilter::new(rules, kill, allow, TargetArch::x86_64).unwrap();
        let program: BpfProgram = filter.try_into().unwrap();
        apply_filter(&program).unwrap();
        let done = match what {
            "coalesce" => coalesce(&hub, &target),
            _ => {
                std::thread::yield_now(); // shows that the filter holds
                false
            }
        };
        std::process::exit(if done { 0 } else { 1 });
    }

    fn run(what: &str) -> ExitStatus {
        let test = "system_calls::a_wake_that_coalesces_makes_no_system_call";
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture"]).env(CHILD, what);
        command.status().unwrap()
    }

    #[test]
    fn a_wake_that_coalesces_makes_no_system_call() {
        if let Ok(what) = std::env::var(CHILD) {
            child(&what);
        }
        assert_eq!(run("yield").signal(), Some(BAD_SYSTEM_CALL), "a system call is seen");
        assert_eq!(run("coalesce").code(), Some(0));
    }
}
