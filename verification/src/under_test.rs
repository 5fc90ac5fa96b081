//! Which implementation `verify` plays scenarios against: this one function.

use crate::props::laws::Watched;
use crate::scenario::Policy;
use crate::scenario::hands::DrivenBy;
use crate::scenario::subject::Subject;

/// A fresh subject at time 0: the engine, driven by one of its drivers and watched by the laws.
#[must_use]
pub fn subject(policy: &Policy, driven: DrivenBy) -> Box<dyn Subject> {
    Box::new(Watched::new(policy, driven))
}
