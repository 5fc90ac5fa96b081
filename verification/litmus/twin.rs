//! What the twin of `ArcSwap` admits: no more order than arc-swap promises, and a switch wherever
//! the real one can be interrupted.
//!
//! The slot holds a number, none at first, shown as 0. What is "allowed" here is what C11 allows
//! of a load that acquires and of read-modify-writes that acquire and release.

use std::sync::Arc;

use reveille_core::sync::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use reveille_core::sync::{ArcSwapOption, AtomicU64, fence, trace};

use crate::check::Check;
use crate::memory::{Allowed, C11, Forbidden, Possible, judge};
use crate::program::collect;

/// What two threads share.
struct Shared {
    slot: ArcSwapOption<u64>,
    flag: AtomicU64,
    data: AtomicU64,
}

type Side = fn(&Shared) -> String;

/// One litmus test: two threads, of which the first is the main one; the outcome is what the first
/// returns and then what the second does.
struct Litmus {
    name: &'static str,
    what: &'static str,
    sides: (Side, Side),
    asked: (&'static str, C11),
    reached: &'static str,
}

/// The checks of this part.
pub(crate) fn checks() -> Vec<Check> {
    let tests = [store_buffering(), message_passing(), values()];
    let mut checks: Vec<Check> = tests
        .into_iter()
        .flatten()
        .map(|test| {
            Check::new(test.name, move || {
                let (reached, searched) = collect(None, move || run(test.sides));
                judge(test.what, &reached, searched, test.asked, test.reached)
            })
        })
        .collect();
    checks.extend(switches());
    checks
}

fn run((first, second): (Side, Side)) -> String {
    let shared = Arc::new(Shared {
        slot: ArcSwapOption::empty(),
        flag: AtomicU64::new(0),
        data: AtomicU64::new(0),
    });
    let other = {
        let shared = Arc::clone(&shared);
        loom::thread::spawn(move || second(&shared))
    };
    let mut outcome = first(&shared);
    outcome.push_str(&other.join().expect("no side panics"));
    outcome
}

impl Shared {
    fn put(&self, value: u64) {
        self.slot.store(Some(Arc::new(value)));
    }

    fn look(&self) -> u64 {
        number(&self.slot.load())
    }

    fn swap(&self, value: u64) -> u64 {
        number(&self.slot.swap(Some(Arc::new(value))))
    }

    /// Puts a value into an empty slot; returns what was there.
    fn fill(&self, value: u64) -> u64 {
        number(&self.slot.compare_and_swap(&None, Some(Arc::new(value))))
    }

