//! The exact parser: what the grammar does not allow is an error with its line, what was
//! expected there, and what was found.

use std::error::Error;
use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::expect::expectation;
use super::words::{Words, quoted};
use super::{
    Action, ActiveHours, Flood, LAST_WALL_MS, Missed, OnOverrun, OnReplace, Or, Outcome, Policy,
    ResultSpec, RosterEntry, Scenario, Step, Urgency, Verb,
};

/// A line that is no line of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The line, counted from 1.
    pub line: usize,
    /// What could have stood there.
    pub expected: String,
    /// What stood there.
    pub got: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, expected, got } = self;
        write!(f, "line {line}: expected {expected}, got {got}")
    }
}

impl Error for ParseError {}

const VERBS: &str = "install, script, dispose, wake, beat, finish, cancel, postpone, wake-all, \
                     barrier, await, revive, forgive, runner, update, remove, suspend, restart, wallclock, stop or \
                     expect";
const MILLISECONDS: &str = "whole milliseconds";
const RESULT: &str = "a result: ran, skip, busy, busy:MS, defer:MS, fail, fail:MS or panic, each \
                      with @MS or without, or hold";
/// The last minute of the day, and one.
const MIDNIGHT: u16 = 1_440;
const POLICY_KEYS: [&str; 15] = [
    "coalesce",
    "retry",
    "backoff-factor",
    "backoff-max",
    "max-attempts",
    "max-active",
    "missed",
    "on-replace",
    "spacing",
    "flood",
    "hub-flood",
    "barrier-limit",
    "run-limit",
    "on-overrun",
    "wall",
];

/// Reads a scenario.
///
/// Lines may end in CRLF and the text may begin with a byte order mark, since editors of other
/// systems leave both behind.
///
/// # Errors
/// The first line that the grammar does not allow.
pub fn parse(text: &str) -> Result<Scenario, ParseError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut policy = Policy::default();
    let mut policy_keys = Vec::new();
    let mut steps: Vec<Step> = Vec::new();
    let mut clock = Clock::default();
    for (index, line) in text.lines().enumerate() {
        let mut words = Words::of(index + 1, line);
        match words.peek() {
            None => {}
            Some("policy") if steps.is_empty() => {
                words.keyword("policy")?;
                read_policy(&mut words, &mut policy, &mut policy_keys)?;
            }
            Some("policy") => {
                return Err(words.refuse("policy lines before the first step", "`policy`"));
            }
            Some(_) => {
                let at_ms = clock.read(&mut words)?;
                let verb = verb(&mut words)?;
                if let Verb::Act(Action::Suspend { ms } | Action::Restart { ms }) = verb {
                    clock.suspend(ms);
                }
                words.end()?;
                steps.push(Step { line: words.line(), at_ms, verb });
            }
        }
    }
    Ok(Scenario { policy, steps })
}

/// The earliest time that the next line may have.
#[derive(Default)]
struct Clock {
    now_ms: u64,
    resumed: bool,
}

impl Clock {
    fn read(&mut self, words: &mut Words<'_>) -> Result<u64, ParseError> {
        let what = if self.now_ms == 0 { "a time in whole milliseconds" } else { MILLISECONDS };
        let word = words.peek().unwrap_or_default();
        let at_ms = words.whole(what)?;
        if at_ms < self.now_ms {
            let why =
                if self.resumed { "the end of the suspend" } else { "the time of the step before" };
            let expected = format!("a time of at least {} ({why})", self.now_ms);
            return Err(words.refuse(&expected, &quoted(word)));
        }
        self.resumed &= at_ms == self.now_ms;
        self.now_ms = at_ms;
        Ok(at_ms)
    }

    fn suspend(&mut self, ms: u64) {
        self.now_ms = self.now_ms.saturating_add(ms);
        self.resumed = true;
    }
}

