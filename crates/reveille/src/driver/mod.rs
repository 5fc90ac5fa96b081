//! Drivers: what calls `turn`, runs handlers, and sleeps until the next deadline.

pub(crate) mod precision;
pub(crate) mod thread;
mod workers;
