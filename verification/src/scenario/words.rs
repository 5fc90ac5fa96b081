//! The words of one line, taken one by one; every refusal says what was expected there.

use super::parse::ParseError;

/// What is left of a line.
pub(super) struct Words<'text> {
    line: usize,
    words: Vec<&'text str>,
    taken: usize,
}

impl<'text> Words<'text> {
    /// Splits a line into words; a comment and blanks around them are dropped.
    pub(super) fn of(line: usize, text: &'text str) -> Self {
        let text = text.split_once('#').map_or(text, |(before, _)| before);
        Self { line, words: text.split_ascii_whitespace().collect(), taken: 0 }
    }

    pub(super) fn line(&self) -> usize {
        self.line
    }

    pub(super) fn is_empty(&self) -> bool {
        self.taken == self.words.len()
    }

    pub(super) fn peek(&self) -> Option<&'text str> {
        self.words.get(self.taken).copied()
    }

    /// The next word, which must be there.
    pub(super) fn next(&mut self, expected: &str) -> Result<&'text str, ParseError> {
        let Some(word) = self.peek() else {
            return Err(self.refuse(expected, "the end of the line"));
        };
        self.taken += 1;
        Ok(word)
    }

    /// The next word if it is this one.
    pub(super) fn skip(&mut self, word: &str) -> bool {
        let there = self.peek() == Some(word);
        self.taken += usize::from(there);
        there
    }

    /// The next word, which must be this one.
    pub(super) fn keyword(&mut self, word: &str) -> Result<(), ParseError> {
        let found = self.next(&format!("`{word}`"))?;
        if found == word {
            return Ok(());
        }
        Err(self.refuse(&format!("`{word}`"), &quoted(found)))
    }

    /// The next word, which must be a name.
    pub(super) fn name(&mut self, what: &str) -> Result<String, ParseError> {
        let expected = format!("{what} (letters, digits and -_:./@)");
        let word = self.next(&expected)?;
        self.as_name(what, word)
    }

    /// A text that must be a name.
    pub(super) fn as_name(&self, what: &str, text: &str) -> Result<String, ParseError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_:./@".contains(c);
        if !text.is_empty() && text.chars().all(fits) {
            return Ok(text.to_owned());
        }
        let expected = format!("{what} (letters, digits and -_:./@)");
        Err(self.refuse(&expected, &quoted(text)))
    }

    /// The next word, which must be a whole number.
    pub(super) fn whole(&mut self, what: &str) -> Result<u64, ParseError> {
        let word = self.next(what)?;
        self.as_whole(what, word)
    }

    /// A text that must be a whole number: digits only, no sign, and within 64 bits.
    pub(super) fn as_whole(&self, what: &str, text: &str) -> Result<u64, ParseError> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(self.refuse(what, &quoted(text)));
        }
        text.parse().map_err(|_| {
            let expected = format!("{what} of at most {}", u64::MAX);
            self.refuse(&expected, &quoted(text))
        })
    }

    /// A text that must be a whole number of at least 1.
    pub(super) fn as_positive(&self, what: &str, text: &str) -> Result<u64, ParseError> {
        let value = self.as_whole(what, text)?;
        if value == 0 {
            return Err(self.refuse(&format!("{what} of at least 1"), &quoted(text)));
        }
        Ok(value)
    }

    /// The next word as `KEY=VALUE`, with one of these keys, none of them twice.
    pub(super) fn pair(
        &mut self,
        keys: &[&str],
        seen: &mut Vec<&'text str>,
    ) -> Result<(&'text str, &'text str), ParseError> {
        let keyed: Vec<String> = keys.iter().map(|key| format!("{key}=")).collect();
        let expected = keyed.join(", ");
        let word = self.next(&expected)?;
        let Some((key, value)) = word.split_once('=') else {
            return Err(self.refuse(&expected, &quoted(word)));
        };
        if !keys.contains(&key) {
            return Err(self.refuse(&expected, &quoted(word)));
        }
        if seen.contains(&key) {
            return Err(self.refuse(&format!("{key}= only once"), &quoted(word)));
        }
        seen.push(key);
        Ok((key, value))
    }

    /// The line must end here.
    pub(super) fn end(&self) -> Result<(), ParseError> {
        match self.peek() {
            None => Ok(()),
            Some(word) => Err(self.refuse("the end of the line", &quoted(word))),
        }
    }

    /// An error on this line.
    pub(super) fn refuse(&self, expected: &str, got: &str) -> ParseError {
        ParseError { line: self.line, expected: expected.to_owned(), got: got.to_owned() }
    }
}

pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", text.escape_debug())
}
