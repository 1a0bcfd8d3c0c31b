//! Why a task or a job failed.

use muster_plugin_abi::{ErrorText, status};
use std::fmt::{self, Display};
use std::io::ErrorKind;

/// Why a call failed. Any [`std::error::Error`] converts into one with `?`: I/O errors that may pass
/// (interrupted, timed out, connection refused or reset) become transient, all others final.
pub struct Error(Box<Failure>);

#[derive(Debug)]
struct Failure {
    status: i32,
    code: i32,
    message: String,
}

impl Error {
    /// The task fails for good: trying again would give the same.
    #[cold]
    #[must_use]
    pub fn failed(message: impl Display) -> Self {
        Self::new(status::FAILED, message)
    }

    /// The task may succeed on another try or another worker.
    #[cold]
    #[must_use]
    pub fn transient(message: impl Display) -> Self {
        Self::new(status::TRANSIENT, message)
    }

    /// The task stopped because it was asked to.
    #[cold]
    #[must_use]
    pub fn cancelled() -> Self {
        Self::new(status::CANCELLED, "cancelled")
    }

    /// The job's parameters or the task's input are not acceptable: say which value, and what would be.
    #[cold]
    #[must_use]
    pub fn params(message: impl Display) -> Self {
        Self::new(status::PARAMS, message)
    }

    /// This machine or host lacks something that the workload needs.
    #[cold]
    #[must_use]
    pub fn unsupported(message: impl Display) -> Self {
        Self::new(status::UNSUPPORTED, message)
    }

    /// Adds a number of the workload's own, which is shown to the user.
    #[must_use]
    pub fn with_code(mut self, code: i32) -> Self {
        self.0.code = code;
        self
    }

    /// Puts `what` and a colon before the message.
    #[must_use]
    pub fn context(mut self, what: impl Display) -> Self {
        self.0.message = format!("{what}: {}", self.0.message);
        self
    }

    /// The message.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// True for [`Error::cancelled`].
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.status == status::CANCELLED
    }

    #[cold]
    pub(crate) fn new(status: i32, message: impl Display) -> Self {
        Self(Box::new(Failure { status, code: 0, message: message.to_string() }))
    }

    /// What a function of the host refused, in its words.
    #[cold]
    pub(crate) fn of_host(status: i32, text: &ErrorText) -> Self {
        Self::new(status, String::from_utf8_lossy(text.bytes())).with_code(text.plugin_code)
    }

    pub(crate) fn status(&self) -> i32 {
        self.0.status
    }

    /// Hands the error over the border.
    pub(crate) fn store(&self, text: &mut ErrorText) -> i32 {
        text.plugin_code = self.0.code;
        text.set(&self.0.message);
        self.0.status
    }
}

impl<E: std::error::Error + 'static> From<E> for Error {
    #[cold]
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            source = cause.source();
        }
        let any: &(dyn std::error::Error + 'static) = &error;
        let passes = any.downcast_ref::<std::io::Error>().is_some_and(|io| may_pass(io.kind()));
        Self::new(if passes { status::TRANSIENT } else { status::FAILED }, message)
    }
}

fn may_pass(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Interrupted
            | ErrorKind::TimedOut
            | ErrorKind::WouldBlock
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
    )
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: ErrorKind) -> Result<(), Error> {
        Err(std::io::Error::from(kind))?;
        Ok(())
    }

    #[test]
    fn io_errors_that_may_pass_are_transient() {
        assert_eq!(read(ErrorKind::TimedOut).unwrap_err().status(), status::TRANSIENT);
        assert_eq!(read(ErrorKind::NotFound).unwrap_err().status(), status::FAILED);
    }

    #[test]
    fn code_and_context_reach_the_border() {
        let mut text = ErrorText::new();
        let error = Error::failed("no such row").with_code(7).context("row 3");
        assert_eq!(error.store(&mut text), status::FAILED);
        assert_eq!((text.plugin_code, text.bytes()), (7, b"row 3: no such row".as_slice()));
    }
}
