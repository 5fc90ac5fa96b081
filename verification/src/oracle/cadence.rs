//! Cadences: when they beat, and what a beat asks for.

use super::request::Request;
use super::{Oracle, after};
use crate::scenario::subject::Refusal;
use crate::scenario::{ActiveHours, Missed, Urgency};

/// A cadence of a target.
#[derive(Clone, Debug)]
pub(super) struct Cadence {
    pub(super) every: u64,
    pub(super) phase: Option<u64>,
    pub(super) hours: Option<ActiveHours>,
    /// An instant from which the others lie whole periods away, be it inside the hours or not.
    pub(super) grid: u64,
    /// The instant of the next beat.
    pub(super) next: u64,
    /// The instant of the last beat.
    pub(super) last: Option<u64>,
    /// The registration of the runner that set it, if one has.
    pub(super) owner: Option<u64>,
}

impl Oracle {
    pub(super) fn set_cadence(
        &mut self,
        key: &str,
        (every, phase, hours): (u64, Option<u64>, Option<ActiveHours>),
        owner: Option<u64>,
    ) {
        if self.stopped {
            return;
        }
        let now = self.now;
        // Phases that are the same modulo the period are the same phase.
        let phase = phase.map(|phase| phase % every);
        let old = self.target(key).cadence.clone();
        if old.is_none()
            && let Some(&last) = self.kept.get(key)
            && self.told.insert(key.to_owned())
        {
            return self.resume(key, (every, phase, hours), owner, last);
        }
        if let Some(old) = &old
            && (old.every, old.phase, &old.hours) == (every, phase, &hours)
        {
            self.target(key).cadence = Some(Cadence { owner, ..old.clone() });
            return;
        }
        let last = old.as_ref().and_then(|cadence| cadence.last);
        let grid = match (old, phase) {
            (_, Some(phase)) => next_in_phase(now, every, phase),
            (Some(old), None) if old.every != every => match last {
                Some(last) => after(last, every).max(now),
                None => after(now, every),
            },
            (_, None) => after(now, every),
        };
        if hours.is_some() {
            self.look_at_wall();
        }
        let next = self.seek(hours.as_ref(), grid, every);
        let cadence = Cadence { every, phase, hours, grid, next, last, owner };
        self.target(key).cadence = Some(cadence);
    }

    /// A cadence goes on from the beat that an earlier process made at `last`: what has passed since was
    /// missed, and comes now.
    fn resume(
        &mut self,
        key: &str,
        (every, phase, hours): (u64, Option<u64>, Option<ActiveHours>),
        owner: Option<u64>,
        last: u64,
    ) {
        if hours.is_some() {
            self.look_at_wall();
        }
        let grid = phase.map_or(after(last, every), |phase| next_in_phase(last, every, phase));
        let next = self.seek(hours.as_ref(), grid, every);
        let cadence = Cadence { every, phase, hours, grid, next, last: Some(last), owner };
        let (beats, passed) = if next > self.now { (0, next) } else { self.passed(&cadence) };
        self.target(key).cadence = Some(cadence.clone());
        let index = self.targets.iter().position(|target| target.key == key);
        let Some(index) = index.filter(|_| beats > 0) else { return };
        self.go_on(index, cadence, passed);
        self.ask_for_beats(index, (beats, passed), self.now, true);
    }

    /// Makes the beats whose instant has come.
    pub(super) fn beat_what_beats(&mut self) -> Result<bool, Refusal> {
        let mut any = false;
        for index in 0..self.targets.len() {
            let Some(cadence) = self.targets[index].cadence.clone() else { continue };
            if cadence.next > self.now {
                continue;
            }
            any = true;
            // More than one only after a suspend.
            let (beats, last) = self.passed(&cadence);
            self.happens(if self.policy.missed == Missed::Burst { beats } else { 1 })?;
            self.beat(index, cadence, beats, last);
        }
        Ok(any)
    }

    fn beat(&mut self, index: usize, cadence: Cadence, beats: u64, last: u64) {
        let due = cadence.next;
        self.go_on(index, cadence, last);
        self.ask_for_beats(index, (beats, last), due, due < self.now);
    }

    fn ask_for_beats(
        &mut self,
        index: usize,
        (beats, last_beat): (u64, u64),
        due: u64,
        missed_one: bool,
    ) {
        let number = self.next_number();
        let missed = self.policy.missed;
        let target = &mut self.targets[index];
        let still_pending = target.requests.iter().any(|request| request.beats > 0);
        let request = Request {
            beats,
            last_beat,
            missed: missed_one || still_pending,
            ..Request::new(number, "beat", Urgency::Beat, self.now, due)
        };
        self.tally.accepted += beats;
        self.tally.coalesced += target.put(vec![request], beats, missed);
    }

    /// With `missed=delay`, a run that stands for missed beats sets the cadence going anew.
    pub(super) fn delay_cadence(&mut self, index: usize, wake: &[Request]) {
        let had_missed = wake.iter().any(|request| request.missed && !request.retained);
        if self.policy.missed != Missed::Delay || !had_missed {
            return;
        }
        if let Some(cadence) = self.targets[index].cadence.clone() {
            self.go_on(index, cadence, self.now);
        }
    }

    /// A cadence goes on from its last beat.
    fn go_on(&mut self, index: usize, cadence: Cadence, last: u64) {
        let grid = after(last, cadence.every);
        let next = self.seek(cadence.hours.as_ref(), grid, cadence.every);
        self.targets[index].cadence = Some(Cadence { grid, next, last: Some(last), ..cadence });
    }
}

/// The next instant strictly after now that equals the phase modulo the period.
fn next_in_phase(now: u64, every: u64, phase: u64) -> u64 {
    let (behind, wanted) = (now % every, phase % every);
    let distance = if wanted > behind { wanted - behind } else { every - behind + wanted };
    after(now, distance)
}
