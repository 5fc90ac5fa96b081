//! What cargo-mutants makes up, of the core and the engine.
//!
//! It changes logic, and no ordering and no fence: those are the sweep's. What it runs are the
//! tests of the crates and of this package that run the code, scenarios and random schedules among
//! them. A mutant that they miss must stand in `mutants.toml`, with the reason why it is none to worry about.

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
    /// Why no test finds it.
    pub why: String,
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
const TESTS: [&str; 20] = [
    "--lib",
    "--test",
    "engine",
    "--test",
    "faults",
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

/// Mutates the workspace at `root`, or only `files` of it, and says what came of it; what it needs
/// and makes goes below `target`.
///
/// # Errors
/// Where cargo-mutants cannot be had, or does not come to its end.
pub fn run(root: &Path, target: &Path, files: &[String]) -> Result<Vec<Verdict>, String> {
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
    command.args(["--test-workspace", "true"]);
    match files {
        [] => command.args(FILES.iter().flat_map(|file| ["--file", file])),
        files => command.args(files.iter().flat_map(|file| ["--file", file])),
    };
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
        verdicts.extend(list(name)?.lines().map(|line| killed(line, said, explained)));
    }
    verdicts.extend(list("missed.txt")?.lines().map(|line| missed(line, explained)));
    if verdicts.is_empty() {
        return Err("cargo-mutants found nothing to mutate".to_owned());
    }
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

fn killed(line: &str, said: &str, explained: &[Explained]) -> Verdict {
    let name = placeless(line);
    let found = Found { check: "the tests".to_owned(), seconds: 0.0, said: Some(said.to_owned()) };
    let failure = explained
        .iter()
        .any(|entry| entry.mutant == name)
        .then(|| "killed, but stands in the list of the explained".to_owned());
    Verdict { found: vec![found], failure, ..verdict(line) }
}

fn missed(line: &str, explained: &[Explained]) -> Verdict {
    let name = placeless(line);
    match explained.iter().find(|entry| entry.mutant == name) {
        Some(entry) => Verdict { what: format!("survives: {}", entry.why), ..verdict(line) },
        None => Verdict { failure: Some("SURVIVED the tests".to_owned()), ..verdict(line) },
    }
}
