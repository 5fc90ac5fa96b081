//! The one file that reads a clock.

use reveille_core::Tick;
use reveille_core::sync::{Arc, Ordering, PlainU64};
use std::fmt;
use std::time::{Duration, Instant, SystemTime};

/// Where a hub's time comes from (P14).
///
/// `now` must not go backwards; a hub treats an instant before the last one as the last one. If it
/// panics on the driver's thread, that is counted and reported, and the last instant is used.
pub trait Clock: Send + Sync + 'static {
    /// Microseconds since this clock's origin.
    fn now(&self) -> Tick;

    /// What the wall clock says. Asked only for what lives by it: phases that are
    /// [`anchored`](crate::Cadence::anchored), active hours, a ledger. It may go backwards.
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Tick {
        (**self).now()
    }

    fn wall(&self) -> SystemTime {
        (**self).wall()
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
///
/// Its wall clock moves along, from the Unix epoch at its origin on, and can be stepped.
#[derive(Clone, Default)]
pub struct ManualClock(Arc<Hands>);

#[derive(Default)]
struct Hands {
    now: PlainU64,
    /// What the wall clock says at the origin: microseconds from the Unix epoch on.
    wall: PlainU64,
}

impl ManualClock {
    /// A clock at its origin.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the wall clock, which moves on from there.
    pub fn set_wall(&self, wall: SystemTime) {
        let now = self.now().as_micros();
        let origin = unix_micros(wall).cast_unsigned().wrapping_sub(now);
        self.0.wall.store(origin, Ordering::Release);
    }

    /// Moves the clock forward by `duration`, saturating.
    pub fn advance(&self, duration: Duration) {
        self.advance_to(self.now() + duration);
    }

    /// Moves the clock to `instant`; a clock does not go back, so an earlier one changes nothing.
    pub fn advance_to(&self, instant: Tick) {
        self.0.now.fetch_max(instant.as_micros(), Ordering::AcqRel);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Tick {
        Tick::from_micros(self.0.now.load(Ordering::Acquire))
    }

    fn wall(&self) -> SystemTime {
        let origin = self.0.wall.load(Ordering::Acquire).cast_signed();
        let now = i64::try_from(self.now().as_micros()).unwrap_or(i64::MAX);
        from_unix_micros(origin.saturating_add(now))
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ManualClock").field(&self.now()).finish()
    }
}

/// Microseconds from the Unix epoch to `wall`, negative before it, rounded down, saturating.
pub(crate) fn unix_micros(wall: SystemTime) -> i64 {
    let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    match wall.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => micros(after),
        Err(before) => -micros(before.duration()),
    }
}

/// The instant so many microseconds from the Unix epoch.
pub(crate) fn from_unix_micros(micros: i64) -> SystemTime {
    let distance = Duration::from_micros(micros.unsigned_abs());
    let epoch = SystemTime::UNIX_EPOCH;
    let wall = if micros < 0 { epoch.checked_sub(distance) } else { epoch.checked_add(distance) };
    wall.unwrap_or(epoch)
}

/// The instant on the process's own clock that is `limit` from now, if it can be named.
pub(crate) fn process_deadline(limit: Duration) -> Option<Instant> {
    Instant::now().checked_add(limit)
}

/// The time left until an instant of [`process_deadline`]; `None` is for ever.
pub(crate) fn left_until(deadline: Option<Instant>) -> Option<Duration> {
    deadline.map(|at| at.saturating_duration_since(Instant::now()))
}
