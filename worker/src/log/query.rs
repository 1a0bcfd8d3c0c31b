//! Reading lines back: of all tasks or of some, from a position on, or only the last.

use super::LINE_BYTES_MAX;
use super::line::{ENTRY_BYTES, Entry, Line};
use super::segment::{data_path, index_path};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Entries that are read at once.
const ENTRIES_AT_ONCE: usize = 1_600;
/// What a line takes beside its text in an answer.
const LINE_OVERHEAD: usize = 64;

/// Which lines are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Of these tasks; none named: of all, and those that belong to none.
    pub tasks: Option<BTreeSet<u64>>,
    /// Only the last so many; 0: all.
    pub last: u64,
    /// Behind this position; 0: from the first.
    pub after: u64,
    /// Bytes of an answer; at least one line is in it when there is one.
    pub bytes_max: usize,
}

impl Query {
    /// Whether it asks for lines of this task.
    #[must_use]
    pub fn wants(&self, task: Option<u64>) -> bool {
        self.tasks.as_ref().is_none_or(|tasks| task.is_some_and(|task| tasks.contains(&task)))
    }
}

/// Lines, each with the position behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The lines.
    pub lines: Vec<(Line, u64)>,
    /// Where to go on.
    pub next: u64,
    /// Nothing was there behind them.
    pub end: bool,
}

/// Reads lines of a job's log in `folder`. Waits for the disk.
///
/// # Errors
/// When a file that is there cannot be read.
pub fn read(folder: &Path, query: &Query) -> io::Result<Reply> {
    let mut segments = segments(folder)?;
    let after =
        if query.last > 0 { last_from(folder, &segments, query)?.max(query.after) } else { query.after };
    segments.retain(|&number| u64::from(number) >= after >> 32);
    let mut reply = Reply { next: after, ..Reply::default() };
    let mut left = query.bytes_max;
    for number in segments {
        let first = if u64::from(number) == after >> 32 { after & u64::from(u32::MAX) } else { 0 };
        // Removed meanwhile: what was in it is gone.
        let Some((index, data)) = open(folder, number)? else { continue };
        if !read_segment(number, &index, &data, first, query, &mut left, &mut reply)? {
            return Ok(reply);
        }
    }
    reply.end = true;
    Ok(reply)
}

/// Reads on in one segment from entry `first`; `false`: there is no room for more.
fn read_segment(
    number: u32,
    index: &File,
    data: &File,
    first: u64,
    query: &Query,
    left: &mut usize,
    reply: &mut Reply,
) -> io::Result<bool> {
    let mut at = first;
    loop {
        let entries = entries(index, at, ENTRIES_AT_ONCE)?;
        for entry in &entries {
            let bytes = entry.len as usize + LINE_OVERHEAD;
            if query.wants(entry.task.map(|task| task.index)) {
                if bytes > *left && !reply.lines.is_empty() {
                    return Ok(false);
                }
                *left = left.saturating_sub(bytes);
                let position = position(number, at + 1);
                reply.lines.push((line(*entry, data)?, position));
            }
            at += 1;
            reply.next = position(number, at);
        }
        if entries.is_empty() {
            return Ok(true);
        }
    }
}

fn line(entry: Entry, data: &File) -> io::Result<Line> {
    // An index that was damaged must not ask for memory.
    let end = u64::from(entry.offset) + u64::from(entry.len);
    if entry.len as usize > LINE_BYTES_MAX && end > data.metadata()?.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut text = vec![0; entry.len as usize];
    data.read_exact_at(&mut text, entry.offset.into())?;
    let Entry { time_ns, executor, task, source, .. } = entry;
    Ok(Line { time_ns, executor, task, source, text: Bytes::from(text) })
}

const fn position(segment: u32, entry: u64) -> u64 {
    ((segment as u64) << 32) | entry
}

/// Where the last wanted lines begin.
fn last_from(folder: &Path, segments: &[u32], query: &Query) -> io::Result<u64> {
    let mut wanted = query.last;
    for &number in segments.iter().rev() {
        let Some((index, _)) = open(folder, number)? else { continue };
        let mut until = index.metadata()?.len() / ENTRY_BYTES as u64;
        while until > 0 {
            let from = until.saturating_sub(ENTRIES_AT_ONCE as u64);
            let entries = entries(&index, from, (until - from) as usize)?;
            for (place, entry) in entries.iter().enumerate().rev() {
                if query.wants(entry.task.map(|task| task.index)) {
                    wanted -= 1;
                    if wanted == 0 {
                        return Ok(position(number, from + place as u64));
                    }
                }
            }
            until = from;
        }
    }
    Ok(0)
}

/// At most `count` whole entries from the number `from` on.
fn entries(index: &File, from: u64, count: usize) -> io::Result<Vec<Entry>> {
    let mut bytes = vec![0; count * ENTRY_BYTES];
    let mut filled = 0;
    while filled < bytes.len() {
        match index.read_at(&mut bytes[filled..], from * ENTRY_BYTES as u64 + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(bytes[..filled].as_chunks::<ENTRY_BYTES>().0.iter().map(Entry::decode).collect())
}

/// The segments that are there, the oldest first.
fn segments(folder: &Path) -> io::Result<Vec<u32>> {
    let listed = match std::fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.strip_suffix(".index")?.parse().ok();
    let mut found: Vec<u32> = listed.flatten().filter_map(number).collect();
    found.sort_unstable();
    Ok(found)
}

fn open(folder: &Path, number: u32) -> io::Result<Option<(File, File)>> {
    let both = File::open(index_path(folder, number))
        .and_then(|index| Ok((index, File::open(data_path(folder, number))?)));
    match both {
        Ok(both) => Ok(Some(both)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Source;

    #[test]
    fn an_index_that_promises_more_than_there_is_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (len, is_there) in [(5, true), (6, false), (u32::MAX, false)] {
            let entry = Entry { time_ns: 1, executor: 1, task: None, source: Source::Output, offset: 0, len };
            std::fs::write(index_path(folder.path(), 0), entry.encode()).unwrap();
            std::fs::write(data_path(folder.path(), 0), b"hello").unwrap();
            let found = read(folder.path(), &Query { bytes_max: 100, ..Query::default() });
            let error = found.as_ref().err().map(io::Error::kind);
            assert_eq!(error, (!is_there).then_some(io::ErrorKind::UnexpectedEof), "{len}");
        }
    }
}
