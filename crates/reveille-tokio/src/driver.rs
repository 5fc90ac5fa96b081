use reveille::{AlreadyDriven, Engine, Merge, Reasons, Reveille, Ring, Run, StopReport, Tick};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Wakes the driver's task. A ring that comes while it is awake is kept, and makes one more turn.
struct Bell(Arc<Notify>);

impl Ring for Bell {
    fn ring(&self) {
        self.0.notify_one();
    }
}

/// The driver of a hub, as a future that is done when the hub has stopped and no run is in flight.
///
/// To be polled inside a runtime, from a task of its own as a rule: `tokio::spawn(drive(&hub)?)`. It does
/// not keep the hub alive: dropping the last handle of the user stops the hub, and so ends it.
///
/// # Errors
/// If the hub has a driver.
///
/// # Cancel safety
/// Dropped at any `await` it leaves the hub consistent: what waits goes on waiting, runs in flight go on,
/// and another driver may take over. A dropped driver starts nothing, so somebody should drive; a
/// [`health`](Reveille::health) check says if nobody does.
///
/// # Panics
/// Where it is polled outside of a tokio runtime, or in one without time.
pub fn drive<K, R, P>(
    hub: &Reveille<K, R, P>,
) -> Result<impl Future<Output = ()> + Send + 'static, AlreadyDriven>
where
    K: reveille::Key,
    R: Reasons,
    P: Merge,
{
    let mut driver = Driver::take(hub)?;
    Ok(async move { driver.run().await })
}

/// The same, until `token` is cancelled: then the hub drains. It stops (P13), the runs in flight have
/// `limit` to end, and the report is returned, also where some have not; as it is if the hub is stopped
/// by others.
///
/// ```
/// use reveille::{Reveille, Wake};
/// use std::time::Duration;
/// use tokio_util::sync::CancellationToken;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub: Reveille = reveille::Builder::new().build()?;
/// let shutdown = CancellationToken::new();
/// let driver = reveille_tokio::drive_until(&hub, shutdown.clone(), Duration::from_secs(5))?;
/// let driver = tokio::spawn(driver);
/// hub.wake("mail".to_owned(), Wake::now());
/// shutdown.cancel();
/// let report = driver.await?;
/// assert_eq!((report.discarded, report.left), (1, 0));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the hub has a driver.
///
/// # Cancel safety
/// As [`drive`]. Dropped after the token was cancelled, it leaves the hub stopped; the report is to be
/// had from [`Reveille::stop`].
///
/// # Panics
/// As [`drive`].
pub fn drive_until<K, R, P>(
    hub: &Reveille<K, R, P>,
    token: CancellationToken,
    limit: Duration,
) -> Result<impl Future<Output = StopReport> + Send + 'static, AlreadyDriven>
where
    K: reveille::Key,
    R: Reasons,
    P: Merge,
{
    let mut driver = Driver::take(hub)?;
    Ok(async move {
        let drained = loop {
            let turned = driver.turn();
            let goes_on = tokio::select! {
                () = token.cancelled() => {
                    driver.engine.rise();
                    break driver.engine.hub().drain(limit);
                }
                goes_on = turned.sleeps(&driver) => goes_on,
            };
            if !goes_on {
                break driver.engine.hub().stop();
            }
        };
        let patience = sleep_until(far(Instant::now(), limit));
        tokio::pin!(patience);
        loop {
            let turned = driver.turn();
            if let Some(report) = drained.report() {
                return report;
            }
            tokio::select! {
                () = &mut patience => {
                    // Also where tokio's time is paused, and the process's goes on.
                    return driver.engine.hub().stop().wait();
                }
                _ = turned.sleeps(&driver) => {}
            }
        }
    })
}

