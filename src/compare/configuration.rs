//! The ways to run a workload that are compared.

use crate::cli::{Axis, CompareArgs, Model, Models, ShapeArgs};
use crate::exit::Failure;
use crate::job::ShapePlan;
use muster_core::shape::{Flow, Shape};
use muster_plugin_host::{F_ASYNC, Manifest};

/// Every model.
const ALL: [Model; 6] =
    [Model::Thread, Model::Process, Model::Hybrid, Model::Spawn, Model::Async, Model::Gil];
/// More rows than anybody reads, or has time for.
const ROWS_MAX: usize = 40;

/// One way to run the workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// As in the table: `thread 1x4`.
    pub name: String,
    /// The model.
    pub model: Model,
    /// Its executors and threads.
    pub shape: Shape,
    /// The same, as a job asks for it.
    pub plan: ShapePlan,
}

impl Configuration {
    /// A model that uses so many slots.
    pub fn on(model: Model, slots: u32) -> Result<Self, Failure> {
        Self::with(model, slots, ShapeArgs::default())
    }

    /// The same, with what `args` says of the lock and of tasks in flight.
    pub fn with(model: Model, slots: u32, args: ShapeArgs) -> Result<Self, Failure> {
        let (processes, threads) = match model {
            Model::Thread | Model::Gil | Model::Async => (None, Some(slots)),
            Model::Process | Model::Spawn => (Some(slots), None),
            Model::Hybrid => (None, None),
        };
        Self::new(model, slots, ShapeArgs { processes, threads, ..args })
    }

    /// P x T.
    pub fn shaped(processes: u32, threads: u32) -> Result<Self, Failure> {
        let model = match (processes, threads) {
            (1, _) => Model::Thread,
            (_, 1) => Model::Process,
            _ => Model::Hybrid,
        };
        let (processes, threads) = (Some(processes), Some(threads));
        Self::new(model, 1, ShapeArgs { processes, threads, ..ShapeArgs::default() })
    }

    fn new(model: Model, slots: u32, args: ShapeArgs) -> Result<Self, Failure> {
        let plan = ShapePlan::new(&ShapeArgs { model: Some(model), oversubscribe: true, ..args })?;
        let shape = plan.on(slots);
        let flow = match shape.flow {
            Flow::InFlight(tasks) => format!("/{tasks}"),
            Flow::InTurn | Flow::Once => String::new(),
        };
        Ok(Self { name: format!("{} {shape}{flow}", model.name()), model, shape, plan })
    }

    /// Named after what else distinguishes it: `thread 1x4, mutex`.
    #[must_use]
    pub fn called(mut self, what: &str) -> Self {
        self.name = format!("{}, {what}", self.name);
        self
    }

    /// Slots of a worker that has just what it needs.
    pub const fn slots(&self) -> u32 {
        self.shape.slots()
    }

    /// Tasks that one of its threads keeps going.
    pub const fn in_flight(&self) -> u32 {
        self.shape.flow.in_flight()
    }

    /// Whether tasks take turns to compute.
    pub fn has_lock(&self) -> bool {
        self.model == Model::Gil
    }
}

/// What is compared.
#[derive(Clone, Debug)]
pub struct Configurations {
    /// Each once; the first is the baseline.
    pub rows: Vec<Configuration>,
    /// What was asked for and is the same as one of those, in words.
    pub left_out: Vec<String>,
}

