/// A payload beside a wake: what the pending word has no room for.
///
/// All payloads of the wakes that one run serves are merged into one, so memory stays bounded per
/// target if the merge is: keep a maximum, a union, the last few (P15).
///
/// `merge` runs on the thread that wakes, in a loop that retries when another wake of the target
/// got in first, so it must be cheap and without effects; and on the driver's thread for a wake
/// that a run gave back. If it panics there, that is counted and reported, and the payload
/// that was given back is dropped; the wake is not.
pub trait Merge: Clone + Send + Sync + 'static {
    /// Takes in the payload of a later request.
    fn merge(&mut self, later: Self);
}

impl Merge for () {
    fn merge(&mut self, (): Self) {}
}
