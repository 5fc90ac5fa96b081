use super::Pending;
use super::word::{Request, Verdict, Word};
use crate::{Tick, Urgency};

const URGENCIES: [Urgency; 4] = [Urgency::Retry, Urgency::Beat, Urgency::Event, Urgency::Urgent];

/// The narrowed word: every flag and urgency, two reasons, and the dues at which something
/// changes (now, some, one apart, the last armed, never, no wake).
fn dues() -> [u64; 7] {
    [0, 1, 2, 7, (1 << 50) - 3, (1 << 50) - 2, (1 << 50) - 1]
}

fn words() -> impl Iterator<Item = Word> {
    dues().into_iter().flat_map(|due| {
        (0..256_u64).map(move |low| {
            let (flags, urgency, reasons) = (low & 15, low >> 4 & 3, low >> 6);
            Word(due << 14 | reasons << 6 | urgency << 4 | flags)
        })
    })
}

fn is_valid(word: Word) -> bool {
    let empty_is_clean = word.has_wake()
        || (word.reasons() == 0 && word.urgency() == Urgency::Retry && word.0 & 8 == 0);
    let closed_is_empty = !word.is_closed() || (!word.has_wake() && !word.is_cancelled());
    empty_is_clean && closed_is_empty
}

fn valid() -> impl Iterator<Item = Word> {
    words().filter(|&word| is_valid(word))
}

fn requests() -> impl Iterator<Item = Request> {
    [0, 1, 2, 7, (1 << 50) - 3, (1 << 50) - 2, u64::MAX].into_iter().flat_map(|due| {
        (0..4_u8).flat_map(move |reasons| {
            URGENCIES.map(|urgency| Request { due: Tick::from_micros(due), reasons, urgency })
        })
    })
}

/// Every edge leads from valid words to valid words.
#[test]
fn edges_keep_words_valid() {
    assert!(valid().count() > 300);
    for word in valid() {
        for request in requests() {
            for unnoted in [false, true] {
                assert!(is_valid(word.join(request, unnoted).word), "{word:?} join {request:?}");
            }
            if let Some(next) = word.settle(request.due) {
                assert!(is_valid(next) && next.has_wake(), "{word:?}");
                assert_eq!(next.is_seen(), !word.is_running());
            }
        }
        if word.is_running() {
            assert!(is_valid(word.end(None)) && !word.end(None).is_running());
        }
        if let Some((next, taken)) = word.begin() {
            assert!(is_valid(next) && next.is_running() && !next.has_wake());
            assert_eq!((taken.reasons, taken.urgency), (word.reasons(), word.urgency()));
            let kept = next.end(Some(taken));
            assert!(is_valid(kept) && kept.is_parked() && !kept.is_running(), "{word:?}");
        }
        if let Some(next) = word.cancel() {
            assert!(is_valid(next) && next.is_cancelled() && !next.has_wake());
            assert_eq!(next.is_running(), word.is_running());
            assert!(next.begin().is_none(), "nothing starts before the driver looked");
            assert!(!next.forget().is_cancelled());
        }
        let closed = word.close();
        assert!(is_valid(closed) && closed.is_closed() && !closed.has_wake());
        assert_eq!(closed.is_running(), word.is_running());
    }
}

/// Where no word is seen, a join is a join: earliest due, union, maximum, in any order (P5).
#[test]
fn joins_commute_and_are_idempotent() {
    let unseen = || valid().filter(|w| !w.is_seen() && !w.is_late() && !w.is_closed());
    for word in unseen() {
        for a in requests() {
            let once = word.join(a, false).word;
            assert_eq!(once.join(a, false).word, once, "{word:?} {a:?}");
            assert_eq!(once.due(), word.due().min(clamp(a.due)));
            assert_eq!(once.reasons(), word.reasons() | a.reasons);
            assert_eq!(once.urgency(), word.urgency().max(a.urgency));
            for b in requests() {
                let other = word.join(b, false).word.join(a, false).word;
                assert_eq!(once.join(b, false).word, other, "{word:?} {a:?} {b:?}");
            }
        }
    }
}

fn clamp(due: Tick) -> Tick {
    if due.as_micros() < (1 << 50) - 2 { due } else { Tick::NEVER }
}

/// P3: a request is refused only by a closed word, and else leaves a wake behind that is
/// published, or known to a driver that owes a look.
#[test]
fn a_request_is_never_lost() {
    for word in valid() {
        for request in requests() {
            for unnoted in [false, true] {
                let joined = word.join(request, unnoted);
                assert_eq!(joined.verdict == Verdict::Refused, word.is_closed());
                if word.is_closed() {
                    assert_eq!(joined.word, word);
                    continue;
                }
                assert!(joined.word.has_wake());
                assert_eq!(joined.verdict == Verdict::Armed, !word.has_wake());
                let owed = joined.word.is_seen() || joined.word.is_running();
                assert_eq!(joined.publish, !owed, "{word:?} {request:?}");
                if joined.word.is_seen() {
                    assert!(!unnoted, "what was seen says nothing about {request:?}");
                    assert!(joined.word.due() <= clamp(request.due));
                }
            }
        }
    }
}

/// What `contains` lets pass without a write is just what `join` would not change.
#[test]
fn contains_is_a_join_that_changes_nothing() {
    for word in valid() {
        for request in requests() {
            let joined = word.join(request, false);
            let idle =
                joined.word == word && !joined.publish && joined.verdict == Verdict::Coalesced;
            assert_eq!(word.contains(request), idle, "{word:?} {request:?}");
        }
    }
}

