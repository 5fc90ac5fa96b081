//! How far a storm is: a bar on a terminal, a line a second elsewhere.

use super::arena::Arena;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    seconds: u64,
    heartbeats: u64,
}

impl Progress {
    pub(crate) fn new(length: Duration) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(u64::try_from(length.as_millis()).unwrap_or(u64::MAX));
            let style = ProgressStyle::with_template("storm {wide_bar} {msg}");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, seconds: 0, heartbeats: 0 }
    }

    pub(crate) fn show(&mut self, at: Duration, arena: &Arena, reloads: u64, health: &str) {
        let whole = at.as_secs();
        if let Some(bar) = &self.bar {
            bar.set_position(u64::try_from(at.as_millis()).unwrap_or(u64::MAX));
        }
        if whole == self.seconds {
            return;
        }
        let heartbeats = arena.heartbeats();
        let fresh = heartbeats - self.heartbeats;
        let text = format!("{fresh:>6} heartbeats, {reloads:>5} reloads, {health}");
        match &self.bar {
            Some(bar) => bar.set_message(text),
            None => println!("{whole:>3} s  {text}"),
        }
        (self.seconds, self.heartbeats) = (whole, heartbeats);
    }

    pub(crate) fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
