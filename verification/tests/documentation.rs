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
    let looks_like_one = |name: &&str| name.split('-').count() > 2 && !is_model(name);
    for name in code.filter(looks_like_one) {
        assert!(known.contains(name), "docs/defects.md names {name}, which is not there");
    }
}

/// The ids of `docs/defects.md`.
const DEFECTS: [u8; 52] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 14, 15, 18, 19, 21, 22, 23, 24, 25, 26, 28, 29, 30, 31, 32,
    35, 37, 39, 41, 45, 47, 48, 49, 50, 51, 52, 53, 55, 56, 59, 60, 61, 67, 69, 75, 76, 77, 78, 83,
    87, 88,
];

/// Each row of `docs/defects.md` ends in what answers it: a scenario, a test, a model, a type, or a
/// promise with how; none says later, none names what is not there, and none is missing.
#[test]
fn defects_are_answered() {
    let page = read(&own("../docs/defects.md"));
    let rows: Vec<Row<'_>> = page.lines().filter_map(Row::of).collect();
    let ids: Vec<u8> = rows.iter().map(|row| row.id).collect();
    for id in DEFECTS {
        let found = ids.iter().filter(|found| **found == id).count();
        assert_eq!(found, 1, "D-{id:02} has {found} rows in docs/defects.md");
    }
    assert_eq!(ids.len(), DEFECTS.len(), "docs/defects.md has rows that are not in DEFECTS");
    let scenarios: BTreeSet<String> = scenarios().into_iter().map(|(name, _)| name).collect();
    let tests = Sources::of(&["tests", "src", "../crates/reveille/tests"]);
    let models = Sources::of(&["models"]);
    for Row { id, answer } in rows {
        let words = without_code(answer).to_lowercase();
        let is_later = |word: &str| word == "later";
        let says_later = words.split(|c: char| !c.is_alphanumeric()).any(is_later);
        assert!(!says_later, "D-{id:02} says later: {answer}");
        let mut answers = usize::from(is_ruled_out(answer));
        for name in code_of(answer) {
            if is_model(name) {
                let known = models.contain(None, &format!("name: \"{name}\""));
                assert!(known, "D-{id:02} names the model {name}, which is not there");
                answers += 1;
            } else if let Some((file, test)) = name.split_once(": ") {
                let known = tests.contain(Some(file), &format!("fn {test}("));
                assert!(known, "D-{id:02} names the test {name}, which is not there");
                answers += 1;
            } else if scenarios.contains(name) {
                answers += 1;
            }
        }
        assert!(answers > 0, "nothing answers D-{id:02}: {answer}");
    }
}

/// A row of `docs/defects.md`.
struct Row<'page> {
    id: u8,
    /// Its last column.
    answer: &'page str,
}

impl<'page> Row<'page> {
    fn of(line: &'page str) -> Option<Self> {
        let (id, rest) = line.strip_prefix("| D-")?.split_once(" | ")?;
        let answer = rest.trim_end().strip_suffix('|')?.rsplit(" | ").next()?;
        let id = id.parse().unwrap_or_else(|error| panic!("{error}: {line}"));
        Some(Self { id, answer: answer.trim() })
    }
}

/// What stands between backticks.
fn code_of(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The rest.
fn without_code(text: &str) -> String {
    text.split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

/// Whether the name is that of a model: `m06-…`, `m04b-…`.
fn is_model(name: &str) -> bool {
    let number = name.strip_prefix('m').and_then(|rest| rest.split_once('-'));
    number.is_some_and(|(number, _)| number.starts_with(|c: char| c.is_ascii_digit()))
}

/// Whether a sentence says which type rules the defect out, or which promise does, and how: a
/// number in brackets, or alone, is no explanation.
fn is_ruled_out(answer: &str) -> bool {
    let sentences = answer.split(". ").map(str::trim);
    sentences.filter_map(|sentence| sentence.split_once(": ")).any(|(lead, how)| {
        let number = lead.strip_prefix('P').and_then(|number| number.parse::<u8>().ok());
        let is_promise = number.is_some_and(|number| (1..=18).contains(&number));
        (lead == "A type" || is_promise) && how.split_whitespace().count() >= 4
    })
}

/// The sources below some folders, by file name.
struct Sources(Vec<(String, String)>);

impl Sources {
    fn of(folders: &[&str]) -> Self {
        let mut sources = Vec::new();
        let mut folders: Vec<PathBuf> = folders.iter().map(|folder| own(folder)).collect();
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(&folder)
                .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
            for entry in entries {
                let path = entry.unwrap_or_else(|error| panic!("{error}")).path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
                    sources.push((name.unwrap_or_default(), read(&path)));
                }
            }
        }
        Self(sources)
    }

    /// Whether some file, of this name if one is given, has the text.
    fn contain(&self, file: Option<&str>, text: &str) -> bool {
        let named = self.0.iter().filter(|(name, _)| file.is_none_or(|file| file == name));
        named.into_iter().any(|(_, source)| source.contains(text))
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
