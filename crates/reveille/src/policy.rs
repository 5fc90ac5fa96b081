use crate::watch::WatchPolicy;
use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

/// What becomes of beats that passed while nothing could run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missed {
    /// One run that knows for how many beats it stands; the cadence keeps its instants.
    #[default]
    Skip,
    /// Each beat is a run of its own, one after the other.
    Burst,
    /// One run, and the cadence counts on from its start.
    Delay,
}

/// What becomes of runs in flight when their handler is replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnReplace {
    /// They go on; their targets wait for them (P6).
    #[default]
    Finish,
    /// They end as cancelled, and their wakes pass to the new handler (P7). For drivers that can
    /// end a run; threads cannot, and refuse to drive such a hub.
    Cancel,
}

/// How delays of the backoff vary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Jitter {
    /// Not at all.
    #[default]
    None,
    /// Each is drawn evenly from 1 µs up to what it would be: *full jitter*, so that many targets
    /// which failed together do not come back together.
    Full,
}

/// How often at most a target starts, or all of them together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flood {
    /// So often …
    pub starts: NonZeroU32,
    /// … within so long. At least 1 µs.
    pub within: Duration,
}

/// What becomes of a run that passes its limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnOverrun {
    /// It is counted and reported, gives up its place among the active ones, and goes on.
    #[default]
    Report,
    /// Besides, it ends as failed, and its wake is tried again after the backoff. For drivers that
    /// can end a run; threads cannot, and refuse to drive such a hub.
    Cancel,
}

/// The limits of a hub, all visible, validated once when it is built.
///
/// The defaults are [`Policy::default`]'s. Durations are rounded up to whole microseconds; far ones
/// saturate to "never" (P11).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// The delay of a wake that names none, and the window after an install in which work
    /// that waited does not start. Default 250 ms.
    pub coalesce: Duration,
    /// Floor after busy, and first step of the backoff. At least 1 µs. Default 1,000 ms.
    pub retry_after: Duration,
    /// By how much each further failure multiplies the backoff. Default 2.
    /// With 1 the backoff is fixed.
    pub backoff_factor: NonZeroU32,
    /// The longest backoff. Default 60,000 ms.
    pub backoff_max: Duration,
    /// How the backoff varies. Default [`Jitter::None`].
    pub jitter: Jitter,
    /// Where its random numbers start; `None` is anywhere. Default `None`.
    pub jitter_seed: Option<u64>,
    /// Failures in a row after which a wake is given up: dropped, counted and reported. Default 10.
    pub max_attempts: NonZeroU32,
    /// How long after its last start a target starts again at the soonest, urgent wakes apart: what
    /// comes sooner is kept, and runs as soon as it may. Default zero, which is off.
    pub spacing: Duration,
    /// How often at most a target starts within a window, urgent wakes apart: what comes beyond that
    /// is kept, and runs as soon as it may. Costs 8 bytes a target and start. Default `None`.
    pub flood: Option<Flood>,
    /// The same for all targets of the hub together: a bound on what their handler costs others.
    /// Costs 8 bytes a start; while it holds something back, a turn costs O(waiting). Default `None`.
    pub hub_flood: Option<Flood>,
    /// By how much wakes and beats may start early, so that a driver that wakes up for one serves others along
    /// with it, at a tenth of the price: what is due within one window of this length, counted from the hub's
    /// origin, starts with the window. Early by half of a delay or period at most, never late (P5), and not before
    /// a floor, a deferral, a rate, or the window after an install (P9). Default zero, which is off.
    pub leeway: Duration,
    /// How long a [barrier](crate::Target::barrier) waits at most. Default 30 s.
    pub barrier_limit: Duration,
    /// Runs in flight at once. Default 4.
    pub max_active: NonZeroUsize,
    /// What becomes of missed beats. Default [`Missed::Skip`].
    pub missed: Missed,
    /// What becomes of runs when their handler is replaced. Default [`OnReplace::Finish`].
    pub on_replace: OnReplace,
    /// A run that takes longer no longer counts against `max_active`, and its worker is
    /// replaced; its target stays taken (P6, P10). Default 10 minutes; `None` is never.
    pub run_limit: Option<Duration>,
    /// What else becomes of such a run. Default [`OnOverrun::Report`].
    pub on_overrun: OnOverrun,
    /// The longest sleep of a driver, and so the longest time until a suspend is noticed
    /// (P14). At least 1 ms. Default 10 s.
    pub max_sleep: Duration,
    /// How often the engine looks over all targets for something that was forgotten: insurance, O(targets)
    /// each time. It goes along with turns, so that a driver that sleeps does it no sooner than
    /// `max_sleep`. At least 1 ms. Default 10 s.
    pub recheck: Duration,
    /// Targets at once; costs 1/8 byte each. Default 2^20.
    pub max_targets: NonZeroU32,
    /// From when on something is called late, by [`Reveille::health`](crate::Reveille::health).
    pub watch: WatchPolicy,
}

