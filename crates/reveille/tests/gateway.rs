//! The gateway example, as a process: its messages, its reloads, its storm, and the old design.
//!
//! What is waited for is a line of its output, never a time, so a slow machine makes these tests
//! slow and not wrong.
#![cfg(unix)]

#[allow(dead_code, reason = "the example uses the rest")]
#[path = "../examples/gateway/storm/book.rs"]
mod book;

use book::{Book, Cause, End, Start};
use reveille::Tick;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A line that has not come by then does not come.
const PATIENCE: Duration = Duration::from_secs(20);

/// The built example. Cargo names no path for examples, but says it when it builds one; it was
/// built for this test run already, so this builds nothing.
fn gateway() -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--example", "gateway", "--message-format=json"]);
        build.current_dir(env!("CARGO_MANIFEST_DIR"));
        let output = build.stderr(Stdio::inherit()).output().expect("cargo runs");
        assert!(output.status.success(), "the example does not build");
        let messages = String::from_utf8(output.stdout).expect("cargo speaks UTF-8");
        let key = "\"executable\":\"";
        let (_, rest) = messages.rsplit_once(key).expect("cargo names the executable");
        let (path, _) = rest.split_once('"').expect("cargo speaks JSON");
        PathBuf::from(path)
    })
}

fn folder_with(config: &str) -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("agents.toml");
    std::fs::write(&file, config).expect("a file");
    (folder, file)
}

