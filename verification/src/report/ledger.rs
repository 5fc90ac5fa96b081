//! The ledger: which checks bear on which promise, and how far they searched.

use std::fmt::Write as _;

use super::{FAMILIES, Gaps, PROMISES, bearing, grouped};
use crate::lab::{CheckResult, FamilyResult};

/// Results without what belongs to one run alone: what is kept of them in the repository.
#[must_use]
pub fn rounded(results: &[FamilyResult]) -> Vec<FamilyResult> {
    let to_tenths = |seconds: f64| (seconds * 10.0).round() / 10.0;
    let check = |check: &CheckResult| CheckResult {
        seconds: to_tenths(check.seconds),
        timeline: None,
        ..check.clone()
    };
    let family = |result: &FamilyResult| FamilyResult {
        seconds: result.seconds.round(),
        checks: result.checks.iter().map(check).collect(),
        ..result.clone()
    };
    results.iter().map(family).collect()
}

/// The ledger, as a page of Markdown.
#[must_use]
pub fn markdown(results: &[FamilyResult], gaps: &Gaps, measured: &str) -> String {
    let mut out = String::from(HEAD);
    let _ = writeln!(out, "\n## The last run\n\n{measured}\n");
    out += "| family | checks | passed | executions or cases | seconds, builds included |\n";
    out += "| --- | --- | --- | --- | --- |\n";
    for result in results {
        let passed = result.checks.iter().filter(|check| check.passed()).count();
        let executions: u64 = result.checks.iter().map(|check| check.executions).sum();
        let (family, checks) = (&result.family, result.checks.len());
        let executions = grouped(executions);
        let seconds = result.seconds;
        let _ = writeln!(out, "| {family} | {checks} | {passed} | {executions} | {seconds:.0} |");
    }
    out += "\n## By promise\n";
    for number in 1..=PROMISES {
        promise(&mut out, results, gaps, number);
    }
    out += "\n## The checkers, checked\n\n";
    searched(&mut out, family(results, "litmus"));
    out += "\n## What no check here sees\n\n";
    for spot in &gaps.blind_spots {
        let _ = writeln!(out, "- {spot}");
    }
    out
}

const HEAD: &str = "\
# Verification: the ledger

<!-- Written by `cargo verify report --ledger` from the results of `cargo verify`, and compared with
     them by a test: do not edit. Words that are not figures stand in src/report/gaps.toml. -->

What is checked for each promise, how far each search went, and what is *not* searched. `complete`
means every interleaving of the model, on a checker whose own search is checked (below), with
the number of executions beside it. `bounded k` means every interleaving with at most k preemptions.
`sampled` means drawn at random, `CUT` that a search ended early. What the promises mean:
[PROMISES.md](../docs/PROMISES.md).

| to run | command |
| --- | --- |
| everything | `cargo verify` |
| the models | `cargo verify loom`, one of them `cargo verify loom m11` |
| the models on loom as published, which skips interleavings | `RUSTFLAGS=\"--cfg reveille_loom\" cargo test -p reveille-verification --release` |
| lock-freedom | `cargo verify shuttle` |
| the checkers themselves | `cargo verify litmus` |
| the property tests | `cargo verify props` |
| the seeded faults | `cargo verify faults` |
| a night of all of it, without bounds | `cargo verify --exhaustive` |
";

fn family<'results>(results: &'results [FamilyResult], name: &str) -> Vec<&'results CheckResult> {
    results.iter().filter(|r| r.family == name).flat_map(|r| &r.checks).collect()
}

fn promise(out: &mut String, results: &[FamilyResult], gaps: &Gaps, number: u32) {
    let name = format!("P{number}");
    let promise = gaps.promise(number);
    let title = promise.map_or("", |promise| &promise.title);
    let _ = writeln!(out, "\n### {name} {title}\n");
    let mut searches = Vec::new();
    for family in ["loom", "shuttle", "props", "fuzz"] {
        searches.extend(bearing(results, family, &name));
    }
    if bearing(results, "loom", &name).is_empty() {
        let why = promise.and_then(|promise| promise.no_model.as_deref());
        let _ = writeln!(out, "No model: {}\n", why.unwrap_or("MISSING"));
    }
    searched(out, searches);
    list(out, "Scenarios", &bearing(results, "scenario", &name));
    let faults = bearing(results, "faults", &name);
    if !faults.is_empty() {
        out.push_str("\n| seeded fault | killed by |\n| --- | --- |\n");
        for fault in faults {
            let killers =
                fault.note.as_deref().unwrap_or(if fault.passed() { "" } else { "SURVIVES" });
            let _ = writeln!(out, "| `{}`: {} | {} |", fault.name, fault.law, cell(killers));
        }
    }
    let gaps = promise.map_or(&[][..], |promise| &promise.not_searched);
    if !gaps.is_empty() {
        out.push_str("\nNot searched:\n");
        for gap in gaps {
            let _ = writeln!(out, "- {gap}");
        }
    }
}

fn searched(out: &mut String, checks: Vec<&CheckResult>) {
    if checks.is_empty() {
        return;
    }
    out.push_str("| check | law | executions | searched | s |\n| --- | --- | --- | --- | --- |\n");
    for check in checks {
        let (name, law, extent) = (&check.name, cell(&check.law), check.extent());
        let (executions, seconds) = (grouped(check.executions), check.seconds);
        let _ = writeln!(out, "| `{name}` | {law} | {executions} | {extent} | {seconds:.1} |");
    }
}

fn list(out: &mut String, what: &str, checks: &[&CheckResult]) {
    if !checks.is_empty() {
        let names: Vec<String> = checks.iter().map(|check| format!("`{}`", check.name)).collect();
        let _ = writeln!(out, "\n{what}: {}.", names.join(", "));
    }
}

/// Text that does not end its cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', "<br>")
}

/// What is missing of the evidence that each promise must have.
#[must_use]
pub fn missing(results: &[FamilyResult], gaps: &Gaps) -> Vec<String> {
    let mut missing = Vec::new();
    for family in FAMILIES {
        if !results.iter().any(|result| result.family == family) {
            missing.push(format!("no results of {family}"));
        }
    }
    for number in 1..=PROMISES {
        let name = format!("P{number}");
        let excused = gaps.promise(number).is_some_and(|promise| promise.no_model.is_some());
        let modelled = !bearing(results, "loom", &name).is_empty();
        if !modelled && !excused {
            missing.push(format!("{name}: neither a model nor a reason why not"));
        }
        if modelled && excused {
            missing.push(format!("{name}: a model, and a reason why there is none"));
        }
        let has = |family| !bearing(results, family, &name).is_empty();
        // Of progress the properties are under shuttle: each operation, each step, frozen.
        let evidence = [
            (has("props") || has("shuttle"), "property"),
            (has("scenario"), "scenario"),
            (has("faults"), "fault"),
        ];
        for (_, what) in evidence.iter().filter(|(there, _)| !there) {
            missing.push(format!("{name}: no {what}"));
        }
    }
    missing
}
