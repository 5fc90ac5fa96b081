#[cfg(feature = "calendar")]
use crate::hours::Hours;
use reveille_core::Tick;
#[cfg(feature = "calendar")]
use reveille_core::sync::Arc;
use std::fmt;
use std::time::Duration;

/// How often a target beats: a period of at least 1 µs, and maybe a phase.
///
/// Without a phase the first beat is due one period from when it is set. With one, beats are due at
/// the instants that equal the phase modulo the period: counted from the hub's origin, or, where
/// the cadence is [`anchored`](Self::anchored), from the Unix epoch by the wall clock as it stood
/// when the cadence was set, so that a restart keeps them.
///
/// Two cadences are equal if they were made in the same way; setting an equal one changes nothing
/// (P17).
#[derive(Clone, Debug, PartialEq)]
pub struct Cadence {
    period: u64,
    phase: Phase,
    is_anchored: bool,
    #[cfg(feature = "calendar")]
    hours: Option<Arc<Hours>>,
}

/// Where in the period beats fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// From when it is set.
    None,
    /// So far into it.
    At(u64),
    /// By the key of the target.
    Spread,
}

/// The instants of a cadence on the hub's clock: its period, and its phase from the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) period: u64,
    phase: Option<u64>,
}

/// A period of zero, which would beat without end (P11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZeroPeriod;

impl fmt::Display for ZeroPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the period of a cadence must be at least 1 µs, not 0")
    }
}

impl std::error::Error for ZeroPeriod {}

impl Cadence {
    /// A beat each `period`, rounded up to whole microseconds. Far ones saturate to "never" (P11).
    ///
    /// # Errors
    /// [`ZeroPeriod`] if the period is zero.
    pub fn every(period: Duration) -> Result<Self, ZeroPeriod> {
        match (Tick::NOW + period).as_micros() {
            0 => Err(ZeroPeriod),
            period => Ok(Self {
                period,
                phase: Phase::None,
                is_anchored: false,
                #[cfg(feature = "calendar")]
                hours: None,
            }),
        }
    }

    /// The same cadence with a phase: beats at `phase`, `phase + period`, … after the origin.
    #[must_use]
    pub fn with_phase(self, phase: Duration) -> Self {
        let phase = Phase::At((Tick::NOW + phase).as_micros() % self.period);
        Self { phase, ..self }
    }

    /// The same cadence with a phase that is made from the target's key, so that many targets
    /// with equal periods do not all beat at once. The same key has the same phase in every
    /// process, as far as its `Hash` feeds the same bytes: strings and integers do.
    #[must_use]
    pub fn spread(self) -> Self {
        Self { phase: Phase::Spread, ..self }
    }

    /// The same cadence with its phase, or phase 0 where it has none, counted from the Unix epoch
    /// by the wall clock, so that a restart of the process keeps it. The wall clock is read once,
    /// when the cadence is set; its later steps change nothing (P14).
    #[must_use]
    pub fn anchored(self) -> Self {
        let phase = if self.phase == Phase::None { Phase::At(0) } else { self.phase };
        Self { phase, is_anchored: true, ..self }
    }

    /// The same cadence, beating during these hours alone: of its instants, those that lie inside.
    /// Each time it seeks the next one inside, however short its period, and never waits outside to
    /// look again.
    ///
    /// The hours live by the wall clock: a step of it by a second or more moves the next beat, within
    /// [`Policy::max_sleep`](crate::Policy::max_sleep) at the latest.
    #[cfg(feature = "calendar")]
    #[cfg_attr(docsrs, doc(cfg(feature = "calendar")))]
    #[must_use]
    pub fn during(self, hours: Hours) -> Self {
        Self { hours: Some(Arc::new(hours)), ..self }
    }

    /// Its active hours, if it has any.
    #[cfg(feature = "calendar")]
    #[cfg_attr(docsrs, doc(cfg(feature = "calendar")))]
    pub fn hours(&self) -> Option<&Hours> {
        self.hours.as_deref()
    }

    /// The time between two beats.
    pub fn period(&self) -> Duration {
        Duration::from_micros(self.period)
    }

    /// The phase, less than the period, if there is one that does not depend on the target.
    pub fn phase(&self) -> Option<Duration> {
        match self.phase {
            Phase::At(phase) => Some(Duration::from_micros(phase)),
            Phase::None | Phase::Spread => None,
        }
    }

    /// Its instants for the target whose key has this hash. `epoch` says where on the hub's clock
    /// the Unix epoch lies, in microseconds, mostly negative; asked only if that matters.
    pub(crate) fn grid(&self, hash: u64, epoch: impl FnOnce() -> i64) -> Grid {
        let period = i128::from(self.period);
        let phase = match self.phase {
            Phase::None => return Grid { period: self.period, phase: None },
            Phase::At(phase) => phase,
            Phase::Spread => hash % self.period,
        };
        let from = if self.is_anchored { i128::from(epoch()) } else { 0 };
        let phase = (i128::from(phase) + from).rem_euclid(period);
        Grid { period: self.period, phase: u64::try_from(phase).ok() }
    }
}

