//! `cargo bench-report`: Reveille and what a user would pick instead, on the same work, in the same minutes, as
//! one page with plots.
//!
//! What is compared is ratios. All cases of a work take turns, in random order, in slices of half a
//! millisecond; a slice in which the thread was preempted is dropped; a ratio is that of two slices of one round.
//! The whole is done in several processes one after the other, of which the median is told.

mod beats;
mod lateness;
mod machine;
mod memory;
mod page;
mod plots;
mod works;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// Measures Reveille beside its peers, and draws a page.
#[derive(Parser)]
#[command(name = "cargo bench-report")]
struct Options {
    /// Rounds of each work: what is compared takes turns once in each.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(3..))]
    rounds: u32,
    /// Processes that measure, one after the other.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    processes: u32,
    /// Only the works, lateness, beats or memory whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Where the page and its plots go.
    #[arg(long, default_value = "target/bench-report")]
    out: PathBuf,
    /// Prints how many bytes a waiting target of this peer takes: what each process is told that measures one.
    #[arg(long, hide = true)]
    resident: Option<String>,
    /// Measures once, and writes the figures here: what each process is told.
    #[arg(long, hide = true)]
    figures: Option<PathBuf>,
}

/// All that one process has measured.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) works: Vec<works::Work>,
    pub(crate) lateness: Vec<lateness::Setting>,
    pub(crate) beats: Vec<beats::Crowd>,
    pub(crate) memory: Vec<memory::Case>,
}

/// What is being done, for whoever watches; plain lines where nobody does.
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    fn new(steps: u64) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{elapsed} [{bar:24}] {pos}/{len} {wide_msg}");
            ProgressBar::new(steps)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self(bar)
    }

    pub(crate) fn doing(&self, what: &str) {
        match &self.0 {
            Some(bar) => bar.set_message(what.to_owned()),
            None => eprintln!("bench-report: {what}"),
        }
    }

    pub(crate) fn done(&self) {
        if let Some(bar) = &self.0 {
            bar.inc(1);
        }
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match (&options.resident, &options.figures) {
        (Some(peer), _) => memory::resident(peer),
        (None, Some(file)) => measure(&options, file),
        (None, None) => report(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-report: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Measures all there is, in this process.
fn measure(options: &Options, file: &Path) -> Result<(), Box<dyn Error>> {
    let wanted = |name: &str| name.contains(&options.only);
    let (works, settings, crowds) =
        (works::wanted(wanted), lateness::wanted(wanted), beats::wanted(wanted));
    let memory = wanted(memory::NAME);
    let steps = works.len() + settings.len() + crowds.len() + usize::from(memory);
    if steps == 0 {
        return Err(format!("nothing has `{}` in its name", options.only).into());
    }
    let progress = Progress::new(steps as u64);
    let mut figures = Figures::default();
    for work in works {
        progress.doing(work.name);
        figures.works.push(work.measure(options.rounds));
        progress.done();
    }
    for setting in settings {
        progress.doing(setting.name());
        figures.lateness.push(setting.measure(&progress));
        progress.done();
    }
    for crowd in crowds {
        progress.doing(&crowd.name());
        figures.beats.push(crowd.measure(&progress));
        progress.done();
    }
    if memory {
        figures.memory = memory::measure(&progress)?;
        progress.done();
    }
    Ok(std::fs::write(file, serde_json::to_vec(&figures)?)?)
}

/// Has several processes measure, and draws what they found.
fn report(options: &Options) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(&options.out)?;
    let mut all = Vec::new();
    for process in 1..=options.processes {
        eprintln!("bench-report: process {process} of {}", options.processes);
        let file = options.out.join(format!("figures-{process}.json"));
        let status = Command::new(std::env::current_exe()?)
            .args(["--rounds", &options.rounds.to_string(), "--only", &options.only, "--figures"])
            .arg(&file)
            .stdin(Stdio::null())
            .status()?;
        if !status.success() {
            return Err(format!("process {process} ended with {status}").into());
        }
        let figures: Figures = serde_json::from_slice(&std::fs::read(&file)?)?;
        all.push(figures);
    }
    let figures = merged(all);
    let machine = machine::Machine::this(options.rounds, options.processes);
    let plots = plots::draw(&figures, &options.out)?;
    let page = options.out.join("index.html");
    std::fs::write(&page, page::html(&figures, &machine, &plots))?;
    println!("{}", page::text(&figures));
    println!("{}", machine.line());
    println!("page: {}", page.display());
    Ok(())
}

/// The median of several processes, case by case.
fn merged(all: Vec<Figures>) -> Figures {
    let mut all = all.into_iter();
    let mut first = all.next().unwrap_or_default();
    let others: Vec<Figures> = all.collect();
    works::merge(&mut first.works, others.iter().map(|figures| &figures.works));
    lateness::merge(&mut first.lateness, others.iter().map(|figures| &figures.lateness));
    beats::merge(&mut first.beats, others.iter().map(|figures| &figures.beats));
    memory::merge(&mut first.memory, others.iter().map(|figures| &figures.memory));
    first
}

/// The value in the middle; of none, not a number.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    quantile(&mut values, 0.5)
}

/// The value at this part of the way from the smallest to the largest; sorts them.
pub(crate) fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((last as f64 * part).round() as usize).copied().unwrap_or(f64::NAN)
}
