//! What cargo-mutants makes up, of the core and the engine.
//!
//! It changes logic, and no ordering and no fence: those are the sweep's. What it runs are the
//! tests of the crates and of this package that run the code, scenarios and random schedules among
//! them. A mutant that they miss must stand in `mutants.toml`, with the reason why it is none to worry about.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::kill::{Found, Verdict};

/// A mutant that no test finds, and why not.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explained {
    /// The mutant as cargo-mutants calls it, without the place in the file.
    pub mutant: String,
    /// How many of this name survive: a function may have the same operator twice.
    #[serde(default = "once")]
    pub times: u32,
    /// Why no test finds it.
    pub why: String,
}

fn once() -> u32 {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    explained: Vec<Explained>,
}

/// The list.
///
/// # Errors
/// What is wrong with it.
pub fn explained() -> Result<Vec<Explained>, String> {
    let list: List =
        toml::from_str(include_str!("mutants.toml")).map_err(|error| error.to_string())?;
    Ok(list.explained)
}

/// Whose logic is mutated.
const FILES: [&str; 2] = ["crates/reveille-core/src/**", "crates/reveille/src/engine/**"];

/// Neither what stands behind the facade only under a checker, nor what only prints.
const LEFT_OUT: [&str; 2] = ["crates/reveille-core/src/sync/**", "**/tests.rs"];
const PRINTS: &str = r"impl .*(Debug|Display)";

/// The tests that a mutant must pass: those that run the code, on virtual time and on threads.
const TESTS: [&str; 24] = [
    "--lib",
    "--test",
    "active_hours",
    "--test",
    "engine",
    "--test",
    "faults",
    "--test",
    "health",
    "--test",
    "lifecycle",
    "--test",
    "limits",
    "--test",
    "props",
    "--test",
    "restart",
    "--test",
    "runner",
    "--test",
    "threads",
    "--test",
    "tickets",
    "--",
];
/// Not the ones that read it: each mutant of a line that is an anchor would die of them.
const READERS: [&str; 4] =
    ["--skip", "the_catalogue_fits_the_sources", "--skip", "the_allowed_are_there"];

/// Seconds for the tests of one mutant: one that spins is found by the clock.
const TIMEOUT: &str = "300";

/// Mutates the workspace at `root`, and says what came of it; what it needs and makes goes below
/// `target`.
///
/// # Errors
/// Where cargo-mutants cannot be had, or does not come to its end.
pub fn run(root: &Path, target: &Path) -> Result<Vec<Verdict>, String> {
    let explained = explained()?;
    let tool = tool(&target.join("tools"))?;
    let out = target.join("mutants");
    fs::create_dir_all(&out).map_err(|error| error.to_string())?;
    let mut command = Command::new(tool);
    command.arg("mutants").arg("--dir").arg(root).arg("--output").arg(&out);
    command.args([
        "--no-shuffle",
        "--colors",
        "never",
        "--timeout",
        TIMEOUT,
        "--exclude-re",
        PRINTS,
    ]);
    command.args(["--test-workspace", "true", "--all-features"]);
    command.args(FILES.iter().flat_map(|file| ["--file", file]));
    command.args(LEFT_OUT.iter().flat_map(|file| ["--exclude", file]));
    command.arg("--").args(TESTS).args(READERS);
    let status = command.status().map_err(|error| format!("cargo-mutants: {error}"))?;
    // 2: some were missed; 3: some did not end. All else means that it did not do its work.
    if !matches!(status.code(), Some(0 | 2 | 3)) {
        return Err(format!("cargo-mutants: {status}"));
    }
    judged(&out.join("mutants.out"), &explained)
}

