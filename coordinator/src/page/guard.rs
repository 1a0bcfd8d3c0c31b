//! Lets requests for the page in: by the name they use for this machine, and by a token. A foreign page in somebody's
//! browser must not read this one under a name that it controls (DNS rebinding).

use super::settings::{Secret, Settings};
use super::view::pairs;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{HeaderName, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use muster_proto::link::without_port;
use std::net::IpAddr;
use std::sync::Arc;

/// What is said without a token where one is needed.
pub const NEEDS_TOKEN: &str = "the page is shown off loopback only with a token: start the coordinator with --page-token FILE, then open /?token=TOKEN\n";
const COOKIE: &str = "muster_page";

const HEADERS: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-cache"),
];

/// Who is let in.
pub struct Guard {
    settings: Settings,
}

impl Guard {
    pub const fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Whether this machine may be called that. Addresses cannot be rebound, and names must be known.
    fn is_known(&self, host: &str) -> bool {
        let name = without_port(host);
        let address = name.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(name);
        name.eq_ignore_ascii_case("localhost")
            || address.parse::<IpAddr>().is_ok()
            || self.settings.hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// Checks a request before anything else does.
pub async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let refusal = refusal(&guard, &request);
    let mut response = match refusal {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// The answer to whoever is not let in.
fn refusal(guard: &Guard, request: &Request) -> Option<Response> {
    let headers = request.headers();
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !guard.is_known(host) || hosts.next().is_some() {
        let shown = host.chars().take(100).filter(|it| !it.is_control()).collect::<String>();
        let text = format!(
            "Host is {shown:?}: this coordinator does not go by that name; use its address, or start it with --http-host NAME\n"
        );
        return Some((StatusCode::MISDIRECTED_REQUEST, text).into_response());
    }
    let secret = guard.settings.secret.as_ref()?;
    if knows(headers, secret) {
        return None;
    }
    let query = request.uri().query().unwrap_or_default();
    let given = pairs(query).find(|(key, _)| key == "token").map(|(_, value)| value);
    if given.is_some_and(|token| secret.is(&token)) {
        // The token leaves the address line, and is in no history from then on.
        let cookie = format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict", secret.cookie());
        let headers = [(header::SET_COOKIE, cookie), (header::LOCATION, request.uri().path().to_owned())];
        return Some((StatusCode::SEE_OTHER, headers).into_response());
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    Some((StatusCode::UNAUTHORIZED, challenge, "a token is needed: open /?token=TOKEN\n").into_response())
}

/// Whether a request carries the token or its cookie.
fn knows(headers: &HeaderMap, secret: &Secret) -> bool {
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    let bearer = headers.get(header::AUTHORIZATION).and_then(text);
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(text);
    let mut cookies =
        cookies.flat_map(|all| all.split(';').map(|it| it.trim().to_owned()).collect::<Vec<_>>());
    bearer.is_some_and(|it| it.strip_prefix("Bearer ").is_some_and(|token| secret.is(token)))
        || cookies
            .any(|it| it.split_once('=').is_some_and(|(key, value)| key == COOKIE && secret.is_cookie(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_known_names_are_hosts_of_this_machine() {
        let hosts = vec!["build.example".to_owned()];
        let guard = Guard::new(Settings { hosts, secret: None });
        for good in [
            "localhost",
            "LOCALHOST:7078",
            "127.0.0.1:7078",
            "10.1.2.3",
            "[::1]:7078",
            "[::1]",
            "build.example:80",
        ] {
            assert!(guard.is_known(good), "{good}");
        }
        for bad in
            ["", "evil.example", "localhost.evil.example:7078", "build.example.", "a:b", ":7078", "x:1:2"]
        {
            assert!(!guard.is_known(bad), "{bad}");
        }
    }
}
