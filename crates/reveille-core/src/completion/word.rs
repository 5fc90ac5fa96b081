use crate::tick::micros_ceil;
use core::fmt;
use core::time::Duration;

const DELAY_BITS: u32 = 38;
const CLASS_BITS: u32 = 4;
const NUMBER_BITS: u32 = 22;
const CLASS_AT: u32 = DELAY_BITS;
const NUMBER_AT: u32 = CLASS_AT + CLASS_BITS;

const _: () = assert!(NUMBER_AT + NUMBER_BITS == u64::BITS, "the fields fill the word");

const NUMBER_MASK: u64 = (1 << NUMBER_BITS) - 1;
const CLASS_MASK: u64 = (1 << CLASS_BITS) - 1;
const DELAY_MASK: u64 = (1 << DELAY_BITS) - 1;

const COLLECTED: u64 = 0;
const RUNNING: u64 = 1;

/// Which run of a target: counted from 1, modulo 2^22, never reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RunNumber(u32);

impl RunNumber {
    /// The number of the next run.
    pub const fn next(self) -> Self {
        Self(((self.0 as u64 + 1) & NUMBER_MASK) as u32)
    }
}

/// How a run ended. Delays count from the end of the run. They are exact to a microsecond up to
/// 2^36 µs (19 hours), then rounded up to a millisecond up to 2^36 ms (two years), then to a
/// second; they saturate at 2^36 s, which is past [`Tick::HORIZON`](crate::Tick::HORIZON).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// Terminal: it ran.
    Ran,
    /// Terminal: there was nothing to do.
    Skipped,
    /// Busy; the hub's own delay.
    Busy,
    /// Busy for so long.
    BusyFor(Duration),
    /// Failed.
    Failed,
    /// Failed, and says itself for how long.
    FailedFor(Duration),
    /// Failed: the handler panicked.
    Panicked,
    /// Failed: the run was dropped without an ending.
    Aborted,
    /// Deferred by so long.
    Deferred(Duration),
    /// Ended by the driver, since its handler was replaced.
    Cancelled,
    /// Failed: ended by the driver, since its limit had passed.
    Overran,
}

/// A snapshot of a completion word. The module has the table of valid words.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Word(pub(super) u64);

impl Word {
    /// No run yet.
    pub const IDLE: Self = Self::pack(RunNumber(0), COLLECTED, 0);

    const fn pack(number: RunNumber, class: u64, delay: u64) -> Self {
        Self((number.0 as u64) << NUMBER_AT | class << CLASS_AT | delay)
    }

    /// The run in flight with this number.
    pub const fn running(number: RunNumber) -> Self {
        Self::pack(number, RUNNING, 0)
    }

    /// The word of these bits, for whoever draws an execution.
    #[cfg(any(reveille_loom, reveille_shuttle))]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The number of the run this word is about.
    pub const fn number(self) -> RunNumber {
        RunNumber((self.0 >> NUMBER_AT) as u32)
    }

    const fn class(self) -> u64 {
        self.0 >> CLASS_AT & CLASS_MASK
    }

    /// Whether a run is in flight.
    pub const fn is_running(self) -> bool {
        self.class() == RUNNING
    }

    /// How the run ended, if it did and the driver has not collected it.
    pub const fn ending(self) -> Option<Ending> {
        let delay = unpack_delay(self.0 & DELAY_MASK);
        Some(match self.class() {
            2 => Ending::Ran,
            3 => Ending::Skipped,
            4 => Ending::Busy,
            5 => Ending::BusyFor(delay),
            6 => Ending::Failed,
            7 => Ending::Panicked,
            8 => Ending::Aborted,
            9 => Ending::Deferred(delay),
            10 => Ending::Cancelled,
            11 => Ending::FailedFor(delay),
            12 => Ending::Overran,
            _ => return None,
        })
    }

    /// The driver starts the next run.
    ///
    /// ```text
    ///   {n, collected} ─▶ {n + 1, running}
    /// ```
    pub const fn start(self) -> Option<Self> {
        match self.class() {
            COLLECTED => Some(Self::running(self.number().next())),
            _ => None,
        }
    }

    /// The run `number` ended. `None` if that is not the run in flight: late.
    ///
    /// ```text
    ///   {n, running} ─▶ {n, ending}
    /// ```
    pub fn complete(self, number: RunNumber, ending: Ending) -> Option<Self> {
        (self == Self::running(number)).then(|| {
            let (class, delay) = match ending {
                Ending::Ran => (2, Duration::ZERO),
                Ending::Skipped => (3, Duration::ZERO),
                Ending::Busy => (4, Duration::ZERO),
                Ending::BusyFor(delay) => (5, delay),
                Ending::Failed => (6, Duration::ZERO),
                Ending::Panicked => (7, Duration::ZERO),
                Ending::Aborted => (8, Duration::ZERO),
                Ending::Deferred(delay) => (9, delay),
                Ending::Cancelled => (10, Duration::ZERO),
                Ending::FailedFor(delay) => (11, delay),
                Ending::Overran => (12, Duration::ZERO),
            };
            Self::pack(number, class, pack_delay(delay))
        })
    }

    /// The driver has applied the ending.
    ///
    /// ```text
    ///   {n, ending} ─▶ {n, collected}
    /// ```
    pub fn collect(self) -> Option<(Self, Ending)> {
        self.ending().map(|ending| (Self::pack(self.number(), COLLECTED, 0), ending))
    }
}

/// A delay is a value in one of three units, rounded up; the unit stands in its two top bits.
const VALUE_BITS: u32 = DELAY_BITS - 2;
const VALUE_MASK: u64 = (1 << VALUE_BITS) - 1;
const MILLIS: u64 = 1 << VALUE_BITS;
const SECONDS: u64 = 2 << VALUE_BITS;

fn pack_delay(delay: Duration) -> u64 {
    let micros = micros_ceil(delay);
    let (millis, seconds) = (micros.div_ceil(1_000), micros.div_ceil(1_000_000));
    match micros {
        _ if micros <= VALUE_MASK => micros,
        _ if millis <= VALUE_MASK => MILLIS | millis,
        _ => SECONDS | seconds.min(VALUE_MASK),
    }
}

const fn unpack_delay(bits: u64) -> Duration {
    let value = bits & VALUE_MASK;
    match bits & !VALUE_MASK {
        0 => Duration::from_micros(value),
        MILLIS => Duration::from_millis(value),
        _ => Duration::from_secs(value),
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run {} ", self.number().0)?;
        match self.ending() {
            Some(ending) => write!(f, "{ending:?}"),
            None if self.is_running() => f.write_str("running"),
            None => f.write_str("collected"),
        }
    }
}
