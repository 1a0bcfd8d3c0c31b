//! Patterns of `--files` that the shell did not expand: `*`, `?`, `[a-z]`, `[!a-z]` within a name, `**` for
//! any depth of folders. A name that begins with a dot is matched only by a pattern that does, too.

use super::InputError;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Whether the text is a pattern rather than a path.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// All paths that match, in no order. Folders that cannot be listed are an error, missing ones are not.
pub fn expand(pattern: &str) -> Result<Vec<PathBuf>, InputError> {
    let bad = |reason| InputError::BadPattern { pattern: pattern.to_owned(), reason };
    let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    for part in &parts {
        check(part.as_bytes()).map_err(bad)?;
    }
    let root = if pattern.starts_with('/') { PathBuf::from("/") } else { PathBuf::new() };
    let mut found = Vec::new();
    descend(root, &parts, &mut found)?;
    Ok(found)
}

fn descend(base: PathBuf, parts: &[&str], found: &mut Vec<PathBuf>) -> Result<(), InputError> {
    let Some((&part, rest)) = parts.split_first() else {
        found.push(base);
        return Ok(());
    };
    if part == "**" {
        descend(base.clone(), if rest.is_empty() { &["*"] } else { rest }, found)?;
        for (name, is_folder) in list(&base)? {
            if is_folder && !name.as_bytes().starts_with(b".") {
                descend(base.join(&*name), parts, found)?;
            }
        }
        return Ok(());
    }
    if !is_pattern(part) {
        let path = base.join(part);
        return if path.symlink_metadata().is_ok() { descend(path, rest, found) } else { Ok(()) };
    }
    for (name, _) in list(&base)? {
        if name_matches(part.as_bytes(), name.as_bytes()) {
            let path = base.join(&*name);
            if rest.is_empty() || path.is_dir() {
                descend(path, rest, found)?;
            }
        }
    }
    Ok(())
}

/// The names in a folder, and whether each is a folder itself (links to folders are not).
fn list(folder: &Path) -> Result<Vec<(Box<OsStr>, bool)>, InputError> {
    let shown = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let failed = |error| InputError::Read { path: shown.to_owned(), error };
    let entries = match std::fs::read_dir(shown) {
        Ok(entries) => entries,
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(failed(error)),
    };
    let named = |entry: std::fs::DirEntry| {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        (entry.file_name().into_boxed_os_str(), is_folder)
    };
    entries.map(|entry| entry.map(named).map_err(failed)).collect()
}

fn name_matches(pattern: &[u8], name: &[u8]) -> bool {
    (!name.starts_with(b".") || pattern.starts_with(b".")) && matches(pattern, name)
}

/// Whether a pattern matches a name; `None`: it is no pattern.
#[cfg(fuzzing)]
pub fn pattern_matches(pattern: &str, name: &str) -> Option<bool> {
    check(pattern.as_bytes()).ok()?;
    Some(name_matches(pattern.as_bytes(), name.as_bytes()))
}

/// Matches bytes without backtracking further than the last `*`: linear in practice, quadratic at worst.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p + 1, n));
            p += 1;
        } else if let Some(step) = one(&pattern[p..], name[n]) {
            (p, n) = (p + step, n + 1);
        } else if let Some((behind, at)) = star {
            star = Some((behind, at + 1));
            (p, n) = (behind, at + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// Matches one byte against the head of the pattern; how long that head is.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => {
            let (negated, items, length) = set(pattern)?;
            let mut inside = false;
            let mut i = 0;
            while i < items.len() {
                if i + 2 < items.len() && items[i + 1] == b'-' {
                    inside |= (items[i]..=items[i + 2]).contains(&byte);
                    i += 3;
                } else {
                    inside |= items[i] == byte;
                    i += 1;
                }
            }
            (inside != negated).then_some(length)
        }
        other => (other == byte).then_some(1),
    }
}

/// A set at the head of the pattern: whether it is negated, what is in it, and its length with brackets.
fn set(pattern: &[u8]) -> Option<(bool, &[u8], usize)> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let from = 1 + usize::from(negated);
    // A bracket right at the start is a member.
    let close = pattern.iter().skip(from + 1).position(|&byte| byte == b']')? + from + 1;
    Some((negated, &pattern[from..close], close + 1))
}

fn check(part: &[u8]) -> Result<(), &'static str> {
    let mut at = 0;
    while at < part.len() {
        at += match part[at] {
            b'[' => set(&part[at..]).ok_or("a [ has no ]")?.2,
            _ => 1,
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*", "abc", true),
            ("*", "", true),
            ("*", ".hidden", false),
            (".*", ".hidden", true),
            ("*.rs", "lib.rs", true),
            ("*.rs", "lib.rst", false),
            ("a*b*c", "aXbYbZc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]x]", "]", true),
            ("GPL-[12]", "GPL-2", true),
            ("GPL-[12]", "GPL-3", false),
        ] {
            assert_eq!(name_matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_hostile_pattern_ends() {
        let name = vec![b'a'; 5000];
        assert!(!matches(b"*a*a*a*a*a*a*a*a*b", &name));
    }

    #[test]
    fn an_open_bracket_is_refused() {
        assert!(expand("/tmp/[a").unwrap_err().to_string().contains("has no ]"));
    }
}
