//! What all families have in common: a budget, checks with results, a table, a place where results
//! are kept.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, Table, presets};
use reveille_verification::lab::{CheckResult, FamilyResult, LabError, checks, results_folder};

use crate::cli::progress::Show;

/// Checks of one kind.
pub(crate) trait Family {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// How long it takes at most on two cores, builds not counted; none where nobody asks.
    fn budget(&self, exhaustive: bool) -> Option<Duration>;

    /// Whether all its checks run, as by default: only then are its results kept.
    fn is_whole(&self) -> bool {
        true
    }

    /// Whether its results are worth a table.
    fn has_table(&self) -> bool {
        true
    }

    /// Runs its checks.
    fn run(&self, session: &Session) -> Vec<CheckResult>;
}

/// What holds for all families of one call.
pub(crate) struct Session {
    /// Whether to search without bounds.
    pub(crate) exhaustive: bool,
    /// When a check is killed.
    pub(crate) timeout: Duration,
    /// Where progress is shown.
    pub(crate) show: Show,
}

/// How many checks passed and failed.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

impl Tally {
    pub(crate) fn and(self, other: Self) -> Self {
        Self { passed: self.passed + other.passed, failed: self.failed + other.failed }
    }

    fn of(results: &[CheckResult]) -> Self {
        let passed = results.iter().filter(|result| result.passed()).count();
        Self { passed, failed: results.len() - passed }
    }
}

impl Session {
    pub(crate) fn new(exhaustive: bool, timeout: Duration) -> Self {
        Self { exhaustive, timeout, show: Show::new() }
    }

    /// Runs one family, tells what came of it, and keeps it. No checks at all count as one failure.
    pub(crate) fn run(&self, family: &dyn Family) -> Tally {
        let name = family.name();
        let budget = family.budget(self.exhaustive);
        if let Some(budget) = budget {
            println!("\n== {name}: budget {} s", budget.as_secs());
        }
        let start = Instant::now();
        let mut checks = family.run(self);
        if checks.is_empty() {
            let nothing = checks::failed(name, "ran nothing".to_owned());
            self.show.failure(name, &nothing);
            checks.push(nothing);
        }
        for check in &mut checks {
            check.family = name.to_owned();
        }
        let seconds = start.elapsed().as_secs_f64();
        let tally = Tally::of(&checks);
        if let Some(budget) = budget {
            if family.has_table() {
                println!("{}", table(&checks));
            }
            let Tally { passed, failed } = tally;
            let budget = budget.as_secs();
            println!("{name}: {passed} passed, {failed} failed, {seconds:.0} s of {budget} s");
        }
        if !family.is_whole() {
            return tally;
        }
        let result = FamilyResult {
            family: name.to_owned(),
            exhaustive: self.exhaustive,
            budget_seconds: budget.map_or(0.0, |budget| budget.as_secs_f64()),
            seconds,
            checks,
        };
        match keep(&result) {
            Ok(()) => tally,
            Err(error) => {
                println!("{name}: its results cannot be kept: {error}");
                tally.and(Tally { passed: 0, failed: 1 })
            }
        }
    }
}

fn keep(result: &FamilyResult) -> Result<(), LabError> {
    let path = results_folder()?.join(format!("{}.json", result.family));
    let unwritable = |source: io::Error| LabError::Io { path: path.clone(), source };
    let json = serde_json::to_string_pretty(result).map_err(|error| unwritable(error.into()))?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(unwritable)?;
    }
    fs::write(&path, json).map_err(unwritable)
}

fn table(checks: &[CheckResult]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["check", "promises", "executions", "searched", "s", ""]);
    for check in checks {
        table.add_row([
            check.name.clone(),
            check.promises.join(" "),
            grouped(check.executions),
            check.extent(),
            format!("{:.2}", check.seconds),
            if check.passed() { "ok".to_owned() } else { "FAILED".to_owned() },
        ]);
    }
    for column in [2, 4] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A number with commas: executions come in millions.
pub(crate) fn grouped(number: u64) -> String {
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
