//! Where to fetch from.

use muster_sdk::Error;
use std::fmt;

/// An address of the form `http://HOST[:PORT][/PATH][?QUERY]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    host: String,
    port: u16,
    target: String,
}

/// Why a text is no address that can be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// TLS.
    Https,
    /// Another scheme, or none.
    Scheme,
    /// A name and a password.
    UserInfo,
    /// Nothing where the host should be.
    NoHost,
    /// Something other than a port behind the host.
    Port,
    /// A blank, a control character or a letter that is not ASCII.
    Character(char),
}

impl std::error::Error for UrlError {}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Https => write!(f, "https is not spoken here: give an http:// address"),
            Self::Scheme => write!(f, "it does not begin with http://"),
            Self::UserInfo => write!(f, "names and passwords are not sent: leave out what is before @"),
            Self::NoHost => write!(f, "it has no host: write http://HOST/PATH"),
            Self::Port => write!(f, "its port is not a number from 1 to 65535"),
            Self::Character(c) => write!(f, "{c:?} must be written as %XX"),
        }
    }
}

impl Url {
    /// Reads an address. What is behind a # is left out.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://")) {
            return Err(UrlError::Https);
        }
        let scheme = text.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"));
        let rest = &text[scheme.ok_or(UrlError::Scheme)?.len()..];
        if let Some(bad) = rest.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(UrlError::Character(bad));
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(UrlError::UserInfo);
        }
        let (host, port) = host_and_port(authority)?;
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self { host: host.to_owned(), port, target: format!("{slash}{target}") })
    }

    /// The host, an address of IPv6 without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

fn host_and_port(authority: &str) -> Result<(&str, u16), UrlError> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(inner) => inner.split_once(']').ok_or(UrlError::NoHost)?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    if host.is_empty() {
        return Err(UrlError::NoHost);
    }
    let port = match rest {
        "" | ":" => Some(80),
        _ => rest.strip_prefix(':').and_then(|port| port.parse().ok()).filter(|port| *port > 0),
    };
    Ok((host, port.ok_or(UrlError::Port)?))
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", Authority(self), self.target)
    }
}

/// The host as it stands in an address, with its port unless that is the usual one.
struct Authority<'a>(&'a Url);

impl fmt::Display for Authority<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Url { host, port, .. } = self.0;
        if host.contains(':') { write!(f, "[{host}]") } else { f.write_str(host) }?;
        if *port == 80 { Ok(()) } else { write!(f, ":{port}") }
    }
}

/// The bytes that ask for an address, once: the server is to close the connection behind its answer.
#[must_use]
pub fn request(url: &Url) -> Vec<u8> {
    let Url { target, .. } = url;
    let agent = concat!("muster/", env!("CARGO_PKG_VERSION"));
    format!(
        "GET {target} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {agent}\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        Authority(url)
    )
    .into_bytes()
}

/// An address with places for the number of the task.
#[derive(Clone, Debug)]
pub struct Template {
    text: String,
    /// The address itself, when it has no places.
    fixed: Option<Url>,
}

/// Stands for the number of the task, from 0.
const INDEX: &str = "{index}";
/// Stands for the number of the task, from 1.
const NUMBER: &str = "{number}";

impl Template {
    /// An address in which `{index}` stands for the number of the task from 0, and `{number}` from 1.
    ///
    /// # Errors
    /// It is none for task 0; names the parameter `url`.
    pub fn new(text: &str) -> Result<Self, Error> {
        crate::meaning::note_limits();
        let mut template = Self { text: text.to_owned(), fixed: None };
        let first = template.url(0)?;
        if !text.contains(INDEX) && !text.contains(NUMBER) {
            template.fixed = Some(first);
        }
        Ok(template)
    }

    /// The address for a task.
    ///
    /// # Errors
    /// It is none; names the parameter `url`.
    pub fn url(&self, index: u64) -> Result<Url, Error> {
        if let Some(url) = &self.fixed {
            return Ok(url.clone());
        }
        let text = self
            .text
            .replace(INDEX, &index.to_string())
            .replace(NUMBER, &(u128::from(index) + 1).to_string());
        Url::parse(&text)
            .map_err(|error| Error::params(format_args!("url={text} cannot be fetched: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, u16, String) {
        let url = Url::parse(text).unwrap();
        (url.host, url.port, url.target)
    }

    #[test]
    fn addresses_have_host_port_and_target() {
        for (text, host, port, target) in [
            ("http://a", "a", 80, "/"),
            ("HTTP://a.example:8080/b/c?d=e#f", "a.example", 8080, "/b/c?d=e"),
            ("http://127.0.0.1:1/delay/0.5", "127.0.0.1", 1, "/delay/0.5"),
            ("http://[::1]:9?q", "::1", 9, "/?q"),
            ("http://[fe80::1]/", "fe80::1", 80, "/"),
        ] {
            assert_eq!(parts(text), (host.to_owned(), port, target.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_fetched_is_refused() {
        for (text, error) in [
            ("https://a/", UrlError::Https),
            ("ftp://a/", UrlError::Scheme),
            ("a/b", UrlError::Scheme),
            ("", UrlError::Scheme),
            ("http://", UrlError::NoHost),
            ("http:///x", UrlError::NoHost),
            ("http://:80/", UrlError::NoHost),
            ("http://[::1/", UrlError::NoHost),
            ("http://a:0/", UrlError::Port),
            ("http://a:65536/", UrlError::Port),
            ("http://a:b/", UrlError::Port),
            ("http://[::1]x/", UrlError::Port),
            ("http://me:secret@a/", UrlError::UserInfo),
            ("http://a/b c", UrlError::Character(' ')),
            ("http://a/\r\nX: y", UrlError::Character('\r')),
            ("http://a/\u{e4}", UrlError::Character('\u{e4}')),
        ] {
            assert_eq!(Url::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_request_names_the_host_and_closes() {
        let text = |url: &str| String::from_utf8(request(&Url::parse(url).unwrap())).unwrap();
        let asked = text("http://[::1]:99/a?b");
        assert!(asked.starts_with("GET /a?b HTTP/1.1\r\nHost: [::1]:99\r\n"), "{asked}");
        assert!(asked.ends_with("Connection: close\r\n\r\n"), "{asked}");
        assert!(text("http://a").contains("\r\nHost: a\r\n"));
    }

    #[test]
    fn places_take_the_number_of_the_task() {
        let template = Template::new("http://a/delay/{number}?task={index}").unwrap();
        assert_eq!(template.url(1).unwrap().to_string(), "http://a/delay/2?task=1");
        assert_eq!(
            template.url(u64::MAX).unwrap().target,
            "/delay/18446744073709551616?task=18446744073709551615"
        );
        assert_eq!(Template::new("http://a:5/b").unwrap().url(7).unwrap().to_string(), "http://a:5/b");
        let error = Template::new("https://a/").unwrap_err();
        assert!(error.message().contains("url=https://a/"), "{error}");
    }
}
