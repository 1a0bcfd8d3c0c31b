//! What people read goes to stderr, data to stdout. Both may be closed at any time: that is noticed, never a
//! panic.

use std::io::{self, IsTerminal, Write as _};

/// Writes one line for people on stderr. A closed stderr is not our problem.
pub fn note(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes `text` and a newline to stdout.
pub fn print(text: impl std::fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Writes one JSON object to stdout.
pub fn print_json(value: &impl serde::Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(value).map_err(io::Error::other)?;
    text.push(b'\n');
    let mut out = io::stdout().lock();
    out.write_all(&text)?;
    out.flush()
}

/// Whether people watch stderr.
pub fn watched() -> bool {
    is_a_screen(&io::stderr())
}

/// Whether colours are seen on stderr and wanted (<https://no-color.org>).
pub fn colours() -> bool {
    watched() && are_wanted()
}

/// The same of stdout.
pub fn colours_on_stdout() -> bool {
    is_a_screen(&io::stdout()) && are_wanted()
}

fn are_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
}

fn is_a_screen(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// How many columns tables may take.
pub fn columns() -> usize {
    let told = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    told.or_else(window_columns).unwrap_or(DEFAULT_COLUMNS).clamp(40, 400)
}

const DEFAULT_COLUMNS: usize = 80;

fn window_columns() -> Option<usize> {
    for fd in [libc::STDOUT_FILENO, libc::STDERR_FILENO] {
        // SAFETY: winsize is plain data for which zero is valid.
        let mut size: libc::winsize = unsafe { std::mem::zeroed() };
        // SAFETY: the ioctl writes one winsize to the pointer that is given.
        let found = unsafe { libc::ioctl(fd, libc::TIOCGWINSZ, &raw mut size) } == 0;
        if found && size.ws_col > 0 {
            return Some(usize::from(size.ws_col));
        }
    }
    None
}
