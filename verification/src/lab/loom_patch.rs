//! What makes loom's search complete for atomics, and faster: a patch, applied to a copy of its source.
//!
//! Stock loom remembers one last access of each atomic. A thread's own load overwrites the load of
//! another, so that its later store sees no race with that other load and the search never tries
//! them the other way round: a load followed by a store or a read-modify-write, as in every
//! compare-and-swap loop, loses outcomes that sequential consistency allows.
//!
//! The patch keeps, for each atomic, the last store and every load since then that no later load
//! is ordered after; a store or a read-modify-write races with all of them. That is what dynamic
//! partial order reduction (Flanagan and Godefroid, 2005) asks for: no access that conflicts is
//! forgotten before an access that is ordered after it takes its place.
//!
//! A second gap is in the search with a bound: at the bound, stock loom takes no other thread even
//! where a switch costs no preemption, since the running thread has ended or waits. Searches of
//! three threads lose executions that are within their bound. The patch takes them.
//!
//! Mutex, `RwLock`, `Condvar` and `Notify` need no patch: all operations on one of them conflict,
//! so each is ordered after all before it, and the last one stands for the others. loom's `Arc` and
//! `mpsc` have the same gap as its atomics and are left as they are: no facade of ours uses them.
//! Whether the search is complete is not argued here but measured, by the differential test.
//!
//! The patch saves time, too: stock loom maps, guards and unmaps a stack for each thread of each
//! execution, and unwinds it at its end. A thread that has ended takes the next execution's instead. The
//! executions and their order stay the same.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The only version of loom that the patch is written for.
pub const LOOM_VERSION: &str = "0.7.3";

/// One replacement in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The file, from the root of loom's source.
    pub file: &'static str,
    /// Text that stands in the file exactly once.
    pub anchor: &'static str,
    /// What takes its place.
    pub replacement: &'static str,
}

const ATOMIC: &str = "src/rt/atomic.rs";
const OBJECT: &str = "src/rt/object.rs";
const EXECUTION: &str = "src/rt/execution.rs";
const PATH: &str = "src/rt/path.rs";
const SCHEDULER: &str = "src/rt/scheduler.rs";