fn read_policy<'text>(
    words: &mut Words<'text>,
    policy: &mut Policy,
    seen: &mut Vec<&'text str>,
) -> Result<(), ParseError> {
    loop {
        let (key, value) = words.pair(&POLICY_KEYS, seen)?;
        match key {
            "coalesce" => policy.coalesce_ms = words.as_whole(MILLISECONDS, value)?,
            "retry" => policy.retry_ms = words.as_positive(MILLISECONDS, value)?,
            "backoff-factor" => {
                policy.backoff_factor = words.as_positive("a whole factor", value)?
            }
            "backoff-max" => policy.backoff_max_ms = words.as_whole(MILLISECONDS, value)?,
            "max-attempts" => policy.max_attempts = words.as_positive("a whole number", value)?,
            "max-active" => policy.max_active = words.as_positive("a whole number", value)?,
            "missed" => {
                policy.missed = match value {
                    "skip" => Missed::Skip,
                    "burst" => Missed::Burst,
                    "delay" => Missed::Delay,
                    _ => return Err(words.refuse("skip, burst or delay", &quoted(value))),
                }
            }
            "spacing" => policy.spacing_ms = words.as_whole(MILLISECONDS, value)?,
            "flood" => policy.flood = flood(words, value, 1_000)?,
            "hub-flood" => policy.hub_flood = flood(words, value, 1_000_000)?,
            "barrier-limit" => policy.barrier_limit_ms = words.as_whole(MILLISECONDS, value)?,
            "run-limit" if value == "off" => policy.run_limit_ms = None,
            "run-limit" => {
                let limit = words.as_positive("off or whole milliseconds", value)?;
                policy.run_limit_ms = Some(limit);
            }
            "wall" => policy.wall_ms = wall(words, value)?,
            "on-overrun" => {
                policy.on_overrun = match value {
                    "report" => OnOverrun::Report,
                    "cancel" => OnOverrun::Cancel,
                    _ => return Err(words.refuse("report or cancel", &quoted(value))),
                }
            }
            _ => {
                policy.on_replace = match value {
                    "finish" => OnReplace::Finish,
                    "cancel" => OnReplace::Cancel,
                    _ => return Err(words.refuse("finish or cancel", &quoted(value))),
                }
            }
        }
        if words.is_empty() {
            return Ok(());
        }
    }
}

fn flood(words: &Words<'_>, text: &str, most: u64) -> Result<Option<Flood>, ParseError> {
    if text == "off" {
        return Ok(None);
    }
    let Some((starts, within)) = text.split_once('/') else {
        return Err(words.refuse("N/MS or off", &quoted(text)));
    };
    let within_ms = words.as_positive("whole milliseconds after /", within)?;
    match words.as_positive("a whole number of starts before /", starts)? {
        starts if starts <= most => Ok(Some(Flood { starts, within_ms })),
        _ => Err(words.refuse(&format!("at most {most} starts before /"), &quoted(starts))),
    }
}

/// An instant as it is printed, and in whole milliseconds.
fn wall(words: &Words<'_>, text: &str) -> Result<i64, ParseError> {
    let instant = text.parse::<Timestamp>().ok().filter(|instant| instant.to_string() == text);
    let whole = instant.filter(|instant| instant.subsec_nanosecond() % 1_000_000 == 0);
    let ms = whole.map(Timestamp::as_millisecond);
    match ms.filter(|ms| ms.abs() <= LAST_WALL_MS) {
        Some(ms) => Ok(ms),
        None => Err(words.refuse("an instant like 2025-03-30T00:00:00Z", &quoted(text))),
    }
}

