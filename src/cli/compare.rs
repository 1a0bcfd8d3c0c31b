//! `muster compare`.

use super::job::Model;
use super::quantity;
use clap::Args;
use std::time::Duration;

/// What is compared, and how long it may take.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The workload: a plugin's source folder (built first) or a plugin file
    pub plugin: String,
    /// Parameters of the plugin; `muster plugin info PLUGIN` lists them
    #[arg(value_name = "KEY=VALUE", value_parser = quantity::pair)]
    pub params: Vec<(String, String)>,
    /// Tasks of one run (default: so many that the first configuration takes 200 ms for them)
    #[arg(short = 'n', long, value_name = "N", value_parser = quantity::tasks, allow_hyphen_values = true)]
    pub tasks: Option<u64>,
    /// The models, with commas between them, or `all` (default: thread, process, hybrid and gil, and async where the
    /// plugin has that form)
    #[arg(long, value_name = "MODEL,..", value_delimiter = ',', value_parser = model)]
    pub models: Vec<Models>,
    /// Every P x T of these, as in `p=1,2,4 t=1,2`; with --models both
    #[arg(long, value_name = "p=P,.. t=T,..", num_args = 1..=2, value_parser = axis)]
    pub grid: Vec<Axis>,
    /// Slots that each model gets
    #[arg(long, value_name = "N", value_parser = quantity::small, default_value = "4", allow_hyphen_values = true)]
    pub slots: u32,
    /// Tasks that each thread of async keeps going (default: 64)
    #[arg(long, value_name = "N", value_parser = quantity::in_flight, allow_hyphen_values = true)]
    pub in_flight: Option<u32>,
    /// Time for all of it; what was measured by then counts
    #[arg(long, value_name = "DURATION", value_parser = quantity::duration, default_value = "40s", allow_hyphen_values = true)]
    pub budget: Duration,
    /// Enough when each ratio is known to this share
    #[arg(long, value_name = "PERCENT", value_parser = quantity::percent, default_value = "3%", allow_hyphen_values = true)]
    pub target: f64,
    /// Exactly so many blocks, however long they take
    #[arg(long, value_name = "N", value_parser = quantity::small, allow_hyphen_values = true, conflicts_with = "budget")]
    pub blocks: Option<u32>,
    /// Seed of the tasks' random numbers and of the order of the runs (default: 0)
    #[arg(long, value_name = "S", value_parser = quantity::whole, default_value = "0", hide_default_value = true)]
    #[arg(allow_hyphen_values = true)]
    pub seed: u64,
    /// Exit with 10 when a row is invalid
    #[arg(long)]
    pub strict: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
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

fn model(text: &str) -> Result<Models, String> {
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