    /// A compare-and-swap that must fail: what it compares with was never there.
    fn fail(&self) -> u64 {
        number(&self.slot.compare_and_swap(&Some(Arc::new(9)), Some(Arc::new(9))))
    }
}

fn number(value: &Option<Arc<u64>>) -> u64 {
    value.as_ref().map_or(0, |value| **value)
}

/// Slot and flag, each written by one side and then the other read.
fn store_buffering() -> Vec<Litmus> {
    vec![
        Litmus {
            name: "twin-sb",
            what: "[slot=1; flag] || [flag=1; slot]",
            sides: (
                |s| {
                    s.put(1);
                    format!("{}", s.flag.load(Relaxed))
                },
                |s| {
                    s.flag.store(1, Relaxed);
                    format!("{}", s.look())
                },
            ),
            asked: ("00", Allowed),
            reached: "00 01 10 11",
        },
        Litmus {
            name: "twin-sb-flag-by-rmw",
            what: "[slot=1; flag] || [swap flag 1 AcqRel; slot]",
            sides: (
                |s| {
                    s.put(1);
                    format!("{}", s.flag.load(Acquire))
                },
                |s| {
                    s.flag.swap(1, AcqRel);
                    format!("{}", s.look())
                },
            ),
            asked: ("00", Allowed),
            reached: "00 01 10 11",
        },
        Litmus {
            name: "twin-load-is-no-fence",
            what: "[slot=1; fence; flag] || [flag=1; slot]",
            sides: (
                |s| {
                    s.put(1);
                    fence(SeqCst);
                    format!("{}", s.flag.load(Relaxed))
                },
                |s| {
                    s.flag.store(1, Relaxed);
                    format!("{}", s.look())
                },
            ),
            asked: ("00", Allowed),
            reached: "00 01 10 11",
        },
        Litmus {
            name: "twin-store-is-no-fence",
            what: "[slot=1; flag] || [flag=1; fence; slot]",
            sides: (
                |s| {
                    s.put(1);
                    format!("{}", s.flag.load(Relaxed))
                },
                |s| {
                    s.flag.store(1, Relaxed);
                    fence(SeqCst);
                    format!("{}", s.look())
                },
            ),
            asked: ("00", Allowed),
            reached: "00 01 10 11",
        },
        Litmus {
            name: "twin-cas-is-no-fence",
            what: "[cas slot none->1; flag] || [flag=1; fence; slot]",
            sides: (
                |s| {
                    s.fill(1);
                    format!("{}", s.flag.load(Relaxed))
                },
                |s| {
                    s.flag.store(1, Relaxed);
                    fence(SeqCst);
                    format!("{}", s.look())
                },
            ),
            asked: ("00", Allowed),
            reached: "00 01 10 11",
        },
        Litmus {
            name: "twin-failing-cas-is-no-fence",
            what: "[slot=1; fence; flag] || [flag=1; slot cas fails]",
            sides: (
                |s| {
                    s.put(1);
                    fence(SeqCst);
                    format!("{}", s.flag.load(Relaxed))
                },
                |s| {
                    s.flag.store(1, Relaxed);
                    format!("{}", s.fail())
                },
            ),
            asked: ("00", Allowed),
            reached: "00 01 10 11",
        },
        Litmus {
            name: "twin-sb-fences",
            what: "[slot=1; fence; flag] || [flag=1; fence; slot]",
            sides: (
                |s| {
                    s.put(1);
                    fence(SeqCst);
                    format!("{}", s.flag.load(Relaxed))
                },
                |s| {
                    s.flag.store(1, Relaxed);
                    fence(SeqCst);
                    format!("{}", s.look())
                },
            ),
            asked: ("00", Forbidden),
            reached: "01 10 11",
        },
        Litmus {
            name: "twin-sb-read-by-failing-cas",
            what: "[slot=1; flag] || [flag=1; slot cas fails]",
            sides: (
                |s| {
                    s.put(1);
                    format!("{}", s.flag.load(Relaxed))
                },
                |s| {
                    s.flag.store(1, Relaxed);
                    format!("{}", s.fail())
                },
            ),
            asked: ("00", Allowed),
            reached: "00 01 10 11",
        },
    ]
}

/// What is seen behind a slot, and what is seen of a slot behind a flag.
fn message_passing() -> Vec<Litmus> {
    vec![
        Litmus {
            name: "twin-mp-relaxed-flag",
            what: "[slot=1; flag=1 Relaxed] || [flag; slot]",
            sides: (
                |s| {
                    s.put(1);
                    s.flag.store(1, Relaxed);
                    String::new()
                },
                |s| format!("{}{}", s.flag.load(Relaxed), s.look()),
            ),
            asked: ("10", Allowed),
            reached: "00 01 10 11",
        },
        Litmus {
            name: "twin-mp-release-flag",
            what: "[slot=1; flag=1 Release] || [flag Acquire; slot]",
            sides: (
                |s| {
                    s.put(1);
                    s.flag.store(1, Release);
                    String::new()
                },
                |s| format!("{}{}", s.flag.load(Acquire), s.look()),
            ),
            asked: ("10", Forbidden),
            reached: "00 01 11",
        },
        Litmus {
            name: "twin-store-releases-load-acquires",
            what: "[data=1; slot=1] || [slot; data]",
            sides: (
                |s| {
                    s.data.store(1, Relaxed);
                    s.put(1);
                    String::new()
                },
                |s| format!("{}{}", s.look(), s.data.load(Relaxed)),
            ),
            asked: ("10", Forbidden),
            reached: "00 01 11",
        },
        Litmus {
            name: "twin-swap-releases-swap-acquires",
            what: "[data=1; swap slot 1] || [swap slot 2; data]",
            sides: (
                |s| {
                    s.data.store(1, Relaxed);
                    s.swap(1);
                    String::new()
                },
                |s| format!("{}{}", s.swap(2), s.data.load(Relaxed)),
            ),
            asked: ("10", Forbidden),
            reached: "00 01 11",
        },
        Litmus {
            name: "twin-cas-releases-failing-cas-acquires",
            what: "[data=1; cas slot none->1] || [slot cas fails; data]",
            sides: (
                |s| {
                    s.data.store(1, Relaxed);
                    s.fill(1);
                    String::new()
                },
                |s| format!("{}{}", s.fail(), s.data.load(Relaxed)),
            ),
            asked: ("10", Forbidden),
            reached: "00 01 11",
        },
        Litmus {
            name: "twin-failing-cas-releases-nothing",
            what: "[data=1; slot cas fails; flag=1 Relaxed] || [flag; swap slot 2; data]",
            sides: (
                |s| {
                    s.data.store(1, Relaxed);
                    s.fail();
                    s.flag.store(1, Relaxed);
                    String::new()
                },
                |s| {
                    let flag = s.flag.load(Relaxed);
                    s.swap(2);
                    format!("{flag}{}", s.data.load(Relaxed))
                },
            ),
            asked: ("10", Allowed),
            reached: "00 01 10 11",
        },
    ]
}

/// Which of several values a load returns.
fn values() -> Vec<Litmus> {
    vec![
        Litmus {
            name: "twin-loads-are-coherent",
            what: "[slot=1; slot=2] || [slot; slot]",
            sides: (
                |s| {
                    s.put(1);
                    s.put(2);
                    String::new()
                },
                |s| format!("{}{}", s.look(), s.look()),
            ),
            asked: ("21", Forbidden),
            reached: "00 01 02 11 12 22",
        },
        Litmus {
            name: "twin-load-is-as-stale-as-can-be",
            what: "[slot=1; slot=2; flag=1 Relaxed] || [flag; slot]",
            sides: (
                |s| {
                    s.put(1);
                    s.put(2);
                    s.flag.store(1, Relaxed);
                    String::new()
                },
                |s| format!("{}{}", s.flag.load(Relaxed), s.look()),
            ),
            asked: ("10", Allowed),
            reached: "00 01 02 10 11 12",
        },
        Litmus {
            name: "twin-one-of-two-cas",
            what: "[cas slot none->1] || [cas slot none->2]",
            sides: (|s| format!("{}", s.fill(1)), |s| format!("{}", s.fill(2))),
            asked: ("00", Forbidden),
            reached: "01 20",
        },
    ]
}

/// Every order of the steps of two operations, drawn as the thread and the step, thread `a` being
/// the main one. What is asked about has the other thread's step inside an operation. Of orders
/// that differ only in steps that do not conflict, such as two loads, the search tries one.
fn switches() -> Vec<Check> {
    let test = |name, what, sides: (Side, Side), asked, expected: &'static str| {
        Check::new(name, move || {
            let (reached, searched) = collect(None, move || steps(sides));
            judge(what, &reached, searched, (asked, Possible), expected)
        })
    };
    let silent_fill: Side = |s| {
        s.fill(1);
        String::new()
    };
    let silent_swap: Side = |s| {
        s.swap(2);
        String::new()
    };
    let silent_look: Side = |s| {
        s.look();
        String::new()
    };
    vec![
        test(
            "twin-switch-inside-a-cas-that-loses",
            "[cas slot none->1] || [swap slot 2]",
            (silent_fill, silent_swap),
            "a:load,b:swap,a:cas-failed,a:load",
            "b:swap,a:load \
             b:swap,a:load,a:cas-failed,a:load \
             a:load,b:swap,a:cas-failed,a:load \
             a:load,a:cas,b:swap",
        ),
        test(
            "twin-switch-inside-a-cas-that-wins",
            "[cas slot none->1] || [slot; slot]",
            (silent_fill, |s| {
                s.look();
                s.look();
                String::new()
            }),
            "a:load,b:load,a:cas,b:load",
            "a:load,a:cas,b:load,b:load \
             a:load,b:load,a:cas,b:load \
             a:load,b:load,b:load,a:cas",
        ),
        test(
            "twin-load-and-swap-are-one-step-each",
            "[slot] || [swap slot 2]",
            (silent_look, silent_swap),
            "a:load,b:swap",
            "a:load,b:swap b:swap,a:load",
        ),
    ]
}

/// The steps of one execution, in order.
fn steps((first, second): (Side, Side)) -> String {
    let shared = Arc::new(Shared {
        slot: ArcSwapOption::empty(),
        flag: AtomicU64::new(0),
        data: AtomicU64::new(0),
    });
    trace::start();
    trace::name_lane("a");
    let other = {
        let shared = Arc::clone(&shared);
        loom::thread::spawn(move || {
            trace::name_lane("b");
            second(&shared);
        })
    };
    first(&shared);
    other.join().expect("no side panics");
    let (events, lanes) = trace::take();
    let steps = events.iter().filter_map(|event| match &event.what {
        trace::What::Access { operation, .. } => {
            let operation = operation.trim_start_matches("slot ").replace(' ', "-");
            Some(format!("{}:{operation}", lanes[event.lane]))
        }
        _ => None,
    });
    steps.collect::<Vec<_>>().join(",")
}
