//! Lets requests for the page in: by the name they use for this machine, and by a token. A foreign page in somebody's
//! browser must not read this one under a name that it controls (DNS rebinding).

use super::settings::Settings;
use super::view::pairs;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{HeaderName, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use muster_proto::link::Secret;
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
    if let Some(refusal) = guard.settings.hosts.refusal(headers) {
        return Some(refusal);
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
        let headers = [(header::SET_COOKIE, cookie), (header::LOCATION, without_token(request.uri()))];
        return Some((StatusCode::SEE_OTHER, headers).into_response());
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    Some((StatusCode::UNAUTHORIZED, challenge, "a token is needed: open /?token=TOKEN\n").into_response())
}

/// The same address of this server without the token.
fn without_token(address: &Uri) -> String {
    let all = address.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let others: Vec<&str> = all.filter(|pair| pairs(pair).all(|(key, _)| key != "token")).collect();
    let mark = if others.is_empty() { "" } else { "?" };
    format!("{}{mark}{}", address.path(), others.join("&"))
}

/// Whether a request carries the token or its cookie.
fn knows(headers: &HeaderMap, secret: &Secret) -> bool {
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(text);
    let mut cookies =
        cookies.flat_map(|all| all.split(';').map(|it| it.trim().to_owned()).collect::<Vec<_>>());
    secret.is_shown(headers)
        || cookies
            .any(|it| it.split_once('=').is_some_and(|(key, value)| key == COOKIE && secret.is_cookie(value)))
}
