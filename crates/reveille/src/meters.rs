//! The meters of a hub, for whatever recorder stands behind the `metrics` facade.
//!
//! # The rule on labels
//! One label at most: `hub`, with the name that the user gave it. Never one for each target, reason or
//! generation: keys are the users' data and without bound, and a series for each would be a leak in
//! the recorder. Who wants to know of one target asks the [`Snapshot`](crate::Snapshot).

use crate::counters::Counters;
use crate::hub::{Key, Reveille};
use crate::merge::Merge;
use crate::reasons::Reasons;
use crate::shared::Shared;
use metrics::{Counter, Gauge, Histogram, Label, SharedString, Unit};
use reveille_core::Tick;
use reveille_core::sync::{Arc, Ordering};
use std::fmt;
use std::time::Duration;

/// A counter: its name, what it counts, and where it stands.
type Counted = (&'static str, &'static str, fn(&Counters) -> u64);

const COUNTERS: &[Counted] = &[
    ("reveille_adds_total", "Requests: wakes and beats, refused ones too", |c| c.accepted),
    ("reveille_starts_total", "Runs started", |c| c.started),
    ("reveille_coalesced_total", "Requests served by a wake that waited already", |c| c.coalesced),
    ("reveille_preemptions_total", "Of those, the ones due sooner than what waited", |c| {
        c.preempted
    }),
    ("reveille_refused_total", "Requests refused", |c| c.refused),
    ("reveille_discarded_total", "Wakes discarded by cancel, remove or stop", |c| c.discarded),
    ("reveille_retries_total", "Wakes that a run gave back", |c| c.retried),
    ("reveille_gave_up_total", "Wakes given up", |c| c.gave_up),
    ("reveille_beats_total", "Beats of all cadences", |c| c.beats),
    ("reveille_beat_runs_done_total", "Runs that stood for beats, and were done", |c| c.beats_done),
    ("reveille_missed_beats_total", "Beats a run stood for beyond its own", |c| c.missed),
    ("reveille_installs_total", "Handlers installed", |c| c.installs),
    ("reveille_stale_disposals_total", "Disposals by superseded owners", |c| c.stale_disposes),
    ("reveille_stale_claims_total", "Claims of cadences by superseded runners", |c| c.stale_claims),
    ("reveille_panics_total", "Handlers that panicked", |c| c.panics),
    ("reveille_aborted_total", "Runs dropped without an outcome", |c| c.aborted),
    ("reveille_late_completions_total", "Outcomes of runs ended before", |c| c.late_completions),
    ("reveille_overruns_total", "Runs that passed the run limit", |c| c.overran),
    ("reveille_faults_total", "Faults outside runs", |c| c.faults),
    ("reveille_turns_total", "Turns of the engine", |c| c.turns),
    ("reveille_rechecks_total", "Looks over all targets", |c| c.rechecks),
    ("reveille_found_by_recheck_total", "Targets that had been forgotten", |c| c.found_by_recheck),
    ("reveille_stalls_total", "Stalls that a watch has seen begin", |c| c.stalls),
    ("reveille_time_gaps_total", "Time gaps that a watch has seen", |c| c.gaps),
];

const DEPTH: &str = "reveille_depth";
const IN_MOTION: &str = "reveille_in_motion";
const TARGETS: &str = "reveille_targets";
const RUNNING: &str = "reveille_running";
const UNFINISHED: &str = "reveille_unfinished_work_seconds";
const LONGEST: &str = "reveille_longest_running_seconds";

const GAUGES: &[(&str, Unit, &str)] = &[
    (DEPTH, Unit::Count, "Wakes that wait"),
    (IN_MOTION, Unit::Count, "Adds and retries not yet in another term: 0 when nothing moves"),
    (TARGETS, Unit::Count, "Targets"),
    (RUNNING, Unit::Count, "Runs in flight"),
    (UNFINISHED, Unit::Seconds, "How long the runs in flight have taken so far, in sum"),
    (LONGEST, Unit::Seconds, "How long the run in flight that started first has taken so far"),
];

const QUEUED: &str = "reveille_queue_duration_seconds";
const LATENESS: &str = "reveille_lateness_seconds";
const WORK: &str = "reveille_work_duration_seconds";

const HISTOGRAMS: &[(&str, &str)] = &[
    (QUEUED, "From when a wake was due to the turn that starts it"),
    (LATENESS, "From when a wake could start, by floors and rates too, to the turn that starts it"),
    (WORK, "From the turn that starts a run to the turn that collects its outcome"),
];

/// How often a reading is repeated until it is one of a quiescent instant.
const READINGS: usize = 4;

/// What the driver records as it goes.
pub(crate) struct Histograms {
    queued: Histogram,
    lateness: Histogram,
    work: Histogram,
}

impl Histograms {
    /// A run starts at `now`, of a wake that was due at `due` and could start at `may_start`.
    pub(crate) fn started(&self, now: Tick, due: Tick, may_start: Tick) {
        self.queued.record(now.since(due));
        self.lateness.record(now.since(may_start));
    }

