//! One page of HTML, in itself: promises by checks, searches, faults by killers, and what is not
//! covered.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{Gaps, PROMISES, bearing, grouped};
use crate::lab::{CheckResult, FamilyResult};

const STYLE: &str = "\
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); \
--bad: light-dark(#b91c1c, #fca5a5); --cut: light-dark(#9a3412, #fdba74) } \
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 78rem; padding: 0 1rem } \
h1 { font-size: 1.6rem } h2 { margin-top: 2.5rem } \
table { border-collapse: collapse; width: 100% } \
th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); \
vertical-align: top } \
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap } \
code, pre { font: 13px ui-monospace, monospace } pre { overflow-x: auto } \
.bad { color: var(--bad); font-weight: bold } .cut { color: var(--cut); font-weight: bold } \
.scroll { overflow-x: auto }";

/// The page.
#[must_use]
pub fn html(results: &[FamilyResult], gaps: &Gaps, measured: &str) -> String {
    let checks = || results.iter().flat_map(|result| &result.checks);
    let failed = checks().filter(|check| !check.passed()).count();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Reveille: what was checked" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Reveille: what was checked" }
                p { (measured) }
                p {
                    strong { (checks().count() - failed) " passed, " (failed) " failed" }
                    @if failed > 0 { " " span.bad { "see below" } }
                }
                (failures(results))
                h2 { "Promises by checks" }
                (matrix(results, gaps))
                @for result in results { (family(result)) }
                h2 { "What is not covered" }
                ul {
                    @for number in 1..=PROMISES {
                        @if let Some(promise) = gaps.promise(number) {
                            @for gap in promise.no_model.iter().chain(&promise.not_searched) {
                                li { strong { "P" (number) } " " (gap) }
                            }
                        }
                    }
                    @for spot in &gaps.blind_spots { li { (spot) } }
                }
            }
        }
    };
    page.into_string()
}

fn failures(results: &[FamilyResult]) -> Markup {
    html! {
        @for check in results.iter().flat_map(|result| &result.checks) {
            @if let Some(why) = &check.failure {
                h2.bad { (check.family) " " (check.name) " failed" }
                p { (check.law) }
                pre { (why) }
                @if let Some(timeline) = &check.timeline { pre { (timeline) } }
            }
        }
    }
}

fn matrix(results: &[FamilyResult], gaps: &Gaps) -> Markup {
    let count = |family: &str, promise: &str| bearing(results, family, promise).len();
    let families = ["loom", "shuttle", "props", "scenario", "fuzz", "faults"];
    html! {
        div.scroll { table {
            thead { tr {
                th { "promise" }
                @for family in families { th.n { (family) } }
                th.n { "executions of models" }
                th { "narrowest search" }
            } }
            tbody { @for number in 1..=PROMISES {
                @let name = format!("P{number}");
                @let models = bearing(results, "loom", &name);
                tr {
                    td { strong { (name) } " " (gaps.promise(number).map_or("", |p| &p.title)) }
                    @for family in families {
                        td.n { @match count(family, &name) { 0 => "–", n => (n) } }
                    }
                    td.n { (grouped(models.iter().map(|check| check.executions).sum())) }
                    td { (narrowest(&models)) }
                }
            } }
        } }
    }
}

/// The least that any of the models searched: a promise is checked no better than that.
fn narrowest(models: &[&CheckResult]) -> Markup {
    let rank = |check: &&&CheckResult| match (check.complete, check.bound) {
        (false, _) => 0,
        (true, Some(bound)) => 1 + u64::from(bound),
        (true, None) => u64::MAX,
    };
    match models.iter().min_by_key(rank) {
        None => html! { "no model" },
        Some(check) => extent(check),
    }
}

fn extent(check: &CheckResult) -> Markup {
    let text = check.extent();
    html! { @if text.starts_with("CUT") { span.cut { (text) } } @else { (text) } }
}

fn family(result: &FamilyResult) -> Markup {
    let budget = result.budget_seconds;
    html! {
        h2 { (result.family) }
        p {
            (result.checks.len()) " checks, " (format!("{:.0} s", result.seconds))
            @if budget > 0.0 { (format!(" of a budget of {budget:.0} s")) }
            @if result.exhaustive { ", exhaustive" }
        }
        div.scroll { table {
            thead { tr {
                th { "check" } th { "promises" } th { "what" } th.n { "executions" }
                th { "searched" } th.n { "s" } th { "" }
            } }
            tbody { @for check in &result.checks { tr {
                td { code { (check.name) } }
                td { (check.promises.join(" ")) }
                td { (check.law) @if let Some(note) = &check.note { div { (note) } } }
                td.n { (grouped(check.executions)) }
                td { (extent(check)) }
                td.n { (format!("{:.2}", check.seconds)) }
                td { @if check.passed() { "ok" } @else { span.bad { "FAILED" } } }
            } } }
        } }
    }
}
