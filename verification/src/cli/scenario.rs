//! Scenario files, played on the engine, by each of its drivers on virtual time.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use reveille_verification::files::{Report, below, play_file};
use reveille_verification::lab::{CheckResult, checks};
use reveille_verification::report::promises_in;
use reveille_verification::scenario::hands::DrivenBy;
use reveille_verification::under_test::subject;

use crate::cli::family::{Family, Session};

/// What `verify scenario` can be told.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// The files and folders [default: those of the project].
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print the trace of those that pass, too.
    #[arg(long)]
    trace: bool,
    /// Who drives the engine [default: each in turn].
    #[arg(long, value_enum)]
    driver: Option<DrivenBy>,
}

/// The family.
pub(crate) struct Scenarios {
    options: Options,
    own: bool,
}

impl Scenarios {
    /// Those that somebody names, or else the project's. What is printed of them is only theirs.
    pub(crate) fn of(options: Options) -> Self {
        if !options.paths.is_empty() {
            return Self { options, own: false };
        }
        let Self { options: Options { paths, .. }, .. } = Self::own();
        let own = options.driver.is_none();
        Self { options: Options { paths, ..options }, own }
    }

    /// Those of the project.
    pub(crate) fn own() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        Self { options: Options { paths: vec![folder], trace: false, driver: None }, own: true }
    }
}

impl Family for Scenarios {
    fn name(&self) -> &'static str {
        "scenario"
    }

    fn budget(&self, _: bool) -> Option<Duration> {
        self.own.then_some(Duration::from_secs(5))
    }

    fn is_whole(&self) -> bool {
        self.own
    }

    fn has_table(&self) -> bool {
        false
    }

    fn run(&self, _: &Session) -> Vec<CheckResult> {
        let mut results = Vec::new();
        for path in &self.options.paths {
            match below(path) {
                Err(why) => {
                    let what = path.display();
                    println!("{what}: expected a scenario or a folder of them, got {why}");
                    results.push(checks::failed(&what.to_string(), why));
                }
                Ok(files) => {
                    results.extend(files.iter().map(|file| play(file, &self.options)));
                }
            }
        }
        results
    }
}

/// Plays a file with one driver after the other, up to the first with which it fails.
fn play(file: &Path, options: &Options) -> CheckResult {
    let start = Instant::now();
    let drivers = options.driver.map_or(DrivenBy::ALL.to_vec(), |driver| vec![driver]);
    let mut executions = 0;
    let mut played = |driven: DrivenBy| {
        executions += 1;
        (driven, play_file(file, |policy| subject(policy, driven)))
    };
    let mut reports = drivers.into_iter().map(&mut played);
    let first = reports.next().unwrap_or_else(|| unreachable!("there are drivers"));
    let failed = |(_, report): &(DrivenBy, Report)| !report.passed();
    let (driven, report) =
        if failed(&first) { first } else { reports.find(failed).unwrap_or(first) };
    // Told where it may matter: a file that fails, or that one driver alone plays.
    let told = !report.passed() || options.driver.is_some();
    let driver = if told { format!(" ({})", driven.name()) } else { String::new() };
    println!("{}{driver}", report.text(options.trace));
    // What cannot be read has failed already.
    let text = fs::read_to_string(file).unwrap_or_default();
    let law = text.lines().next().unwrap_or_default().trim_start_matches("# ");
    CheckResult {
        name: file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        promises: promises_in(law),
        law: law.to_owned(),
        executions,
        complete: true,
        seconds: start.elapsed().as_secs_f64(),
        failure: report.failure.is_some().then(|| format!("{report}{driver}")),
        ..CheckResult::default()
    }
}
