//! Where the sources name an ordering: found in their text, so that what no model passes is seen.

use std::fmt;

/// One ordering of one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The file, from the root of the workspace.
    pub file: String,
    /// The function that it stands in.
    pub function: String,
    /// The operation, numbered from the second of its kind in the function on.
    pub operation: String,
    /// The line of the operation, which is how the model backend calls it.
    pub line: u32,
    /// Which of the operation's orderings, as the model backend calls it.
    pub role: &'static str,
    /// The ordering as written.
    pub order: String,
}

/// Where it is, in words that no edit elsewhere in the file changes.
impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.file, self.function, self.operation, self.role)
    }
}

impl Site {
    /// One step weaker: each way there is.
    #[must_use]
    pub fn weaker(&self) -> &'static [&'static str] {
        match (self.role, self.order.as_str()) {
            ("fence", "SeqCst") => &["AcqRel", "none"],
            (_, "AcqRel") => &["Acquire", "Release"],
            (_, "Acquire" | "Release") => &["Relaxed"],
            _ => &[],
        }
    }
}

const OPERATIONS: [&str; 13] = [
    "load",
    "store",
    "swap",
    "fetch_add",
    "fetch_sub",
    "fetch_or",
    "fetch_and",
    "fetch_min",
    "fetch_max",
    "fetch_update",
    "compare_exchange",
    "compare_exchange_weak",
    "fence",
];

/// All orderings of a file that can be weakened, in the order of its text. Tests are left out.
#[must_use]
pub fn of(file: &str, source: &str) -> Vec<Site> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let code = without_comments(source);
    let mut calls: Vec<(usize, &str)> = Vec::new();
    for operation in OPERATIONS {
        let call = format!("{operation}(");
        calls.extend(code.match_indices(&call).map(|(at, _)| (at, operation)));
    }
    calls.sort_unstable();
    let mut sites: Vec<Site> = Vec::new();
    let mut before: Vec<(String, &str)> = Vec::new();
    for (at, operation) in calls {
        let preceding = code[..at].chars().next_back();
        let is_call = match operation {
            "fence" => !preceding.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '.'),
            _ => preceding == Some('.'),
        };
        let orders = orders(arguments(&code[at..]));
        if !is_call || orders.is_empty() {
            continue;
        }
        let function = function(&code[..at]).to_owned();
        before.push((function.clone(), operation));
        let count = before.iter().filter(|(f, o)| *f == function && *o == operation).count();
        let numbered =
            if count == 1 { operation.to_owned() } else { format!("{operation}#{count}") };
        let line = u32::try_from(code[..at].matches('\n').count() + 1).unwrap_or(u32::MAX);
        sites.extend(orders.iter().enumerate().map(|(place, order)| Site {
            file: file.to_owned(),
            function: function.clone(),
            operation: numbered.clone(),
            line,
            role: role(operation, place),
            order: (*order).to_owned(),
        }));
    }
    sites.retain(|site| !site.weaker().is_empty());
    sites
}

fn role(operation: &str, place: usize) -> &'static str {
    match operation {
        "fence" => "fence",
        "load" => "load",
        "store" => "store",
        _ if place == 0 => "success",
        _ => "failure",
    }
}

/// The same text with blanks for comments, so that all stays in its place.
pub(super) fn without_comments(source: &str) -> String {
    let lines = source.split_inclusive('\n').map(|line| match line.find("//") {
        Some(at) => format!("{}{}\n", &line[..at], " ".repeat(line[at..].trim_end().len())),
        None => line.to_owned(),
    });
    lines.collect()
}

/// The arguments of a call that begins here.
fn arguments(call: &str) -> &str {
    let mut depth = 0;
    for (at, c) in call.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 1 => return &call[..at],
            ')' => depth -= 1,
            _ => {}
        }
    }
    call
}

/// The orderings named in it, in order.
fn orders(arguments: &str) -> Vec<&str> {
    let named = arguments.split("Ordering::").skip(1);
    named
        .map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default())
        .collect()
}

/// The name of the last function that begins in it.
fn function(code: &str) -> &str {
    let mut at = code.len();
    while let Some(found) = code[..at].rfind("fn ") {
        let is_word = !code[..found].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let rest = &code[found + 3..];
        let name = rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next();
        if let Some(name) = name.filter(|name| is_word && !name.is_empty()) {
            return name;
        }
        at = found;
    }
    ""
}
