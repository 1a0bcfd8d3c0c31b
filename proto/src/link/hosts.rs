//! Whom pages are for: requests whose Host header names this machine. A page of somebody else's site whose name was
//! made to lead here (DNS rebinding) names its own host, and gets nothing.

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, Ipv6Addr};

/// The hosts that requests may name.
#[derive(Clone, Debug)]
pub struct Hosts {
    names: Vec<String>,
}

impl Hosts {
    /// Addresses, which nobody can make lead elsewhere, `localhost`, the name of this machine, and these names.
    #[must_use]
    pub fn with(names: impl IntoIterator<Item = String>) -> Self {
        let own = ["localhost".to_owned(), host_name()];
        Self { names: own.into_iter().chain(names).map(|name| name.to_ascii_lowercase()).collect() }
    }

    /// Whether a Host header names one of them.
    #[must_use]
    pub fn has(&self, header: &str) -> bool {
        let host = without_port(header);
        let is_address = host.parse::<IpAddr>().is_ok()
            || host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(is_v6);
        is_address || self.names.iter().any(|name| host.trim_end_matches('.').eq_ignore_ascii_case(name))
    }

    /// The answer to a request that names another host, or more than one; `None`: it is for this machine.
    #[must_use]
    pub fn refusal(&self, headers: &HeaderMap) -> Option<Response> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = hosts.next().and_then(|host| host.to_str().ok()).unwrap_or_default();
        if self.has(host) && hosts.next().is_none() {
            return None;
        }
        let shown: String = host.chars().filter(|c| !c.is_control()).take(SHOWN_MAX).collect();
        let text = format!(
            "host is {shown:?}: this server is asked by address, as localhost, or by its machine's name; --http-host NAME \
             allows another\n"
        );
        Some((StatusCode::MISDIRECTED_REQUEST, text).into_response())
    }

    /// Refuses such requests, as a layer around pages.
    pub async fn check(self, request: Request, next: Next) -> Response {
        match self.refusal(request.headers()) {
            Some(refusal) => refusal,
            None => next.run(request).await,
        }
    }
}

/// Characters of a foreign host that the answer repeats.
const SHOWN_MAX: usize = 100;

/// The name of this machine.
#[must_use]
pub fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

fn is_v6(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok()
}

/// A Host header without its port.
fn without_port(header: &str) -> &str {
    match header.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !host.ends_with(':') => host,
        _ => header,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_and_addresses_are_its_own() {
        let hosts = Hosts::with(["Monitor.example".to_owned()]);
        let machine = host_name();
        for own in [
            "localhost",
            "LOCALHOST:7078",
            "127.0.0.1:80",
            "10.1.2.3",
            "[::1]:9",
            "[::1]",
            &machine,
            "monitor.EXAMPLE.:1",
        ] {
            assert!(hosts.has(own), "{own}");
        }
        for foreign in [
            "",
            "evil.example",
            "localhost.evil.example:7078",
            "127.0.0.1.evil.example",
            "[::1",
            "localhost:x",
            "127.0.0.1:80:80",
            "a:b",
            ":7078",
            "x:1:2",
        ] {
            assert!(!hosts.has(foreign), "{foreign}");
        }
    }
}
