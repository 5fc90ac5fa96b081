//! When each target last beat, kept across restarts of the process.
//!
//! | file | what it does |
//! | --- | --- |
//! | `mod` | what a ledger is, and one in memory |
//! | `file` | one in a file, behind the feature `ledger` |
//! | `keeper` | the thread that keeps one for a hub |

#[cfg(feature = "ledger")]
mod file;
mod keeper;

#[cfg(feature = "ledger")]
pub use file::FileLedger;
pub use keeper::LedgerKeeper;

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// When a target last beat, by the wall clock: microseconds since the Unix epoch.
///
/// Negative before the epoch. Covers some 292,000 years either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LastBeat(i64);

impl LastBeat {
    /// The instant `micros` microseconds after the Unix epoch.
    pub const fn from_unix_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_unix_micros(self) -> i64 {
        self.0
    }
}

impl From<SystemTime> for LastBeat {
    /// Rounds down to whole microseconds; saturates at either end.
    fn from(time: SystemTime) -> Self {
        Self(match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
            Err(before) => {
                let micros = before.duration().as_nanos().div_ceil(1000);
                i64::try_from(micros).map_or(i64::MIN, |micros| -micros)
            }
        })
    }
}

/// Where last beats are kept across restarts.
///
/// Its calls may block: `load` is called by whoever hands it to the hub, `store` on a thread of its
/// own, never on the driver's; one at a time.
///
/// ```
/// use reveille::{LastBeat, Ledger, LedgerError, MemoryLedger};
///
/// # fn main() -> Result<(), LedgerError> {
/// let kept = MemoryLedger::new();
/// let mut before = kept.clone(); // the hub's
/// before.store(&[("backup", LastBeat::from_unix_micros(1_732_000_000_000_000))])?;
///
/// let mut after = kept; // the next hub's
/// let [("backup", beat)] = after.load()?[..] else { panic!("not kept") };
/// assert_eq!(beat.as_unix_micros(), 1_732_000_000_000_000);
/// # Ok(())
/// # }
/// ```
pub trait Ledger<K>: Send + 'static {
    /// All entries kept. May block.
    ///
    /// # Errors
    /// Nothing usable is kept: the schedule goes on without, and the error is reported.
    fn load(&mut self) -> Result<Vec<(K, LastBeat)>, LedgerError>;

    /// Replaces all entries; after `Ok` they survive a crash of the process or the machine, unless
    /// the implementation says otherwise. May block.
    ///
    /// # Errors
    /// The entries may not have been kept. What is kept is all of the old ones or all of the new
    /// ones.
    fn store(&mut self, entries: &[(K, LastBeat)]) -> Result<(), LedgerError>;
}

/// Why a ledger could not be loaded or stored.
#[derive(Debug)]
#[non_exhaustive]
pub enum LedgerError {
    /// The system refused to read or write.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a ledger: its first line is something else.
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its first line, cut after 64 bytes; empty if the file is.
        found: String,
    },
    /// The file is a ledger of a version that is not known here.
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: String,
    },
    /// The file is truncated, or its checksum or its count differs.
    Torn {
        /// The file.
        path: PathBuf,
        /// What differs.
        why: String,
    },
    /// An entry cannot be read, or could not be read back once written.
    Entry {
        /// The file.
        path: PathBuf,
        /// The entry's line, counted from 1, which is the file's first.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// What a ledger of another kind says.
    Other(Box<dyn Error + Send + Sync>),
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, source } => write!(f, "the ledger {}: {source}", path.display()),
            Self::Foreign { path, found } if found.is_empty() => {
                write!(f, "{} is not a ledger: its first line is empty", path.display())
            }
            Self::Foreign { path, found } => {
                write!(f, "{} is not a ledger: its first line is {found:?}", path.display())
            }
            Self::Version { path, found } => {
                write!(f, "the ledger {} has version {found}, not 1", path.display())
            }
            Self::Torn { path, why } => write!(f, "the ledger {} is torn: {why}", path.display()),
            Self::Entry { path, line, why } => {
                write!(f, "the ledger {}, line {line}: {why}", path.display())
            }
            Self::Other(error) => error.fmt(f),
        }
    }
}

impl Error for LedgerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Other(error) => Some(&**error),
            _ => None,
        }
    }
}

/// A ledger in memory, for tests: clones are handles to the same entries.
///
/// They live as long as one handle does, and survive no crash. Never fails, and blocks only while
/// another handle copies.
#[derive(Debug)]
pub struct MemoryLedger<K>(Arc<Mutex<Vec<(K, LastBeat)>>>);

impl<K> MemoryLedger<K> {
    /// An empty one.
    pub fn new() -> Self {
        Self(Arc::default())
    }

    fn entries(&self) -> MutexGuard<'_, Vec<(K, LastBeat)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> Default for MemoryLedger<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K> Clone for MemoryLedger<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Clone + Send + 'static> Ledger<K> for MemoryLedger<K> {
    fn load(&mut self) -> Result<Vec<(K, LastBeat)>, LedgerError> {
        Ok(self.entries().clone())
    }

    fn store(&mut self, entries: &[(K, LastBeat)]) -> Result<(), LedgerError> {
        let entries = entries.to_vec(); // a key's clone may panic: not with the old ones gone
        *self.entries() = entries;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn beats_round_down_and_saturate() {
        let beat = |time: Option<SystemTime>| time.map(|time| LastBeat::from(time).0);
        let (after, before) = (
            |nanos| beat(UNIX_EPOCH.checked_add(Duration::from_nanos(nanos))),
            |nanos| beat(UNIX_EPOCH.checked_sub(Duration::from_nanos(nanos))),
        );
        assert_eq!((after(0), after(1999), after(2000)), (Some(0), Some(1), Some(2)));
        assert_eq!((before(100), before(2000), before(2100)), (Some(-1), Some(-2), Some(-3)));
        // Where the system's clock reaches that far.
        let far = Duration::from_secs(i64::MAX as u64 / 2);
        assert!(beat(UNIX_EPOCH.checked_add(far)).is_none_or(|micros| micros == i64::MAX));
        assert!(beat(UNIX_EPOCH.checked_sub(far)).is_none_or(|micros| micros == i64::MIN));
    }

    #[test]
    fn errors_say_what_and_name_their_source() {
        let refused = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let io = LedgerError::Io { path: "beats".into(), source: refused };
        assert!(io.to_string().contains("beats") && io.source().is_some());
        let other = LedgerError::Other("the database is away".into());
        assert_eq!(other.to_string(), "the database is away");
        assert!(other.source().is_some());
        let version = LedgerError::Version { path: "beats".into(), found: "2".into() };
        assert_eq!(version.to_string(), "the ledger beats has version 2, not 1");
        assert!(version.source().is_none());
    }
}
