//! A status page for a [`Reveille`] hub, as a router that any axum service mounts. Its reader is an
//! operator at three in the morning.
//!
//! | path | what it says |
//! | --- | --- |
//! | `GET /` | the page: health on top, then one row a target with a beat line of its last runs |
//! | `GET /snapshot.json` | what the page shows, as JSON: targets that want a look first |
//! | `GET /healthz` | 200 while healthy or degraded, 503 when stalled or stopped, with the reasons (P18) |
//! | `GET /metrics` | the hub's meters for Prometheus; conserved (P12), and never a label for each target |
//! | `POST /wake/NAME` | wakes a target at once, urgently: with the token alone |
//!
//! ```no_run
//! use reveille::Reveille;
//! use reveille_axum::{Access, router};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let hub: Reveille = Reveille::start()?;
//! let access = Access::with_token(std::env::var("STATUS_TOKEN")?)?;
//! let service = axum::Router::new().nest("/hearts", router(&hub, "jobs", access));
//! axum::serve(reveille_axum::loopback(8080).await?, service).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Who may do what
//! The page is for the machine's own operators: bind it to the [`loopback`] address, or put it behind
//! what guards the rest of the service. On top of that, a web page in the operator's browser can
//! neither read nor wake anything:
//!
//! - Every request must name a *host* that was allowed ([`Access::allow_host`]; the loopback names are
//!   unless taken away), so a foreign name that resolves to this machine (DNS rebinding) gets nothing.
//! - A request with an `Origin` must come from a page of that very host; no answer allows another.
//! - A wake needs the token, as `Authorization: Bearer`, which no page can send without knowing it, and
//!   which is compared in constant time. There are no cookies.
//! - The page loads nothing from anywhere, runs no script but its own, and cannot be framed.
//!
//! # Progress
//! Each request of the page, the snapshot, health or the metrics looks at every target, O(targets), on the
//! thread that serves it, and delays no wake (P16). A hub that is served stays alive: stop it to end it.

mod access;
mod page;
mod view;

pub use access::{Access, BadAccess};

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use reveille::{Condition, Merge, Meters, Reasons, Refusal, Reveille, Urgency, Wake, Woken};
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use tokio::net::TcpListener;
use view::{Health, View};

/// The status page of `hub` as a router, to be served or nested; `name` is its title, and the label `hub`
/// of its metrics.
///
/// The metrics go to a recorder of this router's own, whatever else the process records: it takes over the
/// hub's histograms ([`Reveille::meters`]).
pub fn router<K, R, P>(hub: &Reveille<K, R, P>, name: &str, access: Access) -> Router
where
    K: reveille::Key + Display + FromStr,
    R: Reasons,
    P: Merge,
{
    let recorder = PrometheusBuilder::new().build_recorder();
    let meters = metrics::with_local_recorder(&recorder, || hub.meters(name.to_owned()));
    let page = page::Page::new(name);
    let policy = page.policy().clone();
    let served = Arc::new(Served { hub: hub.clone(), meters, prometheus: recorder.handle(), page });
    let access = Arc::new(access);
    Router::new()
        .route("/", get(show::<K, R, P>))
        .route("/snapshot.json", get(snapshot::<K, R, P>))
        .route("/healthz", get(health::<K, R, P>))
        .route("/metrics", get(prometheus::<K, R, P>))
        .route(
            "/wake/{name}",
            post(wake::<K, R, P>)
                .layer(middleware::from_fn_with_state(Arc::clone(&access), access::token)),
        )
        .layer(middleware::from_fn_with_state(access, access::site))
        .layer(middleware::map_response_with_state(policy, page::harden))
        .with_state(served)
}

/// A listener on this port of 127.0.0.1, which no other machine reaches.
///
/// # Errors
/// If the port is taken.
pub async fn loopback(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}

