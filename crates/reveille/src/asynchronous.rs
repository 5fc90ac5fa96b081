//! Handlers that are asynchronous, of any runtime.
//!
//! A driver that can await polls [`Run::execute_async`] as a task of its own; one that cannot blocks a
//! worker on it. Whoever polls, each poll is inside the run: panics are contained (P10), and a stop or a
//! retirement that the handler asks for does not wait for the run itself (P13).
//!
//! The handler's future is boxed here, once a run, since the slot holds handlers of all types; its user
//! names no box.

use crate::fault::Place;
use crate::hub::{Key, Registration, Reveille};
use crate::installed::Callee;
use crate::merge::Merge;
use crate::outcome::Outcome;
use crate::reasons::Reasons;
use crate::run::Run;
use crate::runner::{Roster, Runner};
use crate::wake::{Refusal, Rejected};
use reveille_core::completion::Ending;
use reveille_core::sync::Arc;
use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::pin::{Pin, pin};
use std::task::Poll;

/// A run, as an asynchronous handler has it: cheap to clone, and to hold over an `await`.
///
/// It tells what a [`Run`] tells. The run ends when the handler's future is done or dropped, whoever
/// still holds this; but [`retire`](Registration::retire) waits until nobody does.
pub struct SharedRun<K: Key = String, R: Reasons = (), P: Merge = ()>(Arc<Run<K, R, P>>);

impl<K: Key, R: Reasons, P: Merge> Clone for SharedRun<K, R, P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Key, R: Reasons, P: Merge> Deref for SharedRun<K, R, P> {
    type Target = Run<K, R, P>;

    fn deref(&self) -> &Run<K, R, P> {
        &self.0
    }
}

impl<K: Key + fmt::Debug, R: Reasons, P: Merge> fmt::Debug for SharedRun<K, R, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is installed by [`install_async`](Reveille::install_async): runs a target as a future. Any
/// `async fn` or closure from a [`SharedRun`] is one, if its future is `Send` and ends with `()`, a
/// `Result` or an [`Outcome`].
///
/// The future is dropped at an `await` when its driver ends the run ([`OnReplace::Cancel`],
/// [`OnOverrun::Cancel`]), or when the runtime does: it must be cancel safe as far as its user minds. The
/// wake passes on then (P7).
///
/// [`OnReplace::Cancel`]: crate::OnReplace::Cancel
/// [`OnOverrun::Cancel`]: crate::OnOverrun::Cancel
pub trait AsyncHandler<K: Key = String, R: Reasons = (), P: Merge = ()>:
    Send + Sync + 'static
{
    /// Runs a target, and says how it ended.
    fn run(&self, run: SharedRun<K, R, P>) -> impl Future<Output = Outcome> + Send + 'static;
}

impl<F, G, T, K, R, P> AsyncHandler<K, R, P> for F
where
    F: Fn(SharedRun<K, R, P>) -> G + Send + Sync + 'static,
    G: Future<Output = T> + Send + 'static,
    T: Into<Outcome>,
    K: Key,
    R: Reasons,
    P: Merge,
{
    fn run(&self, run: SharedRun<K, R, P>) -> impl Future<Output = Outcome> + Send + 'static {
        let future = self(run);
        async move { future.await.into() }
    }
}

