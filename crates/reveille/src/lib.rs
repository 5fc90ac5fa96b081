//! A wake-and-heartbeat scheduler that cannot die silently.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod cadence;
mod clock;
mod counters;
mod driver;
mod engine;
mod fault;
mod hub;
mod merge;
mod node;
mod outcome;
mod policy;
mod reasons;
mod registry;
mod run;
mod shared;
mod snapshot;
mod stop;
mod target;
mod wake;

pub use cadence::{Cadence, ZeroPeriod};
pub use clock::{Clock, ManualClock, MonotonicClock};
pub use counters::Counters;
pub use driver::thread::{DriveError, Driver};
pub use engine::{AlreadyDriven, Engine};
pub use fault::{Fault, Place};
pub use hub::{Builder, Installed, Key, Registration, Reveille, StartError};
pub use merge::Merge;
pub use node::Last;
pub use outcome::{Done, Later, NotNow, Outcome};
pub use policy::{Missed, OnReplace, Policy, PolicyError};
pub use reasons::Reasons;
pub use reveille_core::{Disposal, Generation, Tick, Urgency};
pub use run::{Handler, Run};
pub use shared::Ring;
pub use snapshot::{Snapshot, TargetSnapshot, TargetState};
pub use stop::{StopReport, StopTicket};
pub use target::Target;
pub use wake::{Refusal, Refused, Rejected, Wake, Woken};
