//! Labs: copies of the workspace below cargo's target folder, in which the checks that need another
//! build are built and run.
//!
//! A check may need loom or shuttle behind the facade of the core, a loom that searches all of what
//! it should ([`loom_patch`]), or sources with a fault in them. None of that touches the
//! checkout: a [`Lab`] has its own manifest, lock file, sources and target folder. Files are written
//! only where they differ, so that a lab stays warm from one run to the next.
//!
//! What a check's process prints is read by [`checks`], into a [`CheckResult`].

mod checkout;
pub mod checks;
mod copy;
pub mod loom_patch;
mod manifest;
mod process;
mod result;

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;

use checkout::{Checkout, Loom, cargo};
pub use process::Ran;
pub use result::{CHECK, CUT, CheckResult, FamilyResult, PROGRESS, Progress};

/// What stands behind the facade of the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Backend {
    /// The standard library, as in production.
    Std,
    /// loom, which searches interleavings and weak memory.
    Loom,
    /// shuttle, which schedules threads at random or as told, sequentially consistent.
    Shuttle,
}

impl Backend {
    /// Its name in paths.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Std => "std",
            Self::Loom => "loom",
            Self::Shuttle => "shuttle",
        }
    }

    fn cfg(self) -> Option<&'static str> {
        match self {
            Self::Std => None,
            Self::Loom => Some("reveille_loom"),
            Self::Shuttle => Some("reveille_shuttle"),
        }
    }
}

/// A copy of the workspace, to build and run checks in.
#[derive(Debug)]
pub struct Lab {
    backend: Backend,
    root: PathBuf,
    target: PathBuf,
    stock_loom: Option<String>,
    /// What mutated files contained before.
    pristine: BTreeMap<PathBuf, String>,
}

/// Preparing copies loom to where all labs find it: one at a time.
static PREPARING: Mutex<()> = Mutex::new(());

impl Lab {
    /// Makes the lab of that name, or brings it up to date, without a fault in it. Labs of other
    /// names are independent: they can be built and run at the same time.
    ///
    /// # Errors
    /// Where cargo does not know the workspace, or files cannot be copied.
    pub fn prepare(backend: Backend, name: &str) -> Result<Self, LabError> {
        let _one_at_a_time = PREPARING.lock().unwrap_or_else(PoisonError::into_inner);
        let checkout = Checkout::find()?;
        let base = checkout.target.join("verify");
        let root = base.join("lab").join(format!("{}-{name}", backend.name()));
        let (loom, stock_loom) = match backend {
            Backend::Loom => match patched_loom(checkout.loom.as_ref(), &base.join("loom"))? {
                Ok(folder) => (Some(folder), None),
                Err(why) => (None, Some(why)),
            },
            Backend::Std | Backend::Shuttle => (None, None),
        };
        for folder in ["crates", "verification", "docs"] {
            copy::mirror(&checkout.root.join(folder), &root.join(folder))?;
        }
        for file in ["Cargo.lock", "README.md"] {
            let path = checkout.root.join(file);
            let bytes = fs::read(&path).map_err(|error| LabError::io(&path, error))?;
            copy::write_if_different(&root.join(file), &bytes)?;
        }
        let path = checkout.root.join("Cargo.toml");
        let text = fs::read_to_string(&path).map_err(|error| LabError::io(&path, error))?;
        let text = manifest::for_lab(&text, name, loom.as_deref())?;
        copy::write_if_different(&root.join("Cargo.toml"), text.as_bytes())?;
        let target = base.join(format!("build-{}", backend.name()));
        Ok(Self { backend, root, target, stock_loom, pristine: BTreeMap::new() })
    }

    /// The root of the copy.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What stands behind the facade.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Why loom is the registry's, which misses interleavings, if it is.
    #[must_use]
    pub fn stock_loom(&self) -> Option<&str> {
        self.stock_loom.as_deref()
    }

    /// Replaces text that stands in a file of the copy exactly once. Several mutations add up.
    ///
    /// # Errors
    /// Where the anchor is not there, or more than once; then nothing was changed.
    pub fn mutate(&mut self, file: &str, anchor: &str, to: &str) -> Result<(), LabError> {
        let text = self.read(file)?;
        let found = text.matches(anchor).count();
        if found != 1 {
            let (file, anchor) = (file.to_owned(), anchor.to_owned());
            return Err(LabError::Anchor { file, anchor, found });
        }
        self.replace(file, &text.replacen(anchor, to, 1))
    }

    /// Replaces the contents of a file of the copy.
    ///
    /// # Errors
    /// Where it is not there, or cannot be written.
    pub fn replace(&mut self, file: &str, text: &str) -> Result<(), LabError> {
        let before = self.read(file)?;
        let path = self.root.join(file);
        self.pristine.entry(path.clone()).or_insert(before);
        copy::write_if_different(&path, text.as_bytes())
    }

