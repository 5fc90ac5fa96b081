//! What Reveille is checked against.
//!
//! [`scenario`] reads and plays schedule sequences written as text, [`oracle`] is the slow and
//! obvious implementation of their meaning, [`generate`] makes random ones and finds where two
//! implementations differ, and [`under_test`] says which implementation `verify` plays.

#![forbid(unsafe_code)]

pub mod files;
pub mod generate;
pub mod oracle;
pub mod scenario;
pub mod under_test;
