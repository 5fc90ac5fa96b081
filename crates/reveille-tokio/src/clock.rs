use reveille::{Clock, Tick};
use tokio::time::Instant;

/// Tokio's time, from the instant of its creation on: it stands still where tokio's is paused, and goes
/// on where that is advanced.
///
/// Paused time belongs to a runtime. Outside of it, on a thread of one's own say, tokio's clock is the
/// system's: let all wakes of a test with paused time come from inside its runtime.
///
/// Tokio's time is that of [`std::time::Instant`], which on Linux stands still while the machine is
/// suspended: what was due in a suspend runs late by as much, and no beat counts as missed (P14). Where
/// machines sleep, keep the default clock.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    origin: Instant,
}

impl TokioClock {
    /// A clock that starts now.
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for TokioClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Tick {
        Tick::NOW + self.origin.elapsed()
    }
}
