//! Killing: each fault is run by the checks that are named for it, and by no others.
//!
//! What a check must do to count as a killer: fail on the fault, by itself and in time, and pass on
//! the same build without it (the *control*). A check that does not exist, that was cut or that was
//! killed by the watchdog has found nothing; only where a check takes milliseconds is one that does
//! not end a find.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::catalogue::{Check, Fault};
use super::seed::{self, SWITCH, Sheet};
use crate::lab::{Backend, Lab, LabError, checks};

/// What came of one fault.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The fault.
    pub name: String,
    /// The promises that it breaks.
    pub promises: Vec<String>,
    /// What it does.
    pub what: String,
    /// What came of each check.
    pub found: Vec<Found>,
    /// Why it does not count as killed, if it does not.
    pub failure: Option<String>,
    /// The failing execution of the first model that found it, drawn.
    pub timeline: Option<String>,
}

/// What came of one check on one fault.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The check.
    pub check: String,
    /// How long it took.
    pub seconds: f64,
    /// What it found, in a line; none where it let the fault pass.
    pub said: Option<String>,
}

impl Verdict {
    /// What found the fault, and how fast, in a line.
    #[must_use]
    pub fn killers(&self) -> String {
        let killer = |found: &Found| format!("{} {:.2} s", found.check, found.seconds);
        let killers: Vec<String> =
            self.found.iter().filter(|found| found.said.is_some()).map(killer).collect();
        killers.join(", ")
    }
}

/// What is happening, for whoever shows it.
#[derive(Debug)]
pub enum Step<'a> {
    /// Something is built.
    Builds(String),
    /// Builds and controls are done; so many faults are to come.
    Faults(usize),
    /// The checks of this fault begin.
    Begins(&'a str),
    /// They have ended.
    Ends(&'a Verdict),
}

/// Longest that one model takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Longest that random schedules take, which need seconds where nothing is wrong.
const SEARCH_PATIENCE: Duration = Duration::from_secs(60);

/// Longest that a check takes which needs milliseconds where nothing is wrong.
const SHORT_PATIENCE: Duration = Duration::from_secs(20);

/// Preemptions of a control: the family of the models searches them in full.
const CONTROL_BOUND: &str = "1";

/// An executable with checks in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Build {
    Models,
    Shuttle,
    Verify,
    UnitTests(String),
    Tests { package: String, target: String },
}

impl Build {
    fn of(check: &Check) -> Self {
        match check {
            Check::Loom(_) => Self::Models,
            Check::Shuttle(_) => Self::Shuttle,
            Check::Scenario(_) | Check::Search(_) => Self::Verify,
            Check::Unit { package, .. } => Self::UnitTests(package.clone()),
            Check::Test { package, target, .. } => {
                Self::Tests { package: package.clone(), target: target.clone() }
            }
        }
    }

    fn backend(&self) -> Backend {
        match self {
            Self::Models => Backend::Loom,
            Self::Shuttle => Backend::Shuttle,
            Self::Verify | Self::UnitTests(_) | Self::Tests { .. } => Backend::Std,
        }
    }

    fn make(&self, lab: &Lab) -> Result<PathBuf, LabError> {
        match self {
            Self::Models => lab.build("models"),
            Self::Shuttle => lab.build("shuttle"),
            Self::Verify => lab.build_bin("verify"),
            Self::UnitTests(package) => lab.build_unit_tests(package),
            Self::Tests { package, target } => lab.build_tests_of(package, target),
        }
    }
}

/// A sheet of the catalogue, seeded and built.
struct Bench {
    labs: BTreeMap<Backend, Result<Lab, String>>,
    built: BTreeMap<Build, Result<PathBuf, String>>,
    /// Why a check cannot be trusted to find anything.
    unfit: BTreeMap<Check, String>,
}

