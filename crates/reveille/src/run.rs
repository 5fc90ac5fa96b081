use crate::Reveille;
use crate::fault::{Place, contain};
use crate::hub::Key;
use crate::installed::{Callee, Runs, Stay};
use crate::merge::Merge;
use crate::node::Node;
use crate::outcome::Outcome;
use crate::reasons::Reasons;
use crate::shared::Shared;
use crate::sync::thread_local;
use reveille_core::completion::{Ending, RunNumber, Word};
use reveille_core::sync::{Arc, Ordering, PlainU64};
use reveille_core::{Generation, Tick, Urgency};
use std::cell::{Cell, RefCell};
use std::fmt;

/// What is installed: runs a target. Any `Fn(&Run) -> Outcome` is one, and so is one that
/// returns `()` or a `Result`.
///
/// It may block, panic, hang, and use its hub in every way (`install`, `wake`, `dispose`,
/// `stop`), and harms no other target by it (P10); but under a driver that runs handlers
/// [itself](crate::Precision::inline) it must neither block for long nor hang.
pub trait Handler<K: Key = String, R: Reasons = (), P: Merge = ()>: Send + Sync + 'static {
    /// Runs a target, and says how it ended.
    fn run(&self, run: &Run<K, R, P>) -> Outcome;
}

impl<F, T, K, R, P> Handler<K, R, P> for F
where
    F: Fn(&Run<K, R, P>) -> T + Send + Sync + 'static,
    T: Into<Outcome>,
    K: Key,
    R: Reasons,
    P: Merge,
{
    fn run(&self, run: &Run<K, R, P>) -> Outcome {
        self(run).into()
    }
}

/// One call of the handler for one target: what it serves, and the duty to end.
///
/// A run that is dropped without an outcome ends as failed: its wake is retained.
#[must_use = "a run that is dropped counts as failed"]
pub struct Run<K: Key = String, R: Reasons = (), P: Merge = ()> {
    pub(crate) shared: Arc<Shared<K, R, P>>,
    pub(crate) node: Arc<Node<K, P>>,
    pub(crate) stay: Stay<K, R, P>,
    pub(crate) number: RunNumber,
    pub(crate) facts: Facts,
    pub(crate) payload: Option<Arc<P>>,
    /// Of a barrier: for whom it did not wait.
    pub(crate) beside: Option<Vec<Arc<Node<K, P>>>>,
    /// 1 once it has ended, or need not: it settles once.
    pub(crate) ended: PlainU64,
}

/// What a run is told, as plain values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) reasons: u8,
    pub(crate) urgency: Urgency,
    pub(crate) attempt: u32,
    pub(crate) beats: u64,
    pub(crate) last_beat: Option<Tick>,
    pub(crate) started: Tick,
    pub(crate) limit: Tick,
}

impl<K: Key, R: Reasons, P: Merge> Run<K, R, P> {
    /// The key of the target.
    pub fn key(&self) -> &K {
        &self.node.key
    }

    /// Why: the reasons of all wakes that this run serves.
    pub fn reasons(&self) -> R {
        R::from_bits(self.facts.reasons)
    }

    /// The highest urgency of the wakes that this run serves.
    pub fn urgency(&self) -> Urgency {
        self.facts.urgency
    }

    /// How often this wake was started under this handler, this time included: 1 at first.
    pub fn attempt(&self) -> u32 {
        self.facts.attempt
    }

    /// Whether a beat of the target's cadence is among what this run serves.
    pub fn is_beat(&self) -> bool {
        self.facts.beats > 0
    }

    /// The instant of the last beat among what this run serves; the clock's origin for one that an
    /// earlier process missed.
    pub fn beat(&self) -> Option<Tick> {
        self.facts.last_beat
    }

    /// For how many beats beyond its own this run stands.
    pub fn missed(&self) -> u64 {
        self.facts.beats.saturating_sub(1)
    }

    /// The merged payload of the wakes that this run serves.
    pub fn payload(&self) -> Option<&P> {
        self.payload.as_deref()
    }

    /// The instant of the turn that started this run.
    pub fn started(&self) -> Tick {
        self.facts.started
    }

    /// When this run passes its limit ([`Policy::run_limit`](crate::Policy::run_limit)), if it has
    /// one.
    pub fn deadline(&self) -> Option<Tick> {
        Some(self.facts.limit).filter(|&limit| limit != Tick::NEVER)
    }

