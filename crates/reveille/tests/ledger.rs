//! The ledger in a file: what it keeps, what it refuses, and what it never loses.
#![cfg(feature = "ledger")]
#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

use reveille::{FileLedger, LastBeat, Ledger, LedgerError, MemoryLedger};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fmt::Debug;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

type Entries<K> = Vec<(K, LastBeat)>;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Account {
    tenant: String,
    number: u64,
    shard: Option<u8>,
}

fn at(micros: i64) -> LastBeat {
    LastBeat::from_unix_micros(micros)
}

fn named(keys: &[&str]) -> Entries<String> {
    keys.iter().zip(1_732_000_000_000_000..).map(|(key, n)| (key.to_string(), at(n))).collect()
}

/// A folder with a place for a ledger.
struct Place {
    folder: TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beats");
        Self { folder, path }
    }

    fn holding(bytes: impl AsRef<[u8]>) -> Self {
        let place = Self::new();
        fs::write(&place.path, bytes).unwrap();
        place
    }

    fn ledger(&self) -> FileLedger<String> {
        FileLedger::new(&self.path)
    }

    fn load<K>(&self) -> Result<Entries<K>, LedgerError>
    where
        K: Serialize + DeserializeOwned + Send + 'static,
    {
        FileLedger::new(&self.path).load()
    }

    fn store<K>(&self, entries: &[(K, LastBeat)]) -> Vec<u8>
    where
        K: Serialize + DeserializeOwned + Send + 'static,
    {
        FileLedger::new(&self.path).store(entries).unwrap();
        fs::read(&self.path).unwrap()
    }

    /// The names in the folder.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }
}

fn round_trip<K>(entries: &[(K, LastBeat)])
where
    K: Serialize + DeserializeOwned + Send + PartialEq + Debug + 'static,
{
    let place = Place::new();
    let bytes = place.store(entries);
    assert_eq!(place.load::<K>().unwrap(), entries);
    assert_eq!(bytes.iter().filter(|&&byte| byte == b'\n').count(), entries.len() + 2);
    assert_eq!(place.names(), ["beats"]);
}

/// It is refused, and the error names the file.
#[track_caller]
fn refused(place: &Place) -> LedgerError {
    let error = place.load::<String>().unwrap_err();
    let path = place.path.display().to_string();
    assert!(error.to_string().contains(&path), "{error} does not name {path}");
    error
}

#[test]
fn entries_round_trip() {
    round_trip::<String>(&[]);
    round_trip(&named(&[
        "plain",
        "",
        "line\nfeed\r\n",
        "\"quoted\" \\",
        "end 1 00000000",
        "é\u{0}🦀",
    ]));
    round_trip(&[(0_u64, at(0)), (u64::MAX, at(i64::MAX)), (7, at(i64::MIN))]);
    round_trip(&[(-1_i128, at(-1)), (i128::MIN, at(1))]);
    let account = |shard| Account { tenant: "a\nb".into(), number: u64::MAX, shard };
    round_trip(&[(account(None), at(1)), (account(Some(3)), at(2))]);
    round_trip(&[((1_u8, "x".to_string()), at(1)), ((2, "]\n".to_string()), at(2))]);
}

#[test]
fn the_format_is_what_the_documentation_says() {
    let place = Place::new();
    let text = String::from_utf8(place.store(&named(&["a", "b\n"]))).unwrap();
    let body = "reveille-ledger 1\n[\"a\",1732000000000000]\n[\"b\\n\",1732000000000001]\n";
    assert_eq!(text, format!("{body}end 2 {:08x}\n", crc32(body.as_bytes())));
}

/// CRC-32 by the book, so that the format does not depend on a crate's choice.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

#[test]
fn a_store_replaces_all() {
    let place = Place::new();
    let mut ledger = place.ledger();
    assert_eq!(ledger.load().unwrap(), []);
    for entries in [named(&["a", "b", "c"]), named(&["d"]), named(&[])] {
        ledger.store(&entries).unwrap();
        assert_eq!(ledger.load().unwrap(), entries);
        assert_eq!(place.load::<String>().unwrap(), entries);
    }
    assert_eq!(ledger.path(), place.path);
    assert_eq!(place.names(), ["beats"]);
}