/// Seeds all faults, runs the checks named for each, and says what came of it.
///
/// # Errors
/// Faults that cannot be seeded, a line each.
pub fn run(
    faults: &[Fault],
    step: &(dyn Fn(Step<'_>) + Sync),
) -> Result<Vec<Verdict>, Vec<String>> {
    let sources = Lab::prepare(Backend::Std, &lab_name(0)).map_err(|why| vec![why.to_string()])?;
    let sheets =
        seed::sheets(faults, |file| sources.read(file).map_err(|error| error.to_string()))?;
    let mut benches: Vec<Bench> = Vec::new();
    for (number, sheet) in sheets.iter().enumerate() {
        let bench = Bench::of(number, sheet, faults, step);
        benches.push(bench);
    }
    let mut jobs: Vec<(usize, &Bench)> = sheets
        .iter()
        .zip(&benches)
        .flat_map(|(sheet, bench)| sheet.faults.iter().map(move |&fault| (fault, bench)))
        .collect();
    jobs.sort_by_key(|&(fault, _)| fault);
    step(Step::Faults(jobs.len()));
    let done = in_parallel(&jobs, |&(fault, bench)| {
        let fault = &faults[fault];
        step(Step::Begins(&fault.name));
        let verdict = bench.judge(fault);
        step(Step::Ends(&verdict));
        verdict
    });
    Ok(done)
}

fn lab_name(sheet: usize) -> String {
    format!("faults-{sheet}")
}

/// Maps on as many threads as there are cores; the results keep their order.
pub(super) fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZeroUsize::get) {
            scope.spawn(|| {
                while let Some((index, item)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    items.get(index).map(|item| (index, item))
                } {
                    let result = work(item);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

impl Bench {
    fn of(
        number: usize,
        sheet: &Sheet,
        faults: &[Fault],
        step: &(dyn Fn(Step<'_>) + Sync),
    ) -> Self {
        let mut controls = BTreeSet::new();
        let mut builds: BTreeMap<Backend, BTreeSet<Build>> = BTreeMap::new();
        for &fault in &sheet.faults {
            let fault = &faults[fault];
            for check in fault.killed_by.iter().chain(&fault.spared_by) {
                let build = Build::of(check);
                builds.entry(build.backend()).or_default().insert(build);
            }
            // A model that is a fault itself has no build without it.
            if !fault.edits.is_empty() {
                controls.extend(fault.killed_by.iter().cloned());
            }
        }
        let mut bench =
            Self { labs: BTreeMap::new(), built: BTreeMap::new(), unfit: BTreeMap::new() };
        // Each backend has a target folder of its own, so cargo does not wait for cargo.
        let builds: Vec<(Backend, BTreeSet<Build>)> = builds.into_iter().collect();
        let built = in_parallel(&builds, |(backend, builds)| {
            let lab = seeded(*backend, number, sheet);
            let make = |build: &Build| {
                let what = format!("{} of copy {number} ({})", build.name(), backend.name());
                step(Step::Builds(what));
                let built = lab.as_ref().map_err(Clone::clone);
                built.and_then(|lab| build.make(lab).map_err(|error| error.to_string()))
            };
            let built: Vec<_> = builds.iter().map(|build| (build.clone(), make(build))).collect();
            (*backend, lab, built)
        });
        for (backend, lab, built) in built {
            bench.labs.insert(backend, lab);
            bench.built.extend(built);
        }
        step(Step::Builds(format!("{} controls of copy {number}", controls.len())));
        let controls: Vec<Check> = controls.into_iter().collect();
        let passed = in_parallel(&controls, |check| match bench.run(check, None) {
            Ok(run) if run.passed => None,
            Ok(run) => Some(format!("fails without a fault, too: {}", run.said)),
            Err(why) => Some(why),
        });
        let unfit = controls.into_iter().zip(passed);
        bench.unfit = unfit.filter_map(|(check, why)| Some((check, why?))).collect();
        bench
    }

    fn judge(&self, fault: &Fault) -> Verdict {
        let mut verdict = Verdict {
            name: fault.name.clone(),
            promises: fault.promises.clone(),
            what: fault.what.clone(),
            ..Verdict::default()
        };
        let mut wrong = Vec::new();
        if fault.killed_by.is_empty() {
            wrong.push("no check is named for it".to_owned());
        }
        for check in &fault.killed_by {
            if let Some(why) = self.unfit.get(check) {
                wrong.push(format!("{check}: {why}"));
                continue;
            }
            match self.run(check, Some(&fault.name)) {
                Ok(run) => {
                    let said = (!run.passed).then_some(run.said);
                    if said.is_none() {
                        wrong.push(format!("SURVIVED {check}"));
                    }
                    verdict.timeline = verdict.timeline.or(run.timeline);
                    let (check, seconds) = (check.to_string(), run.seconds);
                    verdict.found.push(Found { check, seconds, said });
                }
                Err(why) => wrong.push(format!("{check}: {why}")),
            }
        }
        for check in &fault.spared_by {
            match self.run(check, Some(&fault.name)) {
                Ok(run) if run.passed => {}
                Ok(run) => wrong.push(format!("{check} was to pass: {}", run.said)),
                Err(why) => wrong.push(format!("{check}: {why}")),
            }
        }
        verdict.failure = (!wrong.is_empty()).then(|| wrong.join("; "));
        verdict
    }

    fn run(&self, check: &Check, fault: Option<&str>) -> Result<CheckRun, String> {
        let build = Build::of(check);
        let executable = match self.built.get(&build) {
            Some(Ok(executable)) => executable,
            Some(Err(why)) => return Err(why.clone()),
            None => return Err("was not built".to_owned()),
        };
        let Some(Ok(lab)) = self.labs.get(&build.backend()) else {
            return Err("has no lab".to_owned());
        };
        let mut environment = vec![("RUST_BACKTRACE", "0"), ("REVEILLE_NAIVE", "1")];
        match fault {
            Some(name) => environment.push((SWITCH, name)),
            None => environment.push(("LOOM_MAX_PREEMPTIONS", CONTROL_BOUND)),
        }
        match check {
            Check::Loom(name) | Check::Shuttle(name) => {
                let result =
                    checks::run(lab, executable, name, &environment, PATIENCE, &mut |_| {});
                CheckRun::of_search(result)
            }
            Check::Scenario(name) => {
                let path = lab.root().join("verification/scenarios").join(format!("{name}.scn"));
                if !path.is_file() {
                    return Err("there is no such scenario".to_owned());
                }
                let arguments = ["scenario".into(), path.into_os_string()];
                let ran = lab.run(executable, &arguments, &environment, SHORT_PATIENCE);
                CheckRun::of_program(ran, &[".scn:", "panicked"])
            }
            Check::Search(cases) => {
                let arguments = ["search".to_owned(), "--cases".to_owned(), cases.to_string()];
                let ran = lab.run(executable, &arguments, &environment, SEARCH_PATIENCE);
                CheckRun::of_program(ran, &["# ", "panicked"])
            }
            Check::Unit { test, .. } | Check::Test { test, .. } => {
                let arguments = [test.as_str(), "--exact", "--nocapture"];
                let ran = lab.run(executable, &arguments, &environment, SHORT_PATIENCE);
                if let Ok(ran) = &ran
                    && ran.stdout.contains("running 0 tests")
                {
                    return Err("there is no such test".to_owned());
                }
                CheckRun::of_program(ran, &["panicked", "assert"])
            }
        }
    }
}

impl Build {
    fn name(&self) -> String {
        match self {
            Self::Models => "models".to_owned(),
            Self::Shuttle => "shuttle".to_owned(),
            Self::Verify => "verify".to_owned(),
            Self::UnitTests(package) => format!("unit tests of {package}"),
            Self::Tests { package, target } => format!("{target} of {package}"),
        }
    }
}

/// A copy with the faults of a sheet in it, each behind its switch.
fn seeded(backend: Backend, number: usize, sheet: &Sheet) -> Result<Lab, String> {
    let in_words = |error: LabError| error.to_string();
    let mut lab = Lab::prepare(backend, &lab_name(number)).map_err(in_words)?;
    for (file, text) in &sheet.files {
        lab.replace(file, text).map_err(in_words)?;
    }
    for (file, added) in [(seed::CORE, seed::SWITCHING), (seed::HUB, seed::HANDED_ON)] {
        let text = lab.read(file).map_err(in_words)?;
        lab.replace(file, &(text + added)).map_err(in_words)?;
    }
    Ok(lab)
}

/// The line that says most: what a process said before it aborted goes on after that.
fn telling(why: &str) -> String {
    let deadlock = why.lines().find(|line| line.contains("deadlock"));
    deadlock.or_else(|| why.lines().next()).unwrap_or_default().trim().to_owned()
}

/// One run of one check.
struct CheckRun {
    passed: bool,
    seconds: f64,
    said: String,
    timeline: Option<String>,
}

impl CheckRun {
    /// Of a search, which says itself what came of it. One that ran nothing, was cut or was killed
    /// by the watchdog has found nothing.
    fn of_search(result: crate::lab::CheckResult) -> Result<Self, String> {
        let found_nothing = |why: &String| {
            ["ran nothing", "CUT", "killed by the watchdog"]
                .iter()
                .any(|sign| why.starts_with(sign))
        };
        match result.failure {
            Some(why) if found_nothing(&why) => Err(why),
            failure => Ok(Self {
                passed: failure.is_none(),
                seconds: result.seconds,
                said: failure.as_deref().map(telling).unwrap_or_default(),
                timeline: result.timeline,
            }),
        }
    }

    /// Of a program that needs milliseconds and says so where something is wrong.
    fn of_program(ran: Result<crate::lab::Ran, LabError>, signs: &[&str]) -> Result<Self, String> {
        let ran = ran.map_err(|error| error.to_string())?;
        let mut lines = ran.stdout.lines().chain(ran.stderr.lines());
        let telling = lines.find(|line| signs.iter().any(|sign| line.contains(sign)));
        let said = match telling {
            _ if ran.timed_out() => format!("does not end within {:.0} s", ran.seconds),
            Some(line) => line.rsplit('/').next().unwrap_or(line).to_owned(),
            None => ran.tail(1),
        };
        Ok(Self { passed: ran.succeeded(), seconds: ran.seconds, said, timeline: None })
    }
}
