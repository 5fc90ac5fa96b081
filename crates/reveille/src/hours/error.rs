use std::fmt;

/// Why there are no such [`Hours`](crate::Hours).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum HoursError {
    /// The start of a window is no time of day.
    Start {
        /// What was given.
        given: String,
    },
    /// The end of a window is neither a time of day nor `24:00`.
    End {
        /// What was given.
        given: String,
    },
    /// A window ends at its start, which could mean no time at all or the whole day.
    Empty {
        /// The start and the end that were given.
        given: String,
    },
    /// A window that begins on no weekday.
    NoDays,
    /// The zone is unknown, or its data cannot be read.
    Zone {
        /// The name that was given.
        given: String,
        /// What the zone data base said, also the [`source`](std::error::Error::source).
        why: jiff::Error,
    },
}

impl fmt::Display for HoursError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { given } => {
                write!(f, "the start of a window must be from `00:00` to `23:59`, not `{given}`")
            }
            Self::End { given } => {
                write!(f, "the end of a window must be from `00:00` to `24:00`, not `{given}`")
            }
            Self::Empty { given } => write!(
                f,
                "a window must not end at its start, `{given}`; the whole day is `00:00` to `24:00`"
            ),
            Self::NoDays => f.write_str("a window must begin on at least one weekday, not on none"),
            Self::Zone { given, .. } => write!(
                f,
                "the zone must be one of the IANA data base, like `Europe/Berlin`, not `{given}`"
            ),
        }
    }
}

impl std::error::Error for HoursError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Zone { why, .. } => Some(why),
            _ => None,
        }
    }
}
