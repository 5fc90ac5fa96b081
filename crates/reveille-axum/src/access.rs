//! Who may read, and who may wake.

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::fmt;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Who may read the page, and who may wake a target from it.
#[derive(Clone)]
pub struct Access {
    token: String,
    hosts: Vec<String>,
}

/// What is wrong with an [`Access`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadAccess {
    /// The token has fewer than 16 characters, which could be guessed.
    ShortToken(usize),
    /// The token has characters that a header cannot have: printable ASCII without blanks is allowed.
    UnspeakableToken,
}

impl fmt::Display for BadAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShortToken(length) => {
                write!(f, "the token must have at least {SHORTEST} characters, not {length}")
            }
            Self::UnspeakableToken => {
                f.write_str("the token must be printable ASCII without blanks")
            }
        }
    }
}

impl std::error::Error for BadAccess {}

const SHORTEST: usize = 16;

impl Access {
    /// Whoever has this token may wake; whoever asks for `localhost`, `127.0.0.1` or `[::1]`, on any port,
    /// may read.
    ///
    /// # Errors
    /// [`BadAccess`], if the token is no good one.
    pub fn with_token(token: impl Into<String>) -> Result<Self, BadAccess> {
        let token = token.into();
        if token.chars().count() < SHORTEST {
            return Err(BadAccess::ShortToken(token.chars().count()));
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadAccess::UnspeakableToken);
        }
        let hosts = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).to_vec();
        Ok(Self { token, hosts })
    }

    /// Whoever asks for this host may read too: the name under which a proxy serves the page, say, without
    /// a port.
    #[must_use]
    pub fn allow_host(mut self, host: impl Into<String>) -> Self {
        self.hosts.push(host.into().to_ascii_lowercase());
        self
    }

    /// Whether this `Host`, with a port or without, is an allowed one.
    fn allows(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        self.hosts.contains(&name)
    }

    fn is_token(&self, token: &str) -> bool {
        self.token.as_bytes().ct_eq(token.as_bytes()).into()
    }
}

/// Does not show the token.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn one<'headers>(
    headers: &'headers HeaderMap,
    name: &axum::http::HeaderName,
) -> Option<&'headers str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

/// Lets nobody in from another site.
pub(crate) async fn site(
    State(access): State<Arc<Access>>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    // HTTP/2 has it in the target of the request.
    let host = one(headers, &HOST).or_else(|| request.uri().authority().map(|it| it.as_str()));
    let Some(host) = host.filter(|host| access.allows(host)) else {
        return (StatusCode::MISDIRECTED_REQUEST, "this host is not served here\n").into_response();
    };
    if headers.contains_key(ORIGIN) {
        let origin = one(headers, &ORIGIN).and_then(|origin| origin.parse::<Uri>().ok());
        let from = origin.as_ref().and_then(Uri::authority);
        if from.is_none_or(|from| !from.as_str().eq_ignore_ascii_case(host)) {
            return (StatusCode::FORBIDDEN, "not from another site\n").into_response();
        }
    }
    next.run(request).await
}

/// Lets nobody pass without the token.
pub(crate) async fn token(
    State(access): State<Arc<Access>>,
    request: Request,
    next: Next,
) -> Response {
    let bearer = one(request.headers(), &AUTHORIZATION).and_then(|it| it.split_once(' '));
    match bearer {
        Some((scheme, token))
            if scheme.eq_ignore_ascii_case("bearer") && access.is_token(token) =>
        {
            next.run(request).await
        }
        _ => (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], "the token is needed\n")
            .into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_can_be_guessed_are_refused() {
        assert_eq!(Access::with_token("short").unwrap_err(), BadAccess::ShortToken(5));
        let blank = Access::with_token("long enough, with blanks");
        assert_eq!(blank.unwrap_err(), BadAccess::UnspeakableToken);
        let access = Access::with_token("0123456789abcdef").unwrap();
        assert!(!format!("{access:?}").contains("0123"));
    }

    #[test]
    fn hosts_are_compared_without_their_port() {
        let access = Access::with_token("0123456789abcdef").unwrap().allow_host("Status.Example");
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1:1", "[::1]", "[::1]:8080"] {
            assert!(access.allows(host), "{host}");
        }
        assert!(access.allows("status.example:443"));
        for host in
            ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "::1"]
        {
            assert!(!access.allows(host), "{host}");
        }
    }
}
