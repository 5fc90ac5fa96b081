//! What is traced, with the feature `tracing`: events with stable names, and one span.
//!
//! The names and their fields stand in `docs/OBSERVABILITY.md`; without the feature nothing of this
//! is compiled. A subscriber is foreign code: where it runs on a thread of ours, its panics are
//! contained ([`Place::Trace`](crate::Place::Trace)).

/// An event on a thread of ours, or inside something that must go on.
macro_rules! tell {
    ($shared:expr, $level:ident, $name:literal, $($field:ident = $value:expr),+ $(,)?) => {
        #[cfg(feature = "tracing")]
        {
            let telling = $crate::fault::contain(|| {
                ::tracing::event!(
                    name: $name,
                    target: "reveille",
                    ::tracing::Level::$level,
                    $($field = $value),+
                )
            });
            if let Err(message) = telling {
                $shared.untold(message);
            }
        }
    };
}

/// What became of a wake, on its caller's thread, whose panics are the caller's. A wake that
/// coalesces is told on the level TRACE alone: where that is off, this is a load and a comparison.
macro_rules! tell_wake {
    ($level:ident, $index:expr, $verdict:literal, $due:expr) => {
        #[cfg(feature = "tracing")]
        ::tracing::event!(
            name: "reveille.wake",
            target: "reveille",
            ::tracing::Level::$level,
            index = $index,
            verdict = $verdict,
            due = $due.as_micros(),
        );
    };
}

pub(crate) use {tell, tell_wake};
