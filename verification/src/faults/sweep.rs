//! The ordering sweep: each ordering and fence one step weaker, and what notices.
//!
//! A model that fails kills the weakened ordering. One that nothing kills is stronger than it need
//! be, or stands where no model looks, or where the checker is blind: `allowed.toml` says which, by
//! place and change. A survivor that is not in it is a failure, and so is an entry that no longer
//! survives. An ordering that no model passes survives as `unreached`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use walkdir::WalkDir;

use super::kill::{Found, Step, Verdict, in_parallel};
use super::sites::{self, Site};
use crate::lab::{Backend, CheckResult, Lab, LabError, checks};

/// An ordering that nothing kills, and why that is as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    /// Where, in the words of [`Site`].
    pub site: String,
    /// Weakened to what; `unreached` where no model passes it.
    pub to: Vec<String>,
    /// Why nothing kills it.
    pub why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    allowed: Vec<Allowed>,
}

/// The list.
///
/// # Errors
/// What is wrong with it.
pub fn allowed() -> Result<Vec<Allowed>, String> {
    let list: List =
        toml::from_str(include_str!("allowed.toml")).map_err(|error| error.to_string())?;
    Ok(list.allowed)
}

/// By how many preemptions models are searched by default: most of what they find, they find there.
const PREEMPTIONS: &str = "2";

/// Longest that one model runs with one weakened ordering.
const PATIENCE: Duration = Duration::from_secs(900);

/// The sources that are swept.
const SOURCES: [&str; 2] = ["crates/reveille-core/src", "crates/reveille/src"];

/// What is swept in them: not the facade itself, and no tests.
fn is_swept(file: &str) -> bool {
    !file.starts_with("crates/reveille-core/src/sync/") && !file.ends_with("tests.rs")
}

/// All orderings of the sources below `root`.
///
/// # Errors
/// Where a file cannot be read.
pub fn all_sites(root: &Path) -> Result<Vec<Site>, String> {
    let mut found = Vec::new();
    for folder in SOURCES {
        for entry in WalkDir::new(root.join(folder)).sort_by_file_name() {
            let entry = entry.map_err(|error| error.to_string())?;
            let Ok(path) = entry.path().strip_prefix(root) else { continue };
            let file = path.to_string_lossy().replace('\\', "/");
            if entry.file_type().is_file() && file.ends_with(".rs") && is_swept(&file) {
                let text = std::fs::read_to_string(entry.path());
                let text = text.map_err(|error| format!("{file}: {error}"))?;
                found.extend(sites::of(&file, &text));
            }
        }
    }
    Ok(found)
}

/// A site, one step weaker.
struct Weakened<'a> {
    site: &'a Site,
    to: &'static str,
    /// The models that pass it, cheapest first.
    models: &'a [String],
}