/// Any change at all is refused: no fewer entries are loaded, and no others.
#[test]
fn no_truncation_and_no_flipped_bit_changes_entries() {
    for entries in [named(&[]), named(&["a"]), named(&["backup", "line\nfeed", "", "\"[1,2]\""])] {
        let place = Place::new();
        let bytes = place.store(&entries);
        assert_eq!(place.load::<String>().unwrap(), entries);
        let check = |bytes: &[u8], what: String| {
            fs::write(&place.path, bytes).unwrap();
            match place.load::<String>() {
                Ok(loaded) => panic!("{what}: loaded {loaded:?}"),
                Err(LedgerError::Io { source, .. }) => panic!("{what}: {source}"),
                Err(error) => assert!(error.to_string().contains("beats"), "{what}: {error}"),
            }
        };
        for length in 0..bytes.len() {
            check(&bytes[..length], format!("cut to {length}"));
        }
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            check(&bytes, format!("bit {} of byte {} flipped", bit % 8, bit / 8));
        }
        for more in [&b"\n"[..], b"\0", b"end 0 00000000\n", &bytes] {
            check(&[&bytes, more].concat(), format!("{more:?} appended"));
        }
        let lines: Vec<_> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
        for (index, line) in lines.iter().enumerate() {
            let (mut fewer, mut twice) = (lines.clone(), lines.clone());
            fewer.remove(index);
            twice.insert(index, line);
            check(&fewer.concat(), format!("line {index} gone"));
            check(&twice.concat(), format!("line {index} doubled"));
        }
    }
}

#[test]
fn what_is_no_ledger_is_refused() {
    let long = [b'x'; 5000];
    let foreign: [&[u8]; 7] = [
        b"",
        b"\n",
        b"[package]\nname = \"x\"\n",
        b"\0\xff\xfe\n\x80",
        b"reveille-ledger",
        b"{}",
        &long,
    ];
    for bytes in foreign {
        let error = refused(&Place::holding(bytes));
        assert!(matches!(error, LedgerError::Foreign { .. }), "{bytes:?}: {error}");
        assert!(error.to_string().len() < 300 && !error.to_string().contains('\n'), "{error}");
    }
    for text in ["reveille-ledger \n", "reveille-ledger 1\r\n", "reveille-ledger one\n"] {
        assert!(matches!(refused(&Place::holding(text)), LedgerError::Foreign { .. }), "{text}");
    }
}

#[test]
fn versions_tears_and_entries_are_told_apart() {
    let error = refused(&Place::holding("reveille-ledger 12\nwhatever\n"));
    assert!(matches!(&error, LedgerError::Version { found, .. } if found == "12"), "{error}");

    for text in ["reveille-ledger 1", "reveille-ledger 1\n", "reveille-ledger 1\n[\"a\",1]\n"] {
        let error = refused(&Place::holding(text));
        assert!(matches!(error, LedgerError::Torn { .. }), "{text}: {error}");
    }
    let body = "reveille-ledger 1\n[\"a\",1]\n";
    let sum = crc32(body.as_bytes());
    for end in [format!("end 2 {sum:08x}\n"), format!("end 1 {:08x}\n", sum ^ 1)] {
        let error = refused(&Place::holding(format!("{body}{end}")));
        assert!(matches!(error, LedgerError::Torn { .. }), "{end}: {error}");
    }

    let place = Place::new();
    place.store(&[(1_u64, at(1)), (2, at(2))]);
    let error = refused(&place); // integers are no strings
    assert!(matches!(error, LedgerError::Entry { line: 2, .. }), "{error}");
    assert!(!error.to_string().contains("at line"), "{error}");
}

#[test]
fn a_refused_file_is_kept() {
    let place = Place::holding("precious = true\n");
    let mut ledger = place.ledger();
    ledger.load().unwrap_err();
    assert_eq!(place.names(), ["beats"]); // a load moves nothing
    ledger.store(&named(&["a"])).unwrap();
    assert_eq!(place.text("beats.refused"), "precious = true\n");
    assert_eq!(place.load::<String>().unwrap(), named(&["a"]));
    ledger.store(&named(&["b"])).unwrap();
    assert_eq!(place.load::<String>().unwrap(), named(&["b"]));
    assert_eq!(place.names(), ["beats", "beats.refused"]); // the first store only
}

/// A hub that stores before it loads overwrites nothing either.
#[test]
fn a_refused_file_is_kept_without_a_load() {
    let place = Place::holding("precious = true\n");
    place.store(&named(&["a"]));
    assert_eq!(place.text("beats.refused"), "precious = true\n");
    assert_eq!(place.load::<String>().unwrap(), named(&["a"]));
}

#[test]
fn nine_refused_files_are_kept_and_the_last_is_replaced() {
    let place = Place::new();
    for round in 1..=11 {
        fs::write(&place.path, format!("round {round}")).unwrap();
        place.store(&named(&["a"]));
    }
    let numbered = (2..=9).map(|number| format!("beats.refused.{number}"));
    let refused: Vec<_> =
        ["beats", "beats.refused"].map(String::from).into_iter().chain(numbered).collect();
    assert_eq!(place.names(), refused);
    assert_eq!(place.text("beats.refused"), "round 1");
    assert_eq!(place.text("beats.refused.8"), "round 8");
    assert_eq!(place.text("beats.refused.9"), "round 11");
}

/// Nothing is set aside for entries that cannot be written.
#[test]
fn a_store_that_fails_leaves_the_refused_file() {
    let place = Place::holding("precious = true\n");
    let mut ledger = FileLedger::<f64>::new(&place.path);
    ledger.load().unwrap_err();
    let error = ledger.store(&[(1.0, at(1)), (f64::NAN, at(2))]).unwrap_err();
    assert!(matches!(error, LedgerError::Entry { line: 3, .. }), "{error}");
    assert_eq!(place.names(), ["beats"]);
    assert_eq!(place.text("beats"), "precious = true\n");
}

