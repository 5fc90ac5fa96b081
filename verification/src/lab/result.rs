//! What one check reports: a line of JSON on its standard output.
//!
//! The test targets `models`, `litmus` and `shuttle` take this file in by `#[path]`, so it imports
//! nothing but serde.

#![allow(dead_code)] // each of them uses a part of it

use serde::{Deserialize, Serialize};

/// Begins the one line in which a check reports its result.
pub const CHECK: &str = "@check ";

/// Begins a line in which a check says how far it is.
pub const PROGRESS: &str = "@progress ";

/// The failure of a search that ended before it was complete, and was not allowed to.
pub const CUT: &str = "CUT: the search ended before it was complete";

/// What came of one check.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckResult {
    /// The family of checks that it belongs to.
    pub family: String,
    /// Its name, by which it can be run alone.
    pub name: String,
    /// The promises that it bears on, such as `P1`.
    pub promises: Vec<String>,
    /// What must hold, in one sentence.
    pub law: String,
    /// How many threads take part.
    pub threads: u32,
    /// How many executions, schedules or cases were run.
    pub executions: u64,
    /// Whether the search within `bound` came to its end.
    pub complete: bool,
    /// The most preemptions that were searched; none where all were.
    pub bound: Option<u32>,
    /// Whether it draws at random, and so has no end to come to.
    pub sampled: bool,
    /// Whether it may end before its search is complete. It is shown as CUT all the same.
    pub may_be_cut: bool,
    /// How long it took.
    pub seconds: f64,
    /// What did not hold; none where it passed.
    pub failure: Option<String>,
    /// The failing execution, drawn.
    pub timeline: Option<String>,
    /// Anything else worth a line, such as the checker's variant.
    pub note: Option<String>,
}

/// What came of all checks of a family, as it is kept below cargo's target folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FamilyResult {
    /// Its name.
    pub family: String,
    /// Whether it was the long search of `--exhaustive`.
    pub exhaustive: bool,
    /// How long it may take on two cores.
    pub budget_seconds: f64,
    /// How long it took, builds included.
    pub seconds: f64,
    /// Its checks.
    pub checks: Vec<CheckResult>,
}

/// How far a check is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// The name of the check.
    pub name: String,
    /// How many executions so far.
    pub executions: u64,
    /// What is being searched now, such as `at most 2 preemptions`.
    pub stage: Option<String>,
}

impl CheckResult {
    /// Whether the check ran and everything held.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failure.is_none()
    }

    /// How much was searched, in the words of the tables: never "complete" for less.
    #[must_use]
    pub fn extent(&self) -> String {
        let cut = self.failure.as_deref().is_none_or(|why| why == CUT);
        match (self.complete, self.bound) {
            _ if self.sampled => "sampled".to_owned(),
            _ if !cut => "until it failed".to_owned(),
            (true, None) => "complete".to_owned(),
            (true, Some(bound)) => format!("bounded {bound}"),
            (false, None) => "CUT".to_owned(),
            (false, Some(bound)) => format!("CUT in {bound}"),
        }
    }
}
