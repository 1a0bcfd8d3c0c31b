//! How a command ends: the closed set of exit codes, and the failure that every error becomes at the top.

use muster_proto::link::system_error;
use std::fmt;
use std::io::ErrorKind;

/// The exit codes of `muster`. `--help` lists them; scripts may rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything asked for was done.
    Ok = 0,
    /// The job ran, and at least one task failed.
    TasksFailed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The job cannot be run as described (inputs, outputs), failed as a whole, or is not there.
    Job = 3,
    /// The plugin is missing, broken, or does not build.
    Plugin = 4,
    /// The coordinator cannot be reached, or went away.
    Connection = 5,
    /// The coordinator or the file system refused access.
    Permission = 6,
    /// A limit was hit.
    Limit = 7,
    /// Something could not be stored.
    Storage = 9,
    /// What was measured does not mean what it should.
    Invalid = 10,
    /// Something takes longer than it did.
    Regression = 11,
    /// Ctrl-C, SIGTERM or SIGHUP ended it (128 + SIGINT).
    Interrupted = 130,
}

impl Exit {
    /// What the system refused for want of permission or of room has one exit code, whatever was tried.
    pub const fn unless_system(self, said: Option<ErrorKind>) -> Self {
        match said {
            Some(ErrorKind::PermissionDenied) => Self::Permission,
            Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => Self::Storage,
            _ => self,
        }
    }

    /// How another process of muster failed; `None` when it did not, or when a signal ended it.
    pub fn of_failed(status: std::process::ExitStatus) -> Option<Self> {
        let failures = [
            Self::TasksFailed,
            Self::Usage,
            Self::Job,
            Self::Plugin,
            Self::Connection,
            Self::Permission,
            Self::Limit,
            Self::Storage,
            Self::Invalid,
            Self::Regression,
        ];
        failures.into_iter().find(|exit| status.code() == Some(*exit as i32))
    }
}

/// The paragraph that ends `muster --help`.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done                       5  coordinator not reachable
  1  tasks failed               6  permission denied
  2  wrong usage                7  a limit was hit
  3  job, inputs or outputs     9  storage
  4  plugin                    10  a measurement is invalid
                               11  slower than before
                              130  Ctrl-C, SIGTERM, SIGHUP: cancelled

Environment (docs/environment.md has all):
  MUSTER_CLUSTER     the cluster to use: a name, join string, file or unix:PATH
  MUSTER_JOIN        join string of `muster worker start`, or a file that has it
  MUSTER_STATE_HOME  folder of access files and of `muster up` (default: XDG's)
  MUSTER_CACHE       folder of workers' plugins (default: in XDG's cache folder)
  MUSTER_SCRATCH     folder of running tasks' files (default: in MUSTER_CACHE)
  MUSTER_LOG         what is logged: error, warn, info, debug (default: info)";

/// Why a command failed, as the user reads it: one line, and one more with what helps.
#[derive(Debug)]
pub struct Failure {
    /// The exit code it ends with.
    pub exit: Exit,
    message: String,
    hint: Option<String>,
}

/// The result of every command.
pub type Outcome<T = Exit> = Result<T, Failure>;

