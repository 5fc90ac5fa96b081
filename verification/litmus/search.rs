//! One search of a model by loom, and an honest account of it.
//!
//! loom returns normally when it gives up at a limit, so a returned search says nothing. The only
//! sign that all executions were tried is the tracing event "Completed in N iterations"; it is
//! caught here, and a search without it is not complete.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::{Dispatch, Event, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, LevelFilter, filter_fn};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Branch points of one execution; loom's own default of 1,000 is too few for our loops.
const MAX_BRANCHES: usize = 10_000;

/// Executions between two looks at the limits and two calls of the progress function.
const INTERVAL: usize = 1_000;

/// Where a search gives up; the default is never. What the environment sets (`LOOM_MAX_DURATION`,
/// `LOOM_MAX_PERMUTATIONS`) takes precedence.
#[derive(Default)]
pub(crate) struct Limits {
    /// After so many seconds.
    pub(crate) seconds: Option<u64>,
    /// After so many executions, rounded up to the next thousand.
    pub(crate) executions: Option<usize>,
    /// Called every thousand executions with their number.
    pub(crate) progress: Option<Box<dyn Fn(u64) + Send + Sync>>,
}

/// What a search did.
#[derive(Clone, Debug)]
pub(crate) struct Searched {
    /// Executions tried, with the failing one.
    pub(crate) executions: u64,
    /// The most preemptions of an execution that were allowed; `None` is any number.
    pub(crate) bound: Option<usize>,
    /// Whether all executions within the bound were tried and none failed.
    pub(crate) complete: bool,
    /// How long it took.
    pub(crate) seconds: f64,
    /// What the failing execution said, if one failed.
    pub(crate) failure: Option<String>,
}

impl fmt::Display for Searched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match (&self.failure, self.complete) {
            (Some(_), _) => "FAILED",
            (None, true) => "complete",
            (None, false) => "CUT",
        };
        write!(f, "{how}, {} executions", self.executions)?;
        match self.bound {
            None => write!(f, ", unbounded")?,
            Some(bound) => write!(f, ", at most {bound} preemptions")?,
        }
        write!(f, ", {:.2} s", self.seconds)
    }
}

/// Tries the executions of `f` with at most `bound` preemptions each.
///
/// Settings of the environment (`LOOM_*`) take precedence over `bound` and `limits`; what was in
/// force is in the result. With `LOOM_LOG` set, loom's own log is printed.
///
/// A failing execution is caught and reported, except where a destructor panics after it: then the
/// process aborts.
pub(crate) fn search<F>(bound: Option<usize>, limits: Limits, f: F) -> Searched
where
    F: Fn() + Send + Sync + 'static,
{
    let set = |name| std::env::var_os(name).is_some();
    let mut builder = loom::model::Builder::new();
    if !set("LOOM_MAX_BRANCHES") {
        builder.max_branches = MAX_BRANCHES;
    }
    if !set("LOOM_CHECKPOINT_INTERVAL") {
        builder.checkpoint_interval = INTERVAL;
    }
    builder.preemption_bound = builder.preemption_bound.or(bound);
    builder.max_permutations = builder.max_permutations.or(limits.executions);
    builder.max_duration = builder.max_duration.or(limits.seconds.map(Duration::from_secs));

    let completed = Arc::new(AtomicBool::new(false));
    let watch = Watch { completed: Arc::clone(&completed), progress: limits.progress };
    let heard = filter_fn(is_of_the_search).with_max_level_hint(LevelFilter::INFO);
    let subscriber: Dispatch = if set("LOOM_LOG") {
        let wanted = EnvFilter::from_env("LOOM_LOG");
        let log = tracing_subscriber::fmt::layer().without_time().with_filter(wanted);
        tracing_subscriber::registry().with(watch.with_filter(heard)).with(log).into()
    } else {
        // A filter for all: what nobody hears costs loom nothing, and it says much at each step.
        tracing_subscriber::registry().with(watch).with(heard).into()
    };

    let begun = Arc::new(AtomicU64::new(0));
    let model = {
        let begun = Arc::clone(&begun);
        move || {
            begun.fetch_add(1, Ordering::Relaxed);
            f();
        }
    };
    let start = Instant::now();
    let result = tracing::dispatcher::with_default(&subscriber, || {
        catch_unwind(AssertUnwindSafe(|| builder.check(model)))
    });
    Searched {
        executions: begun.load(Ordering::Relaxed),
        bound: builder.preemption_bound,
        complete: result.is_ok() && completed.load(Ordering::Relaxed),
        seconds: start.elapsed().as_secs_f64(),
        failure: result.err().map(|payload| message(&*payload)),
    }
}

/// Whether loom says this about its search, not about one execution.
fn is_of_the_search(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && metadata.target() == "loom::model"
}

/// What a panic said.
fn message(payload: &(dyn std::any::Any + Send)) -> String {
    match (payload.downcast_ref::<String>(), payload.downcast_ref::<&str>()) {
        (Some(text), _) => text.clone(),
        (None, Some(text)) => (*text).to_owned(),
        (None, None) => "a panic without a text".to_owned(),
    }
}

/// Listens for the two lines that loom's search says about itself.
struct Watch {
    completed: Arc<AtomicBool>,
    progress: Option<Box<dyn Fn(u64) + Send + Sync>>,
}

impl<S: Subscriber> Layer<S> for Watch {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        if number_between(&text.0, "Completed in ", " iterations").is_some() {
            self.completed.store(true, Ordering::Relaxed);
        } else if let (Some(progress), Some(count)) =
            (&self.progress, number_between(&text.0, " Iteration ", " "))
        {
            progress(count);
        }
    }
}

/// The number after `before` and up to `after`, if it stands there.
fn number_between(text: &str, before: &str, after: &str) -> Option<u64> {
    let (_, rest) = text.split_once(before)?;
    let (number, _) = rest.split_once(after)?;
    number.parse().ok()
}

/// The message of an event.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
