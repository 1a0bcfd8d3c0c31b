//! `null`: tasks that do nothing, to measure what everything around them costs.

use muster_sdk::{Context, Error, Job, Task, Workload, Written};

muster_sdk::params! {
    /// What goes in and out of a task that does nothing.
    pub struct Params {
        /// Bytes that every task expects as its input; any number when 0.
        pub bytes_in: u64 = 0 => 0..=1_073_741_824,
        /// Bytes that every task gives back.
        pub bytes_out: u64 = 0 => 0..=1_073_741_824,
    }
}

struct Null {
    bytes_in: usize,
    result: Vec<u8>,
}

impl Workload for Null {
    type Params = Params;
    type Output = Written;

    fn create(params: Params, _job: &Job) -> Result<Self, Error> {
        Ok(Self { bytes_in: params.bytes_in as usize, result: vec![0; params.bytes_out as usize] })
    }

    #[inline]
    fn run(&self, task: Task<'_>, ctx: &mut Context<'_>) -> Result<Written, Error> {
        let (got, expected) = (task.input().len(), self.bytes_in);
        if expected != 0 && got != expected {
            return Err(Error::params(format_args!("the input has {got} bytes; bytes_in says {expected}")));
        }
        ctx.write(&self.result)?;
        Ok(Written)
    }
}

muster_sdk::export! {
    Null {
        name: "null",
        description: "Does nothing, with as many bytes in and out as asked",
        input: Input::Optional,
        default_tasks: 1_000_000,
        deterministic: true,
        idempotent: true,
    }
}
