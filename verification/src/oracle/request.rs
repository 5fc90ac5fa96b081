//! A request for a run, kept as it came until a run has served it.

use crate::scenario::Urgency;

/// One request. Beats of one cadence that passed together are one entry that says how many.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// The how-many-th request it is, over all targets.
    pub(super) number: u64,
    pub(super) reason: String,
    pub(super) urgency: Urgency,
    /// The instant at which it was made.
    pub(super) made_at: u64,
    /// The instant from which it wants to run; an install may move it.
    pub(super) due: u64,
    /// How many beats it stands for; 0 for a request that is no beat.
    pub(super) beats: u64,
    /// The instant of the last of these beats.
    pub(super) last_beat: u64,
    /// A beat that passed during a suspend, or while the last one was still pending.
    pub(super) missed: bool,
    /// The instant before which the run that deferred it does not want it back.
    pub(super) deferred_to: Option<u64>,
    /// When it takes along what is deferred, where that is not its own due.
    pub(super) passes_at: Option<u64>,
    /// An install has moved it since it last ran.
    pub(super) moved: bool,
    /// A run has had it and gave it back.
    pub(super) retained: bool,
    /// How many runs of the handler of which generation have had it.
    pub(super) starts: u64,
    pub(super) starts_under: u64,
    /// Its run is to run alone.
    pub(super) barrier: bool,
    /// The ticket that came with it.
    pub(super) ticket: Option<usize>,
}

impl Request {
    pub(super) fn new(number: u64, reason: &str, urgency: Urgency, now: u64, due: u64) -> Self {
        Self {
            number,
            reason: reason.to_owned(),
            urgency,
            made_at: now,
            due,
            beats: 0,
            last_beat: 0,
            missed: false,
            deferred_to: None,
            passes_at: None,
            moved: false,
            retained: false,
            starts: 0,
            starts_under: 0,
            barrier: false,
            ticket: None,
        }
    }

    /// How old it is where it comes to who leads, once it is no beat any more: as a reason alone a
    /// beat is older than everything.
    pub(super) fn age(&self) -> u64 {
        if self.beats > 0 { 0 } else { self.number }
    }

    /// How many runs under this generation have had it.
    pub(super) fn starts_under(&self, generation: u64) -> u64 {
        if self.starts_under == generation { self.starts } else { 0 }
    }

    /// A run takes it: what held for its waiting is over.
    pub(super) fn taken_under(mut self, generation: u64) -> Self {
        self.starts = self.starts_under(generation) + 1;
        self.starts_under = generation;
        self.deferred_to = None;
        self.passes_at = None;
        self.moved = false;
        self.retained = true;
        self
    }
}

/// From when on a merged wake wants to run.
///
/// The earliest due of all. But requests that a run deferred wait for the deferral, and take
/// with them whatever came since, except an urgent request: that takes the deferred ones along
/// at the earlier of its own due and the deferral.
pub(super) fn wants_from(wake: &[&Request]) -> u64 {
    let kept = wake.iter().filter_map(|request| request.deferred_to).min();
    let urgent = wake
        .iter()
        .filter(|request| request.urgency == Urgency::Urgent && request.deferred_to.is_none())
        .map(|request| request.passes_at.unwrap_or(request.due))
        .min();
    let earliest = wake.iter().map(|request| request.due).min();
    match (kept, urgent) {
        (None, _) => earliest.unwrap_or(super::NEVER),
        (Some(kept), None) => kept,
        (Some(kept), Some(urgent)) => kept.min(urgent),
    }
}

/// Whether the run of a merged wake is urgent.
pub(super) fn is_urgent(wake: &[&Request]) -> bool {
    wake.iter().any(|request| request.urgency == Urgency::Urgent)
}

/// The request that leads a merged wake: of the highest urgency the latest.
pub(super) fn leader(wake: &[Request]) -> Option<&Request> {
    wake.iter().max_by_key(|request| (request.urgency, request.number))
}
