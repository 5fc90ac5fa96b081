//! A monitor beside the driver: it looks at the hub's health now and then, and tells when that changes.
//!
//! The judgement is [`Reveille::health`]'s, which needs no watch; so a watch that dies hides nothing:
//! whoever asks gets the same answer, and sees in [`Health::last_look`] that nobody looks any more.
//! What only a watch can see is time itself: it knows when it meant to look, so it finds gaps.

use crate::fault::{Place, contain};
use crate::health::{Condition, Health, judge};
use crate::hub::{Key, Reveille};
use crate::merge::Merge;
use crate::reasons::Reasons;
use crate::shared::Shared;
use crate::trace::tell;
use reveille_core::Tick;
use reveille_core::sync::{Arc, AtomicU64, Ordering, PlainU64};
use std::fmt;
use std::io;
use std::num::{NonZeroU16, NonZeroU32};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// From when on something is called late, by [`Reveille::health`] and by a [`Watch`].
///
/// The defaults are [`WatchPolicy::default`]'s. They are part of a [`Policy`](crate::Policy), and are
/// validated with it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WatchPolicy {
    /// How often a [`Watch`] looks. At least 1 ms. Default 5 s.
    pub every: Duration,
    /// By how much the driver may be late: past an instant that was asked for, or past its longest
    /// sleep ([`Policy::max_sleep`](crate::Policy::max_sleep)). At least 1 ms. Default 5 s.
    pub turn_grace: Duration,
    /// For how many of its periods a beat may wait until a run of it is done. Default 3.
    pub overdue_factor: NonZeroU32,
    /// But for no less than this, so that a short period gives no alarm over a hiccup. At least 1 ms.
    /// Default 5 s.
    pub overdue_least: Duration,
    /// For how long a wake of a target without a cadence may wait once it may start. At least 1 ms.
    /// Default 60 s.
    pub wake_grace: Duration,
    /// For how long wakes that are due may wait without a handler. Default 5 s.
    pub handler_grace: Duration,
    /// By how much a look may come late before time is said to have a gap. At least 1 ms. Default 2 s.
    pub gap: Duration,
    /// How many concerns of targets are named; the rest is counted. Default 16.
    pub max_concerns: NonZeroU16,
}

impl Default for WatchPolicy {
    fn default() -> Self {
        const fn three() -> NonZeroU32 {
            match NonZeroU32::new(3) {
                Some(three) => three,
                None => NonZeroU32::MIN,
            }
        }
        Self {
            every: Duration::from_secs(5),
            turn_grace: Duration::from_secs(5),
            overdue_factor: three(),
            overdue_least: Duration::from_secs(5),
            wake_grace: Duration::from_secs(60),
            handler_grace: Duration::from_secs(5),
            gap: Duration::from_secs(2),
            max_concerns: NonZeroU16::new(16).unwrap_or(NonZeroU16::MIN),
        }
    }
}

impl WatchPolicy {
    /// The threshold that cannot hold, if one cannot.
    pub(crate) fn unsound(&self) -> Option<&'static str> {
        let least = Duration::from_millis(1);
        let all = [
            ("watch.every", self.every),
            ("watch.turn_grace", self.turn_grace),
            ("watch.overdue_least", self.overdue_least),
            ("watch.wake_grace", self.wake_grace),
            ("watch.gap", self.gap),
        ];
        all.into_iter().find(|&(_, limit)| limit < least).map(|(name, _)| name)
    }
}

/// Looks at a hub's health from a thread of its own; see [`Reveille::watch`]. Dropping it ends the
/// thread; so does the end of the hub, of which it tells last.
#[must_use = "dropping the watch ends it: nobody is told of a stall"]
pub struct Watch {
    leave: Arc<AtomicU64>,
    last_look: Arc<PlainU64>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// When it last looked, on the hub's clock; `None` if it has not yet. Older than a few times
    /// [`WatchPolicy::every`]: it is gone, or held up by its own callback.
    pub fn last_look(&self) -> Option<Tick> {
        let at = Tick::from_micros(self.last_look.load(Ordering::Relaxed));
        Some(at).filter(|&at| at != Tick::NEVER)
    }

    /// Whether its thread is there.
    pub fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Lets it look on until the hub has stopped.
    pub fn detach(mut self) {
        self.thread = None;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.leave.store(1, Ordering::Release);
            thread.thread().unpark();
            if thread.thread().id() != thread::current().id() {
                // Its panics are contained where they may come from.
                let _ = thread.join();
            }
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("last_look", &self.last_look()).finish_non_exhaustive()
    }
}

/// A watch without a thread: whoever has it looks, each [`WatchPolicy::every`], from a timer of an
/// async runtime, say, or on virtual time.
///
/// ```
/// use reveille::{Builder, Concern, Condition, ManualClock, Reveille, Wake};
/// use std::time::Duration;
///
/// let clock = ManualClock::new();
/// let hub: Reveille<&str> = Builder::new().clock(clock.clone()).build()?;
/// let mut lookout = hub.lookout();
/// assert_eq!(lookout.look().map(|health| health.condition), Some(Condition::Healthy));
///
/// hub.wake("main", Wake::now());
/// let health = lookout.look().expect("it has changed");
/// assert_eq!(health.concerns, [Concern::NoDriver]);
/// assert_eq!(hub.counters().stalls, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a lookout does nothing unless it is asked to look"]
pub struct Lookout<K: Key = String, R: Reasons = (), P: Merge = ()> {
    shared: Arc<Shared<K, R, P>>,
    /// When it means to look again.
    expected: Option<Tick>,
    /// What it told last.
    told: Option<Health<K>>,
}