/// P9: an urgent request passes what is parked, others do not.
#[test]
fn only_urgent_requests_pass_a_parked_wake() {
    for word in valid().filter(|w| w.is_parked()) {
        for request in requests() {
            let joined = word.join(request, false);
            assert_eq!(joined.publish, request.urgency == Urgency::Urgent, "{word:?} {request:?}");
            if joined.publish {
                assert_eq!(joined.word.due(), clamp(request.due), "its own due, not now");
            }
        }
    }
}

/// P6: N wakes during a run ring nobody and leave one wake.
#[test]
fn wakes_during_a_run_oblige_to_nothing() {
    for word in valid().filter(|w| w.is_running() && !w.is_closed()) {
        for request in requests() {
            let joined = word.join(request, true);
            assert!(!joined.publish && joined.word.is_running());
            assert!(joined.word.is_late(), "the install that is not noted must not move it");
            assert!(joined.word.end(None).has_wake() && !joined.word.end(None).is_seen());
        }
    }
}

/// Predicates test their own bit, on every value, valid or not.
#[test]
fn predicates_test_masks() {
    for word in words() {
        for bit in 0..4 {
            let flipped = Word(word.0 ^ 1 << bit);
            let differs = [
                word.is_closed() != flipped.is_closed(),
                word.is_cancelled() != flipped.is_cancelled(),
                word.is_running() != flipped.is_running(),
                (word.is_seen() || word.is_late()) != (flipped.is_seen() || flipped.is_late()),
            ];
            let expected: Vec<bool> = (0..4).map(|other| other == bit).collect();
            assert_eq!(differs.to_vec(), expected, "{word:?} bit {bit}");
        }
    }
}

#[test]
fn words_print_decoded() {
    let request = Request { due: Tick::from_micros(1_500), reasons: 5, urgency: Urgency::Event };
    let word = Word::IDLE.join(request, false).word.settle(request.due).unwrap();
    let text = "Word { due: 1500us, reasons: 0b00000101, urgency: Event, seen: true }";
    assert_eq!(format!("{word:?}"), text);
    assert_eq!(format!("{:?}", Pending::new()), "Pending(Word)");
}

/// The cell applies the edges of the word.
#[test]
fn the_cell_follows_the_word() {
    let cell = Pending::new();
    let request = Request { due: Tick::NOW, reasons: 1, urgency: Urgency::Event };
    assert_eq!(cell.join(request, false).verdict, Verdict::Armed);
    let seen = cell.load();
    assert!(cell.settle(seen, Tick::from_micros(9)).unwrap().is_seen());
    assert!(cell.settle(seen, Tick::NOW).is_err(), "the word has changed");
    let taken = cell.begin().unwrap();
    assert_eq!(taken.reasons, 1);
    assert!(cell.begin().is_err());
    assert!(!cell.join(request, false).publish);
    let (before, after) = cell.end(Some(taken));
    assert!(before.is_running() && after.is_parked());
    assert!(cell.cancel());
    assert!(!cell.cancel());
    assert!(cell.load().is_cancelled() && !cell.forget().is_cancelled());
    assert!(!cell.close().has_wake());
    assert_eq!(cell.join(request, false).verdict, Verdict::Refused);
}

/// P3, P6, P13: a run takes a wake that the driver has seen, with nothing left to look at first; and
/// nothing else.
#[test]
fn a_run_begins_from_what_the_driver_has_seen() {
    for word in valid() {
        let looked_at = word.is_seen() && !word.is_cancelled() && !word.is_closed();
        assert_eq!(word.begin().is_some(), word.has_wake() && looked_at, "{word:?}");
    }
    // Also of words that no edge makes: what says that there is no wake, or none for now, is heard.
    assert!(words().all(|word| word.begin().is_none() || word.has_wake()));
    assert!(words().all(|word| word.begin().is_none() || !word.is_running()));
}

/// P18: what a join says is what it did.
#[test]
fn a_join_tells_what_it_did() {
    for (word, request) in valid().flat_map(|word| requests().map(move |r| (word, r))) {
        let joined = word.join(request, false);
        let expected = match word.has_wake() {
            _ if word.is_closed() => Verdict::Refused,
            false => Verdict::Armed,
            true if clamp(request.due) < word.due() => Verdict::Preempted,
            true => Verdict::Coalesced,
        };
        // "Never" is the latest due: nothing is sooner than it but what is armed.
        assert_eq!(joined.verdict, expected, "{word:?} join {request:?}");
    }
}

/// P3, P4: what is contained coalesces unwritten; not where an install is unnoted, since then it
/// must be published.
#[test]
fn what_is_contained_coalesces_unless_an_install_is_unnoted() {
    let request = Request { due: Tick::from_micros(7), reasons: 1, urgency: Urgency::Beat };
    let cell = Pending::new();
    assert!(!cell.look().contains(request));
    assert!(cell.join(request, false).publish);
    assert!(cell.settle(cell.load(), request.due).is_ok());
    let seen = cell.look();
    assert!(seen.contains(request) && cell.stays(seen));
    let join = cell.join(request, false);
    assert_eq!((join.verdict, join.publish), (Verdict::Coalesced, false));
    assert_eq!(cell.load(), seen);
    // From a look that is out of date: the word decides.
    let urgent = Request { urgency: Urgency::Urgent, ..request };
    let join = cell.join_from(Pending::new().load(), urgent, false);
    assert_eq!((join.verdict, join.publish), (Verdict::Coalesced, false));
    assert_eq!((cell.load().due(), cell.load().urgency()), (seen.due(), Urgency::Urgent));
    assert!(!cell.stays(seen), "it has changed");
    let join = cell.join(request, true);
    assert_eq!((join.verdict, join.publish), (Verdict::Coalesced, true));
    assert!(!cell.load().is_seen());
}
