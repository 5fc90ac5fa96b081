//! Whether a concurrent history is linearizable: whether some order of its calls, in which no
//! call comes before one that had returned before it was made, is what a sequential
//! specification allows (Herlihy and Wing; the search is Wing and Gong's, with the memory of
//! Lowe's).
//!
//! The calls of one thread are in order, so a state of the search is a place in each thread and
//! the state of the specification; none is visited twice. With few threads there are hardly more
//! of them than calls.

use std::collections::HashSet;
use std::fmt::{Debug, Write};
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};

/// One call with its answer, and when it was made and answered on a [`Stamps`] clock.
#[derive(Clone, Copy, Debug)]
pub struct Call<O> {
    /// What was asked and answered.
    pub operation: O,
    /// Before the call.
    pub invoked: u64,
    /// After it.
    pub returned: u64,
}

/// A clock that orders the calls of all threads: each stamp is taken once.
///
/// It is one more word that all threads change, so it orders more than the code under test does:
/// what only a weak ordering breaks is for the models to find.
#[derive(Debug, Default)]
pub struct Stamps(AtomicU64);

impl Stamps {
    /// Makes a call and records it.
    pub fn record<O>(&self, call: impl FnOnce() -> O) -> Call<O> {
        let invoked = self.0.fetch_add(1, Ordering::SeqCst);
        let operation = call();
        let returned = self.0.fetch_add(1, Ordering::SeqCst);
        Call { operation, invoked, returned }
    }
}

/// Looks for an order of the calls that the specification allows from `initial` on; `threads` are
/// the calls of each thread in their order, `step` is the state after a call, or none if the
/// answer is wrong in this state.
///
/// # Errors
/// That there is none, with the furthest that any order came.
pub fn linearize<O: Debug, S: Clone + Eq + Hash + Debug>(
    initial: S,
    threads: &[Vec<Call<O>>],
    step: impl Fn(&S, &O) -> Option<S>,
) -> Result<(), String> {
    let start = (vec![0_usize; threads.len()], initial);
    let mut visited = HashSet::from([start.clone()]);
    let mut furthest = start.clone();
    let mut open = vec![start];
    while let Some((places, state)) = open.pop() {
        if places.iter().sum::<usize>() > furthest.0.iter().sum() {
            furthest = (places.clone(), state.clone());
        }
        let heads: Vec<Option<&Call<O>>> =
            threads.iter().zip(&places).map(|(calls, &place)| calls.get(place)).collect();
        // No later than the first return of a call that is still to come.
        let Some(first_return) = heads.iter().flatten().map(|call| call.returned).min() else {
            return Ok(());
        };
        for (thread, head) in heads.iter().enumerate() {
            let Some(call) = head.filter(|call| call.invoked < first_return) else { continue };
            if let Some(next) = step(&state, &call.operation) {
                let mut places = places.clone();
                places[thread] += 1;
                let next = (places, next);
                if visited.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
    }
    Err(told(threads, &furthest))
}

/// The calls around the place at which no order goes on.
fn told<O: Debug, S: Debug>(threads: &[Vec<Call<O>>], furthest: &(Vec<usize>, S)) -> String {
    const AROUND: usize = 3;
    let (places, state) = furthest;
    let mut text = format!("no order of the calls explains the answers; stuck at {state:?} with\n");
    for (thread, (calls, &place)) in threads.iter().zip(places).enumerate() {
        for (index, call) in calls.iter().enumerate() {
            if index + AROUND >= place && index < place + AROUND {
                let mark = if index < place { "done" } else { "open" };
                let Call { operation, invoked, returned } = call;
                // Writing to a string does not fail.
                let _ = writeln!(
                    text,
                    "  thread {thread} [{invoked:>6}, {returned:>6}] {mark}: {operation:?}"
                );
            }
        }
    }
    text
}

/// How many calls overlap one of another thread: a history without any proves nothing.
#[must_use]
pub fn overlaps<O>(threads: &[Vec<Call<O>>]) -> u64 {
    let mut count = 0;
    for (thread, calls) in threads.iter().enumerate() {
        for call in calls {
            let meets = threads.iter().enumerate().filter(|(other, _)| *other != thread).any(
                |(_, others)| {
                    let behind = others.partition_point(|other| other.returned < call.invoked);
                    others.get(behind).is_some_and(|other| other.invoked < call.returned)
                },
            );
            count += u64::from(meets);
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Register {
        Write(u8),
        Read(u8),
    }

    fn call(operation: Register, invoked: u64, returned: u64) -> Call<Register> {
        Call { operation, invoked, returned }
    }

    fn register(threads: &[Vec<Call<Register>>]) -> Result<(), String> {
        linearize(0, threads, |now, operation| match *operation {
            Register::Write(value) => Some(value),
            Register::Read(value) => (value == *now).then_some(value),
        })
    }

    /// What overlaps may take effect in either order.
    #[test]
    fn overlapping_calls_may_come_in_any_order() {
        for seen in [0, 1] {
            let writer = vec![call(Register::Write(1), 0, 3)];
            let reader = vec![call(Register::Read(seen), 1, 2)];
            let threads = [writer, reader];
            assert_eq!(register(&threads), Ok(()));
            assert_eq!(overlaps(&threads), 2);
        }
    }

    /// A read behind a write that had returned must see it; two readers must agree on the order
    /// of two writes.
    #[test]
    fn what_no_order_explains_is_refused() {
        let stale = [vec![call(Register::Write(1), 0, 1)], vec![call(Register::Read(0), 2, 3)]];
        let told = register(&stale).expect_err("a stale read");
        assert!(told.contains("thread 1 [     2,      3] open: Read(0)"), "{told}");
        assert_eq!(overlaps(&stale), 0);

        let reader = |first, second, at| {
            vec![call(Register::Read(first), at, at + 2), call(Register::Read(second), at + 4, 20)]
        };
        let writers =
            [vec![call(Register::Write(1), 0, 30)], vec![call(Register::Write(2), 1, 31)]];
        let [one, two] = writers;
        let agree = [one.clone(), two.clone(), reader(1, 2, 2), reader(1, 2, 3)];
        assert_eq!(register(&agree), Ok(()));
        let disagree = [one, two, reader(1, 2, 2), reader(2, 1, 3)];
        assert!(register(&disagree).is_err());
    }
}
