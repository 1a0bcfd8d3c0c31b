//! Which cluster a command talks to: what it was told, else the one that is up, else (for `run`) a private one.

use crate::cli::ClusterArg;
use crate::exit::{Exit, Failure};
use crate::terminal::note;
use muster_proto::link::{Access, AccessFolder, FileError, JoinError, Link, LinkError, Target, connect};

/// The name of the cluster that `muster up` starts unless told otherwise.
pub const DEFAULT_NAME: &str = "default";

/// The cluster to use.
#[derive(Clone, Debug)]
pub enum Choice {
    /// One of our own, for this command only.
    Private,
    /// One that runs already.
    Existing {
        /// What people call it.
        name: String,
        /// Where it is.
        target: Target,
    },
}

/// A link to a cluster and what people call it.
#[derive(Clone, Debug)]
pub struct Session {
    pub link: Link,
    pub name: String,
    /// Where the coordinator is found again when the link is lost; `None`: it does not come back.
    pub target: Option<Target>,
}

impl From<LinkError> for Failure {
    fn from(error: LinkError) -> Self {
        match &error {
            LinkError::Permission { .. } | LinkError::Unknown { .. } | LinkError::Refused { .. } => {
                Self::new(Exit::Permission, &error)
            }
            LinkError::Identity { .. } => Self::caused(Exit::Storage, &error),
            LinkError::PlainOffLoopback { .. } => Self::new(Exit::Usage, &error),
            LinkError::NotRunning { target } => Self::new(Exit::Connection, &error).hint(start_there(target)),
            _ => Self::caused(Exit::Connection, &error),
        }
    }
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        let failure = Self::caused(Exit::Usage, &error);
        match &error {
            JoinError::File { path, source } if source.kind() == std::io::ErrorKind::NotFound => {
                failure.hint(format_args!("a coordinator's socket is given as unix:{}", path.display()))
            }
            _ => failure,
        }
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        match &error {
            FileError::NoCluster { name, .. } => Self::new(Exit::Connection, &error).hint(format_args!(
                "start it with muster up --name {name}, or give a join string or unix:PATH"
            )),
            FileError::Name { .. } => Self::usage(&error),
            _ => Self::caused(Exit::Storage, &error),
        }
    }
}

/// How a coordinator is started where `muster up` would not put it.
fn start_there(target: &str) -> String {
    match target.strip_prefix("unix:") {
        Some(path) => format!("start it: muster coordinator start --socket {path}"),
        None => {
            "start it there with muster coordinator start, which prints the join string to use".to_owned()
        }
    }
}

/// Chooses a cluster. Access files of coordinators that are gone are removed on the way.
pub fn choose(told: &ClusterArg) -> Result<Choice, Failure> {
    match told.cluster.as_deref().map(str::trim) {
        Some("private") => Ok(Choice::Private),
        Some("") => Err(Failure::usage("--cluster (or MUSTER_CLUSTER) is empty")
            .hint("give a name, a join string or unix:PATH, or leave it out")),
        Some(text) => named(text),
        None => running(),
    }
}

/// A cluster by its name, or by where it is.
fn named(text: &str) -> Result<Choice, Failure> {
    let folder = AccessFolder::of_user()?;
    match folder.read(text) {
        Ok(access) if is_alive(&access) => Ok(existing(access)),
        Ok(_) => {
            forget(&folder, text);
            Err(Failure::new(Exit::Connection, format_args!("cluster {text:?} is not running any more"))
                .hint(format_args!("start it: muster up --name {text}")))
        }
        Err(missing @ FileError::NoCluster { .. }) => match Target::parse(text) {
            Ok(target) => Ok(Choice::Existing { name: target.to_string(), target }),
            Err(JoinError::Unknown { .. }) => Err(missing.into()),
            Err(error) => Err(error.into()),
        },
        Err(FileError::Name { .. }) => {
            let target = Target::parse(text)?;
            Ok(Choice::Existing { name: target.to_string(), target })
        }
        Err(error) => Err(error.into()),
    }
}

/// The cluster that is up: the default one, else the only one.
fn running() -> Result<Choice, Failure> {
    let Ok(folder) = AccessFolder::of_user() else { return Ok(Choice::Private) };
    let mut found = Vec::new();
    for name in folder.names()? {
        match folder.read(&name) {
            Ok(access) if is_alive(&access) => found.push(access),
            Ok(_) => forget(&folder, &name),
            Err(error) => note(format_args!("warning: {error}")),
        }
    }
    if let Some(at) = found.iter().position(|access| access.name == DEFAULT_NAME) {
        return Ok(existing(found.swap_remove(at)));
    }
    match found.len() {
        0 => Ok(Choice::Private),
        1 => Ok(existing(found.swap_remove(0))),
        _ => {
            let names: Vec<&str> = found.iter().map(|access| access.name.as_str()).collect();
            Err(Failure::usage(format_args!("several clusters are up: {}", names.join(", ")))
                .hint("choose one with --cluster NAME"))
        }
    }
}

fn existing(access: Access) -> Choice {
    Choice::Existing { name: access.name, target: access.target }
}

fn forget(folder: &AccessFolder, name: &str) {
    note(format_args!("note: cluster {name:?} ended without saying so; its access file is removed"));
    if let Err(error) = folder.remove(name) {
        note(format_args!("warning: {error}"));
    }
}

/// Whether the coordinator's process is there.
pub fn is_alive(access: &Access) -> bool {
    access.process.is_alive()
}

/// Connects to the cluster that is up or was named; there is no private one to fall back to.
pub async fn session(told: &ClusterArg) -> Result<Session, Failure> {
    match choose(told)? {
        Choice::Private if told.cluster.is_some() => {
            Err(Failure::usage("a private cluster lives only while `muster run` does")
                .hint("start one: muster up"))
        }
        Choice::Private => Err(Failure::new(Exit::Connection, "no cluster is up")
            .hint("start one with muster up, or name one with --cluster")),
        Choice::Existing { name, target } => {
            Ok(Session { link: connect(&target).await?, name, target: Some(target) })
        }
    }
}
