//! What can go wrong with links: one enum per thing somebody asked for.

use std::io;
use std::path::PathBuf;

/// A join string or join file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Neither a known prefix nor a file.
    #[error(
        "`{text}` is neither a join string (muster1:...), nor unix:PATH, nor a file that holds a join string"
    )]
    Unknown {
        /// The beginning of what was given.
        text: String,
    },
    /// Only the address.
    #[error(
        "`{address}` is an address, but joining needs the whole join string (muster1:...) that the coordinator printed"
    )]
    BareAddress {
        /// What was given.
        address: String,
    },
    /// Parts are missing.
    #[error("the join string is incomplete: it reads muster1:HOST:PORT:PIN:TOKEN, copy all of it")]
    Incomplete,
    /// The address does not parse.
    #[error("`{address}` is not HOST:PORT with a port from 1 to 65535 (IPv6 in brackets)")]
    Address {
        /// What stands there.
        address: String,
    },
    /// The pin does not decode.
    #[error("the pin in the join string {}: copy all of it", damage(*found, *wanted))]
    Pin {
        /// Its length.
        found: usize,
        /// The right length.
        wanted: usize,
    },
    /// The token does not decode.
    #[error("the token in the join string {}: copy all of it", damage(*found, *wanted))]
    Token {
        /// Its length.
        found: usize,
        /// The right length.
        wanted: usize,
    },
    /// `unix:` without a path.
    #[error("unix: must be followed by the path of a socket")]
    NoSocketPath,
    /// The file cannot be read.
    #[error("join file {}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{} does not hold a join string (one line, muster1:...)", .path.display())]
    NotAJoinFile {
        /// The file.
        path: PathBuf,
    },
}

/// A link that could not be opened. `target` is an address, never a join string.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Nobody listens there.
    #[error("no coordinator is running at {target}")]
    NotRunning {
        /// The address.
        target: String,
    },
    /// The socket belongs to somebody else.
    #[error("{target} belongs to another user: connect as that user, or with a join string")]
    Permission {
        /// The address.
        target: String,
    },
    /// No answer in time.
    #[error("no answer from {target} within {seconds} s: check the address, the network and firewalls")]
    Timeout {
        /// The address.
        target: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The address cannot be reached.
    #[error("cannot reach {target}: {source}")]
    Unreachable {
        /// The address.
        target: String,
        /// Why.
        source: io::Error,
    },
    /// Another authority.
    #[error(
        "the coordinator at {target} is not the one the join string was made for: get its current join string"
    )]
    WrongPin {
        /// The address.
        target: String,
    },
    /// The peer does not speak TLS.
    #[error("{target} does not speak TLS: is this the port of a muster coordinator?")]
    NotTls {
        /// The address.
        target: String,
    },
    /// TLS failed in another way.
    #[error("the TLS handshake with {target} failed: {source}")]
    Tls {
        /// The address.
        target: String,
        /// Why.
        source: io::Error,
    },
    /// The coordinator does not know who this is.
    #[error("the coordinator at {target} refused this process: {reason}")]
    Unknown {
        /// The address.
        target: String,
        /// The coordinator's words.
        reason: String,
    },
    /// This machine's certificate cannot be used or made.
    #[error("joining {target}: {source}")]
    Identity {
        /// The address.
        target: String,
        /// Why.
        source: FileError,
    },
    /// The token would be sent in the open.
    #[error(
        "{target} is not on this machine, and without TLS anybody on the way could read the token: use a join string with TLS"
    )]
    PlainOffLoopback {
        /// The address.
        target: String,
    },
    /// The coordinator does not allow it.
    #[error("the coordinator at {target} refused this process: {reason}")]
    Refused {
        /// The address.
        target: String,
        /// The coordinator's words.
        reason: String,
    },
    /// Another protocol version.
    #[error("the coordinator at {target} does not fit this muster: {reason}")]
    Incompatible {
        /// The address.
        target: String,
        /// What differs.
        reason: String,
    },
    /// The connection opened but the greeting failed.
    #[error("{target} does not answer like a muster coordinator: {reason}")]
    NotMuster {
        /// The address.
        target: String,
        /// What it did.
        reason: String,
    },
}

