//! What the checker's memory model admits, test by test, beside what C11 says.
//!
//! The set of outcomes is asserted exactly, also where it is wrong: where the checker shows what
//! C11 forbids (a false alarm) or does not show what C11 allows (a blind spot), the rules for
//! orderings in our code rest on knowing it. A later loom that behaves otherwise fails the test,
//! which then says in what.

use std::collections::BTreeSet;

use reveille_core::sync::Ordering::{self, AcqRel, Acquire, Relaxed, Release, SeqCst};

use crate::check::{Check, Report};
use crate::program::{Op, Outcome, Program};
use crate::search::Searched;

/// What C11 says of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum C11 {
    Allowed,
    Forbidden,
    /// Not a question of C11: an order of steps that is possible on any machine.
    Possible,
}
pub(crate) use C11::{Allowed, Forbidden, Possible};

/// One litmus test.
struct Litmus {
    name: &'static str,
    threads: Vec<Vec<Op>>,
    /// Whether the variables at the end are part of an outcome.
    ends: bool,
    /// The outcome that is asked about, and what C11 says of it.
    asked: (&'static str, C11),
    /// All outcomes that the checker reaches: the digits read, and after a dash those at the end.
    reached: &'static str,
}

const X: usize = 0;
const Y: usize = 1;

fn ld(word: usize, order: Ordering) -> Op {
    Op::Load(word, order)
}

fn st(word: usize, value: u64, order: Ordering) -> Op {
    Op::Store(word, value, order)
}

/// A read-modify-write that changes nothing.
fn rmw(word: usize, order: Ordering) -> Op {
    Op::Add(word, 0, order)
}

const SC_FENCE: Op = Op::Fence(SeqCst);

/// The checks of this part.
pub(crate) fn checks() -> Vec<Check> {
    let tests = [store_buffering(), message_passing(), four_threads(), coherence(), others()];
    tests.into_iter().flatten().map(|test| Check::new(test.name, move || test.run())).collect()
}

/// `[x=1; y] || [y=1; x]`: may both miss the other's store?
fn store_buffering() -> Vec<Litmus> {
    let both = |store: Ordering, load: Ordering| {
        vec![vec![st(X, 1, store), ld(Y, load)], vec![st(Y, 1, store), ld(X, load)]]
    };
    let fenced = |first: bool, second: bool| {
        let fence = |wanted: bool| wanted.then_some(SC_FENCE);
        let thread = |a, b, fence: Option<Op>| {
            [Some(st(a, 1, Relaxed)), fence, Some(ld(b, Relaxed))].into_iter().flatten().collect()
        };
        vec![thread(X, Y, fence(first)), thread(Y, X, fence(second))]
    };
    let rmws = |order: Ordering| {
        vec![vec![Op::Swap(X, 1, order), rmw(Y, order)], vec![Op::Swap(Y, 1, order), rmw(X, order)]]
    };
    let reading = |read: fn(usize) -> Op| {
        vec![vec![st(X, 1, Relaxed), read(Y)], vec![st(Y, 1, Relaxed), read(X)]]
    };
    let test =
        |name, threads, asked, reached| Litmus { name, threads, ends: false, asked, reached };
    vec![
        test("sb-relaxed", both(Relaxed, Relaxed), ("00", Allowed), "00 01 10 11"),
        test("sb-release-acquire", both(Release, Acquire), ("00", Allowed), "00 01 10 11"),
        test("sb-seqcst-accesses", both(SeqCst, SeqCst), ("00", Forbidden), "00 01 10 11"),
        test("sb-seqcst-fences", fenced(true, true), ("00", Forbidden), "01 10 11"),
        test("sb-seqcst-fence-on-one-side", fenced(true, false), ("00", Allowed), "00 01 10 11"),
        test("sb-acqrel-rmws-on-all-four", rmws(AcqRel), ("0000", Forbidden), "0001 0100 0101"),
        test("sb-relaxed-rmws-on-all-four", rmws(Relaxed), ("0000", Allowed), "0001 0100 0101"),
        test(
            "sb-read-by-relaxed-rmws",
            reading(|word| rmw(word, Relaxed)),
            ("00", Allowed),
            "01 10 11",
        ),
        test(
            "sb-read-by-failing-cas",
            reading(|word| Op::Cas(word, 9, 9, Relaxed)),
            ("00", Allowed),
            "01 10 11",
        ),
    ]
}

/// `[x=1; y=1] || [y; x]`: may the flag be seen and the data not?
fn message_passing() -> Vec<Litmus> {
    let accesses = |store: Ordering, load: Ordering| {
        vec![vec![st(X, 1, Relaxed), st(Y, 1, store)], vec![ld(Y, load), ld(X, Relaxed)]]
    };
    let reading =
        |flag: Op, data: Op| vec![vec![st(X, 1, Relaxed), st(Y, 1, Release)], vec![flag, data]];
    let fences = vec![
        vec![st(X, 1, Relaxed), Op::Fence(Release), st(Y, 1, Relaxed)],
        vec![ld(Y, Relaxed), Op::Fence(Acquire), ld(X, Relaxed)],
    ];
    // A third thread changes the flag in between: by a read-modify-write, which hands on what the
    // first released, or by a store, which does not.
    let between = |op: Op| {
        vec![
            vec![st(X, 1, Relaxed), st(Y, 1, Release)],
            vec![op],
            vec![ld(Y, Acquire), ld(X, Relaxed)],
        ]
    };
    let test =
        |name, threads, asked, reached| Litmus { name, threads, ends: false, asked, reached };
    vec![
        test("mp-relaxed", accesses(Relaxed, Relaxed), ("10", Allowed), "00 01 10 11"),
        test("mp-release-acquire", accesses(Release, Acquire), ("10", Forbidden), "00 01 11"),
        test("mp-release-relaxed", accesses(Release, Relaxed), ("10", Allowed), "00 01 10 11"),
        test("mp-relaxed-acquire", accesses(Relaxed, Acquire), ("10", Allowed), "00 01 10 11"),
        test("mp-fences", fences, ("10", Forbidden), "00 01 11"),
        // The writer's fence comes too late to order its two stores, the reader's is between its loads. A
        // fence takes no step of its own: the search puts others between it and the access before it only
        // where that access depends on theirs.
        test(
            "mp-fence-behind-both-stores",
            vec![
                vec![st(X, 1, Relaxed), st(Y, 1, Relaxed), SC_FENCE],
                vec![ld(Y, Relaxed), SC_FENCE, ld(X, Relaxed)],
            ],
            ("10", Allowed),
            "00 01 11",
        ),
        test(
            "mp-fence-behind-a-dependent-access",
            vec![
                vec![st(X, 1, Relaxed), st(Y, 1, Relaxed), rmw(Y, Relaxed), SC_FENCE],
                vec![ld(Y, Relaxed), SC_FENCE, ld(X, Relaxed)],
            ],
            ("110", Allowed),
            "100 101 110 111",
        ),
        test(
            "mp-flag-read-by-relaxed-rmw",
            reading(rmw(Y, Relaxed), ld(X, Relaxed)),
            ("10", Allowed),
            "00 01 10 11",
        ),
        test(
            "mp-data-read-by-relaxed-rmw",
            reading(ld(Y, Relaxed), rmw(X, Relaxed)),
            ("10", Allowed),
            "00 01 11",
        ),
        test(
            "mp-through-a-relaxed-rmw",
            between(Op::Add(Y, 1, Relaxed)),
            ("120", Forbidden),
            "000 001 010 011 100 101 111 121",
        ),
        test(
            "mp-through-a-relaxed-store",
            between(st(Y, 2, Relaxed)),
            ("20", Allowed),
            "00 01 11 20 21",
        ),
    ]
}

/// All outcomes of four reads of zero or one.
const ALL: &str = "0000 0001 0010 0011 0100 0101 0110 0111 1000 1001 1010 1011 1100 1101 1110 1111";

/// Two writers and two readers: may the readers disagree on the order of the writes?
fn four_threads() -> Vec<Litmus> {
    let iriw = |store: Ordering, load: Ordering, fence: Option<Op>| {
        let reader = |a, b| [Some(ld(a, load)), fence, Some(ld(b, load))];
        let reader = |a, b| reader(a, b).into_iter().flatten().collect();
        vec![vec![st(X, 1, store)], vec![st(Y, 1, store)], reader(X, Y), reader(Y, X)]
    };
    let test =
        |name, threads, asked, reached| Litmus { name, threads, ends: false, asked, reached };
    vec![
        test("iriw-release-acquire", iriw(Release, Acquire, None), ("1010", Allowed), ALL),
        test("iriw-seqcst-accesses", iriw(SeqCst, SeqCst, None), ("1010", Forbidden), ALL),
        test(
            "iriw-seqcst-fences",
            iriw(Relaxed, Relaxed, Some(SC_FENCE)),
            ("1010", Forbidden),
            "0000 0001 0010 0011 0100 0101 0110 0111 1000 1001 1011 1100 1101 1110 1111",
        ),
    ]
}

/// One variable: everyone agrees on the order of its values.
fn coherence() -> Vec<Litmus> {
    let test = |name, threads, asked, reached| Litmus { name, threads, ends: true, asked, reached };
    let reads = || vec![ld(X, Relaxed), ld(X, Relaxed)];
    vec![
        test("corr", vec![vec![st(X, 1, Relaxed)], reads()], ("10-1", Forbidden), "00-1 01-1 11-1"),
        test(
            "coww",
            vec![vec![st(X, 1, Relaxed), st(X, 2, Relaxed)], vec![ld(X, Relaxed)]],
            ("0-1", Forbidden),
            "0-2 1-2 2-2",
        ),
        test(
            "cowr",
            vec![vec![st(X, 1, Relaxed), ld(X, Relaxed)], vec![st(X, 2, Relaxed)]],
            ("2-1", Forbidden),
            "1-1 1-2 2-2",
        ),
        test(
            "corw",
            vec![vec![ld(X, Relaxed), st(X, 1, Relaxed)], vec![st(X, 2, Relaxed)]],
            ("2-2", Forbidden),
            "0-1 0-2 2-1",
        ),
        test(
            "writers-agree",
            vec![vec![st(X, 1, Relaxed), ld(X, Relaxed)], vec![st(X, 2, Relaxed), ld(X, Relaxed)]],
            ("21-1", Forbidden),
            "11-1 12-1 12-2 22-2",
        ),
        test(
            "readers-agree",
            vec![vec![st(X, 1, Relaxed)], vec![st(X, 2, Relaxed), ld(X, Relaxed)], reads()],
            ("112-1", Forbidden),
            "100-1 101-1 102-1 111-1 121-1 122-1 200-1 200-2 201-1 201-2 202-1 202-2 \
             211-1 211-2 212-2 221-1 222-1 222-2",
        ),
        test(
            "rmws-are-atomic",
            vec![vec![Op::Add(X, 1, Relaxed)], vec![Op::Add(X, 1, Relaxed)]],
            ("00-1", Forbidden),
            "01-2 10-2",
        ),
        test(
            "swap-and-store",
            vec![vec![Op::Swap(X, 1, Relaxed)], vec![st(X, 2, Relaxed)]],
            ("0-1", Forbidden),
            "0-1 0-2 2-1",
        ),
        test(
            "swap-and-seqcst-store",
            vec![vec![Op::Swap(X, 1, SeqCst)], vec![st(X, 2, SeqCst)]],
            ("0-1", Forbidden),
            "0-1 0-2 2-1",
        ),
    ]
}

/// The other shapes of two and three threads.
fn others() -> Vec<Litmus> {
    let buffering = |load: Ordering, store: Ordering| {
        vec![vec![ld(X, load), st(Y, 1, store)], vec![ld(Y, load), st(X, 1, store)]]
    };
    let two_writes = vec![
        vec![st(X, 1, Relaxed), st(Y, 2, Relaxed)],
        vec![st(Y, 1, Relaxed), st(X, 2, Relaxed)],
    ];
    let causality = |store: Ordering, load: Ordering| {
        vec![
            vec![st(X, 1, Relaxed)],
            vec![ld(X, load), st(Y, 1, store)],
            vec![ld(Y, load), ld(X, Relaxed)],
        ]
    };
    let test = |name, threads, ends, asked, reached| Litmus { name, threads, ends, asked, reached };
    vec![
        test("lb-relaxed", buffering(Relaxed, Relaxed), false, ("11", Allowed), "00 01 10"),
        test(
            "lb-acquire-release",
            buffering(Acquire, Release),
            false,
            ("11", Forbidden),
            "00 01 10",
        ),
        test("two-plus-two-writes", two_writes, true, ("-11", Allowed), "-11 -12 -21 -22"),
        test(
            "write-to-read-relaxed",
            causality(Relaxed, Relaxed),
            false,
            ("110", Allowed),
            "000 001 010 011 100 101 110 111",
        ),
        test(
            "write-to-read-release-acquire",
            causality(Release, Acquire),
            false,
            ("110", Forbidden),
            "000 001 010 011 100 101 111",
        ),
    ]
}

impl Litmus {
    fn run(&self) -> Report {
        let program = Program { variables: 2, threads: self.threads.clone() };
        let (outcomes, searched) = program.reached(None);
        let reached = outcomes.iter().map(|outcome| self.text(outcome)).collect();
        judge(&program.to_string(), &reached, searched, self.asked, self.reached)
    }

