//! Ten simulated years of a service: many targets that beat, and a reload every simulated hour, on
//! virtual time. Each beat is looked at: none may be missing, and none come twice.

use std::time::{Duration, Instant};

use reveille::{
    Builder, Cadence, Engine, ManualClock, Outcome, Reveille, Roster, Run, Runner, Tick,
};

use super::Progress;
use crate::lab::CheckResult;

/// How long, and with how many targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    /// Simulated hours; there is a reload in each.
    pub hours: u64,
    /// Targets.
    pub targets: u32,
}

impl Length {
    /// Ten years of 1,000 targets: some 9 × 10^7 beats.
    pub const DECADE: Self = Self { hours: 87_660, targets: 1_000 };
}

const MINUTE: u64 = 60_000_000;
const HOUR: u64 = 60 * MINUTE;
/// Reloads come so long after the hour, when little beats.
const OFFSET: u64 = 17_000_003;

type Hub = Reveille<u32>;

/// What is known of one target.
struct Heart {
    period: u64,
    /// When it last beat.
    last: u64,
    beats: u64,
}

struct Service {
    clock: ManualClock,
    hub: Hub,
    engine: Engine<u32>,
    roster: Roster<u32>,
    hearts: Vec<Heart>,
    runner: Option<Runner<u32>>,
    /// A runner that was replaced, and has not cleaned up yet.
    stale: Option<Runner<u32>>,
}

/// Periods from 15 minutes to a day, an hour in the harmonic mean, spread so that few are equal.
fn period(seed: u64, index: u32) -> u64 {
    let mut rng = fastrand::Rng::with_seed(seed.wrapping_mul(1 << 32) + u64::from(index));
    let exponent = rng.f64() * f64::ln(650.0 / 15.0);
    let minutes = if index.is_multiple_of(50) { 1_440.0 } else { 15.0 * exponent.exp() };
    (minutes * MINUTE as f64) as u64
}

/// The search, as a check. `seed` says how often each target beats.
#[must_use]
pub fn check(length: Length, seed: u64, progress: Progress<'_>) -> CheckResult {
    let start = Instant::now();
    let done = Service::new(length, seed).and_then(|mut service| service.live(length, progress));
    let (beats, failure) = match done {
        Ok(beats) => (beats, None),
        Err(why) => (0, Some(why)),
    };
    CheckResult {
        name: "decade".to_owned(),
        promises: ["P1", "P8", "P12", "P17"].map(str::to_owned).to_vec(),
        law: format!(
            "Of {} targets no beat is missing and none comes twice, in {} simulated hours with a \
             reload in each.",
            length.targets, length.hours
        ),
        threads: 1,
        executions: beats,
        sampled: true,
        seconds: start.elapsed().as_secs_f64(),
        failure,
        ..CheckResult::default()
    }
}

impl Service {
    fn new(length: Length, seed: u64) -> Result<Self, String> {
        let clock = ManualClock::new();
        let hub: Hub = Builder::new()
            .clock(clock.clone())
            .policy(|policy| {
                policy.max_active = std::num::NonZeroUsize::MAX;
                // Each looks at all targets; 88,000 of them in ten years.
                policy.recheck = Duration::from_secs(3_600);
            })
            .build()
            .map_err(|error| error.to_string())?;
        let engine = hub.engine().map_err(|error| error.to_string())?;
        let mut roster = Roster::new();
        let mut hearts = Vec::new();
        for index in 0..length.targets {
            let period = period(seed, index);
            let cadence = Cadence::every(Duration::from_micros(period));
            roster.insert(index, cadence.map_err(|error| error.to_string())?);
            hearts.push(Heart { period, last: 0, beats: 0 });
        }
        Ok(Self { clock, hub, engine, roster, hearts, runner: None, stale: None })
    }

    fn live(&mut self, length: Length, progress: Progress<'_>) -> Result<u64, String> {
        self.reload()?;
        for hour in 0..length.hours {
            self.up_to(hour * HOUR + OFFSET)?;
            self.reload()?;
            // The late clean-up of the runner before, as services do it.
            self.up_to(hour * HOUR + 2 * OFFSET)?;
            if let Some(stale) = self.stale.take() {
                let stopped = stale.stop();
                if (stopped.taken_back, stopped.stale) != (0, self.hearts.len()) {
                    return Err(format!("P1: a stale runner's stop: {stopped:?}, hour {hour}"));
                }
            }
            progress(hour, length.hours, "decade: simulated hours");
        }
        self.up_to(length.hours * HOUR)?;
        self.verdict(length)
    }

    fn reload(&mut self) -> Result<(), String> {
        let handler = |_: &Run<u32>| {};
        let new = self.hub.runner(handler, self.roster.clone());
        let new = new.map_err(|rejected| rejected.to_string())?;
        self.stale = self.runner.replace(new);
        Ok(())
    }

    /// Drives up to this instant; what it starts is looked at, and ends at once.
    fn up_to(&mut self, end: u64) -> Result<(), String> {
        loop {
            let now = self.hub.now();
            self.engine.turn(now);
            while let Some(run) = self.engine.next_run() {
                self.look(&run)?;
                run.finish(Outcome::ran());
            }
            let next = self.engine.arm();
            self.clock.advance_to(next.min(Tick::from_micros(end)));
            if next.as_micros() > end {
                return Ok(());
            }
        }
    }

    fn look(&mut self, run: &Run<u32>) -> Result<(), String> {
        let heart = &mut self.hearts[*run.key() as usize];
        let expected = heart.last + heart.period;
        let at = run.beat().map(Tick::as_micros);
        if at != Some(expected) || run.started().as_micros() != expected || run.missed() > 0 {
            return Err(format!(
                "P8: target {} beat at {at:?}, for {} more, when {expected} was due",
                run.key(),
                run.missed()
            ));
        }
        heart.last = expected;
        heart.beats += 1;
        Ok(())
    }

    fn verdict(&self, length: Length) -> Result<u64, String> {
        let mut beats = 0;
        for (index, heart) in self.hearts.iter().enumerate() {
            let expected = (length.hours * HOUR) / heart.period;
            if heart.beats != expected {
                return Err(format!("P8: target {index} beat {} of {expected}", heart.beats));
            }
            beats += heart.beats;
        }
        let counters = self.hub.counters();
        if counters.found_by_recheck > 0 || counters.rechecks == 0 {
            return Err(format!("P18: forgotten, and found: {counters:?}"));
        }
        if !counters.is_conserved() || counters.beats != beats || counters.installs <= length.hours
        {
            return Err(format!("P12: {beats} beats seen, counted {counters:?}"));
        }
        Ok(beats)
    }
}
