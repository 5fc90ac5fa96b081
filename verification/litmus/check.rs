//! One check of this target, and how it reports.

use crate::result::{CHECK, CheckResult};
use crate::search::Searched;

/// A check: a name, and what it does.
pub(crate) struct Check {
    /// Its name, by which it can be run alone.
    pub(crate) name: &'static str,
    run: Box<dyn FnOnce() -> Report + Send>,
}

/// What a check found.
#[derive(Default)]
pub(crate) struct Report {
    /// Executions tried.
    pub(crate) executions: u64,
    /// Whether the searches came to their ends.
    pub(crate) complete: bool,
    /// The most preemptions that were allowed in any search that had a bound.
    pub(crate) bound: Option<usize>,
    /// How long they took.
    pub(crate) seconds: f64,
    /// What was found, in words.
    pub(crate) note: String,
    /// What is not as expected.
    pub(crate) failure: Option<String>,
}

impl Report {
    /// What one search did. A bound from the environment (`LOOM_MAX_PREEMPTIONS`) fails it: what is
    /// asserted here holds of the search that was asked for.
    pub(crate) fn of(searched: Searched, asked: Option<usize>) -> Self {
        let report = Self {
            executions: searched.executions,
            complete: searched.complete,
            bound: searched.bound,
            seconds: searched.seconds,
            note: String::new(),
            failure: searched.failure,
        };
        if report.bound == asked {
            return report;
        }
        report.failed("the environment bounds the preemptions, for which this is not made".into())
    }

    /// The same, failed; what it says comes after what else failed.
    pub(crate) fn failed(mut self, why: String) -> Self {
        self.failure = Some(match self.failure.take() {
            Some(earlier) => format!("{earlier}\n{why}"),
            None => why,
        });
        self
    }

    /// Both.
    pub(crate) fn and(self, other: Self) -> Self {
        let both = Self {
            executions: self.executions + other.executions,
            complete: self.complete && other.complete,
            bound: self.bound.max(other.bound),
            seconds: self.seconds + other.seconds,
            note: if self.note.is_empty() {
                other.note
            } else {
                [self.note, other.note].join("; ")
            },
            failure: self.failure,
        };
        match other.failure {
            Some(why) => both.failed(why),
            None => both,
        }
    }
}

impl Check {
    /// A check.
    pub(crate) fn new(name: &'static str, run: impl FnOnce() -> Report + Send + 'static) -> Self {
        Self { name, run: Box::new(run) }
    }

    /// Runs it and prints its report, which says what must hold.
    ///
    /// # Errors
    /// What is not as expected.
    pub(crate) fn run(self, law: &str) -> Result<(), String> {
        let report = (self.run)();
        let result = CheckResult {
            family: "litmus".to_owned(),
            name: self.name.to_owned(),
            law: law.to_owned(),
            executions: report.executions,
            complete: report.complete && report.failure.is_none(),
            bound: report.bound.map(|bound| u32::try_from(bound).unwrap_or(u32::MAX)),
            seconds: report.seconds,
            failure: report.failure.clone(),
            note: Some(report.note.clone()),
            ..CheckResult::default()
        };
        let json = serde_json::to_string(&result).map_err(|error| error.to_string())?;
        println!(
            "{}: {}; {} executions, {}, {:.2} s\n{CHECK}{json}",
            self.name,
            report.note,
            report.executions,
            result.extent(),
            report.seconds
        );
        match report.failure {
            Some(why) => Err(why),
            None if !report.complete => Err("the search was CUT".to_owned()),
            None => Ok(()),
        }
    }
}
