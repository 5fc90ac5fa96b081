use crate::clock::process_deadline;
use crate::engine::Engine;
use crate::hub::Key;
use crate::merge::Merge;
use crate::reasons::Reasons;
use reveille_core::Tick;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};
use std::{hint, io, thread};

/// How promptly a [`Driver`](crate::Driver) starts what is due, and at which price. By default as the system
/// does it, never early, and late by its timer slack (50 µs on Linux) and the time that it takes to wake two
/// threads: its own, and a worker that runs the handler.
///
/// ```
/// use reveille::{Builder, Precision, Reveille, Run, Wake};
/// use std::time::Duration;
///
/// let hub: Reveille<&str> = Builder::new().build()?;
/// let precise = Precision::new()
///     .timer_slack(Duration::from_nanos(1))
///     .spin(Duration::from_micros(50));
/// let driver = hub.drive_with(precise)?;
/// hub.install(|run: &Run<&str>| assert_eq!(*run.key(), "pulse"))?.keep();
/// hub.wake_awaited("pulse", Wake::within(Duration::from_millis(2)))?.wait()?;
/// # drop(driver);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "it says how `drive_with` is to drive"]
pub struct Precision {
    spin: Duration,
    timer_slack: Option<Duration>,
    inline: bool,
}

impl Precision {
    /// As the system does it.
    pub const fn new() -> Self {
        Self { spin: Duration::ZERO, timer_slack: None, inline: false }
    }

    /// Has the driver awake so long before each instant at which something is due, looking at the clock: so it
    /// need not be woken then. A core is busy for that long each time; 50 µs hide what most systems need.
    /// What is asked for meanwhile, a stop included, is served at once (P5).
    pub const fn spin(mut self, last: Duration) -> Self {
        self.spin = last;
        self
    }

    /// Lets the system wake the driver's thread at most so much late in order to spare it wake-ups: whole
    /// nanoseconds, at least one. Linux and Android only; elsewhere it changes nothing. Workers inherit it
    /// from the driver. A system that refuses it is reported ([`Place::Spawn`](crate::Place::Spawn)), and the
    /// driver goes on. See `PR_SET_TIMERSLACK` in prctl(2).
    pub const fn timer_slack(mut self, slack: Duration) -> Self {
        self.timer_slack = Some(slack);
        self
    }

    /// Has the driver's own thread run the handlers, one after the other: no run passes from thread to thread,
    /// which is most of what a short one costs. The price is isolation (P10): **a handler that blocks or hangs
    /// holds up all targets**, since there are no workers. A hub that is held up so says it
    /// ([`Concern::DriverLate`](crate::Concern::DriverLate)), and goes on when the handler returns.
    ///
    /// A handler must not wait for another run of its hub, for which nobody is left: to wait for a
    /// [`Ticket`](crate::Ticket) of one ends at once, as [`Unserved::InsideRun`](crate::Unserved::InsideRun); to
    /// await it never ends. Dropping the [`Driver`](crate::Driver) waits until a run in flight has returned.
    pub const fn inline(mut self) -> Self {
        self.inline = true;
        self
    }

    /// Whether the driver's thread runs the handlers.
    pub(super) const fn is_inline(self) -> bool {
        self.inline
    }

    /// For the driver's thread, on it.
    pub(super) fn set_timer_slack(self) -> io::Result<()> {
        let Some(slack) = self.timer_slack else { return Ok(()) };
        let nanos = u64::try_from(slack.as_nanos()).unwrap_or(u64::MAX);
        // None would mean what the thread began with.
        let nanos = NonZeroU64::new(nanos).unwrap_or(NonZeroU64::MIN);
        set_current_timer_slack(nanos)
    }

    /// Sleeps until `until` or a ring, whichever is first, or less: early is allowed, late never. Where something
    /// `is_due` then, it spins at the end, for as long as it `goes_on`.
    pub(super) fn sleep<K: Key, R: Reasons, P: Merge>(
        self,
        engine: &Engine<K, R, P>,
        until: Tick,
        is_due: bool,
        goes_on: impl Fn() -> bool,
    ) {
        let spin = if is_due { self.spin } else { Duration::ZERO };
        thread::park_timeout(until.since(engine.now()).saturating_sub(spin));
        let left = until.since(engine.now());
        if left.is_zero() || left > spin {
            return; // it is time, or somebody has rung
        }
        // By the process's clock too: the hub's may stand still.
        let end = process_deadline(left);
        while engine.now() < until && goes_on() && end.is_some_and(|end| Instant::now() < end) {
            hint::spin_loop();
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn set_current_timer_slack(nanos: NonZeroU64) -> io::Result<()> {
    Ok(rustix::thread::set_current_timer_slack(Some(nanos))?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[expect(clippy::unnecessary_wraps, reason = "as where it can fail")]
fn set_current_timer_slack(_: NonZeroU64) -> io::Result<()> {
    Ok(())
}
