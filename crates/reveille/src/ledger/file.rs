use super::{LastBeat, Ledger, LedgerError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

const NAME: &str = "reveille-ledger ";
const VERSION: &str = "1";
/// How many refused files are kept.
const ASIDE: usize = 9;

/// A ledger in a file, which is replaced as a whole and checked as a whole.
///
/// Both calls block on the file system; [`store`](Ledger::store) waits until the disk has it.
///
/// ```
/// use reveille::{FileLedger, LastBeat, Ledger};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("beats");
/// let mut ledger = FileLedger::<String>::new(&path);
/// assert!(ledger.load()?.is_empty()); // no file, no entries
///
/// let beat = LastBeat::from_unix_micros(1_732_000_000_000_000);
/// ledger.store(&[("backup".into(), beat)])?;
/// assert_eq!(FileLedger::new(&path).load()?, [("backup".to_string(), beat)]);
/// assert_eq!(
///     std::fs::read_to_string(&path)?,
///     "reveille-ledger 1\n[\"backup\",1732000000000000]\nend 1 dcbe17c4\n",
/// );
/// # Ok(())
/// # }
/// ```
///
/// # Format
/// Text: the line `reveille-ledger 1`; a line `[KEY,MICROS]` of JSON for each entry, MICROS since
/// the Unix epoch; the line `end COUNT CRC`, where CRC is the CRC-32 (that of zip), in eight lower
/// case hexadecimal digits, of all bytes before that line. Anything else is refused.
///
/// # Replacing
/// The new file is written next to the old one, as `.NAME.RANDOM.tmp`, synced, and renamed over
/// it; then the folder is synced (on Unix). A crash leaves the old entries or the new ones, and
/// maybe a temporary file, which is never read and may be deleted. On Unix the file can be read
/// and written by its owner only. A symbolic link is replaced, not followed.
///
/// # Refused files
/// A file whose load was refused (foreign, torn, of another version, with an entry that is none)
/// is never overwritten. The next store first moves it aside, to the first free one of
/// `PATH.refused`, `PATH.refused.2` … `PATH.refused.9`; if all are taken it replaces the last,
/// so that the eight oldest are kept. A store without a load before it looks at the file first.
/// What cannot be read at all, or is no regular file, stays where it is: the store fails too.
///
/// A file has one `FileLedger` at a time: between two, the last to store wins, as a whole.
pub struct FileLedger<K> {
    path: PathBuf,
    standing: Standing,
    keys: PhantomData<fn() -> K>,
}

/// What is known of the file at the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Nothing.
    Unread,
    /// It is ours, or there is none: it may be replaced.
    Ours,
    /// It was refused.
    Refused,
}

impl<K> FileLedger<K> {
    /// The ledger at `path`, in a folder that exists once it is stored. Touches no file yet.
    ///
    /// A relative path is looked up in the working folder of the moment, at each call.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), standing: Standing::Unread, keys: PhantomData }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        }
    }

    fn io(&self, source: io::Error) -> LedgerError {
        LedgerError::Io { path: self.path.clone(), source }
    }

    /// The file's bytes, if there is a file. Never opens what might block: a pipe, a device.
    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        let read = || {
            if !fs::metadata(&self.path)?.is_file() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
            }
            fs::read(&self.path)
        };
        match read() {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A synced file next to the ledger's.
    fn write_beside(&self, bytes: &[u8]) -> io::Result<NamedTempFile> {
        let name = self
            .path
            .file_name()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
        let prefix = [OsStr::new("."), name, OsStr::new(".")].into_iter().collect::<OsString>();
        let mut file =
            tempfile::Builder::new().prefix(&prefix).suffix(".tmp").tempfile_in(self.folder())?;
        file.write_all(bytes)?;
        file.flush()?;
        file.as_file().sync_all()?;
        Ok(file)
    }

    /// Moves the refused file aside.
    fn set_aside(&self) -> io::Result<()> {
        let aside = |number: usize| {
            let mut path = self.path.clone().into_os_string();
            path.push(".refused");
            if number > 1 {
                path.push(format!(".{number}"));
            }
            PathBuf::from(path)
        };
        let mut free = aside(ASIDE);
        for path in (1..ASIDE).map(aside) {
            match fs::symlink_metadata(&path) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    free = path;
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        match fs::rename(&self.path, free) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()), // moved, or somebody took it away
        }
    }

    /// Makes renames in the folder survive a crash of the machine.
    fn sync_folder(&self) -> Result<(), LedgerError> {
        if cfg!(unix) {
            let folder = self.folder();
            fs::File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(|source| LedgerError::Io { path: folder.into(), source })?;
        }
        Ok(())
    }
}

impl<K> fmt::Debug for FileLedger<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileLedger")
            .field("path", &self.path)
            .field("standing", &self.standing)
            .finish_non_exhaustive()
    }
}

