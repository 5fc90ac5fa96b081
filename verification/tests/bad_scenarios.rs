//! A check that cannot fail is a defect: each kind of expectation, and each kind of wrong file,
//! must fail, at the right line and in the right words.

#![cfg(not(any(reveille_loom, reveille_shuttle)))]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use reveille_verification::oracle::Oracle;
use reveille_verification::scenario::parse::parse;
use reveille_verification::scenario::play::{Failure, play};

/// Two runs of two handlers on two targets, with something of everything to expect.
const GROUND: &str = "\
0 script A busy:100 ran
0 install A
0 wake x reason=mail in=0
0 wake x reason=hook in=0
100 expect runs 2
100 dispose A
100 install B
100 script B hold
100 wake y in=0
100 wake z in=50
";

fn failure(text: &str) -> Option<Failure> {
    let scenario = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    play(&scenario, &mut Oracle::new(&scenario.policy)).failure
}

/// Every expectation holds when it is right, and fails at its line, telling what there is, when
/// it is wrong in any part.
#[test]
fn wrong_expectations_fail() {
    let cases = [
        ("runs 3", "runs 4"),
        ("runs 2 by A", "runs 3 by A"),
        ("runs 1 on y", "runs 0 on y"),
        ("runs 0 by B on x", "runs 1 by B on x"),
        ("last on x by A", "last on x by B"),
        ("last on x reason=hook", "last on x reason=mail"),
        ("last on x reasons=mail,hook", "last on x reasons=hook"),
        ("last on x reasons=hook,mail", "last on x reasons=hook,mail,beat"),
        ("last on x attempt=2", "last on x attempt=1"),
        ("last on x missed=0", "last on x missed=1"),
        ("last on x at=100", "last on x at=0"),
        (
            "last on x by A reason=hook attempt=2 at=100",
            "last on x by A reason=hook attempt=2 at=101",
        ),
        ("last on y", "last on z"),
        ("order x x y", "order x x"),
        ("order x x y", "order x x y z"),
        ("order x x y", "order x y x"),
        ("pending z", "idle z"),
        ("pending z", "running z"),
        ("running y", "pending y"),
        ("running y", "idle y"),
        ("idle x", "pending x"),
        ("idle x", "running x"),
        ("deadline 150", "deadline 151"),
        ("deadline 150", "deadline none"),
        ("handler B", "handler A"),
        ("handler B", "handler none"),
        ("active 1", "active 0"),
        ("peak 1", "peak 2"),
        ("counts accepted=4", "counts accepted=5"),
        ("counts started=3", "counts started=2"),
        ("counts coalesced=1", "counts coalesced=0"),
        ("counts pending=1", "counts pending=2"),
        ("counts refused=0", "counts refused=1"),
        ("counts discarded=0", "counts discarded=1"),
        ("counts retried=1", "counts retried=0"),
        ("counts gave-up=0", "counts gave-up=1"),
        ("counts stale-disposes=0", "counts stale-disposes=1"),
        ("counts panics=0", "counts panics=1"),
        ("counts stale-claims=0", "counts stale-claims=1"),
        ("poisoned none", "poisoned x"),
        ("counts accepted=4 started=3", "counts accepted=4 started=4"),
    ];
    for (right, wrong) in cases {
        assert_eq!(failure(&format!("{GROUND}100 expect {right}")), None, "{right}");
        let Some(failure) = failure(&format!("{GROUND}100 expect {wrong}\n100 expect runs 77"))
        else {
            panic!("`{wrong}` held");
        };
        assert_eq!(failure.line, 11, "{wrong}: {failure:?}");
        assert_ne!(failure.expected, failure.got, "{wrong}");
    }
}

/// The same of what only barriers, tickets and what was given up have to say.
#[test]
fn wrong_expectations_of_more_than_a_wake_fail() {
    const GROUND: &str = "\
policy max-attempts=1
0 script A on x fail
0 script A on y hold
0 runner A
0 await t x in=0
0 await u y in=0
0 barrier z
0 expect active 1
0 finish A y ran
";
    let cases = [
        ("ticket t gave-up", "ticket t waiting"),
        ("ticket u ran", "ticket u skip"),
        ("ticket u ran", "ticket v ran"),
        ("poisoned x", "poisoned none"),
        ("poisoned x", "poisoned y"),
        ("poisoned x", "poisoned x y"),
        ("last on z beside=0", "last on z beside=1"),
        ("last on z beside=0", "last on y beside=0"),
    ];
    for (right, wrong) in cases {
        assert_eq!(failure(&format!("{GROUND}0 expect {right}")), None, "{right}");
        let Some(failure) = failure(&format!("{GROUND}0 expect {wrong}\n0 expect runs 77")) else {
            panic!("`{wrong}` held");
        };
        assert_eq!(failure.line, 10, "{wrong}: {failure:?}");
        assert_ne!(failure.expected, failure.got, "{wrong}");
    }
}