/// The patch.
pub const EDITS: &[Edit] = &[
    // The state: loads apart from stores, and as many as there are threads.
    Edit {
        file: ATOMIC,
        anchor: "    last_access: Option<Access>,",
        replacement: "    last_loads: [Option<Access>; MAX_THREADS],",
    },
    Edit {
        file: ATOMIC,
        anchor: "last_access: None,",
        replacement: "last_loads: Default::default(),",
    },
    // Looking: everyone races with the last store, and all but loads race with the loads.
    Edit {
        file: ATOMIC,
        anchor: "_ => self.last_access.as_ref(),",
        replacement: "_ => self.last_non_load_access.as_ref(),",
    },
    Edit {
        file: ATOMIC,
        anchor: "    /// Sets the last dependent access\n",
        replacement: "    /// The loads that an action races with
    pub(super) fn dependent_loads(&self, action: Action) -> &[Option<Access>] {
        match action {
            Action::Load => &[],
            Action::Store | Action::Rmw => &self.last_loads,
        }
    }

    /// Sets the last dependent access
",
    },
    Edit {
        file: OBJECT,
        anchor: "    pub(super) fn set_last_access(\n",
        replacement:
            "    /// All accesses that an operation races with, unless it is ordered after them
    pub(super) fn dependent_accesses(
        &self,
        operation: Operation,
    ) -> impl Iterator<Item = &Access> + '_ {
        let loads = match &self.entries[operation.obj.index] {
            Entry::Atomic(entry) => entry.dependent_loads(operation.action.into()),
            _ => &[],
        };
        self.last_dependent_access(operation).into_iter().chain(loads.iter().flatten())
    }

    pub(super) fn set_last_access(
",
    },
    // Remembering: a load takes the place of the loads it is ordered after (its own thread's among
    // them, so there is always a place free), a store that of all loads, being ordered after each.
    Edit {
        file: ATOMIC,
        anchor: "        Access::set_or_create(&mut self.last_access, path_id, version);\n",
        replacement: "",
    },
    Edit {
        file: ATOMIC,
        anchor: "            Action::Load => {}\n",
        replacement: "            Action::Load => {
                let mut own = Some(Access::new(path_id, version));
                for last in &mut self.last_loads {
                    if last.as_ref().map_or(true, |load| load.happens_before(version)) {
                        *last = own.take();
                    }
                }
                assert!(own.is_none(), \"more unordered loads than threads\");
            }
",
    },
    Edit {
        file: ATOMIC,
        anchor: "                // Stores / RMWs\n",
        replacement: "                self.last_loads = Default::default();
",
    },
    // The scheduler: each race is a place to turn back to, and each is an edge of the order.
    Edit {
        file: EXECUTION,
        anchor: "            if let Some(access) = self.objects.last_dependent_access(operation) {
                if access",
        replacement: "            for access in self.objects.dependent_accesses(operation) {
                if access",
    },
    Edit {
        file: EXECUTION,
        anchor: "            if let Some(access) = self.objects.last_dependent_access(operation) {
                threads",
        replacement: "            for access in self.objects.dependent_accesses(operation) {
                threads",
    },
    // The bound: only leaving a thread that could go on is a preemption.
    Edit {
        file: PATH,
        anchor: "            if self.preemptions == bound {\n",
        replacement: "            if self.preemptions == bound && self.initial_active.is_some() {\n",
    },
    // Speed, and no other search: the stacks of one execution are those of the next. A thread that has
    // ended waits for what to run, as a new one does.
    Edit {
        file: SCHEDULER,
        anchor: "    max_threads: usize,\n}",
        replacement: "    max_threads: usize,\n    idle: Vec<Thread>,\n    sized: bool,\n}",
    },
    Edit {
        file: SCHEDULER,
        anchor: "            max_threads: capacity,\n",
        replacement: "            max_threads: capacity,\n            idle: Vec::new(),\n            sized: false,\n",
    },
    Edit {
        file: SCHEDULER,
        anchor: "threads.push(spawn_thread(Box::new(f), None));",
        replacement: "threads.push(self.thread(Box::new(f), None));",
    },
    Edit {
        file: SCHEDULER,
        anchor: "threads.push(spawn_thread(f, stack_size));",
        replacement: "threads.push(self.thread(f, stack_size));",
    },
    Edit {
        file: SCHEDULER,
        anchor: "                for thread in &mut threads {
                    thread.resume();
                    assert!(thread.is_done());
                }
",
        replacement: "                if !self.sized {
                    self.idle.append(&mut threads);
                }
",
    },
    Edit {
        file: SCHEDULER,
        anchor: "    fn tick(thread",
        replacement:
            "    /// One that has ended, or else a new one; stacks of different sizes are not mixed
    fn thread(&mut self, f: Box<dyn FnOnce()>, stack_size: Option<usize>) -> Thread {
        self.sized |= stack_size.is_some();
        match self.idle.pop() {
            Some(mut idle) if !self.sized => {
                idle.set_para(Some(f));
                idle
            }
            _ => spawn_thread(f, stack_size),
        }
    }

    fn tick(thread",
    },
];

/// Why a patch was not applied.
#[derive(Debug)]
pub enum PatchError {
    /// A file could not be read or written.
    Io {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An anchor does not stand in its file exactly once: this is not the source it was written
    /// for, or it has been patched already.
    Anchor {
        /// The file.
        file: PathBuf,
        /// The anchor.
        anchor: String,
        /// How often it was found.
        found: usize,
    },
}

impl fmt::Display for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { file, source } => write!(f, "{}: {source}", file.display()),
            Self::Anchor { file, anchor, found: 0 } => {
                write!(f, "{}: anchor not found: {:?}", file.display(), anchor.trim())
            }
            Self::Anchor { file, anchor, found } => write!(
                f,
                "{}: anchor found {found} times, expected once: {:?}",
                file.display(),
                anchor.trim()
            ),
        }
    }
}

