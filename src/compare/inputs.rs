//! The inputs of a workload's tasks, read anew for each run.

use crate::cli::CompareArgs;
use crate::exit::{Failure, Outcome};
use crate::input::{Blocks, FileList, LineSource, Names, Source};
use std::path::{Path, PathBuf};

/// Where they come from.
#[derive(Clone, Debug)]
pub enum Inputs {
    /// A task per line.
    Lines(PathBuf),
    /// A task per file, or per part of a file of so many bytes.
    Files(Vec<String>, Option<u64>),
}

impl Inputs {
    /// What the flags name, found readable.
    pub fn of(args: &CompareArgs) -> Outcome<Option<Self>> {
        let inputs = match &args.lines {
            Some(path) if path == Path::new("-") => {
                return Err(Failure::usage(
                    "--lines -: every run reads the lines anew, and stdin can be read once",
                )
                .hint("write them to a file: --lines FILE"));
            }
            Some(path) => Self::Lines(path.clone()),
            None if args.files.is_empty() => return Ok(None),
            None => Self::Files(args.files.clone(), args.chunk),
        };
        inputs.open()?;
        Ok(Some(inputs))
    }

    /// Reads them from the beginning.
    pub fn open(&self) -> Outcome<Option<Box<dyn Blocks>>> {
        let source = match self {
            Self::Lines(path) => Source::Lines(LineSource::open(path)?),
            Self::Files(patterns, chunk) => Source::Files(FileList::find(patterns, *chunk)?),
        };
        Ok(source.blocks(Names::default()))
    }
}
