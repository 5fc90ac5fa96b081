//! What Reveille is checked against.
//!
//! [`scenario`] reads and plays schedule sequences written as text, [`oracle`] is the slow and
//! obvious implementation of their meaning, [`generate`] makes random ones and finds where two
//! implementations differ, [`props`] searches for broken promises with them and on real threads,
//! [`under_test`] says which implementation `verify` plays, and [`lab`] builds and runs the checks
//! that need another build.
//!
//! Under a checker (`reveille_loom`, `reveille_shuttle`) there is nothing here: its test targets
//! need only the product.

#![cfg(not(any(reveille_loom, reveille_shuttle)))]
#![forbid(unsafe_code)]

pub mod faults;
pub mod files;
pub mod generate;
pub mod lab;
pub mod oracle;
pub mod props;
pub mod report;
pub mod scenario;
pub mod under_test;
