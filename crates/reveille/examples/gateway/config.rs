//! The configuration: TOML in, agents out, or a message that names the file, the line, and what
//! was expected there.

use serde::Deserialize;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;

/// How long a process may take if its agent does not say.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Each beat starts a process, so a shorter period is a mistake of units.
const SHORTEST_PERIOD: Duration = Duration::from_millis(50);

/// What is in force: limits of the hub, and the roster of agents.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    pub(crate) hub: Limits,
    pub(crate) agents: Vec<Agent>,
}

/// Limits of the hub. They are fixed when it is built; a reload that changes one says so.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limits {
    pub(crate) max_active: usize,
    pub(crate) coalesce: Duration,
    pub(crate) retry_after: Duration,
    pub(crate) drain: Duration,
}

/// One agent: what is run, and how often.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Agent {
    pub(crate) name: String,
    pub(crate) every: Duration,
    pub(crate) phase: Option<Duration>,
    pub(crate) timeout: Duration,
    pub(crate) program: String,
    pub(crate) arguments: Vec<String>,
}

/// What is wrong with a configuration, and where.
#[derive(Debug)]
pub(crate) struct Wrong {
    file: PathBuf,
    /// From 1 on; none where the file could not be read at all.
    line: Option<usize>,
    what: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.what)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    hub: Option<RawLimits>,
    #[serde(default)]
    agent: Vec<RawAgent>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    max_active: Option<Spanned<u32>>,
    coalesce: Option<Spanned<String>>,
    retry_after: Option<Spanned<String>>,
    drain: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAgent {
    name: Spanned<String>,
    every: Spanned<String>,
    phase: Option<Spanned<String>>,
    timeout: Option<Spanned<String>>,
    command: Spanned<Vec<Spanned<String>>>,
}

/// Reads a configuration file.
///
/// # Errors
/// What is wrong with it, and where.
pub(crate) fn read(file: &Path) -> Result<Config, Wrong> {
    let text = std::fs::read_to_string(file).map_err(|error| Wrong {
        file: file.to_owned(),
        line: None,
        what: format!("cannot be read: {error}"),
    })?;
    parse(file, &text)
}

/// Reads a configuration from `text`; messages name `file`.
pub(crate) fn parse(file: &Path, text: &str) -> Result<Config, Wrong> {
    let reader = Reader { file, text };
    let raw: RawConfig = toml::from_str(text).map_err(|error| Wrong {
        file: file.to_owned(),
        line: error.span().map(|span| reader.line_of(span.start)),
        what: error.message().replace('\n', "; "),
    })?;
    let hub = reader.limits(&raw.hub.unwrap_or_default())?;
    let mut lines: HashMap<&str, usize> = HashMap::new();
    let mut agents = Vec::with_capacity(raw.agent.len());
    for agent in &raw.agent {
        let line = reader.line_of(agent.name.span().start);
        if let Some(first) = lines.insert(agent.name.get_ref(), line) {
            let name = agent.name.get_ref();
            return Err(reader.wrong(
                &agent.name,
                format!("agent {name:?} is there twice: expected a name not used in line {first}"),
            ));
        }
        agents.push(reader.agent(agent)?);
    }
    if agents.is_empty() {
        let what = "no agents: expected at least one [[agent]] with name, every and command";
        return Err(Wrong { file: file.to_owned(), line: Some(1), what: what.to_owned() });
    }
    Ok(Config { hub, agents })
}

struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn line_of(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        before.iter().filter(|&&byte| byte == b'\n').count() + 1
    }

    fn wrong<T>(&self, at: &Spanned<T>, what: impl Into<String>) -> Wrong {
        let line = Some(self.line_of(at.span().start));
        Wrong { file: self.file.to_owned(), line, what: what.into() }
    }

    fn duration(&self, key: &str, text: &Spanned<String>) -> Result<Duration, Wrong> {
        humantime::parse_duration(text.get_ref()).map_err(|error| {
            let got = text.get_ref();
            let what = format!("{key} = {got:?}: expected a duration like \"5s\" ({error})");
            self.wrong(text, what)
        })
    }

    fn limits(&self, raw: &RawLimits) -> Result<Limits, Wrong> {
        let or = |key, text: &Option<Spanned<String>>, default| {
            text.as_ref().map_or(Ok(default), |text| self.duration(key, text))
        };
        let max_active = match &raw.max_active {
            None => 4,
            Some(n) if (1..=256).contains(n.get_ref()) => *n.get_ref() as usize,
            Some(n) => {
                let what = format!("max_active = {}: expected 1 to 256", n.get_ref());
                return Err(self.wrong(n, what));
            }
        };
        let retry_after = or("retry_after", &raw.retry_after, Duration::from_secs(1))?;
        if let Some(text) = &raw.retry_after
            && retry_after < Duration::from_millis(1)
        {
            return Err(self.wrong(text, "retry_after is too short: expected at least \"1ms\""));
        }
        Ok(Limits {
            max_active,
            coalesce: or("coalesce", &raw.coalesce, Duration::from_millis(250))?,
            retry_after,
            drain: or("drain", &raw.drain, Duration::from_secs(5))?,
        })
    }

    fn agent(&self, raw: &RawAgent) -> Result<Agent, Wrong> {
        let name = raw.name.get_ref();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        if name.is_empty() || name.len() > 40 || !name.chars().all(plain) {
            let what = format!("name = {name:?}: expected 1 to 40 letters, digits, or any of -_.:");
            return Err(self.wrong(&raw.name, what));
        }
        let every = self.duration("every", &raw.every)?;
        if every < SHORTEST_PERIOD {
            let got = raw.every.get_ref();
            let what = format!("every = {got:?}: expected at least {SHORTEST_PERIOD:?}");
            return Err(self.wrong(&raw.every, what));
        }
        let phase = raw.phase.as_ref().map(|text| self.duration("phase", text)).transpose()?;
        if let (Some(phase), Some(text)) = (phase, &raw.phase)
            && phase >= every
        {
            let (got, every) = (text.get_ref(), raw.every.get_ref());
            let what = format!("phase = {got:?}: expected less than the period, {every:?}");
            return Err(self.wrong(text, what));
        }
        let timeout = match &raw.timeout {
            None => TIMEOUT,
            Some(text) => match self.duration("timeout", text)? {
                Duration::ZERO => {
                    return Err(self.wrong(text, "timeout is zero: expected a longer one"));
                }
                timeout => timeout,
            },
        };
        let mut words = raw.command.get_ref().iter();
        let program = match words.next() {
            Some(program) if !program.get_ref().is_empty() => program.get_ref().clone(),
            _ => {
                let what = format!("command of {name:?} is empty: expected [\"program\", …]");
                return Err(self.wrong(&raw.command, what));
            }
        };
        let words = words.map(|word| word.get_ref().clone()).collect::<Vec<_>>();
        if let Some(bad) = raw.command.get_ref().iter().find(|w| w.get_ref().contains('\0')) {
            return Err(self.wrong(bad, "a word with a NUL: expected text without one"));
        }
        Ok(Agent { name: name.clone(), every, phase, timeout, program, arguments: words })
    }
}
