//! What is to be seen while checks run: a bar where somebody watches, lines where nobody does.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use reveille_verification::lab::{CheckResult, Progress};

use crate::cli::family::grouped;

/// Between two lines about a check that runs on, where there is no bar. A log that stands still for
/// longer looks like a hang.
const STILL: Duration = Duration::from_secs(30);

/// Where progress is shown.
pub(crate) struct Show {
    watched: bool,
}

impl Show {
    /// A bar if standard error is a terminal.
    pub(crate) fn new() -> Self {
        Self { watched: io::stderr().is_terminal() }
    }

    /// The progress of a family with so many checks.
    pub(crate) fn meter(&self, family: &'static str, checks: usize) -> Meter {
        let bar = self.watched.then(|| ProgressBar::new(checks as u64).with_style(style()));
        if let Some(bar) = &bar {
            bar.set_prefix(family);
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Meter { family, bar, running: Mutex::default() }
    }

    /// Tells of a failure outside any meter.
    pub(crate) fn failure(&self, family: &str, result: &CheckResult) {
        println!("{}", verdict(family, result));
    }
}

fn style() -> ProgressStyle {
    // The template is ours and right; a bar without it would still be a bar.
    ProgressStyle::with_template("{prefix} {elapsed} [{bar:20}] {pos}/{len} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// The progress of one family.
pub(crate) struct Meter {
    family: &'static str,
    bar: Option<ProgressBar>,
    running: Mutex<BTreeMap<String, Running>>,
}

struct Running {
    since: Instant,
    told: Instant,
    executions: u64,
    stage: Option<String>,
}

impl Meter {
    /// Something is being done that is no check, such as a build.
    pub(crate) fn doing(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(what.to_owned()),
            None => println!("{}: {what}", self.family),
        }
    }

    /// A search that is not counted in checks is so far.
    pub(crate) fn so_far(&self, done: u64, of: u64, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_length(of);
            bar.set_position(done);
            bar.set_message(what.to_owned());
            return;
        }
        let mut running = self.running();
        let now = Instant::now();
        let (is_new, told) = match running.get(what) {
            Some(running) => (false, running.told),
            None => (true, now),
        };
        if is_new || told.elapsed() >= STILL {
            let new = Running { since: now, told: now, executions: done, stage: None };
            running.insert(what.to_owned(), new);
            println!("{}: {what}: {} of {}", self.family, grouped(done), grouped(of));
        }
    }

    /// So many checks have been found.
    pub(crate) fn expect(&self, checks: usize) {
        if let Some(bar) = &self.bar {
            bar.set_length(checks as u64);
        }
    }

    /// A check begins.
    pub(crate) fn begin(&self, name: &str) {
        let now = Instant::now();
        let running = Running { since: now, told: now, executions: 0, stage: None };
        self.running().insert(name.to_owned(), running);
        self.refresh();
    }

    /// A check is so far.
    pub(crate) fn advance(&self, name: &str, progress: Progress) {
        let mut all = self.running();
        let Some(running) = all.get_mut(name) else { return };
        running.executions = progress.executions;
        running.stage = progress.stage;
        if self.bar.is_none() && running.told.elapsed() >= STILL {
            running.told = Instant::now();
            println!("{}: {}", self.family, running.text(name));
        }
        drop(all);
        self.refresh();
    }

    /// A check has ended.
    pub(crate) fn end(&self, result: &CheckResult) {
        self.running().remove(&result.name);
        match &self.bar {
            Some(bar) => {
                bar.inc(1);
                if !result.passed() {
                    bar.suspend(|| println!("{}", verdict(self.family, result)));
                }
            }
            None => println!("{}", verdict(self.family, result)),
        }
        self.refresh();
    }

    /// A check has ended, and this line tells all of it.
    pub(crate) fn end_with(&self, name: &str, line: &str) {
        self.running().remove(name);
        match &self.bar {
            Some(bar) => {
                bar.inc(1);
                bar.suspend(|| println!("{line}"));
            }
            None => println!("{line}"),
        }
        self.refresh();
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refresh(&self) {
        if let Some(bar) = &self.bar {
            let texts: Vec<String> =
                self.running().iter().map(|(name, running)| running.text(name)).collect();
            bar.set_message(texts.join(" | "));
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Running {
    fn text(&self, name: &str) -> String {
        let seconds = self.since.elapsed().as_secs_f64();
        let mut text = name.to_owned();
        if self.executions > 0 {
            let rate = (self.executions as f64 / seconds) as u64;
            text += &format!(" {} executions, {}/s", grouped(self.executions), grouped(rate));
        }
        if let Some(stage) = &self.stage {
            text += &format!(", {stage}");
        }
        text
    }
}

/// One line for what passed; for what failed also why, and the failing execution.
fn verdict(family: &str, result: &CheckResult) -> String {
    let CheckResult { name, executions, seconds, .. } = result;
    let searched = format!("{} executions, {}", grouped(*executions), result.extent());
    match &result.failure {
        None => format!("{family}: {name}: ok, {searched}, {seconds:.2} s"),
        Some(why) => {
            let mut text = format!("{family}: {name}: FAILED after {seconds:.2} s: {why}");
            if !result.law.is_empty() {
                text += &format!("\n  {}: {}", result.promises.join(" "), result.law);
            }
            if let Some(timeline) = &result.timeline {
                text += &format!("\n{timeline}");
            }
            text
        }
    }
}