fn hours(words: &Words<'_>, window: &str, zone: &str) -> Result<ActiveHours, ParseError> {
    let times = window.split_once('-').and_then(|(from, to)| Some((minute(from)?, minute(to)?)));
    let Some((from_min, to_min)) = times.filter(|&(from, _)| from < MIDNIGHT) else {
        let expected = "HH:MM-HH:MM, from 00:00 to 24:00";
        return Err(words.refuse(expected, &quoted(window)));
    };
    if from_min == to_min {
        let expected = "an end other than the start (the whole day is 00:00-24:00)";
        return Err(words.refuse(expected, &quoted(window)));
    }
    if TimeZone::get(zone).is_err() {
        let expected = "a zone of the IANA data base, like Europe/Berlin";
        return Err(words.refuse(expected, &quoted(zone)));
    }
    let to_min = if to_min == 0 { MIDNIGHT } else { to_min };
    Ok(ActiveHours { from_min, to_min, zone: zone.to_owned() })
}

/// The minute of the day at `HH:MM`, up to midnight at its end.
fn minute(text: &str) -> Option<u16> {
    let two = |text: &str| -> Option<u16> {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { text.parse().ok() } else { None }
    };
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute) = (two(hour)?, two(minute)?);
    let time = hour * 60 + minute;
    (minute < 60 && time <= MIDNIGHT).then_some(time)
}

fn verb(words: &mut Words<'_>) -> Result<Verb, ParseError> {
    let word = words.next(VERBS)?;
    let action = match word {
        "expect" => return expectation(words).map(Verb::Expect),
        "install" => Action::Install { name: handler(words)? },
        "script" => script(words)?,
        "dispose" => Action::Dispose { name: handler(words)? },
        "wake" => wake(words)?,
        "beat" => beat(words)?,
        "finish" => finish(words)?,
        "cancel" => Action::Cancel { target: target(words)? },
        "postpone" => postpone(words)?,
        "wake-all" => wake_all(words)?,
        "barrier" => barrier(words)?,
        "await" => await_wake(words)?,
        "revive" => Action::Revive { target: target(words)? },
        "forgive" => Action::Forgive { target: target(words)? },
        "runner" => Action::Runner { name: runner(words)?, roster: roster(words)? },
        "update" => Action::Update { name: runner(words)?, roster: roster(words)? },
        "remove" => Action::Remove { target: target(words)? },
        "suspend" => Action::Suspend { ms: words.whole(MILLISECONDS)? },
        "restart" => Action::Restart { ms: words.whole(MILLISECONDS)? },
        "wallclock" => wallclock(words)?,
        "stop" => stop(words)?,
        other => return Err(words.refuse(VERBS, &quoted(other))),
    };
    Ok(Verb::Act(action))
}

pub(super) fn handler(words: &mut Words<'_>) -> Result<String, ParseError> {
    words.name("the name of a handler")
}

pub(super) fn target(words: &mut Words<'_>) -> Result<String, ParseError> {
    words.name("a target")
}

fn script(words: &mut Words<'_>) -> Result<Action, ParseError> {
    let name = handler(words)?;
    let target = if words.skip("on") { Some(target(words)?) } else { None };
    let mut results = vec![result(words)?];
    while !words.is_empty() {
        results.push(result(words)?);
    }
    Ok(Action::Script { name, target, results })
}

fn result(words: &mut Words<'_>) -> Result<ResultSpec, ParseError> {
    let word = words.next(RESULT)?;
    if word == "hold" {
        return Ok(ResultSpec::Hold);
    }
    let (end, lasts_ms) = match word.split_once('@') {
        Some((end, lasts)) => (end, Some(words.as_whole("whole milliseconds after @", lasts)?)),
        None => (word, None),
    };
    let outcome = outcome(words, end)?;
    Ok(ResultSpec::Ends { outcome, lasts_ms })
}

