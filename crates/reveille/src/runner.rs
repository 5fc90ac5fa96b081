use crate::asynchronous::StartedAsync;
use crate::cadence::Cadence;
use crate::hub::{Key, Registration, Reveille};
use crate::merge::Merge;
use crate::outcome::Outcome;
use crate::reasons::Reasons;
use crate::run::{Handler, Run};
use crate::setting::{Claim, TakenBack};
use crate::shared::{Shared, lock};
use crate::sync::Mutex;
use crate::target::Target;
use crate::wake::{Refusal, Rejected};
use reveille_core::sync::Arc;
use reveille_core::{Disposal, Generation};
use std::collections::HashMap;
use std::fmt;

/// The cadences of a service: which targets beat, and how. Keeps the order in which they were put
/// in: targets that are new are created in it.
///
/// ```
/// use reveille::{Cadence, Roster};
/// use std::time::Duration;
///
/// let hourly = Cadence::every(Duration::from_secs(3_600))?;
/// let mut roster: Roster<&str> = Roster::new().with("mail", hourly.clone());
/// assert_eq!(roster.insert("mail", hourly.clone().spread()), Some(hourly));
/// assert_eq!(roster.len(), 1);
/// # Ok::<(), reveille::ZeroPeriod>(())
/// ```
#[derive(Clone, Debug)]
pub struct Roster<K = String> {
    entries: Vec<(K, Cadence)>,
    places: HashMap<K, usize>,
}

impl<K: Key> Roster<K> {
    /// A roster of nothing.
    pub fn new() -> Self {
        Self { entries: Vec::new(), places: HashMap::new() }
    }

    /// The same roster with one cadence more, or another one for `key`.
    #[must_use]
    pub fn with(mut self, key: K, cadence: Cadence) -> Self {
        self.insert(key, cadence);
        self
    }

    /// Puts a cadence in, and returns the one that it replaces.
    pub fn insert(&mut self, key: K, cadence: Cadence) -> Option<Cadence> {
        if let Some(&place) = self.places.get(&key) {
            return Some(std::mem::replace(&mut self.entries[place].1, cadence));
        }
        self.places.insert(key.clone(), self.entries.len());
        self.entries.push((key, cadence));
        None
    }

    /// The cadence of `key`.
    pub fn get(&self, key: &K) -> Option<&Cadence> {
        self.places.get(key).map(|&place| &self.entries[place].1)
    }

    /// All keys with their cadences, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &Cadence)> {
        self.entries.iter().map(|(key, cadence)| (key, cadence))
    }

    /// How many targets it names.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it names none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<K: Key> Default for Roster<K> {
    fn default() -> Self {
        Self::new()
    }
}

/// Of two cadences for one key the later one counts.
impl<K: Key> FromIterator<(K, Cadence)> for Roster<K> {
    fn from_iter<T: IntoIterator<Item = (K, Cadence)>>(entries: T) -> Self {
        let mut roster = Self::new();
        roster.extend(entries);
        roster
    }
}

impl<K: Key> Extend<(K, Cadence)> for Roster<K> {
    fn extend<T: IntoIterator<Item = (K, Cadence)>>(&mut self, entries: T) {
        for (key, cadence) in entries {
            self.insert(key, cadence);
        }
    }
}

/// What a service restarts, as one value: a handler and the cadences that go with it, both owned
/// (P1). Dropping it stops it.
///
/// Two runners may overlap on one hub, in any order of their ends: that is a reload. The newer one
/// claims what both name; the older one, whenever it stops, takes back only what is still its own.
///
/// ```
/// use reveille::{Cadence, Disposal, Reveille, Roster};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub: Reveille = Reveille::start()?;
/// let hourly = Cadence::every(Duration::from_secs(3_600))?;
/// let both = Roster::new().with("mail".into(), hourly.clone()).with("news".into(), hourly.clone());
/// let old = hub.runner(|_| (), both)?;
/// let new = hub.runner(|_| (), Roster::new().with("mail".into(), hourly))?; // the reload
/// let stopped = old.stop(); // late, as clean-ups are
/// assert_eq!(stopped.disposal, Disposal::Superseded);
/// assert_eq!((stopped.taken_back, stopped.stale), (1, 1)); // "news" is gone, "mail" is the new one's
/// assert!(new.is_current());
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a runner stops it: its handler and its cadences are taken back"]
pub struct Runner<K: Key = String, R: Reasons = (), P: Merge = ()> {
    shared: Arc<Shared<K, R, P>>,
    registration: Registration<K, R, P>,
    roster: Mutex<Claimed<K, R, P>>,
}

