//! Whose cadence a target has: the one cell in which users say what they want of it.
//!
//! # What it is
//! One cell a target, replaced as a whole by compare-and-swap and never emptied; the driver obeys
//! the latest. Cadences are owned as handlers are (P1): a runner *claims* one under the
//! generation of its registration, and takes back only what is its own.
//!
//! # Edges
//! | edge | role | from | to |
//! | --- | --- | --- | --- |
//! | set, unset | anybody | any | that cadence or none, nobody's |
//! | claim | a runner | claimed last by this generation or an older one, or never | that cadence, its own |
//! | | | claimed by a newer one | the same: stale |
//! | take back | a runner | its own | none, nobody's |
//! | | | no cadence | the same |
//! | | | another's, or nobody's | the same: stale |
//!
//! Who changed the cell publishes: ready bit, then a turn. So does a claim that changed only the
//! owner, since whoever set the cadence before may not have published it yet (P16); but where the
//! driver has obeyed that one already, there is nothing to tell it.

use crate::cadence::{Cadence, Grid};
use reveille_core::sync::{Arc, ArcSwapOption, AtomicU64, Ordering};
use reveille_core::{Generation, Tick};
use std::time::Duration;

/// A cadence, as it is wanted of one target.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) cadence: Cadence,
    /// When its beats fall.
    pub(crate) grid: Grid,
    /// When the target last beat in an earlier process, in microseconds on this hub's clock: mostly
    /// before its origin.
    pub(crate) resume: Option<i64>,
}

/// What is wanted of a target's cadence, and by whom.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) wanted: Option<Wanted>,
    /// The runner whose it is; none: nobody's.
    pub(crate) owner: Generation,
    /// The newest runner that ever claimed it.
    claimed_by: Generation,
    /// When it was asked for.
    pub(crate) asked_at: Tick,
    /// 1 once the driver has put it in force.
    obeyed: AtomicU64,
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The cadence is new, or another one.
    Set,
    /// It was the same already, but the driver may not know of it yet.
    Unchanged,
    /// It was the same already, and in force.
    InForce,
    /// A newer runner has claimed it.
    Stale,
}

/// What became of taking a cadence back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TakenBack {
    /// It is gone.
    Yes,
    /// It was gone already.
    Gone,
    /// It is another's by now.
    Stale,
}

impl Setting {
    fn none() -> Self {
        let (owner, claimed_by) = (Generation::NONE, Generation::NONE);
        let obeyed = AtomicU64::new(0);
        Self { wanted: None, owner, claimed_by, asked_at: Tick::NOW, obeyed }
    }

    fn set(&self, wanted: Option<Wanted>, asked_at: Tick) -> Self {
        let wanted = wanted.map(|wanted| self.resumed(wanted));
        Self { wanted, asked_at, claimed_by: self.claimed_by, ..Self::none() }
    }

    /// The driver has put it in force.
    pub(crate) fn obeyed(&self) {
        self.obeyed.store(1, Ordering::Release);
    }

    /// What was kept of an earlier process is told once: until the driver has heard of it, it goes
    /// along with whatever replaces the setting that has it.
    fn resumed(&self, wanted: Wanted) -> Wanted {
        let heard = self.obeyed.load(Ordering::Acquire) == 1;
        let earlier = self.wanted.as_ref().filter(|_| !heard).and_then(|it| it.resume);
        Wanted { resume: wanted.resume.or(earlier), ..wanted }
    }

    fn is(&self, cadence: &Cadence) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| wanted.cadence == *cadence)
    }

    fn claim(&self, wanted: &Wanted, by: Generation, at: Tick) -> (Option<Self>, Claim) {
        if self.claimed_by > by {
            return (None, Claim::Stale);
        }
        let (owner, claimed_by) = (by, by);
        if !self.is(&wanted.cadence) {
            let wanted = Some(self.resumed(wanted.clone()));
            let set = Self { wanted, owner, claimed_by, asked_at: at, ..Self::none() };
            return (Some(set), Claim::Set);
        }
        // Acquire: who finds it in force finds it armed.
        let obeyed = self.obeyed.load(Ordering::Acquire);
        let wanted = self.wanted.clone();
        let asked_at = self.asked_at;
        let claimed = Self { wanted, owner, claimed_by, asked_at, obeyed: AtomicU64::new(obeyed) };
        let claim = if obeyed == 1 { Claim::InForce } else { Claim::Unchanged };
        (Some(claimed), claim)
    }

    fn take_back(&self, by: Generation, at: Tick) -> (Option<Self>, TakenBack) {
        match (&self.wanted, self.owner == by) {
            (None, _) => (None, TakenBack::Gone),
            (Some(_), false) => (None, TakenBack::Stale),
            (Some(_), true) => (Some(self.set(None, at)), TakenBack::Yes),
        }
    }
}

/// The cell. Lock-free; each change allocates.
pub(crate) struct SettingCell(ArcSwapOption<Setting>);

impl SettingCell {
    pub(crate) fn new() -> Self {
        Self(ArcSwapOption::empty())
    }

    /// The latest setting, if it is not `known`.
    pub(crate) fn news(&self, known: Option<&Arc<Setting>>) -> Option<Arc<Setting>> {
        let latest = self.0.load();
        let latest = latest.as_ref()?;
        (!known.is_some_and(|known| Arc::ptr_eq(known, latest))).then(|| Arc::clone(latest))
    }