    /// A run that started at `since` was collected.
    pub(crate) fn ended(&self, now: Tick, since: Tick) {
        self.work.record(now.since(since));
    }
}

/// The meters of one hub; see [`Reveille::meters`].
#[must_use = "counters and gauges change when they are published"]
pub struct Meters<K: Key = String, R: Reasons = (), P: Merge = ()> {
    shared: Arc<Shared<K, R, P>>,
    counters: Vec<Counter>,
    gauges: Vec<Gauge>,
}

/// What one reading found beside the counters.
#[derive(Default)]
struct Reading {
    counters: Counters,
    targets: u64,
    running: u64,
    unfinished: Duration,
    longest: Duration,
}

impl<K: Key, R: Reasons, P: Merge> Meters<K, R, P> {
    /// Publishes counters, as absolute figures, and gauges: all of one reading, so that in what is
    /// exported adds + retries = starts + coalesced + depth + refused + discarded + in motion (P12).
    /// It is repeated a few times until nothing was in motion.
    ///
    /// To be called before each scrape, or now and then. O(targets).
    pub fn publish(&self) {
        let mut reading = self.read();
        for _ in 1..READINGS {
            if reading.counters.is_conserved() {
                break;
            }
            reading = self.read();
        }
        for (counter, (_, _, of)) in self.counters.iter().zip(COUNTERS) {
            counter.absolute(of(&reading.counters));
        }
        for (gauge, (name, ..)) in self.gauges.iter().zip(GAUGES) {
            gauge.set(match *name {
                DEPTH => reading.counters.pending as f64,
                IN_MOTION => reading.counters.in_motion() as f64,
                TARGETS => reading.targets as f64,
                RUNNING => reading.running as f64,
                UNFINISHED => reading.unfinished.as_secs_f64(),
                _ => reading.longest.as_secs_f64(),
            });
        }
    }

    fn read(&self) -> Reading {
        let (now, mut reading, mut pending) = (self.shared.now(), Reading::default(), 0);
        self.shared.registry.for_each(|node| {
            if !node.word.load().is_closed() {
                reading.targets += 1;
            }
            pending += node.waiting();
            let extras = node.extras();
            let since = extras.map(|extras| extras.vitals.running_since.load(Ordering::Relaxed));
            let since = Tick::from_micros(since.unwrap_or(u64::MAX));
            if since != Tick::NEVER {
                reading.running += 1;
                reading.unfinished = reading.unfinished.saturating_add(now.since(since));
                reading.longest = reading.longest.max(now.since(since));
            }
        });
        reading.counters = self.shared.tallies.read(pending);
        reading
    }
}

impl<K: Key, R: Reasons, P: Merge> fmt::Debug for Meters<K, R, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meters").finish_non_exhaustive()
    }
}

impl<K: Key, R: Reasons, P: Merge> Reveille<K, R, P> {
    /// Describes and registers the hub's meters with the recorder that is installed, under the label
    /// `hub` with this name, or without a label where it is empty. From here on the driver records the
    /// histograms; counters and gauges are [published](Meters::publish). A second call takes the
    /// histograms over.
    ///
    /// Their names, and a rule on labels, stand in `docs/OBSERVABILITY.md`.
    ///
    /// ```
    /// use reveille::Reveille;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let recorder = metrics_util::debugging::DebuggingRecorder::new();
    /// let snapshotter = recorder.snapshotter();
    /// let hub: Reveille = Reveille::start()?;
    /// metrics::with_local_recorder(&recorder, || hub.meters("jobs")).publish();
    /// assert!(snapshotter.snapshot().into_vec().len() > 20);
    /// # Ok(())
    /// # }
    /// ```
    pub fn meters(&self, name: impl Into<SharedString>) -> Meters<K, R, P> {
        let name: SharedString = name.into();
        let labels = if name.is_empty() { Vec::new() } else { vec![Label::new("hub", name)] };
        let shared = self.shared();
        let histogram = |name: &'static str| metrics::histogram!(name, labels.iter());
        for &(name, what) in HISTOGRAMS {
            metrics::describe_histogram!(name, Unit::Seconds, what);
        }
        let (queued, lateness, work) = (histogram(QUEUED), histogram(LATENESS), histogram(WORK));
        shared.histograms.store(Some(Arc::new(Histograms { queued, lateness, work })));
        let counters = COUNTERS.iter().map(|&(name, what, _)| {
            metrics::describe_counter!(name, Unit::Count, what);
            metrics::counter!(name, labels.iter())
        });
        let gauges = GAUGES.iter().map(|&(name, unit, what)| {
            metrics::describe_gauge!(name, unit, what);
            metrics::gauge!(name, labels.iter())
        });
        Meters { shared, counters: counters.collect(), gauges: gauges.collect() }
    }
}