    /// What a file of the copy contains now.
    ///
    /// # Errors
    /// Where it is not there.
    pub fn read(&self, file: &str) -> Result<String, LabError> {
        let path = self.root.join(file);
        fs::read_to_string(&path).map_err(|error| LabError::io(&path, error))
    }

    /// Takes all mutations back.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn restore(&mut self) -> Result<(), LabError> {
        while let Some((path, text)) = self.pristine.pop_first() {
            copy::write_if_different(&path, text.as_bytes())?;
        }
        Ok(())
    }

    /// Builds a test target of the verification package, and says where its executable is.
    ///
    /// # Errors
    /// [`LabError::Build`] where it does not compile.
    pub fn build(&self, test: &str) -> Result<PathBuf, LabError> {
        self.compile(&["test", "--no-run", "-p", OWN, "--test", test], &Wanted::Named(test))
    }

    /// Builds a binary of the verification package.
    ///
    /// # Errors
    /// [`LabError::Build`] where it does not compile.
    pub fn build_bin(&self, bin: &str) -> Result<PathBuf, LabError> {
        self.compile(&["build", "-p", OWN, "--bin", bin], &Wanted::Named(bin))
    }

    /// Builds the unit tests of a package.
    ///
    /// # Errors
    /// [`LabError::Build`] where they do not compile.
    pub fn build_unit_tests(&self, package: &str) -> Result<PathBuf, LabError> {
        self.compile(&["test", "--no-run", "-p", package, "--lib"], &Wanted::UnitTests)
    }

    /// Builds a test target of any package.
    ///
    /// # Errors
    /// [`LabError::Build`] where it does not compile.
    pub fn build_tests_of(&self, package: &str, test: &str) -> Result<PathBuf, LabError> {
        self.compile(&["test", "--no-run", "-p", package, "--test", test], &Wanted::Named(test))
    }

    fn compile(&self, arguments: &[&str], wanted: &Wanted<'_>) -> Result<PathBuf, LabError> {
        let output = Command::new(cargo())
            .args(arguments)
            .args(["--offline", "--message-format", "json-render-diagnostics", "--profile"])
            .arg(manifest::PROFILE_NAME)
            .arg("--target-dir")
            .arg(&self.target)
            .current_dir(&self.root)
            .env("CARGO_ENCODED_RUSTFLAGS", self.rust_flags())
            // The profile says what is built in parts; the caller's setting would override it.
            .env_remove("CARGO_INCREMENTAL")
            .envs(self.environment())
            .output()
            .map_err(|error| LabError::io(&self.root, error))?;
        wanted.executable(output)
    }

    /// What all processes of this lab find in their environment, compiler and checks alike.
    fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut pairs = vec![("CARGO_MANIFEST_DIR".into(), self.root.join("verification").into())];
        if self.backend == Backend::Loom {
            let loom = if self.stock_loom.is_some() { "stock" } else { "patched" };
            pairs.push(("REVEILLE_LOOM".into(), loom.into()));
        }
        pairs
    }

    /// Our flags, then those of the user. Warnings are of no use here: a mutation may well leave
    /// something unused or undocumented.
    fn rust_flags(&self) -> OsString {
        let mut flags = OsString::from("--cap-lints\x1fallow");
        if let Some(cfg) = self.backend.cfg() {
            flags.push("\x1f--cfg\x1f");
            flags.push(cfg);
        }
        if let Some(encoded) = env::var_os("CARGO_ENCODED_RUSTFLAGS") {
            if !encoded.is_empty() {
                flags.push("\x1f");
                flags.push(encoded);
            }
        } else if let Ok(plain) = env::var("RUSTFLAGS") {
            for flag in plain.split_whitespace() {
                flags.push("\x1f");
                flags.push(flag);
            }
        }
        flags
    }

    /// Runs an executable, and kills it when `timeout` is over.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn run<S: AsRef<OsStr>>(
        &self,
        executable: &Path,
        arguments: &[S],
        environment: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<Ran, LabError> {
        self.run_watched(executable, arguments, environment, timeout, &mut |_| {})
    }

    /// The same, and hands over each line of standard output as it is printed.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn run_watched<S: AsRef<OsStr>>(
        &self,
        executable: &Path,
        arguments: &[S],
        environment: &[(&str, &str)],
        timeout: Duration,
        on_line: &mut dyn FnMut(&str),
    ) -> Result<Ran, LabError> {
        let mut command = Command::new(executable);
        command
            .args(arguments)
            .current_dir(self.root.join("verification"))
            .envs(self.environment())
            .envs(environment.iter().copied());
        process::run(command, timeout, on_line).map_err(|error| LabError::io(executable, error))
    }
}

/// Where the results of the families are kept.
///
/// # Errors
/// Where cargo does not know the workspace.
pub fn results_folder() -> Result<PathBuf, LabError> {
    Ok(Checkout::find()?.target.join("verify").join("results"))
}

