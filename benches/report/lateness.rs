//! How late a wake runs, for one target at a time.

use crate::Progress;
use hdrhistogram::Histogram;
use reveille::{Builder, Precision, Reveille, Run, Target, Wake};
use reveille_benches::peers::{Fired, PEERS, Peer};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::time::Instant as TokioInstant;

/// Samples of each case.
const SAMPLES: usize = 120;

/// How late the cases were, at rest or under load.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Setting {
    pub(crate) name: String,
    pub(crate) cases: Vec<Case>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// Nanoseconds, as they came.
    late: Vec<u64>,
    /// How often it ran before it was due.
    pub(crate) early: usize,
}

impl Case {
    /// All of them, in nanoseconds.
    pub(crate) fn histogram(&self) -> Histogram<u64> {
        // Three digits, and as wide as it must be.
        let mut histogram = Histogram::new(3).expect("three digits are allowed");
        for &late in &self.late {
            // It grows to what it is given.
            let _ = histogram.record(late.max(1));
        }
        histogram
    }
}

pub(crate) struct Plan(&'static str, bool);

/// Those with such a name.
pub(crate) fn wanted(wanted: impl Fn(&str) -> bool) -> Vec<Plan> {
    let all = [Plan("lateness at rest", false), Plan("lateness under load", true)];
    all.into_iter().filter(|plan| wanted(plan.0)).collect()
}

/// Waits for an instant, so many microseconds from the origin, and says when that was.
type Wait = Box<dyn FnMut(Instant) -> Instant>;

impl Plan {
    pub(crate) fn name(&self) -> &'static str {
        self.0
    }

    pub(crate) fn measure(&self, progress: &Progress) -> Setting {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build();
        let runtime = Arc::new(runtime.expect("a runtime"));
        let mut waits = waits(&runtime);
        let mut cases: Vec<Case> = waits
            .iter()
            .map(|(name, _)| Case { name: (*name).to_owned(), late: Vec::new(), early: 0 })
            .collect();
        let over = Arc::new(AtomicBool::new(false));
        let load = self.1.then(|| {
            let over = Arc::clone(&over);
            // One core is busy for good.
            thread::spawn(move || while !over.load(Ordering::Relaxed) {})
        });
        let mut order: Vec<usize> = (0..cases.len()).collect();
        for sample in 0..SAMPLES {
            if sample % 20 == 0 {
                progress.doing(&format!("{}: {sample} of {SAMPLES}", self.0));
            }
            fastrand::shuffle(&mut order);
            for &which in &order {
                let due = Instant::now() + Duration::from_micros(fastrand::u64(1_000..10_000));
                let ran = (waits[which].1)(due);
                match ran.checked_duration_since(due) {
                    Some(late) => cases[which].late.push(late.as_nanos() as u64),
                    None => cases[which].early += 1,
                }
            }
        }
        over.store(true, Ordering::Relaxed);
        if let Some(load) = load {
            let _ = load.join();
        }
        Setting { name: self.0.to_owned(), cases }
    }
}

fn waits(runtime: &Arc<Runtime>) -> Vec<(&'static str, Wait)> {
    let precise = Precision::new();
    let precise = precise.timer_slack(Duration::from_nanos(1)).spin(Duration::from_micros(100));
    let mut all: Vec<(&'static str, Wait)> = vec![
        ("reveille", driven(Some(Precision::new()), runtime)),
        ("reveille_inline", driven(Some(Precision::new().inline()), runtime)),
        ("reveille_precise", driven(Some(precise), runtime)),
        ("reveille_tokio", driven(None, runtime)),
        (
            "bare_park_timeout",
            Box::new(|due| {
                loop {
                    let now = Instant::now();
                    match due.checked_duration_since(now) {
                        Some(left) if !left.is_zero() => thread::park_timeout(left),
                        _ => return now,
                    }
                }
            }),
        ),
        ("bare_sleep_until", {
            let runtime = Arc::clone(runtime);
            Box::new(move |due| {
                let slept = runtime.spawn(async move {
                    tokio::time::sleep_until(due.into()).await;
                    Instant::now()
                });
                runtime.block_on(slept).expect("it ends")
            })
        }),
    ];
    for &(name, start) in PEERS.iter().filter(|(name, _)| !name.starts_with("reveille")) {
        let (tell, ran) = crossbeam_channel::unbounded();
        let fired: Fired = Arc::new(move |_| {
            let _ = tell.send(Instant::now());
        });
        let inside = runtime.enter();
        let origin = TokioInstant::now();
        let peer: Arc<dyn Peer> = start(1, origin, fired);
        drop(inside);
        let runtime = Arc::clone(runtime);
        all.push((
            name,
            Box::new(move |due| {
                let _inside = runtime.enter();
                // A peer counts in whole microseconds: what is between two of them is due at the later one.
                let micros = due.duration_since(origin.into_std()).as_nanos().div_ceil(1_000);
                peer.wake(0, u64::try_from(micros).unwrap_or(u64::MAX));
                ran.recv().expect("the peer runs")
            }),
        ));
    }
    all
}

/// Ours, with its own thread or, without one, on tokio.
fn driven(thread: Option<Precision>, runtime: &Arc<Runtime>) -> Wait {
    let hub: Reveille<u32> = Builder::new().build().expect("the default policy holds");
    let (tell, ran) = crossbeam_channel::unbounded();
    let tells = move |_: &Run<u32>| {
        let _ = tell.send(Instant::now());
    };
    hub.install(tells).expect("it has not stopped").keep();
    let driver = thread.map(|it| hub.drive_with(it).expect("it has no driver"));
    if driver.is_none() {
        drop(runtime.spawn(reveille_tokio::drive(&hub).expect("it has no driver")));
    }
    let target: Target<u32> = hub.target(0).expect("there is room");
    Box::new(move |due| {
        let _ = (&hub, &driver);
        target.wake(Wake::within(due.saturating_duration_since(Instant::now())));
        ran.recv().expect("the hub is driven")
    })
}

/// All samples of all processes.
pub(crate) fn merge<'a>(
    settings: &mut [Setting],
    others: impl Iterator<Item = &'a Vec<Setting>> + Clone,
) {
    for (place, setting) in settings.iter_mut().enumerate() {
        for (which, case) in setting.cases.iter_mut().enumerate() {
            for other in others.clone() {
                let Some(other) = other.get(place).and_then(|setting| setting.cases.get(which))
                else {
                    continue;
                };
                case.late.extend(&other.late);
                case.early += other.early;
            }
        }
    }
}