impl<K: Key, R: Reasons, P: Merge> Lookout<K, R, P> {
    /// Looks, and returns the hub's health if another thing is wrong than at the last look, or
    /// nothing any more; the first look always does. Counts stalls and time gaps
    /// ([`Counters::stalls`](crate::Counters::stalls), [`gaps`](crate::Counters::gaps)), and reports
    /// the beginning of a stall as a fault of [`Place::Stall`].
    pub fn look(&mut self) -> Option<Health<K>> {
        let now = self.shared.now();
        self.note_gap(now);
        self.shared.witness.last_look.store(now.as_micros(), Ordering::Relaxed);
        let health = judge(&self.shared);
        self.rest();
        if self.told.as_ref().is_some_and(|told| told.is_like(&health)) {
            return None;
        }
        let was_stalled = self.told.as_ref().is_some_and(Health::is_stalled);
        if health.is_stalled() && !was_stalled {
            let concerns = health.names().join(", ");
            tell!(self.shared, ERROR, "reveille.stall", concerns = &*concerns);
            self.shared.fault(Place::Stall, format!("stalled: {concerns}"));
        }
        if was_stalled && !health.is_stalled() {
            tell!(
                self.shared,
                INFO,
                "reveille.recovered",
                stopped = health.condition == Condition::Stopped
            );
        }
        self.told = Some(health.clone());
        Some(health)
    }

    /// A look that comes later than it was meant to: the time between was taken from us, and from the
    /// driver too.
    fn note_gap(&mut self, now: Tick) {
        let Some(expected) = self.expected else { return };
        let length = now.since(expected);
        if length > self.shared.policy.watch.gap {
            let witness = &self.shared.witness;
            let micros = u64::try_from(length.as_micros()).unwrap_or(u64::MAX);
            witness.gap_length.store(micros, Ordering::Relaxed);
            witness.gap_until.store(now.as_micros(), Ordering::Relaxed);
            self.shared.tallies.gaps.add(1);
            tell!(self.shared, WARN, "reveille.time_gap", seconds = length.as_secs_f64());
        }
    }

    /// From here on to the next look it does nothing.
    fn rest(&mut self) {
        self.expected = Some(self.shared.now() + self.shared.policy.watch.every);
    }
}

impl<K: Key, R: Reasons, P: Merge> fmt::Debug for Lookout<K, R, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookout").field("expected", &self.expected).finish_non_exhaustive()
    }
}

impl<K: Key, R: Reasons, P: Merge> Reveille<K, R, P> {
    /// Watches the hub from a thread of its own: looks each [`WatchPolicy::every`], and calls
    /// `on_change` with the hub's health when another thing is wrong, or nothing any more; the first
    /// look always does. Its panics are counted, and it is called again.
    ///
    /// A watch keeps no hub alive; it ends with its hub, and tells that last. It must not be the only
    /// one to ask: [`health`](Self::health) does not depend on it. Two watches of one hub each count
    /// the stalls that they see.
    ///
    /// ```
    /// use reveille::{Condition, Reveille};
    /// use std::{sync::mpsc, time::Duration};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let hub: Reveille = Reveille::start()?;
    /// let (sender, told) = mpsc::channel();
    /// let watch = hub.watch(move |health| drop(sender.send(health.condition)))?;
    /// assert_eq!(told.recv_timeout(Duration::from_secs(10))?, Condition::Healthy);
    /// assert!(watch.is_alive() && watch.last_look().is_some());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn watch(&self, on_change: impl Fn(&Health<K>) + Send + 'static) -> io::Result<Watch> {
        let lookout = self.lookout();
        let (leave, last_look) = (Arc::new(AtomicU64::new(0)), Arc::new(PlainU64::new(u64::MAX)));
        let (leaving, looked) = (Arc::clone(&leave), Arc::clone(&last_look));
        let thread = thread::Builder::new()
            .name("reveille-watch".into())
            .spawn(move || watch(lookout, &on_change, &leaving, &looked))?;
        Ok(Watch { leave, last_look, thread: Some(thread) })
    }

    /// A watch that looks when it is told to.
    pub fn lookout(&self) -> Lookout<K, R, P> {
        Lookout { shared: self.shared(), expected: None, told: None }
    }
}

fn watch<K: Key, R: Reasons, P: Merge>(
    mut lookout: Lookout<K, R, P>,
    on_change: &dyn Fn(&Health<K>),
    leave: &AtomicU64,
    looked: &PlainU64,
) {
    let shared = Arc::clone(&lookout.shared);
    while leave.load(Ordering::Acquire) == 0 {
        let looking = contain(|| {
            let health = lookout.look();
            looked.store(shared.witness.last_look.load(Ordering::Relaxed), Ordering::Relaxed);
            if let Some(health) = &health {
                on_change(health);
            }
            health.is_some_and(|health| health.condition == Condition::Stopped)
        });
        match looking {
            Ok(true) => return,
            Ok(false) => {}
            Err(message) => shared.fault(Place::Watch, message),
        }
        // The callback's time is no gap.
        if let Err(message) = contain(|| lookout.rest()) {
            shared.fault(Place::Watch, message);
        }
        thread::park_timeout(shared.policy.watch.every);
    }
}
