//! `muster plugin`.

use super::job::ViewArgs;
use super::quantity;
use crate::postmortem::TaskOf;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// The languages `plugin new` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Rust, built by cargo
    Rust,
    /// C11, built by cc
    C,
    /// C++17, built by c++
    Cpp,
}

#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Write a new plugin that builds and runs
    New {
        /// Its name, or the folder to write, whose last part is the name
        name: PathBuf,
        /// The language
        #[arg(long, value_enum, default_value = "rust")]
        lang: Language,
        /// With an async form, for tasks that mostly wait: many at a time on each thread of --model async (Rust)
        #[arg(long = "async")]
        is_async: bool,
    },
    /// Build a plugin's folder; prints the path of the plugin file
    Build {
        /// The plugin's source folder
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Check a plugin: its format, its manifest, and that it loads; no task is run
    Check {
        /// A plugin file, or a plugin's source folder (built first)
        #[arg(value_name = "FILE|DIR")]
        file: PathBuf,
        /// How long loading may take
        #[arg(long, value_name = "DURATION", value_parser = quantity::duration, default_value = "10s")]
        #[arg(allow_hyphen_values = true)]
        timeout: Duration,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Test whether a plugin keeps its promises, or run one task of a job again by itself
    Test(Box<PluginTestArgs>),
    /// Show a plugin's facts and parameters
    Info {
        /// A plugin file or source folder (built first), or the name, name@version or digest of a registered plugin
        plugin: String,
        #[command(flatten)]
        view: ViewArgs,
    },
    /// Register plugins with a cluster
    Push {
        /// Plugin files, a folder of plugin files, or a plugin's source folder
        #[arg(required = true, value_name = "FILE|DIR")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        view: ViewArgs,
    },
    /// List registered plugins
    Ls {
        #[command(flatten)]
        view: ViewArgs,
    },
    /// Remove a registered plugin
    Rm {
        /// Its name, name@version or digest
        plugin: String,
        #[command(flatten)]
        view: ViewArgs,
    },
}

/// What `plugin test` tests.
#[derive(Debug, Args)]
pub struct PluginTestArgs {
    /// A plugin file or source folder (built first), or the name, name@version or digest of a registered plugin
    pub plugin: String,
    /// Parameters of the plugin; `muster plugin info PLUGIN` lists them
    #[arg(value_name = "KEY=VALUE", value_parser = quantity::pair)]
    pub params: Vec<(String, String)>,
    /// Number of tasks of each test (default: what the plugin says, at most 32)
    #[arg(short = 'n', long, value_name = "N", value_parser = quantity::tasks, allow_hyphen_values = true)]
    #[arg(conflicts_with = "lines")]
    pub tasks: Option<u64>,
    /// Inputs of the tasks, a line each: of FILE, or of stdin (-); at most 1,000
    #[arg(long, value_name = "FILE|-")]
    pub lines: Option<PathBuf>,
    /// Run this task again, alone, with the parameters, the seed and the input that it had; without a cluster a
    /// task of the last failed run
    #[arg(long, value_name = "JOB.INDEX")]
    pub case: Option<TaskOf>,
    /// Run it under a debugger (gdb, lldb), in the one process that calls the plugin
    #[arg(long, value_name = "PROGRAM", requires = "case")]
    pub debugger: Option<String>,
    #[command(flatten)]
    pub view: ViewArgs,
}
