//! `muster export`: kept runs as one table for other programs.

use crate::cli::{ExportArgs, Format, RunRef};
use crate::compare::COMPARISON;
use crate::exit::{Exit, Failure, Outcome};
use crate::kept::{self, Bundle, RunFolder};
use crate::output::save;
use crate::report::export::{Tidy, csv, samples, tasks};
use crate::summary::{bytes, number};
use crate::terminal::note;
use std::io::Write as _;
use std::path::Path;

/// Reads and writes.
pub fn export(args: &ExportArgs) -> Outcome {
    if args.format == Format::Parquet && !cfg!(feature = "parquet") {
        return Err(Failure::usage("this muster was built without Parquet")
            .hint("build it with: cargo build --release --features parquet; or leave out --format"));
    }
    let bundles: Vec<Bundle> = find_all(&args.runs)?.iter().map(Bundle::read).collect::<Outcome<_>>()?;
    for bundle in bundles.iter().filter(|bundle| bundle.samples.is_empty()) {
        let (number, what) = (bundle.run.number, bundle.comparison.experiment.as_deref().unwrap_or("it"));
        let file = bundle.run.path.join(COMPARISON);
        note(format_args!(
            "note: run {number}: {what} has no line here, because it timed no runs; its tables are in {}",
            file.display()
        ));
    }
    let table = if args.tasks { tasks(&bundles)? } else { samples(&bundles) };
    let content = render(&table, args.format)?;
    if args.output == Path::new("-") {
        let mut out = std::io::stdout().lock();
        return super::printed(out.write_all(&content).and_then(|()| out.flush()));
    }
    let folder = &args.output;
    std::fs::create_dir_all(folder).map_err(|error| Failure::io(Exit::Job, "make folder", folder, &error))?;
    let ending = match args.format {
        Format::Csv => "csv",
        Format::Parquet => "parquet",
    };
    let path = folder.join(format!("{}.{ending}", if args.tasks { "tasks" } else { "samples" }));
    save(&path, &content)?;
    let lines = number(table.len() as u64);
    note(format_args!("exported: {} ({lines} lines, {})", path.display(), bytes(content.len() as u64)));
    Ok(Exit::Ok)
}

/// The runs that were asked for, each once; the newest where none was.
pub fn find_all(runs: &[RunRef]) -> Outcome<Vec<RunFolder>> {
    let asked = if runs.is_empty() { &[RunRef::Last][..] } else { runs };
    let mut found: Vec<RunFolder> = Vec::new();
    for run in asked {
        let run = kept::find(*run)?;
        if found.iter().all(|other| other.number != run.number) {
            found.push(run);
        }
    }
    Ok(found)
}

fn render(table: &Tidy, format: Format) -> Outcome<Vec<u8>> {
    let mut content = Vec::new();
    match format {
        Format::Csv => csv(table, &mut content).map_err(|error| Failure::new(Exit::Storage, error))?,
        #[cfg(feature = "parquet")]
        Format::Parquet => content = crate::report::export::parquet(table)?,
        #[cfg(not(feature = "parquet"))]
        Format::Parquet => return Err(Failure::usage("this muster was built without Parquet")),
    }
    Ok(content)
}