/// What the flags ask for.
pub fn configurations(args: &CompareArgs, manifest: &Manifest) -> Result<Configurations, Failure> {
    let usual = |&model: &Model| match model {
        Model::Thread | Model::Process | Model::Hybrid | Model::Gil => true,
        Model::Async => manifest.has(F_ASYNC),
        Model::Spawn => false,
    };
    let models: Vec<Model> = if args.models.is_empty() {
        if args.grid.is_empty() { ALL.into_iter().filter(usual).collect() } else { Vec::new() }
    } else {
        let asked = args.models.iter().flat_map(|asked| match asked {
            Models::All => ALL.to_vec(),
            Models::One(model) => vec![*model],
        });
        asked.collect()
    };
    let mut rows = Vec::new();
    for model in models {
        let in_flight = args.in_flight.filter(|_| model == Model::Async);
        let shape = ShapeArgs { in_flight, ..ShapeArgs::default() };
        rows.push(Configuration::with(model, args.slots(), shape)?);
    }
    for (processes, threads) in grid(&args.grid)? {
        rows.push(Configuration::shaped(processes, threads)?);
    }
    let (mut once, mut left_out): (Vec<Configuration>, Vec<String>) = Default::default();
    for row in rows {
        match once.iter().find(|other| other.plan.is_same(&row.plan, args.slots())) {
            // On few slots a hybrid is what another model is.
            Some(same) if same.model != row.model => {
                left_out.push(format!("{} is left out: on so few slots it is {}", row.name, same.name));
            }
            Some(_) => {}
            None => once.push(row),
        }
    }
    if args.in_flight.is_some() && !once.iter().any(|row| row.model == Model::Async) {
        return Err(Failure::usage("--in-flight says how many tasks a thread of async keeps going")
            .hint("add async to --models, or leave it out"));
    }
    if once.len() > ROWS_MAX {
        let rows = once.len();
        return Err(Failure::usage(format_args!("{rows} configurations are too many: at most {ROWS_MAX}"))
            .hint("give a smaller --grid"));
    }
    Ok(Configurations { rows: once, left_out })
}

/// Every P x T.
fn grid(axes: &[Axis]) -> Result<Vec<(u32, u32)>, Failure> {
    if axes.is_empty() {
        return Ok(Vec::new());
    }
    let (mut processes, mut threads) = (Vec::new(), Vec::new());
    for axis in axes {
        let (side, numbers, name) = match axis {
            Axis::Processes(numbers) => (&mut processes, numbers, "p"),
            Axis::Threads(numbers) => (&mut threads, numbers, "t"),
        };
        if !side.is_empty() {
            return Err(Failure::usage(format_args!("--grid has {name}= twice")).hint("as in p=1,2 t=1,2"));
        }
        side.clone_from(numbers);
    }
    let or_one = |side: Vec<u32>| if side.is_empty() { vec![1] } else { side };
    let (processes, threads) = (or_one(processes), or_one(threads));
    Ok(processes.iter().flat_map(|&p| threads.iter().map(move |&t| (p, t))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: CompareArgs,
    }

    fn names(line: &str) -> Result<Vec<String>, Failure> {
        let args = Line::parse_from(["compare"].into_iter().chain(line.split(' '))).args;
        let manifest = Manifest::parse(r#"{"muster":1,"name":"x","version":"1.0.0"}"#).unwrap();
        configurations(&args, &manifest).map(|found| found.rows.into_iter().map(|row| row.name).collect())
    }

    #[test]
    fn models_and_grids_become_rows_that_differ() {
        assert_eq!(names("x").unwrap(), ["thread 1x4", "process 4x1", "hybrid 2x2", "gil 1x4"]);
        assert_eq!(names("x --slots 2").unwrap(), ["thread 1x2", "process 2x1", "gil 1x2"]);
        assert_eq!(names("x --models spawn,async,spawn").unwrap(), ["spawn 4x1", "async 1x4/64"]);
        assert_eq!(
            names("x --grid p=1,2 t=1,2").unwrap(),
            ["thread 1x1", "thread 1x2", "process 2x1", "hybrid 2x2"]
        );
        assert_eq!(names("x --models thread --grid t=4,8").unwrap(), ["thread 1x4", "thread 1x8"]);
        assert!(names("x --grid p=1 p=2").unwrap_err().to_string().contains("p= twice"));
        let many = "x --grid p=1,2,3,4,5,6,7 t=1,2,3,4,5,6,7";
        assert!(names(many).unwrap_err().to_string().contains("at most 40"));
    }
}
