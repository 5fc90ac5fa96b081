//! What a check of this family is, how it reports, and who ends it when it hangs.

use crate::arena;
use crate::result::{CHECK, CheckResult, PROGRESS, Progress};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A check: what must hold, and how it is found out.
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// The promises it guards.
    pub promises: &'static [&'static str],
    /// What must hold, in one sentence.
    pub law: &'static str,
    /// Threads of the model, the main one included.
    pub threads: u32,
    /// Finds out.
    pub body: Box<dyn FnOnce() -> Found + Send>,
}

/// What came of a check.
#[derive(Default)]
pub struct Found {
    /// Executions.
    pub executions: u64,
    /// Whether every execution was run.
    pub complete: bool,
    /// Whether schedules were drawn at random.
    pub sampled: bool,
    /// What did not hold.
    pub failure: Option<String>,
    /// Figures for the table.
    pub note: String,
}

impl Check {
    /// Runs it, under the watchdog, and prints its line.
    ///
    /// # Errors
    /// What did not hold.
    pub fn run(self) -> Result<(), String> {
        let (began, body) = (Instant::now(), self.body);
        let mut result = CheckResult {
            family: "shuttle".into(),
            name: self.name.into(),
            promises: self.promises.iter().map(ToString::to_string).collect(),
            law: self.law.into(),
            threads: self.threads,
            ..CheckResult::default()
        };
        let found = {
            let _watchdog = Watchdog::start(result.clone());
            body()
        };
        result.executions = found.executions;
        result.complete = found.complete;
        result.sampled = found.sampled;
        result.seconds = began.elapsed().as_secs_f64();
        result.failure = found.failure;
        result.note = Some(found.note).filter(|note| !note.is_empty());
        print_line(CHECK, &result);
        if let Some(why) = result.failure {
            return Err(format!("{}: {why}", self.promises.join(", ")));
        }
        println!("{}: {} executions, {}", self.name, result.executions, result.extent());
        println!("  {}", result.note.unwrap_or_default());
        Ok(())
    }
}

/// Tells how far a check is.
pub fn progress(name: &str, executions: u64, stage: String) {
    print_line(PROGRESS, &Progress { name: name.into(), executions, stage: Some(stage) });
}

fn print_line(mark: &str, value: &impl serde::Serialize) {
    match serde_json::to_string(value) {
        Ok(json) => println!("{mark}{json}"),
        Err(error) => println!("a result that cannot be written: {error}"),
    }
}

/// Whether this is the long run.
pub fn exhaustive() -> bool {
    std::env::var_os("REVEILLE_EXHAUSTIVE").is_some()
}

/// Ends the process when an execution stands still.
///
/// All threads of a model share one thread of the system. A lock that the scheduler does not see,
/// held by a thread that is frozen, blocks that one for good; nobody else could tell.
struct Watchdog(Arc<AtomicBool>);

impl Watchdog {
    fn start(mut result: CheckResult) -> Self {
        let seconds = std::env::var("REVEILLE_WATCHDOG").ok().and_then(|text| text.parse().ok());
        let limit = Duration::from_secs(seconds.unwrap_or(30));
        let progress: Arc<AtomicU64> = arena::progress();
        let over = Arc::new(AtomicBool::new(false));
        std::thread::spawn({
            let over = Arc::clone(&over);
            move || {
                let (mut last, mut since) = (progress.load(Ordering::Relaxed), Instant::now());
                while !over.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(100));
                    let now = progress.load(Ordering::Relaxed);
                    if now != last {
                        (last, since) = (now, Instant::now());
                    } else if since.elapsed() > limit && !over.load(Ordering::Relaxed) {
                        let why = format!(
                            "no step for {} s: a thread of the model blocks the thread of the \
                             system, as a lock does that the scheduler cannot see ({})",
                            limit.as_secs(),
                            arena::last_words(),
                        );
                        eprintln!("watchdog: {}: {why}", result.name);
                        result.failure = Some(why);
                        print_line(CHECK, &result);
                        std::process::abort();
                    }
                }
            }
        });
        Self(over)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
