use super::*;
use crate::waiter::Flag;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const LONG: Duration = Duration::from_secs(60);

/// A server that takes one connection, reads the request and sends these bytes; none: it keeps silent until the other
/// side goes.
fn server(answer: Option<&'static [u8]>) -> (Url, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("http://{}/a", listener.local_addr().unwrap())).unwrap();
    let serving = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        let mut byte = [0];
        while !asked.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
            asked.push(byte[0]);
        }
        match answer {
            Some(answer) => stream.write_all(answer).unwrap(),
            None => drop(stream.read(&mut byte)),
        }
        String::from_utf8(asked).unwrap()
    });
    (url, serving)
}

/// A way to fetch.
type Form = fn(&Url, Duration) -> Result<Fetched, Error>;

/// All of them: what comes of a fetch is the same in each.
const FORMS: &[Form] = &[
    fetched,
    #[cfg(feature = "async")]
    fetched_async,
];

fn fetched(url: &Url, limit: Duration) -> Result<Fetched, Error> {
    fetch(url, limit, &mut Flag(&AtomicBool::new(false)))
}

#[cfg(feature = "async")]
fn fetched_async(url: &Url, limit: Duration) -> Result<Fetched, Error> {
    let runtime = muster_sdk::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(crate::fetch_async(url, limit))
}

fn is_transient(error: &Error) -> bool {
    format!("{error:?}").contains("status: -2")
}

#[test]
fn a_body_is_counted() {
    for form in FORMS {
        let (url, serving) = server(Some(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"));
        assert_eq!(form(&url, LONG).unwrap().bytes, 5);
        assert!(serving.join().unwrap().starts_with("GET /a HTTP/1.1\r\n"));
    }
}

#[test]
fn a_name_is_looked_up() {
    for form in FORMS {
        let (url, serving) = server(Some(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"));
        let named = Url::parse(&format!("http://localhost:{}/a", url.port())).unwrap();
        assert_eq!(form(&named, LONG).unwrap().bytes, 5);
        serving.join().unwrap();
    }
}

#[test]
fn failures_are_told_apart() {
    for (answer, transient, words) in [
        (&b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"[..], false, "status 404"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", true, "status 503"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", true, "after 5 bytes"),
        (b"hello\r\n", false, "no HTTP response"),
    ] {
        for form in FORMS {
            let (url, serving) = server(Some(answer));
            let error = form(&url, LONG).unwrap_err();
            assert_eq!(is_transient(&error), transient, "{error}");
            assert!(error.message().contains(words), "{error}");
            serving.join().unwrap();
        }
    }
}

#[test]
fn a_refused_connection_is_transient() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    for form in FORMS {
        let error = form(&url, LONG).unwrap_err();
        assert!(is_transient(&error) && error.message().contains("connect"), "{error}");
    }
}

#[test]
fn a_silent_server_is_given_up() {
    for form in FORMS {
        let (url, serving) = server(None);
        let begin = Instant::now();
        let error = form(&url, Duration::from_millis(80)).unwrap_err();
        assert!(is_transient(&error) && error.message().contains("within 0.08 s"), "{error}");
        assert!(begin.elapsed() >= Duration::from_millis(80));
        serving.join().unwrap();
    }
}

#[test]
fn a_fetch_stops_when_it_should() {
    let (url, serving) = server(None);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let fetching = scope.spawn(|| fetch(&url, LONG, &mut Flag(&stop)));
        stop.store(true, Ordering::Relaxed);
        assert!(fetching.join().unwrap().unwrap_err().is_cancelled());
    });
    // The server may not even have seen the connection.
    drop(std::net::TcpStream::connect((url.host(), url.port())));
    serving.join().unwrap();
}

/// An address that answers nothing at all, not even that it is not there: the queue of the listener is full.
#[test]
fn a_connect_that_hangs_ends_in_time() {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    // They fill the queue and are never taken.
    let fill: Vec<Stream> = (0..8).map(|_| Stream::new(address).unwrap()).collect();
    let waiting = fill.iter().filter(|stream| stream.connect().unwrap() == Step::NotYet).count();
    assert!(waiting > 0, "the queue is not full");
    let url = Url::parse(&format!("http://{address}/")).unwrap();
    for form in FORMS {
        let begin = Instant::now();
        let error = form(&url, Duration::from_millis(100)).unwrap_err();
        assert!(is_transient(&error) && error.message().contains("within 0.1 s"), "{error}");
        assert!(begin.elapsed() >= Duration::from_millis(100));
    }
}
