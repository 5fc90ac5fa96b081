use core::fmt;

/// Which handler: a number that is unique in its slot and grows with each install (P2).
///
/// [`Generation::NONE`] stands for "before the first install" and is smaller than all others.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u64);

impl Generation {
    /// The generation of a slot into which nothing was ever installed.
    pub const NONE: Self = Self(0);

    /// The generation after this one.
    ///
    /// Saturates, which 2^64 installs would need: 58,000 years of ten installs a microsecond.
    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The number itself, for logs and metrics.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g{}", self.0)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