/// The targets that a runner has named; none once it has stopped.
type Claimed<K, R, P> = Option<HashMap<K, Target<K, R, P>>>;

/// What a runner found when it set its roster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Updated {
    /// Cadences that are new or changed.
    pub set: usize,
    /// Cadences that were so already, and keep their instants (P17).
    pub unchanged: usize,
    /// Cadences that the roster no longer names, and that are gone.
    pub taken_back: usize,
    /// Cadences that a newer runner has claimed: left as they are, and counted.
    pub stale: usize,
}

/// What a runner found when it stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunnerStopped {
    /// What became of its handler.
    pub disposal: Disposal,
    /// Its cadences, which are gone.
    pub taken_back: usize,
    /// Cadences of its roster that are another's by now: left as they are, and counted.
    pub stale: usize,
}

/// What starting a runner returns: the runner, or what was handed in.
pub type Started<K, R = (), P = ()> =
    Result<Runner<K, R, P>, Rejected<(Box<dyn Handler<K, R, P>>, Roster<K>)>>;

impl<K: Key, R: Reasons, P: Merge> Reveille<K, R, P> {
    /// Installs `handler` and sets the cadences of `roster`, as one value that owns both (P1).
    ///
    /// Takes locks where it creates targets; blocks on nothing else.
    ///
    /// # Errors
    /// The handler and the roster, if the hub has stopped, or if it would have more targets than
    /// its policy allows: then nothing is installed or set, though some targets may be there.
    pub fn runner<F, T>(&self, handler: F, roster: Roster<K>) -> Started<K, R, P>
    where
        F: Fn(&Run<K, R, P>) -> T + Send + Sync + 'static,
        T: Into<Outcome>,
    {
        self.runner_of(handler, roster)
    }

    /// The same for a handler that is a type of its own.
    ///
    /// # Errors
    /// As those of [`runner`](Self::runner).
    pub fn runner_of(&self, handler: impl Handler<K, R, P>, roster: Roster<K>) -> Started<K, R, P> {
        self.start_runner(handler, roster, Self::install_handler, |handler| Box::new(handler))
    }

    /// Starts a runner with a handler of either kind, which is handed back as a `V`.
    pub(crate) fn start_runner<H, V>(
        &self,
        handler: H,
        roster: Roster<K>,
        install: impl FnOnce(&Self, H) -> Result<Registration<K, R, P>, Rejected<V>>,
        hand_back: impl FnOnce(H) -> V,
    ) -> StartedAsync<V, K, R, P> {
        let targets = match targets(self, &roster, &HashMap::new()) {
            Ok(targets) => targets,
            Err(refusal) => return Err(Rejected { refusal, value: (hand_back(handler), roster) }),
        };
        let registration = match install(self, handler) {
            Ok(registration) => registration,
            Err(Rejected { refusal, value }) => {
                return Err(Rejected { refusal, value: (value, roster) });
            }
        };
        let shared = self.shared();
        let runner = Runner { shared, registration, roster: Mutex::new(None) };
        let mut mine = HashMap::new();
        runner.claim(&mut mine, &roster, targets);
        *lock(&runner.roster) = Some(mine);
        Ok(runner)
    }
}

/// The targets of a roster, in its order: those that are `known`, found or created.
fn targets<K: Key, R: Reasons, P: Merge>(
    hub: &Reveille<K, R, P>,
    roster: &Roster<K>,
    known: &HashMap<K, Target<K, R, P>>,
) -> Result<Vec<Target<K, R, P>>, Refusal> {
    let found = roster.iter().map(|(key, _)| match known.get(key) {
        Some(target) if !target.is_removed() => Ok(target.clone()),
        _ => hub.target(key.clone()).map_err(|rejected| rejected.refusal),
    });
    found.collect()
}

