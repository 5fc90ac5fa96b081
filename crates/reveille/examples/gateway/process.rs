//! Child processes: one a run, in a process group of its own, with bounded output and time.

use crate::config::Agent;
use reveille::Outcome;
use rustix::process::{Pid, Signal, kill_process_group};
use shared_child::SharedChild;
use std::io::{self, PipeReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What sysexits.h calls a temporary failure: the agent is busy, and is tried again.
const EX_TEMPFAIL: i32 = 75;
/// Of its output, the last line is kept, and of that so many bytes.
const LINE: usize = 200;
/// How often a run looks whether it is to be killed.
const LOOK: Duration = Duration::from_millis(100);
/// Between the polite signal and the other one.
const GRACE: Duration = Duration::from_millis(500);
/// How long the output is waited for once the process has ended: what it left behind may keep
/// the pipe open for ever.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Why a process is run, as its environment tells it.
pub(crate) struct Call {
    pub(crate) reasons: String,
    pub(crate) attempt: u32,
    pub(crate) missed: u64,
}

/// How a process ended.
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    /// In words, where it did not simply succeed.
    pub(crate) how: String,
    /// The last line that it wrote.
    pub(crate) line: String,
    pub(crate) took: Duration,
}

/// Tells runs in flight to kill their processes.
#[derive(Clone, Default)]
pub(crate) struct Kill(Arc<AtomicBool>);

impl Kill {
    pub(crate) fn now(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Runs an agent's command to its end, its timeout, or the kill.
pub(crate) fn run(agent: &Agent, call: &Call, kill: &Kill) -> Ended {
    let started = Instant::now();
    let (outcome, how, line) = match spawn(agent, call) {
        Err(error) => (Outcome::failed(), format!("cannot run {:?}: {error}", agent.program), None),
        Ok((child, output)) => {
            let tail = Arc::new(Mutex::new(Tail::default()));
            let (sender, done) = std::sync::mpsc::channel();
            let into = Arc::clone(&tail);
            let reader = std::thread::Builder::new().name("output".into()).spawn(move || {
                read_all(output, &into);
                let _ = sender.send(()); // the run may have given up on us
            });
            let (outcome, how) = wait(&child, agent.timeout, kill);
            if reader.is_ok() {
                let _ = done.recv_timeout(LAST_WORDS);
            }
            let line = lock(&tail).line();
            (outcome, how, Some(line))
        }
    };
    Ended { outcome, how, line: line.unwrap_or_default(), took: started.elapsed() }
}

fn spawn(agent: &Agent, call: &Call) -> io::Result<(SharedChild, PipeReader)> {
    let (output, input) = io::pipe()?;
    let mut command = Command::new(&agent.program);
    command
        .args(&agent.arguments)
        .env("REVEILLE_AGENT", &agent.name)
        .env("REVEILLE_REASONS", &call.reasons)
        .env("REVEILLE_ATTEMPT", call.attempt.to_string())
        .env("REVEILLE_MISSED", call.missed.to_string())
        .stdin(Stdio::null())
        .stdout(input.try_clone()?)
        .stderr(input)
        // A group of its own: a kill takes what the process started along, and a Ctrl-C at the
        // terminal is ours alone to answer.
        .process_group(0);
    // The command keeps our ends of the pipe; dropping it with this scope closes them.
    SharedChild::spawn(&mut command).map(|child| (child, output))
}

/// Only this thread waits for the child, so that its id is its own whenever we signal it.
fn wait(child: &SharedChild, timeout: Duration, kill: &Kill) -> (Outcome, String) {
    let deadline = Instant::now() + timeout.min(Duration::from_secs(1 << 30));
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match child.wait_timeout(left.min(LOOK)) {
            Ok(Some(status)) => return judge(status),
            Ok(None) if kill.is_set() => {
                end(child);
                return (Outcome::failed(), "killed: the gateway stops".to_owned());
            }
            Ok(None) if left.is_zero() => {
                end(child);
                return (Outcome::failed(), format!("killed after its timeout, {timeout:?}"));
            }
            Ok(None) => {}
            Err(error) => {
                end(child);
                return (Outcome::failed(), format!("cannot be waited for: {error}"));
            }
        }
    }
}

fn judge(status: ExitStatus) -> (Outcome, String) {
    match (status.code(), status.signal()) {
        (Some(0), _) => (Outcome::ran(), String::new()),
        (Some(EX_TEMPFAIL), _) => (Outcome::busy(), "busy".to_owned()),
        (Some(code), _) => (Outcome::failed(), format!("exit code {code}")),
        (None, Some(signal)) => (Outcome::failed(), format!("died of signal {signal}")),
        (None, None) => (Outcome::failed(), "ended in an unknown way".to_owned()),
    }
}

/// Ends a process and its group: asks, then makes it.
fn end(child: &SharedChild) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    for (signal, patience) in [(Signal::TERM, GRACE), (Signal::KILL, GRACE)] {
        if let Some(group) = group {
            let _ = kill_process_group(group, signal); // it may have ended by itself
        }
        if let Ok(Some(_)) = child.wait_timeout(patience) {
            return;
        }
    }
}

fn lock(tail: &Mutex<Tail>) -> std::sync::MutexGuard<'_, Tail> {
    tail.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_all(mut output: PipeReader, tail: &Mutex<Tail>) {
    let mut chunk = [0; 4096];
    loop {
        match output.read(&mut chunk) {
            Ok(0) => return,
            Ok(n) => lock(tail).take_in(chunk.get(..n).unwrap_or(&chunk)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// The last line that has something in it, of a text of any length, in bounded memory.
#[derive(Default)]
struct Tail {
    last: Vec<u8>,
    current: Vec<u8>,
}

impl Tail {
    fn take_in(&mut self, chunk: &[u8]) {
        for &byte in chunk {
            if byte == b'\n' {
                if !self.current.trim_ascii().is_empty() {
                    std::mem::swap(&mut self.last, &mut self.current);
                }
                self.current.clear();
            } else if self.current.len() < LINE {
                self.current.push(byte);
            }
        }
    }

    /// As text that a terminal takes no orders from.
    fn line(&self) -> String {
        let current = self.current.trim_ascii();
        let bytes = if current.is_empty() { self.last.trim_ascii() } else { current };
        let text = String::from_utf8_lossy(bytes);
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}
