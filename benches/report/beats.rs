//! What a heartbeat costs, and how late the latest is, by how many targets beat.

use crate::{Progress, median};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use reveille::{Builder, Cadence, Precision, Reveille, Run};
use reveille_benches::peers::{Fired, PEERS, Peer, Start};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;
use tokio::time::Instant as TokioInstant;

/// So many targets that beat, each with this period.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Crowd {
    pub(crate) targets: u32,
    pub(crate) period_ms: u64,
    pub(crate) cases: Vec<Case>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// Nanoseconds of CPU a beat, of the whole process.
    pub(crate) cpu: f64,
    /// The latest beat, in microseconds.
    pub(crate) latest: f64,
    /// Beats a second, of those that were due.
    pub(crate) kept_up: f64,
}

pub(crate) struct Plan {
    targets: u32,
    period: Duration,
}

/// At most 250,000 beats a second.
const CROWDS: [(u32, u64); 4] = [(1, 10), (1_000, 10), (100_000, 400), (1_000_000, 4_000)];

/// As early as those on tokio are late.
const LEEWAY: Duration = Duration::from_millis(1);

/// For how long it is warmed up, and measured.
const WARM: Duration = Duration::from_millis(1_000);
const MEASURED: Duration = Duration::from_millis(2_000);

/// Those with such a name.
pub(crate) fn wanted(wanted: impl Fn(&str) -> bool) -> Vec<Plan> {
    let all = CROWDS.map(|(targets, ms)| Plan { targets, period: Duration::from_millis(ms) });
    all.into_iter().filter(|plan| wanted(&plan.name())).collect()
}

/// Who has them beat.
enum Beater {
    /// How its driver is driven, and by how much it may be early.
    Ours(Precision, Duration),
    Peer(Start),
}

/// What beats have done so far.
#[derive(Default)]
struct Seen {
    beats: AtomicU64,
    latest: AtomicU64,
}

impl Seen {
    fn note(&self, due: u64, now: u64) {
        self.beats.fetch_add(1, Ordering::Relaxed);
        self.latest.fetch_max(now.saturating_sub(due), Ordering::Relaxed);
    }
}

impl Plan {
    pub(crate) fn name(&self) -> String {
        format!("beats of {} targets", self.targets)
    }

    pub(crate) fn measure(&self, progress: &Progress) -> Crowd {
        let (by_workers, inline) = (Precision::new(), Precision::new().inline());
        let mut peers = vec![
            ("reveille", Beater::Ours(by_workers, Duration::ZERO)),
            ("reveille_inline", Beater::Ours(inline, Duration::ZERO)),
            ("reveille_inline_leeway", Beater::Ours(inline, LEEWAY)),
        ];
        peers.extend(PEERS.iter().filter_map(|&(name, start)| {
            // A task and a channel for each target: gigabytes, for a million.
            let fits = name != "watch_sleep_until" || self.targets < 1_000_000;
            (fits && !name.starts_with("reveille")).then_some((name, Beater::Peer(start)))
        }));
        fastrand::shuffle(&mut peers[1..]);
        let mut cases: Vec<Case> = peers
            .into_iter()
            .map(|(name, beater)| {
                progress.doing(&format!("{}: {name}", self.name()));
                self.case(name, beater)
            })
            .collect();
        cases[1..].sort_by(|a, b| a.name.cmp(&b.name));
        let period_ms = self.period.as_millis() as u64;
        Crowd { targets: self.targets, period_ms, cases }
    }

    fn case(&self, name: &str, beater: Beater) -> Case {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build();
        let runtime = runtime.expect("a runtime");
        let _inside = runtime.enter();
        let seen = Arc::new(Seen::default());
        let stop: Box<dyn FnOnce()> = match beater {
            Beater::Ours(precision, leeway) => self.ours(precision, leeway, &seen),
            Beater::Peer(start) => self.peer(start, &seen),
        };
        // Each has beaten once, and what a start takes is over.
        thread::sleep(WARM.max(self.period * 3 / 2));
        seen.latest.store(0, Ordering::Relaxed);
        let (beats, cpu) = (seen.beats.load(Ordering::Relaxed), cpu_nanos());
        thread::sleep(MEASURED);
        let beats = seen.beats.load(Ordering::Relaxed) - beats;
        let cpu = cpu_nanos() - cpu;
        let latest = seen.latest.load(Ordering::Relaxed);
        stop();
        let due = f64::from(self.targets) * MEASURED.as_secs_f64() / self.period.as_secs_f64();
        Case {
            name: name.to_owned(),
            cpu: cpu as f64 / beats.max(1) as f64,
            latest: latest as f64,
            kept_up: beats as f64 / due,
        }
    }

