//! What a storm must have come to. Each check compares what the library says with what the storm
//! saw or counted by itself, so that each can fail.

use super::arena::{Arena, PATIENCE, Watch};
use super::drive::Deeds;
use super::plan::Kind;
use super::real::{Ledger, Real, lock};
use comfy_table::{CellAlignment, Table, presets};
use reveille::{Counters, StopReport, Tick, Wake};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// "Within the last moments": so long beyond its period a target may not have run when the
/// storm ends.
const MOMENTS: Duration = Duration::from_secs(1);
/// Reloads a second, over the whole storm, below which it was none.
const RELOADS_A_SECOND: f64 = 100.0;
/// How far from the last beat of a cadence its end may be: the turn that takes the command comes
/// before the beats of that turn, and may come late.
const LATE_TURN: Duration = Duration::from_millis(500);

/// The checks, as they fall.
#[derive(Default)]
pub(crate) struct Verdict {
    checks: Vec<(bool, &'static str, String)>,
    calls: u64,
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn list(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names if names.len() <= 6 => names.join(" "),
        [first, ..] => format!("{first} and {} more", names.len() - 1),
    }
}

impl Verdict {
    fn check(&mut self, holds: bool, what: &'static str, detail: String) {
        self.checks.push((holds, what, detail));
    }

    fn equal(&mut self, what: &'static str, storm: u64, library: u64) {
        let detail = format!("{storm} by the storm's own count, {library} by the library's");
        self.check(storm == library, what, detail);
    }

    /// At the end of the storm, with all still beating.
    pub(crate) fn storm(&mut self, arena: &Arena, real: &Real, deeds: &Deeds, watch: &Watch) {
        let own = &real.ledger.own;
        let reloads = get(&deeds.reloads);
        let enough = reloads as f64 >= RELOADS_A_SECOND * arena.plan.length.as_secs_f64();
        let wakes = get(&deeds.wakes);
        let detail = format!(
            "{reloads} reloads, {} late disposals, {wakes} wakes, {} cancels, {} removals",
            get(&deeds.cleanups),
            get(&own.cancels),
            get(&own.removals),
        );
        self.check(enough, "it was a storm", detail);
        let (lost, harmful) = (get(&own.lost_handler), get(&own.harmful));
        let current = real.is_current();
        let detail = format!(
            "{} stale disposals; {harmful} cleared a handler; {lost} reloads found none; {}",
            get(&own.stale),
            if current { "the last handler is in" } else { "the last handler is gone" },
        );
        self.check(lost + harmful == 0 && current, "no handler lost (P1)", detail);
        let starved = arena.starved(MOMENTS);
        let detail = format!("not within the last {MOMENTS:?}: {}", list(&starved));
        self.check(starved.is_empty(), "no target starved (P8)", detail);
        let late = watch.late(arena);
        let detail = format!("waited longer than {PATIENCE:?}: {}", list(&late));
        self.check(late.is_empty(), "no wake waited on (P3)", detail);
    }

    /// Nothing waits and nothing runs any more.
    pub(crate) fn quiesced(&mut self, arena: &Arena, real: &Real, quiet: bool, ended: Tick) {
        let snapshot = real.hub.snapshot();
        let (counters, own) = (snapshot.counters, &real.ledger.own);
        let detail = format!("{} pending, {} in flight", counters.pending, snapshot.in_flight);
        self.check(quiet, "it came to rest", detail);
        let unserved = arena.unserved();
        let detail = format!("with a wake that no run has seen: {}", list(&unserved));
        self.check(unserved.is_empty(), "no wake lost (P3, P4)", detail);
        self.conserved("conserved at rest (P12)", &counters);

        let wakes = get(&own.wakes);
        self.equal("requests are wakes and beats", wakes + counters.beats, counters.accepted);
        self.calls = get(&own.calls);
        self.equal("each start is a call", self.calls, counters.started);
        self.equal("installs", get(&own.installs), counters.installs);
        self.equal("stale disposals", get(&own.stale), counters.stale_disposes);
        self.equal("panics", get(&own.panics), counters.panics);
        let (removals, refused) = (get(&own.removals), get(&own.refused));
        let detail = format!("{refused} refusals by {removals} removed targets");
        self.check(removals == refused, "a removed target refuses (P3)", detail);
        let overlaps = arena.overlaps();
        self.check(overlaps == 0, "no target ran twice at once (P6)", format!("{overlaps} did"));
        let torn = get(&own.torn);
        let detail = format!("{torn} runs whose reasons and beats disagree");
        self.check(torn == 0, "beats are beats", detail);
        let contained = counters.faults + counters.aborted + counters.late_completions;
        let detail = format!("{contained} faults, aborted runs or late completions");
        self.check(contained == 0, "nothing broke inside", detail);
        let (found, looks) = (counters.found_by_recheck, counters.rechecks);
        let detail = format!("{found} found by {looks} re-checks");
        self.check(found == 0 && looks > 0, "nothing forgotten (P18)", detail);
        self.beats(arena, real, &snapshot, ended);
    }