impl LinkError {
    /// Whether trying again later may help without anybody changing anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::NotRunning { .. }
            | Self::Timeout { .. }
            | Self::Unreachable { .. }
            | Self::Tls { .. }
            | Self::NotMuster { .. } => true,
            Self::Permission { .. }
            | Self::WrongPin { .. }
            | Self::NotTls { .. }
            | Self::Unknown { .. }
            | Self::Identity { .. }
            | Self::PlainOffLoopback { .. }
            | Self::Refused { .. }
            | Self::Incompatible { .. } => false,
        }
    }

    /// Whether it is about who may do what, rather than about the connection.
    #[must_use]
    pub const fn is_permission(&self) -> bool {
        matches!(self, Self::Permission { .. } | Self::Unknown { .. } | Self::Refused { .. })
    }
}

/// A listener that could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The configuration names no listener.
    #[error("nothing to listen on: give a socket path, an address, or both")]
    Nothing,
    /// Somebody answers on the socket.
    #[error("a coordinator is already running at {}", .path.display())]
    AlreadyRunning {
        /// The socket.
        path: PathBuf,
    },
    /// Something else is in the socket's place.
    #[error("{} exists and is not a socket: remove it or choose another path", .path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// Longer than the kernel takes.
    #[error("the socket path {} has {length} bytes, the system takes {max}: choose a shorter one", .path.display())]
    PathTooLong {
        /// The path.
        path: PathBuf,
        /// Its length.
        length: usize,
        /// The longest possible.
        max: usize,
    },
    /// Another process holds the folder's lock.
    #[error("{} stays locked by another process that opens a socket there: try again", .folder.display())]
    FolderBusy {
        /// The folder.
        folder: PathBuf,
    },
    /// The socket cannot be made.
    #[error("cannot listen on {}: {source}", .path.display())]
    Unix {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The port is taken.
    #[error("{address} is in use by another process: stop it or choose another port (0 picks a free one)")]
    InUse {
        /// The address.
        address: String,
    },
    /// The address cannot be used.
    #[error("cannot listen on {address}: {source}")]
    Tcp {
        /// The address.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Without TLS only the loopback interface is allowed.
    #[error("{address} is not a loopback address: a listener without TLS must stay on this machine")]
    PlainOffLoopback {
        /// The address.
        address: String,
    },
}

/// A file of keys or of access that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Reading or writing failed.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may read a secret.
    #[error("other users can read {} (mode {mode:o}): chmod 600 it, and renew it if they may have", .path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The content is not what was written.
    #[error("{} is damaged ({what}): remove it so that it is made anew", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The tokens' file is not what was written.
    #[error(
        "{} is damaged ({what}): put back a copy of it; without the file all tokens but the printed one are unknown",
        .path.display()
    )]
    DamagedTokens {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Another coordinator has the same keys.
    #[error(
        "another coordinator uses the keys in {}: stop it, or give this one another --name or --state",
        .folder.display()
    )]
    KeysInUse {
        /// Where they are.
        folder: PathBuf,
    },
    /// Keys could not be made.
    #[error("cannot make the cluster's keys: {what}")]
    Keys {
        /// The library's words.
        what: String,
    },
    /// A cluster name that cannot be a file name.
    #[error(
        "`{name}` cannot be a cluster's name: use 1 to 64 letters, digits, `-`, `_` or `.`, not `.` first"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// No cluster of that name.
    #[error("no cluster `{name}` is known here (looked in {})", .folder.display())]
    NoCluster {
        /// The name.
        name: String,
        /// Where access files are.
        folder: PathBuf,
    },
    /// There is no home folder.
    #[error("neither MUSTER_STATE_HOME, XDG_STATE_HOME nor HOME is an absolute path: set one of them")]
    NoHome,
}

/// What the system said, wherever in an error it stands.
#[must_use]
pub fn system_error(error: &(dyn std::error::Error + 'static)) -> Option<io::ErrorKind> {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind).next()
}

fn damage(found: usize, wanted: usize) -> String {
    if found == wanted {
        "does not decode, at least one of its characters is wrong".to_owned()
    } else {
        format!("is damaged ({found} characters, {wanted} wanted)")
    }
}
