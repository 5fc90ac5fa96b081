//! Coverage-guided fuzzing: what the targets of `fuzz/` check, and how they are run.
//!
//! The targets are a package of their own, built by cargo-fuzz with coverage and without a
//! sanitizer (nothing here is `unsafe`, and sanitizers need a nightly toolchain). What they
//! check stands here, so that `cargo test` plays the kept corpus without any of that.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::{Progress, drawn, schedules};
use crate::generate::{Among, Counterexample, schedule_from};
use crate::lab::{CheckResult, Ran, run_program};
use crate::scenario::Scenario;
use crate::scenario::hands::DrivenBy;
use crate::scenario::parse::parse;

/// One target of `fuzz/`.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name there.
    pub name: &'static str,
    /// What must hold of any bytes.
    pub law: &'static str,
    promises: &'static [u8],
    /// The longest input. More is slower and finds nothing else.
    length: usize,
    check: fn(&[u8]) -> Result<(), Failure>,
}

/// How a target fails on some bytes.
struct Failure {
    why: String,
    /// What can be played again, with the file name it should have.
    scenario: Option<String>,
}

/// Any text: the parser does not panic, and what it reads it prints and reads again as the same.
pub const SCENARIO_PARSER: Target = Target {
    name: "scenario_parser",
    law: "The parser refuses or reads; what it reads prints as text that reads the same.",
    promises: &[18],
    length: 512,
    check: reads_as_printed,
};

/// Any schedule: the engine agrees with the oracle, and the laws hold.
pub const SCHEDULES: Target = Target {
    name: "schedules",
    law: "The engine agrees with the oracle, and the laws hold.",
    promises: &schedules::SHOWN,
    length: 192,
    check: agrees,
};

/// All targets.
pub const TARGETS: [Target; 2] = [SCENARIO_PARSER, SCHEDULES];

impl Target {
    /// # Panics
    /// If the law does not hold of these bytes: that is how libFuzzer learns of it.
    pub fn must_hold(&self, data: &[u8]) {
        if let Err(failure) = (self.check)(data) {
            panic!("{}", failure.why);
        }
    }

    /// The kept corpus of this target.
    #[must_use]
    pub fn corpus(&self) -> PathBuf {
        fuzz_folder().join("corpus").join(self.name)
    }
}

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn reads_as_printed(data: &[u8]) -> Result<(), Failure> {
    let Ok(scenario) = parse(&String::from_utf8_lossy(data)) else { return Ok(()) };
    let printed = scenario.to_string();
    let steps = |scenario: &Scenario| -> Vec<_> {
        let steps = scenario.steps.iter();
        steps.map(|step| (step.at_ms, step.verb.clone())).collect()
    };
    match parse(&printed) {
        // Lines are numbered as they are printed, without blank ones and comments.
        Ok(again) if again.policy == scenario.policy && steps(&again) == steps(&scenario) => Ok(()),
        other => {
            let why = format!("read as {scenario:?}, printed as\n{printed}and read as {other:?}");
            Err(Failure { why, scenario: None })
        }
    }
}

fn agrees(data: &[u8]) -> Result<(), Failure> {
    let scenario = schedule_from(data);
    let (difference, _) = schedules::compare(&scenario, DrivenBy::Hand);
    let Some(difference) = difference else { return Ok(()) };
    let found = Counterexample { scenario, difference };
    let text = schedules::file(&found, Among::Compared, DrivenBy::Hand, "coverage-guided fuzzing");
    Err(Failure { why: text.clone(), scenario: Some(text) })
}

/// The failing bytes without those that are not needed to fail.
fn smallest(target: &Target, data: Vec<u8>) -> Vec<u8> {
    let mut data = data;
    let mut index = data.len();
    while index > 0 {
        index -= 1;
        let mut shorter = data.clone();
        shorter.remove(index);
        if (target.check)(&shorter).is_err() {
            data = shorter;
            index = index.min(data.len());
        }
    }
    data
}

