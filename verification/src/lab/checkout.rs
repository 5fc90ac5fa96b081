//! Where cargo says that things are.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::LabError;

/// The checkout that this was built from, as far as labs need to know it.
#[derive(Debug)]
pub(super) struct Checkout {
    /// The folder of the workspace's manifest.
    pub(super) root: PathBuf,
    /// Where cargo puts what it builds.
    pub(super) target: PathBuf,
    /// loom's source in cargo's registry.
    pub(super) loom: Option<Loom>,
}

/// loom as the lock file has it.
#[derive(Debug)]
pub(super) struct Loom {
    pub(super) version: String,
    pub(super) root: PathBuf,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    target_directory: PathBuf,
    workspace_root: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    manifest_path: PathBuf,
}

/// The cargo that runs this, or the one in the path.
pub(super) fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

impl Checkout {
    /// Asks cargo, which also downloads whatever the lock file names, for all platforms and cfgs:
    /// a lab can then be built offline.
    pub(super) fn find() -> Result<Self, LabError> {
        let output = Command::new(cargo())
            .args(["metadata", "--format-version", "1", "--locked"])
            // Not by --manifest-path: settings of cargo's are looked for from the current folder.
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .map_err(|error| LabError::io(Path::new("cargo"), error))?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(LabError::Cargo { what: "cargo metadata", stderr });
        }
        let metadata: Metadata = serde_json::from_slice(&output.stdout).map_err(|error| {
            LabError::Cargo { what: "cargo metadata", stderr: error.to_string() }
        })?;
        let loom = metadata.packages.into_iter().find(|package| package.name == "loom");
        let loom = loom.and_then(|package| {
            let root = package.manifest_path.parent()?.to_path_buf();
            Some(Loom { version: package.version, root })
        });
        Ok(Self { root: metadata.workspace_root, target: metadata.target_directory, loom })
    }
}
