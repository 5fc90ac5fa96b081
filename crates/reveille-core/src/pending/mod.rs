//! The pending word: the merged wake of one target, in 64 bits.
//!
//! # What it is
//! All wakes of a target that wait are one: earliest due, union of reasons, highest urgency. So
//! N requests cost one word, whatever N is (P15), and the order in which they arrive cannot
//! matter. [`Word`] is the pure word with its edges, [`Pending`] the atomic cell.
//!
//! # Roles
//! *Requesters* (any number) join, cancel, close. One *driver* settles, begins and ends runs.
//!
//! # Valid words
//! ```text
//!   63           14 13      6 5     4 3    2       1         0
//!   due (50 bits)   reasons   urgency SEEN RUNNING CANCELLED CLOSED
//! ```
//! | word | due | S | R | meaning |
//! | --- | --- | --- | --- | --- |
//! | idle | EMPTY | 0 | 0 | nothing waits |
//! | news | t | 0 | 0 | a wake waits, and the driver owes a look |
//! | seen | t > 0 | 1 | 0 | the driver has t in its timer store: only an earlier request matters |
//! | parked | 0 | 1 | 0 | the driver holds it back (floor, deferral, no slot); see below |
//! | running | EMPTY | 0 | 1 | a run is in flight, nothing waits |
//! | again | t | 0 | 1 | a run is in flight, and one more will follow |
//! | late | t | 1 | 1 | the same; requested after an install that the driver has not noted |
//! | closed | EMPTY | 0 | 0, 1 | removed or stopped; maybe a last run is in flight |
//!
//! CANCELLED may stand beside all but closed: the driver owes a look, to forget what it
//! remembers of the wake that was discarded or put off; what the word has is all that is left of it.
//!
//! # Edges
//! | edge | role | from | to | obligation |
//! | --- | --- | --- | --- | --- |
//! | join | requester | idle, news | news | publish, also when it changed nothing (helping) |
//! | | | seen, parked | the same | none: it could start nothing sooner |
//! | | | seen, parked | news | publish: it may pass what the driver knows |
//! | | | running, again, late | again, late | none: the driver looks when the run ends |
//! | | | closed | closed | the wake is refused |
//! | settle | driver | news, seen, parked | seen, parked | its timer store has the due |
//! | | | again, late | again | none |
//! | begin | driver | seen, parked | running | run what was taken; fence before the run |
//! | end | driver | running, again, late | idle, news, parked | look at it |
//! | | | CANCELLED besides | the same without | forget what waited behind the run |
//! | | | closed | closed | collect the target |
//! | cancel | requester | any but closed | no wake, CANCELLED | count one discarded; publish |
//! | postpone | requester | a wake waits | news or again, CANCELLED, no sooner | publish |
//! | forget | driver | CANCELLED | the same without | forget what is remembered of the wake |
//! | close | requester | any | closed | count one discarded; publish |
//!
//! "Publish" is: set the ready bit, request the due from the deadline slot, ring the bell.
//!
//! # SEEN
//! SEEN says: *no request that finds it and that the word contains could start the target
//! sooner.* The due of a seen word stands in the driver's timer store too, so a request that does
//! start it sooner *replaces* it and clears SEEN. A parked word has due 0, so it contains
//! every due; one kind of request passes it nevertheless, an urgent one, since it may take a
//! deferral along (P9). While an install is not yet noted by the driver, requests pass every
//! seen word: the driver is about to move what it had seen, and must not move what
//! was requested after the install (the `unnoted` argument of [`Word::join`]).
//!
//! # Synchronisation
//! * Requester to run (P4): a join that changes the word releases; `begin` acquires.
//! * Requester to run, coalesced (P4): a join that would change nothing is not written. A
//!   `SeqCst` fence stands before the load by which it leaves, and one after `begin`'s read-modify-write: if
//!   the load saw the word before that take, the run after it sees what the requester wrote before. The
//!   fenced form writes no shared line. Without either fence the run misses it.
//! * Requester to driver: the ready bit and the deadline slot carry the news; the word is read
//!   after them.
//!
//! # The race that is allowed
//! Requests that coalesce between the driver's decision to start and its `begin` are taken along:
//! they run early, and once. One that changes the word has the driver look again first.
//!
//! # What it does not do
//! It knows no handler, no clock and no index; it never rings. Leading reasons, text and
//! counts are a payload's business.
//!
//! # Cost and progress
//! `join`: load, fence and load when coalesced, else a compare-and-swap loop that retries only if
//! another edge took effect (lock-free). Nothing allocates.

mod cell;
mod word;

pub use cell::{Join, Pending};
pub use word::{Joined, Request, Taken, Verdict, Word};

#[cfg(test)]
mod tests;
