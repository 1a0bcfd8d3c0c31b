//! `muster report`: kept runs as one page.

use super::export::find_all;
use crate::cli::ReportArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::kept::Bundle;
use crate::output::{Target, save};
use crate::report::{self, MARK};
use crate::summary::bytes;
use crate::terminal::note;
use std::io::{Read as _, Write as _};
use std::path::Path;

/// A report is known by what stands this near to its beginning.
const HEAD_BYTES: u64 = 512;

/// Reads, draws and writes.
pub fn report(args: &ReportArgs) -> Outcome {
    let target = Target::new(&args.output);
    if let Target::Folder(folder) = &target {
        let file = folder.join("report.html");
        return Err(Failure::usage(format_args!("-o {} is a folder", folder.display()))
            .hint(format_args!("name the file, as in -o {}", file.display())));
    }
    if let Target::File(path) = &target {
        refuse_what_is_no_report(path)?;
    }
    let bundles: Vec<Bundle> = find_all(&args.runs)?.iter().map(Bundle::read).collect::<Outcome<_>>()?;
    let page = report::page(&bundles)?;
    match target {
        Target::File(path) => {
            save(&path, page.as_bytes())?;
            note(format_args!("report: {} ({})", path.display(), bytes(page.len() as u64)));
            Ok(Exit::Ok)
        }
        Target::Stdout | Target::Folder(_) => {
            let mut out = std::io::stdout().lock();
            super::printed(out.write_all(page.as_bytes()).and_then(|()| out.flush()))
        }
    }
}

/// `report.html` is a name that other programs use, too.
fn refuse_what_is_no_report(path: &Path) -> Outcome<()> {
    let is_ours_to_replace = || -> std::io::Result<bool> {
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() || metadata.len() == 0 {
            return Ok(true);
        }
        let mut head = Vec::new();
        std::fs::File::open(path)?.take(HEAD_BYTES).read_to_end(&mut head)?;
        Ok(String::from_utf8_lossy(&head).contains(MARK))
    };
    match is_ours_to_replace() {
        Ok(false) => {
            let path = path.display();
            Err(Failure::usage(format_args!(
                "{path} is there and is no report of muster: it is left as it is"
            ))
            .hint("give another name with -o, or delete it first"))
        }
        // What cannot be read is said when it cannot be written.
        Ok(true) | Err(_) => Ok(()),
    }
}
