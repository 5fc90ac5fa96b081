//! Seeded faults, and the checks that must find them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use reveille_verification::faults::catalogue;
use reveille_verification::faults::kill::{self, Step, Verdict};
use reveille_verification::faults::mutants;
use reveille_verification::faults::sweep;
use reveille_verification::lab::{CheckResult, checks, results_folder};

use crate::cli::family::{Family, Session};
use crate::cli::progress::Meter;
use crate::cli::searched::Names;

/// The family.
pub(crate) struct Faults(pub(crate) Names);

impl Family for Faults {
    fn name(&self) -> &'static str {
        "faults"
    }

    fn budget(&self, exhaustive: bool) -> Option<Duration> {
        Some(Duration::from_secs(if exhaustive { 10 * 3600 } else { 480 }))
    }

    fn is_whole(&self) -> bool {
        self.0.is_whole()
    }

    fn has_table(&self) -> bool {
        false
    }

    fn run(&self, session: &Session) -> Vec<CheckResult> {
        let mut results = self.catalogue(session);
        if self.0.wants("sweep") {
            results.extend(self.sweep(session));
        }
        if session.exhaustive && self.0.wants("mutants") {
            results.extend(self.mutants(session));
        }
        results
    }
}

impl Faults {
    fn catalogue(&self, session: &Session) -> Vec<CheckResult> {
        let mut faults = match catalogue::all() {
            Ok(faults) => faults,
            Err(why) => return vec![self.failed(session, "catalogue", why)],
        };
        faults.retain(|fault| self.0.wants(&fault.name));
        if faults.is_empty() {
            return Vec::new();
        }
        let meter = session.show.meter(self.name(), 0);
        match kill::run(&faults, &|step| show(&meter, &step)) {
            Err(wrong) => {
                drop(meter);
                wrong.into_iter().map(|why| self.failed(session, "catalogue", why)).collect()
            }
            Ok(verdicts) => {
                drop(meter);
                self.told(session, "killed", &verdicts)
            }
        }
    }

    fn sweep(&self, session: &Session) -> Vec<CheckResult> {
        let meter = session.show.meter("sweep", 0);
        let done = sweep::run(session.exhaustive, &|step| show(&meter, &step));
        drop(meter);
        match done {
            Err(why) => vec![self.failed(session, "sweep", why)],
            Ok(verdicts) => self.told(session, "orderings killed or allowed", &verdicts),
        }
    }

    fn mutants(&self, session: &Session) -> Vec<CheckResult> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let done = results_folder()
            .map_err(|error| error.to_string())
            .and_then(|folder| mutants::run(&root, folder.parent().unwrap_or(&folder)));
        match done {
            Err(why) => vec![self.failed(session, "mutants", why)],
            Ok(verdicts) => self.told(session, "mutants killed or explained", &verdicts),
        }
    }

    /// Tells how many were killed, keeps what killed them, and makes results of it.
    fn told(&self, session: &Session, what: &str, verdicts: &[Verdict]) -> Vec<CheckResult> {
        let killed = verdicts.iter().filter(|verdict| verdict.failure.is_none()).count();
        println!("faults: {killed} of {} {what}", verdicts.len());
        let mut results: Vec<CheckResult> = verdicts.iter().map(result).collect();
        if self.is_whole()
            && let Err(why) = keep(what, verdicts)
        {
            results.push(self.failed(session, "verdicts", why));
        }
        results
    }

    fn failed(&self, session: &Session, name: &str, why: String) -> CheckResult {
        let result = checks::failed(name, why);
        session.show.failure(self.name(), &result);
        result
    }
}

fn show(meter: &Meter, step: &Step<'_>) {
    match step {
        Step::Builds(what) => meter.doing(what),
        Step::Faults(count) => meter.expect(*count),
        Step::Begins(name) => meter.begin(name),
        Step::Ends(verdict) => meter.end_with(&verdict.name, &line(verdict)),
    }
}

fn line(verdict: &Verdict) -> String {
    let Verdict { name, what, found, failure, .. } = verdict;
    match failure {
        Some(why) => format!("faults: {name}: FAILED: {why}"),
        None if found.iter().all(|found| found.said.is_none()) => format!("faults: {name}: {what}"),
        None => format!("faults: {name}: killed by {}", verdict.killers()),
    }
}

fn result(verdict: &Verdict) -> CheckResult {
    CheckResult {
        name: verdict.name.clone(),
        promises: verdict.promises.clone(),
        law: verdict.what.clone(),
        executions: verdict.found.len() as u64,
        complete: true,
        seconds: verdict.found.iter().map(|found| found.seconds).sum(),
        failure: verdict.failure.clone(),
        timeline: verdict.timeline.clone(),
        note: Some(line(verdict)),
        ..CheckResult::default()
    }
}

/// Keeps what came of each fault, for the report and the ledger.
fn keep(what: &str, verdicts: &[Verdict]) -> Result<(), String> {
    let folder = results_folder().map_err(|error| error.to_string())?;
    let folder = folder.parent().unwrap_or(&folder).join("faults");
    let json = serde_json::to_string_pretty(verdicts).map_err(|error| error.to_string())?;
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let file = format!("{}.json", what.split(' ').next().unwrap_or(what));
    fs::write(folder.join(file), json).map_err(|error| error.to_string())
}
