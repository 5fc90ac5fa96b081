//! What was checked, as one page of HTML; and the ledger.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Args;
use reveille_verification::lab::{
    Backend, CheckResult, FamilyResult, Lab, LabError, checks, results_folder,
};
use reveille_verification::report::picture::svg;
use reveille_verification::report::timeline::Timeline;
use reveille_verification::report::{Gaps, html, markdown, missing, results, rounded};

use crate::cli::family::{Family, Session};
use crate::cli::searched::LAB;

/// What `verify report` can be told.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// Write the ledger anew too, verification/README.md and ledger.json, from results that must
    /// be whole.
    #[arg(long)]
    ledger: bool,
    /// Draw the four causes of the naive design anew, into docs/pictures.
    #[arg(long)]
    pictures: bool,
}

/// The family.
pub(crate) struct Report(pub(crate) Options);

impl Family for Report {
    fn name(&self) -> &'static str {
        "report"
    }

    fn budget(&self, _: bool) -> Option<Duration> {
        Some(Duration::from_secs(5))
    }

    fn has_table(&self) -> bool {
        false
    }

    fn run(&self, session: &Session) -> Vec<CheckResult> {
        let mut told = vec![("page", page())];
        if self.0.ledger {
            told.push(("ledger", ledger()));
        }
        if self.0.pictures {
            told.extend(CAUSES.map(|(name, title)| (name, picture(name, title))));
        }
        let result = |(name, outcome): (&str, Result<PathBuf, String>)| match outcome {
            Ok(path) => {
                println!("{name}: {}", path.display());
                let (name, executions, complete) = (name.to_owned(), 1, true);
                CheckResult { name, executions, complete, ..CheckResult::default() }
            }
            Err(why) => {
                let result = checks::failed(name, why);
                session.show.failure(self.name(), &result);
                result
            }
        };
        told.into_iter().map(result).collect()
    }
}

fn page() -> Result<PathBuf, String> {
    let folder = results_folder().map_err(|error| error.to_string())?;
    let results = results(&folder)?;
    if results.is_empty() {
        return Err("no results yet: run `cargo verify` first".to_owned());
    }
    let path = folder.with_file_name("report.html");
    write(&path, &html(&results, &Gaps::read()?, &measured()))
}

fn ledger() -> Result<PathBuf, String> {
    let folder = results_folder().map_err(|error| error.to_string())?;
    let results = rounded(&results(&folder)?);
    let gaps = Gaps::read()?;
    let failed = results.iter().flat_map(|result| &result.checks).filter(|check| !check.passed());
    let failed = failed.map(|check| format!("{} failed", check.name));
    let wrong: Vec<String> = failed.chain(missing(&results, &gaps)).collect();
    if !wrong.is_empty() {
        return Err(format!("the ledger tells of whole runs only:\n{}", wrong.join("\n")));
    }
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let measured = measured();
    let kept = Kept { measured: measured.clone(), results };
    let json = serde_json::to_string_pretty(&kept).map_err(|error| error.to_string())?;
    write(&own.join("ledger.json"), &(json + "\n"))?;
    write(&own.join("README.md"), &markdown(&kept.results, &gaps, &measured))
}

/// The models of the naive design that fail, and what is seen in each.
const CAUSES: [(&str, &str); 4] = [
    ("naive-1-stale-cleanup", "A stale runner's clean-up removes the new runner's handler"),
    ("naive-2-dropped-request", "A request is dropped, since some timer is armed"),
    ("naive-3-rearmed-in-callback", "Nothing arms the next interval but the run that did not come"),
    ("naive-4-leaked-handle", "A handle that was left behind passes for a timer that is armed"),
];

/// Has a model fail, and draws how.
fn picture(name: &str, title: &str) -> Result<PathBuf, String> {
    let told = |error: LabError| error.to_string();
    let lab = Lab::prepare(Backend::Loom, LAB).map_err(told)?;
    let executable = lab.build("models").map_err(told)?;
    let drawn = results_folder().map_err(told)?.with_file_name(format!("{name}.json"));
    let path = drawn.to_string_lossy();
    let environment = [("REVEILLE_NAIVE", "1"), ("REVEILLE_TIMELINE", &*path)];
    let arguments = [name, "--exact"];
    let ran =
        lab.run(&executable, &arguments, &environment, Duration::from_secs(60)).map_err(told)?;
    if ran.succeeded() {
        return Err(format!("{name} did not fail: nothing to draw"));
    }
    let unreadable = |error: &dyn std::fmt::Display| format!("{}: {error}", drawn.display());
    let text = fs::read_to_string(&drawn).map_err(|error| unreadable(&error))?;
    let timeline: Timeline = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pictures");
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    write(&folder.join(format!("{name}.svg")), &(svg(&timeline, title) + "\n"))
}

/// What `ledger.json` holds.
#[derive(serde::Serialize, serde::Deserialize)]
struct Kept {
    measured: String,
    results: Vec<FamilyResult>,
}

/// How long each check of a family took when the ledger was written, by name; nothing without a ledger.
pub(crate) fn seconds_in_the_ledger(family: &str) -> BTreeMap<String, f64> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ledger.json"));
    let kept = text.ok().and_then(|text| serde_json::from_str::<Kept>(&text).ok());
    let results = kept.map(|kept| kept.results).unwrap_or_default();
    let results = results.into_iter().filter(|result| result.family == family);
    results.flat_map(|result| result.checks).map(|check| (check.name, check.seconds)).collect()
}

fn write(path: &Path, text: &str) -> Result<PathBuf, String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path.to_path_buf())
}

/// Where and when: no figure without it.
fn measured() -> String {
    let date: String =
        humantime::format_rfc3339_seconds(SystemTime::now()).to_string().chars().take(10).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease");
    let kernel = kernel
        .map_or(std::env::consts::OS.to_owned(), |release| format!("Linux {}", release.trim()));
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cpu = cpu.map_or(std::env::consts::ARCH, |(_, name)| name);
    format!("The families of `cargo verify`, on {date}, {cores} cores of {cpu}, {kernel}.")
}
