//! Rules about text that stand beside the checks of lock-freedom (P16): a raw lock or atomic of std
//! is invisible to a checker's scheduler, so none may stand where one would be missed.
//!
//! Comments, strings and `#[cfg(test)]` items are no code here. What is found is an identifier, so
//! neither a renaming import nor a grouped one hides it: the name stands where it is imported.

#![cfg(not(any(reveille_loom, reveille_shuttle)))]

use std::fs;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// Names of locks, of waiting and of lazy cells: whatever can stop a thread for another.
const LOCKS: &[&str] = &[
    "Mutex",
    "MutexGuard",
    "RwLock",
    "RwLockReadGuard",
    "RwLockWriteGuard",
    "ReentrantLock",
    "Condvar",
    "Barrier",
    "Once",
    "OnceLock",
    "LazyLock",
    "mpsc",
    "park",
    "park_timeout",
    "yield_now",
    "sleep",
    "spin_loop",
    "parking_lot",
    "crossbeam_channel",
];

/// Names by which std's atomics are reached.
const ATOMICS: &[&str] = &[
    "atomic",
    "AtomicBool",
    "AtomicU8",
    "AtomicU16",
    "AtomicU32",
    "AtomicUsize",
    "AtomicI8",
    "AtomicI16",
    "AtomicI32",
    "AtomicI64",
    "AtomicIsize",
    "AtomicPtr",
    "AtomicCell",
];

/// What a file may not name, and why.
struct Rule {
    what: &'static str,
    forbids: fn(file: &str, code: &Code) -> Vec<String>,
}

const RULES: &[Rule] = &[
    Rule {
        what: "the core has no lock, waits for nobody, and reaches its atomics through `sync`",
        forbids: |file, code| match file.strip_prefix("crates/reveille-core/src/") {
            Some(own) if !own.starts_with("sync/") => code.names(&[LOCKS, ATOMICS].concat()),
            _ => Vec::new(),
        },
    },
    Rule {
        what: "outside the driver the hub has no atomics of std",
        forbids: |file, code| match file.strip_prefix("crates/reveille/src/") {
            Some(own) if !own.starts_with("driver/") => code.names(ATOMICS),
            _ => Vec::new(),
        },
    },
    Rule {
        what: "outside `sync.rs` the hub has no locks of std, nor a ledger: checkers must see them",
        forbids: |file, code| match file.strip_prefix("crates/reveille/src/") {
            // A ledger is its user's: nothing in the hub may know one.
            Some(own) if own.starts_with("ledger/") || own == "lib.rs" => Vec::new(),
            Some("sync.rs") | None => Vec::new(),
            Some(_) => [code.std_locks(), code.names(&["ledger", "MemoryLedger"])].concat(),
        },
    },
    Rule {
        what: "nothing on the path of a plain wake by handle has a lock: that of awaited wakes is \
               taken by these and by a cancel alone, and neither is called by others",
        forbids: |file, code| match file.strip_prefix("crates/reveille/src/") {
            Some("wake.rs" | "counters.rs") => code.names(&locking()),
            // Above the first function stands the import of `lock`.
            Some("target.rs") => {
                let mut found = code.names(LOCKS);
                let locks = ["lock", "try_lock", "awaiting"];
                found.extend(code.names_outside(&locks, &["", "wake_awaited", "cancel"]));
                let calls = ["wake_awaited", "cancel"];
                found.extend(code.names_outside(&calls, &calls));
                found
            }
            // The lock of awaited wakes itself.
            Some("node.rs") => {
                code.statements_with(&[&locking(), &["awaiting"][..]].concat(), |statement| {
                    let wholes = [
                        "use crate::sync::Mutex;",
                        "pub(crate) awaiting: Mutex<()>,",
                        "awaiting: Mutex::new(()),",
                    ];
                    wholes.iter().any(|whole| statement.starts_with(whole))
                })
            }
            // The seat alone, and the function by which the engine takes it.
            Some("shared.rs") => code.statements_with(&[LOCKS, &["lock"]].concat(), |statement| {
                let starts = ["use crate::sync::", "pub(crate) seat: Mutex<", "seat: Mutex::new("];
                let function = "pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T>";
                starts.iter().any(|start| statement.starts_with(start))
                    || [function, "mutex.lock()"].iter().any(|whole| statement.starts_with(whole))
            }),
            _ => Vec::new(),
        },
    },
    Rule {
        what: "nobody but `target.rs` takes the lock of awaited wakes",
        forbids: |file, code| match file.strip_prefix("crates/reveille/src/") {
            Some("target.rs" | "node.rs") | None => Vec::new(),
            Some(_) => code.names(&["awaiting"]),
        },
    },
    Rule {
        what: "the engine has no lock but the seat's, which it takes when it comes and goes, and a stop \
               once; nor have what it shares with users, installs, runs and the cells of a target",
        forbids: |file, code| match file.strip_prefix("crates/reveille/src/") {
            Some("engine/mod.rs") => {
                let mut found = code.names(LOCKS);
                found.extend(
                    code.names_outside(&["lock", "try_lock"], &["", "attach", "drop", "let_go"]),
                );
                found
            }
            Some("installed.rs" | "setting.rs" | "ticket.rs" | "run.rs" | "hub.rs") => {
                code.names(&locking())
            }
            Some(own) if own.starts_with("engine/") => code.names(&locking()),
            _ => Vec::new(),
        },
    },
];

