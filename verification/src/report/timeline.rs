//! One execution of a model, drawn: threads as lanes, operations in their order.
//!
//! The test targets take this file in by `#[path]`, so it imports nothing but serde.

use serde::{Deserialize, Serialize};

/// What happened in one execution.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// The names of the threads.
    pub lanes: Vec<String>,
    /// The operations, in the order in which they were executed.
    pub rows: Vec<Row>,
    /// What was broken by them.
    pub verdict: String,
}

/// One operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The index of its thread's lane.
    pub lane: usize,
    /// What it did.
    pub text: String,
    /// The newest value, where an older one was read.
    pub stale: Option<String>,
    /// The file and line of our source.
    pub at: String,
}

/// Widest a lane gets in text.
const WIDEST: usize = 60;

impl Timeline {
    /// As a table of text.
    #[must_use]
    pub fn text(&self) -> String {
        let said = |row: &Row| match &row.stale {
            Some(newest) => format!("! {}  [stale: newest is {newest}]", row.text),
            None => row.text.clone(),
        };
        let widths: Vec<usize> = (0..self.lanes.len())
            .map(|lane| {
                let rows = self.rows.iter().filter(|row| row.lane == lane);
                let longest = rows.map(|row| said(row).chars().count()).max().unwrap_or(0);
                longest.max(self.lanes[lane].chars().count()).min(WIDEST)
            })
            .collect();
        let mut out = String::from("   # ");
        for (name, &width) in self.lanes.iter().zip(&widths) {
            out += &format!("| {name:width$} ");
        }
        out += "\n";
        for (number, row) in self.rows.iter().enumerate() {
            out += &format!("{:4} ", number + 1);
            for (lane, &width) in widths.iter().enumerate() {
                let text = if lane == row.lane { said(row) } else { String::new() };
                out += &format!("| {text:width$} ");
            }
            out.truncate(out.trim_end().len());
            out += "\n";
        }
        out += &format!("  => {}\n", self.verdict);
        out
    }
}