    /// Whether the latest setting is not `known`, and wants something of the driver.
    pub(crate) fn is_unheard(&self, known: Option<&Arc<Setting>>) -> bool {
        // One that changed only the owner of a cadence in force is told to nobody.
        self.news(known).is_some_and(|setting| setting.obeyed.load(Ordering::Acquire) == 0)
    }

    /// The period of the cadence that is wanted, if one is.
    pub(crate) fn period(&self) -> Option<Duration> {
        let setting = self.0.load();
        let wanted = setting.as_ref()?.wanted.as_ref()?;
        Some(Duration::from_micros(wanted.grid.period))
    }

    /// Who owns the cadence; [`Generation::NONE`] for nobody.
    pub(crate) fn owner(&self) -> Generation {
        self.0.load().as_ref().map_or(Generation::NONE, |setting| setting.owner)
    }

    /// Sets a cadence or none, whoever's it was.
    pub(crate) fn set(&self, wanted: Option<Wanted>, asked_at: Tick) {
        self.update(|setting| (Some(setting.set(wanted.clone(), asked_at)), ()));
    }

    pub(crate) fn claim(&self, wanted: &Wanted, by: Generation, at: Tick) -> Claim {
        self.update(|setting| setting.claim(wanted, by, at))
    }

    pub(crate) fn take_back(&self, by: Generation, at: Tick) -> TakenBack {
        self.update(|setting| setting.take_back(by, at))
    }

    /// Applies an edge by compare-and-swap, again where another took effect meanwhile.
    fn update<T>(&self, edge: impl Fn(&Setting) -> (Option<Setting>, T)) -> T {
        let mut seen = self.0.load();
        loop {
            let none = seen.is_none().then(Setting::none);
            let Some(before) = seen.as_deref().or(none.as_ref()) else { unreachable!("one is") };
            let (next, result) = edge(before);
            let Some(next) = next else { return result };
            // The guard of the compared setting is held, so its address is not used again.
            let found = self.0.compare_and_swap(&*seen, Some(Arc::new(next)));
            let same = match (&*found, &*seen) {
                (None, None) => true,
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                _ => false,
            };
            if same {
                return result;
            }
            seen = found;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn cadence(ms: u64) -> Wanted {
        let cadence = Cadence::every(Duration::from_millis(ms)).unwrap();
        let grid = cadence.grid(0, || 0);
        Wanted { cadence, grid, resume: None }
    }

    fn generations() -> (Generation, Generation) {
        let slot = reveille_core::HandlerSlot::vacant();
        (slot.install(()).unwrap().0, slot.install(()).unwrap().0)
    }

    /// P1: of two runners the newer one keeps what both have claimed, whoever comes last.
    #[test]
    fn a_stale_runner_neither_claims_nor_takes_back() {
        let (old, new) = generations();
        let cell = SettingCell::new();
        assert_eq!(cell.claim(&cadence(10), old, Tick::NOW), Claim::Set);
        assert_eq!(cell.claim(&cadence(10), old, Tick::NOW), Claim::Unchanged);
        let first = cell.news(None).expect("it was set");
        first.obeyed();
        assert_eq!(cell.claim(&cadence(10), new, Tick::NOW), Claim::InForce);
        assert_eq!(cell.claim(&cadence(20), old, Tick::NOW), Claim::Stale);
        assert_eq!(cell.take_back(old, Tick::NOW), TakenBack::Stale);
        assert_eq!(cell.owner(), new);
        assert_eq!(cell.take_back(new, Tick::NOW), TakenBack::Yes);
        assert_eq!(cell.take_back(new, Tick::NOW), TakenBack::Gone);
        assert_eq!(cell.claim(&cadence(20), old, Tick::NOW), Claim::Stale, "it was newer's once");
    }

    /// P1: what somebody set by hand is no runner's to take back, and the latest setting wins.
    #[test]
    fn a_setting_by_hand_is_nobodys() {
        let (old, new) = generations();
        let cell = SettingCell::new();
        assert_eq!(cell.claim(&cadence(10), new, Tick::NOW), Claim::Set);
        cell.set(Some(cadence(10)), Tick::NOW);
        assert_eq!(cell.owner(), Generation::NONE);
        assert_eq!(cell.take_back(new, Tick::NOW), TakenBack::Stale);
        assert_eq!(cell.claim(&cadence(10), old, Tick::NOW), Claim::Stale);
        assert_eq!(cell.claim(&cadence(10), new, Tick::NOW), Claim::Unchanged);
        cell.set(None, Tick::NOW);
        assert_eq!(cell.take_back(new, Tick::NOW), TakenBack::Gone);
    }

    /// P17: the driver hears of each change once, and of none twice.
    #[test]
    fn news_is_told_once() {
        let cell = SettingCell::new();
        assert!(cell.news(None).is_none());
        cell.set(Some(cadence(10)), Tick::NOW);
        let first = cell.news(None);
        assert!(first.is_some() && cell.news(first.as_ref()).is_none());
        cell.set(Some(cadence(10)), Tick::NOW);
        assert!(cell.news(first.as_ref()).is_some());
    }
}
