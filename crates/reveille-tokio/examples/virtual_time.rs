//! Testing one's own handler on virtual time: a day of retries and beats in a blink.
//!
//! `cargo run -p reveille-tokio --example virtual_time`

use reveille::{Builder, Cadence, Outcome, Reveille, SharedRun};
use reveille_tokio::TokioClock;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// The handler under test: the first try of each hour finds the server busy.
async fn poll(run: SharedRun, served: Arc<AtomicU32>) -> Outcome {
    if run.attempt() == 1 {
        return Outcome::busy_for(Duration::from_secs(30));
    }
    sleep(Duration::from_secs(5)).await;
    served.fetch_add(1, SeqCst);
    Outcome::ran()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tokio::time::pause();
    let start = Instant::now();
    let hub: Reveille = Builder::new().clock(TokioClock::new()).build()?;
    tokio::spawn(reveille_tokio::drive(&hub)?);
    let served = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&served);
    let _polling = hub.install_async(move |run| poll(run, Arc::clone(&counted)))?;
    let hourly = Cadence::every(Duration::from_secs(3_600))?;
    hub.target("mail".to_owned())?.beat(hourly)?;

    sleep(Duration::from_secs(24 * 3_600 + 60)).await;
    assert_eq!((served.load(SeqCst), hub.counters().started), (24, 48));
    println!("{:?} of beats, each served at its second try", start.elapsed());
    Ok(())
}