/// The first wrong expectation is told, not a later one, and in words that can be compared.
#[test]
fn the_first_failure_is_told() {
    let found = failure("0 install A\n0 wake x in=5\n4 expect runs 1\n5 expect runs 0");
    let told = Failure { line: 3, expected: "runs 1".to_owned(), got: "runs 0".to_owned() };
    assert_eq!(found, Some(told));
    let found = failure(&format!("{GROUND}100 expect last on x reason=mail attempt=3"));
    let got = found.map(|failure| failure.got);
    assert_eq!(got.as_deref(), Some("last on x reason=hook attempt=2"));
}

/// A step that makes no sense fails at its line.
#[test]
fn senseless_steps_fail() {
    let cases = [
        (2, "0 install A\n0 finish A x ran"),
        (1, "0 dispose A"),
        (2, "0 install A\n0 stop A"),
        (2, "0 install A\n0 update A x=10"),
        (4, "0 install A\n0 script A ran@50\n0 wake x in=0\n10 finish A x ran"),
        (4, "0 install A\n0 script A hold\n0 wake x in=0\n10 finish B x ran"),
        (4, "0 install A\n0 script A hold\n0 wake x in=0\n10 finish A y ran"),
    ];
    for (line, text) in cases {
        assert_eq!(failure(text).map(|failure| failure.line), Some(line), "{text}");
    }
}

/// More work than anybody waits for is told at the line that asks for it.
#[test]
fn endless_scenarios_fail() {
    let text = "policy missed=burst\n0 install A\n0 beat x every=1\n0 suspend 1000000000\n1000000000 expect runs 0";
    assert_eq!(failure(text).map(|failure| failure.line), Some(5));
}

fn verify(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_verify"));
    command.args(arguments).output().unwrap_or_else(|error| panic!("{error}"))
}

fn scratch(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    for (file, text) in files {
        let path = folder.join(file);
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| fs::write(&path, text)).unwrap_or_else(|error| panic!("{error}"));
    }
    folder
}

/// The command fails if any file fails, tells where, and goes on with the others in order.
#[test]
fn the_command_tells_what_failed() {
    let folder = scratch(
        "mixed",
        &[
            ("b/late.scn", "0 install A\n0 wake x in=0\n0 expect runs 2\n"),
            ("a.scn", "0 install A\n0 expect handler A\n"),
            ("c.scn", "0 instal A\n"),
            ("notes.txt", "no scenario"),
        ],
    );
    let root = folder.display().to_string();
    let output = verify(&["scenario", &root]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.first(), Some(&format!("{root}/a.scn: ok").as_str()), "{text}");
    assert_eq!(lines[1], format!("{root}/b/late.scn:3: expected runs 2, got runs 1"), "{text}");
    assert!(lines[2..].iter().any(|line| line.contains("run x by A")), "{text}");
    let broken = format!("{root}/c.scn:1: expected install, script");
    assert!(lines.iter().any(|line| line.starts_with(&broken)), "{text}");
    assert_eq!(lines.last(), Some(&"1 passed, 2 failed"), "{text}");
}

/// Passing files are told without their trace, and with it where it is asked for.
#[test]
fn the_command_traces_on_request() {
    let folder = scratch("traced", &[("a.scn", "0 install A\n0 wake x in=0\n0 expect runs 1\n")]);
    let file = folder.join("a.scn").display().to_string();
    let plain = verify(&["scenario", &file]);
    assert!(plain.status.success());
    let text = String::from_utf8_lossy(&plain.stdout).into_owned();
    assert_eq!(text, format!("{file}: ok\n1 passed, 0 failed\n"));
    let traced = verify(&["scenario", &file, "--trace"]);
    let text = String::from_utf8_lossy(&traced.stdout).into_owned();
    assert!(text.contains("run x by A") && text.ends_with("1 passed, 0 failed\n"), "{text}");
}

/// Nothing to check is a failure: a path that is not there, a folder without scenarios, a file
/// that is no text.
#[test]
fn nothing_to_check_fails() {
    let folder = scratch("empty", &[("notes.txt", "no scenario")]);
    let root = folder.display().to_string();
    let missing = folder.join("missing.scn").display().to_string();
    let binary = folder.join("binary.scn");
    for path in [&root, &missing] {
        let output = verify(&["scenario", path]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!output.status.success(), "{text}");
        assert!(text.starts_with(path.as_str()), "{text}");
        assert!(text.ends_with("0 passed, 1 failed\n"), "{text}");
    }
    assert!(fs::write(&binary, [0xff, 0xfe, 0x00]).is_ok());
    assert!(!verify(&["scenario", &binary.display().to_string()]).status.success());
}