/// Weakens each ordering in turn, and says what came of it: by models at few preemptions, or
/// `exhaustive`ly by models in full.
///
/// # Errors
/// Where the models cannot be built, or the sources not be read.
pub fn run(exhaustive: bool, step: &(dyn Fn(Step<'_>) + Sync)) -> Result<Vec<Verdict>, String> {
    let in_words = |error: LabError| error.to_string();
    let allowed = allowed()?;
    step(Step::Builds("models, for the sweep".to_owned()));
    let lab = Lab::prepare(Backend::Loom, "sound").map_err(in_words)?;
    let executable = lab.build("models").map_err(in_words)?;
    let sites = all_sites(lab.root())?;
    step(Step::Builds("models, to see which orderings each passes".to_owned()));
    let passing = passing(&lab, &executable)?;
    let mut weakened = Vec::new();
    let mut done = Vec::new();
    for site in &sites {
        match passing.get(&(site.file.clone(), site.line, site.role.to_owned())) {
            None => done.push(verdict(site, "unreached", Vec::new(), &allowed)),
            Some(models) => {
                let steps = site.weaker().iter();
                weakened.extend(steps.map(|to| Weakened { site, to, models: models.as_slice() }));
            }
        }
    }
    step(Step::Faults(done.len() + weakened.len()));
    for verdict in &done {
        step(Step::Ends(verdict));
    }
    done.extend(in_parallel(&weakened, |weakened| {
        let name = name(weakened.site, weakened.to);
        step(Step::Begins(&name));
        let found = weakened.killer(&lab, &executable, exhaustive);
        let verdict = verdict(weakened.site, weakened.to, found, &allowed);
        step(Step::Ends(&verdict));
        verdict
    }));
    let known = |entry: &&Allowed| !sites.iter().any(|site| entry.is_for(site));
    done.extend(allowed.iter().filter(known).map(|entry| Verdict {
        name: entry.site.clone(),
        failure: Some("stands in the list of the allowed, and nowhere in the sources".to_owned()),
        ..Verdict::default()
    }));
    Ok(done)
}

/// By file, line and role: the models that pass it, cheapest first.
type Passing = BTreeMap<(String, u32, String), Vec<String>>;

fn passing(lab: &Lab, executable: &Path) -> Result<Passing, String> {
    let names = checks::list(lab, executable).map_err(|error| error.to_string())?;
    let environment = [("REVEILLE_SITES", "1"), ("LOOM_MAX_PREEMPTIONS", PREEMPTIONS)];
    let mut results: Vec<CheckResult> = in_parallel(&names, |name| {
        checks::run(lab, executable, name, &environment, PATIENCE, &mut |_| {})
    });
    if let Some(failed) = results.iter().find(|result| !result.passed()) {
        let why = failed.failure.clone().unwrap_or_default();
        return Err(format!("{} fails with nothing weakened: {why}", failed.name));
    }
    results.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let mut passing = Passing::new();
    for result in &results {
        for line in result.note.iter().flat_map(|note| note.lines()) {
            let Some((place, role)) = line.split_once(' ') else { continue };
            let Some((file, line)) = place.rsplit_once(':') else { continue };
            let Some((role, _)) = role.split_once('=') else { continue };
            let Ok(line) = line.parse() else { continue };
            let models = passing.entry((file.to_owned(), line, role.to_owned())).or_default();
            models.push(result.name.clone());
        }
    }
    Ok(passing)
}

impl Weakened<'_> {
    /// The first model that fails, if one does.
    fn killer(&self, lab: &Lab, executable: &Path, exhaustive: bool) -> Vec<Found> {
        let Site { file, line, role, .. } = self.site;
        let change = format!("{file}:{line} {role}={}", self.to);
        let mut environment = vec![("RUST_BACKTRACE", "0"), ("REVEILLE_WEAKEN", change.as_str())];
        if !exhaustive {
            environment.push(("LOOM_MAX_PREEMPTIONS", PREEMPTIONS));
        }
        let mut seconds = 0.0;
        for model in self.models {
            let result = checks::run(lab, executable, model, &environment, PATIENCE, &mut |_| {});
            seconds += result.seconds;
            if let Some(said) = result.failure {
                let said = said.lines().next().map(ToOwned::to_owned);
                return vec![Found { check: format!("loom:{model}"), seconds, said }];
            }
        }
        let check = format!("all {} models that pass it", self.models.len());
        vec![Found { check, seconds, said: None }]
    }
}

impl Allowed {
    fn is_for(&self, site: &Site) -> bool {
        self.site == site.to_string()
    }
}

fn name(site: &Site, to: &str) -> String {
    format!("{site} {} to {to}", site.order)
}

fn verdict(site: &Site, to: &str, found: Vec<Found>, allowed: &[Allowed]) -> Verdict {
    let killed = found.iter().any(|found| found.said.is_some());
    let entry =
        allowed.iter().find(|entry| entry.is_for(site) && entry.to.iter().any(|step| step == to));
    let failure = match (killed, entry) {
        (false, None) => Some(format!("SURVIVED {}", tried(&found))),
        (true, Some(_)) => Some("killed, but stands in the list of the allowed".to_owned()),
        _ => None,
    };
    let what = match (killed, entry) {
        (false, Some(entry)) => format!("survives, as allowed: {}", entry.why),
        _ => "one step weaker".to_owned(),
    };
    Verdict { name: name(site, to), what, found, failure, ..Verdict::default() }
}

fn tried(found: &[Found]) -> String {
    match found.first() {
        Some(found) => found.check.clone(),
        None => "since no model passes it".to_owned(),
    }
}
