use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::catalogue::{self, Check, Edit, Fault};
use super::{seed, sites, sweep};

fn read(file: &str) -> Result<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    fs::read_to_string(path).map_err(|error| format!("{file}: {error}"))
}

/// Each fault can still be seeded: each anchor stands in its file exactly once.
#[test]
fn the_catalogue_fits_the_sources() {
    let faults = catalogue::all().unwrap();
    if let Err(wrong) = seed::sheets(&faults, read) {
        panic!("{}", wrong.join("\n"));
    }
}

/// No two faults share a name, each has a killer, and each promise has a fault.
#[test]
fn the_catalogue_is_whole() {
    let faults = catalogue::all().unwrap();
    let names: BTreeSet<&str> = faults.iter().map(|fault| fault.name.as_str()).collect();
    assert_eq!(names.len(), faults.len());
    assert!(faults.len() >= 45, "{}", faults.len());
    for fault in &faults {
        assert!(!fault.killed_by.is_empty(), "{}: nothing kills it", fault.name);
        assert!(!fault.edits.is_empty() || !fault.spared_by.is_empty(), "{}", fault.name);
        for check in fault.killed_by.iter().chain(&fault.spared_by) {
            assert!(is_there(check), "{}: there is no {check}", fault.name);
        }
    }
    for promise in (1..=18).map(|number| format!("P{number}")) {
        let any = faults.iter().any(|fault| fault.promises.contains(&promise));
        assert!(any, "{promise} has no fault");
    }
}

/// Whether a check of that name stands in the sources.
fn is_there(check: &Check) -> bool {
    let named = |folder: &str, name: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let name = format!("\"{name}\"");
        files.into_iter().any(|file| fs::read_to_string(file).unwrap().contains(&name))
    };
    match check {
        Check::Loom(name) => named("models", name),
        Check::Shuttle(name) => named("shuttle", name),
        Check::Scenario(name) => read(&format!("verification/scenarios/{name}.scn")).is_ok(),
        // Their controls say whether they are there.
        Check::Search(_) | Check::Unit { .. } | Check::Test { .. } => true,
    }
}

fn fault(name: &str, anchor: &str, becomes: &str) -> Fault {
    let edit = Edit { file: FILE.into(), anchor: anchor.into(), becomes: becomes.into() };
    Fault {
        name: name.into(),
        promises: Vec::new(),
        what: String::new(),
        edits: vec![edit],
        killed_by: Vec::new(),
        spared_by: Vec::new(),
    }
}

/// A file that knows the core.
const FILE: &str = "crates/reveille/src/f.rs";

fn seeded(source: &str, faults: &[Fault]) -> Vec<String> {
    let sheets = seed::sheets(faults, |_| Ok(source.to_owned())).unwrap();
    sheets.iter().map(|sheet| sheet.files[FILE].clone()).collect()
}

#[test]
fn expressions_statements_and_lets_are_switched() {
    let source = "let x = a + 1; go(); b";
    let faults = [
        fault("p", "a + 1", "2"),
        fault("q", "go();", ""),
        fault("r", "b", "c"),
        fault("s", "b", "d"),
    ];
    assert_eq!(
        seeded(source, &faults),
        [concat!(
            r#"let x = (if reveille_core::seeded("p") { 2 } else { a + 1 }); "#,
            r#"if reveille_core::seeded("q") {  } else { go(); } "#,
            r#"(if reveille_core::seeded("r") { c } "#,
            r#"else if reveille_core::seeded("s") { d } else { b })"#,
        )]
    );
    let bound = [fault("p", "let x = a + 1;", "let x = 2;")];
    assert_eq!(
        seeded(source, &bound),
        [r#"let x = if reveille_core::seeded("p") { 2 } else { a + 1 }; go(); b"#]
    );
}

#[test]
fn what_overlaps_stands_in_copies_of_its_own() {
    let faults =
        [fault("p", "a + 1", "2"), fault("q", "x = a", "x = b"), fault("r", "go()", "no()")];
    let sheets = seed::sheets(&faults, |_| Ok("let x = a + 1; go();".to_owned())).unwrap();
    let faults: Vec<_> = sheets.iter().map(|sheet| sheet.faults.clone()).collect();
    assert_eq!(faults, [vec![0, 2], vec![1]]);
}

#[test]
fn an_anchor_that_is_not_there_once_is_told() {
    let faults = [("p", "a"), ("q", "z"), ("r", "c()"), ("s", "d()")];
    let faults = faults.map(|(name, anchor)| fault(name, anchor, "e"));
    // The rest of a call, or of a name, is not there for a switch.
    let wrong = seed::sheets(&faults, |_| Ok("a; a; b.c(); bd();".to_owned())).unwrap_err();
    assert_eq!(wrong.len(), 4);
    assert!(wrong[0].contains("2 times"), "{wrong:?}");
    assert!(wrong[1..].iter().all(|wrong| wrong.contains("0 times")), "{wrong:?}");
}

#[test]
fn orderings_are_found_in_the_text() {
    let source = "
        fn look(&self) {
            // fence(Ordering::SeqCst)
            fence(Ordering::SeqCst);
            self.0.load(Ordering::Acquire);
            self.0.load(Ordering::Relaxed);
            self.slot.load();
        }
        fn change(&self) {
            self.0
                .compare_exchange(
                    a(1),
                    b,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                );
            self.0.fetch_or(1, Ordering::Release);
            self.0.fetch_or(2, Ordering::Release);
        }
        #[cfg(test)]
        mod tests { fn t() { fence(Ordering::SeqCst); } }";
    let sites: Vec<String> =
        sites::of("f", source).iter().map(|s| format!("{s} {} {}", s.order, s.line)).collect();
    assert_eq!(
        sites,
        [
            "f look fence fence SeqCst 4",
            "f look load load Acquire 5",
            "f change compare_exchange success AcqRel 11",
            "f change compare_exchange failure Acquire 11",
            "f change fetch_or success Release 17",
            "f change fetch_or#2 success Release 18",
        ]
    );
}

/// Each entry of the list of allowed survivors is about an ordering that is there, one step weaker.
#[test]
fn the_allowed_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let sites = sweep::all_sites(&root).unwrap();
    let names: BTreeSet<String> = sites.iter().map(ToString::to_string).collect();
    assert_eq!(names.len(), sites.len(), "two orderings have one name");
    for entry in sweep::allowed().unwrap() {
        let site = sites.iter().find(|site| site.to_string() == entry.site);
        let site = site.unwrap_or_else(|| panic!("{}: is not there", entry.site));
        for to in &entry.to {
            assert!(to == "unreached" || site.weaker().contains(&to.as_str()), "{}", entry.site);
        }
        assert!(!entry.why.is_empty());
    }
}
