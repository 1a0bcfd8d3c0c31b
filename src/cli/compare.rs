//! `muster compare`.

use super::job::{ArrivalArgs, Model};
use super::quantity;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Enough for each of thread, process and hybrid to differ from the others.
const SLOTS: u32 = 4;

/// What is compared, and how long it may take.
#[derive(Clone, Debug, Args)]
pub struct CompareArgs {
    /// The workload: a plugin's source folder (built first) or a plugin file; or an experiment: cpu, gil, io,
    /// mixed, shared, exchange, hybrid, lifecycle, switch, memory, isolate, interrupt, overhead, or `all`, one after the other;
    /// or a FILE.toml that describes a comparison (docs/compare.md)
    #[arg(value_name = "PLUGIN|EXPERIMENT|FILE.toml")]
    pub what: String,
    /// Parameters of the plugin; `muster plugin info PLUGIN` lists them
    #[arg(value_name = "KEY=VALUE", value_parser = quantity::pair)]
    pub params: Vec<(String, String)>,
    /// Tasks of one run (default: so many that the first configuration takes 200 ms for them; with --rate those of 2 s)
    #[arg(short = 'n', long, value_name = "N", value_parser = quantity::tasks, allow_hyphen_values = true)]
    pub tasks: Option<u64>,
    /// A task per line of FILE
    #[arg(long, value_name = "FILE", conflicts_with_all = ["files", "tasks"])]
    pub lines: Option<PathBuf>,
    /// A task per file; folders are walked, quoted globs expanded
    #[arg(long, value_name = "PATH|GLOB", num_args = 1.., conflicts_with = "tasks")]
    pub files: Vec<String>,
    /// Cut files at line ends into tasks of at most this size; a line that is longer is a task by itself
    #[arg(long, value_name = "SIZE", value_parser = quantity::size, allow_hyphen_values = true, requires = "files")]
    pub chunk: Option<u64>,
    #[command(flatten)]
    pub arrivals: ArrivalArgs,
    /// The models, with commas between them, or `all` (default: thread, process, hybrid and gil, and async where the
    /// plugin has that form)
    #[arg(long, value_name = "MODEL,..", value_delimiter = ',', value_parser = model)]
    pub models: Vec<Models>,
    /// Every P x T of these, as in `p=1,2,4 t=1,2`; with --models both
    #[arg(long, value_name = "p=P,.. t=T,..", num_args = 1..=2, value_parser = axis)]
    pub grid: Vec<Axis>,
    /// Slots that each model gets (default: 4)
    #[arg(long, value_name = "N", value_parser = quantity::small, allow_hyphen_values = true)]
    pub slots: Option<u32>,
    /// Tasks that each thread of async keeps going (default: 64)
    #[arg(long, value_name = "N", value_parser = quantity::in_flight, allow_hyphen_values = true)]
    pub in_flight: Option<u32>,
    /// Time for all of it; what was measured by then counts (default: 40s, for an experiment 110s, with --rate 4min)
    #[arg(long, value_name = "DURATION", value_parser = quantity::duration, allow_hyphen_values = true)]
    pub budget: Option<Duration>,
    /// Enough when each ratio is known to this share (default: 3%)
    #[arg(long, value_name = "PERCENT", value_parser = quantity::percent, allow_hyphen_values = true)]
    pub target: Option<f64>,
    /// Exactly so many blocks, however long they take
    #[arg(long, value_name = "N", value_parser = quantity::small, allow_hyphen_values = true, conflicts_with = "budget")]
    pub blocks: Option<u32>,
    /// Seed of the tasks' random numbers and of the order of the runs (default: 0)
    #[arg(long, value_name = "S", value_parser = quantity::whole, allow_hyphen_values = true)]
    pub seed: Option<u64>,
    /// The folder with muster's own plugins, for experiments: built files, or their source folders
    #[arg(long, value_name = "DIR", default_value = "plugins")]
    pub plugins: PathBuf,
    /// Jobs that are cancelled for each row; 200 give a 95th percentile (default: 5)
    #[arg(long, value_name = "N", value_parser = quantity::small, allow_hyphen_values = true)]
    pub cancels: Option<u32>,
    /// Do not look at memory, crashes and cancelling after the blocks
    #[arg(long, conflicts_with = "cancels")]
    pub no_probes: bool,
    /// A cluster that is up: its name, a join string or the file that holds it, or unix:PATH (default: private clusters)
    #[arg(long, value_name = "CLUSTER", env = "MUSTER_CLUSTER")]
    pub cluster: Option<String>,
    /// Ask a real CPython, too: experiments cpu, gil, io, shared and hybrid
    #[arg(long)]
    pub with_python: bool,
    /// Exit with 10 when a row is invalid
    #[arg(long)]
    pub strict: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl CompareArgs {
    /// Slots that each model gets.
    pub fn slots(&self) -> u32 {
        self.slots.unwrap_or(SLOTS)
    }

    /// Seed of everything random.
    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or(0)
    }
}

/// One model, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Models {
    /// Every one.
    All,
    /// This one.
    One(Model),
}

/// One side of a grid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Executors.
    Processes(Vec<u32>),
    /// Threads of each.
    Threads(Vec<u32>),
}

/// A model by its name, or `all`.
pub fn model(text: &str) -> Result<Models, String> {
    use clap::ValueEnum as _;
    if text == "all" {
        return Ok(Models::All);
    }
    Model::from_str(text, false).map(Models::One).map_err(|_| {
        let names = Model::value_variants().iter().filter_map(clap::ValueEnum::to_possible_value);
        let names: Vec<String> = names.map(|name| name.get_name().to_owned()).collect();
        format!("not a model: there are all, {}", names.join(", "))
    })
}

fn axis(text: &str) -> Result<Axis, String> {
    let numbers = |list: &str| list.split(',').map(quantity::small).collect::<Result<Vec<u32>, String>>();
    match text.split_once('=') {
        Some(("p", list)) => numbers(list).map(Axis::Processes),
        Some(("t", list)) => numbers(list).map(Axis::Threads),
        _ => Err("a grid is written p=1,2 t=1,2".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_and_grids_are_read_or_refused() {
        assert_eq!(model("all"), Ok(Models::All));
        assert_eq!(model("spawn"), Ok(Models::One(Model::Spawn)));
        assert!(model("threads").unwrap_err().contains("there are all, thread, process"));
        assert_eq!(axis("p=1,2"), Ok(Axis::Processes(vec![1, 2])));
        assert!(axis("p=0").is_err() && axis("q=1").is_err() && axis("t=").is_err());
    }
}
