//! Scenarios as text: what is printed here, the parser reads back as the same scenario.

use std::fmt::{self, Display, Formatter};

use jiff::Timestamp;

use super::{
    Action, ActiveHours, Counter, Expectation, Flood, LastRun, Missed, OnOverrun, OnReplace, Or,
    Outcome, Policy, ResultSpec, RosterEntry, Scenario, Step, TargetState, TicketState, Urgency,
    Verb,
};

impl Display for Scenario {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.policy != Policy::default() {
            writeln!(f, "{}", self.policy)?;
        }
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        Ok(())
    }
}

impl Display for Policy {
    /// The keys that differ from the product's defaults.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let usual = Self::default();
        let numbers = [
            ("coalesce", self.coalesce_ms, usual.coalesce_ms),
            ("retry", self.retry_ms, usual.retry_ms),
            ("backoff-factor", self.backoff_factor, usual.backoff_factor),
            ("backoff-max", self.backoff_max_ms, usual.backoff_max_ms),
            ("max-attempts", self.max_attempts, usual.max_attempts),
            ("max-active", self.max_active, usual.max_active),
            ("spacing", self.spacing_ms, usual.spacing_ms),
            ("barrier-limit", self.barrier_limit_ms, usual.barrier_limit_ms),
        ];
        f.write_str("policy")?;
        for (key, value, usual) in numbers {
            if value != usual {
                write!(f, " {key}={value}")?;
            }
        }
        match self.missed {
            Missed::Skip => {}
            Missed::Burst => f.write_str(" missed=burst")?,
            Missed::Delay => f.write_str(" missed=delay")?,
        }
        match self.on_replace {
            OnReplace::Finish => {}
            OnReplace::Cancel => f.write_str(" on-replace=cancel")?,
        }
        if let Some(Flood { starts, within_ms }) = self.hub_flood {
            write!(f, " hub-flood={starts}/{within_ms}")?;
        }
        if let Some(Flood { starts, within_ms }) = self.flood {
            write!(f, " flood={starts}/{within_ms}")?;
        }
        optional(f, " run-limit=", self.run_limit_ms.as_ref())?;
        match self.on_overrun {
            OnOverrun::Report => {}
            OnOverrun::Cancel => f.write_str(" on-overrun=cancel")?,
        }
        if self.wall_ms != usual.wall_ms {
            let wall = Timestamp::from_millisecond(self.wall_ms).unwrap_or_default();
            write!(f, " wall={wall}")?;
        }
        Ok(())
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:<7} {}", self.at_ms, self.verb)
    }
}

impl Display for Verb {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Act(action) => action.fmt(f),
            Self::Expect(expectation) => write!(f, "expect {expectation}"),
        }
    }
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Install { name } => write!(f, "install {name}"),
            Self::Script { name, target, results } => {
                write!(f, "script {name}")?;
                optional(f, " on ", target.as_ref())?;
                results.iter().try_for_each(|result| write!(f, " {result}"))
            }
            Self::Dispose { name } => write!(f, "dispose {name}"),
            Self::Wake { target, reason, in_ms, urgency } => {
                write!(f, "wake {target}")?;
                asked(f, reason, *in_ms, *urgency)
            }
            Self::WakeAll { reason, in_ms, urgency } => {
                f.write_str("wake-all")?;
                asked(f, reason, *in_ms, *urgency)
            }
            Self::Barrier { target, reason } => {
                write!(f, "barrier {target}")?;
                asked(f, reason, None, Urgency::Event)
            }
            Self::Await { name, target, reason, in_ms, urgency, or } => {
                write!(f, "await {name} {target}")?;
                asked(f, reason, *in_ms, *urgency)?;
                optional(f, " or=", or.as_ref())
            }
            Self::Beat { target, every_ms, phase_ms, hours } => {
                write!(f, "beat {target} every={every_ms}")?;
                optional(f, " phase=", phase_ms.as_ref())?;
                optional(f, " hours=", hours.as_ref())
            }
            Self::BeatOff { target } => write!(f, "beat {target} off"),
            Self::Finish { name, target, outcome } => write!(f, "finish {name} {target} {outcome}"),
            Self::Cancel { target } => write!(f, "cancel {target}"),
            Self::Postpone { target, in_ms } => write!(f, "postpone {target} in={in_ms}"),
            Self::Revive { target } => write!(f, "revive {target}"),
            Self::Forgive { target } => write!(f, "forgive {target}"),
            Self::Runner { name, roster } => {
                write!(f, "runner {name}")?;
                roster.iter().try_for_each(|entry| write!(f, " {entry}"))
            }
            Self::Update { name, roster } => {
                write!(f, "update {name}")?;
                roster.iter().try_for_each(|entry| write!(f, " {entry}"))
            }
            Self::StopRunner { name } => write!(f, "stop {name}"),
            Self::Remove { target } => write!(f, "remove {target}"),
            Self::Restart { ms } => write!(f, "restart {ms}"),
            Self::Suspend { ms } => write!(f, "suspend {ms}"),
            Self::Wallclock { ms } => write!(f, "wallclock {ms}"),
            Self::Stop { drain_ms } => {
                f.write_str("stop")?;
                optional(f, " drain=", drain_ms.as_ref())
            }
        }
    }
}

