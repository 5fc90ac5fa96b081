//! What a model is, and how it is searched.

use crate::result::{CHECK, CheckResult, PROGRESS, Progress};
use crate::search::{Limits, Searched, search};
use crate::timeline::{Row, Timeline};
use reveille_core::sync::trace::{self, Event, What};
use std::panic::Location;

/// A small program of two or three threads, and what must hold in each of its executions.
pub struct Model {
    /// `mNN-what-meets-what`.
    pub name: &'static str,
    /// The promises it guards.
    pub promises: &'static [&'static str],
    /// What must hold, in one sentence.
    pub law: &'static str,
    /// Threads, the main one included.
    pub threads: u32,
    /// How far it is searched by default; everything under `--exhaustive`.
    pub extent: Extent,
    /// One execution: panics where the law is broken.
    pub body: fn(),
}

/// How far a model is searched.
#[derive(Clone, Copy)]
pub enum Extent {
    /// Every execution.
    All,
    /// Every execution with at most so many preemptions.
    Preemptions(usize),
}

/// A fault is mostly found at few preemptions, in a moment: these are tried before the full extent.
const FIRST: usize = 2;

/// Runs one model: the small search first, then the full one; prints its `@check` line.
///
/// # Errors
/// What was broken, with the execution drawn.
pub fn check(model: &'static Model) -> Result<(), String> {
    let exhaustive = std::env::var_os("REVEILLE_EXHAUSTIVE").is_some();
    let full = match model.extent {
        Extent::Preemptions(bound) if !exhaustive => Some(bound),
        _ => None,
    };
    let set = |name| std::env::var_os(name).is_some();
    // One search alone where it is told how far to go, or where to begin.
    let told = set("LOOM_MAX_PREEMPTIONS") || set("LOOM_CHECKPOINT_FILE");
    let stages = if told { vec![full] } else { vec![Some(FIRST), full] };
    let mut searched = None;
    let mut seconds = 0.0;
    for bound in stages {
        let found = run(model, bound, false);
        seconds += found.seconds;
        let failed = found.failure.is_some();
        let cut = !found.complete;
        searched = Some(found);
        if failed || cut || bound == full {
            break;
        }
    }
    let Some(searched) = searched else { unreachable!("both bounds were skipped") };
    let timeline = searched.failure.as_ref().map(|_| drawn(model, &searched));
    let result = CheckResult {
        family: "loom".into(),
        name: model.name.into(),
        promises: model.promises.iter().map(ToString::to_string).collect(),
        law: model.law.into(),
        threads: model.threads,
        executions: searched.executions,
        complete: searched.complete,
        bound: searched.bound.map(|bound| u32::try_from(bound).unwrap_or(u32::MAX)),
        seconds,
        failure: searched.failure.clone(),
        timeline: timeline.as_ref().map(Timeline::text),
        note: sites().or_else(stock),
        ..CheckResult::default()
    };
    print_line(CHECK, &result);
    if let Some(timeline) = &timeline {
        println!("{}\n{}", model.law, timeline.text());
        save(timeline);
    }
    let extent = searched.to_string();
    match searched.failure {
        Some(why) => Err(format!("{}: {why} ({extent})", model.promises.join(", "))),
        None if !searched.complete => Err(extent),
        None => Ok(()),
    }
}

fn run(model: &'static Model, bound: Option<usize>, drawing: bool) -> Searched {
    let progress = move |executions| {
        let stage = bound.map(|bound| format!("at most {bound} preemptions"));
        let name = model.name.into();
        print_line(PROGRESS, &Progress { name, executions, stage });
    };
    let limits = Limits { progress: Some(Box::new(progress)), ..Limits::default() };
    search(bound, limits, move || {
        if drawing {
            trace::start();
            trace::name_lane("main");
        }
        (model.body)();
    })
}

fn print_line(mark: &str, value: &impl serde::Serialize) {
    match serde_json::to_string(value) {
        Ok(json) => println!("{mark}{json}"),
        Err(error) => println!("a result that cannot be written: {error}"),
    }
}

/// The same search again with the log on: it fails at the same execution.
fn drawn(model: &'static Model, failed: &Searched) -> Timeline {
    let again = run(model, failed.bound, true);
    let (events, lanes) = trace::take();
    let why = again.failure.unwrap_or_else(|| "did not fail when it was drawn".into());
    Timeline {
        lanes,
        rows: rows(&events),
        verdict: format!("{}: {}", model.promises.join(", "), first_line(&why)),
    }
}

/// What a failure says, without the words of the macro that said it.
fn first_line(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("assertion `left == right` failed: ").unwrap_or(line)
}

