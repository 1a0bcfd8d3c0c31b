//! Where the server listens.

use crate::exit::{Exit, Failure};
use std::net::{IpAddr, SocketAddr};
use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be taken; the system's own limit (net.core.somaxconn) may be lower.
const BACKLOG: u32 = 16_384;

/// Where to listen.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    /// An address of this machine.
    pub host: IpAddr,
    /// 0: any that is free.
    pub port: u16,
    /// Whether other machines may come, too.
    pub allow_remote: bool,
}

/// Listens. Whoever reaches the server can make it wait and send, so other machines must be asked for.
pub fn listen(address: Address) -> Result<TcpListener, Failure> {
    let Address { host, port, allow_remote } = address;
    if !host.is_loopback() && !allow_remote {
        let refused =
            format_args!("--host {host} can be reached from other machines, and the server lets anybody in");
        return Err(Failure::usage(refused)
            .hint("add --allow-remote when that is meant; 127.0.0.1 is for this machine"));
    }
    let to = SocketAddr::new(host, port);
    bind(to).map_err(|error| {
        Failure::io(Exit::Connection, "listen on", std::path::Path::new(&to.to_string()), &error)
    })
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_must_be_asked_for() {
        let open = Address { host: IpAddr::from([0, 0, 0, 0]), port: 0, allow_remote: false };
        let failure = listen(open).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
    }

    #[tokio::test]
    async fn a_free_port_is_found() {
        let address = Address { host: IpAddr::from([127, 0, 0, 1]), port: 0, allow_remote: false };
        let (one, other) = (listen(address).unwrap(), listen(address).unwrap());
        assert_ne!(one.local_addr().unwrap().port(), other.local_addr().unwrap().port());
        let taken = Address { port: one.local_addr().unwrap().port(), ..address };
        assert_eq!(listen(taken).unwrap_err().exit, Exit::Connection);
    }
}
