//! A task per file, or per part of a file cut at line ends.
//!
//! Named files and matches of a pattern may be symbolic links; links that are found while walking a folder
//! are left out, so that no file is read twice and no loop is entered.

use super::block::Block;
use super::lines::find_newline;
use super::{Blocks, InputError, Names, glob};
use muster_proto::INPUT_MAX_BYTES;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files in order, all found readable.
#[derive(Debug)]
pub struct FileList {
    files: Vec<PathBuf>,
    chunk: Option<usize>,
}

impl FileList {
    /// Finds the files that `patterns` name and opens each once: a file that cannot be read is named before
    /// anything runs. `chunk` is the size of a part in bytes.
    pub fn find(patterns: &[String], chunk: Option<u64>) -> Result<Self, InputError> {
        let mut files = Vec::new();
        for pattern in patterns {
            find_pattern(pattern, &mut files)?;
        }
        files.sort_unstable();
        files.dedup();
        for path in &files {
            check(path, chunk.is_some())?;
        }
        let chunk = chunk.map(|bytes| bytes.min(INPUT_MAX_BYTES as u64) as usize);
        Ok(Self { files, chunk })
    }

    /// The number of tasks, known when files are not cut.
    pub fn tasks(&self) -> Option<u64> {
        self.chunk.is_none().then_some(self.files.len() as u64)
    }

    /// Where they are.
    pub fn paths(&self) -> &[PathBuf] {
        &self.files
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }
}

fn find_pattern(pattern: &str, files: &mut Vec<PathBuf>) -> Result<(), InputError> {
    let path = Path::new(pattern);
    let found = if !glob::is_pattern(pattern) || fs::symlink_metadata(path).is_ok() {
        vec![path.to_owned()]
    } else {
        glob::expand(pattern)?
    };
    let before = files.len();
    for path in &found {
        let metadata = fs::metadata(path).map_err(|error| InputError::Read { path: path.clone(), error })?;
        if metadata.is_dir() { walk(path, files)? } else { files.push(path.clone()) }
    }
    match found.first() {
        None => Err(InputError::NoMatch { pattern: pattern.to_owned() }),
        Some(path) if files.len() == before => Err(InputError::EmptyFolder { path: path.clone() }),
        Some(_) => Ok(()),
    }
}

/// All regular files below a folder.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), InputError> {
    let read = |path: &Path, error| InputError::Read { path: path.to_owned(), error };
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| read(&folder, error))? {
            let entry = entry.map_err(|error| read(&folder, error))?;
            let kind = entry.file_type().map_err(|error| read(&entry.path(), error))?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    Ok(())
}

/// Whether the file can be read, without reading it. Opening a FIFO would wait for its writer.
fn check(path: &Path, cut: bool) -> Result<(), InputError> {
    use std::os::unix::fs::FileTypeExt as _;
    let read = |error| InputError::Read { path: path.to_owned(), error };
    let metadata = fs::metadata(path).map_err(read)?;
    let kind = metadata.file_type();
    let special = [(kind.is_fifo(), "a FIFO"), (kind.is_socket(), "a socket"), (!kind.is_file(), "a device")];
    if let Some(&(_, kind)) = special.iter().find(|(is, _)| *is) {
        return Err(InputError::NotAFile { path: path.to_owned(), kind });
    }
    if !cut && metadata.len() > INPUT_MAX_BYTES as u64 {
        return Err(too_large(path, metadata.len()));
    }
    File::open(path).map_err(read).map(drop)
}

fn too_large(path: &Path, bytes: u64) -> InputError {
    InputError::FileTooLarge { path: path.to_owned(), bytes, max: INPUT_MAX_BYTES }
}

/// Reads files into blocks.
pub struct FileParts {
    list: FileList,
    names: Names,
    next: usize,
    open: Option<OpenFile>,
}

/// A file that is being cut.
struct OpenFile {
    path: PathBuf,
    name: Arc<str>,
    file: File,
    /// What was read behind the last cut.
    rest: Vec<u8>,
    parts: u64,
    at_end: bool,
}

impl FileParts {
    /// Reads the files of `list`; tells `names` what each task is called.
    pub fn new(list: FileList, names: Names) -> Self {
        Self { list, names, next: 0, open: None }
    }

    /// Appends the next part of the open file, or of the next one. `false` at the end of all.
    fn push_part(&mut self, block: &mut Block) -> Result<bool, InputError> {
        loop {
            let mut open = match self.open.take() {
                Some(open) => open,
                None => match self.list.files.get(self.next) {
                    Some(path) => OpenFile::open(path)?,
                    None => return Ok(false),
                },
            };
            let pushed = open.push_part(block, self.list.chunk)?;
            if pushed {
                self.names.push(&open.name);
            }
            if open.at_end && open.rest.is_empty() {
                self.next += 1;
            } else {
                self.open = Some(open);
            }
            if pushed {
                return Ok(true);
            }
        }
    }
}

impl Blocks for FileParts {
    fn next_block(&mut self) -> Result<Option<Block>, InputError> {
        let mut block = Block::default();
        while !block.is_full() && self.push_part(&mut block)? {}
        Ok((!block.is_empty()).then_some(block))
    }
}

impl OpenFile {
    fn open(path: &Path) -> Result<Self, InputError> {
        let file = File::open(path).map_err(|error| InputError::Read { path: path.to_owned(), error })?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into();
        Ok(Self { path: path.to_owned(), name, file, rest: Vec::new(), parts: 0, at_end: false })
    }

