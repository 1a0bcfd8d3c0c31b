//! What others on the network join with.

use crate::Config;
use muster_proto::link::{Authority, JoinError, Listener, Target, Token};
use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;

/// What a join string is made of, beside the token.
#[derive(Clone, Debug)]
pub struct Joining {
    /// Who signs.
    pub authority: Arc<Authority>,
    /// `HOST:PORT`, as others reach it.
    address: String,
    /// Without TLS.
    insecure: bool,
}

impl Joining {
    /// Where others reach a listener; `None` when it has no TCP port.
    pub fn at(config: &Config, listener: &Listener, authority: Option<Arc<Authority>>) -> Option<Self> {
        let (authority, bound) = (authority?, listener.local_addr()?);
        let host = match &config.advertise {
            Some(host) => host.clone(),
            None if bound.ip().is_unspecified() => bracketed(outward_address()),
            None => bracketed(bound.ip()),
        };
        Some(Self { authority, address: format!("{host}:{}", bound.port()), insecure: config.insecure })
    }

    /// The join string with a token.
    pub fn join_string(&self, token: Token) -> Result<String, JoinError> {
        let target = if self.insecure {
            Target::plain(&self.address, token)
        } else {
            self.authority.target(&self.address, token)
        };
        target.map(|target| target.to_join_string())
    }

    /// The join string that is printed at start: for workers.
    pub fn standing(&self) -> Result<String, JoinError> {
        self.join_string(*self.authority.standing_token())
    }
}

fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// The address from which this machine talks to others. Nothing is sent to find out.
fn outward_address() -> IpAddr {
    let ask = || {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        // An address for documentation (RFC 5737): only the route to it is looked up.
        socket.connect("192.0.2.1:9")?;
        Ok::<_, std::io::Error>(socket.local_addr()?.ip())
    };
    ask().unwrap_or(IpAddr::from([127, 0, 0, 1]))
}
