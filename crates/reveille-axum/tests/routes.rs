//! What each route says, and whom it lets in.

use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_SECURITY_POLICY, HOST};
use axum::http::{Request, StatusCode};
use openmetrics_parser::prometheus::parse_prometheus;
use openmetrics_parser::{MetricNumber, PrometheusType, PrometheusValue};
use reveille::{Builder, Cadence, Engine, ManualClock, Outcome, Reveille, Tick, Wake};
use reveille_axum::{Access, router};
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;
use tower::ServiceExt;

const TOKEN: &str = "0123456789abcdef";

struct Stand {
    clock: ManualClock,
    hub: Reveille,
    engine: Engine,
    service: axum::Router,
}

impl Stand {
    fn new() -> Self {
        let clock = ManualClock::new();
        let hub: Reveille =
            Builder::new().clock(clock.clone()).build().expect("the default policy holds");
        hub.install(|_| Outcome::ran()).expect("it has not stopped").keep();
        let engine = hub.engine().expect("it has no driver");
        let access = Access::with_token(TOKEN).expect("long enough").allow_host("status.example");
        let service = router(&hub, "<jobs>", access);
        Self { clock, hub, engine, service }
    }

    fn turn_at(&mut self, seconds: u64) {
        self.clock.advance_to(Tick::NOW + Duration::from_secs(seconds));
        self.engine.turn(self.hub.now());
        while let Some(run) = self.engine.next_run() {
            let failed = run.key() == "bad";
            run.finish(if failed { Outcome::failed() } else { Outcome::ran() });
        }
        self.engine.turn(self.hub.now());
    }

    async fn ask(&self, request: Request<Body>) -> (StatusCode, String) {
        let answer = self.service.clone().oneshot(request).await.expect("it is infallible");
        let policy = answer.headers().get(CONTENT_SECURITY_POLICY).expect("every answer has one");
        assert!(policy.to_str().expect("text").starts_with("default-src 'none'"));
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 1 << 20).await.expect("it is short");
        (status, String::from_utf8(body.to_vec()).expect("text"))
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).header(HOST, "127.0.0.1:8080");
        self.ask(request.body(Body::empty()).expect("a request")).await
    }

    async fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.get(path).await.1).expect("it is JSON")
    }
}

fn wake(host: &str, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let request = Request::post(path).header(HOST, host);
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(Body::empty()).expect("a request")
}