impl Grid {
    /// The first instant of the phase strictly after `now`, if there is a phase.
    pub(crate) fn next_in_phase(self, now: Tick) -> Option<Tick> {
        let phase = self.phase?;
        let into = now.as_micros() % self.period;
        let into = if into >= phase { into - phase } else { self.period - (phase - into) };
        Some(Tick::from_micros(now.as_micros().saturating_add(self.period - into)))
    }

    /// How many beats passed from the one at `first` up to `now`, and the last of them.
    pub(crate) fn passed(self, first: Tick, now: Tick) -> (u64, Tick) {
        let periods = (now.as_micros() - first.as_micros()) / self.period;
        (periods + 1, Tick::from_micros(first.as_micros() + periods * self.period))
    }

    /// The same instants, told by one of them: a grid without a phase gets the one that it has.
    pub(crate) fn through(self, one: Tick) -> Self {
        Self { phase: Some(one.as_micros() % self.period), ..self }
    }

    /// The first instant after `last`, which may lie before the hub's origin: by the phase, or one
    /// period later.
    pub(crate) fn after_last(self, last: i64) -> i128 {
        let (last, period) = (i128::from(last), i128::from(self.period));
        match self.phase {
            None => last + period,
            Some(phase) => last + period - (last - i128::from(phase)).rem_euclid(period),
        }
    }

    /// `first`, which is an instant of the grid, if it is after `now`; else the first one that is.
    pub(crate) fn first_from(self, first: i128, now: Tick) -> Tick {
        let next = match self.missed(first, now) {
            0 => first,
            missed => first + i128::from(missed) * i128::from(self.period),
        };
        u64::try_from(next).map_or(Tick::NEVER, Tick::from_micros)
    }

    /// How many instants lie from `first`, which is one, up to `now`.
    pub(crate) fn missed(self, first: i128, now: Tick) -> u64 {
        let passed = i128::from(now.as_micros()) - first;
        if passed < 0 {
            return 0;
        }
        u64::try_from(passed / i128::from(self.period) + 1).unwrap_or(u64::MAX)
    }

    /// One period after `instant`, saturating.
    pub(crate) fn after(self, instant: Tick) -> Tick {
        Tick::from_micros(instant.as_micros().saturating_add(self.period))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn at(n: u64) -> Tick {
        Tick::NOW + ms(n)
    }

    fn grid(cadence: &Cadence) -> Grid {
        cadence.grid(0, || panic!("not anchored"))
    }

    /// P8: a phase beat is strictly after now, and in phase.
    #[test]
    fn phases_are_strictly_after_now() {
        let cadence = grid(&Cadence::every(ms(100)).unwrap().with_phase(ms(30)));
        for (now, next) in [(0, 30), (29, 30), (30, 130), (31, 130), (130, 230)] {
            assert_eq!(cadence.next_in_phase(at(now)), Some(at(next)), "at {now}");
        }
        let wrapped = Cadence::every(ms(100)).unwrap().with_phase(ms(230));
        assert_eq!(wrapped.phase(), Some(ms(30)));
    }

    /// P11: no arithmetic here wraps.
    #[test]
    fn far_periods_saturate() {
        let cadence = grid(&Cadence::every(Duration::MAX).unwrap());
        assert_eq!(cadence.after(at(5)), Tick::NEVER);
        assert_eq!(Cadence::every(Duration::ZERO), Err(ZeroPeriod));
        assert_eq!(Cadence::every(Duration::from_nanos(1)).unwrap().period().as_micros(), 1);
    }

    #[test]
    fn passed_beats_are_counted() {
        let cadence = grid(&Cadence::every(ms(100)).unwrap());
        assert_eq!(cadence.passed(at(100), at(100)), (1, at(100)));
        assert_eq!(cadence.passed(at(100), at(399)), (3, at(300)));
    }

    /// P17: an anchored phase falls on the same instants of the wall clock in every process.
    #[test]
    fn anchored_phases_outlive_the_process() {
        let hourly = Cadence::every(ms(3_600_000)).unwrap().anchored();
        let quarter_past = hourly.clone().with_phase(ms(900_000));
        // One process starts at 10:47 by the wall clock, the next one 26 minutes later.
        for (started, to_full, to_quarter) in [(647, 13, 28), (673, 47, 2)] {
            let epoch = -started * 60_000_000;
            let next = |cadence: &Cadence| cadence.grid(0, || epoch).next_in_phase(Tick::NOW);
            assert_eq!(next(&hourly), Some(at(to_full * 60_000)));
            assert_eq!(next(&quarter_past), Some(at(to_quarter * 60_000)));
        }
    }

    /// Spread phases lie in the period, and depend on nothing but the hash.
    #[test]
    fn spread_phases_follow_the_hash() {
        let cadence = Cadence::every(ms(100)).unwrap().spread();
        assert_eq!(cadence.phase(), None);
        for hash in [0, 1, 99_999, 100_000, u64::MAX] {
            let phase = Tick::from_micros(hash % 100_000);
            let next = cadence.grid(hash, || 0).next_in_phase(Tick::NOW);
            assert_eq!(next, Some(if phase == Tick::NOW { at(100) } else { phase }));
        }
    }
}