impl std::error::Error for PatchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Anchor { .. } => None,
        }
    }
}

/// Patches a copy of loom's source in place.
///
/// # Errors
/// When a file cannot be read or written, or an anchor does not stand in it exactly once. Nothing
/// has been written if an anchor is the reason.
pub fn apply(loom_source_root: &Path) -> Result<(), PatchError> {
    apply_edits(loom_source_root, EDITS)
}

/// Applies any edits, one after the other, to the files below `root`; writes nothing unless all
/// match.
fn apply_edits(root: &Path, edits: &[Edit]) -> Result<(), PatchError> {
    let mut changed: Vec<(PathBuf, String)> = Vec::new();
    for edit in edits {
        let file = root.join(edit.file);
        let index = match changed.iter().position(|(known, _)| *known == file) {
            Some(index) => index,
            None => {
                let text = fs::read_to_string(&file)
                    .map_err(|source| PatchError::Io { file: file.clone(), source })?;
                changed.push((file, text));
                changed.len() - 1
            }
        };
        let (file, text) = &mut changed[index];
        let found = text.matches(edit.anchor).count();
        if found != 1 {
            return Err(PatchError::Anchor {
                file: file.clone(),
                anchor: edit.anchor.to_owned(),
                found,
            });
        }
        *text = text.replacen(edit.anchor, edit.replacement, 1);
    }
    for (file, text) in changed {
        fs::write(&file, text).map_err(|source| PatchError::Io { file, source })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[Edit] = &[
        Edit { file: "src/a.rs", anchor: "one", replacement: "1" },
        Edit { file: "src/a.rs", anchor: "two", replacement: "2" },
        Edit { file: "src/b.rs", anchor: "three", replacement: "one" },
    ];

    fn tree(a: &str, b: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("src")).unwrap();
        fs::write(root.path().join("src/a.rs"), a).unwrap();
        fs::write(root.path().join("src/b.rs"), b).unwrap();
        root
    }

    fn texts(root: &Path) -> (String, String) {
        let read = |name| fs::read_to_string(root.join(name)).unwrap();
        (read("src/a.rs"), read("src/b.rs"))
    }

    #[test]
    fn applies_every_edit_of_every_file() {
        let root = tree("one, two", "three");
        apply_edits(root.path(), TWO).unwrap();
        assert_eq!(texts(root.path()), ("1, 2".to_owned(), "one".to_owned()));
    }

    #[test]
    fn a_missing_anchor_is_named_and_nothing_is_written() {
        let root = tree("one, two", "four");
        let why = apply_edits(root.path(), TWO).unwrap_err();
        assert!(matches!(why, PatchError::Anchor { found: 0, .. }), "{why}");
        assert!(why.to_string().contains("anchor not found: \"three\""), "{why}");
        assert_eq!(texts(root.path()), ("one, two".to_owned(), "four".to_owned()));
    }

    #[test]
    fn an_anchor_that_is_there_twice_is_refused() {
        let root = tree("one, two, two", "three");
        let why = apply_edits(root.path(), TWO).unwrap_err();
        assert!(matches!(why, PatchError::Anchor { found: 2, .. }), "{why}");
        assert!(why.to_string().contains("found 2 times"), "{why}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let root = tree("one, two", "three");
        fs::remove_file(root.path().join("src/b.rs")).unwrap();
        let why = apply_edits(root.path(), TWO).unwrap_err();
        assert!(matches!(why, PatchError::Io { .. }), "{why}");
        assert!(why.to_string().contains("b.rs"), "{why}");
    }

    #[test]
    fn a_patched_tree_is_not_patched_twice() {
        let root = tree("one, two", "three");
        apply_edits(root.path(), TWO).unwrap();
        assert!(apply_edits(root.path(), TWO).is_err());
    }
}
