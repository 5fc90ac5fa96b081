//! The conformance suite over the twin: every pair of short scripts, in every interleaving.

use std::sync::Arc;

use fastrand::Rng;
use reveille_core::sync::twin::{Lives, set_lives};

use crate::check::{Check, Report};
use crate::conformance::{Sequential, Step, Token, Value, concurrently, sequentially};
use crate::search::{Limits, search};

/// Schedules of one thread that are played.
const SEQUENTIAL: usize = 500;

/// Steps of three threads at once: without those that differ from another only in what is held.
const SHORT: [Step; 4] = [Step::Load, Step::Store, Step::Swap, Step::CasSeen];

const ALL: [Step; 6] =
    [Step::Load, Step::Hold, Step::Store, Step::Swap, Step::CasSeen, Step::CasOther];

/// The checks of this part.
pub(crate) fn checks() -> Vec<Check> {
    vec![
        Check::new("twin-conforms-two-threads-values-kept", || {
            pairs::<Option<Arc<Token>>>(Lives::Kept)
        }),
        Check::new("twin-conforms-two-threads-values-die", || pairs::<Arc<Token>>(Lives::Die)),
        Check::new("twin-conforms-three-threads", || triples::<Arc<Token>>(Lives::Die)),
        Check::new("twin-conforms-one-thread", || {
            alone::<Option<Arc<Token>>>(Lives::Kept).and(alone::<Arc<Token>>(Lives::Die))
        }),
    ]
}

/// Two threads, of two steps and of one or two.
fn pairs<V: Value>(lives: Lives) -> Report {
    let one = ALL.map(|step| vec![step]);
    let two = ALL.iter().flat_map(|first| ALL.iter().map(|second| vec![*first, *second]));
    let two: Vec<_> = two.collect();
    let mut scripts = Vec::new();
    for (number, first) in two.iter().enumerate() {
        scripts.extend(one.iter().map(|second| vec![first.clone(), second.clone()]));
        scripts.extend(two[number..].iter().map(|second| vec![first.clone(), second.clone()]));
    }
    concurrent::<V>(scripts, lives)
}

/// Three threads of one step each.
fn triples<V: Value>(lives: Lives) -> Report {
    let mut scripts = Vec::new();
    for first in 0..SHORT.len() {
        for second in first..SHORT.len() {
            for third in second..SHORT.len() {
                scripts.push([first, second, third].map(|step| vec![SHORT[step]]).to_vec());
            }
        }
    }
    concurrent::<V>(scripts, lives)
}

fn concurrent<V: Value>(scripts: Vec<Vec<Vec<Step>>>, lives: Lives) -> Report {
    let mut report = Report { complete: true, ..Report::default() };
    let cases = scripts.len();
    for scripts in scripts {
        let shown = format!("{scripts:?}");
        let body = move || concurrently::<V>(&scripts, lives == Lives::Die);
        report = report.and(one(lives, shown, body));
        if report.failure.is_some() {
            break;
        }
    }
    report.note = format!("{cases} cases, {lives:?}");
    report
}

/// Schedules of one thread: each a single execution.
fn alone<V: Value>(lives: Lives) -> Report {
    let mut rng = Rng::with_seed(1);
    let mut report = Report { complete: true, ..Report::default() };
    for _ in 0..SEQUENTIAL {
        let steps: Vec<_> = (0..rng.usize(1..20)).map(|_| sequential(&mut rng)).collect();
        let shown = format!("{steps:?}");
        report =
            report.and(one(lives, shown, move || sequentially::<V>(&steps, lives == Lives::Die)));
        if report.failure.is_some() {
            break;
        }
    }
    report.note = format!("{SEQUENTIAL} schedules, {lives:?}");
    report
}

fn sequential(rng: &mut Rng) -> Sequential {
    let which = rng.usize(0..8);
    match rng.u8(0..8) {
        0 => Sequential::Hold,
        1 => Sequential::Own,
        2 => Sequential::Release(which),
        3 => Sequential::Store,
        4 => Sequential::Swap,
        5 => Sequential::PutBack(which),
        6 => Sequential::Cas(which),
        _ => Sequential::CasOther,
    }
}

fn one(lives: Lives, shown: String, body: impl Fn() + Send + Sync + 'static) -> Report {
    let searched = search(None, Limits::default(), move || {
        set_lives(lives);
        body();
    });
    let report = Report::of(searched, None);
    if report.failure.is_some() { report.failed(shown) } else { report }
}
