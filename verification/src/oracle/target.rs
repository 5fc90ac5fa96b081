//! A target: what waits for it, and what keeps it from starting.

use super::after;
use super::cadence::Cadence;
use super::request::Request;
use crate::scenario::{Flood, Missed, Policy};

/// A target with all its requests that no run has served.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) key: String,
    pub(super) requests: Vec<Request>,
    pub(super) cadence: Option<Cadence>,
    /// The instant before which it may not start.
    pub(super) floor: u64,
    /// Failures in a row.
    pub(super) failures: u64,
    /// When its runs started.
    pub(super) started: Vec<u64>,
    /// The latest registration whose runner has claimed its cadence.
    pub(super) claimed: Option<u64>,
    /// What was given up since a run of it was done: while there is any, it is poisoned.
    pub(super) given_up: Vec<Request>,
}

/// Until when so many starts as there were are enough.
pub(super) fn flooded(started: &[u64], flood: Option<Flood>) -> u64 {
    flood.map_or(0, |flood| {
        let starts = usize::try_from(flood.starts).unwrap_or(usize::MAX);
        let nth_last = started.iter().rev().nth(starts.saturating_sub(1));
        nth_last.map_or(0, |instant| after(*instant, flood.within_ms))
    })
}

impl Target {
    pub(super) fn new(key: &str) -> Self {
        Self {
            key: key.to_owned(),
            requests: Vec::new(),
            cadence: None,
            floor: 0,
            failures: 0,
            started: Vec::new(),
            claimed: None,
            given_up: Vec::new(),
        }
    }

    /// The instant from which its rates allow a run that is not urgent.
    pub(super) fn rates_allow_from(&self, policy: &Policy) -> u64 {
        let spaced = self.started.last().map_or(0, |last| after(*last, policy.spacing_ms));
        spaced.max(flooded(&self.started, policy.flood))
    }

    pub(super) fn next_beat(&self) -> Option<u64> {
        self.cadence.as_ref().map(|cadence| cadence.next)
    }

    /// How many wakes wait: all requests merge into one, except that under `burst` each beat is
    /// a wake of its own, into the first of which the other requests merge.
    pub(super) fn waiting(&self, missed: Missed) -> u64 {
        let any = u64::from(!self.requests.is_empty());
        match missed {
            Missed::Skip | Missed::Delay => any,
            Missed::Burst => any.max(self.requests.iter().map(|request| request.beats).sum()),
        }
    }

    /// Puts requests on the list and says how many merged with what was there: so many fewer
    /// wakes wait than came.
    #[must_use]
    pub(super) fn put(&mut self, requests: Vec<Request>, wakes: u64, missed: Missed) -> u64 {
        let before = self.waiting(missed);
        self.requests.extend(requests);
        before + wakes - self.waiting(missed)
    }

    /// What the next run would serve, to look at: as [`next_wake`](Self::next_wake) says, where it
    /// does not matter for how many beats one entry stands.
    pub(super) fn next_requests(&self, missed: Missed) -> Vec<&Request> {
        let the_beat = (missed == Missed::Burst).then(|| self.first_beat()).flatten();
        let goes = |index: usize, request: &Request| {
            request.beats == 0 || the_beat.is_none_or(|beat| beat == index)
        };
        let requests = self.requests.iter().enumerate();
        requests.filter(|(index, request)| goes(*index, request)).map(|(_, it)| it).collect()
    }

    /// The requests that the next run would serve, and those that would go on waiting.
    pub(super) fn next_wake(&self, missed: Missed) -> (Vec<Request>, Vec<Request>) {
        let the_beat = (missed == Missed::Burst).then(|| self.first_beat()).flatten();
        let mut wake = Vec::new();
        let mut rest = Vec::new();
        for (index, request) in self.requests.iter().enumerate() {
            if request.beats == 0 || the_beat.is_none() {
                wake.push(request.clone());
            } else if the_beat != Some(index) {
                rest.push(request.clone());
            } else {
                wake.push(Request { beats: 1, ..request.clone() });
                if request.beats > 1 {
                    rest.push(Request { beats: request.beats - 1, ..request.clone() });
                }
            }
        }
        (wake, rest)
    }

    /// The beat that goes first: the one a run gave back, or else the earliest.
    fn first_beat(&self) -> Option<usize> {
        let beats = self.requests.iter().enumerate().filter(|(_, request)| request.beats > 0);
        let first = beats.min_by_key(|(_, beat)| (!beat.retained, beat.due, beat.number));
        first.map(|(index, _)| index)
    }
}