impl Display for ActiveHours {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { from_min: from, to_min: to, zone } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)?;
        if zone == "UTC" { Ok(()) } else { write!(f, " zone={zone}") }
    }
}

impl Display for RosterEntry {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.target, self.every_ms)?;
        optional(f, "/", self.phase_ms.as_ref())
    }
}

impl Display for Or {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHandler => "no-handler",
            Self::Deferral => "deferral",
        })
    }
}

impl Display for Urgency {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Retry => "retry",
            Self::Beat => "beat",
            Self::Event => "event",
            Self::Urgent => "urgent",
        })
    }
}

impl Display for ResultSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hold => f.write_str("hold"),
            Self::Ends { outcome, lasts_ms } => {
                outcome.fmt(f)?;
                optional(f, "@", lasts_ms.as_ref())
            }
        }
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ran => f.write_str("ran"),
            Self::Skip => f.write_str("skip"),
            Self::Busy { for_ms } => {
                f.write_str("busy")?;
                optional(f, ":", for_ms.as_ref())
            }
            Self::Defer { for_ms } => write!(f, "defer:{for_ms}"),
            Self::Fail => f.write_str("fail"),
            Self::FailFor { for_ms } => write!(f, "fail:{for_ms}"),
            Self::Panic => f.write_str("panic"),
        }
    }
}

impl Display for Expectation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runs { count, by, on } => {
                write!(f, "runs {count}")?;
                optional(f, " by ", by.as_ref())?;
                optional(f, " on ", on.as_ref())
            }
            Self::Last(last) => last.fmt(f),
            Self::Order(targets) => write!(f, "order {}", targets.join(" ")),
            Self::State { target, state } => write!(f, "{state} {target}"),
            Self::Deadline(None) => f.write_str("deadline none"),
            Self::Deadline(Some(at_ms)) => write!(f, "deadline {at_ms}"),
            Self::Handler(None) => f.write_str("handler none"),
            Self::Handler(Some(name)) => write!(f, "handler {name}"),
            Self::Ticket { name, state } => write!(f, "ticket {name} {state}"),
            Self::Poisoned(targets) if targets.is_empty() => f.write_str("poisoned none"),
            Self::Poisoned(targets) => {
                f.write_str("poisoned")?;
                targets.iter().try_for_each(|target| write!(f, " {target}"))
            }
            Self::Active(count) => write!(f, "active {count}"),
            Self::Peak(count) => write!(f, "peak {count}"),
            Self::Counts(counts) => {
                f.write_str("counts")?;
                counts
                    .iter()
                    .try_for_each(|(counter, count)| write!(f, " {}={count}", counter.name()))
            }
            Self::Conserved => f.write_str("conserved"),
        }
    }
}

impl Display for LastRun {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "last on {}", self.on)?;
        optional(f, " by ", self.by.as_ref())?;
        optional(f, " reason=", self.reason.as_ref())?;
        if let Some(reasons) = &self.reasons {
            let reasons: Vec<&str> = reasons.iter().map(String::as_str).collect();
            write!(f, " reasons={}", reasons.join(","))?;
        }
        optional(f, " attempt=", self.attempt.as_ref())?;
        optional(f, " missed=", self.missed.as_ref())?;
        optional(f, " at=", self.at_ms.as_ref())?;
        optional(f, " beside=", self.beside.as_ref())
    }
}

impl Display for TargetState {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::Idle => "idle",
            Self::Running => "running",
        })
    }
}

impl Display for TicketState {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting",
            Self::Ran => "ran",
            Self::Skip => "skip",
            Self::GaveUp => "gave-up",
            Self::Cancelled => "cancelled",
            Self::Removed => "removed",
            Self::Stopped => "stopped",
            Self::NoHandler => "no-handler",
            Self::Deferred => "deferred",
        })
    }
}

impl Counter {
    /// The key of this counter in `expect counts`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Started => "started",
            Self::Coalesced => "coalesced",
            Self::Pending => "pending",
            Self::Refused => "refused",
            Self::Discarded => "discarded",
            Self::Retried => "retried",
            Self::GaveUp => "gave-up",
            Self::StaleDisposes => "stale-disposes",
            Self::Panics => "panics",
            Self::StaleClaims => "stale-claims",
            Self::Overran => "overran",
        }
    }
}

/// What a wake asks for, where that is not the default.
fn asked(f: &mut Formatter<'_>, reason: &str, in_ms: Option<u64>, urgency: Urgency) -> fmt::Result {
    if reason != "requested" {
        write!(f, " reason={reason}")?;
    }
    optional(f, " in=", in_ms.as_ref())?;
    if urgency != Urgency::Event {
        write!(f, " urgency={urgency}")?;
    }
    Ok(())
}

fn optional<T: Display>(f: &mut Formatter<'_>, lead: &str, value: Option<&T>) -> fmt::Result {
    match value {
        Some(value) => write!(f, "{lead}{value}"),
        None => Ok(()),
    }
}
