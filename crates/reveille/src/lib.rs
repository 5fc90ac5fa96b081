//! A wake-and-heartbeat scheduler that cannot die silently: one replaceable handler, many targets,
//! each run on a cadence, on request, and never twice at once.
//!
//! ```
//! use reveille::{Disposal, Reveille, Wake};
//! use std::{sync::mpsc, time::Duration};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let hub: Reveille = Reveille::start()?; // a driver thread of its own
//! let (sender, runs) = mpsc::channel();
//! let old = hub.install(|_| ())?;
//! let new = hub.install(move |run| drop(sender.send(run.key().clone())))?;
//! assert_eq!(old.dispose(), Disposal::Superseded); // a stale clean-up clears nothing
//!
//! hub.wake("main".into(), Wake::now());
//! assert_eq!(runs.recv_timeout(Duration::from_secs(10))?, "main");
//! # drop(new);
//! # Ok(())
//! # }
//! ```
//!
//! # Where to start
//! | | |
//! | --- | --- |
//! | [`Reveille`] | the hub: install handlers, wake targets, stop |
//! | [`Target`] | a handle to one target: wake it, give it a [`Cadence`], remove it |
//! | [`Runner`], [`Roster`] | a handler and its cadences as one value, for reloads |
//! | [`Ticket`] | what became of an awaited wake: a future, or to be waited for |
//! | [`Run`], [`Outcome`] | what a handler gets, and what it says |
//! | [`Policy`] | every limit, with its default |
//! | [`Counters`], [`Snapshot`] | what happened, and how things are |
//! | [`Health`], [`Watch`] | whether it keeps its promises, asked for or told |
//! | [`Ledger`] | last beats, kept across restarts |
//! | [`Engine`], [`ManualClock`] | driving a hub by hand, for tests on virtual time |
//!
//! # Words
//! A *hub* is one scheduler: one handler slot, many targets, one driver. A *target* is what is
//! woken: a key, with at most one run in flight. A *wake* is a request that a target be run by some
//! instant; wakes that wait merge. A *beat* is a wake made by a target's *cadence*. A *run* is one
//! call of the handler for one target, and ends in an *outcome*. A *floor* is the instant before
//! which a target may not start. A *registration* owns an installed handler; its *generation* is
//! unique and grows. A *turn* is one step of the engine, a *driver* what calls it and sleeps.
//!
//! # Promises
//! Cited by number throughout. Exact meanings and the checks of each are in `docs/PROMISES.md` of
//! the repository.
//!
//! | | |
//! | --- | --- |
//! | P1 ownership | a registration clears the slot only while current; a runner takes back only its own |
//! | P2 generations | grow in the order in which installs took effect; every run knows its own |
//! | P3 no lost wake | after `wake` returned, a run starts for it, or it waits, or it was refused |
//! | P4 visibility | what was written before `wake` is seen by the run that serves it |
//! | P5 earliest wins | an earlier request preempts, a later one coalesces; never late, but for barriers |
//! | P6 one run | no target runs twice at once, across replacement and removal too |
//! | P7 once | a wake that was served is never run again; another passes to the next handler |
//! | P8 cadence | armed, pending or running until removed or stopped, whatever runs do |
//! | P9 floors | nothing shortens a floor; a new handler starts clean |
//! | P10 isolation | no outcome, panic or hang of one target harms another; a barrier runs alone, and a driver may be told to run handlers [itself](Precision::inline) |
//! | P11 no spin | nothing re-arms at zero delay in vain; far futures are never |
//! | P12 conservation | accepted + retried = started + coalesced + pending + refused + discarded |
//! | P13 stop | idempotent, from anywhere, one report, nothing starts after it |
//! | P14 clock | monotonic, through a suspend where the system can |
//! | P15 bounded | memory grows with targets, not with requests |
//! | P16 progress | wake by handle, install, dispose and load are lock-free |
//! | P17 reload | an unchanged cadence keeps its next instant, alone or in a roster |
//! | P18 tell | every decision is returned, counted or traced; panics and stalls are reported |
//!
//! # Costs and limits
//! A wake that coalesces is a fence, a few loads and two counters; one that is published is some
//! ten atomic operations, and a system call only where the driver would oversleep. Nothing on
//! the way allocates, but payloads. Awaited wakes allocate, and may wait for a cancel of their
//! target. [`health`](Reveille::health) and the re-check ([`Policy::recheck`]) look at every target.
//! Due instants reach 35 years; reasons are eight bits; a hub has at most
//! [`Policy::max_targets`] targets; [`Policy::flood`] remembers at most 1,000 starts of each.
//!
//! # Features
//! None is on by default.
//!
//! | | |
//! | --- | --- |
//! | `calendar` | active hours, `Hours`, in the civil time of a zone; brings `jiff` |
//! | `metrics` | `Meters`: counters, gauges and histograms for a recorder of the `metrics` facade |
//! | `serde` | `Snapshot`, `Health` and what is in them can be serialised |
//! | `systemd` | `Feeder`: READY, and a watchdog fed by beats that were done; Linux; brings `sd-notify` |
//! | `tracing` | spans and events with stable names |
//! | `ledger` | `FileLedger`, a ledger in a file; brings `serde`, `serde_json`, `tempfile`, `crc32fast` |
//!
//! # Panics
//! Contained by unwinding: with `panic = "abort"` a panic of a handler ends the process.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod asynchronous;
mod cadence;
mod clock;
mod counters;
mod driver;
mod engine;
mod fault;
mod health;
mod history;
#[cfg(feature = "calendar")]
mod hours;
mod hub;
mod installed;
mod ledger;
mod marks;
mod merge;
#[cfg(feature = "metrics")]
mod meters;
mod node;
mod outcome;
mod policy;
mod reasons;
mod registry;
mod run;
mod runner;
#[cfg(feature = "serde")]
mod serial;
mod setting;
mod shared;
mod snapshot;
mod stop;
mod sync;
#[cfg(all(feature = "systemd", target_os = "linux"))]
mod systemd;
mod target;
mod ticket;
mod trace;
mod wake;
mod watch;

