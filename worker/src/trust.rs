//! What `--trust` says: which plugins a worker loads.

use crate::error::WorkerError;
use muster_core::trust::{TRUSTED_MAX, Trust, Trusted};
use muster_proto::convert::{NAME_MAX_BYTES, clip};
use muster_proto::link::Target;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// The longest file of plugins that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What was given for a worker of the coordinator at `target`.
///
/// # Errors
/// Nothing was given and the coordinator is on the network, or something that names no plugin.
pub(crate) fn read(given: &[String], target: &Target) -> Result<Trust, WorkerError> {
    if given.is_empty() {
        return match target {
            Target::Unix(_) => Ok(Trust::Any),
            Target::Tls { .. } | Target::Plain { .. } => Err(WorkerError::NoTrust),
        };
    }
    let (mut listed, mut any) = (Vec::new(), None);
    for text in given.iter().map(|text| text.trim()) {
        let words =
            if text.contains('/') { in_file(text)? } else { vec![(text.to_owned(), text.to_owned())] };
        for (place, word) in words {
            match word.parse::<Trusted>() {
                _ if word == "any" => any = Some(place),
                Ok(trusted) => listed.push(trusted),
                Err(wanted) => return Err(not_one(text, &place, &wanted)),
            }
        }
    }
    match any {
        Some(place) if !listed.is_empty() => Err(wrong(&place, "with any, no other plugins can be listed")),
        Some(_) => Ok(Trust::Any),
        None if listed.len() > TRUSTED_MAX => {
            let value = format!("lists {} plugins", listed.len());
            Err(wrong(&value, &format!("at most {TRUSTED_MAX} can be")))
        }
        None => Ok(Trust::Listed(listed)),
    }
}

/// What names no plugin, on the command line or in a file.
fn not_one(given: &str, place: &str, wanted: &str) -> WorkerError {
    if given.contains('/') {
        return wrong(place, wanted);
    }
    let file = if Path::new(given).is_file() {
        format!("a file (write ./{given})")
    } else {
        "a file (a path with /)".to_owned()
    };
    wrong(place, &format!("any, {file}, {wanted}"))
}

/// One plugin in each line, with where it stands; what follows a # is not read.
fn in_file(path: &str) -> Result<Vec<(String, String)>, WorkerError> {
    let cannot = |error: std::io::Error| wrong(path, &format!("the file cannot be read: {error}"));
    // Pipes and devices may have no end.
    if !std::fs::metadata(path).map_err(cannot)?.is_file() {
        return Err(wrong(path, "a plain file is wanted, this is a folder, a pipe or a device"));
    }
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(cannot)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong(path, &format!("at most {FILE_BYTES_MAX} bytes of a file are read")));
    }
    let words = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let placed = words.enumerate().filter(|(_, word)| !word.is_empty());
    let placed = placed.map(|(at, word)| (format!("{path}, line {}, {word}", at + 1), word.to_owned()));
    let placed: Vec<_> = placed.collect();
    if placed.is_empty() {
        return Err(wrong(path, "it lists no plugin; any, in a line, is for all of them"));
    }
    Ok(placed)
}

fn wrong(value: &str, wanted: &str) -> WorkerError {
    let value = clip(value, NAME_MAX_BYTES).to_owned();
    WorkerError::Flag { flag: "--trust", value, wanted: wanted.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_proto::link::Token;

    fn given(texts: &[&str]) -> Result<Trust, String> {
        let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
        read(&texts, &Target::Unix("/run/m.sock".into())).map_err(|error| error.to_string())
    }

    #[test]
    fn only_who_reaches_the_coordinator_by_a_socket_trusts_it_unasked() {
        assert_eq!(given(&[]), Ok(Trust::Any));
        let plain = Target::plain("127.0.0.1:1", Token([3; 32])).unwrap();
        let error = read(&[], &plain).unwrap_err().to_string();
        assert!(error.contains("--trust any") && error.contains("NAME@VERSION"), "{error}");
        assert_eq!(read(&["any".to_owned()], &plain).unwrap(), Trust::Any);
        assert_eq!(given(&[" any", "any "]), Ok(Trust::Any));
    }

    #[test]
    fn plugins_come_from_the_command_line_and_from_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("trusted");
        let digest = "ab".repeat(32);
        std::fs::write(&file, format!("# ours\nprimes@1.0.0\n\n  {digest}  # loop\n")).unwrap();
        let file = file.to_str().unwrap();
        let both = given(&["x@2", file]).unwrap();
        assert!(both.admits("primes", "1.0.0", &[0; 32]) && both.admits("any", "1", &[0xab; 32]));
        assert!(both.admits("x", "2", &[0; 32]) && !both.admits("x", "1", &[0; 32]));
        std::fs::write(file, "primes@1.0.0\nprimes\n").unwrap();
        let error = given(&[file]).unwrap_err();
        assert!(error.contains("line 2, primes: ") && error.contains("NAME@VERSION"), "{error}");
        std::fs::write(file, "any\n").unwrap();
        assert_eq!(given(&[file]), Ok(Trust::Any));
        std::fs::write(file, "any\nx@1\n").unwrap();
        assert!(given(&[file]).unwrap_err().contains("line 1, any: with any"));
        std::fs::write(file, "# nothing yet\n").unwrap();
        assert!(given(&[file]).unwrap_err().contains("lists no plugin"));
        std::fs::write(file, "x".repeat(200_000)).unwrap();
        assert!(given(&[file]).unwrap_err().len() < 1_000);
        std::fs::write(file, [0xff, 0xfe]).unwrap();
        assert!(given(&[file]).unwrap_err().contains("cannot be read"));
    }

    #[test]
    fn what_names_no_plugin_is_named() {
        for (texts, words) in [
            (&["primes"][..], "--trust primes: any, a file (a path with /), NAME@VERSION"),
            // A variable that is empty must not mean any.
            (&[""], "NAME@VERSION"),
            (&["any", "x@1"], "no other plugins"),
            (&["/no/such/file"], "cannot be read"),
            (&["/dev/zero"], "--trust /dev/zero: a plain file is wanted"),
            (&["/"], "a plain file is wanted"),
        ] {
            let error = given(texts).unwrap_err();
            assert!(error.contains(words) && !error.contains('\n'), "{error}");
        }
        let many = vec!["x@1".to_owned(); TRUSTED_MAX + 1];
        let error = read(&many, &Target::Unix("/x".into())).unwrap_err().to_string();
        assert!(error.contains("at most 1024"), "{error}");
    }
}