    /// Whether this is the run of a [barrier](crate::Target::barrier): no other starts before it
    /// ends.
    pub fn is_barrier(&self) -> bool {
        self.beside.is_some()
    }

    /// The targets whose runs were in flight when this barrier had waited long enough, in no order;
    /// none if it runs alone, or is no barrier.
    pub fn beside(&self) -> impl ExactSizeIterator<Item = &K> {
        self.beside.as_deref().unwrap_or_default().iter().map(|node| &node.key)
    }

    /// The generation of the handler that runs (P2).
    pub fn generation(&self) -> Generation {
        self.stay.entry().generation()
    }

    /// Whether the handler that runs is still the one installed.
    pub fn is_current(&self) -> bool {
        let entry = self.shared.slot.load();
        entry.generation() == self.generation() && entry.handler().is_some()
    }

    /// Whether the driver has ended this run, since its handler was replaced under
    /// [`OnReplace::Cancel`](crate::OnReplace::Cancel) or its limit has passed under
    /// [`OnOverrun::Cancel`](crate::OnOverrun::Cancel): its wake has passed on, and whatever it
    /// returns counts as late.
    pub fn is_cancelled(&self) -> bool {
        self.node.completion.load() != Word::running(self.number)
    }

    /// Waits until [`is_cancelled`](Self::is_cancelled); of any runtime.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn cancelled(&self) {
        let Some(installed) = self.stay.entry().handler() else { return };
        loop {
            let cancelled = installed.runs.cancelled.listen();
            if self.is_cancelled() {
                return;
            }
            cancelled.await;
        }
    }

    /// The hub, for a handler that wakes, installs or stops. A handler that gets it from here
    /// keeps no hub alive that its user has dropped.
    pub fn hub(&self) -> Reveille<K, R, P> {
        Reveille::share(&self.shared)
    }

    /// Calls the handler and ends the run with what it returns. What a driver does with a run.
    ///
    /// A panic of the handler is contained, counted and reported. A hub that has stopped
    /// meanwhile calls nothing any more (P13).
    ///
    /// An [asynchronous](crate::AsyncHandler) handler is awaited on this thread, which blocks meanwhile.
    pub fn execute(self) {
        let Some(installed) = self.stay.entry().handler() else { return self.end(Ending::Aborted) };
        let Callee::Blocking(handler) = &installed.handler else {
            return pollster::block_on(self.execute_async());
        };
        if self.shared.gate.load().is_closed() {
            return self.end(Ending::Cancelled);
        }
        let outcome = self.inside(|| {
            #[cfg(feature = "tracing")]
            let _span = self.span().entered();
            handler.run(&self)
        });
        match outcome {
            Ok(outcome) => self.finish(outcome),
            Err(message) => self.panicked(message),
        }
    }

    /// The span of this run, `reveille.run`, for drivers that call the handler themselves;
    /// [`execute`](Self::execute) enters it.
    #[cfg(feature = "tracing")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tracing")))]
    pub fn span(&self) -> tracing::Span {
        tracing::info_span!(
            target: "reveille",
            "reveille.run",
            index = self.node.index,
            generation = self.generation().get(),
            attempt = self.facts.attempt,
            reasons = self.facts.reasons,
            urgency = tracing::field::debug(self.facts.urgency),
            beats = self.facts.beats,
        )
    }

    /// Ends the run with `outcome`, for drivers that call the handler themselves.
    pub fn finish(self, outcome: Outcome) {
        self.end(outcome.into());
    }

    /// Ends the run as panicked, for drivers that call the handler themselves: counted and
    /// reported with `message`.
    pub fn panicked(self, message: String) {
        self.shared.fault(Place::Handler, message);
        self.end(Ending::Panicked);
    }

    pub(crate) fn end(self, ending: Ending) {
        self.settle(ending);
    }

    /// Runs the handler's code: knows that it is inside this run, and contains its panics.
    pub(crate) fn inside<T>(&self, code: impl FnOnce() -> T) -> Result<T, String> {
        let installed = self.stay.entry().handler();
        let _inside = Inside::enter(Whereabouts {
            hub: Arc::as_ptr(&self.shared).addr(),
            runs: installed.map_or(0, |installed| Arc::as_ptr(&installed.runs).addr()),
            target: Arc::as_ptr(&self.node).addr(),
        });
        contain(code)
    }

    /// The driver has ended it: nothing is to be told.
    pub(crate) fn was_ended(&self) {
        self.ended.store(1, Ordering::Relaxed);
    }

    /// Ends the run, once.
    pub(crate) fn settle(&self, ending: Ending) {
        if self.ended.swap(1, Ordering::Relaxed) == 1 {
            return;
        }
        match self.node.completion.complete(self.number, ending) {
            Ok(()) => {
                // Published first: whoever waits for the gate finds the ending on its way. Rings
                // also a driver that no wake need ring, since no handler is installed.
                if !is_collected_here(&self.node) {
                    self.shared.ready.set(self.node.index as usize);
                    self.shared.demand_turn();
                }
                self.shared.leave_gate();
            }
            Err(_) => self.shared.tallies.late_completions.add(1),
        }
    }
}

