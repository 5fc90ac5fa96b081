//! Whether an expectation holds of a subject, and what there was where it does not.

use std::collections::BTreeSet;

use super::subject::{Event, Started, Subject};
use super::{Counter, Expectation, LastRun};

/// What was expected and what there was.
pub(super) struct Mismatch {
    pub(super) expected: String,
    pub(super) got: String,
}

/// Looks at the subject; it must have settled.
pub(super) fn check(expectation: &Expectation, subject: &dyn Subject) -> Result<(), Mismatch> {
    let got = match expectation {
        Expectation::Runs { count, by, on } => {
            let runs = runs(subject)
                .filter(|run| by.as_ref().is_none_or(|by| *by == run.handler))
                .filter(|run| on.as_ref().is_none_or(|on| *on == run.target))
                .count();
            (runs as u64 != *count).then(|| format!("runs {runs}"))
        }
        Expectation::Last(last) => check_last(last, subject),
        Expectation::Order(targets) => {
            let order: Vec<&String> = runs(subject).map(|run| &run.target).collect();
            let holds = order.iter().copied().eq(targets);
            (!holds).then(|| {
                let order: Vec<&str> = order.into_iter().map(String::as_str).collect();
                format!("order {}", order.join(" ")).trim_end().to_owned()
            })
        }
        Expectation::State { target, state } => {
            let got = subject.state(target);
            (got != *state).then(|| format!("{got} {target}"))
        }
        Expectation::Deadline(deadline) => {
            let got = subject.deadline();
            (got != *deadline).then(|| Expectation::Deadline(got).to_string())
        }
        Expectation::Handler(handler) => {
            let got = subject.handler();
            (got != *handler).then(|| Expectation::Handler(got).to_string())
        }
        Expectation::Ticket { name, state } => {
            let got = subject.ticket(name);
            let told = |state| Expectation::Ticket { name: name.clone(), state }.to_string();
            (got != Some(*state)).then(|| got.map_or_else(|| format!("no ticket {name}"), told))
        }
        Expectation::Poisoned(targets) => {
            let got: BTreeSet<String> = subject.poisoned().into_iter().collect();
            (got != *targets).then(|| Expectation::Poisoned(got).to_string())
        }
        Expectation::Active(count) => {
            let got = subject.active();
            (got != *count).then(|| format!("active {got}"))
        }
        Expectation::Peak(count) => {
            let got = subject.peak();
            (got != *count).then(|| format!("peak {got}"))
        }
        Expectation::Counts(counts) => {
            let holds = counts.iter().all(|(counter, count)| subject.count(*counter) == *count);
            let got = counts.iter().map(|(counter, _)| (*counter, subject.count(*counter)));
            (!holds).then(|| Expectation::Counts(got.collect()).to_string())
        }
        Expectation::Conserved => {
            (!conserved(subject)).then(|| Expectation::Counts(all_counts(subject)).to_string())
        }
    };
    match got {
        None => Ok(()),
        Some(got) => Err(Mismatch { expected: expectation.to_string(), got }),
    }
}

/// Whether nothing was lost and nothing appeared from nowhere.
///
/// Summed in twice the width, so that no wrong counter can make the equation hold by a wrap.
pub fn conserved(subject: &dyn Subject) -> bool {
    let sum = |counters: &[Counter]| -> u128 {
        counters.iter().map(|counter| u128::from(subject.count(*counter))).sum()
    };
    let came = sum(&[Counter::Accepted, Counter::Retried]);
    let went = sum(&[
        Counter::Started,
        Counter::Coalesced,
        Counter::Pending,
        Counter::Refused,
        Counter::Discarded,
    ]);
    came == went
}

fn check_last(last: &LastRun, subject: &dyn Subject) -> Option<String> {
    let Some(run) = runs(subject).filter(|run| run.target == last.on).last() else {
        return Some(format!("no run on {}", last.on));
    };
    // Told in the same words and for the same keys as the expectation, so that the two lines
    // can be compared by eye.
    let got = LastRun {
        on: run.target.clone(),
        by: last.by.as_ref().map(|_| run.handler.clone()),
        reason: last.reason.as_ref().map(|_| run.reason.clone()),
        reasons: last.reasons.as_ref().map(|_| run.reasons.clone()),
        attempt: last.attempt.map(|_| run.attempt),
        missed: last.missed.map(|_| run.missed),
        at_ms: last.at_ms.map(|_| run.at_ms),
        beside: last.beside.and(run.beside),
    };
    (got != *last).then(|| got.to_string())
}

fn all_counts(subject: &dyn Subject) -> Vec<(Counter, u64)> {
    Counter::ALL.into_iter().map(|counter| (counter, subject.count(counter))).collect()
}

fn runs(subject: &dyn Subject) -> impl Iterator<Item = &Started> {
    subject.events().iter().filter_map(|event| match event {
        Event::Started(run) => Some(run),
        Event::Ended { .. } => None,
    })
}
