//! The workspace's manifest, as a lab needs it.

use std::path::Path;

use toml::{Table, Value};

use super::LabError;

/// The members that a lab has. Benchmarks are not among them, and what only they need is not built.
const MEMBERS: [&str; 3] = ["crates/reveille-core", "crates/reveille", "verification"];

/// The profile of a lab. What is ours is built again for every fault, so it is optimized little.
const PROFILE: &str = r#"
inherits = "release"
lto = "off"
incremental = true
codegen-units = 16
opt-level = 1
[package."*"]
opt-level = 0
codegen-units = 16
"#;

/// Where a search spends its time, and what it runs through at every step: these are optimized, and
/// built once. The other dependencies are waited for at the first build and matter to nobody.
const HOT: [&str; 24] = [
    "arc-swap",
    "bitvec",
    "chacha20",
    "corosensei",
    "crossbeam-utils",
    "foldhash",
    "generator",
    "hashbrown",
    "loom",
    "proptest",
    "proptest-state-machine",
    "rand",
    "rand_chacha",
    "rand_core",
    "rand_pcg",
    "scoped-tls",
    "sharded-slab",
    "shuttle-engine",
    "shuttle-schedulers",
    "shuttle-std",
    "thread_local",
    "tracing",
    "tracing-core",
    "tracing-subscriber",
];

/// The name of that profile.
pub(super) const PROFILE_NAME: &str = "lab";

/// Rewrites the manifest of the workspace for the lab of that name; with a folder of loom's source,
/// that takes the place of the registry's.
///
/// Labs share a target folder, so that dependencies are built once. The name in the version keeps
/// what they build of ours apart: cargo would take packages at the same place in two workspaces for
/// the same.
pub(super) fn for_lab(manifest: &str, name: &str, loom: Option<&Path>) -> Result<String, LabError> {
    let unreadable = |error: toml::de::Error| LabError::Manifest(error.to_string());
    let mut root: Table = manifest.parse().map_err(unreadable)?;
    let workspace = table(&mut root, "workspace")?;
    workspace.insert("members".to_owned(), Value::from(MEMBERS.to_vec()));
    // Without it, no failing execution of loom's can be saved and played again.
    let dependencies = table(workspace, "dependencies")?;
    if let Some(version) = dependencies.get("loom").and_then(Value::as_str) {
        let mut loom = Table::new();
        loom.insert("version".to_owned(), Value::from(version));
        dependencies.insert("loom".to_owned(), Value::Table(loom));
    }
    table(dependencies, "loom")?.insert("features".to_owned(), Value::from(vec!["checkpoint"]));
    let package = table(workspace, "package")?;
    if let Some(version) = package.get("version").and_then(Value::as_str) {
        let version = format!("{version}+{name}");
        package.insert("version".to_owned(), Value::from(version));
    }
    let mut profile: Table = PROFILE.parse().map_err(unreadable)?;
    let packages = table(&mut profile, "package")?;
    for hot in HOT {
        let hot = table(packages, hot)?;
        hot.insert("opt-level".to_owned(), Value::from(3));
        hot.insert("codegen-units".to_owned(), Value::from(1));
        // loom's patched source lies at a path: cargo would build it in parts that inline nothing of
        // each other, and a search would take twice as long.
        hot.insert("incremental".to_owned(), Value::from(false));
    }
    table(&mut root, "profile")?.insert(PROFILE_NAME.to_owned(), Value::Table(profile));
    if let Some(folder) = loom {
        let registry = table(table(&mut root, "patch")?, "crates-io")?;
        table(registry, "loom")?
            .insert("path".to_owned(), Value::from(folder.to_string_lossy().as_ref()));
    }
    toml::to_string(&root).map_err(|error| LabError::Manifest(error.to_string()))
}

/// The table of that name, made if it is not there.
fn table<'a>(parent: &'a mut Table, name: &str) -> Result<&'a mut Table, LabError> {
    parent
        .entry(name)
        .or_insert_with(|| Value::Table(Table::new()))
        .as_table_mut()
        .ok_or_else(|| LabError::Manifest(format!("{name} is no table")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No checker of a lab looks at them: they sit on top.
    const LEFT_OUT: [&str; 3] = ["benches", "crates/reveille-tokio", "crates/reveille-axum"];

    const OURS: &str = include_str!("../../../Cargo.toml");

    #[test]
    fn the_workspaces_manifest_is_understood() {
        let text = for_lab(OURS, "a", Some(Path::new("/loom"))).unwrap();
        let root: Table = text.parse().unwrap();
        assert_eq!(root["workspace"]["members"].as_array().unwrap().len(), MEMBERS.len());
        assert_eq!(root["workspace"]["dependencies"]["loom"]["features"][0], "checkpoint".into());
        assert_eq!(root["patch"]["crates-io"]["loom"]["path"], "/loom".into());
        assert_eq!(root["profile"][PROFILE_NAME]["lto"], "off".into());
    }

    #[test]
    fn stock_loom_has_no_patch() {
        let root: Table = for_lab(OURS, "a", None).unwrap().parse().unwrap();
        assert!(!root.contains_key("patch"));
    }

    #[test]
    fn every_member_is_there_or_left_out_on_purpose() {
        let root: Table = OURS.parse().unwrap();
        for member in root["workspace"]["members"].as_array().unwrap() {
            let member = member.as_str().unwrap();
            assert!(MEMBERS.contains(&member) || LEFT_OUT.contains(&member), "{member}");
        }
    }
}
