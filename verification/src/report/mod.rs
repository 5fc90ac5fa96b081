//! What was checked, for people: the ledger, one page of HTML, and drawings of executions.
//!
//! All of it is made from the results that the families keep ([`FamilyResult`]) and from
//! `gaps.toml`, which says in plain words what is not searched.

mod gaps;
mod ledger;
mod page;
pub mod picture;
pub mod timeline;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::lab::{CheckResult, FamilyResult};

pub use gaps::Gaps;
pub use ledger::{markdown, missing, rounded};
pub use page::html;

/// The families that count as evidence, in the order in which they are told.
pub const FAMILIES: [&str; 7] =
    ["loom", "shuttle", "litmus", "props", "scenario", "fuzz", "faults"];

/// How many promises there are.
pub const PROMISES: u32 = 18;

/// The results of the families that have any, in order.
///
/// # Errors
/// Which file cannot be read, and why.
pub fn results(folder: &Path) -> Result<Vec<FamilyResult>, String> {
    let mut results = Vec::new();
    for family in FAMILIES {
        let path = folder.join(format!("{family}.json"));
        if path.exists() {
            let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
            let text = fs::read_to_string(&path).map_err(|error| told(&error))?;
            results.push(serde_json::from_str(&text).map_err(|error| told(&error))?);
        }
    }
    Ok(results)
}

/// The promises that a text names, such as the first comment of a scenario.
#[must_use]
pub fn promises_in(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let numbers: BTreeSet<u32> = words
        .filter_map(|word| word.strip_prefix('P')?.parse().ok())
        .filter(|number| (1..=PROMISES).contains(number))
        .collect();
    numbers.into_iter().map(|number| format!("P{number}")).collect()
}

/// The checks of one family that bear on a promise.
fn bearing<'results>(
    results: &'results [FamilyResult],
    family: &str,
    promise: &str,
) -> Vec<&'results CheckResult> {
    let families = results.iter().filter(|result| result.family == family);
    let checks = families.flat_map(|result| &result.checks);
    checks.filter(|check| check.promises.iter().any(|other| other == promise)).collect()
}

/// A number with commas: executions come in millions.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
