//! The books of one target: every beat of its cadence is served, or is lost for a reason that
//! the storm itself gave.
//!
//! A run says the instant of its last beat and for how many it stands, so with the period it
//! stands for an unbroken row of instants. The rows of successive runs must join without a gap and
//! without an overlap, whatever the runs came to: what a run gave back, a later one must carry.
//! A gap is a lost beat, and needs a cause on record that can explain it: a cancel, a removal, or
//! as many failures in a row as make the hub give up. A gap without one is a beat that is missing,
//! an overlap is a beat that was run again. None of this asks the library's own counters.

use reveille::Tick;

/// Why beats may be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Cancel,
    Removal,
}

/// A cause, until when it may have taken effect: open while its call has not returned.
struct Loss {
    cause: Cause,
    until: Option<Tick>,
}

/// A row of beats: the first and the last instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    first: u64,
    last: u64,
}

/// What a run says when it starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub(crate) last_beat: Option<Tick>,
    pub(crate) missed: u64,
    pub(crate) started: Tick,
    pub(crate) called: Tick,
    pub(crate) generation: u64,
}

/// How it ended, as far as the books care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Served,
    GivenBack,
    Failed,
}

/// What the books of a target come to, in beats.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) served: u64,
    /// Of these, beats that stood with a later one in the same run.
    pub(crate) together: u64,
    pub(crate) cancelled: u64,
    pub(crate) removed: u64,
    pub(crate) given_up: u64,
    pub(crate) missing: u64,
    pub(crate) again: u64,
    /// Not at an instant of the cadence.
    pub(crate) astray: u64,
    pub(crate) longest_gap: u64,
}

/// How late a beat was, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lateness {
    /// From its last beat to the turn that started it, where nothing was given back before.
    pub(crate) fresh_to_start: Option<u64>,
    /// The same, to the call of the handler.
    pub(crate) fresh_to_call: Option<u64>,
    /// From its oldest beat to the call of the handler, with all that held it back.
    pub(crate) oldest_to_call: u64,
}

/// The books of one target.
pub(crate) struct Book {
    period: u64,
    max_attempts: u32,
    /// The oldest beat that neither a run has shown nor a cause has explained.
    next: Option<u64>,
    /// Where the first beat must be: after the first, up to the last.
    opens: Option<(Tick, Tick)>,
    held: Option<Row>,
    in_hand: Option<Row>,
    losses: Vec<Loss>,
    failures: u32,
    failed_last: bool,
    generation: u64,
    last_served: Option<u64>,
    pub(crate) sums: Sums,
    /// The first thing that was wrong, in words.
    pub(crate) trouble: Option<String>,
}

impl Book {
    pub(crate) fn new(period: u64, max_attempts: u32) -> Self {
        Self {
            period,
            max_attempts,
            next: None,
            opens: None,
            held: None,
            in_hand: None,
            losses: Vec::new(),
            failures: 0,
            failed_last: false,
            generation: 0,
            last_served: None,
            sums: Sums::default(),
            trouble: None,
        }
    }

    /// The first beat is due after `from`, and no later than `to`.
    pub(crate) fn open(&mut self, from: Tick, to: Tick) {
        self.opens.get_or_insert((from, to));
    }

    /// A cause is about to take effect. It stands until [`caused`](Self::caused) and a run after.
    pub(crate) fn will_cause(&mut self, cause: Cause) {
        self.losses.push(Loss { cause, until: None });
    }

    /// The call of the last such cause has returned; `took` says whether it discarded anything.
    pub(crate) fn caused(&mut self, cause: Cause, until: Tick, took: bool) {
        let place = self.losses.iter().rposition(|l| l.cause == cause && l.until.is_none());
        if let Some(place) = place {
            if took {
                self.losses[place].until = Some(until);
            } else {
                self.losses.remove(place);
            }
        }
    }

    /// A run starts. Says how late its beats are, if it has any.
    pub(crate) fn start(&mut self, run: Start) -> Option<Lateness> {
        let row = run.last_beat.map(|last| self.row(last.as_micros(), run.missed));
        let retried = self.held.is_some();
        match row {
            Some(row) => self.join(row),
            None if self.held.is_some() => {
                let until = self.next.unwrap_or_default();
                self.explain(until);
            }
            None => {}
        }
        self.held = None;
        self.in_hand = row;
        // Not sooner: an older handler's failures explain what it lost. For a new one they count
        // for nothing (P9).
        if self.generation != run.generation {
            (self.generation, self.failures) = (run.generation, 0);
        }
        let (row, called) = (row?, run.called.as_micros());
        // The row came after these causes and shows what they took, so they explain no later gap.
        self.losses.retain(|loss| loss.until.is_none_or(|until| until >= run.started));
        Some(Lateness {
            fresh_to_start: (!retried).then(|| run.started.as_micros().saturating_sub(row.last)),
            fresh_to_call: (!retried).then(|| called.saturating_sub(row.last)),
            oldest_to_call: called.saturating_sub(row.first),
        })
    }

