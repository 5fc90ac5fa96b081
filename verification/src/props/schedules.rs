//! Random schedules of all verbs on the real engine, on virtual time and one thread.
//!
//! Each is played beside the oracle, and all that can be seen of the two is compared after every
//! instant; and each is watched by the [laws](super::laws). Schedules that engine and oracle read
//! differently (see [`Among`]) are watched alone.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use super::laws::{Checks, LAWS, Watched};
use super::{Progress, drawn, timed};
use crate::generate::{Among, Counterexample, Difference, differ, search, with_expectations};
use crate::lab::CheckResult;
use crate::oracle::Oracle;
use crate::scenario::hands::DrivenBy;
use crate::scenario::order::installs_first;
use crate::scenario::play::play;
use crate::scenario::subject::Subject;
use crate::scenario::{Action, Scenario, Verb};

/// Promises that show in schedules; P4, P15, P16 and P18 do not, or only in part.
pub(super) const SHOWN: [u8; 13] = [1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 17];

/// More runs than a schedule can cause: its steps take no ten seconds, in which three cadences of
/// a millisecond beat 30,000 times.
const RUNS: u64 = 50_000;

/// Schedules between two reports of progress. Each such batch has a seed of its own, so that one
/// can be repeated alone.
const BATCH: u32 = 2_000;

/// Plays a schedule on the watched engine and on the oracle.
///
/// Coverage-guided fuzzing calls this too.
#[must_use]
pub fn compare(scenario: &Scenario, driven: DrivenBy) -> (Option<Difference>, Checks) {
    let mut watched = Watched::with_limit(&scenario.policy, driven, RUNS);
    let difference = differ(&mut watched, &mut Oracle::new(&scenario.policy), scenario);
    (named(difference, &watched), watched.checks())
}

/// Plays a schedule on the watched engine alone, in the order in which files are played.
#[must_use]
pub fn watch(scenario: &Scenario, driven: DrivenBy) -> (Option<Difference>, Checks) {
    let mut watched = Watched::with_limit(&scenario.policy, driven, RUNS);
    let difference = walk(&mut watched, &installs_first(scenario)).err();
    (named(difference, &watched), watched.checks())
}

/// A broken law says more than the refusal to go on that follows from it.
fn named(difference: Option<Difference>, watched: &Watched) -> Option<Difference> {
    difference.map(|difference| match watched.broken() {
        None => difference,
        Some(broken) => Difference {
            at_ms: difference.at_ms,
            what: format!("the law `{}`", broken.law.name),
            first: broken.got.clone(),
            second: broken.law.says.to_owned(),
        },
    })
}

/// Lets all instants of a schedule settle, and some time after it.
fn walk(subject: &mut Watched, scenario: &Scenario) -> Result<(), Difference> {
    let stuck = |at_ms, what: &dyn ToString| Difference {
        at_ms,
        what: "whether it goes on".to_owned(),
        first: what.to_string(),
        second: "it does".to_owned(),
    };
    let mut now = 0;
    for step in &scenario.steps {
        if step.at_ms > now {
            subject.settle().map_err(|refusal| stuck(now, &refusal))?;
            subject.advance_to(step.at_ms).map_err(|refusal| stuck(step.at_ms, &refusal))?;
            now = step.at_ms;
        }
        for target in step.verb.targets() {
            subject.name_target(target);
        }
        if let Verb::Act(action) = &step.verb {
            // Where the oracle reads it differently, a run may not be held that is ended here.
            let refused = subject.apply(action).is_err();
            if refused && subject.broken().is_some() {
                return Err(stuck(now, &"a law is broken"));
            }
            if let Action::Suspend { ms } | Action::Restart { ms } = action {
                now = now.saturating_add(*ms);
            }
        }
    }
    for more in [0, 1, 10, 20, 50, 100, 250] {
        now += more;
        subject.advance_to(now).map_err(|refusal| stuck(now, &refusal))?;
        subject.settle().map_err(|refusal| stuck(now, &refusal))?;
    }
    Ok(())
}

/// Searches schedules of one batch, and saves nothing.
///
/// # Errors
/// The shrunk case on which engine and oracle differ, or which breaks a law.
pub fn engine_against_oracle(
    cases: u32,
    seed: u64,
    driven: DrivenBy,
) -> Result<(), Box<Counterexample>> {
    search(cases, seed, comparable(driven), |scenario| compare(scenario, driven).0)
}

