//! The terminal: a table on top, what was said last below, and a line to type on.
//!
//! Lines are drawn over lines, nothing is cleared first, and a redraw is one write: so nothing
//! flickers. The terminal stays in its own line mode, so typing, erasing and Ctrl-C work as ever;
//! the line that is typed on is never drawn over.

use crossterm::cursor::{MoveTo, RestorePosition, SavePosition};
use crossterm::style::Print;
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen, size,
};
use crossterm::{execute, queue};
use std::collections::VecDeque;
use std::io::{self, Write, stdout};
use std::time::{Duration, Instant};

/// Between two redraws, however much happens.
const APART: Duration = Duration::from_millis(100);
/// So much of what was said is kept.
const KEPT: usize = 40;

pub(super) struct Screen {
    said: VecDeque<String>,
    drawn: Option<Instant>,
    /// Something was typed or the size has changed: the line to type on is set up anew.
    fresh: bool,
    size: (u16, u16),
}

/// Gives the terminal back. Harmless where it was never taken, and when called again.
pub(super) fn restore() {
    let _ = execute!(stdout(), LeaveAlternateScreen); // a terminal that is gone needs nothing
}

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        execute!(stdout(), EnterAlternateScreen, Clear(ClearType::All))?;
        Ok(Self { said: VecDeque::new(), drawn: None, fresh: true, size: (0, 0) })
    }

    pub(super) fn width(&self) -> Option<u16> {
        size().ok().map(|(width, _)| width)
    }

    pub(super) fn say(&mut self, line: &str) {
        if self.said.len() == KEPT {
            self.said.pop_front();
        }
        self.said.push_back(line.to_owned());
        self.drawn = None;
    }

    /// A line was typed: its echo is to go.
    pub(super) fn typed(&mut self) {
        self.fresh = true;
    }

    pub(super) fn draw(&mut self, table: &str) {
        if self.drawn.is_some_and(|at| at.elapsed() < APART) {
            return;
        }
        self.drawn = Some(Instant::now());
        let _ = self.try_draw(table); // the next redraw tries again
    }

    fn try_draw(&mut self, table: &str) -> io::Result<()> {
        let now = size()?;
        self.fresh |= now != self.size;
        self.size = now;
        let (width, height) = (usize::from(now.0), usize::from(now.1));
        // The line to type on is the last but one: a return on the last would scroll.
        let rows = height.saturating_sub(3);
        let mut lines: Vec<&str> = table.lines().take(rows).collect();
        lines.push("");
        let room = rows.saturating_sub(lines.len());
        lines.extend(
            self.said.iter().skip(self.said.len().saturating_sub(room)).map(String::as_str),
        );
        lines.resize(rows, "");
        let mut out = stdout().lock();
        queue!(out, BeginSynchronizedUpdate, SavePosition)?;
        for (row, line) in (0..).zip(&lines) {
            let line: String = line.chars().take(width).collect();
            queue!(out, MoveTo(0, row), Print(line), Clear(ClearType::UntilNewLine))?;
        }
        queue!(out, RestorePosition)?;
        if std::mem::take(&mut self.fresh) {
            let row = u16::try_from(height.saturating_sub(2)).unwrap_or(0);
            queue!(out, MoveTo(0, row), Clear(ClearType::FromCursorDown), Print("> "))?;
        }
        queue!(out, EndSynchronizedUpdate)?;
        out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}