    /// The run that started last has ended.
    pub(crate) fn end(&mut self, end: End, now: Tick) {
        let row = self.in_hand.take();
        self.failed_last = end == End::Failed;
        match (end, row) {
            (End::Served, row) => {
                self.failures = 0;
                if let Some(row) = row {
                    let beats = (row.last - row.first) / self.period + 1;
                    self.sums.served += beats;
                    self.sums.together += beats - 1;
                    let gap = now.as_micros().saturating_sub(self.last_served.unwrap_or(row.first));
                    self.sums.longest_gap = self.sums.longest_gap.max(gap);
                    self.last_served = Some(now.as_micros());
                }
            }
            (End::Failed, row) => {
                // The hub counts from the start again once it has given up.
                self.failures = if self.failures < self.max_attempts { self.failures } else { 0 };
                self.failures += 1;
                self.held = row;
            }
            (End::GivenBack, row) => self.held = row,
        }
    }

    /// All beats that the books know of, whatever became of them.
    pub(crate) fn beats(&self) -> u64 {
        let Sums { served, cancelled, removed, given_up, missing, .. } = self.sums;
        served + cancelled + removed + given_up + missing + self.unserved()
    }

    /// Beats in a wake that waits.
    pub(crate) fn unserved(&self) -> u64 {
        let beats = |row: Row| (row.last - row.first) / self.period + 1;
        self.held.or(self.in_hand).map_or(0, beats)
    }

    /// The instant of the next beat that is to come.
    pub(crate) fn next_beat(&self) -> Option<Tick> {
        self.next.map(Tick::from_micros)
    }

    /// The hub has no run and no wake of this target any more: what was held is lost, and so is
    /// every beat of `beats`, the hub's own count, that no run has shown.
    pub(crate) fn close(&mut self, beats: Option<u64>) {
        if self.held.is_some() {
            let until = self.next.unwrap_or_default();
            self.explain(until);
            self.held = None;
        }
        let unseen = beats.map_or(0, |beats| beats.saturating_sub(self.beats()));
        if unseen > 0
            && let Some(next) = self.next
        {
            self.explain(next + unseen * self.period);
        } else if unseen > 0 {
            self.sums.missing += unseen;
            self.trouble(format!("{unseen} beats, and no run has shown any"));
        }
    }

    fn row(&self, last: u64, missed: u64) -> Row {
        Row { first: last.saturating_sub(missed * self.period), last }
    }

    /// Joins the row of a run to those before it.
    fn join(&mut self, row: Row) {
        let expected = match (self.held, self.next, self.opens) {
            (Some(held), ..) => held.first,
            (None, Some(next), _) => next,
            (None, None, opens) => {
                let first = row.first;
                let (from, to) = opens.unwrap_or((Tick::NOW, Tick::NEVER));
                if first <= from.as_micros() || first > to.as_micros() {
                    self.sums.astray += 1;
                    self.trouble(format!("the first beat is at {first}, not in {from:?}..{to:?}"));
                }
                first
            }
        };
        if row.first.abs_diff(expected) % self.period != 0 {
            self.sums.astray += 1;
            self.trouble(format!("a beat at {} is not of the row of {expected}", row.last));
        } else if row.first < expected {
            self.sums.again += (expected - row.first) / self.period;
            self.trouble(format!("a run for {row:?}, but all before {expected} was over"));
        } else if row.first > expected {
            self.explain(row.first);
        }
        self.next = Some(row.last + self.period);
    }

    /// The beats before `until` that no run has served are lost: for which cause?
    fn explain(&mut self, until: u64) {
        let Some(mut from) = self.held.map(|row| row.first).or(self.next) else { return };
        if let Some(held) = self.held
            && self.failed_last
            && self.failures >= self.max_attempts
            && until > held.last
        {
            self.sums.given_up += (held.last - held.first) / self.period + 1;
            from = held.last + self.period;
        }
        let lost = until.saturating_sub(from).div_ceil(self.period);
        if lost == 0 {
            return;
        }
        let newest = until - self.period;
        let explains = |l: &&Loss| l.until.is_none_or(|at| at.as_micros() >= newest);
        match self.losses.iter().find(explains).map(|loss| loss.cause) {
            Some(Cause::Cancel) => self.sums.cancelled += lost,
            Some(Cause::Removal) => self.sums.removed += lost,
            None => {
                self.sums.missing += lost;
                self.trouble(format!("{lost} beats from {from} on, and no cause"));
            }
        }
        self.next = Some(until);
    }

    fn trouble(&mut self, what: String) {
        self.trouble.get_or_insert(what);
    }
}
