//! The service: one loop that takes signals, lines, saved files and ended runs, one at a time.
//!
//! | file | what it does |
//! | --- | --- |
//! | `runner` | what a reload replaces: a registration, and the cadences of the roster |
//! | `input` | lines of standard input |
//! | `watch` | saved files |
//! | `output`, `screen`, `table` | what is said: a live table on a terminal, lines elsewhere |

mod input;
mod output;
mod runner;
mod screen;
mod table;
mod watch;

use crate::config::{self, Config};
use crate::process::Kill;
use crate::words::{Why, Words};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use input::Command;
use output::Output;
use reveille::{Builder, Disposal, Driver, Reveille, StopReport, Wake, Woken};
use reveille_axum::{Access, router, serve_from_thread};
use runner::{Runner, Told};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::error::Error;
use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// How often the table is drawn when nothing happens.
const REDRAW: Duration = Duration::from_millis(500);
/// How long processes may take to die once they are killed.
const KILLING: Duration = Duration::from_secs(3);

pub(crate) type Hub = Reveille<String, Why, Words>;

/// What can happen.
pub(crate) enum Event {
    Signal(i32),
    /// A line of standard input, or what is wrong with it.
    Line(Result<Command, String>),
    Saved,
    /// A run has ended.
    Told(Told),
    /// A runner that was replaced has cleaned up.
    CleanedUp(Disposal),
    /// Something worth a line, a contained panic for one.
    Say(String),
    Stopped(StopReport),
}

/// Serves the agents of `config` until it is told to stop.
pub(crate) fn serve(
    file: PathBuf,
    config: Config,
    status: Option<u16>,
) -> Result<bool, Box<dyn Error>> {
    let (events, inbox) = unbounded();
    let faults = events.clone();
    let limits = config.hub.clone();
    let hub: Hub = Builder::new()
        .policy(|policy| {
            policy.coalesce = limits.coalesce;
            policy.retry_after = limits.retry_after;
            policy.max_active = NonZeroUsize::new(limits.max_active).unwrap_or(NonZeroUsize::MIN);
        })
        .on_fault(move |fault| {
            let _ = faults.send(Event::Say(format!("contained a panic in {fault}")));
        })
        .build()?;
    let driver = hub.drive()?;

    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let from_signals = events.clone();
    thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            let _ = from_signals.send(Event::Signal(signal));
        }
    })?;
    input::read_lines(events.clone())?;
    let _watcher = watch::watch(&file, events.clone())?;

    let kill = Kill::default();
    let runner = Runner::start(&hub, &config, &events, &kill)?;
    let output = Output::new(std::io::stdout().is_terminal(), &events)?;
    let mut service = Service { hub, file, config, runner, events, kill, output, stopping: false };
    let (agents, generation) = (service.config.agents.len(), service.runner.generation());
    let from = service.file.display().to_string();
    service.output.say(&format!("serving {agents} agents of {from}, handler {generation}"));
    if let Some(port) = status {
        let token = std::env::var("GATEWAY_TOKEN")
            .map_err(|error| format!("--status needs a token in GATEWAY_TOKEN: {error}"))?;
        let page = router(&service.hub, "gateway", Access::with_token(token)?);
        let at = serve_from_thread(page, port)?;
        service.output.say(&format!("status at http://{at}/"));
    }
    let report = service.turn(&inbox);
    Ok(service.end(report, driver))
}

struct Service {
    hub: Hub,
    file: PathBuf,
    config: Config,
    runner: Runner,
    events: Sender<Event>,
    kill: Kill,
    output: Output,
    stopping: bool,
}

impl Service {
    /// Takes events until the hub has stopped.
    fn turn(&mut self, inbox: &Receiver<Event>) -> Option<StopReport> {
        loop {
            match inbox.recv_timeout(REDRAW) {
                Ok(Event::Stopped(report)) => return Some(report),
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None, // not while we have a sender
            }
            if inbox.is_empty() {
                self.output.draw(&self.hub, &self.config);
            }
        }
    }

    fn take(&mut self, event: Event) {
        if let Event::Line(_) = event {
            self.output.typed();
        }
        match event {
            Event::Signal(SIGHUP) => self.reload("SIGHUP"),
            Event::Signal(_) | Event::Line(Ok(Command::Stop)) => self.stop(),
            Event::Line(Err(what)) => self.output.say(&what),
            Event::Line(Ok(Command::Reload)) => self.reload("asked to"),
            Event::Line(Ok(Command::Help)) => self.output.say(input::HELP),
            Event::Line(Ok(Command::Status)) => {
                let table = table::status(&self.hub, &self.config, None, self.output.told());
                self.output.say(&table);
            }
            Event::Line(Ok(Command::Wake(name, reason))) => self.wake(&name, reason.as_deref()),
            Event::Saved => self.saved(),
            Event::Told(told) => self.output.tell(told),
            Event::CleanedUp(disposal) => {
                let stale = self.hub.counters().stale_disposes;
                let what = match disposal {
                    Disposal::Superseded => "stale, and changed nothing",
                    Disposal::Removed | Disposal::AlreadyDisposed => "in time",
                };
                self.output.say(&format!("the old runner cleaned up: {what} ({stale} so far)"));
            }
            Event::Say(what) => self.output.say(&what),
            Event::Stopped(_) => {}
        }
    }

