//! Which implementation `verify` plays scenarios against: this one function.

use crate::scenario::Policy;
use crate::scenario::engine::EngineSubject;
use crate::scenario::subject::Subject;

/// A fresh subject at time 0.
#[must_use]
pub fn subject(policy: &Policy) -> Box<dyn Subject> {
    Box::new(EngineSubject::new(policy))
}
