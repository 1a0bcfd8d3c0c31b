//! What others on the network are told to join with.

use crate::Config;
use muster_proto::link::{Authority, JoinError, Listener};
use std::net::{IpAddr, UdpSocket};

/// The join string; `None` without a TLS listener.
pub fn join_string(
    config: &Config,
    listener: &Listener,
    authority: Option<&Authority>,
) -> Result<Option<String>, JoinError> {
    let (Some(authority), Some(bound)) = (authority, listener.local_addr()) else { return Ok(None) };
    let host = match &config.advertise {
        Some(host) => host.clone(),
        None if bound.ip().is_unspecified() => bracketed(outward_address()),
        None => bracketed(bound.ip()),
    };
    Ok(Some(authority.target(&format!("{host}:{}", bound.port()))?.to_join_string()))
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