    fn wake(&mut self, name: &str, reason: Option<&str>) {
        if !self.config.agents.iter().any(|agent| agent.name == name) {
            let names: Vec<_> = self.config.agents.iter().map(|a| a.name.as_str()).collect();
            let what = format!("no agent {name:?}: expected one of {}", names.join(", "));
            return self.output.say(&what);
        }
        let wake = Wake::now().because(Why::ASKED).with(Words::of(reason.unwrap_or("asked")));
        let what = match self.hub.wake(name.to_owned(), wake) {
            Woken::Armed => "armed".to_owned(),
            Woken::Preempted => "sooner than what waited".to_owned(),
            Woken::Coalesced => "served by the wake that waits".to_owned(),
            Woken::Refused(refused) => format!("refused: {}", refused.refusal),
        };
        self.output.say(&format!("wake of {name}: {what}"));
    }

    /// The file was saved: a new runner if it says something new.
    fn saved(&mut self) {
        match config::read(&self.file) {
            Ok(config) if config == self.config => {}
            _ => self.reload("the file was saved"),
        }
    }

    /// A new runner, before the old one has cleaned up. What is wrong changes nothing.
    fn reload(&mut self, why: &str) {
        if self.stopping {
            return;
        }
        let config = match config::read(&self.file) {
            Ok(config) => config,
            Err(wrong) => {
                return self.output.say(&format!("kept the old configuration: {wrong}"));
            }
        };
        let new = match Runner::start(&self.hub, &config, &self.events, &self.kill) {
            Ok(new) => new,
            Err(error) => {
                return self.output.say(&format!("kept the old configuration: {error}"));
            }
        };
        if config.hub != self.config.hub {
            self.output.say("[hub] has changed: that takes effect at the next start");
        }
        let gone: Vec<_> = self
            .config
            .agents
            .iter()
            .filter(|old| !config.agents.iter().any(|new| new.name == old.name))
            .map(|old| old.name.clone())
            .collect();
        for name in &gone {
            if let Some(target) = self.hub.find(name) {
                target.remove();
            }
        }
        let (agents, generation) = (config.agents.len(), new.generation());
        // The limits in force are those of the start, whatever the file says by now.
        self.config = Config { hub: self.config.hub.clone(), ..config };
        std::mem::replace(&mut self.runner, new).clean_up_late(self.events.clone());
        let removed =
            if gone.is_empty() { String::new() } else { format!(", gone: {}", gone.join(" ")) };
        self.output
            .say(&format!("reloaded ({why}): handler {generation}, {agents} agents{removed}"));
    }

    /// Stops; asked again, at once.
    fn stop(&mut self) {
        if self.stopping {
            self.output.say("stopping at once");
            self.kill.now();
            let _ = self.hub.stop(); // the ticket of the first stop has the report
            return;
        }
        self.stopping = true;
        let limit = self.config.hub.drain;
        let running = self.hub.snapshot().in_flight;
        self.output.say(&format!("stopping: {running} running, {limit:?} for them to end"));
        let ticket = self.hub.drain(limit);
        let events = self.events.clone();
        let waiting = thread::Builder::new().name("drain".into()).spawn(move || {
            let _ = events.send(Event::Stopped(ticket.wait()));
        });
        if waiting.is_err() {
            let _ = self.events.send(Event::Stopped(self.hub.stop().wait()));
        }
    }

    /// After the stop: what is left is killed, and the books are closed.
    fn end(mut self, report: Option<StopReport>, driver: Driver) -> bool {
        self.kill.now();
        let until = Instant::now() + KILLING;
        while self.hub.snapshot().in_flight > 0 && Instant::now() < until {
            thread::sleep(Duration::from_millis(10));
        }
        drop(driver);
        self.output.close();
        let counters = self.hub.counters();
        if let Some(report) = report {
            let StopReport { in_flight, left, discarded, .. } = report;
            self.output.say(&format!(
                "stopped: {in_flight} running then, {left} killed, {discarded} wakes discarded"
            ));
        }
        println!("{}", crate::storm::counters_table(&counters));
        let conserved = counters.is_conserved();
        println!("{}", if conserved { "conserved" } else { "NOT conserved: wakes are missing" });
        conserved
    }
}
