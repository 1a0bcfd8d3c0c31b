//! What people read goes to stderr, data to stdout. Both may be closed at any time: that is noticed, never a
//! panic.

use std::io::{self, IsTerminal, Write as _};

/// Says something to people on stderr, in lines of the terminal's width when it is one. A closed stderr is not our
/// problem.
pub fn note(text: impl std::fmt::Display) {
    if watched() {
        let width = columns();
        let text = text.to_string();
        show(text.split('\n').map(|line| wrapped(line, width)).collect::<Vec<_>>().join("\n"));
    } else {
        show(text);
    }
}

/// Writes lines for people on stderr as they are: tables, charts, commands that are to be pasted.
pub fn show(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// What a line may begin with; lines that continue it stand under what follows.
const TAGS: [&str; 5] = ["error: ", "hint: ", "warning: ", "note: ", "why: "];
/// Lines that continue one without a tag stand under this much.
const INDENT: usize = 2;

/// A line in lines of at most `width` characters, broken at spaces only: a longer word stays whole.
fn wrapped(line: &str, width: usize) -> String {
    let indent = TAGS.iter().find(|tag| line.starts_with(**tag)).map_or(INDENT, |tag| tag.len());
    let mut done = String::with_capacity(line.len());
    let mut column = 0;
    for (at, word) in line.split(' ').enumerate() {
        let length = word.chars().count();
        if at > 0 && column > indent && column + 1 + length > width {
            done.push('\n');
            done.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if at > 0 {
            done.push(' ');
            column += 1;
        }
        done.push_str(word);
        column += length;
    }
    done
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_at_spaces_and_go_on_under_their_text() {
        let error = wrapped("error: one two three four five", 16);
        assert_eq!(error, "error: one two\n       three\n       four five");
        assert_eq!(wrapped("note: one two", 13), "note: one two");
        assert_eq!(wrapped("emulating one two", 13), "emulating one\n  two");
        assert_eq!(
            wrapped("hint: /a/path/that/is/long is not there", 16),
            "hint: /a/path/that/is/long\n      is not\n      there"
        );
        assert_eq!(wrapped("hint: /a/path/that/is/long", 16), "hint: /a/path/that/is/long");
        assert_eq!(wrapped("  two  spaces", 80), "  two  spaces");
        assert_eq!(wrapped("", 80), "");
    }
}
