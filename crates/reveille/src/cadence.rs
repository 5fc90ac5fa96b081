use reveille_core::Tick;
use std::fmt;
use std::time::Duration;

/// How often a target beats: a period of at least 1 µs, and maybe a phase.
///
/// Without a phase the first beat is due one period from now. With one, beats are due at the
/// instants that equal the phase modulo the period, counted from the hub's origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadence {
    period: u64,
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
            period => Ok(Self { period, phase: None }),
        }
    }

    /// The same cadence with a phase: beats at `phase`, `phase + period`, … after the origin.
    #[must_use]
    pub fn with_phase(self, phase: Duration) -> Self {
        Self { phase: Some((Tick::NOW + phase).as_micros() % self.period), ..self }
    }

    /// The time between two beats.
    pub fn period(self) -> Duration {
        Duration::from_micros(self.period)
    }

    /// The phase, less than the period, if there is one.
    pub fn phase(self) -> Option<Duration> {
        self.phase.map(Duration::from_micros)
    }

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

    /// P8: a phase beat is strictly after now, and in phase.
    #[test]
    fn phases_are_strictly_after_now() {
        let cadence = Cadence::every(ms(100)).unwrap().with_phase(ms(30));
        for (now, next) in [(0, 30), (29, 30), (30, 130), (31, 130), (130, 230)] {
            assert_eq!(cadence.next_in_phase(at(now)), Some(at(next)), "at {now}");
        }
        let wrapped = Cadence::every(ms(100)).unwrap().with_phase(ms(230));
        assert_eq!(wrapped.phase(), Some(ms(30)));
    }

    /// P11: no arithmetic here wraps.
    #[test]
    fn far_periods_saturate() {
        let cadence = Cadence::every(Duration::MAX).unwrap();
        assert_eq!(cadence.after(at(5)), Tick::NEVER);
        assert_eq!(Cadence::every(Duration::ZERO), Err(ZeroPeriod));
        assert_eq!(Cadence::every(Duration::from_nanos(1)).unwrap().period().as_micros(), 1);
    }

    #[test]
    fn passed_beats_are_counted() {
        let cadence = Cadence::every(ms(100)).unwrap();
        assert_eq!(cadence.passed(at(100), at(100)), (1, at(100)));
        assert_eq!(cadence.passed(at(100), at(399)), (3, at(300)));
    }
}
