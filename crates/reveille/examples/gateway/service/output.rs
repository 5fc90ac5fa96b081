//! What is said, and to whom: a live table for a person, lines with timestamps for a log.

use super::runner::Told;
use super::screen::Screen;
use super::{Event, Hub, table};
use crate::config::Config;
use crossbeam_channel::Sender;
use std::collections::HashMap;
use std::io;
use std::time::SystemTime;

pub(super) struct Output {
    screen: Option<Screen>,
    /// The last run of each agent.
    told: HashMap<String, Told>,
}

impl Output {
    pub(super) fn new(terminal: bool, events: &Sender<Event>) -> io::Result<Self> {
        silence_panics(events.clone());
        let screen = terminal.then(Screen::open).transpose()?;
        Ok(Self { screen, told: HashMap::new() })
    }

    pub(super) fn told(&self) -> &HashMap<String, Told> {
        &self.told
    }

    /// Says something.
    pub(super) fn say(&mut self, what: &str) {
        let now = humantime::format_rfc3339_millis(SystemTime::now());
        match &mut self.screen {
            Some(screen) => what.lines().for_each(|line| screen.say(line)),
            None => what.lines().for_each(|line| println!("{now} {line}")),
        }
    }

    /// A line was typed.
    pub(super) fn typed(&mut self) {
        if let Some(screen) = &mut self.screen {
            screen.typed();
        }
    }

    /// Tells of a run.
    pub(super) fn tell(&mut self, told: Told) {
        if self.screen.is_none() {
            self.say(&table::line(&told));
        }
        self.told.insert(told.agent.clone(), told);
    }

    /// Draws the table, where there is a screen.
    pub(super) fn draw(&mut self, hub: &Hub, config: &Config) {
        if let Some(screen) = &mut self.screen {
            let table = table::status(hub, config, screen.width(), &self.told);
            screen.draw(&table);
        }
    }

    /// Gives the terminal back; what is said from here on stays on it.
    pub(super) fn close(&mut self) {
        self.screen = None;
    }
}

/// Panics become something that is said: their usual message would garble the table. One on the
/// main thread ends the program, and is reported as ever.
fn silence_panics(events: Sender<Event>) {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() == Some("main") {
            super::screen::restore();
            report(info);
        } else {
            let _ = events.send(Event::Say(format!("panic: {info}").replace('\n', " ")));
        }
    }));
}
