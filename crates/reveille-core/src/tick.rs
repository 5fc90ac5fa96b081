use core::fmt;
use core::time::Duration;

/// An instant: whole microseconds since a hub's origin on a monotonic clock.
///
/// [`Tick::NOW`] (0) is before everything and means "at once"; [`Tick::NEVER`] (the maximum) is
/// after everything. All arithmetic saturates: nothing panics and nothing wraps (P11).
///
/// ```
/// use std::time::Duration;
/// use reveille_core::Tick;
///
/// let t = Tick::from_micros(1_500);
/// assert_eq!(t + Duration::from_millis(1), Tick::from_micros(2_500));
/// assert_eq!(t + Duration::MAX, Tick::NEVER);
/// assert_eq!(Tick::NOW.since(t), Duration::ZERO);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(u64);

impl Tick {
    /// Before every other instant: at once.
    pub const NOW: Self = Self(0);
    /// After every other instant: not at all.
    pub const NEVER: Self = Self(u64::MAX);

    /// The first instant that counts as never for wakes and beats, 35 years after the origin: a
    /// pending word has 50 bits for a due, and two of their values are taken.
    pub const HORIZON: Self = Self((1 << 50) - 2);

    /// The instant `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this instant, zero if it is later than this one.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// This instant moved by `duration`, rounded up to whole microseconds, saturating at
    /// [`Tick::NEVER`].
    pub const fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros_ceil(duration)))
    }
}

/// `duration` in whole microseconds, rounded up: nothing may start before its floor (P9).
pub(crate) const fn micros_ceil(duration: Duration) -> u64 {
    let micros = duration.as_secs().saturating_mul(1_000_000);
    micros.saturating_add(duration.subsec_nanos().div_ceil(1_000) as u64)
}

impl core::ops::Add<Duration> for Tick {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        self.after(duration)
    }
}

impl fmt::Debug for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NOW => f.write_str("now"),
            Self::NEVER => f.write_str("never"),
            Self(micros) => write!(f, "{micros}us"),
        }
    }
}
