//! The server beside what fetches from it.

use super::latency::Latency;
use super::listener::{Address, listen};
use super::serve;
use crate::exit::{Exit, Failure, Outcome};
use std::net::{Ipv4Addr, SocketAddr};
use std::thread::JoinHandle;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Serves on a thread of its own, on loopback, until it is dropped.
#[derive(Debug)]
pub struct Background {
    address: SocketAddr,
    /// Dropped: the thread ends.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Listens on a free port.
    pub fn start() -> Outcome<Self> {
        muster_coordinator::raise_file_limit();
        let failed =
            |error: std::io::Error| Failure::new(Exit::Limit, format_args!("cannot start a server: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let listener = {
            let _inside = runtime.enter();
            listen(Address { host: Ipv4Addr::LOCALHOST.into(), port: 0, allow_remote: false })?
        };
        let address = listener.local_addr().map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            let conversations = tokio::task::LocalSet::new();
            runtime.block_on(conversations.run_until(until(stopped, listener, Latency::new(None, 0))));
        };
        let thread = std::thread::Builder::new().name("http-server".into()).spawn(run).map_err(failed)?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// The address of a path, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

async fn until(stopped: oneshot::Receiver<()>, listener: TcpListener, latency: Latency) {
    tokio::select! {
        () = serve(listener, latency, usize::MAX) => {}
        _ = stopped => {}
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It cannot panic, and nothing depends on how it ended.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    #[test]
    fn it_answers_until_it_is_dropped() {
        let server = Background::start().unwrap();
        let address = server.address;
        assert_eq!(server.url("/bytes/3"), format!("http://{address}/bytes/3"));
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /bytes/3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("content-length: 3"), "{answer}");
        drop(server);
        assert!(std::net::TcpStream::connect(address).is_err());
    }
}
