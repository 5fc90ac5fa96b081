//! The one file that reads a clock.

use reveille_core::Tick;
use reveille_core::sync::{Arc, Ordering, PlainU64};
use std::fmt;
use std::time::{Duration, Instant};

/// Where a hub's time comes from (P14).
///
/// `now` must not go backwards; a hub treats an instant before the last one as the last one. If it
/// panics on the driver's thread, that is counted and reported, and the last instant is used.
pub trait Clock: Send + Sync + 'static {
    /// Microseconds since this clock's origin.
    fn now(&self) -> Tick;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Tick {
        (**self).now()
    }
}

/// The system's monotonic clock, from the instant of its creation on.
///
/// On Linux and Android it is `CLOCK_BOOTTIME`, which keeps counting while the machine is
/// suspended; elsewhere it is [`Instant`], of which the standard library does not promise that.
/// Steps of the wall clock change nothing.
#[derive(Debug)]
pub struct MonotonicClock {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    origin: Duration,
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    origin: Instant,
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn boot_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or(0))
}

impl MonotonicClock {
    /// A clock that starts now.
    pub fn new() -> Self {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let origin = boot_time();
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let origin = Instant::now();
        Self { origin }
    }
}

impl Default for MonotonicClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for MonotonicClock {
    fn now(&self) -> Tick {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let elapsed = boot_time().saturating_sub(self.origin);
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let elapsed = self.origin.elapsed();
        // Rounded down: an instant is not reached before it is.
        Tick::from_micros(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX))
    }
}

/// A clock that stands still until it is moved, for tests. Clones show the same time.
///
/// ```
/// use reveille::{Clock, ManualClock, Tick};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(clock.now(), Tick::from_micros(1_000_000));
/// ```
#[derive(Clone, Default)]
pub struct ManualClock(Arc<PlainU64>);

impl ManualClock {
    /// A clock at its origin.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the clock forward by `duration`, saturating.
    pub fn advance(&self, duration: Duration) {
        self.advance_to(self.now() + duration);
    }

    /// Moves the clock to `instant`; a clock does not go back, so an earlier one changes nothing.
    pub fn advance_to(&self, instant: Tick) {
        self.0.fetch_max(instant.as_micros(), Ordering::AcqRel);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Tick {
        Tick::from_micros(self.0.load(Ordering::Acquire))
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ManualClock").field(&self.now()).finish()
    }
}

/// The instant on the process's own clock that is `limit` from now, if it can be named.
pub(crate) fn process_deadline(limit: Duration) -> Option<Instant> {
    Instant::now().checked_add(limit)
}

/// The time left until an instant of [`process_deadline`]; `None` is for ever.
pub(crate) fn left_until(deadline: Option<Instant>) -> Option<Duration> {
    deadline.map(|at| at.saturating_duration_since(Instant::now()))
}
