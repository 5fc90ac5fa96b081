//! What the documentation says of scenarios is true: its examples hold, and the files and
//! promises that it names are there.

#![cfg(not(any(reveille_loom, reveille_shuttle)))]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use reveille_verification::files::below;
use reveille_verification::oracle::Oracle;
use reveille_verification::scenario::Scenario;
use reveille_verification::scenario::parse::parse;
use reveille_verification::scenario::play::play;

fn own(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn scenarios() -> Vec<(String, String)> {
    let files = below(&own("scenarios")).unwrap_or_else(|error| panic!("{error}"));
    let stem = |file: &Path| file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    files.iter().map(|file| (stem(file).unwrap_or_default(), read(file))).collect()
}

/// The examples of `docs/scenarios.md` are scenarios, and hold.
#[test]
fn examples_hold() {
    let page = read(&own("../docs/scenarios.md"));
    let blocks = page.split("```").skip(1).step_by(2);
    let is_step = |line: &str| line.starts_with(|c: char| c.is_ascii_digit());
    let examples: Vec<&str> = blocks
        .filter_map(|block| block.strip_prefix("text\n"))
        .filter(|block| block.lines().any(is_step))
        .collect();
    assert!(examples.len() >= 6, "only {} examples found", examples.len());
    for example in examples {
        let scenario = parse(example).unwrap_or_else(|error| panic!("{error}:\n{example}"));
        let played = play(&scenario, &mut Oracle::new(&scenario.policy));
        assert_eq!(played.failure, None, "{example}");
    }
}

/// Every scenario begins with a comment that says its law, and expects something.
#[test]
fn scenarios_say_their_law() {
    for (name, text) in scenarios() {
        let first = text.lines().next().unwrap_or_default();
        assert!(first.starts_with("# ") && first.len() > 20, "{name}: {first}");
        let scenario = parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let expects = |scenario: &Scenario| scenario.to_string().contains("expect ");
        assert!(expects(&scenario), "{name} expects nothing");
    }
}

/// `docs/defects.md` names each scenario of a defect in the row of that defect, and names no
/// scenario that is not there.
#[test]
fn defects_name_their_scenarios() {
    let page = read(&own("../docs/defects.md"));
    let known: BTreeSet<String> = scenarios().into_iter().map(|(name, _)| name).collect();
    for name in known.iter().filter(|name| name.starts_with('d')) {
        let Some((id, _)) = name.split_once('-').filter(|(id, _)| id[1..].parse::<u8>().is_ok())
        else {
            continue;
        };
        let row = format!("| D-{} |", &id[1..]);
        let named = page.lines().any(|line| line.starts_with(&row) && line.contains(name.as_str()));
        assert!(named, "{name} is missing in its row of docs/defects.md");
    }
    let in_rows = page.lines().filter(|line| line.starts_with("| D-"));
    let code = in_rows.flat_map(|line| line.split('`').skip(1).step_by(2));
    let looks_like_one = |name: &&str| name.split('-').count() > 2;
    for name in code.filter(looks_like_one) {
        assert!(known.contains(name), "docs/defects.md names {name}, which is not there");
    }
}

/// Each promise that time can show has a scenario that carries its number.
#[test]
fn promises_have_scenarios() {
    let all = scenarios();
    for promise in (1..=14).chain([17]).filter(|promise| *promise != 4) {
        let lead = format!("# P{promise} ");
        let carries =
            |text: &str| text.starts_with(&lead) || text.contains(&format!("(P{promise})"));
        assert!(all.iter().any(|(_, text)| carries(text)), "no scenario carries P{promise}");
    }
}