/// Starts that a target remembers at most.
const MAX_FLOOD: u32 = 1_000;
/// Starts that a hub remembers at most.
const MAX_HUB_FLOOD: u32 = 1_000_000;

const fn count(n: u32) -> NonZeroU32 {
    match NonZeroU32::new(n) {
        Some(n) => n,
        None => NonZeroU32::MIN,
    }
}

const FOUR: NonZeroUsize = match NonZeroUsize::new(4) {
    Some(n) => n,
    None => NonZeroUsize::MIN,
};

impl Default for Policy {
    fn default() -> Self {
        Self {
            coalesce: Duration::from_millis(250),
            retry_after: Duration::from_millis(1_000),
            backoff_factor: count(2),
            backoff_max: Duration::from_millis(60_000),
            jitter: Jitter::None,
            jitter_seed: None,
            max_attempts: count(10),
            spacing: Duration::ZERO,
            flood: None,
            hub_flood: None,
            leeway: Duration::ZERO,
            barrier_limit: Duration::from_secs(30),
            max_active: FOUR,
            missed: Missed::Skip,
            on_replace: OnReplace::Finish,
            run_limit: Some(Duration::from_secs(600)),
            on_overrun: OnOverrun::Report,
            max_sleep: Duration::from_secs(10),
            recheck: Duration::from_secs(10),
            max_targets: count(1 << 20),
            watch: WatchPolicy::default(),
        }
    }
}

impl Policy {
    /// How many starts of a target matter to its rates.
    pub(crate) fn starts_that_matter(&self) -> usize {
        let flood = self.flood.map_or(0, |flood| flood.starts.get() as usize);
        flood.max(usize::from(!self.spacing.is_zero()))
    }

    /// Says what is wrong with this policy, if anything is.
    pub(crate) fn validate(&self) -> Result<(), PolicyError> {
        if self.retry_after < Duration::from_micros(1) {
            return Err(PolicyError::RetryAfter(self.retry_after));
        }
        if self.max_sleep < Duration::from_millis(1) {
            return Err(PolicyError::MaxSleep(self.max_sleep));
        }
        if self.recheck < Duration::from_millis(1) {
            return Err(PolicyError::Recheck(self.recheck));
        }
        if self.run_limit == Some(Duration::ZERO) {
            return Err(PolicyError::RunLimit);
        }
        if let Some(name) = self.watch.unsound() {
            return Err(PolicyError::Watch(name));
        }
        if let Some(Flood { starts, within }) = self.flood
            && (within.is_zero() || starts.get() > MAX_FLOOD)
        {
            return Err(PolicyError::Flood(starts, within));
        }
        if let Some(Flood { starts, within }) = self.hub_flood
            && (within.is_zero() || starts.get() > MAX_HUB_FLOOD)
        {
            return Err(PolicyError::HubFlood(starts, within));
        }
        Ok(())
    }

