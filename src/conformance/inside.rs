//! The child process of a test: it loads the plugin and says in lines of JSON what it sees.

use super::{Subject, lives, panics};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_plugin_host::{JobParams, take_stdout};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;

/// The argument that makes this binary such a child; the request comes on stdin.
pub const INSIDE_ARGUMENT: &str = "__conformance";

/// What is asked, and about which plugin.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    pub question: String,
    pub plugin: PathBuf,
    /// JSON.
    pub params: String,
    pub seed: u64,
    pub tasks: u64,
    /// Of the first task, in base64.
    input: Option<String>,
    result: Option<String>,
}

impl Request {
    /// A question about a plugin; `result`: of its first task.
    pub fn new(subject: &Subject, question: &str, result: Option<&[u8]>) -> Self {
        let input = subject.inputs().and_then(|inputs| inputs.first());
        Self {
            question: question.to_owned(),
            plugin: subject.file.path().to_owned(),
            params: subject.params.to_string(),
            seed: subject.seed(),
            tasks: subject.tasks,
            input: input.map(|input| STANDARD.encode(input)),
            result: result.map(|result| STANDARD.encode(result)),
        }
    }

    /// The input of the first task, when tasks have some.
    pub fn input(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.input.as_ref()?).ok()
    }

    /// The result of the first task, when there is one.
    pub fn result(&self) -> Option<Vec<u8>> {
        STANDARD.decode(self.result.as_ref()?).ok()
    }

    /// What the plugin is told about a job.
    pub fn job(&self) -> JobParams {
        JobParams {
            id: 1,
            params: self.params.clone(),
            seed: self.seed,
            threads: 1,
            tasks: Some(self.tasks),
            memory_limit: None,
        }
    }
}

/// Where the lines go.
pub struct Lines(File);

impl Lines {
    /// Says something at once: the next call may be the last thing this process does.
    pub fn say(&mut self, line: &Value) {
        // Whoever asked may be gone; then there is nobody to tell.
        let _ = writeln!(self.0, "{line}").and_then(|()| self.0.flush());
    }
}

/// Answers when the arguments say so; does not come back then.
pub fn run_if_inside() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != INSIDE_ARGUMENT) || arguments.next().is_some() {
        return;
    }
    let mut text = Vec::new();
    let read = std::io::stdin().read_to_end(&mut text);
    let request = read.ok().and_then(|_| serde_json::from_slice::<Request>(&text).ok());
    let code = match (request, take_stdout()) {
        (Some(request), Ok(file)) => {
            let mut lines = Lines(file);
            match request.question.as_str() {
                lives::QUESTION => lives::answer(&request, &mut lines),
                question => panics::answer(&request, question == panics::QUESTION_LOAD, &mut lines),
            }
            0
        }
        _ => {
            eprintln!("muster starts this by itself; {INSIDE_ARGUMENT} is not for people");
            2
        }
    };
    // SAFETY: ends the process at once: threads of the plugin may still be running.
    unsafe { libc::_exit(code) }
}