/// cargo-mutants, installed where it is missing.
fn tool(folder: &Path) -> Result<PathBuf, String> {
    let tool = folder.join("bin").join(format!("cargo-mutants{}", std::env::consts::EXE_SUFFIX));
    if tool.is_file() {
        return Ok(tool);
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut install = Command::new(cargo);
    install.args(["install", "cargo-mutants", "--locked", "--root"]).arg(folder);
    match install.status() {
        Ok(status) if status.success() => Ok(tool),
        Ok(status) => Err(format!("cargo install cargo-mutants: {status}")),
        Err(error) => Err(format!("cargo install cargo-mutants: {error}")),
    }
}

/// Reads the lists that cargo-mutants leaves behind.
fn judged(out: &Path, explained: &[Explained]) -> Result<Vec<Verdict>, String> {
    let list = |name: &str| {
        let text = fs::read_to_string(out.join(name));
        text.map_err(|error| format!("{}: {error}", out.join(name).display()))
    };
    let mut verdicts = Vec::new();
    for (name, said) in [("caught.txt", "fail"), ("timeout.txt", "do not end")] {
        verdicts.extend(list(name)?.lines().map(|line| killed(line, said)));
    }
    let text = list("missed.txt")?;
    let lines: Vec<&str> = text.lines().collect();
    if verdicts.is_empty() && lines.is_empty() {
        return Err("cargo-mutants found nothing to mutate".to_owned());
    }
    verdicts.extend(missed(&lines, explained));
    Ok(verdicts)
}

/// The name without the place, which moves with every edit of the file.
fn placeless(line: &str) -> String {
    let mut parts = line.splitn(4, ':');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(file), Some(_), Some(_), Some(what)) => format!("{file}:{what}"),
        _ => line.to_owned(),
    }
}

fn verdict(line: &str) -> Verdict {
    Verdict {
        name: line.to_owned(),
        what: "made up by cargo-mutants".to_owned(),
        ..Verdict::default()
    }
}

fn killed(line: &str, said: &str) -> Verdict {
    let found = Found { check: "the tests".to_owned(), seconds: 0.0, said: Some(said.to_owned()) };
    Verdict { found: vec![found], ..verdict(line) }
}

/// Those that were missed, against the list: so many of a name as it says, no more and no fewer.
fn missed(lines: &[&str], explained: &[Explained]) -> Vec<Verdict> {
    let mut left: HashMap<&str, u32> = HashMap::new();
    for entry in explained {
        left.insert(&entry.mutant, entry.times);
    }
    let mut verdicts = Vec::new();
    for line in lines {
        let name = placeless(line);
        let explained = explained.iter().find(|entry| entry.mutant == name);
        let times = left.get_mut(name.as_str()).filter(|times| **times > 0);
        verdicts.push(match (explained, times) {
            (Some(entry), Some(times)) => {
                *times -= 1;
                Verdict { what: format!("survives: {}", entry.why), ..verdict(line) }
            }
            _ => Verdict { failure: Some("SURVIVED the tests".to_owned()), ..verdict(line) },
        });
    }
    let stale = left.into_iter().filter(|(_, times)| *times > 0);
    verdicts.extend(stale.map(|(name, times)| {
        let failure = format!("{times} of this name are explained and do not survive");
        Verdict { failure: Some(failure), ..verdict(name) }
    }));
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many survive as are explained, or somebody is told.
    #[test]
    fn the_explained_are_counted() {
        let name = "crates/a.rs: replace && with || in f";
        let explained =
            |times| [Explained { mutant: name.to_owned(), times, why: "equal".to_owned() }];
        let lines = [
            "crates/a.rs:3:9: replace && with || in f",
            "crates/a.rs:8:1: replace && with || in f",
        ];
        let failures = |lines: &[&str], times| {
            missed(lines, &explained(times)).iter().filter(|it| it.failure.is_some()).count()
        };
        assert_eq!(failures(&lines, 2), 0);
        assert_eq!(failures(&lines, 1), 1, "one more survives");
        assert_eq!(failures(&lines[..1], 2), 1, "one of them is killed");
        assert_eq!(failures(&["crates/b.rs:1:1: delete ! in g"], 1), 2);
    }
}