impl<K: Serialize + DeserializeOwned + Send + 'static> Ledger<K> for FileLedger<K> {
    /// No file is no entries. Entries come in the order in which they were stored.
    fn load(&mut self) -> Result<Vec<(K, LastBeat)>, LedgerError> {
        self.standing = Standing::Unread;
        let entries = match self.read().map_err(|error| self.io(error))? {
            Some(bytes) => parse(&self.path, &bytes),
            None => Ok(Vec::new()),
        };
        self.standing = if entries.is_ok() { Standing::Ours } else { Standing::Refused };
        entries
    }

    /// Refuses, before it touches a file, keys that could not be read back.
    fn store(&mut self, entries: &[(K, LastBeat)]) -> Result<(), LedgerError> {
        let bytes = render(&self.path, entries)?;
        if self.standing == Standing::Unread
            && let Err(error @ LedgerError::Io { .. }) = self.load()
        {
            return Err(error);
        }
        let file = self.write_beside(&bytes).map_err(|error| self.io(error))?;
        if self.standing == Standing::Refused {
            self.set_aside().map_err(|error| self.io(error))?;
            self.standing = Standing::Ours;
            self.sync_folder()?;
        }
        file.persist(&self.path).map_err(|error| self.io(error.error))?;
        self.sync_folder()
    }
}

/// A ledger's bytes. The last line is the only proof that all of them are there.
fn render<K>(path: &Path, entries: &[(K, LastBeat)]) -> Result<Vec<u8>, LedgerError>
where
    K: Serialize + DeserializeOwned,
{
    let mut bytes = format!("{NAME}{VERSION}\n").into_bytes();
    for (index, (key, beat)) in entries.iter().enumerate() {
        let wrong = |why| LedgerError::Entry { path: path.into(), line: index + 2, why };
        let start = bytes.len();
        serde_json::to_writer(&mut bytes, &(key, beat.as_unix_micros()))
            .map_err(|error| wrong(format!("the key cannot be written: {error}")))?;
        let line = &bytes[start..];
        if line.contains(&b'\n') {
            return Err(wrong("the key is written on more than one line".into()));
        }
        entry::<K>(line).map_err(|why| wrong(format!("the key could not be read back: {why}")))?;
        bytes.push(b'\n');
    }
    let end = end(entries.len(), &bytes);
    bytes.extend_from_slice(end.as_bytes());
    bytes.push(b'\n');
    Ok(bytes)
}

/// The entries in a ledger's bytes; of none that a truncation or a flipped bit has changed.
fn parse<K>(path: &Path, bytes: &[u8]) -> Result<Vec<(K, LastBeat)>, LedgerError>
where
    K: DeserializeOwned,
{
    let first = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    match first.strip_prefix(NAME.as_bytes()) {
        Some(version) if version == VERSION.as_bytes() => {}
        Some(version) if !version.is_empty() && version.iter().all(u8::is_ascii_digit) => {
            return Err(LedgerError::Version { path: path.into(), found: shown(version) });
        }
        _ => return Err(LedgerError::Foreign { path: path.into(), found: shown(first) }),
    }
    let torn = |why| LedgerError::Torn { path: path.into(), why };
    let Some(lines) = bytes.strip_suffix(b"\n") else {
        return Err(torn("it ends within a line".into()));
    };
    let last = lines.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let (kept, last) = lines.split_at(last);
    let lines = kept.split_inclusive(|&byte| byte == b'\n').skip(1);
    let end = end(lines.clone().count(), kept);
    if last != end.as_bytes() {
        return Err(torn(format!("its last line is {:?}, not {end:?}", shown(last))));
    }
    let read = |(index, line)| {
        entry(line).map_err(|why| LedgerError::Entry { path: path.into(), line: index + 2, why })
    };
    lines.enumerate().map(read).collect()
}

/// The last line after `bytes`, without its line feed.
fn end(count: usize, bytes: &[u8]) -> String {
    format!("end {count} {:08x}", crc32fast::hash(bytes))
}

/// The entry on a line, with or without its line feed.
fn entry<K: DeserializeOwned>(line: &[u8]) -> Result<(K, LastBeat), String> {
    match serde_json::from_slice(line) {
        Ok((key, micros)) => Ok((key, LastBeat::from_unix_micros(micros))),
        Err(error) => {
            // JSON's own line count is always 1 here.
            let why = error.to_string();
            let why = why.rsplit_once(" at line ").map_or(&*why, |(why, _)| why);
            Err(format!("{why} at column {}", error.column()))
        }
    }
}

/// The start of what was found, to be shown.
fn shown(bytes: &[u8]) -> String {
    match bytes.split_at_checked(64) {
        Some((start, [_, ..])) => String::from_utf8_lossy(start) + "…",
        _ => String::from_utf8_lossy(bytes),
    }
    .into_owned()
}
