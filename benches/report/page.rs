//! The page, and the same as text.

use crate::machine::Machine;
use crate::plots::Plot;
use crate::works::Work;
use crate::{Figures, memory};
use maud::{DOCTYPE, PreEscaped, html};
use std::fmt::Write;

const STYLE: &str = "\
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); \
--bad: light-dark(#b91c1c, #fca5a5) } \
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem } \
table { border-collapse: collapse } th, td { text-align: left; padding: .2rem 1rem .2rem 0; \
border-bottom: 1px solid var(--line) } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums } \
.lost { color: var(--bad); font-weight: bold } img { max-width: 100%; background: #fff; border-radius: 4px } \
code { font: 13px ui-monospace, monospace }";

/// Where somebody is faster than we are, by more than a hundredth.
fn lost(work: &Work) -> impl Iterator<Item = &crate::works::Case> {
    work.cases.iter().skip(1).filter(|case| !case.name.starts_with("reveille") && case.ratio < 0.99)
}

/// The page; the plots stand beside it.
pub(crate) fn html(figures: &Figures, machine: &Machine, plots: &[Plot]) -> String {
    let plot_of = |about: &str| plots.iter().find(|plot| plot.alt.starts_with(about));
    let image = |plot: &Plot| html! { p { img src=(plot.file) alt=(plot.alt) loading="lazy"; } };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Reveille beside its peers" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Reveille beside its peers" }
                p { "By " code { (machine.line().replace('`', "")) } ". Absolute figures do not travel from machine \
                    to machine; the ratios do, more or less: with two producers or 100,000 targets by a quarter." }
                h2 { "Where we lose" }
                ul {
                    @for work in &figures.works { @for case in lost(work) {
                        li { (work.name) ": " strong { (case.name) } " takes " span.lost { (format!("{:.2}", case.ratio)) } " of our time" }
                    } }
                    @if !figures.works.iter().any(|work| lost(work).next().is_some()) { li { "nowhere, here" } }
                }
                @for work in &figures.works {
                    h2 { (work.name) }
                    p { (work.about) }
                    @if let Some(plot) = plot_of(&work.name) { (image(plot)) }
                    table {
                        tr { th { "peer" } th.n { "ns" } th.n { "quartiles" } th.n { "× ours" } th.n { "slices" } }
                        @for case in &work.cases { tr {
                            td { (case.name) }
                            td.n { (format!("{:.1}", case.median)) }
                            td.n { (format!("{:.1} to {:.1}", case.quartiles[0], case.quartiles[1])) }
                            td.n { (format!("{:.2}", case.ratio)) }
                            td.n { (case.slices) }
                        } }
                    }
                }
                @for setting in &figures.lateness {
                    h2 { (setting.name) }
                    p { "One target, due in 1 to 10 ms, and nothing else to do" @if setting.name.contains("load") { ", while another thread is busy for good" } "." }
                    @if let Some(plot) = plot_of(&setting.name) { (image(plot)) }
                    table {
                        tr { th { "peer" } th.n { "p50 µs" } th.n { "p90" } th.n { "p99" } th.n { "samples" } th.n { "early" } }
                        @for case in &setting.cases { @let late = case.histogram(); tr {
                            td { (case.name) }
                            @for part in [0.5, 0.9, 0.99] { td.n { (late.value_at_quantile(part) / 1_000) } }
                            td.n { (late.len()) }
                            td.n { (case.early) }
                        } }
                    }
                }
                @for plot in plots.iter().filter(|plot| plot.alt.contains("against the number")) { (image(plot)) }
                @for crowd in &figures.beats {
                    h2 { (crowd.targets) " targets that beat each " (crowd.period_ms) " ms" }
                    table {
                        tr { th { "peer" } th.n { "CPU ns a beat" } th.n { "latest, µs" } th.n { "of those due" } }
                        @for case in &crowd.cases { tr {
                            td { (case.name) }
                            td.n { (format!("{:.0}", case.cpu)) }
                            td.n { (format!("{:.0}", case.latest)) }
                            td.n { (format!("{:.0} %", case.kept_up * 100.0)) }
                        } }
                    }
                }
                @if !figures.memory.is_empty() {
                    h2 { (memory::NAME) }
                    p { "So many bytes a process grows for each of " (memory::TARGETS) " targets that wait; at the most, that is, and with all that the peer has beside them." }
                    table {
                        tr { th { "peer" } th.n { "bytes a target" } }
                        @for case in &figures.memory { tr { td { (case.name) } td.n { (format!("{:.0}", case.bytes)) } } }
                    }
                }
            }
        }
    };
    page.into_string()
}

/// All figures, for a terminal.
pub(crate) fn text(figures: &Figures) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    for work in &figures.works {
        let _ = writeln!(text, "\n{}", work.name);
        for case in &work.cases {
            let _ = writeln!(
                text,
                "  {:<22}{:>10.1} ns   × {:<8.2}",
                case.name, case.median, case.ratio
            );
        }
    }
    for setting in &figures.lateness {
        let _ = writeln!(text, "\n{}, µs: p50, p90, p99", setting.name);
        for case in &setting.cases {
            let late = case.histogram();
            let [half, most, tail] =
                [0.5, 0.9, 0.99].map(|part| late.value_at_quantile(part) / 1_000);
            let _ = write!(text, "  {:<22}{half:>8}{most:>8}{tail:>8}", case.name);
            let _ = writeln!(
                text,
                "{}",
                if case.early > 0 { format!("   {} early", case.early) } else { String::new() }
            );
        }
    }
    for crowd in &figures.beats {
        let _ = writeln!(
            text,
            "\n{} targets, each {} ms: CPU ns a beat, latest µs",
            crowd.targets, crowd.period_ms
        );
        for case in &crowd.cases {
            let _ = write!(text, "  {:<22}{:>8.0}{:>10.0}", case.name, case.cpu, case.latest);
            let behind = format!("   {:.0} % of those due", case.kept_up * 100.0);
            let _ = writeln!(text, "{}", if case.kept_up < 0.98 { behind } else { String::new() });
        }
    }
    if !figures.memory.is_empty() {
        let _ = writeln!(text, "\n{}, bytes: of {} that wait", memory::NAME, memory::TARGETS);
        for case in &figures.memory {
            let _ = writeln!(text, "  {:<22}{:>8.0}", case.name, case.bytes);
        }
    }
    text
}
