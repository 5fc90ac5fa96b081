//! A configuration reload with two overlapping runners: the old one stops late, and takes nothing back
//! that is the new one's.
//!
//! `cargo run -p reveille-tokio --example reload`

use reveille::{Builder, Cadence, Reveille, Roster, SharedRun};
use std::time::Duration;
use tokio::time::sleep;

fn roster(targets: &[&str]) -> Result<Roster, Box<dyn std::error::Error>> {
    let often = Cadence::every(Duration::from_millis(100))?;
    Ok(targets.iter().map(|target| ((*target).to_owned(), often.clone())).collect())
}

/// One version of the service, as its configuration wants it.
fn service(version: u32) -> impl Fn(SharedRun) -> std::future::Ready<()> {
    move |run| {
        println!("{} by version {version}", run.key());
        std::future::ready(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hub: Reveille = Builder::new().build()?;
    tokio::spawn(reveille_tokio::drive(&hub)?);
    let old = hub.runner_async(service(1), roster(&["mail", "news"])?)?;
    sleep(Duration::from_millis(250)).await;

    let new = hub.runner_async(service(2), roster(&["mail"])?)?; // the reload
    sleep(Duration::from_millis(50)).await;
    let stopped = old.stop(); // late, as clean-ups are
    assert_eq!((stopped.taken_back, stopped.stale), (1, 1)); // "news" ends, "mail" is the new one's
    sleep(Duration::from_millis(450)).await;
    assert!(new.is_current() && hub.counters().is_conserved());
    Ok(())
}
