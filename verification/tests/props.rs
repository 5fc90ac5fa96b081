//! The scenarios on the engine, the searches of `cargo verify props`, each for a moment, and the kept
//! corpus of the fuzzer.

#![cfg(not(any(reveille_loom, reveille_shuttle)))]

use std::path::Path;
use std::time::Duration;

use reveille_verification::files::{below, play_file};
use reveille_verification::props::decade::{self, Length};
use reveille_verification::props::{Budget, fuzz, run};
use reveille_verification::scenario::hands::DrivenBy;
use reveille_verification::under_test::subject;

/// The project's own scenarios hold of the engine, whoever drives it: what `cargo verify scenario` plays.
#[test]
fn own_scenarios_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files = below(&folder).unwrap_or_else(|error| panic!("{error}"));
    assert!(files.len() >= 207, "only {} scenarios found", files.len());
    for file in files {
        for driven in DrivenBy::ALL {
            let report = play_file(&file, |policy| subject(policy, driven));
            assert!(report.passed(), "{}: {}", driven.name(), report.text(true));
        }
    }
}

/// A moment of each search finds nothing, and each has cases.
#[test]
fn a_moment_of_each_search() {
    let moment = Duration::from_millis(300);
    let budget = Budget { seed: 1, schedules: 300, histories: moment, threads: moment };
    let failures = tempfile::tempdir().expect("a folder for failures");
    for result in run(&budget, failures.path(), &|_, _, _| {}) {
        assert!(result.passed(), "{}: {:?}", result.name, result.failure);
        assert!(result.executions > 0, "{}: no case", result.name);
    }
}

/// A hundred hours of the ten simulated years.
#[test]
fn a_hundred_hours_of_the_decade() {
    let result = decade::check(Length { hours: 100, targets: 50 }, 1, &|_, _, _| {});
    assert!(result.passed(), "{:?}", result.failure);
    assert!(result.executions > 3_000, "{} beats", result.executions);
}

/// What coverage-guided fuzzing has found worth keeping plays, without the fuzzer.
#[test]
fn the_kept_corpus_holds() {
    for target in fuzz::TARGETS {
        match fuzz::play_corpus(&target) {
            Ok(files) => assert!(files >= 20, "{}: only {files} files", target.name),
            Err(why) => panic!("{why}"),
        }
    }
}
