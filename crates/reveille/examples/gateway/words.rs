//! Why an agent is run: two reasons in the word of its wake, and free words beside it.

use reveille::Merge;

reveille::reasons! {
    /// Why.
    pub(crate) struct Why { BEAT, ASKED }
}

/// At most so many words a run: the first ones, so that it is bounded whoever asks how often.
const MOST: usize = 8;

/// What people said when they asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Words(Vec<String>);

impl Words {
    pub(crate) fn of(word: &str) -> Self {
        Self(vec![word.to_owned()])
    }
}

impl Merge for Words {
    fn merge(&mut self, later: Self) {
        for word in later.0 {
            if self.0.len() < MOST && !self.0.contains(&word) {
                self.0.push(word);
            }
        }
    }
}

/// The reasons of a run as its process reads them: names with commas between.
pub(crate) fn reasons(why: Why, words: Option<&Words>) -> String {
    let mut all = Vec::new();
    if why.contains(Why::BEAT) {
        all.push("beat");
    }
    match words {
        Some(words) => all.extend(words.0.iter().map(String::as_str)),
        None if why.contains(Why::ASKED) => all.push("asked"),
        None => {}
    }
    all.join(",")
}