/// Searches schedules, and says what came of each property.
///
/// A failing schedule is shrunk, printed as a scenario file, and saved in `failures`.
#[must_use]
pub fn check(cases: u32, seed: u64, failures: &Path, progress: Progress<'_>) -> Vec<CheckResult> {
    let search = Search { seed, failures, progress, laws: Cell::new([0; LAWS.len()]) };
    let agrees = "agrees with the oracle in all that shows, after every instant.";
    let compared = CheckResult {
        law: format!("The engine {agrees}"),
        ..search.run(cases, Among::Compared, DrivenBy::Hand, &SHOWN)
    };
    let hold = "The laws hold, also where engine and oracle read a schedule differently";
    let alone = CheckResult {
        law: format!("{hold}."),
        ..search.run(cases.div_ceil(4), Among::All, DrivenBy::Hand, &promises_of_laws())
    };
    let compared_on_tokio = CheckResult {
        law: format!(
            "The engine, driven on tokio and paused time with one run at a time, {agrees}"
        ),
        ..search.run(cases.div_ceil(4), comparable(DrivenBy::Tokio), DrivenBy::Tokio, &SHOWN)
    };
    let alone_on_tokio = CheckResult {
        law: format!("{hold}, in the hands of the driver on tokio."),
        ..search.run(cases.div_ceil(8), Among::All, DrivenBy::Tokio, &promises_of_laws())
    };
    let rows = [compared, alone, compared_on_tokio, alone_on_tokio];
    // A search ends with the first law that breaks, which stands in the rows above.
    let broken = |law: &str| {
        let told = format!("the law `{law}`");
        let mut failures = rows.iter().filter_map(|row| row.failure.as_ref());
        failures.any(|text| text.contains(&told)).then(|| "broken, see above".to_owned())
    };
    let laws = LAWS.iter().zip(search.laws.get()).map(|(law, checks)| CheckResult {
        note: Some("checked in the schedules above".to_owned()),
        ..drawn(law.name, law.says, law.promises, checks, broken(law.name))
    });
    let laws: Vec<_> = laws.collect();
    rows.into_iter().chain(laws).collect()
}

fn promises_of_laws() -> Vec<u8> {
    let mut promises: Vec<u8> = LAWS.iter().flat_map(|law| law.promises).copied().collect();
    promises.sort_unstable();
    promises.dedup();
    promises
}

struct Search<'search> {
    seed: u64,
    failures: &'search Path,
    progress: Progress<'search>,
    laws: Cell<Checks>,
}

impl Search<'_> {
    fn run(&self, cases: u32, among: Among, driven: DrivenBy, promises: &[u8]) -> CheckResult {
        let name = name(among, driven);
        let (mut done, mut failure, mut last) = (0, None, self.seed);
        let played = Cell::new(0);
        let ((), seconds) = timed(|| {
            while done < cases && failure.is_none() {
                (self.progress)(u64::from(done), u64::from(cases), name);
                let batch = BATCH.min(cases - done);
                last = self.seed.wrapping_add(u64::from(done / BATCH));
                let found = search(batch, last, among, |scenario| {
                    let (difference, checks) = match among {
                        Among::Compared | Among::OneByOne => compare(scenario, driven),
                        Among::All => watch(scenario, driven),
                    };
                    played.set(played.get() + 1);
                    self.add(&checks);
                    difference
                });
                match found {
                    Ok(()) => done += batch,
                    Err(found) => failure = Some(told(&found, among, driven, last, self.failures)),
                }
            }
        });
        // Of a failing search, those of its shrinking too.
        let played = if failure.is_none() { u64::from(done) } else { played.get() };
        let note = Some(format!("seeds {} to {last}", self.seed));
        CheckResult { seconds, note, ..drawn(name, "", promises, played, failure) }
    }

    fn add(&self, checks: &Checks) {
        let mut sum = self.laws.get();
        for (sum, more) in sum.iter_mut().zip(checks) {
            *sum += more;
        }
        self.laws.set(sum);
    }
}

/// On which schedules the engine must agree with the oracle: a driver starts all that may run at once, and
/// so among equals another one than somebody who lets each run end first.
const fn comparable(driven: DrivenBy) -> Among {
    match driven {
        DrivenBy::Hand => Among::Compared,
        DrivenBy::Tokio => Among::OneByOne,
    }
}

fn name(among: Among, driven: DrivenBy) -> &'static str {
    match (among, driven) {
        (Among::All, DrivenBy::Hand) => "schedules-alone",
        (Among::All, DrivenBy::Tokio) => "schedules-tokio-alone",
        (_, DrivenBy::Hand) => "schedules",
        (_, DrivenBy::Tokio) => "schedules-tokio",
    }
}

/// A counterexample as text, once it is saved.
fn told(
    found: &Counterexample,
    among: Among,
    driven: DrivenBy,
    seed: u64,
    failures: &Path,
) -> String {
    let file_name = format!("{}-{seed}.scn", name(among, driven));
    saved(failures, &file_name, &file(found, among, driven, &format!("a search with seed {seed}")))
}

/// The text of a scenario file that fails as the search did, if the grammar can say how.
#[must_use]
pub fn file(found: &Counterexample, among: Among, driven: DrivenBy, by: &str) -> String {
    let driven_by = driven.name();
    let mut text = format!("# found by {by}; \"first\" is the engine, {driven_by}\n");
    for line in found.difference.to_string().lines() {
        text.push_str(&format!("# {line}\n"));
    }
    let scenario = match among {
        Among::Compared | Among::OneByOne => {
            with_expectations(&found.scenario, found.difference.at_ms)
        }
        // The oracle would expect something else where it reads the text differently.
        Among::All => found.scenario.clone(),
    };
    let played = play(&installs_first(&scenario), &mut Watched::new(&scenario.policy, driven));
    if played.failure.is_none() {
        text.push_str("# no expectation shows this: search again\n");
    }
    text.push_str(&scenario.to_string());
    text
}

/// The text, with where it has been saved.
pub(super) fn saved(failures: &Path, name: &str, text: &str) -> String {
    match save(failures, name, text) {
        Ok(path) => format!("{text}# saved; `cargo verify scenario {}` plays it", path.display()),
        Err(error) => format!("{text}# not saved: {}: {error}", failures.display()),
    }
}

fn save(folder: &Path, name: &str, text: &str) -> std::io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let path = folder.join(name);
    fs::write(&path, text)?;
    Ok(path)
}