impl<K: Key, R: Reasons, P: Merge> Runner<K, R, P> {
    /// Sets another roster. Cadences that are unchanged keep their next instants and their phases
    /// (P17), also where they were another runner's; those that the roster no longer names stop
    /// beating, and what waits of them stays; runs in flight are not touched.
    ///
    /// # Errors
    /// The roster, if the runner or the hub has stopped, or if the hub would have more targets than
    /// its policy allows: then nothing is set, though some targets may be there.
    ///
    /// # Progress
    /// Blocks while another `update` or `stop` of the same runner is under way.
    pub fn update(&self, roster: Roster<K>) -> Result<Updated, Rejected<Roster<K>>> {
        let mut mine = lock(&self.roster);
        let Some(before) = &mut *mine else {
            return Err(Rejected { refusal: Refusal::RunnerStopped, value: roster });
        };
        let hub = Reveille::share(&self.shared);
        match targets(&hub, &roster, before) {
            Ok(targets) => Ok(self.claim(before, &roster, targets)),
            Err(refusal) => Err(Rejected { refusal, value: roster }),
        }
    }

    /// Claims the cadences of `roster`, and takes back what only the roster `before` named.
    fn claim(
        &self,
        before: &mut HashMap<K, Target<K, R, P>>,
        roster: &Roster<K>,
        targets: Vec<Target<K, R, P>>,
    ) -> Updated {
        let (mut updated, generation) = (Updated::default(), self.generation());
        let mut now = HashMap::with_capacity(targets.len());
        for ((key, cadence), target) in roster.iter().zip(targets) {
            match target.claim(cadence, generation) {
                Claim::Set => updated.set += 1,
                Claim::Unchanged | Claim::InForce => updated.unchanged += 1,
                Claim::Stale => updated.stale += 1,
            }
            before.remove(key);
            now.insert(key.clone(), target);
        }
        let (taken_back, stale) = self.take_back(std::mem::replace(before, now));
        updated.taken_back = taken_back;
        updated.stale += stale;
        self.shared.tallies.stale_claims.add(updated.stale as u64);
        self.shared.demand_turn();
        updated
    }

    fn take_back(&self, named: HashMap<K, Target<K, R, P>>) -> (usize, usize) {
        let (mut taken_back, mut stale) = (0, 0);
        let hub = Reveille::share(&self.shared);
        for (key, target) in named {
            // One that was removed and made again is another target, with claims of its own.
            let target = if target.is_removed() { hub.find(&key) } else { Some(target) };
            match target.map_or(TakenBack::Gone, |target| target.take_back(self.generation())) {
                TakenBack::Yes => taken_back += 1,
                TakenBack::Gone => {}
                TakenBack::Stale => stale += 1,
            }
        }
        (taken_back, stale)
    }

    /// Removes its handler if that is current, and takes back the cadences that are its own;
    /// what waits stays, runs in flight go on. Idempotent, callable from anywhere, also from
    /// inside a run. [`Registration::retire`] also waits for the runs.
    pub fn stop(&self) -> RunnerStopped {
        let named = lock(&self.roster).take();
        let disposal = self.registration.dispose();
        let Some(named) = named else {
            return RunnerStopped { disposal, taken_back: 0, stale: 0 };
        };
        let (taken_back, stale) = match self.shared.gate.load().is_closed() {
            true => (0, 0),
            false => self.take_back(named),
        };
        self.shared.tallies.stale_claims.add(stale as u64);
        self.shared.demand_turn();
        RunnerStopped { disposal, taken_back, stale }
    }

    /// Its registration.
    pub fn registration(&self) -> &Registration<K, R, P> {
        &self.registration
    }

    /// The generation of its handler (P2), under which it owns its cadences.
    pub fn generation(&self) -> Generation {
        self.registration.generation()
    }

    /// Whether its handler is the one installed. May be outdated as soon as it returns.
    pub fn is_current(&self) -> bool {
        self.registration.is_current()
    }
}

impl<K: Key, R: Reasons, P: Merge> Drop for Runner<K, R, P> {
    fn drop(&mut self) {
        if lock(&self.roster).is_some() {
            self.stop();
        }
    }
}

impl<K: Key, R: Reasons, P: Merge> fmt::Debug for Runner<K, R, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("registration", &self.registration).finish_non_exhaustive()
    }
}