/// Names of locks, and what takes one.
fn locking() -> Vec<&'static str> {
    [LOCKS, &["lock", "try_lock"]].concat()
}

/// A file without comments, strings and test items.
struct Code(String);

impl Code {
    fn of(text: &str) -> Self {
        Self(without_tests(&without_comments(text)))
    }

    fn identifiers(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let words = self.0.split(move |c| !is_part(c));
        let base = self.0.as_ptr().addr();
        words.filter(|word| !word.is_empty()).map(move |word| (word.as_ptr().addr() - base, word))
    }

    fn line(&self, at: usize) -> String {
        let number = 1 + self.0[..at].matches('\n').count();
        let line = self.0.lines().nth(number - 1).unwrap_or_default();
        format!("{number}: {}", line.trim())
    }

    fn names(&self, forbidden: &[&str]) -> Vec<String> {
        let found = self.identifiers().filter(|(_, word)| forbidden.contains(word));
        found.map(|(at, _)| self.line(at)).collect()
    }

    /// The same outside of these functions; what stands above the first one is in the function "".
    fn names_outside(&self, forbidden: &[&str], functions: &[&str]) -> Vec<String> {
        let (mut function, mut is_named_next, mut found) = ("", false, Vec::new());
        for (at, word) in self.identifiers() {
            if is_named_next {
                function = word;
            }
            is_named_next = word == "fn";
            if forbidden.contains(&word) && !functions.contains(&function) {
                found.push(self.line(at));
            }
        }
        found
    }

    /// Locks that come from std: by a path, by an import, or by an import of all of `std::sync`.
    fn std_locks(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (start, import) in self.imports() {
            for path in flattened(&import) {
                let from_std = ["std::", "core::"].iter().any(|root| path.starts_with(root));
                let whole = path == "std::sync" || path == "std::sync::*" || path == "std";
                let lock = path.split("::").any(|part| LOCKS.contains(&part));
                if whole || from_std && lock {
                    found.push(self.line(start));
                }
            }
        }
        let dense: Vec<(usize, &str)> = self.identifiers().collect();
        for window in dense.windows(3) {
            if let [(at, "std"), (_, "sync"), (_, name)] = *window
                && LOCKS.contains(&name)
                && self.0[at..].starts_with("std::sync::")
            {
                found.push(self.line(at));
            }
        }
        found.sort();
        found.dedup();
        found
    }

    /// The `use` items, without spaces.
    fn imports(&self) -> Vec<(usize, String)> {
        let uses = self.identifiers().filter(|(_, word)| *word == "use");
        let item = |at: usize| self.0[at + 3..].split(';').next().unwrap_or_default();
        uses.map(|(at, _)| (at, item(at).replace(" as ", "@").split_whitespace().collect()))
            .collect()
    }

    /// Pieces of code between `;`, `{`, `}` and `,` outside of brackets that name one of these, and
    /// that are not `allowed`.
    fn statements_with(&self, names: &[&str], allowed: impl Fn(&str) -> bool) -> Vec<String> {
        let mut found = Vec::new();
        for (at, _) in self.identifiers().filter(|(_, word)| names.contains(word)) {
            let line_start = self.0[..at].rfind('\n').map_or(0, |end| end + 1);
            let statement = self.0[line_start..].trim_start();
            if !allowed(statement) {
                found.push(self.line(at));
            }
        }
        found
    }
}

/// The paths of a `use` tree: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn flattened(tree: &str) -> Vec<String> {
    let Some(open) = tree.find('{') else {
        let path = tree.split('@').next().unwrap_or_default();
        return vec![path.trim_end_matches("::self").to_owned()];
    };
    let inner = tree[open + 1..].strip_suffix('}').unwrap_or(&tree[open + 1..]);
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[start..]);
    let parts = parts.into_iter().filter(|part| !part.is_empty()).flat_map(flattened);
    let join = |part: String| match part.as_str() {
        "self" => tree[..open].trim_end_matches("::").to_owned(),
        part => format!("{}{part}", &tree[..open]),
    };
    parts.map(join).collect()
}