/// Plays a target's kept corpus, and says how many files that were.
///
/// # Errors
/// What failed, or that the corpus cannot be read or is empty.
pub fn play_corpus(target: &Target) -> Result<usize, String> {
    let folder = target.corpus();
    let unreadable = |error: io::Error| format!("{}: {error}", folder.display());
    let mut played = 0;
    for entry in fs::read_dir(&folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let data = fs::read(&path).map_err(unreadable)?;
        (target.check)(&data).map_err(|failure| format!("{}: {}", path.display(), failure.why))?;
        played += 1;
    }
    if played == 0 { Err(format!("{}: no file", folder.display())) } else { Ok(played) }
}

/// Fuzzes each target for that long. `verify` is the folder below cargo's target folder that is
/// ours: tools, builds, found inputs and failures are kept there.
///
/// Installs cargo-fuzz there, from crates.io, if it is missing.
#[must_use]
pub fn run(each: Duration, verify: &Path, progress: Progress<'_>) -> Vec<CheckResult> {
    let fuzzer = match prepare(verify, progress) {
        Ok(fuzzer) => fuzzer,
        Err(why) => {
            let failed = |target: &Target| {
                drawn(target.name, target.law, target.promises, 0, Some(why.clone()))
            };
            return TARGETS.iter().map(failed).collect();
        }
    };
    // Each has one thread: side by side.
    progress(0, TARGETS.len() as u64, "fuzzing");
    thread::scope(|scope| {
        let fuzzer = &fuzzer;
        let begun = TARGETS
            .each_ref()
            .map(|target| (target, scope.spawn(move || fuzz(target, each, fuzzer, verify))));
        let ended = begun.into_iter().map(|(target, running)| {
            let result = running.join().unwrap_or_else(|_| Err("panicked".to_owned()));
            result
                .unwrap_or_else(|why| drawn(target.name, target.law, target.promises, 0, Some(why)))
        });
        ended.collect()
    })
}

/// How long tools and targets may take to build.
const BUILD: Duration = Duration::from_secs(1_800);

/// The path of cargo-fuzz, with all targets built.
fn prepare(verify: &Path, progress: Progress<'_>) -> Result<PathBuf, String> {
    has_cxx()?;
    let tools = verify.join("tools");
    let fuzzer = tools.join("bin").join(format!("cargo-fuzz{}", env::consts::EXE_SUFFIX));
    if !fuzzer.is_file() {
        progress(0, TARGETS.len() as u64, "installing cargo-fuzz from crates.io, once");
        let root = tools.to_string_lossy();
        let build = verify.join("fuzz").join("tool");
        let build = build.to_string_lossy();
        // It only calls cargo: to optimise it takes longer than it ever would save.
        let install = [
            "install",
            "--debug",
            "cargo-fuzz",
            "--locked",
            "--root",
            &root,
            "--target-dir",
            &build,
        ];
        ended_well("cargo install cargo-fuzz", call(Path::new(&cargo()), &install, BUILD)?)?;
    }
    progress(0, TARGETS.len() as u64, "building the fuzz targets");
    let built = call(&fuzzer, &arguments("build", verify, &[]), BUILD)?;
    ended_well("cargo fuzz build", built)?;
    Ok(fuzzer)
}

fn cargo() -> String {
    env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// libFuzzer is C++; without this its build script ends in a page of noise.
fn has_cxx() -> Result<(), String> {
    let named = env::var("CXX").ok();
    let compiler = named.clone().unwrap_or_else(|| "c++".to_owned());
    let mut words = compiler.split_whitespace();
    let program = words.next().unwrap_or("c++");
    let version = Command::new(program)
        .args(words)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match version {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!(
            "no C++ compiler: `{compiler} --version` does not run. libFuzzer is C++; install \
             g++ or clang++, or name one in CXX. `cargo test` plays the kept corpus without it."
        )),
    }
}

