//! Reading what checks say.
//!
//! The executables of `models`, `litmus` and `shuttle` speak libtest's language: `--list --format
//! terse` names the checks, `NAME --exact --nocapture` runs one. A check prints one line that begins
//! with [`CHECK`], and lines that begin with [`PROGRESS`] before it. Each runs in a process of its
//! own, since a failing search may abort.

use std::path::Path;
use std::time::Duration;

use super::{CHECK, CUT, CheckResult, Lab, LabError, PROGRESS, Progress, Ran};

/// Lines of output that tell why a check failed that did not say so itself.
const TAIL: usize = 40;

/// The names of the checks in an executable.
///
/// # Errors
/// Where it cannot be run, or does not list them.
pub fn list(lab: &Lab, executable: &Path) -> Result<Vec<String>, LabError> {
    let arguments = ["--list", "--format", "terse"];
    let ran = lab.run(executable, &arguments, &[], Duration::from_secs(60))?;
    if !ran.succeeded() {
        return Err(LabError::Cargo { what: "listing the checks", stderr: ran.tail(TAIL) });
    }
    let names = ran.stdout.lines().filter_map(|line| line.strip_suffix(": test"));
    Ok(names.map(str::to_owned).collect())
}

/// Runs one check. Whatever goes wrong is a failed check; a check that says nothing has failed.
pub fn run(
    lab: &Lab,
    executable: &Path,
    name: &str,
    environment: &[(&str, &str)],
    timeout: Duration,
    on_progress: &mut dyn FnMut(Progress),
) -> CheckResult {
    let mut said = Vec::new();
    let mut progress = Progress::default();
    let ran = lab.run_watched(
        executable,
        &[name, "--exact", "--nocapture"],
        environment,
        timeout,
        &mut |line| {
            // Whatever stands before it on the line: libtest prints the name of the test there.
            if let Some((_, json)) = line.split_once(CHECK) {
                said.push(serde_json::from_str(json).map_err(|error| error.to_string()));
            } else if let Some((_, json)) = line.split_once(PROGRESS)
                && let Ok(read) = serde_json::from_str::<Progress>(json)
            {
                progress = read.clone();
                on_progress(read);
            }
        },
    );
    match ran {
        Ok(ran) => judge(name, &ran, said, progress.executions),
        Err(error) => failed(name, error.to_string()),
    }
}

/// A check that failed before it could say anything.
#[must_use]
pub fn failed(name: &str, why: String) -> CheckResult {
    CheckResult { name: name.to_owned(), failure: Some(why), ..CheckResult::default() }
}

/// What is to be believed of what a check said.
fn judge(
    name: &str,
    ran: &Ran,
    mut said: Vec<Result<CheckResult, String>>,
    executions: u64,
) -> CheckResult {
    let mut result = match (said.pop(), said.is_empty()) {
        (Some(Ok(result)), true) => result,
        (Some(Err(why)), true) => failed(name, format!("its result cannot be read: {why}")),
        (Some(_), false) => failed(name, "it gave more than one result".to_owned()),
        (None, _) => CheckResult { executions, ..failed(name, silent(ran)) },
    };
    let trouble = if result.failure.is_some() {
        None
    } else if ran.timed_out() {
        Some(format!("killed by the watchdog after {:.0} s", ran.seconds))
    } else if !ran.succeeded() {
        Some(format!("it said that all holds, and failed:\n{}", ran.tail(TAIL)))
    } else if result.name != name {
        Some(format!("it calls itself {:?}", result.name))
    } else if result.executions == 0 {
        Some("ran nothing: no executions".to_owned())
    } else if !(result.complete || result.sampled || result.may_be_cut) {
        Some(CUT.to_owned())
    } else {
        None
    };
    result.failure = result.failure.or(trouble);
    // A search that found something stops there, whatever it says.
    result.complete &= result.failure.is_none();
    result.name = name.to_owned();
    if result.seconds == 0.0 {
        result.seconds = ran.seconds;
    }
    result
}

fn silent(ran: &Ran) -> String {
    if ran.timed_out() {
        format!("killed by the watchdog after {:.0} s", ran.seconds)
    } else if ran.succeeded() {
        "ran nothing: it gave no result".to_owned()
    } else {
        ran.tail(TAIL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::ExitStatus;

    fn ran(status: Option<ExitStatus>) -> Ran {
        Ran { status, stdout: String::new(), stderr: "the reason".to_owned(), seconds: 1.0 }
    }

    fn good() -> CheckResult {
        CheckResult {
            name: "m".to_owned(),
            executions: 3,
            complete: true,
            ..CheckResult::default()
        }
    }

    fn failure(status: Option<ExitStatus>, said: Vec<Result<CheckResult, String>>) -> String {
        judge("m", &ran(status), said, 0).failure.unwrap_or_default()
    }

    const ENDED: fn() -> Option<ExitStatus> = || Some(ExitStatus::default());

    #[test]
    fn a_complete_search_passes() {
        assert_eq!(failure(ENDED(), vec![Ok(good())]), "");
        assert_eq!(good().extent(), "complete");
        assert_eq!(CheckResult { bound: Some(3), ..good() }.extent(), "bounded 3");
    }

    #[test]
    fn silence_is_a_failure() {
        assert!(failure(ENDED(), vec![]).contains("ran nothing"));
        assert!(failure(None, vec![]).contains("watchdog"));
        let none = CheckResult { executions: 0, ..good() };
        assert!(failure(ENDED(), vec![Ok(none)]).contains("ran nothing"));
    }

    #[test]
    fn a_cut_search_fails_and_reads_as_cut() {
        let cut = CheckResult { complete: false, ..good() };
        let judged = judge("m", &ran(ENDED()), vec![Ok(cut.clone())], 0);
        assert_eq!((judged.failure.as_deref(), judged.extent().as_str()), (Some(CUT), "CUT"));
        let allowed =
            judge("m", &ran(ENDED()), vec![Ok(CheckResult { may_be_cut: true, ..cut })], 0);
        assert_eq!((allowed.passed(), allowed.extent().as_str()), (true, "CUT"));
    }

    #[test]
    fn what_it_says_must_fit_how_it_ended() {
        assert!(failure(None, vec![Ok(good())]).contains("watchdog"));
        assert!(failure(ENDED(), vec![Ok(good()), Ok(good())]).contains("more than one"));
        let other = CheckResult { name: "n".to_owned(), ..good() };
        assert!(failure(ENDED(), vec![Ok(other)]).contains("calls itself"));
        assert!(failure(ENDED(), vec![Err("no JSON".to_owned())]).contains("no JSON"));
    }

    #[test]
    fn a_failure_is_no_complete_search() {
        let broken = CheckResult { failure: Some("P1".to_owned()), ..good() };
        let judged = judge("m", &ran(ENDED()), vec![Ok(broken)], 0);
        assert!(!judged.complete && !judged.passed());
        assert_eq!(judged.extent(), "until it failed");
    }
}