fn outcome(words: &Words<'_>, text: &str) -> Result<Outcome, ParseError> {
    let (kind, delay) = match text.split_once(':') {
        Some((kind, delay)) => (kind, Some(delay)),
        None => (text, None),
    };
    match (kind, delay) {
        ("ran", None) => Ok(Outcome::Ran),
        ("skip", None) => Ok(Outcome::Skip),
        ("fail", None) => Ok(Outcome::Fail),
        ("fail", Some(delay)) => Ok(Outcome::FailFor {
            for_ms: words.as_positive("whole milliseconds after fail:", delay)?,
        }),
        ("panic", None) => Ok(Outcome::Panic),
        ("busy", None) => Ok(Outcome::Busy { for_ms: None }),
        ("busy", Some(delay)) => Ok(Outcome::Busy {
            for_ms: Some(words.as_positive("whole milliseconds after busy:", delay)?),
        }),
        ("defer", Some(delay)) => Ok(Outcome::Defer {
            for_ms: words.as_positive("whole milliseconds after defer:", delay)?,
        }),
        _ => Err(words.refuse(RESULT, &quoted(text))),
    }
}

/// What a wake asks for beside its target.
struct Asked {
    reason: String,
    in_ms: Option<u64>,
    urgency: Urgency,
    or: Option<Or>,
}

impl Asked {
    /// The rest of the line as pairs, of which these keys may stand there.
    fn read(words: &mut Words<'_>, keys: &[&str]) -> Result<Self, ParseError> {
        let mut asked =
            Self { reason: "requested".to_owned(), in_ms: None, urgency: Urgency::Event, or: None };
        let mut seen = Vec::new();
        while !words.is_empty() {
            match words.pair(keys, &mut seen)? {
                ("reason", value) => asked.reason = words.as_name("a reason", value)?,
                ("in", value) => asked.in_ms = Some(words.as_whole(MILLISECONDS, value)?),
                ("or", "no-handler") => asked.or = Some(Or::NoHandler),
                ("or", "deferral") => asked.or = Some(Or::Deferral),
                ("or", value) => return Err(words.refuse("no-handler or deferral", &quoted(value))),
                (_, value) => asked.urgency = urgency(words, value)?,
            }
        }
        Ok(asked)
    }
}

fn urgency(words: &Words<'_>, text: &str) -> Result<Urgency, ParseError> {
    match text {
        "retry" => Ok(Urgency::Retry),
        "beat" => Ok(Urgency::Beat),
        "event" => Ok(Urgency::Event),
        "urgent" => Ok(Urgency::Urgent),
        _ => Err(words.refuse("retry, beat, event or urgent", &quoted(text))),
    }
}

fn wake(words: &mut Words<'_>) -> Result<Action, ParseError> {
    let target = target(words)?;
    let asked = Asked::read(words, &["reason", "in", "urgency"])?;
    let Asked { reason, in_ms, urgency, .. } = asked;
    Ok(Action::Wake { target, reason, in_ms, urgency })
}

fn wake_all(words: &mut Words<'_>) -> Result<Action, ParseError> {
    let asked = Asked::read(words, &["reason", "in", "urgency"])?;
    let Asked { reason, in_ms, urgency, .. } = asked;
    Ok(Action::WakeAll { reason, in_ms, urgency })
}

fn barrier(words: &mut Words<'_>) -> Result<Action, ParseError> {
    let target = target(words)?;
    let Asked { reason, .. } = Asked::read(words, &["reason"])?;
    Ok(Action::Barrier { target, reason })
}

fn await_wake(words: &mut Words<'_>) -> Result<Action, ParseError> {
    let name = words.name("the name of a ticket")?;
    let target = target(words)?;
    let asked = Asked::read(words, &["reason", "in", "urgency", "or"])?;
    let Asked { reason, in_ms, urgency, or } = asked;
    Ok(Action::Await { name, target, reason, in_ms, urgency, or })
}

fn postpone(words: &mut Words<'_>) -> Result<Action, ParseError> {
    let target = target(words)?;
    let (_, value) = words.pair(&["in"], &mut Vec::new())?;
    let in_ms = words.as_whole(MILLISECONDS, value)?;
    Ok(Action::Postpone { target, in_ms })
}

fn runner(words: &mut Words<'_>) -> Result<String, ParseError> {
    words.name("the name of a runner")
}

