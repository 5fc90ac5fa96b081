//! What must hold of threads of operations, told by what they were answered.

use reveille::{Counters, Disposal, Generation, StopReport};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A point in the order of what was told; no step of the model.
pub type Moment = u64;

/// What was told in one execution.
#[derive(Clone, Default)]
pub struct Book(Arc<Mutex<Entries>>);

/// The entries of a book.
#[derive(Default)]
pub struct Entries {
    moment: Moment,
    /// Wakes: of which key, when they were called, and whether they were accepted.
    pub wakes: Vec<(u8, Moment, bool)>,
    /// Starts: of which key, when the driver asked and when it was told, and the generation.
    pub starts: Vec<(u8, Moment, Moment, Generation)>,
    /// Wakes of this key that waited may have been discarded, up to here.
    pub discards: Vec<(u8, Moment)>,
    /// Installs: called, returned, generation.
    pub installs: Vec<(Moment, Moment, Generation)>,
    /// What disposals found.
    pub disposals: Vec<(Generation, Disposal)>,
    /// When the first stop had returned.
    pub stopped: Option<Moment>,
    /// Whether a cadence was ever set.
    pub beats: bool,
    inside: BTreeSet<u8>,
    broken: Option<String>,
}

impl Book {
    /// For one entry; not to be held over a step.
    pub fn open(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Now.
    pub fn now(&self) -> Moment {
        let mut entries = self.open();
        entries.moment += 1;
        entries.moment
    }
}

impl Entries {
    /// A handler begins with this key.
    pub fn enter(&mut self, key: u8) {
        if !self.inside.insert(key) {
            self.broken.get_or_insert(format!("P6: target {key} runs twice at once"));
        }
    }

    /// A handler is done with it.
    pub fn leave(&mut self, key: u8) {
        self.inside.remove(&key);
    }
}

/// The hub at rest, after everything.
pub struct End {
    /// Its counters.
    pub counters: Counters,
    /// The handler after the last thread had ended, before anything else was installed.
    pub handler: Option<Generation>,
    /// What each stop was told.
    pub reports: Vec<Option<StopReport>>,
}

fn law(holds: bool, broken: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(broken()) }
}

/// Judges an execution whose threads have all returned, at rest, with nothing left to wait for.
///
/// # Errors
/// The first law that does not hold.
pub fn judge(book: &Book, end: &End) -> Result<(), String> {
    let entries = book.open();
    if let Some(broken) = &entries.broken {
        return Err(broken.clone());
    }
    conservation(&entries, &end.counters)?;
    served(&entries)?;
    generations(&entries)?;
    disposals(&entries, end)?;
    stops(&entries, end)
}

/// P12, and each answer is counted.
fn conservation(entries: &Entries, counters: &Counters) -> Result<(), String> {
    law(counters.is_conserved(), || format!("P12: not conserved: {counters:?}"))?;
    law(counters.pending == 0, || format!("P3: {} wakes wait for ever", counters.pending))?;
    let wakes = entries.wakes.len() as u64;
    let refused = entries.wakes.iter().filter(|(_, _, accepted)| !accepted).count() as u64;
    let stale = entries.disposals.iter().filter(|(_, found)| *found == Disposal::Superseded);
    let equal = [
        ("requests are wakes and beats", wakes + counters.beats, counters.accepted),
        ("starts are runs", entries.starts.len() as u64, counters.started),
        ("installs", entries.installs.len() as u64, counters.installs),
        ("stale disposals", stale.count() as u64, counters.stale_disposes),
    ];
    for (what, told, counted) in equal {
        law(told == counted, || format!("P18: {what}: {told} told, {counted} counted"))?;
    }
    let agree = refused == counters.refused || entries.beats && refused < counters.refused;
    law(agree, || format!("P18: {refused} wakes refused, {} counted", counters.refused))?;
    law(counters.faults == 0, || format!("P18: {} faults", counters.faults))
}

/// P3: each wake that was accepted had a run, or was discarded by somebody who said so.
fn served(entries: &Entries) -> Result<(), String> {
    for &(key, called, accepted) in &entries.wakes {
        let run = entries.starts.iter().any(|&(of, _, told, _)| of == key && told > called);
        let gone = entries.discards.iter().any(|&(of, returned)| of == key && returned > called);
        let served = !accepted || run || gone || entries.stopped.is_some();
        law(served, || format!("P3: the wake of target {key} at {called} is lost"))?;
    }
    Ok(())
}

/// P2: generations grow in the order in which installs took effect; runs never go back.
fn generations(entries: &Entries) -> Result<(), String> {
    let all: BTreeSet<Generation> = entries.installs.iter().map(|install| install.2).collect();
    law(all.len() == entries.installs.len(), || "P2: a generation was given twice".into())?;
    for &(_, returned, earlier) in &entries.installs {
        for &(called, _, later) in &entries.installs {
            law(returned >= called || earlier < later, || {
                format!("P2: {later:?} was installed after {earlier:?} had been")
            })?;
        }
    }
    law(entries.starts.is_sorted_by_key(|start| start.3), || {
        "P2: a run of an older generation was started after one of a newer".into()
    })
}

/// P1: only its owner removes a handler, once, and a stale owner removes nothing.
fn disposals(entries: &Entries, end: &End) -> Result<(), String> {
    let mut removed: BTreeMap<Generation, u32> = BTreeMap::new();
    for &(generation, found) in &entries.disposals {
        *removed.entry(generation).or_default() += u32::from(found == Disposal::Removed);
    }
    for (generation, times) in &removed {
        law(*times <= 1, || format!("P1: {generation:?} was removed {times} times"))?;
    }
    if entries.stopped.is_some() {
        return law(end.handler.is_none(), || "P13: a stopped hub has a handler".into());
    }
    // The last install is the one at rest, which came after.
    let newest = entries.installs.iter().rev().skip(1).map(|install| install.2).max();
    let stays = newest.filter(|newest| removed.get(newest).is_none_or(|times| *times == 0));
    law(end.handler == stays, || {
        format!("P1: {:?} is installed, where {stays:?} is due", end.handler)
    })
}

/// P13: all stops are told the same, and nothing is asked for and started after one.
fn stops(entries: &Entries, end: &End) -> Result<(), String> {
    let Some(stopped) = entries.stopped else { return Ok(()) };
    let late = entries.starts.iter().find(|(_, asked, ..)| *asked > stopped);
    law(late.is_none(), || "P13: a run was started after a stop had returned".into())?;
    let told = end.reports.iter().all(|report| report.is_some() && *report == end.reports[0]);
    law(told, || format!("P13: stops are told different things: {:?}", end.reports))
}
