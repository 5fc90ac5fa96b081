use super::word::{Ending, RunNumber, Word};
use super::{Completion, Late};
use crate::Tick;
use std::time::Duration;

fn endings() -> impl Iterator<Item = Ending> {
    let bound = 1 << 36;
    let delays = [0, 1, 999, 1_000, bound - 1, bound, bound + 1, bound * 1_000, bound * 1_000 + 1];
    let delayed = delays
        .into_iter()
        .map(Duration::from_micros)
        .flat_map(|d| [Ending::BusyFor(d), Ending::FailedFor(d), Ending::Deferred(d)]);
    [
        Ending::Ran,
        Ending::Skipped,
        Ending::Busy,
        Ending::Failed,
        Ending::Overran,
        Ending::Panicked,
        Ending::Aborted,
        Ending::Cancelled,
    ]
    .into_iter()
    .chain(delayed)
}

fn numbers() -> impl Iterator<Item = RunNumber> {
    let mut number = RunNumber::default();
    let first = std::iter::repeat_with(move || {
        number = number.next();
        number
    });
    first.take(3).chain([Word(u64::MAX).number(), Word(u64::MAX).number().next()])
}

/// Every word of the narrowed machine: each number, each class (unused ones too), some delays.
fn words() -> impl Iterator<Item = Word> {
    numbers().flat_map(|number| {
        (0..16_u64).flat_map(move |class| {
            [0, 1, 1 << 36, 3 << 36, (1 << 38) - 1]
                .map(|delay| Word(Word::running(number).0 & !(15 << 38) | class << 38 | delay))
        })
    })
}

/// Past the horizon a delay may be anything that is.
#[test]
fn the_longest_delay_is_never() {
    let number = RunNumber::default().next();
    let word = Word::running(number).complete(number, Ending::BusyFor(Duration::MAX)).unwrap();
    let Some(Ending::BusyFor(delay)) = word.ending() else { panic!("{word:?}") };
    assert!(Tick::NOW + delay > Tick::HORIZON);
}

/// Delays never get shorter by being packed (P9: no start before its floor), and are exact
/// where the documentation says so.
#[test]
fn delays_round_up() {
    for ending in endings() {
        let number = RunNumber::default().next();
        let word = Word::running(number).complete(number, ending).unwrap();
        match (ending, word.ending().unwrap()) {
            (Ending::BusyFor(given), Ending::BusyFor(got))
            | (Ending::FailedFor(given), Ending::FailedFor(got))
            | (Ending::Deferred(given), Ending::Deferred(got)) => {
                let (exact, millis) =
                    (Duration::from_micros(1 << 36), Duration::from_millis(1 << 36));
                let unit = match given {
                    _ if given < exact => Duration::from_nanos(1),
                    _ if given < millis => Duration::from_millis(1),
                    _ => Duration::from_secs(1),
                };
                assert!(got >= given && got - given < unit, "{given:?} became {got:?}");
            }
            (given, got) => assert_eq!(given, got),
        }
    }
}

/// P6: only the run in flight completes, whatever the word is.
#[test]
fn only_the_run_in_flight_completes() {
    for word in words() {
        for number in numbers() {
            for ending in endings() {
                let completed = word.complete(number, ending);
                assert_eq!(completed.is_some(), word == Word::running(number), "{word:?}");
                if let Some(next) = completed {
                    assert_eq!(next.number(), number);
                    assert!(next.ending().is_some() && !next.is_running());
                    assert_eq!(next.complete(number, ending), None, "a second completion is late");
                }
            }
        }
    }
}

/// An ending is collected once, and only then may the next run start.
#[test]
fn start_and_collect_take_turns() {
    for word in words() {
        assert!(word.start().is_none() || word.collect().is_none(), "{word:?}");
        if let Some((next, ending)) = word.collect() {
            assert_eq!(Some(ending), word.ending());
            assert_eq!(next.number(), word.number());
            assert_eq!(next.collect(), None);
            assert_eq!(next.start().unwrap().number(), word.number().next());
        }
        if let Some(next) = word.start() {
            assert!(next.is_running() && !word.is_running());
        }
    }
}

#[test]
fn a_late_completion_changes_nothing() {
    let cell = Completion::new();
    assert_eq!(cell.collect(), None);
    let first = cell.start().unwrap();
    assert_eq!(cell.start(), None);
    cell.complete(first, Ending::Cancelled).unwrap();
    assert_eq!(cell.complete(first, Ending::Ran), Err(Late));
    assert_eq!(cell.collect(), Some(Ending::Cancelled));
    let second = cell.start().unwrap();
    assert_eq!(cell.complete(first, Ending::Ran), Err(Late));
    assert_eq!(format!("{cell:?}"), "Completion(run 2 running)");
    cell.complete(second, Ending::BusyFor(Duration::from_secs(1))).unwrap();
    assert_eq!(format!("{cell:?}"), "Completion(run 2 BusyFor(1s))");
    assert_eq!(cell.collect(), Some(Ending::BusyFor(Duration::from_secs(1))));
}
