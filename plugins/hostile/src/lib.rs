//! `hostile`: tries to break out of its executor, one way per task, and says which of them worked.
//!
//! It exists to show what a sandbox holds (docs/sandbox.md). No attack does lasting harm: what is made is removed, signals
//! are of the kind that is ignored, what is set is set to what it was. Who is attacked stands in the parameters. Clusters
//! that are shared refuse this workload unless they were started with `--allow-chaos`.
//!
//! Its `unsafe` is in `attack.rs`: what safe code cannot do is what it is for.

mod attack;

use attack::{ATTACKS, Targets};
use muster_sdk::serde_json::{Value, json};
use muster_sdk::{Context, Error, Job, Json, Task, Workload};

muster_sdk::params! {
    /// Who and what is attacked. What is not named is attacked in vain.
    pub struct Params {
        /// The process of the worker.
        pub agent: u32 = 0,
        /// Another executor of it.
        pub sibling: u32 = 0,
        /// A file in the scratch folder of another job.
        pub secret: String = "",
        /// A folder that the user may write to.
        pub outside: String = "",
        /// A file there that is the user's own.
        pub owned: String = "",
        /// The socket of the coordinator.
        pub socket: String = "",
        /// An abstract socket that somebody listens on.
        pub abstract_socket: String = "",
        /// A port of this machine on which somebody listens.
        pub port: u32 = 0 => 0..=65_535,
        /// A descriptor that was open when the worker was started.
        pub descriptor: i32 = -1 => -1..=1_048_576,
        /// A variable that the worker was started with.
        pub variable: String = "",
        /// A program that says who runs it, with the rights of root.
        pub setuid: String = "",
        /// A segment of shared memory of the user.
        pub segment: i32 = -1 => -1..=2_147_483_647,
    }
}

struct Hostile {
    targets: Targets,
}

impl Workload for Hostile {
    type Params = Params;
    type Output = Json<Value>;

    fn create(params: Params, _: &Job) -> Result<Self, Error> {
        Ok(Self { targets: Targets::from(params) })
    }

    fn run(&self, task: Task<'_>, ctx: &mut Context<'_>) -> Result<Json<Value>, Error> {
        let count = ATTACKS.len();
        let index = usize::try_from(task.index()).ok().filter(|&index| index < count);
        let (name, attack) = ATTACKS[index.ok_or_else(|| {
            Error::failed(format_args!("hostile: there are {count} attacks, tasks 0 to {}", count - 1))
        })?];
        let scratch = ctx.scratch_dir()?.unwrap_or_default();
        Ok(Json(match attack(&self.targets, &scratch) {
            Ok(()) => json!({"attack": name, "worked": true}),
            Err(error) => json!({"attack": name, "worked": false, "why": error.to_string()}),
        }))
    }
}

muster_sdk::export! {
    Hostile {
        name: "hostile",
        description: "Tries to break out of its executor, one way per task; for tests of sandboxes",
        default_tasks: ATTACKS.len() as u64,
        chaos: true,
        multi_job: false,
    }
}
