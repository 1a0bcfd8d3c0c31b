//! `python`: calls a Python function for each task, in a real CPython.
//!
//! There is one interpreter per executor. The file is executed once in it, as a module, and the threads of the executor
//! call the function at the same time: what CPython's own lock does to them is what it does to any threads. Globals of the
//! module are shared by the threads of an executor and by nobody else.
//!
//! Where there is a libpython the interpreter is in the executor (`embedded`); else it is a process beside it with a socket
//! for each thread (`child`), which is slower by two context switches per task and otherwise behaves alike. Which one it is
//! says a line of the log. The function gets the index of the task, or its input where the job has inputs, or both when it
//! has two arguments; what it returns must have a form in JSON. An exception fails the task. A task that should stop gets
//! one, too, which is raised at the next line of Python: what waits in C goes on until its executor is ended.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod announce;
mod capi;
mod child;
mod embedded;
mod interpreter;
mod message;
mod running;
mod script;
mod watch;

use interpreter::Interpreter;
use message::{Document, Request};
use muster_sdk::{Context, Error, Job, Task, Workload};
use running::Running;
use script::Script;

/// The article's task for the GIL: additions of `i * n`, one after the other.
const DEFAULT_CODE: &str = "sum(i * index for i in range(1_000_000))";

muster_sdk::choices! {
    /// Where the interpreter is.
    pub enum Mode {
        /// In the executor where there is a libpython, else beside it.
        Auto = "auto",
        /// In the executor.
        Embedded = "embedded",
        /// In a process beside the executor.
        Child = "child",
    }
}

muster_sdk::choices! {
    /// What inputs are to Python.
    pub enum Items {
        /// `str`, of UTF-8.
        Text = "text",
        /// `bytes`.
        Bytes = "bytes",
        /// What `json.loads` makes of them.
        Json = "json",
    }
}

muster_sdk::params! {
    /// What is called, and by which Python.
    pub struct Params {
        /// The file that has the function; a relative path begins in the folder that the worker was started in.
        pub file: String = "",
        /// The function of the file that is called with the index, with the input, or with both.
        pub function: String = "task",
        /// In place of a file: the body of a function of index and item; its last expression is the result.
        pub code: String = DEFAULT_CODE,
        /// The interpreter, as a path or a name, or its libpython; empty: python3 of PATH, else python.
        pub python: String = "",
        /// Where the interpreter is.
        pub mode: Mode = Mode::Auto,
        /// What inputs are to Python.
        pub items: Items = Items::Text,
    }
}

struct Python {
    running: Running,
}

impl Workload for Python {
    type Params = Params;
    type Output = Document;

    fn create(params: Params, job: &Job) -> Result<Self, Error> {
        let script = Script::new(&params)?;
        let interpreter = Interpreter::find(&params.python)?;
        let running = Running::start(&interpreter, params.mode, &script)?;
        announce::announce(&running, job);
        Ok(Self { running })
    }

    fn run(&self, task: Task<'_>, ctx: &mut Context<'_>) -> Result<Document, Error> {
        ctx.check()?;
        let input = ctx.has_inputs().then(|| task.input());
        self.running.call(&Request { index: task.index(), input }, ctx)
    }
}

muster_sdk::export! {
    Python {
        name: "python",
        description: "Calls a Python function per task, in a CPython per executor",
        input: Input::Optional,
        default_tasks: 40,
        multi_job: false,
        // The interpreter is asked where its library is.
        needs: &["exec"],
        metrics: &[
            MetricSpec::gauge("embedded", "Interpreters that are in their executor"),
            MetricSpec::gauge("child", "Interpreters that are a process beside their executor"),
        ],
    }
}