fn arguments(command: &str, verify: &Path, more: &[String]) -> Vec<String> {
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let mut all = vec![
        command.to_owned(),
        "--fuzz-dir".to_owned(),
        text(fuzz_folder()),
        "--target-dir".to_owned(),
        text(verify.join("fuzz").join("target")),
        // Sanitizers need a nightly toolchain, and there is no unsafe code to sanitize.
        "--sanitizer".to_owned(),
        "none".to_owned(),
    ];
    all.extend_from_slice(more);
    all
}

fn call<S: AsRef<str>>(program: &Path, arguments: &[S], limit: Duration) -> Result<Ran, String> {
    let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
    run_program(program, &arguments, limit, &mut |_| {}).map_err(|error| error.to_string())
}

fn ended_well(what: &str, ran: Ran) -> Result<Ran, String> {
    if ran.succeeded() { Ok(ran) } else { Err(format!("{what} failed:\n{}", ran.tail(40))) }
}

fn fuzz(
    target: &Target,
    time: Duration,
    fuzzer: &Path,
    verify: &Path,
) -> Result<CheckResult, String> {
    let found = verify.join("fuzz").join("found").join(target.name);
    let failures = verify.join("failures");
    for folder in [&found, &failures] {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let before = files_in(&found);
    let prefix = format!("-artifact_prefix={}/{}-", text(&failures), target.name);
    let more = [
        target.name.to_owned(),
        // New inputs go into the first folder; the kept corpus is only read.
        text(&found),
        text(&target.corpus()),
        "--".to_owned(),
        format!("-max_total_time={}", time.as_secs().max(1)),
        format!("-max_len={}", target.length),
        "-timeout=20".to_owned(),
        "-print_final_stats=1".to_owned(),
        prefix,
    ];
    let ran = call(fuzzer, &arguments("run", verify, &more), time + Duration::from_secs(300))?;
    let executions = figure(&ran.stderr, "stat::number_of_executed_units:");
    let last = ran.stderr.lines().rfind(|line| line.contains(" cov: "));
    let covered = last.map_or(0, |line| figure(line, "cov:"));
    let features = last.map_or(0, |line| figure(line, "ft:"));
    let new = files_in(&found).saturating_sub(before);
    let failure = match ran.succeeded() {
        true => None,
        false => Some(explain(target, &ran, &failures)),
    };
    Ok(CheckResult {
        seconds: ran.seconds,
        note: Some(format!("{covered} counters covered, {features} features, {new} new inputs")),
        ..drawn(target.name, target.law, target.promises, executions, failure)
    })
}

fn files_in(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

/// The last number that stands behind these words.
fn figure(text: &str, words: &str) -> u64 {
    let behind = text.rfind(words).map(|at| text[at + words.len()..].trim_start());
    let digits = behind.map(|text| text.split(|c: char| !c.is_ascii_digit()).next());
    digits.flatten().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// What failed: the shrunk input if there is one, as a scenario where it is one.
fn explain(target: &Target, ran: &Ran, failures: &Path) -> String {
    let written = ran.stderr.lines().rfind(|line| line.contains("Test unit written to "));
    let artifact = written.and_then(|line| line.split_once("Test unit written to "));
    let Some((_, path)) = artifact else { return ran.tail(60) };
    let Ok(data) = fs::read(path.trim()) else { return ran.tail(60) };
    let data = smallest(target, data);
    match (target.check)(&data) {
        // A panic or a hang of the engine, or one that does not repeat.
        Ok(()) => format!("{}\nthe input is in {path}", ran.tail(60)),
        Err(Failure { why, scenario: None }) => format!("{why}\nthe input is in {path}"),
        Err(Failure { scenario: Some(text), .. }) => {
            schedules::saved(failures, "schedule-fuzz.scn", &text)
        }
    }
}
