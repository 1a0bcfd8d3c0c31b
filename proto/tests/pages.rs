//! Pages stay reachable whatever their clients do.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use muster_proto::link::{PAGE_CLIENTS_MAX, REQUEST_TIMEOUT, serve_pages};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

struct Site {
    address: String,
}

impl Site {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let pages = Router::new().route("/healthz", get(|| async { "ok\n" }));
        tokio::spawn(serve_pages(listener, pages, std::future::pending()));
        Self { address }
    }

    async fn say(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn healthz(&self) -> String {
        let mut stream = self.say("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        reply
    }
}

#[tokio::test]
async fn half_a_request_is_not_waited_for() {
    let site = Site::start().await;
    let begun = Instant::now();
    let halves = [site.say("").await, site.say("GET /healthz HTTP/1.1\r\nHost:").await];
    for mut half in halves {
        let wait = 2 * REQUEST_TIMEOUT;
        timeout(wait, half.read_to_end(&mut Vec::new())).await.expect("the client is cut off").unwrap();
    }
    assert!(begun.elapsed() > REQUEST_TIMEOUT / 2, "a slow client has some time");
}

#[tokio::test]
async fn many_half_requests_keep_nobody_out() {
    let site = Site::start().await;
    let mut halves = Vec::new();
    for _ in 0..PAGE_CLIENTS_MAX + 50 {
        halves.push(site.say("GET /heal").await);
    }
    let reply = timeout(Duration::from_secs(1), site.healthz()).await.expect("a page comes at once");
    assert!(reply.starts_with("HTTP/1.1 200") && reply.ends_with("ok\n"), "{reply}");
    let oldest = timeout(Duration::from_secs(1), halves[0].read_to_end(&mut Vec::new())).await;
    assert!(oldest.is_ok(), "the oldest client made room");
}
