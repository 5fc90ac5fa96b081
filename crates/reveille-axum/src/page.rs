//! The page itself: one file, which loads nothing.

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page of one hub.
pub(crate) struct Page {
    html: String,
    policy: HeaderValue,
}

/// What the browser is told of a script or a style: this text, and no other.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl Page {
    pub(crate) fn new(title: &str) -> Self {
        let html = PAGE
            .replace("/* style */", STYLE)
            .replace("/* script */", SCRIPT)
            .replace("{{title}}", &escaped(title));
        let policy = format!(
            "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            hash(SCRIPT),
            hash(STYLE),
        );
        let nothing = HeaderValue::from_static("default-src 'none'");
        Self { html, policy: HeaderValue::from_str(&policy).unwrap_or(nothing) }
    }

    pub(crate) fn policy(&self) -> &HeaderValue {
        &self.policy
    }

    pub(crate) fn response(&self) -> impl IntoResponse + use<> {
        Html(self.html.clone())
    }
}

/// What every answer says beside itself.
pub(crate) async fn harden(State(policy): State<HeaderValue>, mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing is loaded from anywhere, and no markup has a script of its own.
    #[test]
    fn the_page_loads_nothing() {
        let page = Page::new("<jobs> & \"more\"");
        assert!(page.html.contains("&lt;jobs&gt; &amp; &quot;more&quot;"));
        for outside in ["http://", "https://", "src=", "@import", "url(", " onclick", "innerHTML"] {
            assert!(!page.html.contains(outside), "{outside}");
        }
        assert!(page.html.contains(SCRIPT) && page.html.contains(STYLE));
        assert!(page.policy.to_str().unwrap().contains(&hash(SCRIPT)));
    }
}
