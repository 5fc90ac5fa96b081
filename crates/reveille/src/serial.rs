//! How instants and durations are serialised: as whole microseconds; never as null.

use crate::node::Last;
use reveille_core::{Generation, Tick};
use serde::{Serialize, Serializer};
use std::time::Duration;

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

pub(crate) fn tick<S: Serializer>(tick: &Tick, to: S) -> Result<S::Ok, S::Error> {
    tick.as_micros().serialize(to)
}

pub(crate) fn maybe_tick<S: Serializer>(tick: &Option<Tick>, to: S) -> Result<S::Ok, S::Error> {
    tick.map(Tick::as_micros).serialize(to)
}

pub(crate) fn duration<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    micros(*duration).serialize(to)
}

pub(crate) fn maybe_duration<S: Serializer>(
    duration: &Option<Duration>,
    to: S,
) -> Result<S::Ok, S::Error> {
    duration.map(micros).serialize(to)
}

pub(crate) fn maybe_generation<S: Serializer>(
    generation: &Option<Generation>,
    to: S,
) -> Result<S::Ok, S::Error> {
    generation.map(Generation::get).serialize(to)
}

/// How a run ended, and when.
pub(crate) fn last<S: Serializer>(last: &Option<(Last, Tick)>, to: S) -> Result<S::Ok, S::Error> {
    last.map(|(last, at)| (last, at.as_micros())).serialize(to)
}

/// Whose run, and since when.
pub(crate) fn run<K: Serialize, S: Serializer>(
    run: &Option<(K, Tick)>,
    to: S,
) -> Result<S::Ok, S::Error> {
    run.as_ref().map(|(key, since)| (key, since.as_micros())).serialize(to)
}
