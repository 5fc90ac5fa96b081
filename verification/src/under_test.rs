//! Which implementation `verify` plays scenarios against: this one function.

use crate::props::laws::Watched;
use crate::scenario::Policy;
use crate::scenario::subject::Subject;

/// A fresh subject at time 0: the engine, watched by the laws.
#[must_use]
pub fn subject(policy: &Policy) -> Box<dyn Subject> {
    Box::new(Watched::new(policy))
}
