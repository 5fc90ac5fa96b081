//! What the threads of a round do: drawn from a seed, before any of them runs.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use fastrand::Rng;
use reveille::{Missed, OnReplace, Policy, Urgency};

/// How many threads use the hub, beside its driver and workers.
pub(super) const THREADS: usize = 3;

/// Targets that are never cancelled and never removed: whatever was asked of them must run.
pub(super) const KEPT: usize = 2;

/// All targets of a round.
pub(super) const TARGETS: usize = 4;

/// Steps of a thread at most.
const STEPS: usize = 96;

/// One step of a thread. Durations are microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Wake {
        target: usize,
        after: After,
        urgency: Urgency,
        by_key: bool,
    },
    Beat {
        target: usize,
        every: u64,
    },
    StopBeating {
        target: usize,
    },
    Cancel {
        target: usize,
    },
    Remove {
        target: usize,
    },
    Install,
    /// One of the thread's own registrations, counted from its newest.
    Dispose {
        back: usize,
    },
    Handler,
    Snapshot,
    Stop {
        drain: Option<u64>,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum After {
    Now,
    Soon,
    Within(u64),
}

/// A round.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) policy: Policy,
    /// The engine in the hands of one thread of ours that holds runs back, drops the engine and
    /// takes it up again; else the thread driver and its workers.
    pub(super) by_hand: bool,
    pub(super) stops_midway: bool,
    pub(super) threads: Vec<Vec<Step>>,
}

impl Plan {
    pub(super) fn draw(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let by_hand = rng.u8(..3) == 0;
        let stops_midway = rng.u8(..4) == 0;
        let threads = (0..THREADS).map(|thread| {
            let steps = rng.usize(8..STEPS);
            let mut steps: Vec<Step> = (0..steps).map(|_| step(&mut rng, thread)).collect();
            if stops_midway && thread == 0 {
                let drain = rng.bool().then(|| rng.u64(..2_000));
                steps.insert(rng.usize(..=steps.len()), Step::Stop { drain });
            }
            steps
        });
        let threads = threads.collect();
        Self { policy: policy(&mut rng, by_hand), by_hand, stops_midway, threads }
    }
}

fn policy(rng: &mut Rng, by_hand: bool) -> Policy {
    let us = Duration::from_micros;
    let mut policy = Policy::default();
    policy.coalesce = us([0, 50, 500][rng.usize(..3)]);
    policy.retry_after = us([1, 100, 400][rng.usize(..3)]);
    policy.backoff_max = us(1_000);
    // No wake is given up, so that each must be served.
    policy.max_attempts = NonZeroU32::MAX;
    policy.max_active = NonZeroUsize::MIN.saturating_add(rng.usize(..3));
    policy.missed = [Missed::Skip, Missed::Burst, Missed::Delay][rng.usize(..3)];
    if by_hand && rng.bool() {
        policy.on_replace = OnReplace::Cancel;
    }
    // A ring that is lost must show, not be made up for by a driver that wakes by itself.
    policy.max_sleep = Duration::from_secs(3_600);
    policy
}

fn step(rng: &mut Rng, thread: usize) -> Step {
    let target = rng.usize(..TARGETS);
    let fleeting = rng.usize(KEPT..TARGETS);
    // Commands of two threads for one kept cadence would leave open which of them was the latest.
    let own = target >= KEPT || target % THREADS == thread;
    let beating = if own { target } else { fleeting };
    match rng.u8(..100) {
        0..45 => {
            let after = match rng.u8(..6) {
                0..3 => After::Now,
                3 => After::Soon,
                _ => After::Within(rng.u64(..1_500)),
            };
            let urgency = [Urgency::Retry, Urgency::Beat, Urgency::Event, Urgency::Urgent];
            Step::Wake { target, after, urgency: urgency[rng.usize(..4)], by_key: rng.bool() }
        }
        45..53 => Step::Beat { target: beating, every: [150, 400, 1_000][rng.usize(..3)] },
        53..55 => Step::StopBeating { target: beating },
        55..60 => Step::Cancel { target: fleeting },
        60..66 => Step::Remove { target: fleeting },
        66..78 => Step::Install,
        78..90 => Step::Dispose { back: rng.usize(..4) },
        90..97 => Step::Handler,
        _ => Step::Snapshot,
    }
}