    fn text(&self, outcome: &Outcome) -> String {
        let digits = |values: &[u64]| values.iter().map(ToString::to_string).collect::<String>();
        let mut text = digits(&outcome.reads);
        if self.ends {
            let words = 1 + self.threads.iter().flatten().map(Op::word).max().unwrap_or(0);
            text.push('-');
            text.push_str(&digits(&outcome.ends[..words]));
        }
        text
    }
}

/// Compares what was reached with what is expected, exactly, and says what is to be said of the
/// outcome that is asked about.
pub(crate) fn judge(
    what: &str,
    reached: &BTreeSet<String>,
    searched: Searched,
    asked: (&str, C11),
    expected: &str,
) -> Report {
    let expected: BTreeSet<String> = expected.split_whitespace().map(str::to_owned).collect();
    let (asked, c11) = asked;
    let verdict = match (c11, reached.contains(asked)) {
        (Allowed, true) => "shown, C11 allows it",
        (Allowed, false) => "NOT SHOWN though C11 allows it: a blind spot",
        (Possible, true) => "shown, as it must be",
        (Possible, false) => "NOT SHOWN though it can happen",
        (Forbidden, true) => "SHOWN though C11 forbids it: a false alarm",
        (Forbidden, false) => "not shown, C11 forbids it",
    };
    let list = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" ");
    let note = format!("{what}: {asked} {verdict}; reached {}", list(reached));
    let report = Report { note, ..Report::of(searched, None) };
    if report.failure.is_some() || *reached == expected {
        return report;
    }
    let fresh = reached.difference(&expected).cloned().collect();
    let gone = expected.difference(reached).cloned().collect();
    report.failed(format!(
        "{what}: the checker's memory model has changed. Now reached: {:?}; no longer: {:?}. Of \
         {asked}: {verdict}. Review the rules for orderings that rest on it.",
        list(&fresh),
        list(&gone)
    ))
}