/// Blanks comments, strings and characters; lines stay where they are.
fn without_comments(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if c == '"' {
            string(rest)
        } else if let Some(raw) = raw_string(rest) {
            raw
        } else if c == '\'' {
            character(rest)
        } else {
            0
        };
        if skipped > 0 {
            code.extend(rest[..skipped].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[skipped..];
        } else if c.is_alphanumeric() || c == '_' {
            // A whole word, so that the `r` at its end begins no raw string.
            let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            code.push_str(&rest[..word]);
            rest = &rest[word..];
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    code
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn raw_string(text: &str) -> Option<usize> {
    let start = text.strip_prefix("br").or(text.strip_prefix('r'))?;
    let hashes = start.len() - start.trim_start_matches('#').len();
    let body = start[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(text.len() - body.len() + length)
}

/// A character, or nothing where it is a lifetime.
fn character(text: &str) -> usize {
    let inner: Vec<char> = text.chars().skip(1).take(2).collect();
    match inner[..] {
        ['\\', _] => {
            text[2..].char_indices().skip(1).find(|(_, c)| *c == '\'').map_or(0, |f| f.0 + 3)
        }
        [c, '\''] => 2 + c.len_utf8(),
        _ => 0,
    }
}

/// Blanks each item behind a `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = code.to_owned();
    while let Some(start) = out.find(MARK) {
        let item = &out[start..];
        let mut depth = 0;
        let end = item[MARK.len()..].char_indices().find_map(|(at, c)| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            (depth == 0 && (c == ';' || c == '}')).then_some(MARK.len() + at + 1)
        });
        let end = start + end.unwrap_or(item.len());
        let blank: String = out[start..end].chars().filter(|c| *c == '\n').collect();
        out.replace_range(start..end, &blank);
    }
    out
}

fn broken(file: &str, text: &str) -> Vec<String> {
    let code = Code::of(text);
    let of = |rule: &Rule| {
        let found = (rule.forbids)(file, &code);
        let say = |line: String| format!("{file}:{line}\n    {}", rule.what);
        found.into_iter().map(say).collect::<Vec<_>>()
    };
    RULES.iter().flat_map(of).collect()
}

/// The sources below a folder, but for modules of tests, which are declared under `#[cfg(test)]`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let path = entry.unwrap_or_else(|error| panic!("{error}")).into_path();
        let is_source = path.extension().is_some_and(|extension| extension == "rs");
        if is_source && path.file_name().is_some_and(|name| name != "tests.rs") {
            files.push(path);
        }
    }
    files
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// P16: no lock and no atomic stands where the checks of lock-freedom would not see it.
#[test]
fn no_lock_hides_from_the_checks() {
    let (root, mut found, mut files) = (root(), Vec::new(), 0);
    for folder in ["crates/reveille-core/src", "crates/reveille/src"] {
        for path in sources(&root.join(folder)) {
            let name = path.strip_prefix(&root).unwrap_or(&path).to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
            files += 1;
            found.extend(broken(&name, &text));
        }
    }
    assert!(files > 30, "only {files} files found");
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

const CORE: &str = "crates/reveille-core/src/bell.rs";
const TARGET: &str = "crates/reveille/src/target.rs";
const SHARED: &str = "crates/reveille/src/shared.rs";
const STOP: &str = "crates/reveille/src/stop.rs";
const NODE: &str = "crates/reveille/src/node.rs";
const TICKET: &str = "crates/reveille/src/ticket.rs";
const ENGINE: &str = "crates/reveille/src/engine/mod.rs";
const LOOK: &str = "crates/reveille/src/engine/look.rs";
const DRIVER: &str = "crates/reveille/src/driver/thread.rs";

/// The rule finds what it is there to find.
#[test]
fn what_is_forbidden_is_found() {
    for (file, text) in [
        (CORE, "use std::sync::Mutex;"),
        (CORE, "use std::sync::{Arc, Mutex as Plain};"),
        (CORE, "use std::{sync::{self, RwLock}, fmt};"),
        (CORE, "static WORD: std::sync::OnceLock<u64> = std::sync::OnceLock::new();"),
        (CORE, "static ONCE: Once = Once::new();"),
        (CORE, "use core::sync::atomic::AtomicU64;"),
        (CORE, "use std::sync::atomic as plain;"),
        (CORE, "use std :: sync :: { atomic :: { AtomicBool } } ;"),
        (CORE, "fn wait() { std::thread::park() }"),
        (CORE, "fn wait() { core::hint::spin_loop() }"),
        (CORE, "#[cfg(test)]\nmod tests { use std::sync::Mutex; }\nuse std::sync::Barrier;"),
        (CORE, "const TEXT: &str = r#\"\\\"#; use std::sync::Mutex;"),
        (CORE, "const QUOTE: char = '\"'; use std::sync::Mutex; // \""),
        (TARGET, "use crate::sync::Mutex;"),
        (TARGET, "fn f(shared: &Shared) { drop(lock(&shared.seat)); }"),
        (TARGET, "use std::sync::atomic::AtomicU64;"),
        (TARGET, "fn wake(extras: &Extras) { drop(lock(&extras.awaiting)); }"),
        (TARGET, "fn wake_awaited() {}\nfn attempt(e: &E) { let _ = e.awaiting.try_lock(); }"),
        (TARGET, "fn wake(&self) { let _ = self.wake_awaited(Wake::now()); }"),
        (TARGET, "fn beat(&self) { self.cancel(); }"),
        (NODE, "struct Extras {\n    pub(crate) waking: Mutex<()>,\n}"),
        (NODE, "fn f(extras: &Extras) { drop(extras.awaiting.lock()); }"),
        (TICKET, "use crate::sync::Mutex;"),
        (TICKET, "fn end(&self) { drop(lock(&self.told)); }"),
        (ENGINE, "fn turn(&mut self) { drop(lock(&self.shared.seat)); }"),
        (LOOK, "use crate::shared::lock;"),
        (LOOK, "fn look(extras: &Extras) { drop(extras.awaiting.lock()); }"),
        (SHARED, "fn close(node: &Node) { drop(&node.extras().awaiting); }"),
        (SHARED, "struct Shared { wakes: Mutex<()> }"),
        (SHARED, "struct Shared {\n    pub(crate) wakes: crate::sync::Mutex<()>,\n}"),
        (SHARED, "fn wake(&self) { let _alone = lock(&self.seat); }"),
        (STOP, "use std::sync::{Arc, Condvar};"),
        (STOP, "use std::sync::*;"),
        (STOP, "use std::sync;"),
        (STOP, "use std::{sync as s};"),
        (STOP, "struct Stop { state: std::sync::Mutex<u64> }"),
        (STOP, "static STOPPED: AtomicBool = AtomicBool::new(false);"),
        (DRIVER, "use std::sync::Mutex;"),
    ] {
        assert!(!broken(file, text).is_empty(), "not found in {file}: {text}");
    }
}

/// And nothing else.
#[test]
fn what_is_allowed_is_not_found() {
    for (file, text) in [
        (CORE, "// a Mutex would do\n/* std::sync::atomic /* Once */ */ fn f() {}"),
        (CORE, "/// Like `std::sync::Mutex`.\nfn f() -> &'static str { \"Mutex \\\" RwLock\" }"),
        (CORE, "use crate::sync::{AtomicU64, Ordering, fence};"),
        (CORE, "fn f() {}\n#[cfg(test)]\nmod tests { use std::sync::Mutex; fn g() { {} } }"),
        (CORE, "#[cfg(test)]\nmod tests;\nfn is_parked() {}"),
        ("crates/reveille-core/src/sync/mod.rs", "pub use std::sync::atomic::Ordering;"),
        (TARGET, "use std::sync::Arc;"),
        (TARGET, "use crate::shared::{Shared, lock};\nfn wake() {}"),
        (TARGET, "fn wake_awaited(e: &E) { drop(lock(&e.awaiting)); }\nfn wake() {}"),
        (TARGET, "fn cancel(&self) -> bool { drop(lock(&self.awaiting)); self.word.cancel() }"),
        (NODE, "struct Extras {\n    pub(crate) awaiting: Mutex<()>,\n}"),
        (ENGINE, "use crate::shared::lock;\nfn attach(s: &S) { drop(lock(&s.seat)); }"),
        (TICKET, "// a lock would do\nuse crate::sync::AtomicU64;"),
        (SHARED, "use crate::sync::{Mutex, MutexGuard};"),
        (STOP, "use crate::sync::{Condvar, Mutex, MutexGuard}; use std::sync::PoisonError;"),
        (DRIVER, "use std::sync::atomic::{AtomicBool, Ordering};"),
        ("crates/reveille/src/sync.rs", "pub(crate) use std::sync::{Condvar, Mutex};"),
    ] {
        let found = broken(file, text);
        assert!(found.is_empty(), "found in {file}: {text}: {found:?}");
    }
}