/// Builds an example of a package as it is in the checkout, for release.
///
/// # Errors
/// [`LabError::Build`] where it does not compile.
pub fn build_example(package: &str, example: &str) -> Result<PathBuf, LabError> {
    let checkout = Checkout::find()?;
    let output = Command::new(cargo())
        .args(["build", "--release", "--locked", "-p", package, "--example", example])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(&checkout.root)
        .output()
        .map_err(|error| LabError::io(&checkout.root, error))?;
    Wanted::Named(example).executable(output)
}

/// Runs a program without an environment of its own, and kills it when `timeout` is over.
///
/// # Errors
/// Where it cannot be started.
pub fn run_program(
    executable: &Path,
    arguments: &[&str],
    timeout: Duration,
    on_line: &mut dyn FnMut(&str),
) -> Result<Ran, LabError> {
    let mut command = Command::new(executable);
    command.args(arguments);
    process::run(command, timeout, on_line).map_err(|error| LabError::io(executable, error))
}

/// The package whose targets are built.
const OWN: &str = "reveille-verification";

/// A copy of loom's source with the patch applied; or why there is none.
fn patched_loom(loom: Option<&Loom>, folder: &Path) -> Result<Result<PathBuf, String>, LabError> {
    let Some(loom) = loom else { return Ok(Err("cargo metadata names no loom".to_owned())) };
    let wanted = loom_patch::LOOM_VERSION;
    if loom.version != wanted {
        return Ok(Err(format!("the patch is for loom {wanted}, this is {}", loom.version)));
    }
    // Patched beside the copy that is built, so that the latter is touched only where it differs.
    let fresh = tempfile::tempdir().map_err(|error| LabError::io(folder, error))?;
    copy::mirror(&loom.root, fresh.path())?;
    if let Err(why) = loom_patch::apply(fresh.path()) {
        return Ok(Err(why.to_string()));
    }
    copy::mirror(fresh.path(), folder)?;
    Ok(Ok(folder.to_path_buf()))
}

/// Which of the executables that cargo built is asked for.
enum Wanted<'a> {
    Named(&'a str),
    UnitTests,
}

/// A line of what cargo says in JSON; other lines lack an executable.
#[derive(Deserialize)]
struct Message {
    executable: PathBuf,
    target: MessageTarget,
}

#[derive(Deserialize)]
struct MessageTarget {
    name: String,
    kind: Vec<String>,
}

impl Wanted<'_> {
    /// The last one that cargo names.
    fn executable(&self, cargo: Output) -> Result<PathBuf, LabError> {
        let stderr = String::from_utf8_lossy(&cargo.stderr).into_owned();
        if !cargo.status.success() {
            return Err(LabError::Build { stderr });
        }
        let lines = cargo.stdout.split(|byte| *byte == b'\n');
        let messages = lines.filter_map(|line| serde_json::from_slice::<Message>(line).ok());
        let executable = messages.filter_map(|message| self.find(message)).next_back();
        executable.ok_or(LabError::Cargo { what: "cargo built no executable", stderr })
    }

    fn find(&self, message: Message) -> Option<PathBuf> {
        let found = match self {
            Self::Named(name) => message.target.name == *name,
            Self::UnitTests => message.target.kind.iter().any(|kind| kind == "lib"),
        };
        found.then_some(message.executable)
    }
}

/// Why a lab could not do what it was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum LabError {
    /// cargo failed.
    Cargo {
        /// What it was to do.
        what: &'static str,
        /// What it said.
        stderr: String,
    },
    /// Something does not compile.
    Build {
        /// What the compiler said.
        stderr: String,
    },
    /// A file could not be read or written, or a process not be started.
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The text that a mutation replaces does not stand in its file exactly once.
    Anchor {
        /// The file.
        file: String,
        /// The text.
        anchor: String,
        /// How often it was found.
        found: usize,
    },
    /// The workspace's manifest is not what it was when this was written.
    Manifest(String),
}

impl LabError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_path_buf(), source }
    }

    fn walking(folder: &Path, error: walkdir::Error) -> Self {
        Self::Io {
            path: error.path().unwrap_or(folder).to_path_buf(),
            source: error.into_io_error().unwrap_or_else(|| io::Error::other("a loop of links")),
        }
    }
}

impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cargo { what, stderr } => write!(f, "{what}: {stderr}"),
            Self::Build { stderr } => write!(f, "does not compile:\n{stderr}"),
            Self::Io { path, source } => write!(f, "{}: {source}", path.display()),
            Self::Anchor { file, anchor, found } => {
                write!(f, "{file}: expected once, found {found} times: {anchor:?}")
            }
            Self::Manifest(why) => write!(f, "the workspace's Cargo.toml: {why}"),
        }
    }
}

impl std::error::Error for LabError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