pub use asynchronous::{AsyncHandler, SharedRun, StartedAsync};
pub use cadence::{Cadence, ZeroPeriod};
pub use clock::{Clock, ManualClock, MonotonicClock};
pub use counters::Counters;
pub use driver::precision::Precision;
pub use driver::thread::{DriveError, Driver};
pub use engine::{AlreadyDriven, Engine};
pub use fault::{Fault, Place};
pub use health::{Concern, Condition, Health};
pub use history::History;
#[cfg(feature = "calendar")]
#[cfg_attr(docsrs, doc(cfg(feature = "calendar")))]
pub use hours::{Hours, HoursError};
pub use hub::{Builder, Installed, Key, Registration, Reveille, StartError};
pub use installed::RetireError;
#[cfg(feature = "ledger")]
#[cfg_attr(docsrs, doc(cfg(feature = "ledger")))]
pub use ledger::FileLedger;
pub use ledger::{LastBeat, Ledger, LedgerError, LedgerKeeper, MemoryLedger};
pub use merge::Merge;
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub use meters::Meters;
pub use node::Last;
pub use outcome::{Done, Later, NotNow, Outcome};
pub use policy::{Flood, Jitter, Missed, OnOverrun, OnReplace, Policy, PolicyError};
pub use reasons::Reasons;
pub use reveille_core::{Disposal, Generation, Tick, Urgency};
pub use run::{Handler, Run};
pub use runner::{Roster, Runner, RunnerStopped, Started, Updated};
pub use shared::Ring;
pub use snapshot::{Snapshot, TargetSnapshot, TargetState};
pub use stop::{StopReport, StopTicket};
#[cfg(all(feature = "systemd", target_os = "linux"))]
#[cfg_attr(docsrs, doc(cfg(feature = "systemd")))]
pub use systemd::Feeder;
pub use target::Target;
pub use ticket::{Answer, Ticket, Unserved};
pub use wake::{Refusal, Refused, Rejected, Wake, Woken, WokenAll};
pub use watch::{Lookout, Watch, WatchPolicy};

/// The README's examples, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
