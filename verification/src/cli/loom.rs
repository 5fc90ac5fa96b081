//! The models, searched by loom.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use reveille_verification::lab::{Backend, CheckResult, checks};

use crate::cli::family::{Family, Session};
use crate::cli::searched::{Names, Searched, is_loom_told};

/// What `verify loom` can be told. loom's own settings (`LOOM_*`) reach the models as they are.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Options {
    #[command(flatten)]
    names: Names,
    /// Search executions with at most so many preemptions, whatever the models' own bounds.
    #[arg(long, value_name = "K")]
    bound: Option<u32>,
    /// Save each execution before it begins, and begin with the one saved: after a failure, the
    /// same call runs the failing execution alone. For one model.
    #[arg(long, value_name = "FILE", requires = "names")]
    checkpoint: Option<PathBuf>,
}

/// The family.
pub(crate) struct Loom(pub(crate) Options);

impl Family for Loom {
    fn name(&self) -> &'static str {
        "loom"
    }

    fn budget(&self, exhaustive: bool) -> Option<Duration> {
        Some(Duration::from_secs(if exhaustive { 6 * 3600 } else { 360 }))
    }

    fn is_whole(&self) -> bool {
        self.0.names.is_whole() && self.0.bound.is_none() && !is_loom_told()
    }

    fn run(&self, session: &Session) -> Vec<CheckResult> {
        let mut environment = Vec::new();
        if let Some(bound) = self.0.bound {
            environment.push(("LOOM_MAX_PREEMPTIONS", bound.to_string()));
        }
        if let Some(file) = &self.0.checkpoint {
            match absolute(file) {
                Ok(file) => environment.push(("LOOM_CHECKPOINT_FILE", file)),
                Err(why) => {
                    let result = checks::failed("checkpoint", why);
                    session.show.failure(self.name(), &result);
                    return vec![result];
                }
            }
            // What is saved less often is not the execution that fails.
            if env::var_os("LOOM_CHECKPOINT_INTERVAL").is_none() {
                environment.push(("LOOM_CHECKPOINT_INTERVAL", "1".to_owned()));
            }
        }
        let searched = Searched {
            family: self.name(),
            backend: Backend::Loom,
            test: "models",
            names: &self.0.names,
            environment,
        };
        searched.run(session)
    }
}

/// The models run in a folder of their own.
fn absolute(file: &Path) -> Result<String, String> {
    let path = std::path::absolute(file).map_err(|error| error.to_string())?;
    path.into_os_string().into_string().map_err(|path| format!("{path:?} is no text"))
}
