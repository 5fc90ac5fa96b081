//! Copies of folders that leave alone what is equal already, so that times of modification stay and
//! cargo rebuilds no more than what differs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::LabError;

/// Makes `to` a copy of the folder `from`: writes what differs, deletes what `from` has not.
pub(super) fn mirror(from: &Path, to: &Path) -> Result<(), LabError> {
    let mut wanted = BTreeSet::new();
    for entry in WalkDir::new(from).into_iter().filter_entry(is_source) {
        let entry = entry.map_err(|error| LabError::walking(from, error))?;
        let Ok(relative) = entry.path().strip_prefix(from) else { continue };
        if entry.file_type().is_file() {
            let bytes =
                fs::read(entry.path()).map_err(|error| LabError::io(entry.path(), error))?;
            write_if_different(&to.join(relative), &bytes)?;
            wanted.insert(relative.to_path_buf());
        }
    }
    delete_others(to, &wanted)
}

/// Writes a file, unless it has these contents.
pub(super) fn write_if_different(path: &Path, bytes: &[u8]) -> Result<(), LabError> {
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| LabError::io(folder, error))?;
    }
    fs::write(path, bytes).map_err(|error| LabError::io(path, error))
}

fn delete_others(folder: &Path, wanted: &BTreeSet<PathBuf>) -> Result<(), LabError> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in WalkDir::new(folder) {
        let entry = entry.map_err(|error| LabError::walking(folder, error))?;
        let Ok(relative) = entry.path().strip_prefix(folder) else { continue };
        if entry.file_type().is_file() && !wanted.contains(relative) {
            fs::remove_file(entry.path()).map_err(|error| LabError::io(entry.path(), error))?;
        }
    }
    Ok(())
}

/// Neither hidden files nor what was built.
fn is_source(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    entry.depth() == 0
        || !(name.starts_with('.') || (entry.file_type().is_dir() && name == "target"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_writes_what_differs_and_deletes_what_is_gone() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let write = |file: &str, text: &str| {
            write_if_different(&from.path().join(file), text.as_bytes()).unwrap();
        };
        write("src/a.rs", "one");
        write("src/b.rs", "two");
        write("target/built", "not copied");
        mirror(from.path(), to.path()).unwrap();
        let modified = |file: &str| fs::metadata(to.path().join(file)).unwrap().modified().unwrap();
        let before = modified("src/a.rs");
        assert!(!to.path().join("target").exists());

        // As after a mutation, and as after a file that vanished.
        fs::write(to.path().join("src/b.rs"), "fault").unwrap();
        fs::write(to.path().join("src/c.rs"), "gone").unwrap();
        mirror(from.path(), to.path()).unwrap();
        assert_eq!(fs::read_to_string(to.path().join("src/b.rs")).unwrap(), "two");
        assert!(!to.path().join("src/c.rs").exists());
        assert_eq!(modified("src/a.rs"), before);
    }
}