fn run(arguments: &[&str]) -> Output {
    Command::new(gateway()).args(arguments).stdin(Stdio::null()).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn agent(name: &str, every: &str, script: &str) -> String {
    format!(
        "[[agent]]\nname = {name:?}\nevery = {every:?}\ncommand = [\"sh\", \"-c\", {script:?}]\n"
    )
}

/// A gateway that serves, and its lines.
struct Served {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    seen: Vec<String>,
    file: PathBuf,
    _folder: TempDir,
}

impl Served {
    fn start(config: &str) -> Self {
        let (folder, file) = folder_with(config);
        let mut child = Command::new(gateway())
            .arg("--config")
            .arg(&file)
            .args(["--status", "0"])
            .env("GATEWAY_TOKEN", "correct-horse-battery")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut served = Self { child, input, lines, seen: Vec::new(), file, _folder: folder };
        served.expect("serving");
        served
    }

    fn type_line(&mut self, line: &str) {
        writeln!(self.input.as_mut().expect("open"), "{line}").expect("it reads");
    }

    /// The next line with `part` in it.
    fn expect(&mut self, part: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no line with {part:?} in:\n{}", self.seen.join("\n"));
            };
            self.seen.push(line.clone());
            if line.contains(part) {
                return line;
            }
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(killed.expect("kill runs").success());
    }

    fn replace_file(&self, config: &str) {
        // As editors do: a new file, renamed over the old one.
        let new = self.file.with_extension("new");
        std::fs::write(&new, config).expect("a file");
        std::fs::rename(&new, &self.file).expect("a rename");
    }

    fn end(&mut self) {
        self.expect("conserved");
        assert!(self.child.wait().expect("it ends").success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// P18: its status page says how it does, to this machine alone.
#[test]
fn the_status_page_says_how_it_does() {
    let mut served = Served::start(&agent("a", "100ms", "true"));
    let line = served.expect("status at http://127.0.0.1:");
    let at = line.rsplit_once("http://").expect("an address").1.trim_end_matches('/').to_owned();
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(&at).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n")
            .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    };
    let health = ask("/healthz");
    assert!(health.starts_with("HTTP/1.1 200 ") && health.contains("healthy"), "{health}");
    served.expect("a");
    let page = ask("/");
    assert!(page.contains("<title>gateway") && page.contains("content-security-policy"), "{page}");
    let seen = ask("/snapshot.json");
    assert!(seen.contains("\"name\":\"a\""), "{seen}");
    served.type_line("stop");
    served.end();
}

/// What is wrong is named with its file and line, and what was expected; the exit code is 2.
#[test]
fn bad_configuration_names_file_and_line() {
    let good = agent("a", "1s", "true");
    for (config, line, expected) in [
        (agent("a", "0s", "true"), 3, "expected at least"),
        (agent("a", "soon", "true"), 3, "expected a duration"),
        (format!("{good}\n{good}"), 7, "a name not used in line 2"),
        ("[[agent]]\nname = \"a\"\nevery = \"1s\"\ncommand = []\n".to_owned(), 4, "is empty"),
        (good.replace("name", "nmae"), 2, "unknown field"),
        (format!("{good}phase = \"2s\"\n"), 5, "less than the period"),
        (format!("[hub]\nmax_active = 0\n{good}"), 2, "expected 1 to 256"),
        ("[[agent]\n".to_owned(), 1, "expected"),
        (String::new(), 1, "no agents"),
    ] {
        let (_folder, file) = folder_with(&config);
        let file = file.to_str().expect("UTF-8");
        let output = run(&["--config", file]);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{config}\n{message}");
        assert!(message.starts_with(&format!("{file}:{line}: ")), "{config}\n{message}");
        assert!(message.contains(expected), "{config}\n{message}");
    }
    let output = run(&["--config", "/there/is/no/such.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("cannot be read"));
}

/// Lines are taken, wakes reach their process with their reason, and the end of input ends
/// nothing.
#[test]
fn commands_of_standard_input() {
    let mut gateway = Served::start(&agent(
        "job",
        "1h",
        "echo $REVEILLE_AGENT/$REVEILLE_REASONS/$REVEILLE_ATTEMPT",
    ));
    gateway.type_line("wake job deploy");
    gateway.expect("wake of job: armed");
    gateway.expect("job/deploy/1");
    gateway.type_line("status");
    gateway.expect("health: well");
    gateway.expect(" job ");
    gateway.type_line("wake nobody");
    gateway.expect("no agent \"nobody\": expected one of job");
    gateway.type_line("wake");
    gateway.expect("expected: wake NAME [REASON]");
    gateway.type_line("sotp");
    gateway.expect("unknown command \"sotp\"");
    gateway.type_line("help");
    gateway.expect("wake NAME [REASON]");
    gateway.type_line("reload");
    gateway.expect("reloaded (asked to): handler 2");
    gateway.expect("stale, and changed nothing (1 so far)");
    gateway.type_line("wake job");
    gateway.expect("job/asked/1");
    gateway.input = None;
    gateway.signal("HUP");
    gateway.expect("reloaded (SIGHUP): handler 3");
    gateway.signal("TERM");
    gateway.end();
}

/// A file that says something wrong changes nothing; a good one counts as soon as it is saved.
#[test]
fn a_bad_reload_keeps_the_old_configuration() {
    let mut gateway = Served::start(&agent("old", "200ms", "echo old runs"));
    gateway.expect("old runs");
    gateway.replace_file(&agent("new", "0s", "echo new runs"));
    let line = gateway.expect("kept the old configuration");
    assert!(line.contains("agents.toml:3: "), "{line}");
    gateway.expect("old runs");
    gateway.replace_file(&agent("new", "200ms", "echo new runs"));
    let line = gateway.expect("reloaded (the file was saved)");
    assert!(line.contains("gone: old"), "{line}");
    gateway.expect("new runs");
    gateway.type_line("stop");
    gateway.end();
}

/// Exit codes are outcomes, and a process that takes too long is killed with all it started.
#[test]
fn exit_codes_and_timeouts() {
    let slow = agent("slow", "1h", "sleep 600 & sleep 600") + "timeout = \"300ms\"\n";
    let config = format!(
        "[hub]\nretry_after = \"50ms\"\n{}{}{slow}",
        agent("busy", "1h", "[ $REVEILLE_ATTEMPT -ge 2 ] && echo at last || exit 75"),
        agent("bad", "1h", "echo oops >&2; exit 3"),
    );
    let mut gateway = Served::start(&config);
    gateway.type_line("wake busy");
    gateway.expect("busy [asked] busy");
    gateway.expect("busy [asked] attempt 2 ran");
    gateway.type_line("wake bad");
    let line = gateway.expect("bad [asked] exit code 3");
    assert!(line.contains("oops"), "{line}");
    gateway.type_line("wake slow");
    gateway.expect("slow [asked] killed after its timeout");
    gateway.type_line("stop");
    gateway.type_line("stop");
    gateway.end();
}

/// P1, P3, P6, P7, P8, P12, P13, P17: a storm comes out even.
#[test]
fn a_storm_is_conserved() {
    let output = run(&["--storm", "2", "--seed", "7"]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    assert!(said.contains("conserved, no beat missing, none starved"), "{said}");
}

/// D-01 to D-04: the same storm silences the old design.
#[test]
fn the_old_design_falls_silent() {
    let output = run(&["--storm", "2", "--seed", "7", "--naive"]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}{}", text(&output.stderr));
    assert!(said.contains("SILENT"), "{said}");
}

/// The books of a cadence of 10 µs, by what its runs say: (last beat, missed, end).
fn books(runs: &[(Option<u64>, u64, End)], cancel_before: Option<usize>) -> Book {
    let mut book = Book::new(10, 2);
    for (i, &(last, missed, end)) in runs.iter().enumerate() {
        let now = Tick::from_micros(last.unwrap_or_default() + 5);
        if cancel_before == Some(i) {
            book.will_cause(Cause::Cancel);
            book.caused(Cause::Cancel, now, true);
        }
        let last_beat = last.map(Tick::from_micros);
        let _ = book.start(Start { last_beat, missed, started: now, called: now, generation: 1 });
        book.end(end, now);
    }
    book
}

/// The storm's check of beats is one that can fail: each kind of loss is found, and each of its
/// excuses is needed.
#[test]
fn the_books_find_what_is_lost() {
    use End::{Failed, GivenBack, Served};
    let whole = books(&[(Some(10), 0, Served), (Some(30), 1, Served), (Some(40), 0, Served)], None);
    assert_eq!((whole.sums.served, whole.sums.missing, whole.sums.again), (4, 0, 0));
    let retried = books(&[(Some(10), 0, GivenBack), (Some(20), 1, Served)], None);
    assert_eq!((retried.sums.served, retried.sums.missing), (2, 0), "counted once");

    let gap = [(Some(10), 0, Served), (None, 0, Served), (Some(30), 0, Served)];
    assert_eq!(books(&gap, None).sums.missing, 1);
    assert_eq!(books(&gap, Some(1)).sums.missing, 1, "the cancel came before the beat");
    assert_eq!(books(&gap, Some(2)).sums.cancelled, 1);
    let dropped = books(&[(Some(10), 0, GivenBack), (Some(20), 0, Served)], None);
    assert_eq!(dropped.sums.missing, 1, "what was given back is owed");
    let once = books(&[(Some(10), 0, Failed), (Some(20), 0, Served)], None);
    assert_eq!((once.sums.missing, once.sums.given_up), (1, 0), "one failure does not give up");
    let fails = [(Some(10), 0, Failed), (Some(10), 0, Failed), (Some(20), 0, Served)];
    assert_eq!((books(&fails, None).sums.missing, books(&fails, None).sums.given_up), (0, 1));
    let twice = books(&[(Some(10), 0, Served), (Some(20), 1, Served)], None);
    assert_eq!(twice.sums.again, 1, "run again after it was served (P7)");
    let moved = books(&[(Some(10), 0, Served), (Some(23), 0, Served)], None);
    assert_eq!(moved.sums.astray, 1, "a reload moved the beat (P17)");
    let mut tail = books(&[(Some(10), 0, Served)], None);
    tail.close(Some(3));
    assert_eq!(tail.sums.missing, 2, "the hub counts beats that no run has shown");
}
