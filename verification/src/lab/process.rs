//! Running a process that a watchdog ends when its time is over.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use shared_child::SharedChild;

/// The most that is kept of an output; a failing search can print without end. The rest is read
/// and dropped.
const KEPT: usize = 8 << 20;

/// How a process ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// How it ended by itself; none where the watchdog ended it.
    pub status: Option<ExitStatus>,
    /// What it printed, up to 8 MiB.
    pub stdout: String,
    /// What it printed to standard error, up to 8 MiB.
    pub stderr: String,
    /// How long it took.
    pub seconds: f64,
}

impl Ran {
    /// Whether it ended by itself, and said that all is well.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// Whether the watchdog ended it.
    #[must_use]
    pub fn timed_out(&self) -> bool {
        self.status.is_none()
    }

    /// The last lines of what it printed, standard error last: where a reason stands.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        let all: Vec<&str> = self.stdout.lines().chain(self.stderr.lines()).collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

/// Runs `command`, hands each line of its standard output to `on_line`, and kills it when
/// `timeout` is over.
pub(super) fn run(
    mut command: Command,
    timeout: Duration,
    on_line: &mut dyn FnMut(&str),
) -> io::Result<Ran> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let start = Instant::now();
    let child = SharedChild::spawn(&mut command)?;
    let (stdout, stderr) = (child.take_stdout(), child.take_stderr());
    thread::scope(|scope| {
        let errors = scope.spawn(|| stderr.map_or_else(String::new, read_all));
        let watchdog = scope.spawn(|| {
            let ended = child.wait_timeout(timeout)?;
            if ended.is_none() {
                child.kill()?;
                child.wait()?;
            }
            io::Result::Ok(ended)
        });
        let stdout = stdout.map_or_else(String::new, |pipe| read_lines(pipe, on_line));
        let status = watchdog.join().map_err(|_| io::Error::other("the watchdog panicked"))??;
        let stderr = errors.join().map_err(|_| io::Error::other("the reader panicked"))?;
        Ok(Ran { status, stdout, stderr, seconds: start.elapsed().as_secs_f64() })
    })
}

fn read_all(pipe: impl Read) -> String {
    read_lines(pipe, &mut |_| {})
}

/// Reads to the end, whatever the bytes: a pipe that nobody reads blocks its writer.
fn read_lines(pipe: impl Read, on_line: &mut dyn FnMut(&str)) -> String {
    let mut reader = BufReader::new(pipe);
    let mut kept = String::new();
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
        let line = String::from_utf8_lossy(&bytes);
        on_line(line.trim_end());
        if kept.len() + line.len() <= KEPT {
            kept.push_str(&line);
        }
        bytes.clear();
    }
    kept
}

#[cfg(all(test, unix))]
mod tests {

    use super::*;

    fn shell(script: &str, timeout: Duration) -> (Ran, Vec<String>) {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let mut lines = Vec::new();
        let ran = run(command, timeout, &mut |line| lines.push(line.to_owned())).expect("a shell");
        (ran, lines)
    }

    #[test]
    fn lines_and_endings_are_told() {
        let (ran, lines) = shell("echo a; echo b; echo c >&2; exit 3", Duration::from_secs(60));
        assert_eq!(lines, ["a", "b"]);
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("a\nb\n", "c\n"));
        assert!(!ran.succeeded() && !ran.timed_out());
        assert_eq!(ran.tail(2), "b\nc");
    }

    #[test]
    fn the_watchdog_ends_what_hangs() {
        let (ran, lines) = shell("echo a; exec sleep 600", Duration::from_millis(200));
        assert!(ran.timed_out() && !ran.succeeded());
        assert_eq!(lines, ["a"]);
    }
}
