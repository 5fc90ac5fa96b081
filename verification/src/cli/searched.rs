//! Families whose checks are built and run in a lab, each in a process of its own.

use std::env;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use clap::Args;
use reveille_verification::lab::{Backend, CheckResult, Lab, LabError, checks};

use crate::cli::family::Session;
use crate::cli::progress::Meter;
use crate::cli::report::seconds_in_the_ledger;

/// Which checks to run.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Names {
    /// Only those whose names contain one of these.
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

impl Names {
    /// Whether nothing is left out.
    pub(crate) fn is_whole(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether this check is asked for.
    pub(crate) fn wants(&self, check: &str) -> bool {
        self.is_whole() || self.names.iter().any(|name| check.contains(name.as_str()))
    }
}

/// A test target with the backend that it needs.
pub(crate) struct Searched<'a> {
    pub(crate) family: &'static str,
    pub(crate) backend: Backend,
    pub(crate) test: &'static str,
    pub(crate) names: &'a Names,
    /// What the checks find in their environment, beside what the caller's has.
    pub(crate) environment: Vec<(&'static str, String)>,
}

/// The lab that the families share; faults have others.
pub(crate) const LAB: &str = "sound";

impl Searched<'_> {
    /// Builds the target and runs its checks, as many at once as there are cores. What stops it
    /// from doing so is a failed check.
    pub(crate) fn run(mut self, session: &Session) -> Vec<CheckResult> {
        if session.exhaustive {
            self.environment.push(("REVEILLE_EXHAUSTIVE", "1".to_owned()));
        }
        let meter = session.show.meter(self.family, 0);
        let built = self.build(&meter).and_then(|(lab, executable)| {
            let names = checks::list(&lab, &executable)?;
            Ok((lab, executable, names))
        });
        match built {
            Err(error) => {
                let result = checks::failed("build", error.to_string());
                meter.end(&result);
                vec![result]
            }
            Ok((lab, executable, mut names)) => {
                names.retain(|name| self.names.wants(name));
                meter.expect(names.len());
                self.run_all(session, &meter, &lab, &executable, &names)
            }
        }
    }

    fn build(&self, meter: &Meter) -> Result<(Lab, std::path::PathBuf), LabError> {
        meter.doing("building");
        let lab = Lab::prepare(self.backend, LAB)?;
        if let Some(why) = lab.stock_loom() {
            println!("{}: WARNING: stock loom: interleavings may be missed: {why}", self.family);
        }
        let executable = lab.build(self.test)?;
        Ok((lab, executable))
    }

    fn run_all(
        &self,
        session: &Session,
        meter: &Meter,
        lab: &Lab,
        executable: &Path,
        names: &[String],
    ) -> Vec<CheckResult> {
        let environment: Vec<(&str, &str)> =
            self.environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        // The longest ones first, so that none of them is left when the others have ended.
        let took = seconds_in_the_ledger(self.family);
        let seconds = |name: &String| took.get(name).copied().unwrap_or_default();
        let mut jobs: Vec<(usize, &String)> = names.iter().enumerate().collect();
        jobs.sort_by(|(_, a), (_, b)| seconds(b).total_cmp(&seconds(a)));
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::new());
        let workers = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    loop {
                        let job = next.fetch_add(1, Ordering::Relaxed);
                        let Some(&(index, name)) = jobs.get(job) else { return };
                        meter.begin(name);
                        let timeout = session.timeout;
                        let mut on_progress = |progress| meter.advance(name, progress);
                        let mut result = checks::run(
                            lab,
                            executable,
                            name,
                            &environment,
                            timeout,
                            &mut on_progress,
                        );
                        if lab.stock_loom().is_some() {
                            result.note = Some(STOCK.to_owned());
                        }
                        meter.end(&result);
                        if let Ok(mut done) = done.lock() {
                            done.push((index, result));
                        }
                    }
                });
            }
        });
        let mut done = done.into_inner().unwrap_or_default();
        done.sort_by_key(|(index, _)| *index);
        done.into_iter().map(|(_, result)| result).collect()
    }
}

/// What stands beside each result of a loom that is not patched.
const STOCK: &str = "stock loom: interleavings may be missed";

/// Whether the caller's environment changes what loom searches.
pub(crate) fn is_loom_told() -> bool {
    env::vars_os().any(|(name, _)| name.to_string_lossy().starts_with("LOOM_"))
}