type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// An asynchronous handler of any type.
pub(crate) trait Begin<K: Key, R: Reasons, P: Merge>: Send + Sync {
    fn begin(&self, run: SharedRun<K, R, P>) -> Running;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<H, K, R, P> Begin<K, R, P> for H
where
    H: AsyncHandler<K, R, P>,
    K: Key,
    R: Reasons,
    P: Merge,
{
    fn begin(&self, run: SharedRun<K, R, P>) -> Running {
        Box::pin(self.run(run))
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// Ends its run as aborted where nothing else has ended it.
struct Abort<K: Key, R: Reasons, P: Merge>(SharedRun<K, R, P>);

impl<K: Key, R: Reasons, P: Merge> Drop for Abort<K, R, P> {
    fn drop(&mut self) {
        self.0.settle(Ending::Aborted);
    }
}

impl<K: Key, R: Reasons, P: Merge> Run<K, R, P> {
    /// Whether its handler is asynchronous: [`execute_async`](Self::execute_async) awaits it. Else that
    /// would block, and [`execute`](Self::execute) is to be called where blocking is allowed.
    pub fn is_async(&self) -> bool {
        let installed = self.stay.entry().handler();
        installed.is_some_and(|installed| matches!(installed.handler, Callee::Async(_)))
    }

    /// The run as a future: calls the handler, awaits it, and ends the run with what it returns. What a
    /// driver does with a run of an [asynchronous](AsyncHandler) handler; one that blocks, blocks here.
    ///
    /// Panics of the handler, at any of its steps, are contained, counted and reported. If the driver
    /// ends the run meanwhile, the handler's future is dropped at its next `await`.
    ///
    /// # Cancel safety
    /// Dropped half-way, or never polled, it ends the run as aborted, and the wake is tried again.
    pub async fn execute_async(self) {
        let entry = Arc::clone(self.stay.entry());
        let handler = match entry.handler().map(|installed| &installed.handler) {
            Some(Callee::Async(handler)) => handler,
            Some(Callee::Blocking(_)) => return self.execute(),
            None => return self.end(Ending::Aborted),
        };
        if self.shared.gate.load().is_closed() {
            return self.end(Ending::Cancelled);
        }
        #[cfg(feature = "tracing")]
        let span = self.span();
        let run = SharedRun(Arc::new(self));
        let abort = Abort(run.clone());
        let begun = run.inside(|| {
            #[cfg(feature = "tracing")]
            let _span = span.enter();
            handler.begin(run.clone())
        });
        let mut future = match begun {
            Ok(future) => future,
            Err(message) => return run.end_panicked(message),
        };
        let mut cancelled = pin!(run.cancelled());
        let ended = poll_fn(|context| {
            if cancelled.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            let polled = run.inside(|| {
                #[cfg(feature = "tracing")]
                let _span = span.enter();
                future.as_mut().poll(context)
            });
            match polled {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(outcome)) => Poll::Ready(Some(Ok(outcome))),
                Err(message) => Poll::Ready(Some(Err(message))),
            }
        });
        let ended = ended.await;
        // Gone before the run ends: what it borrowed of the target is free when the next run starts.
        if let Err(message) = run.inside(|| drop(future)) {
            run.shared.fault(Place::Drop, message);
        }
        match ended {
            None => run.was_ended(),
            Some(Ok(outcome)) => run.settle(outcome.into()),
            Some(Err(message)) => run.end_panicked(message),
        }
        drop(abort);
    }

    fn end_panicked(&self, message: String) {
        self.shared.fault(Place::Handler, message);
        self.settle(Ending::Panicked);
    }
}

/// What starting a runner with an asynchronous handler returns: the runner, or what was handed in.
pub type StartedAsync<H, K, R = (), P = ()> = Result<Runner<K, R, P>, Rejected<(H, Roster<K>)>>;

impl<K: Key, R: Reasons, P: Merge> Reveille<K, R, P> {
    /// Installs an asynchronous handler, whatever was installed before, and owns it; else as
    /// [`install`](Self::install).
    ///
    /// Its futures run on the driver's runtime. A driver of threads blocks a worker on each: then they
    /// may use no runtime that is not there.
    ///
    /// ```
    /// use reveille::{Outcome, Reveille, SharedRun, Wake};
    ///
    /// async fn fetch(run: SharedRun) -> Outcome {
    ///     std::future::ready(run.key().len()).await;
    ///     Outcome::ran()
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let hub: Reveille = Reveille::start()?;
    /// let _fetching = hub.install_async(fetch)?;
    /// let done = hub.wake_awaited("mail".to_owned(), Wake::now())?.wait();
    /// assert!(done.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The handler, if the hub has stopped.
    pub fn install_async<H>(&self, handler: H) -> Result<Registration<K, R, P>, Rejected<H>>
    where
        H: AsyncHandler<K, R, P>,
    {
        self.install_callee(Callee::Async(Box::new(handler))).map_err(|callee| {
            let Callee::Async(handler) = callee else { unreachable!("it is what was handed in") };
            let Ok(value) = handler.into_any().downcast::<H>() else {
                unreachable!("it is what was handed in")
            };
            Rejected { refusal: Refusal::Stopped, value: *value }
        })
    }

    /// Starts a [`Runner`] with an asynchronous handler; else as [`runner`](Self::runner).
    ///
    /// # Errors
    /// The handler and the roster, as [`runner`](Self::runner).
    pub fn runner_async<H>(&self, handler: H, roster: Roster<K>) -> StartedAsync<H, K, R, P>
    where
        H: AsyncHandler<K, R, P>,
    {
        self.start_runner(handler, roster, Self::install_async, std::convert::identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, ManualClock, OnReplace, Wake};
    use reveille_core::Tick;
    use std::future::pending;
    use std::task::{Context, Waker};

    fn hub() -> Reveille<&'static str> {
        let policy = |policy: &mut crate::Policy| policy.on_replace = OnReplace::Cancel;
        Builder::new().policy(policy).clock(ManualClock::new()).build().unwrap()
    }

    /// P7: a run whose driver has ended it drops its future, and is not late; dropped or never polled,
    /// it is aborted.
    #[test]
    fn a_run_that_is_over_drops_its_future() {
        let hub = hub();
        let mut engine = hub.engine().unwrap();
        let _first = hub.install_async(|_| pending::<()>()).unwrap();
        let mut context = Context::from_waker(Waker::noop());
        for key in ["cancelled", "dropped", "unpolled"] {
            hub.wake(key, Wake::now());
        }
        engine.turn(Tick::NOW);
        let mut runs: Vec<_> = std::iter::from_fn(|| engine.next_run())
            .map(|run| Box::pin(run.execute_async()))
            .collect();
        assert!(runs[0].as_mut().poll(&mut context).is_pending());
        assert!(runs[1].as_mut().poll(&mut context).is_pending());
        drop(runs.split_off(1));
        engine.turn(Tick::from_micros(1));
        assert_eq!(hub.counters().aborted, 2);
        let _second = hub.install_async(|_| async {}).unwrap();
        engine.turn(Tick::from_micros(2));
        assert!(runs[0].as_mut().poll(&mut context).is_ready());
        engine.turn(Tick::from_micros(3));
        let counters = hub.counters();
        assert_eq!((counters.late_completions, counters.retried, counters.aborted), (0, 3, 2));
        assert!(counters.is_conserved(), "{counters:?}");
    }

    /// P10: a panic at the first step or at a later one ends the run, and nothing else.
    #[test]
    fn panics_are_contained_at_every_step() {
        let hub = hub();
        let mut engine = hub.engine().unwrap();
        let before = |_: SharedRun<&'static str>| -> std::future::Ready<()> { panic!("at once") };
        let later = |_: SharedRun<&'static str>| async {
            std::future::ready(()).await;
            assert!(std::hint::black_box(false), "later");
        };
        let _first = hub.install_async(before).unwrap();
        hub.wake("a", Wake::now());
        engine.turn(Tick::NOW);
        engine.next_run().unwrap().execute();
        let _second = hub.install_async(later).unwrap();
        engine.turn(Tick::from_micros(1));
        hub.wake("b", Wake::now());
        engine.turn(Tick::from_micros(1));
        engine.next_run().unwrap().execute();
        engine.turn(Tick::from_micros(2));
        let counters = hub.counters();
        assert_eq!((counters.panics, counters.aborted, counters.retried), (2, 0, 2));
    }

    /// P1: a stopped hub hands the handler back.
    #[test]
    fn a_rejected_handler_is_handed_back() {
        let hub = hub();
        hub.stop();
        let rejected = hub.install_async(|_| async {}).unwrap_err();
        assert_eq!(rejected.refusal, Refusal::Stopped);
        let rejected =
            hub.runner_async(rejected.value, Roster::new().with("a", beat())).unwrap_err();
        assert_eq!(rejected.value.1.len(), 1);
    }

    fn beat() -> crate::Cadence {
        crate::Cadence::every(std::time::Duration::from_secs(1)).unwrap()
    }
}
