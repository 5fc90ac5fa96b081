//! Drives a [`Reveille`] hub on tokio: the driver is a future, runs are tasks, and time is tokio's, so
//! that it can be paused in tests.
//!
//! ```
//! use reveille::{Builder, Outcome, Reveille, SharedRun, Wake};
//! use reveille_tokio::TokioClock;
//! use std::time::Duration;
//!
//! #[tokio::main(flavor = "current_thread", start_paused = true)]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let hub: Reveille = Builder::new().clock(TokioClock::new()).build()?;
//!     tokio::spawn(reveille_tokio::drive(&hub)?);
//!     let _fetching = hub.install_async(|run: SharedRun| async move {
//!         tokio::time::sleep(Duration::from_secs(3)).await;
//!         println!("{} after {:?}", run.key(), run.reasons());
//!         Outcome::ran()
//!     })?;
//!     // An hour passes at once, since tokio's time is paused.
//!     let mail = hub.wake_awaited("mail".to_owned(), Wake::within(Duration::from_secs(3_600)))?;
//!     assert!(mail.await.is_ok());
//!     Ok(())
//! }
//! ```
//!
//! # What runs where
//! | | |
//! | --- | --- |
//! | the driver | wherever its future is polled: give it a task of its own |
//! | asynchronous handlers ([`install_async`](Reveille::install_async)) | a task each, spawned on the driver's runtime |
//! | blocking handlers ([`install`](Reveille::install)) | tokio's threads for blocking work |
//!
//! At most [`Policy::max_active`](reveille::Policy::max_active) of them run at once. Policies that cancel
//! runs ([`OnReplace::Cancel`](reveille::OnReplace::Cancel),
//! [`OnOverrun::Cancel`](reveille::OnOverrun::Cancel)) work here: the future of such a run is dropped at
//! its next `await`, and its wake passes on (P7). A blocking run cannot be made to end: it counts as ended
//! and its wake passes on, but its thread is taken until it returns. A task that the runtime aborts, at its
//! shutdown say, ends its run as aborted: the wake is retained.
//!
//! # Time
//! The driver asks the hub's clock for the instant, and tokio for the sleep, which has a granularity of
//! 1 ms and never ends early. With [`TokioClock`] both are tokio's time. With the default clock, which
//! counts through a suspend of the machine, the driver notices a suspend within
//! [`Policy::max_sleep`](reveille::Policy::max_sleep) (P14); under paused time that clock goes on by
//! itself, so tests that pause want a [`TokioClock`].
//!
//! # Progress
//! Waking is as lock-free as without tokio, but for the ring: it wakes the driver's task through the
//! runtime, which takes short locks of tokio's (P16 excludes the ring).

mod clock;
mod driver;

pub use clock::TokioClock;
pub use driver::{Driver, drive, drive_until};

#[doc(no_inline)]
pub use reveille::Reveille;

/// The README's examples, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