/// Only a request of the page's own site, with the token, wakes; a mistyped name makes no target.
#[tokio::test]
async fn a_wake_is_guarded() {
    let stand = Stand::new();
    stand.hub.target("mail".to_owned()).unwrap();
    let bearer = format!("Bearer {TOKEN}");
    let (good, own) = (("authorization", bearer.as_str()), ("origin", "http://127.0.0.1:8080"));
    let local = "127.0.0.1:8080";
    let wrong = ("authorization", "Bearer 0123456789abcdeF");
    let basic = ("authorization", "Basic 0123456789abcdef");
    let refused = [
        (wake(local, "/wake/mail", &[]), StatusCode::UNAUTHORIZED),
        (wake(local, "/wake/mail", &[wrong]), StatusCode::UNAUTHORIZED),
        (wake(local, "/wake/mail", &[basic]), StatusCode::UNAUTHORIZED),
        (wake(local, "/wake/mail", &[good, good]), StatusCode::UNAUTHORIZED),
        (wake("evil.example", "/wake/mail", &[good]), StatusCode::MISDIRECTED_REQUEST),
        (
            wake(local, "/wake/mail", &[good, ("origin", "http://evil.example")]),
            StatusCode::FORBIDDEN,
        ),
        (wake(local, "/wake/mail", &[good, ("origin", "null")]), StatusCode::FORBIDDEN),
        (
            wake(local, "/wake/mail", &[good, ("origin", "http://127.0.0.1:9")]),
            StatusCode::FORBIDDEN,
        ),
        (wake(local, "/wake/male", &[good]), StatusCode::NOT_FOUND),
    ];
    for (n, (request, status)) in refused.into_iter().enumerate() {
        assert_eq!(stand.ask(request).await.0, status, "{n}");
    }
    assert_eq!(stand.hub.counters().accepted, 0);
    let get = Request::get("/wake/mail").header(HOST, local).header("authorization", &bearer);
    let get = stand.ask(get.body(Body::empty()).unwrap()).await;
    assert_eq!(get.0, StatusCode::METHOD_NOT_ALLOWED);

    let first = stand.ask(wake(local, "/wake/mail", &[good, own])).await;
    assert_eq!(first, (StatusCode::ACCEPTED, r#"{"said":"armed"}"#.to_owned()));
    let other = stand.ask(wake("status.example", "/wake/mail", &[good])).await;
    assert_eq!(other.1, r#"{"said":"coalesced"}"#);
    assert_eq!((stand.hub.counters().accepted, stand.hub.snapshot().targets.len()), (2, 1));
    stand.hub.stop();
    let late = stand.ask(wake(local, "/wake/mail", &[good])).await;
    assert!(late.0 == StatusCode::CONFLICT || late.0 == StatusCode::NOT_FOUND);
}

/// A foreign name that resolves to this machine reads nothing, of any route.
#[tokio::test]
async fn a_foreign_host_reads_nothing() {
    let stand = Stand::new();
    for path in ["/", "/snapshot.json", "/healthz", "/metrics"] {
        let request = Request::get(path).header(HOST, "rebound.example");
        let (status, body) = stand.ask(request.body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{path}");
        assert!(!body.contains("jobs"));
        assert_eq!(stand.get(path).await.0, StatusCode::OK, "{path}");
    }
}

/// What wants a look comes first, and rows are bounded.
#[tokio::test]
async fn a_snapshot_shows_trouble_first() {
    let mut stand = Stand::new();
    for name in ["a", "bad", "c"] {
        stand.hub.wake(name.to_owned(), Wake::now());
    }
    stand
        .hub
        .target("c".to_owned())
        .unwrap()
        .beat(Cadence::every(Duration::from_secs(60)).unwrap())
        .unwrap();
    stand.turn_at(1);
    stand.turn_at(3);
    let view = stand.json("/snapshot.json").await;
    let names: Vec<_> = view["targets"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["bad", "a", "c"]);
    let bad = &view["targets"][0];
    assert_eq!((&bad["last"], bad["attempts"].as_u64()), (&Value::from("failed"), Some(2)));
    assert_eq!(bad["history"], serde_json::json!(["failed", "failed"]));
    assert_eq!(view["targets"][2]["next"], 57.0);
    assert_eq!((view["total"].as_u64(), view["handler"].as_u64()), (Some(3), Some(1)));
    let few = stand.json("/snapshot.json?limit=1").await;
    assert_eq!((few["targets"].as_array().unwrap().len(), few["total"].as_u64()), (1, Some(3)));
    assert_eq!(few["targets"][0]["name"], "bad");
    assert_eq!(stand.json("/snapshot.json?limit=0").await["targets"], serde_json::json!([]));
}

/// P18: a stall is a 503 with its reason, and passes when it is over.
#[tokio::test]
async fn health_says_why() {
    let mut stand = Stand::new();
    assert_eq!(stand.get("/healthz").await.0, StatusCode::OK);
    stand.hub.wake("mail".to_owned(), Wake::now());
    stand.turn_at(1);
    stand.hub.wake("mail".to_owned(), Wake::at(stand.hub.now()));
    stand.clock.advance(Duration::from_secs(60));
    let (status, body) = stand.get("/healthz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains(r#""condition":"stalled""#) && body.contains("driver_late"), "{body}");
    assert!(body.contains("The driver has not turned for"), "{body}");
    stand.turn_at(61);
    assert_eq!(stand.get("/healthz").await.0, StatusCode::OK);
    stand.hub.stop();
    assert_eq!(stand.get("/healthz").await.0, StatusCode::SERVICE_UNAVAILABLE);
}

/// P12: what Prometheus reads has good names, types and units, no label for a target, and is conserved.
#[tokio::test]
async fn metrics_are_sound_and_conserved() {
    let mut stand = Stand::new();
    for n in 0..20 {
        stand.hub.wake(format!("target-{}", n % 7), Wake::now());
    }
    stand.hub.wake("bad".to_owned(), Wake::now());
    stand.turn_at(1);
    stand.turn_at(2);
    let (_, text) = stand.get("/metrics").await;
    let exposition = parse_prometheus(&text).expect("it is what Prometheus reads");
    let mut values = HashMap::new();
    for (name, family) in &exposition.families {
        assert!(name.starts_with("reveille_") && !family.help.is_empty(), "{name}");
        match family.family_type {
            PrometheusType::Counter => assert!(name.ends_with("_total"), "{name}"),
            PrometheusType::Histogram | PrometheusType::Summary => {
                assert!(name.ends_with("_seconds"), "{name}")
            }
            PrometheusType::Gauge => assert!(!name.ends_with("_total"), "{name}"),
            PrometheusType::Unknown => panic!("{name} has no type"),
        }
        let own: Vec<_> = family.get_label_names().iter().filter(|it| *it != "quantile").collect();
        assert_eq!(own, ["hub"], "{name}");
        let samples: Vec<_> = family.iter_samples().collect();
        assert_eq!(samples.len(), 1, "{name}");
        let value = match &samples[0].value {
            PrometheusValue::Counter(counter) => Some(counter.value),
            PrometheusValue::Gauge(value) => Some(*value),
            _ => None,
        };
        if let Some(value) = value {
            let value = match value {
                MetricNumber::Int(n) => n as f64,
                MetricNumber::Float(x) => x,
            };
            values.insert(name.clone(), value);
        }
    }
    let of = |name: &str| values[&format!("reveille_{name}")];
    let come = of("adds_total") + of("retries_total");
    let gone = of("starts_total") + of("coalesced_total") + of("depth") + of("refused_total");
    assert_eq!(come, gone + of("discarded_total") + of("in_motion"));
    assert_eq!((of("adds_total"), of("retries_total"), of("depth")), (21.0, 1.0, 1.0));
}
