//! What is tested: a plugin with the parameters and tasks that the tests run.

use crate::cli::PluginTestArgs;
use crate::exit::{Exit, Failure};
use crate::plugin::PluginFile;
use muster_plugin_host::{InputKind, Manifest, from_pairs};
use muster_proto::v1;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;

/// Tasks of each job unless told otherwise, when the manifest names more, and when it names none.
const TASKS_MAX: u64 = 32;
const TASKS_DEFAULT: u64 = 16;
/// Inputs that are read.
const INPUTS_MAX: usize = 1_000;
/// Bytes of all of them.
const INPUT_BYTES_MAX: u64 = 16 << 20;
/// A seed like any other, the same in every job.
const SEED: u64 = 20_261_127;

/// A plugin on test.
#[derive(Debug)]
pub struct Subject {
    pub file: PluginFile,
    /// Complete and checked.
    pub params: Value,
    pub tasks: u64,
    /// One for each task, when they have some.
    pub inputs: Option<Vec<Vec<u8>>>,
}

impl Subject {
    /// What the command line says about it.
    pub fn new(file: PluginFile, args: &PluginTestArgs) -> Result<Self, Failure> {
        let manifest = file.manifest();
        let params = from_pairs(manifest, &args.params)?;
        let inputs = args.lines.as_deref().map(inputs).transpose()?;
        let name = manifest.name();
        match (manifest.input(), &inputs) {
            (InputKind::Required, None) => {
                return Err(Failure::usage(format_args!("every task of plugin {name} needs an input"))
                    .hint("give some: --lines FILE"));
            }
            (InputKind::None, Some(_)) => {
                return Err(Failure::usage(format_args!("tasks of plugin {name} take no input"))
                    .hint("use -n N instead"));
            }
            _ => {}
        }
        let usual = manifest.default_tasks().unwrap_or(TASKS_DEFAULT).min(TASKS_MAX);
        let tasks = inputs.as_ref().map_or(args.tasks.unwrap_or(usual), |inputs| inputs.len() as u64);
        Ok(Self { params, tasks, inputs, file })
    }

    /// What it says about itself.
    pub fn manifest(&self) -> &Manifest {
        self.file.manifest()
    }

    /// The inputs to send with a job.
    pub fn inputs(&self) -> Option<&[Vec<u8>]> {
        self.inputs.as_deref()
    }

    /// The seed of every job.
    pub const fn seed(&self) -> u64 {
        SEED
    }

    /// A job of all tasks, each of which is tried once.
    pub fn spec(&self, shape: v1::Shape) -> v1::JobSpec {
        let fed = self.inputs.is_some();
        v1::JobSpec {
            params: self.params.to_string().into(),
            tasks: if fed { 0 } else { self.tasks },
            open: fed,
            has_inputs: fed,
            shape: Some(shape),
            weight: 1,
            max_attempts: 1,
            seed: SEED,
            retry: Some(v1::RetryPolicy {
                transient: 1,
                crashed: 1,
                panicked: 1,
                timeout: 1,
                memory: 1,
                ..Default::default()
            }),
            ..Default::default()
        }
    }
}

/// The lines of a file, or of stdin.
fn inputs(path: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let failed = |error: std::io::Error| Failure::io(Exit::Job, "read", path, &error);
    let reader: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).map_err(failed)?)
    };
    let mut lines = Vec::new();
    let mut bytes = 0;
    for line in BufReader::new(reader.take(INPUT_BYTES_MAX + 1)).split(b'\n') {
        let line = line.map_err(failed)?;
        bytes += line.len() as u64 + 1;
        lines.push(line);
        if lines.len() > INPUTS_MAX || bytes > INPUT_BYTES_MAX {
            let most = format!("at most {INPUTS_MAX} lines and 16 MiB");
            return Err(Failure::new(
                Exit::Limit,
                format_args!("{} is too long for a test: {most}", path.display()),
            )
            .hint("a part of it will do"));
        }
    }
    if lines.is_empty() {
        return Err(Failure::new(Exit::Job, format_args!("{} has no lines", path.display()))
            .hint("every line is the input of a task"));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_lines_within_limits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        std::fs::write(&path, "a\n\nb").unwrap();
        assert_eq!(inputs(&path).unwrap(), [b"a".to_vec(), Vec::new(), b"b".to_vec()]);
        std::fs::write(&path, "").unwrap();
        assert!(inputs(&path).unwrap_err().to_string().contains("has no lines"));
        std::fs::write(&path, "x\n".repeat(INPUTS_MAX + 1)).unwrap();
        assert_eq!(inputs(&path).unwrap_err().exit, Exit::Limit);
        assert!(inputs(&folder.path().join("none")).unwrap_err().to_string().contains("cannot read"));
    }
}
