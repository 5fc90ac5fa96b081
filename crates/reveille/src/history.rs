//! How the last runs of a target ended, in one word.

use crate::node::Last;
use std::fmt;

const WIDTH: u32 = 4;

/// How the last runs of a target ended, newest first: at most [`History::LONGEST`] of them.
///
/// Four bits a run, in one word: it costs nothing to keep, and is never torn.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct History(u64);

impl History {
    /// So many runs are remembered.
    pub const LONGEST: usize = (u64::BITS / WIDTH) as usize;

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) const fn to_bits(self) -> u64 {
        self.0
    }

    /// The same, after one more run.
    pub(crate) fn and(self, last: Last) -> Self {
        Self(self.0 << WIDTH | last.to_bits())
    }

    /// The runs, newest first.
    pub fn iter(self) -> impl ExactSizeIterator<Item = Last> + DoubleEndedIterator {
        (0..self.len()).map(move |nth| {
            let bits = self.0 >> (nth as u32 * WIDTH) & ((1 << WIDTH) - 1);
            // Only `and` makes words, of what `to_bits` says.
            Last::from_bits(bits).unwrap_or(Last::Aborted)
        })
    }

    /// How many runs are remembered.
    pub const fn len(self) -> usize {
        (u64::BITS - self.0.leading_zeros()).div_ceil(WIDTH) as usize
    }

    /// Whether none has ended yet.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for History {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every ending fits, the newest comes first, and the oldest falls out.
    #[test]
    fn sixteen_runs_newest_first() {
        let all = [
            Last::Ran,
            Last::Skipped,
            Last::Busy,
            Last::Failed,
            Last::Panicked,
            Last::Aborted,
            Last::Deferred,
            Last::Cancelled,
            Last::GaveUp,
            Last::Overran,
        ];
        let mut history = History::default();
        assert!(history.is_empty() && history.iter().next().is_none());
        let mut told = Vec::new();
        for (n, &last) in all.iter().cycle().take(40).enumerate() {
            history = history.and(last);
            told.insert(0, last);
            told.truncate(History::LONGEST);
            assert_eq!(history.iter().collect::<Vec<_>>(), told, "after {n}");
            assert_eq!(history.len(), told.len());
        }
        assert_eq!(History::from_bits(history.to_bits()), history);
        assert_eq!(History::LONGEST, 16);
        assert!(format!("{history:?}").starts_with("[Overran, GaveUp, "));
    }
}
