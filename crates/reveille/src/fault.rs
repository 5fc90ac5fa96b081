//! One panic policy for foreign code that runs on our threads (P18).

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What went wrong beside the schedule, which goes on: a panic of user code that was contained, a run
/// past its limit, a ledger or a thread that could not be had; or that it does not go on: a stall. As the observer of a hub sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// What: the panic's message, where it was text.
    pub message: String,
}

/// Where a fault came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A handler, in a run. Its wake is retried like that of a failed run.
    Handler,
    /// The hub's clock; the last instant was used in its place.
    Clock,
    /// A `Merge`; the payload that a run gave back was dropped, the wake kept.
    Merge,
    /// The `Drop` of a handler, key or payload.
    Drop,
    /// The engine itself. The hub has stopped, and refuses wakes from here on.
    Engine,
    /// A ledger could not be loaded, stored, or be kept on a thread of its own; the schedule goes on.
    Ledger,
    /// A run passed its limit; the snapshot says whose. No panic.
    RunLimit,
    /// A worker thread could not be started: its run was aborted and is tried again. Or the driver's timer slack
    /// could not be set.
    Spawn,
    /// A re-check found a target that had been forgotten: a defect of this library, made up for. No
    /// panic.
    Recheck,
    /// A [`Watch`](crate::Watch) saw the hub stall; the message says why. No panic, and counted as a
    /// stall.
    Stall,
    /// The callback of a watch, or what it called.
    Watch,
    /// A subscriber of traces (feature `tracing`).
    Trace,
    /// A recorder of metrics (feature `metrics`).
    Metrics,
    /// systemd could not be notified (feature `systemd`). No panic.
    Systemd,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.place, self.message)
    }
}

/// Who is told of faults.
pub(crate) type Observer = Box<dyn Fn(&Fault) + Send + Sync>;

/// Runs foreign code; a panic becomes its message.
///
/// What the code touched may be left half-done by its panic. Our own state is not in its reach:
/// each caller hands it values, never a borrow of the engine.
pub(crate) fn contain<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(code)).map_err(message)
}

/// The text of a panic. Its payload may panic when dropped, so it is not dropped.
fn message(panic: Box<dyn Any + Send>) -> String {
    let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => {
            std::mem::forget(panic);
            return "a panic without text".to_owned();
        }
    };
    drop(panic);
    text
}
