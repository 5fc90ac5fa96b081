//! Scenario files: where they are found, and how playing one is reported.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::scenario::Policy;
use crate::scenario::order::installs_first;
use crate::scenario::parse::parse;
use crate::scenario::play::{Failure, play};
use crate::scenario::subject::Subject;

/// The scenario files that a path stands for: itself, or all `*.scn` below it in sorted order.
///
/// # Errors
/// Where there is nothing at the path, or a folder without any scenario. A check that finds
/// nothing to check must not pass.
pub fn below(path: &Path) -> Result<Vec<PathBuf>, String> {
    if path.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut files = Vec::new();
    for entry in WalkDir::new(path) {
        let entry = entry.map_err(|error| match error.io_error() {
            Some(cause) => cause.to_string(),
            None => error.to_string(),
        })?;
        let is_scenario = entry.path().extension().is_some_and(|extension| extension == "scn");
        if is_scenario && entry.file_type().is_file() {
            files.push(entry.into_path());
        }
    }
    if files.is_empty() {
        return Err("no *.scn file below this folder".to_owned());
    }
    files.sort();
    Ok(files)
}

/// What came of one file.
#[derive(Clone, Debug)]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// The trace, a line each.
    pub trace: Vec<String>,
    /// What did not hold; with line 0 where the file could not be read at all.
    pub failure: Option<Failure>,
}

/// Plays one file against a fresh subject.
#[must_use]
pub fn play_file(path: &Path, subject: impl Fn(&Policy) -> Box<dyn Subject>) -> Report {
    let failed =
        |failure| Report { path: path.to_path_buf(), trace: Vec::new(), failure: Some(failure) };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            return failed(Failure {
                line: 0,
                expected: "a readable text file".to_owned(),
                got: error.to_string(),
            });
        }
    };
    match parse(&text) {
        Err(error) => {
            failed(Failure { line: error.line, expected: error.expected, got: error.got })
        }
        Ok(scenario) => {
            let played = play(&installs_first(&scenario), &mut *subject(&scenario.policy));
            Report { path: path.to_path_buf(), trace: played.trace, failure: played.failure }
        }
    }
}

impl Report {
    /// Whether everything held.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failure.is_none()
    }

    /// The report as lines of text; a failure always tells its trace.
    #[must_use]
    pub fn text(&self, with_trace: bool) -> String {
        let mut text = self.to_string();
        if with_trace || !self.passed() {
            for line in &self.trace {
                text.push_str("\n    ");
                text.push_str(line);
            }
        }
        text
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.failure {
            None => write!(f, "{path}: ok"),
            Some(Failure { line: 0, expected, got }) => {
                write!(f, "{path}: expected {expected}, got {got}")
            }
            Some(Failure { line, expected, got }) => {
                write!(f, "{path}:{line}: expected {expected}, got {got}")
            }
        }
    }
}
