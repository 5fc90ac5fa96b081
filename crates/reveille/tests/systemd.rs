//! systemd's watchdog lives by beats that are done: with them it is fed, without them it starves. In a
//! child process, since the socket stands in its environment.

#![cfg(all(feature = "systemd", target_os = "linux"))]

use reveille::{Builder, Cadence, Outcome, Reveille};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Says to the test that it is the child.
const CHILD: &str = "REVEILLE_TEST_SERVICE";
const LIMIT: Duration = Duration::from_secs(20);
/// What the unit would say as `WatchdogSec=`.
const WATCHDOG: Duration = Duration::from_millis(80);

/// The service: beats each 10 ms, which fail as long as it is told so on its standard input.
fn service() {
    let hub: Reveille<u8> = Builder::new()
        .policy(|p| p.retry_after = Duration::from_millis(1))
        .start()
        .expect("the policy holds");
    let fails = Arc::new(AtomicBool::new(false));
    let failing = Arc::clone(&fails);
    let handler = move |_: &_| match failing.load(Ordering::Relaxed) {
        true => Outcome::busy(),
        false => Outcome::ran(),
    };
    hub.install(handler).expect("it has not stopped").keep();
    let cadence = Cadence::every(Duration::from_millis(10)).expect("not zero");
    hub.target(1).expect("there is room").beat(cadence).expect("it has not stopped");
    let feeder = hub.feed_systemd().expect("a socket");
    assert_eq!(feeder.every(), Some(WATCHDOG / 2));
    for line in std::io::stdin().lines() {
        match line.expect("it is text").as_str() {
            "fail" => fails.store(true, Ordering::Relaxed),
            "go on" => fails.store(false, Ordering::Relaxed),
            other => panic!("not a command: {other}"),
        }
        println!("done");
    }
    assert!(feeder.fed() > 0);
    drop(feeder);
}

struct Service(Child);

impl Service {
    fn tell(&mut self, command: &str) {
        let input = self.0.stdin.as_mut().expect("it is piped");
        writeln!(input, "{command}").expect("the service reads");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn received(socket: &UnixDatagram, within: Duration) -> Option<String> {
    socket.set_read_timeout(Some(within)).expect("not zero");
    let mut bytes = [0; 256];
    match socket.recv(&mut bytes) {
        Ok(length) => Some(String::from_utf8_lossy(&bytes[..length]).into_owned()),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
        Err(error) => panic!("{error}"),
    }
}

/// P8, P18: in a child, which is this test again.
#[test]
fn the_watchdog_is_fed_by_beats_that_are_done() {
    if std::env::var_os(CHILD).is_some() {
        return service();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_watchdog_is_fed_by_beats_that_are_done", "--nocapture"])
        .env(CHILD, "1")
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string())
        .env_remove("WATCHDOG_PID")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut service = Service(child);
    let mut said = BufReader::new(service.0.stdout.take().unwrap()).lines();
    let fed = || assert_eq!(received(&socket, LIMIT).as_deref(), Some("WATCHDOG=1\n"));

    assert_eq!(received(&socket, LIMIT).as_deref(), Some("READY=1\n"));
    (0..3).for_each(|_| fed());
    service.tell("fail");
    assert!(said.by_ref().map_while(Result::ok).any(|line| line.ends_with("done")));
    // One ping may be owed for what was done before; then it starves for many of its times.
    let pings = std::iter::from_fn(|| received(&socket, 5 * WATCHDOG)).take(20).count();
    assert!(pings < 4, "{pings} pings, and nothing is done");
    service.tell("go on");
    (0..3).for_each(|_| fed());
}