/// The rows of a drawing. A word is called by what it is, with a number where there are several.
fn rows(events: &[Event]) -> Vec<Row> {
    let mut words: Vec<(String, u64)> = Vec::new();
    for event in events {
        if let What::Access { object, made_at, name, .. } = &event.what {
            let word = (kind_of_word(made_at, *name), *object);
            if !words.contains(&word) {
                words.push(word);
            }
        }
    }
    let called = |made_at: &Location<'_>, name: Option<&str>, object: u64| {
        let kind = kind_of_word(made_at, name);
        let mut same = words.iter().filter(|(other, _)| *other == kind);
        let place = same.clone().position(|(_, number)| *number == object).unwrap_or_default();
        match same.nth(1) {
            Some(_) => format!("{kind}[{place}]"),
            None => kind,
        }
    };
    events
        .iter()
        .map(|event| {
            let (text, stale) = match &event.what {
                What::Fence(order) => (format!("fence({order:?})"), None),
                What::Note(text) => (text.clone(), None),
                What::Access { operation, object, made_at, name, read, wrote, newest, order } => {
                    let word = called(made_at, *name, *object);
                    let value = |value| shown(made_at, operation, value);
                    let text = match (*read, *wrote) {
                        (Some(read), Some(wrote)) => {
                            let (read, wrote) = (value(read), value(wrote));
                            format!("{word}.{operation}({order:?}): {read} -> {wrote}")
                        }
                        (None, Some(wrote)) => {
                            format!("{word}.{operation}({order:?}): {}", value(wrote))
                        }
                        (read, None) => {
                            let read = read.map(value).unwrap_or_default();
                            format!("{word}.{operation}({order:?}) = {read}")
                        }
                    };
                    let stale = match (read, wrote) {
                        (Some(read), None) if read != newest => Some(value(*newest)),
                        _ => None,
                    };
                    (text, stale)
                }
            };
            Row { lane: event.lane, text, stale, at: place(event.at) }
        })
        .collect()
}

fn place(at: &Location<'_>) -> String {
    format!("{}:{}", at.file(), at.line())
}

/// What a word is: by its name, or by the file that made it.
fn kind_of_word(made_at: &Location<'_>, name: Option<&str>) -> String {
    if let Some(name) = name {
        return name.to_string();
    }
    let file = made_at.file();
    let parts = ["pending", "completion", "deadline", "bell", "gate", "ready", "slot"];
    match parts.iter().find(|part| file.contains(&format!("reveille-core/src/{part}"))) {
        Some(part) => (*part).to_string(),
        None => {
            let stem = file.rsplit('/').next().unwrap_or(file).trim_end_matches(".rs");
            format!("{stem}:{}", made_at.line())
        }
    }
}

/// A value as people read it.
fn shown(made_at: &Location<'_>, operation: &str, value: u64) -> String {
    let file = made_at.file();
    if operation.starts_with("slot") {
        format!("entry {value}")
    } else if file.contains("reveille-core/src/pending/") {
        pending(reveille_core::pending::Word::from_bits(value))
    } else if file.contains("reveille-core/src/completion/") {
        format!("{:?}", reveille_core::completion::Word::from_bits(value))
    } else if file.ends_with("deadline.rs") || file.ends_with("bell.rs") {
        format!("{:?}", reveille_core::Tick::from_micros(value))
    } else if file.ends_with("ready.rs") {
        format!("{value:#b}")
    } else {
        value.to_string()
    }
}

/// A pending word in few characters: its flags, and the due and urgency of the wake in it.
fn pending(word: reveille_core::pending::Word) -> String {
    let flags = [
        (word.is_closed(), "closed"),
        (word.is_running(), "running"),
        (word.is_cancelled(), "cancelled"),
        (word.is_late(), "late"),
        (word.is_parked(), "parked"),
        (word.is_seen() && !word.is_parked() && !word.is_late(), "seen"),
    ];
    let mut parts: Vec<String> =
        flags.iter().filter(|(set, _)| *set).map(|(_, name)| (*name).to_string()).collect();
    if word.has_wake() {
        parts.push(format!("{:?}@{:?}", word.urgency(), word.due()));
    }
    if parts.is_empty() { "idle".into() } else { parts.join("+") }
}

/// The timeline for whoever draws it, where the environment says.
fn save(timeline: &Timeline) {
    let Some(path) = std::env::var_os("REVEILLE_TIMELINE") else { return };
    let json = serde_json::to_string_pretty(timeline).map_err(std::io::Error::from);
    if let Err(error) = json.and_then(|json| std::fs::write(&path, json)) {
        println!("{}: {error}", path.display());
    }
}

/// What is to be said of a search by loom as it is published.
fn stock() -> Option<String> {
    let patched = option_env!("REVEILLE_LOOM") == Some("patched");
    (!patched).then(|| "stock loom: interleavings may be missed".into())
}

/// The orderings that this model passed, for the sweep, where the environment asks for them.
fn sites() -> Option<String> {
    std::env::var_os("REVEILLE_SITES")?;
    let sites = reveille_core::sync::sweep::sites();
    let lines = sites
        .iter()
        .map(|(file, line, role, order)| format!("{file}:{line} {}={order}", role.name()));
    Some(lines.collect::<Vec<_>>().join("\n"))
}
