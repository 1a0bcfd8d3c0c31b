//! How muster's processes reach each other: one function opens listeners ([`listen`]), one connects
//! ([`connect`], for workers [`connect_worker`]). On one machine a link is a Unix socket of mode 0600 whose peer must
//! be the same user or root; over TCP it is TLS 1.3, in which both sides show a certificate of a private authority: the
//! server's is known by its pin, and a client gets one for a token ([`Authority::enroll`]). What a client may call is said
//! by its roles ([`RIGHTS`]). Without TLS there is only the loopback interface, where the token itself is shown.

mod access;
mod ca;
mod capacity;
mod certificate;
mod connect;
mod connection;
mod crowd;
mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod guard;
mod hosts;
mod identities;
mod listen;
mod member;
mod moment;
mod pages;
mod pause;
mod private_file;
mod process;
mod quiet;
mod readers;
mod role;
mod secret;
mod session;
mod stall;
mod target;
mod tokens;
mod verifier;

pub use access::{Access, AccessFolder};
pub use ca::{Authority, CERTIFICATE_LIFE, Signed};
pub use capacity::Capacity;
pub use certificate::{Identity, IdentityError, IdentityId, PUBLIC_KEY_BYTES, PublicKey};
pub use connect::{Bearer, Link, connect, connect_by, connect_worker, connect_worker_through};
pub use connection::{Connection, Peer};
pub use crowd::{Client, Served};
pub use error::{FileError, JoinError, LinkError, ListenError, system_error};
pub use gate::STRANGERS_PER_ADDRESS_MAX;
pub use guard::{Guard, Guarded};
pub use hosts::{Hosts, host_name};
pub use identities::Identities;
pub use listen::{ListenConfig, Listener, Security, TcpConfig, listen, server};
pub use moment::Moment;
pub use pages::serve_pages;
pub use pause::jittered;
pub use private_file::{random_bytes, read as read_private_file, try_flock, try_flock_shared};
pub use process::Process;
pub use readers::Readers;
pub use role::{RIGHTS, Right, Role, Roles, right_to};
pub use secret::{Secret, SecretError};
pub use session::{Session, Sessions};
pub use target::{Pin, Target, Token, host_and_port, is_address, is_host, parse_bare_host};
pub use tokens::{NOTE_BYTES_MAX, NewToken, TokenBook, TokenError, TokenFacts, TokenId, TokenRefusal};

use std::time::Duration;

/// How long opening a link may take, from the first packet to the greeting.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a client may take for its TLS handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connected client may take until it speaks HTTP/2.
pub const PREFACE_TIMEOUT: Duration = Duration::from_secs(10);
/// TLS handshakes that may be under way at the same time; then the oldest makes room for the next.
pub const HANDSHAKES_MAX: usize = 512;
/// How long a client of the pages may take for its next request.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client of the pages may leave what it asked for unread.
pub const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Clients of the pages at the same time; then the oldest makes room for the next.
pub const PAGE_CLIENTS_MAX: usize = 128;

/// Connections that were accepted and not yet served.
const ACCEPTED_MAX: usize = 64;
/// How often a quiet link is checked, and how long the answer may take.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// HTTP/2 flow control: bytes on the way per stream and per connection.
const STREAM_WINDOW_BYTES: u32 = 8 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// What a TLS connection takes of a large message before it writes it out, in place of rustls' 64 KiB: outputs of short
/// tasks go at 0.84 of their speed without TLS, before at 0.79 (medians of three runs, `outputs_over_tls`).
const TLS_BUFFER_BYTES: usize = 1 << 20;
/// The name in the server's certificate. Nobody resolves it: the pin says who is right.
const SERVER_NAME: &str = "muster-coordinator";
