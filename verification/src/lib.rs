//! What Reveille is checked against.
//!
//! [`scenario`] reads and plays schedule sequences written as text, [`oracle`] is the slow and
//! obvious implementation of their meaning, [`generate`] makes random ones and finds where two
//! implementations differ, [`engine_search`] does that for the engine and the oracle, and [`under_test`] says which implementation `verify` plays.

#![forbid(unsafe_code)]

pub mod engine_search;
pub mod files;
pub mod generate;
pub mod oracle;
pub mod scenario;
pub mod under_test;
