//! Cadences: when they beat, and what a beat asks for.

use super::request::Request;
use super::{Oracle, after};
use crate::scenario::subject::Refusal;
use crate::scenario::{Missed, Urgency};

/// A cadence of a target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cadence {
    pub(super) every: u64,
    pub(super) phase: Option<u64>,
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
        every: u64,
        phase: Option<u64>,
        owner: Option<u64>,
    ) {
        if self.stopped {
            return;
        }
        let now = self.now;
        // Phases that are the same modulo the period are the same phase.
        let phase = phase.map(|phase| phase % every);
        let target = self.target(key);
        let old = target.cadence;
        let last = old.and_then(|cadence| cadence.last);
        let next = match (old, phase) {
            (Some(old), _) if old.every == every && old.phase == phase => old.next,
            (_, Some(phase)) => next_in_phase(now, every, phase),
            (Some(old), None) if old.every != every => match last {
                Some(last) => after(last, every).max(now),
                None => after(now, every),
            },
            (_, None) => after(now, every),
        };
        target.cadence = Some(Cadence { every, phase, next, last, owner });
    }

    /// Makes the beats whose instant has come.
    pub(super) fn beat_what_beats(&mut self) -> Result<bool, Refusal> {
        let mut any = false;
        for index in 0..self.targets.len() {
            let Some(cadence) = self.targets[index].cadence else { continue };
            if cadence.next > self.now {
                continue;
            }
            any = true;
            // More than one only after a suspend.
            let beats = (self.now - cadence.next) / cadence.every + 1;
            self.happens(if self.policy.missed == Missed::Burst { beats } else { 1 })?;
            self.beat(index, cadence, beats);
        }
        Ok(any)
    }

    fn beat(&mut self, index: usize, cadence: Cadence, beats: u64) {
        let last = cadence.next + (beats - 1) * cadence.every;
        let number = self.next_number();
        let missed = self.policy.missed;
        let target = &mut self.targets[index];
        target.cadence =
            Some(Cadence { next: after(last, cadence.every), last: Some(last), ..cadence });
        let still_pending = target.requests.iter().any(|request| request.beats > 0);
        let request = Request {
            beats,
            missed: cadence.next < self.now || still_pending,
            ..Request::new(number, "beat", Urgency::Beat, self.now, cadence.next)
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
        let now = self.now;
        if let Some(cadence) = &mut self.targets[index].cadence {
            cadence.next = after(now, cadence.every);
            cadence.last = Some(now);
        }
    }
}

/// The next instant strictly after now that equals the phase modulo the period.
fn next_in_phase(now: u64, every: u64, phase: u64) -> u64 {
    let (behind, wanted) = (now % every, phase % every);
    let distance = if wanted > behind { wanted - behind } else { every - behind + wanted };
    after(now, distance)
}