    /// No beat missing: the books of each cadence join from its first beat to its last.
    fn beats(&mut self, arena: &Arena, real: &Real, snap: &reveille::Snapshot<usize>, ended: Tick) {
        let (mut missing, mut again, mut astray, mut short) = (0, 0, 0, Vec::new());
        let mut trouble = Vec::new();
        for (i, spec) in arena.plan.targets.iter().enumerate() {
            let Some(period) = spec.period else { continue };
            let mut book = lock(&real.ledger.books[i]);
            // A churned target's own count begins anew with each life of it.
            let lives = spec.kind == Kind::Churned;
            let beats = snap.targets.iter().find(|t| t.key == i).map(|target| target.beats);
            book.close(if lives { None } else { beats });
            missing += book.sums.missing;
            again += book.sums.again;
            astray += book.sums.astray;
            if !lives && beats != Some(book.beats()) {
                let known = book.beats();
                book.trouble.get_or_insert(format!("{beats:?} beats, {known} on the books"));
                missing += 1;
            }
            // The clock's view, which needs no library: the cadence went on to the end.
            let soonest = ended.as_micros().saturating_sub(micros(period + LATE_TURN));
            if book.next_beat().is_none_or(|next| next.as_micros() < soonest) {
                short.push(spec.name.clone());
            }
            if let Some(what) = &book.trouble {
                trouble.push(format!("{}: {what}", spec.name));
            }
        }
        let detail = format!("{missing} missing, {again} run again, {astray} off their instants");
        self.check(missing + again + astray == 0, "no beat missing (P7, P8, P17)", detail);
        let detail = format!("ended early: {}", list(&short));
        self.check(short.is_empty(), "every cadence went on to the end (P8)", detail);
        for what in trouble.into_iter().take(5) {
            self.check(false, "the books of", what);
        }
    }

    /// The hub has stopped.
    pub(crate) fn stopped(&mut self, real: &Real, report: StopReport) {
        let again = real.hub.stop().wait();
        self.check(report == again, "one report for every caller (P13)", format!("{again:?}"));
        let refused = !real.hub.wake(0, Wake::now()).is_accepted();
        let installs = real.hub.install(|_: &reveille::Run<usize, crate::words::Why>| ()).is_ok();
        let detail = format!("wake refused: {refused}, install refused: {}", !installs);
        self.check(refused && !installs, "a stopped hub refuses (P13)", detail);
    }

    /// Some time after the stop.
    pub(crate) fn silent(&mut self, arena: &Arena, real: &Real) {
        let calls = get(&real.ledger.own.calls);
        let after = calls - self.calls;
        let ago = arena.since_heartbeat();
        let detail = format!("{after} runs after; the last one {ago:?} ago");
        self.check(after == 0, "nothing starts after the stop (P13)", detail);
        self.conserved("conserved after the stop (P12)", &real.hub.counters());
    }

    fn conserved(&mut self, what: &'static str, c: &Counters) {
        let (come, gone) =
            (c.accepted + c.retried, c.started + c.coalesced + c.pending + c.refused + c.discarded);
        let detail = match come.abs_diff(gone) {
            0 => format!("{come} = {gone}"),
            n if come > gone => format!("{come} came, {gone} are accounted for: {n} are missing"),
            n => format!("{come} came, {gone} are accounted for: {n} too many"),
        };
        self.check(come == gone && c.is_conserved(), what, detail);
    }

    /// Prints all checks. True if all hold.
    pub(crate) fn print(&self) -> bool {
        println!();
        for (holds, what, detail) in &self.checks {
            println!("{} {what}: {detail}", if *holds { "  ok " } else { "FAIL " });
        }
        let failed = self.checks.iter().filter(|(holds, ..)| !holds).count();
        match failed {
            0 => println!("\nconserved, no beat missing, none starved: as promised"),
            n => println!("\nNOT as promised: {n} of {} checks failed", self.checks.len()),
        }
        failed == 0
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn two_columns(header: [&str; 2], rows: &[(&str, u64)]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    for (name, value) in rows {
        table.add_row([(*name).to_owned(), value.to_string()]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The counters of the hub.
pub(crate) fn counters_table(c: &Counters) -> Table {
    two_columns(
        ["counter", ""],
        &[
            ("accepted", c.accepted),
            ("retried", c.retried),
            ("started", c.started),
            ("coalesced", c.coalesced),
            ("pending", c.pending),
            ("refused", c.refused),
            ("discarded", c.discarded),
            ("gave up", c.gave_up),
            ("beats", c.beats),
            ("missed", c.missed),
            ("installs", c.installs),
            ("stale disposals", c.stale_disposes),
            ("panics", c.panics),
            ("aborted", c.aborted),
            ("late completions", c.late_completions),
            ("overran", c.overran),
            ("faults", c.faults),
            ("turns", c.turns),
        ],
    )
}

/// What became of the beats of all cadences.
pub(crate) fn accounts_table(ledger: &Ledger) -> Table {
    let mut all = super::book::Sums::default();
    let mut unserved = 0;
    for book in &ledger.books {
        let book = lock(book);
        let sums = book.sums;
        all.served += sums.served;
        all.together += sums.together;
        all.cancelled += sums.cancelled;
        all.removed += sums.removed;
        all.given_up += sums.given_up;
        all.missing += sums.missing;
        unserved += book.unserved();
    }
    two_columns(
        ["what became of the beats", ""],
        &[
            ("served by a run of their own", all.served - all.together),
            ("served together with a later one", all.together),
            ("discarded by a cancel", all.cancelled),
            ("discarded or not due, by a removal", all.removed),
            ("given up after failures", all.given_up),
            ("pending at the end", unserved),
            ("missing", all.missing),
        ],
    )
}