    /// Cadences, their phases spread over the period by their keys.
    fn ours(&self, precision: Precision, leeway: Duration, seen: &Arc<Seen>) -> Box<dyn FnOnce()> {
        let hub: Reveille<u32> =
            Builder::new().policy(|p| p.leeway = leeway).build().expect("the policy holds");
        let (clock, seen) = (hub.clone(), Arc::clone(seen));
        let beats = move |run: &Run<u32>| {
            if let Some(due) = run.beat() {
                seen.note(due.as_micros(), clock.now().as_micros());
            }
        };
        // The handler holds a handle of its hub; the stop below clears the slot.
        hub.install(beats).expect("it has not stopped").keep();
        let cadence = Cadence::every(self.period).expect("it is long enough").spread();
        for key in 0..self.targets {
            let target = hub.target(key).expect("there is room");
            assert!(target.beat(cadence.clone()).is_ok(), "the target is there");
        }
        let driver = hub.drive_with(precision).expect("it has no driver");
        Box::new(move || {
            hub.stop();
            drop(driver);
        })
    }

    /// Wakes, each asked for again when it fires.
    fn peer(&self, start: Start, seen: &Arc<Seen>) -> Box<dyn FnOnce()> {
        let origin = TokioInstant::now();
        let micros = move || origin.elapsed().as_micros() as u64;
        let period = self.period.as_micros() as u64;
        let peer: Arc<OnceLock<Arc<dyn Peer>>> = Arc::default();
        let dues: Arc<[AtomicU64]> = (0..self.targets).map(|_| AtomicU64::new(0)).collect();
        let stopped = Arc::new(AtomicU64::new(0));
        let fired: Fired = {
            let (peer, dues, seen, stopped) =
                (Arc::clone(&peer), Arc::clone(&dues), Arc::clone(seen), Arc::clone(&stopped));
            Arc::new(move |target| {
                let Some(word) = dues.get(target as usize) else { return };
                let (due, now) = (word.load(Ordering::Relaxed), micros());
                seen.note(due, now);
                // As ours: from its own instant, and what has passed is passed.
                let next = due + period * (now.saturating_sub(due) / period + 1);
                word.store(next, Ordering::Relaxed);
                if let Some(peer) = peer.get().filter(|_| stopped.load(Ordering::Relaxed) == 0) {
                    peer.wake(target, next);
                }
            })
        };
        let it = peer.get_or_init(|| start(self.targets, origin, fired));
        let from = micros();
        for (target, word) in dues.iter().enumerate() {
            // The first ones while it is warmed up, all within a period.
            let due = from + period / 8 + period * target as u64 / u64::from(self.targets);
            word.store(due, Ordering::Relaxed);
            it.wake(target as u32, due);
        }
        Box::new(move || {
            stopped.store(1, Ordering::Relaxed);
            if let Some(peer) = peer.get() {
                peer.stop();
            }
        })
    }
}

/// CPU time of this process so far.
fn cpu_nanos() -> i64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| {
        (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) * 1_000
    })
}

/// The median over processes, case by case.
pub(crate) fn merge<'a>(
    crowds: &mut [Crowd],
    others: impl Iterator<Item = &'a Vec<Crowd>> + Clone,
) {
    for (place, crowd) in crowds.iter_mut().enumerate() {
        for (which, case) in crowd.cases.iter_mut().enumerate() {
            let mut all = vec![case.clone()];
            all.extend(
                others.clone().filter_map(|other| other.get(place)?.cases.get(which).cloned()),
            );
            let of = |figure: fn(&Case) -> f64| median(all.iter().map(figure).collect());
            (case.cpu, case.latest, case.kept_up) =
                (of(|case| case.cpu), of(|case| case.latest), of(|case| case.kept_up));
        }
    }
}
