//! One row an agent.

use super::Hub;
use super::runner::Told;
use crate::config::Config;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use reveille::{Snapshot, TargetSnapshot, TargetState, Tick};
use std::collections::HashMap;
use std::time::Duration;

/// A driver that has not turned for longer than its longest sleep, and this, is stalled.
const STALL: Duration = Duration::from_secs(2);

/// The header and the table. `width` is that of the terminal, where there is one.
pub(super) fn status(
    hub: &Hub,
    config: &Config,
    width: Option<u16>,
    told: &HashMap<String, Told>,
) -> String {
    let snapshot = hub.snapshot();
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(width.unwrap_or(140));
    table.set_header([
        "agent",
        "state",
        "next beat",
        "last",
        "ago",
        "attempts",
        "missed",
        "runs",
        "said",
    ]);
    for agent in &config.agents {
        let target = snapshot.targets.iter().find(|target| target.key == agent.name);
        let said = told.get(&agent.name).map(said).unwrap_or_default();
        // One row a line: a table that changes its height flickers.
        let room = usize::from(width.unwrap_or(140)).saturating_sub(90).clamp(10, 60);
        let said: String = said.chars().take(room).collect();
        let mut row = vec![agent.name.clone()];
        row.extend(target.map_or_else(|| [const { String::new() }; 7], |t| cells(t, snapshot.at)));
        row.push(said);
        table.add_row(row);
    }
    for right in [2, 4, 5, 6, 7] {
        if let Some(column) = table.column_mut(right) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{}\n{table}", header(&snapshot, hub.policy().max_sleep))
}

fn header(snapshot: &Snapshot<String>, max_sleep: Duration) -> String {
    let handler = snapshot.handler.map_or("none".to_owned(), |generation| generation.to_string());
    let silent = snapshot.at.since(snapshot.last_turn);
    let health = match (snapshot.stopped, snapshot.handler) {
        (true, _) => "stopping".to_owned(),
        (false, None) => "NO HANDLER".to_owned(),
        _ if silent > max_sleep + STALL => format!("STALLED for {}", short(silent)),
        _ => "well".to_owned(),
    };
    let (flight, stale) = (snapshot.in_flight, snapshot.counters.stale_disposes);
    format!("handler {handler}, {flight} in flight, {stale} stale disposals, health: {health}")
}

fn cells(target: &TargetSnapshot<String>, now: Tick) -> [String; 7] {
    let state = match target.state {
        TargetState::Idle => "idle",
        TargetState::Pending => "waits",
        TargetState::Running => "runs",
        TargetState::RunningAgain => "runs, waits",
    };
    let (last, ago) = match target.last {
        Some((last, at)) => (format!("{last:?}").to_lowercase(), short(now.since(at))),
        None => (String::new(), String::new()),
    };
    [
        state.to_owned(),
        target.next_beat.map(|at| short(at.since(now))).unwrap_or_default(),
        last,
        ago,
        target.attempts.to_string(),
        target.missed.to_string(),
        target.runs.to_string(),
    ]
}

fn said(told: &Told) -> String {
    match (told.ended.how.as_str(), told.ended.line.as_str()) {
        ("", line) => line.to_owned(),
        (how, "") => how.to_owned(),
        (how, line) => format!("{how}: {line}"),
    }
}

/// A duration in its largest unit or two.
pub(super) fn short(duration: Duration) -> String {
    match duration.as_secs() {
        0..10 => format!("{:.1}s", duration.as_secs_f64()),
        seconds @ 10..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        seconds => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// A run in one line.
pub(super) fn line(told: &Told) -> String {
    let ended = &told.ended;
    let mut line = format!("{} [{}]", told.agent, told.reasons);
    if told.attempt > 1 {
        line += &format!(" attempt {}", told.attempt);
    }
    if told.missed > 0 {
        line += &format!(" and {} missed", told.missed);
    }
    let how = if ended.how.is_empty() { "ran" } else { ended.how.as_str() };
    line += &format!(" {how} in {:.0?}", ended.took);
    if !ended.line.is_empty() {
        line += &format!(": {}", ended.line);
    }
    line
}
