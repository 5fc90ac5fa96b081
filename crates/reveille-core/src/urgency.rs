/// How much a wake presses; merges by maximum.
///
/// Only [`Urgency::Urgent`] changes when something runs: it passes a *deferral* (P9). The
/// others are told to the handler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// A repetition of something that did not work.
    Retry = 0,
    /// A beat of a cadence.
    Beat = 1,
    /// Something happened.
    #[default]
    Event = 2,
    /// Somebody waits: passes a deferral, never a busy floor.
    Urgent = 3,
}

impl Urgency {
    /// The urgency with this discriminant; only the two low bits count.
    pub(crate) const fn from_bits(bits: u64) -> Self {
        match bits & 3 {
            0 => Self::Retry,
            1 => Self::Beat,
            2 => Self::Event,
            _ => Self::Urgent,
        }
    }
}
