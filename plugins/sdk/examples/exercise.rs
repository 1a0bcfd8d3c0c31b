//! `exercise`: goes through every part of the SDK, also the unhappy ones. The loader's tests run it.

use muster_sdk::{Context, Counter, Error, FromResult, Histogram, Job, Json, Reduce, Task, Workload};
use std::time::Duration;

/// An index that no task has.
const NEVER: u64 = u64::MAX;

muster_sdk::choices! {
    /// What tasks give back.
    pub enum Give {
        /// Twice the index.
        Double = "double",
        /// A number from the task's generator.
        Random = "random",
        /// The length of the input.
        Length = "length",
    }
}

muster_sdk::params! {
    /// Where things go wrong.
    pub struct Params {
        /// What tasks give back.
        pub give: Give = Give::Double,
        /// Index of the task that fails.
        pub fail_at: u64 = NEVER,
        /// Index of the task that fails for now.
        pub transient_at: u64 = NEVER,
        /// Index of the task that panics.
        pub panic_at: u64 = NEVER,
        /// Index of the task that panics with a value whose drop panics.
        pub bomb_at: u64 = NEVER,
        /// Index of the task whose result makes the sum panic.
        pub unaddable_at: u64 = NEVER,
        /// Index of the task that waits for the cancel flag.
        pub wait_at: u64 = NEVER,
        /// Bytes that tasks write beside their number.
        pub padding: u32 = 0 => 0..=1_000_000,
        /// Makes the job fail at once.
        pub refuse: bool = false,
        /// What the log says.
        pub greeting: String = "hello \"world\"",
        /// A number for the histogram.
        pub weight: f64 = 0.5 => 0.0..=1e6,
    }
}

struct Exercise {
    params: Params,
    runs: Counter,
    weights: Histogram,
    padding: Vec<u8>,
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("the value of a panic panicked");
        }
    }
}

impl Workload for Exercise {
    type Params = Params;
    type Output = Json<u64>;

    fn create(params: Params, job: &Job) -> Result<Self, Error> {
        if params.refuse {
            return Err(Error::params("refuse is true; leave it out").with_code(42));
        }
        muster_sdk::info!(job, "{} from {} threads, {:?} tasks", params.greeting, job.threads(), job.tasks());
        let padding = vec![b' '; params.padding as usize];
        Ok(Self { params, runs: job.counter("runs_total"), weights: job.histogram("weight"), padding })
    }

    fn run(&self, task: Task<'_>, ctx: &mut Context<'_>) -> Result<Json<u64>, Error> {
        self.runs.add(1);
        self.weights.record(self.params.weight);
        ctx.write(&self.padding)?;
        let index = task.index();
        if index == self.params.fail_at {
            return Err(Error::failed(format_args!("task {index} was told to fail")).with_code(7));
        }
        if index == self.params.transient_at && ctx.attempt() == 1 {
            return Err(Error::transient("not yet"));
        }
        assert_ne!(index, self.params.panic_at, "task {index} was told to panic");
        if index == self.params.bomb_at {
            std::panic::panic_any(Bomb);
        }
        if index == self.params.wait_at {
            ctx.progress(1, 2);
            while !ctx.cancelled() {
                ctx.blocking(|| std::thread::sleep(Duration::from_millis(1)));
            }
            ctx.checkpoint()?;
        }
        Ok(Json(match self.params.give {
            Give::Double => index * 2,
            Give::Random => ctx.random().next_u64() ^ task.seed(),
            Give::Length => task.input().len() as u64,
        }))
    }
}

/// Keeps all numbers in order, so that a wrong order of combining is seen.
impl Reduce for Exercise {
    type Partial = Vec<u64>;
    type Total = Json<Vec<u64>>;

    fn zero(&self) -> Vec<u64> {
        Vec::new()
    }

    fn add(&self, partial: &mut Vec<u64>, index: u64, result: &[u8]) -> Result<(), Error> {
        assert_ne!(index, self.params.panic_at, "adding {index} was told to panic");
        partial.push(Json::from_result(result)?.0);
        assert_ne!(index, self.params.unaddable_at, "the result of {index} cannot be added");
        Ok(())
    }

    fn merge(&self, left: &mut Vec<u64>, right: Vec<u64>) -> Result<(), Error> {
        left.extend(right);
        Ok(())
    }

    fn encode(&self, partial: &Vec<u64>) -> Result<Vec<u8>, Error> {
        Ok(partial.iter().flat_map(|number| number.to_le_bytes()).collect())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Vec<u64>, Error> {
        bytes.chunks(8).map(u64::from_result).collect()
    }

    fn finish(&self, partial: Vec<u64>) -> Result<Json<Vec<u64>>, Error> {
        Ok(Json(partial))
    }
}

muster_sdk::export! {
    Exercise: Reduce {
        name: "exercise",
        version: "1.2.3-test",
        description: "Goes through every part of the SDK",
        input: Input::Optional,
        default_tasks: 10,
        deterministic: true,
        metrics: &[
            MetricSpec::counter("runs_total", "Tasks that were begun"),
            MetricSpec::histogram("weight", "What a task weighs"),
        ],
    }
}