    /// The delay after the `failures`-th failure in a row (from 1 on).
    pub(crate) fn backoff(&self, failures: u32) -> Duration {
        let cap = self.backoff_max;
        let factor = self.backoff_factor.get().checked_pow(failures.saturating_sub(1));
        factor.and_then(|factor| self.retry_after.checked_mul(factor)).unwrap_or(cap).min(cap)
    }
}

/// A policy that cannot hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyError {
    /// `retry_after` is below 1 µs: a busy target would spin (P11).
    RetryAfter(Duration),
    /// `max_sleep` is below 1 ms: the driver would spin (P11).
    MaxSleep(Duration),
    /// `recheck` is below 1 ms: it would be all that the driver does.
    Recheck(Duration),
    /// `run_limit` is zero: every run would be past it.
    RunLimit,
    /// `flood` has a window of zero, or more than 1,000 starts to remember for each target.
    Flood(NonZeroU32, Duration),
    /// `hub_flood` has a window of zero, or more than 1,000,000 starts to remember.
    HubFlood(NonZeroU32, Duration),
    /// This threshold of the watch is below 1 ms: everything would be late, or the watch would spin.
    Watch(&'static str),
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RetryAfter(got) => write!(f, "retry_after must be at least 1 µs, not {got:?}"),
            Self::MaxSleep(got) => write!(f, "max_sleep must be at least 1 ms, not {got:?}"),
            Self::Flood(starts, within) => write!(
                f,
                "flood must be at most {MAX_FLOOD} starts in more than 0 s, not {starts} in {within:?}"
            ),
            Self::HubFlood(starts, within) => write!(
                f,
                "hub_flood must be at most {MAX_HUB_FLOOD} starts in more than 0 s, \
                 not {starts} in {within:?}"
            ),
            Self::Recheck(got) => write!(f, "recheck must be at least 1 ms, not {got:?}"),
            Self::Watch(name) => write!(f, "{name} must be at least 1 ms"),
            Self::RunLimit => f.write_str("run_limit must not be zero; use None for no limit"),
        }
    }
}

impl std::error::Error for PolicyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_to_its_cap_and_never_overflows() {
        let policy = Policy::default();
        let seconds: Vec<u64> = (1..=8).map(|n| policy.backoff(n).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(policy.backoff(u32::MAX), policy.backoff_max);
        let flat = Policy { backoff_factor: NonZeroU32::MIN, ..Policy::default() };
        assert_eq!(flat.backoff(1_000_000), flat.retry_after);
        let capped = Policy { backoff_max: Duration::from_millis(1), ..Policy::default() };
        assert_eq!(capped.backoff(1), capped.backoff_max);
    }

    #[test]
    fn a_policy_that_would_spin_is_refused() {
        let refused = |policy: Policy| policy.validate().unwrap_err().to_string();
        let zero = Duration::ZERO;
        assert!(refused(Policy { retry_after: zero, ..Policy::default() }).contains("retry_after"));
        assert!(refused(Policy { max_sleep: zero, ..Policy::default() }).contains("max_sleep"));
        assert!(refused(Policy { recheck: zero, ..Policy::default() }).contains("recheck"));
        let limit = Policy { run_limit: Some(zero), ..Policy::default() };
        assert!(refused(limit).contains("run_limit"));
        let flood = |starts, within| Some(Flood { starts: count(starts), within });
        for flood in [flood(1, zero), flood(1_001, Duration::from_secs(1))] {
            assert!(refused(Policy { flood, ..Policy::default() }).starts_with("flood"));
        }
        for hub_flood in [flood(1, zero), flood(1_000_001, Duration::from_secs(1))] {
            assert!(refused(Policy { hub_flood, ..Policy::default() }).starts_with("hub_flood"));
        }
        let most = flood(1_000_000, Duration::from_micros(1));
        assert_eq!(Policy { hub_flood: most, ..Policy::default() }.validate(), Ok(()));
        let mut policy = Policy::default();
        policy.watch.every = zero;
        assert!(refused(policy).contains("watch.every"));
        assert_eq!(Policy::default().validate(), Ok(()));
    }
}