    /// Reads until `rest` holds `wanted` bytes or the file ends.
    fn fill(&mut self, wanted: usize) -> Result<(), InputError> {
        let missing = wanted.saturating_sub(self.rest.len());
        if missing == 0 || self.at_end {
            return Ok(());
        }
        let read = (&self.file).take(missing as u64).read_to_end(&mut self.rest);
        let read = read.map_err(|error| InputError::Read { path: self.path.clone(), error })?;
        self.at_end = read < missing;
        Ok(())
    }

    /// Appends the whole file, or a part that ends behind the last newline within `chunk` bytes; a line longer
    /// than that is kept whole. An empty file is one empty task.
    fn push_part(&mut self, block: &mut Block, chunk: Option<usize>) -> Result<bool, InputError> {
        let wanted = chunk.unwrap_or(INPUT_MAX_BYTES + 1);
        self.fill(wanted)?;
        let cut = match self.rest[..wanted.min(self.rest.len())].iter().rposition(|&byte| byte == b'\n') {
            _ if self.at_end && self.rest.len() <= wanted => self.rest.len(),
            Some(newline) if chunk.is_some() => newline + 1,
            _ => self.end_of_long_line(wanted)?,
        };
        if cut > INPUT_MAX_BYTES {
            return Err(too_large(&self.path, self.file.metadata().map_or(cut as u64, |data| data.len())));
        }
        if cut == 0 && self.parts > 0 {
            return Ok(false);
        }
        block.push(&self.rest[..cut]);
        self.rest.drain(..cut);
        self.parts += 1;
        Ok(true)
    }

    /// The end of a line that is longer than a part.
    fn end_of_long_line(&mut self, from: usize) -> Result<usize, InputError> {
        self.fill(INPUT_MAX_BYTES + 1)?;
        let from = from.min(self.rest.len());
        Ok(find_newline(&self.rest[from..]).map_or(self.rest.len(), |newline| from + newline + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(list: FileList) -> Vec<(String, Vec<u8>)> {
        let names = Names::recorded();
        let mut reader = FileParts::new(list, names.clone());
        let mut found = Vec::new();
        while let Some(block) = reader.next_block().unwrap() {
            for part in block.into_items().iter() {
                found.push((names.get(found.len() as u64).unwrap().to_string(), part.to_vec()));
            }
        }
        found
    }

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/deep")).unwrap();
        for (name, text) in [("b.txt", "one\ntwo\nthree"), ("a/x.txt", ""), ("a/deep/y.rs", "fn\n")] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        std::os::unix::fs::symlink(dir.path().join("b.txt"), dir.path().join("a/link")).unwrap();
        dir
    }

    fn find(dir: &tempfile::TempDir, pattern: &str, chunk: Option<u64>) -> Result<FileList, InputError> {
        FileList::find(&[dir.path().join(pattern).to_str().unwrap().to_owned()], chunk)
    }

    #[test]
    fn folders_are_walked_and_files_sorted() {
        let dir = folder();
        let list = find(&dir, "", None).unwrap();
        assert_eq!(list.tasks(), Some(3));
        let names: Vec<String> = parts(list).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["y.rs", "x.txt", "b.txt"]);
        assert_eq!(find(&dir, "**/*.txt", None).unwrap().len(), 2);
        assert_eq!(find(&dir, "a/l*", None).unwrap().len(), 1);
    }

    #[test]
    fn parts_end_at_line_ends_and_make_up_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let text: String =
            (0..1000u32).map(|i| format!("{}\n", "x".repeat((i * 37 % 90) as usize))).collect();
        fs::write(dir.path().join("t"), &text).unwrap();
        for chunk in [1, 7, 64, 1000, 1 << 20] {
            let found = parts(find(&dir, "t", Some(chunk)).unwrap());
            assert!(found.iter().all(|(_, part)| part.ends_with(b"\n")));
            assert_eq!(found.iter().flat_map(|(_, part)| part.clone()).collect::<Vec<_>>(), text.as_bytes());
            let longest = found.iter().map(|(_, part)| part.len()).max().unwrap();
            assert!(longest <= (chunk as usize).max(90), "{longest} for {chunk}");
        }
    }

    #[test]
    fn an_empty_file_is_one_empty_task() {
        let dir = folder();
        for chunk in [None, Some(4)] {
            assert_eq!(parts(find(&dir, "a/x.txt", chunk).unwrap()), [("x.txt".to_owned(), Vec::new())]);
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let dir = folder();
        let error = |pattern: &str| find(&dir, pattern, None).unwrap_err().to_string();
        assert!(error("missing").contains("missing: No such file"), "{}", error("missing"));
        assert!(error("*.nothing").starts_with("no file matches"));
        let fifo = dir.path().join("fifo");
        let path = std::ffi::CString::new(fifo.to_str().unwrap()).unwrap();
        // SAFETY: the path is a valid C string.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
        assert!(error("fifo").ends_with("is a FIFO, not a file"));
        let big = File::create(dir.path().join("big")).unwrap();
        big.set_len(INPUT_MAX_BYTES as u64 + 1).unwrap();
        assert!(error("big").contains("at most 33554432"), "{}", error("big"));
        assert!(find(&dir, "big", Some(1 << 20)).is_ok());
    }
}