fn roster(words: &mut Words<'_>) -> Result<Vec<RosterEntry>, ParseError> {
    const EXPECTED: &str = "TARGET=MS or TARGET=MS/PHASE";
    let mut roster: Vec<RosterEntry> = Vec::new();
    while !words.is_empty() {
        let word = words.next(EXPECTED)?;
        let Some((target, cadence)) = word.split_once('=') else {
            return Err(words.refuse(EXPECTED, &quoted(word)));
        };
        let target = words.as_name("a target", target)?;
        let (every, phase) = match cadence.split_once('/') {
            Some((every, phase)) => (every, Some(phase)),
            None => (cadence, None),
        };
        let every_ms = words.as_positive(MILLISECONDS, every)?;
        let phase = phase.map(|phase| words.as_whole("whole milliseconds after /", phase));
        if roster.iter().any(|entry| entry.target == target) {
            return Err(words.refuse(&format!("{target} only once"), &quoted(word)));
        }
        roster.push(RosterEntry { target, every_ms, phase_ms: phase.transpose()? });
    }
    Ok(roster)
}

fn beat(words: &mut Words<'_>) -> Result<Action, ParseError> {
    let target = target(words)?;
    if words.skip("off") {
        return Ok(Action::BeatOff { target });
    }
    let mut every_ms = None;
    let mut phase_ms = None;
    let (mut window, mut zone) = (None, None);
    let mut seen = Vec::new();
    while !words.is_empty() {
        match words.pair(&["every", "phase", "hours", "zone"], &mut seen)? {
            ("every", value) => every_ms = Some(words.as_positive(MILLISECONDS, value)?),
            ("hours", value) => window = Some(value),
            ("zone", value) => zone = Some(value),
            (_, value) => phase_ms = Some(words.as_whole(MILLISECONDS, value)?),
        }
    }
    let Some(every_ms) = every_ms else {
        return Err(words.refuse("every=MS or off", "the end of the line"));
    };
    let hours = match (window, zone) {
        (Some(window), zone) => Some(hours(words, window, zone.unwrap_or("UTC"))?),
        (None, None) => None,
        (None, Some(_)) => {
            return Err(words.refuse("hours=HH:MM-HH:MM with zone=", "the end of the line"));
        }
    };
    Ok(Action::Beat { target, every_ms, phase_ms, hours })
}

fn finish(words: &mut Words<'_>) -> Result<Action, ParseError> {
    const EXPECTED: &str =
        "how the held run ends now: ran, skip, busy, busy:MS, defer:MS, fail, fail:MS or panic";
    let name = handler(words)?;
    let target = target(words)?;
    let word = words.next(EXPECTED)?;
    if word == "hold" || word.contains('@') {
        return Err(words.refuse(EXPECTED, &quoted(word)));
    }
    let outcome = outcome(words, word)?;
    Ok(Action::Finish { name, target, outcome })
}

fn wallclock(words: &mut Words<'_>) -> Result<Action, ParseError> {
    const EXPECTED: &str = "whole milliseconds, negative or not";
    let word = words.next(EXPECTED)?;
    let digits = word.strip_prefix('-').unwrap_or(word);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match word.parse() {
        Ok(ms) if plain => Ok(Action::Wallclock { ms }),
        _ => Err(words.refuse(EXPECTED, &quoted(word))),
    }
}

/// `stop`, `stop drain=MS`, or `stop NAME` of a runner: no name has an equals sign.
fn stop(words: &mut Words<'_>) -> Result<Action, ParseError> {
    match words.peek() {
        None => Ok(Action::Stop { drain_ms: None }),
        Some(word) if word.contains('=') => {
            let (_, value) = words.pair(&["drain"], &mut Vec::new())?;
            let drain_ms = Some(words.as_whole(MILLISECONDS, value)?);
            Ok(Action::Stop { drain_ms })
        }
        Some(_) => Ok(Action::StopRunner { name: words.name("drain= or the name of a runner")? }),
    }
}
