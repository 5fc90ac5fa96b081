//! An axum service on a Reveille hub, with a status page and a graceful shutdown.
//!
//! `cargo run -p reveille-axum --example service`, then <http://127.0.0.1:8080/hearts>

use axum::{Router, routing::post};
use reveille::{Builder, Cadence, Outcome, Reveille, Roster, SharedRun, Wake};
use reveille_axum::{Access, loopback, router};
use std::{error::Error, time::Duration};
use tokio_util::sync::CancellationToken;

async fn poll(run: SharedRun) -> Outcome {
    tokio::time::sleep(Duration::from_millis(200)).await;
    if run.key() == "flaky" && run.attempt() == 1 { Outcome::failed() } else { Outcome::ran() }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub: Reveille = Builder::new().build()?;
    let shutdown = CancellationToken::new();
    let driver = reveille_tokio::drive_until(&hub, shutdown.clone(), Duration::from_secs(10))?;
    let driver = tokio::spawn(driver);

    let often = Cadence::every(Duration::from_secs(5))?.spread();
    let roster = ["mail", "news", "flaky"].map(|target| (target.to_owned(), often.clone()));
    let _polling = hub.runner_async(poll, Roster::from_iter(roster))?;

    let access = Access::with_token("correct-horse-battery")?; // from your secrets
    let mail = hub.target("mail".to_owned())?;
    let service = Router::new()
        .route("/hook", post(async move || mail.wake(Wake::soon()).is_accepted().to_string()))
        .nest("/hearts", router(&hub, "example", access));
    let stop = async move {
        let _ = tokio::signal::ctrl_c().await;
        shutdown.cancel();
    };
    axum::serve(loopback(8080).await?, service).with_graceful_shutdown(stop).await?;
    println!("{:?}", driver.await?); // the runs in flight have ended
    Ok(())
}
