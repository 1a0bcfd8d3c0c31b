//! What the operating system itself takes, without anything of muster around it: a child process of one thread that starts
//! threads and processes, passes turns between them, and shares memory with them.

mod held;
mod sharing;
mod starts;
mod turns;

pub use held::hold;
pub use sharing::{How, Sharing};
pub use starts::{Started, Starts};
pub use turns::{Between, Means, Turns};

use crate::exit::{Exit, Failure, Outcome, reason};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io;
use std::process::Stdio;
use std::time::Instant;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// The argument that makes this binary such a child; the request comes on stdin, and the answer goes to stdout.
const ARGUMENT: &str = "__bare";

/// What is asked.
#[derive(Debug, Serialize, Deserialize)]
enum Request {
    Starts(Starts),
    Turns(Turns),
    Sharing(Sharing),
}

/// Something that such a child measures.
pub trait Question: Serialize {
    /// What comes of it.
    type Answer: Serialize + DeserializeOwned;
    /// Measures, in a process of one thread.
    fn answer(&self) -> io::Result<Self::Answer>;
    #[doc(hidden)]
    fn into_request(self) -> impl Serialize;
}

macro_rules! questions {
    ($($name:ident => $answer:ty),*) => {$(
        impl Question for $name {
            type Answer = $answer;
            fn answer(&self) -> io::Result<$answer> {
                self.measure()
            }
            fn into_request(self) -> impl Serialize {
                Request::$name(self)
            }
        }
    )*};
}

questions!(Starts => Started, Turns => Vec<u64>, Sharing => u64);

/// Lets a child measure; it is killed when this is dropped, or the time is over. `None`: it was over.
pub async fn ask<Q: Question>(question: Q, end: Instant) -> Outcome<Option<Q::Answer>> {
    let failed = |error: &io::Error| {
        Failure::new(Exit::Limit, format_args!("cannot measure in a process of its own: {}", reason(error)))
    };
    let request = serde_json::to_vec(&question.into_request()).map_err(Failure::usage)?;
    let mut command = Command::new("/proc/self/exe");
    command.arg(ARGUMENT).arg(std::process::id().to_string());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    // Its own group: Ctrl-C in a terminal is for us alone.
    command.process_group(0);
    let mut child = command.spawn().map_err(|error| failed(&error))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&request).await.map_err(|error| failed(&error))?;
    }
    let Ok(output) = tokio::time::timeout_at(end.into(), child.wait_with_output()).await else {
        return Ok(None);
    };
    let output = output.map_err(|error| failed(&error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let how = if said.trim().is_empty() { output.status.to_string() } else { said.into_owned() };
        return Err(Failure::new(Exit::Limit, format_args!("cannot measure in a process of its own: {how}")));
    }
    let answer = serde_json::from_slice(&output.stdout);
    answer.map(Some).map_err(|error| failed(&io::Error::other(error)))
}

/// Measures when the arguments say so; does not come back then.
pub fn run_if_bare() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().is_none_or(|first| first != ARGUMENT) {
        return;
    }
    let code = match arguments.next().and_then(|parent| parent.parse().ok()) {
        Some(parent) => {
            muster_worker::os::process::die_with_parent(parent);
            match answered() {
                Ok(()) => 0,
                Err(error) => {
                    eprintln!("{}", reason(&error));
                    1
                }
            }
        }
        None => {
            eprintln!("muster starts this by itself; {ARGUMENT} is not for people");
            2
        }
    };
    std::process::exit(code)
}

fn answered() -> io::Result<()> {
    let request: Request = serde_json::from_reader(io::stdin())?;
    match request {
        Request::Starts(question) => said(&question),
        Request::Turns(question) => said(&question),
        Request::Sharing(question) => said(&question),
    }
}

fn said<Q: Question>(question: &Q) -> io::Result<()> {
    serde_json::to_writer(io::stdout(), &question.answer()?)?;
    Ok(())
}