/// Serves a router on this port of 127.0.0.1 from a thread of its own, for services that have no runtime; 0
/// is a free port. Returns where. It serves until the process ends.
///
/// ```
/// use reveille::Reveille;
/// use reveille_axum::{Access, router, serve_from_thread};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub: Reveille = Reveille::start()?;
/// let access = Access::with_token("correct-horse-battery")?;
/// let at = serve_from_thread(router(&hub, "jobs", access), 0)?;
/// assert!(at.ip().is_loopback());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the port is taken, or no thread or runtime can be had.
pub fn serve_from_thread(service: Router, port: u16) -> io::Result<SocketAddr> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let listener = runtime.block_on(loopback(port))?;
    let at = listener.local_addr()?;
    std::thread::Builder::new().name("reveille-status".into()).spawn(move || {
        // It only ends with an error where the listener has one for ever; there is nobody to tell.
        let _ = runtime.block_on(async { axum::serve(listener, service).await });
    })?;
    Ok(at)
}

struct Served<K: reveille::Key, R: Reasons, P: Merge> {
    hub: Reveille<K, R, P>,
    meters: Meters<K, R, P>,
    prometheus: PrometheusHandle,
    page: page::Page,
}

type Shared<K, R, P> = State<Arc<Served<K, R, P>>>;

async fn show<K: reveille::Key, R: Reasons, P: Merge>(
    State(served): Shared<K, R, P>,
) -> impl IntoResponse {
    served.page.response()
}

/// How many rows a snapshot has at most, if none is said, and whatever is said.
const ROWS: usize = 500;
const MOST_ROWS: usize = 100_000;

#[derive(Deserialize)]
struct Limit {
    #[serde(default = "rows")]
    limit: usize,
}

fn rows() -> usize {
    ROWS
}

async fn snapshot<K, R, P>(State(served): Shared<K, R, P>, Query(rows): Query<Limit>) -> Json<View>
where
    K: reveille::Key + Display,
    R: Reasons,
    P: Merge,
{
    Json(View::of(&served.hub, rows.limit.min(MOST_ROWS)))
}

async fn health<K, R, P>(State(served): Shared<K, R, P>) -> (StatusCode, Json<Health>)
where
    K: reveille::Key + Display,
    R: Reasons,
    P: Merge,
{
    let health = served.hub.health();
    let status = match health.condition {
        Condition::Healthy | Condition::Degraded => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(Health::of(&health)))
}

async fn prometheus<K: reveille::Key, R: Reasons, P: Merge>(
    State(served): Shared<K, R, P>,
) -> impl IntoResponse {
    served.meters.publish();
    served.prometheus.run_upkeep();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], served.prometheus.render())
}

/// What became of a wake.
#[derive(Serialize)]
struct Said {
    said: &'static str,
}

async fn wake<K, R, P>(State(served): Shared<K, R, P>, Path(name): Path<String>) -> Response
where
    K: reveille::Key + FromStr,
    R: Reasons,
    P: Merge,
{
    let say = |status: StatusCode, said| (status, Json(Said { said })).into_response();
    let Ok(key) = name.parse::<K>() else {
        return say(StatusCode::NOT_FOUND, "no such target");
    };
    // Found, not created: a mistyped name makes no target.
    let Some(target) = served.hub.find(&key) else {
        return say(StatusCode::NOT_FOUND, "no such target");
    };
    match target.wake(Wake::now().urgency(Urgency::Urgent)) {
        Woken::Armed => say(StatusCode::ACCEPTED, "armed"),
        Woken::Preempted => say(StatusCode::ACCEPTED, "preempted"),
        Woken::Coalesced => say(StatusCode::ACCEPTED, "coalesced"),
        Woken::Refused(refused) if refused.refusal == Refusal::Stopped => {
            say(StatusCode::CONFLICT, "the hub has stopped")
        }
        Woken::Refused(_) => say(StatusCode::NOT_FOUND, "no such target"),
    }
}

/// The README's examples, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
