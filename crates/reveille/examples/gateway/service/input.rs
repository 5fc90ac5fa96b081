//! Lines of standard input. Its end ends nothing but the reading.

use super::Event;
use crossbeam_channel::Sender;
use std::io::{self, BufRead, Read};
use std::thread;

/// A longer line is nobody's command.
const LONGEST_LINE: u64 = 1024;
const LONGEST_REASON: usize = 40;

pub(super) const HELP: &str = "wake NAME [REASON]  run an agent now, and tell it why
status              all agents
reload              read the configuration again
stop                stop, after what runs has ended; again: at once
help                this";

/// What can be asked for.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Wake(String, Option<String>),
    Status,
    Reload,
    Stop,
    Help,
}

/// Reads lines on a thread of its own.
pub(super) fn read_lines(events: Sender<Event>) -> io::Result<()> {
    let thread = thread::Builder::new().name("input".into());
    thread.spawn(move || {
        let mut input = io::stdin().lock();
        while let Ok(Some(line)) = next_line(&mut input) {
            let Some(parsed) = line.map_or_else(|what| Some(Err(what)), |line| parse(&line)) else {
                continue;
            };
            if events.send(Event::Line(parsed)).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

/// The next line, in bounded memory; none at the end.
fn next_line(input: &mut impl BufRead) -> io::Result<Option<Result<String, String>>> {
    let mut line = Vec::new();
    if input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.len() as u64 == LONGEST_LINE && !line.ends_with(b"\n") {
        input.skip_until(b'\n')?;
        return Ok(Some(Err(format!("line too long: expected at most {LONGEST_LINE} bytes"))));
    }
    Ok(Some(Ok(String::from_utf8_lossy(&line).into_owned())))
}

/// What a line asks for, or what is wrong with it; nothing for an empty one.
pub(crate) fn parse(line: &str) -> Option<Result<Command, String>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (&verb, rest) = words.split_first()?;
    let bare = |command| match rest {
        [] => Ok(command),
        [extra, ..] => Err(format!("{verb} takes no more words: {extra:?} is one too many")),
    };
    Some(match verb {
        "wake" => match *rest {
            [] => Err("wake whom? expected: wake NAME [REASON]".to_owned()),
            [name] => Ok(Command::Wake(name.to_owned(), None)),
            [name, reason] if is_reason(reason) => {
                Ok(Command::Wake(name.to_owned(), Some(reason.to_owned())))
            }
            [_, reason] => Err(format!(
                "reason {reason:?}: expected 1 to {LONGEST_REASON} letters, digits, or any of -_.:"
            )),
            _ => Err("wake: expected one word as the reason: wake NAME [REASON]".to_owned()),
        },
        "status" => bare(Command::Status),
        "reload" => bare(Command::Reload),
        "stop" => bare(Command::Stop),
        "help" => bare(Command::Help),
        _ => Err(format!("unknown command {verb:?}: expected wake, status, reload, stop or help")),
    })
}

fn is_reason(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
    word.len() <= LONGEST_REASON && word.chars().all(plain)
}
