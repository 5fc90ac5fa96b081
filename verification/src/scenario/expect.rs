//! The part of the parser that reads what stands behind `expect`.

use std::collections::BTreeSet;

use super::parse::{ParseError, handler, target};
use super::words::{Words, quoted};
use super::{Counter, Expectation, LastRun, TargetState, TicketState};

const EXPECTATIONS: &str = "runs, last, order, pending, idle, running, deadline, handler, \
                            ticket, poisoned, active, peak, counts or conserved";

pub(super) fn expectation(words: &mut Words<'_>) -> Result<Expectation, ParseError> {
    let word = words.next(EXPECTATIONS)?;
    Ok(match word {
        "runs" => runs(words)?,
        "last" => last(words)?,
        "order" => order(words)?,
        "pending" => state(words, TargetState::Pending)?,
        "idle" => state(words, TargetState::Idle)?,
        "running" => state(words, TargetState::Running)?,
        "deadline" => deadline(words)?,
        "handler" => installed(words)?,
        "ticket" => ticket(words)?,
        "poisoned" => poisoned(words)?,
        "active" => Expectation::Active(words.whole("a whole number of runs")?),
        "peak" => Expectation::Peak(words.whole("a whole number of runs")?),
        "counts" => counts(words)?,
        "conserved" => Expectation::Conserved,
        other => return Err(words.refuse(EXPECTATIONS, &quoted(other))),
    })
}

fn runs(words: &mut Words<'_>) -> Result<Expectation, ParseError> {
    let count = words.whole("a whole number of runs")?;
    let mut by = None;
    let mut on = None;
    while !words.is_empty() {
        if by.is_none() && words.skip("by") {
            by = Some(handler(words)?);
        } else if on.is_none() && words.skip("on") {
            on = Some(target(words)?);
        } else {
            let expected = match (&by, &on) {
                (None, None) => "`by`, `on` or the end of the line",
                (None, Some(_)) => "`by` or the end of the line",
                (Some(_), None) => "`on` or the end of the line",
                (Some(_), Some(_)) => "the end of the line",
            };
            let word = words.next(expected)?;
            return Err(words.refuse(expected, &quoted(word)));
        }
    }
    Ok(Expectation::Runs { count, by, on })
}

fn last(words: &mut Words<'_>) -> Result<Expectation, ParseError> {
    const KEYS: [&str; 6] = ["reason", "reasons", "attempt", "missed", "at", "beside"];
    words.keyword("on")?;
    let mut last = LastRun { on: target(words)?, ..LastRun::default() };
    let mut seen = Vec::new();
    while !words.is_empty() {
        if last.by.is_none() && words.skip("by") {
            last.by = Some(handler(words)?);
            continue;
        }
        let (key, value) = words.pair(&KEYS, &mut seen)?;
        match key {
            "reason" => last.reason = Some(words.as_name("a reason", value)?),
            "reasons" => {
                let set: Result<_, _> = value
                    .split(',')
                    .map(|reason| words.as_name("reasons with commas between them", reason))
                    .collect();
                last.reasons = Some(set?);
            }
            "attempt" => last.attempt = Some(words.as_whole("a whole number", value)?),
            "missed" => last.missed = Some(words.as_whole("a whole number of beats", value)?),
            "beside" => last.beside = Some(words.as_whole("a whole number of runs", value)?),
            _ => last.at_ms = Some(words.as_whole("whole milliseconds", value)?),
        }
    }
    Ok(Expectation::Last(last))
}

fn order(words: &mut Words<'_>) -> Result<Expectation, ParseError> {
    let mut targets = vec![target(words)?];
    while !words.is_empty() {
        targets.push(target(words)?);
    }
    Ok(Expectation::Order(targets))
}

fn state(words: &mut Words<'_>, state: TargetState) -> Result<Expectation, ParseError> {
    let target = target(words)?;
    Ok(Expectation::State { target, state })
}

fn deadline(words: &mut Words<'_>) -> Result<Expectation, ParseError> {
    if words.skip("none") {
        return Ok(Expectation::Deadline(None));
    }
    let at_ms = words.whole("an instant in whole milliseconds, or none")?;
    Ok(Expectation::Deadline(Some(at_ms)))
}

fn installed(words: &mut Words<'_>) -> Result<Expectation, ParseError> {
    if words.skip("none") {
        return Ok(Expectation::Handler(None));
    }
    let name = words.name("the name of a handler, or none")?;
    Ok(Expectation::Handler(Some(name)))
}

fn ticket(words: &mut Words<'_>) -> Result<Expectation, ParseError> {
    const STATES: &str = "what the ticket says: waiting, ran, skip, gave-up, cancelled, removed, \
                          stopped, no-handler or deferred";
    let name = words.name("the name of a ticket")?;
    let word = words.next(STATES)?;
    match TicketState::ALL.into_iter().find(|state| state.to_string() == word) {
        Some(state) => Ok(Expectation::Ticket { name, state }),
        None => Err(words.refuse(STATES, &quoted(word))),
    }
}

fn poisoned(words: &mut Words<'_>) -> Result<Expectation, ParseError> {
    if words.skip("none") {
        return Ok(Expectation::Poisoned(BTreeSet::new()));
    }
    let mut targets = BTreeSet::from([words.name("targets, or none")?]);
    while !words.is_empty() {
        targets.insert(target(words)?);
    }
    Ok(Expectation::Poisoned(targets))
}

fn counts(words: &mut Words<'_>) -> Result<Expectation, ParseError> {
    let names: Vec<&str> = Counter::ALL.iter().map(|counter| counter.name()).collect();
    let mut seen = Vec::new();
    let mut counts = Vec::new();
    loop {
        let (key, value) = words.pair(&names, &mut seen)?;
        let count = words.as_whole("a whole number", value)?;
        counts.extend(
            Counter::ALL
                .into_iter()
                .filter(|counter| counter.name() == key)
                .map(|counter| (counter, count)),
        );
        if words.is_empty() {
            return Ok(Expectation::Counts(counts));
        }
    }
}