impl Failure {
    /// A failure with its one line.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: one_line(&message.to_string()), hint: None }
    }

    /// Wrong usage.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// An error that says all itself. `exit` holds unless what it was caused by has an exit code of its own.
    pub fn caused(exit: Exit, error: &(impl std::error::Error + 'static)) -> Self {
        Self::new(exit.unless_system(system_error(error)), error)
    }

    /// The one line, without what helps.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Adds the line that says what helps.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(one_line(&hint.to_string()));
        self
    }

    /// Adds such a line where there is none yet.
    #[must_use]
    pub fn hint_if_none(self, hint: impl fmt::Display) -> Self {
        if self.hint.is_none() { self.hint(hint) } else { self }
    }

    /// Says something before the message.
    #[must_use]
    pub fn after(self, before: impl fmt::Display) -> Self {
        Self { message: one_line(&format!("{before}{}", self.message)), ..self }
    }

    /// The same with another exit code.
    #[must_use]
    pub fn ends_with(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// A failed file operation: what was tried, on which path.
    pub fn io(exit: Exit, what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        let exit = exit.unless_system(Some(error.kind()));
        Self::new(exit, format_args!("cannot {what} {}: {}", path.display(), reason(error)))
    }

    /// What a coordinator answered instead of what was asked.
    pub fn from_status(what: &str, status: &tonic::Status) -> Self {
        use tonic::Code;
        let exit = match status.code() {
            Code::Unavailable | Code::DeadlineExceeded | Code::Unknown | Code::Aborted => Exit::Connection,
            Code::Unauthenticated | Code::PermissionDenied => Exit::Permission,
            Code::ResourceExhausted | Code::OutOfRange => Exit::Limit,
            Code::AlreadyExists => Exit::Plugin,
            Code::DataLoss | Code::Internal => Exit::Storage,
            // What was asked for cannot be had as things are: a plugin in use, results that were not kept.
            Code::InvalidArgument | Code::NotFound | Code::FailedPrecondition => Exit::Usage,
            Code::Unimplemented => Exit::Connection,
            Code::Ok | Code::Cancelled => Exit::Job,
        };
        let text = match status.message() {
            "" => format!("{:?}", status.code()),
            text => text.to_owned(),
        };
        let lost = matches!(status.code(), Code::Unavailable | Code::Unknown);
        let failure = Self::new(exit, format_args!("{what}: {text}"));
        if lost { failure.hint("see whether the coordinator still runs: muster worker ls") } else { failure }
    }

    /// The same, where a job was asked about: one that is not there is no wrong usage.
    pub fn about_job(what: &str, status: &tonic::Status) -> Self {
        Self::about(what, status, "list jobs: muster job ls")
    }

    /// The same for a worker.
    pub fn about_worker(what: &str, status: &tonic::Status) -> Self {
        Self::about(what, status, "list workers: muster worker ls")
    }

    fn about(what: &str, status: &tonic::Status, list: &str) -> Self {
        if status.code() == tonic::Code::NotFound {
            // What is not there is all that there is to say; who asked knows the name of the field.
            let text = status.message();
            return Self::new(Exit::Job, text.strip_prefix("job: ").unwrap_or(text)).hint(list);
        }
        Self::from_status(what, status)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

/// What the system says about an error, without Rust's `(os error N)`.
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// The same for a message that has such an error inside.
fn without_error_number(text: &str) -> String {
    let Some((before, rest)) = text.split_once(" (os error ") else { return text.to_owned() };
    let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before}{}", after.strip_prefix(')').unwrap_or(after))
}

/// Makes sure that a message is one line, whatever a plugin or a server put into it.
fn one_line(text: &str) -> String {
    let text = without_error_number(text);
    let mut line = String::with_capacity(text.len());
    for part in text.split(['\n', '\r']).map(str::trim).filter(|part| !part.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.extend(part.chars().map(|c| if c.is_control() { ' ' } else { c }));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_and_a_hint() {
        let failure = Failure::usage("a\n  b\x1b[2J").hint("c");
        assert_eq!(failure.to_string(), "error: a b [2J\nhint: c");
    }

    #[test]
    fn the_end_of_the_help_fits_80_columns() {
        assert!(EXIT_CODES.lines().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn the_system_speaks_in_words_only() {
        let failure = Failure::usage("no: In use (os error 98); choose another");
        assert_eq!(failure.to_string(), "error: no: In use; choose another");
    }

    #[test]
    fn what_the_system_refuses_is_a_permission_failure_wherever_it_is_met() {
        use muster_proto::link::{FileError, JoinError, ListenError};
        let path = || std::path::PathBuf::from("/x");
        for number in [libc::EACCES, libc::EPERM] {
            let refused = || std::io::Error::from_raw_os_error(number);
            let failures: [Failure; 6] = [
                JoinError::File { path: path(), source: refused() }.into(),
                FileError::Io { action: "read", path: path(), source: refused() }.into(),
                crate::input::InputError::Read { path: path(), error: refused() }.into(),
                crate::output::SinkError::Write { path: path(), error: refused() }.into(),
                muster_worker::WorkerError::from(JoinError::File { path: path(), source: refused() }).into(),
                muster_coordinator::StartError::from(ListenError::Unix { path: path(), source: refused() })
                    .into(),
            ];
            for failure in failures {
                assert_eq!(failure.exit, Exit::Permission, "{failure}");
            }
        }
    }

    #[test]
    fn a_full_disk_is_a_storage_failure() {
        let error = std::io::Error::from_raw_os_error(libc::ENOSPC);
        let failure = Failure::io(Exit::Job, "write", std::path::Path::new("/x"), &error);
        assert_eq!(failure.exit, Exit::Storage);
        assert_eq!(failure.to_string(), "error: cannot write /x: No space left on device");
    }
}