impl<K: Key, R: Reasons, P: Merge> Drop for Run<K, R, P> {
    fn drop(&mut self) {
        self.settle(Ending::Aborted);
    }
}

impl<K: Key + fmt::Debug, R: Reasons, P: Merge> fmt::Debug for Run<K, R, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("key", &self.node.key)
            .field("reasons", &self.reasons())
            .field("generation", &self.generation())
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}

thread_local! {
    /// The hubs in whose runs this thread is, innermost last.
    // Not `const`: a checker's thread-locals cannot be.
    #[allow(clippy::missing_const_for_thread_local)]
    static INSIDE: RefCell<Vec<Whereabouts>> = RefCell::new(Vec::new());
}

/// Whose run a thread is inside of, by addresses that live as long as the run.
#[derive(Clone, Copy)]
struct Whereabouts {
    hub: usize,
    runs: usize,
    target: usize,
}

fn is_inside(matches: impl Fn(&Whereabouts) -> bool) -> bool {
    INSIDE.with(|stack| stack.borrow().iter().any(matches))
}

/// Whether this thread is inside a run of the hub at this address.
pub(crate) fn inside(hub: usize) -> bool {
    is_inside(|place| place.hub == hub)
}

/// Whether this thread is inside one of these runs.
pub(crate) fn inside_generation(runs: &Arc<Runs>) -> bool {
    is_inside(|place| place.runs == Arc::as_ptr(runs).addr())
}

/// Whether this thread is inside a run of the target at this address.
pub(crate) fn inside_target(target: usize) -> bool {
    is_inside(|place| place.target == target)
}

thread_local! {
    /// The hub that this thread drives, running its handlers itself; 0 for none.
    #[allow(clippy::missing_const_for_thread_local)] // as above
    static DRIVES: Cell<usize> = Cell::new(0);
}

/// This thread runs the handlers of this hub, for as long as it lives: nobody else does.
pub(crate) fn drives_inline<K: Key, R: Reasons, P: Merge>(hub: &Arc<Shared<K, R, P>>) {
    DRIVES.with(|drives| drives.set(Arc::as_ptr(hub).addr()));
}

/// Whether a run of the hub at this address can only come once this thread is through with what it does.
pub(crate) fn is_needed_by(hub: usize) -> bool {
    DRIVES.with(|drives| drives.get() == hub)
}

thread_local! {
    /// The target, by address, whose run this thread's engine executes, and then looks how it ended.
    #[allow(clippy::missing_const_for_thread_local)] // as above
    static COLLECTED: Cell<usize> = Cell::new(0);
}

/// Executes a run, whose ending the caller then collects: nobody else is told of it, if it ends on this thread.
pub(crate) fn execute_to_collect<K: Key, R: Reasons, P: Merge>(
    run: Run<K, R, P>,
) -> Result<(), String> {
    let target = Arc::as_ptr(&run.node).addr();
    let outer = COLLECTED.with(|collected| collected.replace(target));
    // The handler's panics end its run; what is left are those of its `Drop`.
    let executed = contain(|| run.execute());
    COLLECTED.with(|collected| collected.set(outer));
    executed
}

fn is_collected_here<K, P>(node: &Arc<Node<K, P>>) -> bool {
    COLLECTED.with(|collected| collected.get() == Arc::as_ptr(node).addr())
}

struct Inside;

impl Inside {
    fn enter(place: Whereabouts) -> Self {
        INSIDE.with(|stack| stack.borrow_mut().push(place));
        Self
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.with(|stack| stack.borrow_mut().pop());
    }
}