/// The driver of a hub, for who wants more of it than [`drive`]: to give it up and to go on, and to step
/// the engine between two instants, as a simulation does that has several steps at one instant
/// ([`Engine::observe`]).
///
/// ```
/// use reveille::{Builder, Cadence, Reveille, SharedRun, Tick};
/// use reveille_tokio::{Driver, TokioClock};
/// use std::time::Duration;
/// use tokio::time::timeout;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub: Reveille = Builder::new().clock(TokioClock::new()).build()?;
/// let mut driver = Driver::take(&hub)?;
/// let _handler = hub.install_async(|_: SharedRun| async {})?;
/// hub.target("mail".to_owned())?.beat(Cadence::every(Duration::from_secs(60))?)?;
/// // It is never done, as nobody stops the hub: this drives for three and a half minutes.
/// assert!(timeout(Duration::from_secs(210), driver.run()).await.is_err());
/// assert_eq!(hub.counters().started, 3);
/// assert_eq!(driver.engine().deadline(), Tick::NOW + Duration::from_secs(240));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Driver<K: reveille::Key = String, R: Reasons = (), P: Merge = ()> {
    engine: Engine<K, R, P>,
    bell: Arc<Notify>,
}

/// What a turn leaves to do.
enum Turned {
    /// The driver's work is done.
    Finished,
    /// There is more to do at once.
    Again,
    /// Nothing before this instant, for as long as nobody rings.
    Until(Tick),
}

impl<K: reveille::Key, R: Reasons, P: Merge> Driver<K, R, P> {
    /// The driver of this hub. It does nothing yet.
    ///
    /// # Errors
    /// If the hub has a driver.
    pub fn take(hub: &Reveille<K, R, P>) -> Result<Self, AlreadyDriven> {
        let engine = hub.engine()?;
        let bell = Arc::new(Notify::new());
        engine.set_ring(Bell(Arc::clone(&bell)));
        Ok(Self { engine, bell })
    }

    /// Drives, until the hub has stopped and no run is in flight. Its first poll makes a turn.
    ///
    /// # Cancel safety
    /// Dropped at any `await` it leaves the hub consistent, as [`drive`] does, and may be called again.
    ///
    /// # Panics
    /// Where it is polled outside of a tokio runtime, or in one without time.
    pub async fn run(&mut self) {
        // It may have been given up asleep.
        self.engine.rise();
        while self.turn().sleeps(self).await {}
    }

    /// The engine that it drives.
    pub fn engine(&self) -> &Engine<K, R, P> {
        &self.engine
    }

    /// The same, to be stepped while [`run`](Self::run) is not. Runs that are taken from it here are not
    /// started by the driver.
    pub fn engine_mut(&mut self) -> &mut Engine<K, R, P> {
        &mut self.engine
    }

    /// A turn, and the starts behind it.
    fn turn(&mut self) -> Turned {
        let now = self.engine.now();
        let turned = self.engine.guard(|engine| {
            engine.turn(now);
            while let Some(run) = engine.next_run() {
                start(run);
            }
        });
        if turned.is_none() || self.engine.is_finished() {
            return Turned::Finished;
        }
        let until = self.engine.arm().min(now + self.engine.policy().max_sleep);
        // From a doze on whoever wants something sooner rings.
        if until > now && self.engine.doze(until) { Turned::Until(until) } else { Turned::Again }
    }
}

impl Turned {
    /// Sleeps for as long as nothing is to be done; false if the driver's work is done.
    async fn sleeps<K: reveille::Key, R: Reasons, P: Merge>(
        self,
        driver: &Driver<K, R, P>,
    ) -> bool {
        match self {
            Self::Finished => return false,
            // Others have their turn too: runs that have just been started, for one.
            Self::Again => task::yield_now().await,
            Self::Until(until) => {
                let wait = until.since(driver.engine.now());
                // Early is allowed, late never: a ring of long ago makes a turn.
                tokio::select! {
                    () = driver.bell.notified() => {}
                    () = sleep_until(far(Instant::now(), wait)) => {}
                }
                driver.engine.rise();
            }
        }
        true
    }
}

/// So long after `now`, or a year where that cannot be said: the driver sleeps no longer than
/// `max_sleep`, but that may be anything.
fn far(now: Instant, wait: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);
    now + wait.min(YEAR)
}

/// A run becomes a task; its handle is dropped, which leaves it running.
fn start<K: reveille::Key, R: Reasons, P: Merge>(run: Run<K, R, P>) {
    if run.is_async() {
        task::spawn(run.execute_async());
    } else {
        task::spawn_blocking(move || run.execute());
    }
}
