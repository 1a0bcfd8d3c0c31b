//! Files that are there whole or as they were before.

use crate::exit::{Exit, Failure, Outcome};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// A file of muster is known by what stands this near to its beginning.
const HEAD_BYTES: u64 = 512;

/// Refuses to replace a file that is none of ours: names like `report.html` are used by other programs, too. `mark`: what
/// those that muster wrote have near their beginning; `what`: what they are called.
pub fn is_free_for(path: &Path, mark: &str, what: &str) -> Outcome<()> {
    let is_ours_to_replace = || -> io::Result<bool> {
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() || metadata.len() == 0 {
            return Ok(true);
        }
        let mut head = Vec::new();
        File::open(path)?.take(HEAD_BYTES).read_to_end(&mut head)?;
        Ok(String::from_utf8_lossy(&head).contains(mark))
    };
    match is_ours_to_replace() {
        Ok(false) => {
            let path = path.display();
            Err(Failure::usage(format_args!(
                "{path} is there and is no {what} of muster: it is left as it is"
            ))
            .hint("give another name with -o, or delete it first"))
        }
        // What cannot be read is said when it cannot be written.
        Ok(true) | Err(_) => Ok(()),
    }
}

/// Writes a file. What was there stays until all of it is written; a disk that is full leaves nothing behind. What is no
/// file, as a pipe or a device, is written to.
pub fn save(path: &Path, content: &[u8]) -> Outcome<()> {
    // Through a link, what it points to is replaced, and the link stays.
    let place = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let is_special = std::fs::metadata(&place).is_ok_and(|metadata| !metadata.is_file());
    let written = if is_special {
        OpenOptions::new().write(true).open(&place).and_then(|mut file| file.write_all(content))
    } else {
        replace(&place, content)
    };
    written.map_err(|error| {
        let failure = Failure::io(Exit::Job, "write", path, &error);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        match folder {
            Some(folder) if error.kind() == io::ErrorKind::NotFound => {
                failure.hint(format_args!("make its folder first: mkdir -p {}", folder.display()))
            }
            _ => failure,
        }
    })
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let unfinished = beside(path);
    let written = File::create(&unfinished).and_then(|mut file| {
        file.write_all(content)?;
        // Some file systems notice only now that they are full.
        file.sync_all()
    });
    written.and_then(|()| std::fs::rename(&unfinished, path)).inspect_err(|_| {
        let _ = std::fs::remove_file(&unfinished);
    })
}

/// A name in the same folder that nobody else uses.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_a_link_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        save(&file, b"a long old text").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        save(&link, b"new").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing unfinished is left");
    }

    #[test]
    fn what_cannot_be_written_says_so_and_leaves_nothing() {
        let full = save(Path::new("/dev/full"), b"x").unwrap_err();
        assert_eq!(
            (full.exit, full.message()),
            (Exit::Storage, "cannot write /dev/full: No space left on device")
        );
        let folder = tempfile::tempdir().unwrap();
        let nowhere = save(&folder.path().join("a/b"), b"x").unwrap_err();
        assert!(nowhere.to_string().contains("hint: make its folder first: mkdir -p "), "{nowhere}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
