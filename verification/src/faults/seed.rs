//! Seeding: many faults in one copy of the sources, each behind a switch.
//!
//! ```text
//!   an expression     (if seeded("name") { becomes } else { anchor })
//!   statements         if seeded("name") { becomes } else { anchor }
//!   let x = a;         let x = if seeded("name") { b } else { a };
//! ```
//! The switch is a function that is added to the copy of the core; it compares the name with
//! [`SWITCH`] in the environment. Faults whose texts overlap, without being the same, go to
//! different copies.

use std::collections::BTreeMap;
use std::ops::Range;

use super::catalogue::{Edit, Fault};
use super::sites::without_comments;

/// The variable that turns a fault on.
pub const SWITCH: &str = "REVEILLE_FAULT";

/// Where the switch is handed on to what does not know the core.
pub const HUB: &str = "crates/reveille/src/lib.rs";

/// What is added there.
pub const HANDED_ON: &str = "\n#[doc(inline)]\npub use reveille_core::seeded;\n";

/// Where the switch is added.
pub const CORE: &str = "crates/reveille-core/src/lib.rs";

/// What is added there.
pub const SWITCHING: &str = r#"
/// Whether the environment asks for this seeded fault.
pub fn seeded(name: &str) -> bool {
    static ASKED: std::sync::LazyLock<Option<String>> =
        std::sync::LazyLock::new(|| std::env::var("REVEILLE_FAULT").ok());
    ASKED.as_deref() == Some(name)
}
"#;

/// Faults that stand in one copy together, and the texts of the files that they change.
#[derive(Debug, Default)]
pub struct Sheet {
    /// Which faults, by their place in the catalogue.
    pub faults: Vec<usize>,
    /// By path: the text with the faults in it.
    pub files: BTreeMap<String, String>,
}

/// Distributes the faults over as few copies as their texts allow.
///
/// # Errors
/// A line for each anchor that does not stand in its file exactly once.
pub fn sheets(
    faults: &[Fault],
    read: impl Fn(&str) -> Result<String, String>,
) -> Result<Vec<Sheet>, Vec<String>> {
    let mut sources = BTreeMap::new();
    let mut wrong = Vec::new();
    for edit in faults.iter().flat_map(|fault| &fault.edits) {
        if !sources.contains_key(edit.file.as_str()) {
            match read(&edit.file) {
                Ok(text) => {
                    sources.insert(edit.file.as_str(), text);
                }
                Err(why) => wrong.push(why),
            }
        }
    }
    let mut open: Vec<Draft> = Vec::new();
    for (index, fault) in faults.iter().enumerate() {
        let mut places = Vec::new();
        for edit in &fault.edits {
            let Some(source) = sources.get(edit.file.as_str()) else { continue };
            match place(source, &edit.anchor) {
                Ok(range) => places.push(Place { file: &edit.file, range }),
                Err(found) => wrong.push(format!(
                    "{}: its anchor stands {found} times in {}: {:?}",
                    fault.name, edit.file, edit.anchor
                )),
            }
        }
        if let Some(draft) = open.iter_mut().find(|draft| draft.takes(&places)) {
            draft.faults.push(index);
            draft.places.extend(places);
        } else {
            open.push(Draft { faults: vec![index], places });
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    Ok(open.into_iter().map(|draft| draft.written(faults, &sources)).collect())
}

/// Where the text stands, or how often if not once. Where it is the rest of a name or of a call, it is not
/// counted: a switch cannot stand there.
pub fn place(source: &str, anchor: &str) -> Result<Range<usize>, usize> {
    let in_name = |c: char| c.is_alphanumeric() || c == '_';
    let is_rest = |at: usize| {
        let before = source[..at].chars().next_back();
        before == Some('.') || before.is_some_and(in_name) && anchor.starts_with(in_name)
    };
    let found: Vec<usize> =
        source.match_indices(anchor).map(|(at, _)| at).filter(|&at| !is_rest(at)).collect();
    match found[..] {
        [start] => Ok(start..start + anchor.len()),
        _ => Err(found.len()),
    }
}

/// A stretch of a source file.
struct Place<'a> {
    file: &'a str,
    range: Range<usize>,
}

impl Place<'_> {
    /// Whether both can stand in one copy: apart, or the same text.
    fn agrees(&self, other: &Self) -> bool {
        self.file != other.file
            || self.range == other.range
            || self.range.end <= other.range.start
            || other.range.end <= self.range.start
    }
}

/// A sheet before it is written.
struct Draft<'a> {
    faults: Vec<usize>,
    places: Vec<Place<'a>>,
}

impl Draft<'_> {
    fn takes(&self, places: &[Place<'_>]) -> bool {
        places.iter().all(|new| self.places.iter().all(|old| old.agrees(new)))
    }

    fn written(self, faults: &[Fault], sources: &BTreeMap<&str, String>) -> Sheet {
        // By file and place, last first: what is written does not move what is still to be.
        let mut edits: BTreeMap<(&str, usize), Vec<(&str, &Edit)>> = BTreeMap::new();
        for &index in &self.faults {
            let fault = &faults[index];
            for edit in &fault.edits {
                let Some(source) = sources.get(edit.file.as_str()) else { continue };
                let Ok(range) = place(source, &edit.anchor) else { continue };
                let switched = edits.entry((&edit.file, range.start)).or_default();
                switched.push((&fault.name, edit));
            }
        }
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        for ((file, start), switched) in edits.into_iter().rev() {
            let Some((_, first)) = switched.first() else { continue };
            let written = switch(file, &first.anchor, &switched);
            let text = files.entry(file.to_owned()).or_insert_with(|| sources[file].clone());
            text.replace_range(start..start + first.anchor.len(), &written);
        }
        Sheet { faults: self.faults, files }
    }
}

/// One text with all its faults, each behind its switch.
fn switch(file: &str, anchor: &str, switched: &[(&str, &Edit)]) -> String {
    let seeded = if file.starts_with("crates/reveille-core/") {
        "crate::seeded"
    } else if file.starts_with("crates/reveille/") {
        "reveille_core::seeded"
    } else {
        "reveille::seeded"
    };
    // A comment at its end would hide what comes after it.
    let anchor = without_comments(anchor);
    let anchor = anchor.trim_end();
    // Of a `let`, only the value is switched.
    let bound = bound(anchor).filter(|(name, _)| {
        switched.iter().all(|(_, edit)| bound(&edit.becomes).is_some_and(|(same, _)| same == *name))
    });
    let value = |text: &str| match bound {
        Some(_) => self::bound(text).map_or_else(String::new, |(_, value)| value.to_owned()),
        None => text.to_owned(),
    };
    let mut chain = String::new();
    for (name, edit) in switched {
        chain += &format!("if {seeded}({name:?}) {{ {} }} else ", value(&edit.becomes));
    }
    chain += &format!("{{ {} }}", value(anchor));
    match bound {
        Some((name, _)) => format!("{name} = {chain};"),
        None if anchor.ends_with([';', '}']) => chain,
        None => format!("({chain})"),
    }
}

/// `let x` and `a` of a text that is one statement `let x = a;`.
fn bound(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let inner = text.strip_suffix(';').filter(|inner| !inner.contains(';'))?;
    inner.split_once(" = ").filter(|(name, _)| name.starts_with("let "))
}