#[test]
fn a_crash_before_the_rename_leaves_the_old_entries() {
    let place = Place::new();
    let old = place.store(&named(&["old"]));
    let newer = Place::new().store(&named(&["new"]));
    for (name, bytes) in [(".beats.Ab12Cd.tmp", &newer[..]), (".beats.x.tmp", &newer[..9])] {
        fs::write(place.folder.path().join(name), bytes).unwrap();
    }
    assert_eq!(place.load::<String>().unwrap(), named(&["old"]));
    assert_eq!(fs::read(&place.path).unwrap(), old);
    place.store(&named(&["newest"]));
    assert_eq!(place.load::<String>().unwrap(), named(&["newest"]));
    assert_eq!(place.names(), [".beats.Ab12Cd.tmp", ".beats.x.tmp", "beats"]);
}

#[track_caller]
fn is_io(error: &LedgerError, path: &Path) {
    assert!(matches!(error, LedgerError::Io { path: at, .. } if at == path), "{error}");
    assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
    assert!(error.source().is_some(), "{error}");
}

#[test]
fn a_folder_that_is_none_is_an_error_that_names_the_path() {
    let place = Place::holding("a file");
    let missing = place.folder.path().join("missing").join("beats");
    let mut ledger = FileLedger::<String>::new(&missing);
    assert_eq!(ledger.load().unwrap(), []);
    is_io(&ledger.store(&named(&["a"])).unwrap_err(), &missing);

    let below = place.path.join("beats");
    is_io(&FileLedger::<String>::new(&below).store(&named(&["a"])).unwrap_err(), &below);
}

#[cfg(unix)]
#[test]
fn an_unwritable_folder_is_an_error_that_names_the_path() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    place.store(&named(&["old"]));
    let allow = |mode| {
        fs::set_permissions(place.folder.path(), fs::Permissions::from_mode(mode)).unwrap();
    };
    allow(0o500);
    let probe = fs::write(place.folder.path().join("probe"), "");
    let stored = place.ledger().store(&named(&["new"]));
    allow(0o700);
    if probe.is_ok() {
        return; // root may write anywhere
    }
    let error = stored.unwrap_err();
    is_io(&error, &place.path);
    let LedgerError::Io { source, .. } = error else { unreachable!() };
    assert_eq!(source.kind(), ErrorKind::PermissionDenied);
    assert_eq!(place.load::<String>().unwrap(), named(&["old"]));
}

/// A folder in the file's place is neither read, nor replaced, nor moved aside.
#[test]
fn what_is_no_file_stays_where_it_is() {
    let place = Place::new();
    fs::create_dir(&place.path).unwrap();
    let mut ledger = place.ledger();
    is_io(&ledger.load().unwrap_err(), &place.path);
    is_io(&ledger.store(&named(&["a"])).unwrap_err(), &place.path);
    assert!(place.path.is_dir());
    assert_eq!(place.names(), ["beats"]);

    fs::remove_dir(&place.path).unwrap();
    ledger.store(&named(&["a"])).unwrap(); // it recovers by itself
    assert_eq!(ledger.load().unwrap(), named(&["a"]));
}

/// A device is not read, and the link to it is not replaced.
#[cfg(unix)]
#[test]
fn a_link_to_a_device_stays() {
    let place = Place::new();
    std::os::unix::fs::symlink("/dev/null", &place.path).unwrap();
    let mut ledger = place.ledger();
    is_io(&ledger.load().unwrap_err(), &place.path);
    is_io(&ledger.store(&named(&["a"])).unwrap_err(), &place.path);
    assert!(place.path.is_symlink());
}

/// Whoever reads while another stores sees all of the old or all of the new.
#[test]
fn a_reader_never_sees_a_mix() {
    let place = Place::new();
    let versions = [named(&["a"; 40]), named(&["b"; 400])];
    place.store(&versions[0]);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut ledger = place.ledger();
            for round in 0..100 {
                ledger.store(&versions[round % 2]).unwrap();
            }
        });
        while !writer.is_finished() {
            assert!(versions.contains(&place.load().unwrap()));
        }
    });
}

#[test]
fn ledgers_are_exchangeable() {
    let place = Place::new();
    let kept = MemoryLedger::new();
    let ledgers: [Box<dyn Ledger<String>>; 2] = [Box::new(place.ledger()), Box::new(kept.clone())];
    for mut ledger in ledgers {
        assert_eq!(ledger.load().unwrap(), []);
        ledger.store(&named(&["a"])).unwrap();
        assert_eq!(ledger.load().unwrap(), named(&["a"]));
    }
    assert_eq!(kept.clone().load().unwrap(), place.load::<String>().unwrap());
}
