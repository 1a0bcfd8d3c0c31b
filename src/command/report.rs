//! `muster report`: kept runs as one page.

use super::export::find_all;
use crate::cli::ReportArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::kept::Bundle;
use crate::output::{Target, is_free_for, save};
use crate::report::{self, MARK};
use crate::summary::bytes;
use crate::terminal::note;
use std::io::Write as _;

/// Reads, draws and writes.
pub fn report(args: &ReportArgs) -> Outcome {
    let target = Target::new(&args.output);
    if let Target::Folder(folder) = &target {
        let file = folder.join("report.html");
        return Err(Failure::usage(format_args!("-o {} is a folder", folder.display()))
            .hint(format_args!("name the file, as in -o {}", file.display())));
    }
    if let Target::File(path) = &target {
        is_free_for(path, MARK, "report")?;
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
