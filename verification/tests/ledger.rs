//! The ledger is what the last whole run found, tells of all checks that there are, and leaves no
//! promise without evidence.

#![cfg(not(any(reveille_loom, reveille_shuttle)))]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use reveille_verification::faults::catalogue;
use reveille_verification::files::below;
use reveille_verification::lab::FamilyResult;
use reveille_verification::report::{Gaps, markdown, missing};
use serde::Deserialize;

#[derive(Deserialize)]
struct Kept {
    measured: String,
    results: Vec<FamilyResult>,
}

fn own(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn kept() -> Kept {
    let json = read(&own("ledger.json"));
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("ledger.json: {error}"))
}

fn gaps() -> Gaps {
    Gaps::read().unwrap_or_else(|error| panic!("gaps.toml: {error}"))
}

/// The names in the ledger of one family.
fn told(kept: &Kept, family: &str) -> BTreeSet<String> {
    let families = kept.results.iter().filter(|result| result.family == family);
    families.flat_map(|result| &result.checks).map(|check| check.name.clone()).collect()
}

/// The page is made from `ledger.json` and `gaps.toml`, and from nothing else.
#[test]
fn the_page_is_as_generated() {
    let kept = kept();
    let page = markdown(&kept.results, &gaps(), &kept.measured);
    let there = read(&own("README.md"));
    assert!(page == there, "run `cargo verify`, then `cargo verify report --ledger`");
}

/// Each promise has a model or a reason why not, a property, a scenario and a fault; all passed.
#[test]
fn no_promise_is_without_evidence() {
    let kept = kept();
    assert_eq!(missing(&kept.results, &gaps()), [""; 0]);
    for check in kept.results.iter().flat_map(|result| &result.checks) {
        assert!(check.passed(), "{}: {:?}", check.name, check.failure);
    }
}

/// Nothing that is searched ended early: a `CUT` may be told, never kept.
#[test]
fn nothing_is_cut() {
    for check in kept().results.iter().flat_map(|result| &result.checks) {
        let whole = check.complete || check.sampled || check.may_be_cut;
        assert!(whole, "{}: {}", check.name, check.extent());
    }
}

/// The ledger tells of the models, faults and scenarios that are in the sources, all and no other.
#[test]
fn it_tells_of_what_there_is() {
    let kept = kept();
    let mut models = BTreeSet::new();
    let folder = own("models");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("models: {error}"));
    for entry in entries {
        let path = entry.unwrap_or_else(|error| panic!("models: {error}")).path();
        let text = read(&path);
        let names = text.split("name: \"m").skip(1).filter_map(|rest| rest.split('"').next());
        models.extend(names.map(|name| format!("m{name}")));
    }
    assert_eq!(told(&kept, "loom"), models);

    let faults = catalogue::all().unwrap_or_else(|error| panic!("{error}"));
    let faults: BTreeSet<String> = faults.into_iter().map(|fault| fault.name).collect();
    let there = told(&kept, "faults");
    assert_eq!(faults.difference(&there).collect::<Vec<_>>(), Vec::<&String>::new());

    let files = below(&own("scenarios")).unwrap_or_else(|error| panic!("{error}"));
    let stem = |file: &PathBuf| file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    assert_eq!(told(&kept, "scenario"), files.iter().filter_map(stem).collect());
}
