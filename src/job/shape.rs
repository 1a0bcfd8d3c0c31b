//! What `--model`, `-p` and `-t` mean together.

use crate::cli::{Model, ShapeArgs};
use crate::exit::Failure;
use crate::summary::counted;
use muster_core::shape::{Flow, GIL_SWITCH_DEFAULT, Gil, Shape, ShapeRequest};
use muster_core::time::Span;
use muster_proto::convert::shape_request_to_wire;
use muster_proto::v1;
use muster_worker::page::SLOTS_MAX;
use muster_worker::stand_in;

/// A checked shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShapePlan {
    request: ShapeRequest,
    oversubscribe: bool,
    gil: Option<Gil>,
}

impl ShapePlan {
    /// Without `--model`: `-p` alone means processes of one thread, `-t` alone threads of one process, both
    /// together P x T.
    pub fn new(args: &ShapeArgs) -> Result<Self, Failure> {
        let (processes, threads) = (args.processes, args.threads);
        let model = args.model.unwrap_or(match (processes, threads) {
            (None | Some(1), _) => Model::Thread,
            (Some(_), None | Some(1)) => Model::Process,
            (Some(_), Some(_)) => Model::Hybrid,
        });
        let request = match model {
            Model::Thread | Model::Gil => match processes {
                None | Some(1) => ShapeRequest::Thread { threads },
                Some(number) if model == Model::Gil => {
                    return Err(mismatch("gil", "one process", "-p", number)
                        .hint("--model hybrid --gil takes both -p and -t"));
                }
                Some(number) => return Err(mismatch("thread", "one process", "-p", number)),
            },
            Model::Process | Model::Spawn => match threads {
                None | Some(1) if model == Model::Spawn => ShapeRequest::Spawn { processes },
                None | Some(1) => ShapeRequest::Process { processes },
                Some(number) => {
                    let name = if model == Model::Spawn { "spawn" } else { "process" };
                    return Err(mismatch(name, "one thread in each process", "-t", number));
                }
            },
            Model::Hybrid => ShapeRequest::Hybrid { processes, threads },
            Model::Async => ShapeRequest::Async { processes, threads, in_flight: args.in_flight },
        };
        if args.in_flight.is_some() && model != Model::Async {
            return Err(Failure::usage(
                "--in-flight says how many tasks a thread of --model async keeps going",
            )
            .hint("add --model async, or leave it out"));
        }
        let gil = lock(args, model)?;
        Ok(Self { request, oversubscribe: args.oversubscribe, gil })
    }

    /// A shape that was put together elsewhere.
    pub const fn of(request: ShapeRequest, oversubscribe: bool) -> Self {
        Self { request, oversubscribe, gil: None }
    }

    /// The executors on a worker with this many slots.
    pub fn on(&self, slots: u32) -> Shape {
        self.request.resolve(slots)
    }

    /// The model and what it is on a worker with this many slots. `no_async`: why its tasks cannot be in flight.
    pub fn describe(&self, slots: u32, no_async: Option<&str>) -> String {
        let shape = self.on(slots);
        let executors = counted(shape.processes, "executor", "executors");
        let threads = counted(shape.threads, "thread", "threads");
        let mut text = format!("{}: {executors} x {threads} on each worker", self.request.model());
        match shape.flow {
            Flow::InTurn => {}
            Flow::Once => text.push_str(", a new executor for every task"),
            Flow::InFlight(tasks) => {
                text.push_str(&format!(
                    ", up to {} in flight on each thread",
                    counted(tasks, "task", "tasks")
                ));
            }
        }
        if let (Some(why), Some(threads)) = (no_async, stand_in(&mut shape.clone())) {
            let threads = counted(threads, "thread", "threads");
            text = format!(
                "{}: {executors} x {threads} that stand in for tasks in flight: {why}",
                self.request.model()
            );
        }
        if let Some(gil) = self.gil {
            text.push_str(&format!(
                "; tasks take turns, {} in each executor",
                counted(gil.domains, "lock", "locks")
            ));
        }
        text
    }

    /// What to say of a hybrid that is none on a worker with this many slots, unless it was asked for like that.
    pub fn not_hybrid(&self, slots: u32) -> Option<String> {
        let shape = self.on(slots);
        let model = match self.request {
            ShapeRequest::Hybrid { processes: Some(_), threads: Some(_) } => return None,
            ShapeRequest::Hybrid { .. } if shape.processes == 1 => "thread",
            ShapeRequest::Hybrid { .. } if shape.threads == 1 => "process",
            ShapeRequest::Hybrid { .. }
            | ShapeRequest::Thread { .. }
            | ShapeRequest::Process { .. }
            | ShapeRequest::Spawn { .. }
            | ShapeRequest::Async { .. } => return None,
        };
        let slots = counted(slots, "slot", "slots");
        Some(format!(
            "note: on {slots} --model hybrid is {shape}, just as --model {model}; for more give -p and -t, and \
             --oversubscribe where CPUs are few"
        ))
    }

    /// The slots that a worker of our own has: P x T where they are said, else `cpus`.
    pub fn slots(&self, cpus: u32, usable: u32) -> Result<u32, Failure> {
        let shape = self.request.resolve(cpus);
        check_slots(shape, usable, self.oversubscribe)
    }

    /// Whether another plan is the same on a worker with this many slots.
    pub fn is_same(&self, other: &Self, slots: u32) -> bool {
        (self.on(slots), self.gil) == (other.on(slots), other.gil)
    }

    /// The message.
    pub fn to_proto(self) -> v1::Shape {
        shape_request_to_wire(self.request, self.oversubscribe, self.gil)
    }
}

/// The slots of each of `workers` workers on this machine, which has `usable` CPUs.
pub fn worker_slots(
    processes: Option<u32>,
    threads: Option<u32>,
    cpus: u32,
    usable: u32,
    over: bool,
) -> Result<u32, Failure> {
    let shape = match (processes, threads) {
        (None, None) => Shape::new(1, cpus),
        (processes, threads) => Shape::new(processes.unwrap_or(1), threads.unwrap_or(1)),
    };
    check_slots(shape, usable, over)
}

fn check_slots(shape: Shape, usable: u32, oversubscribe: bool) -> Result<u32, Failure> {
    let slots = shape.slots();
    if slots > SLOTS_MAX {
        return Err(Failure::usage(format_args!(
            "{shape} makes {slots} threads on each worker: at most {SLOTS_MAX}"
        ))
        .hint("give a smaller -p or -t"));
    }
    if slots > usable && !oversubscribe {
        let message = format!(
            "{shape} makes {slots} threads on each worker, but this machine has {usable} usable CPUs"
        );
        return Err(Failure::usage(message).hint("allow it with --oversubscribe"));
    }
    Ok(slots)
}

/// The lock that `--gil`, or what belongs to it, asks for.
fn lock(args: &ShapeArgs, model: Model) -> Result<Option<Gil>, Failure> {
    if !args.gil && model != Model::Gil {
        let (flag, given) = match args.gil_switch {
            Some(_) => ("--gil-switch", true),
            None => ("--gil-domains", args.gil_domains.is_some()),
        };
        return if given {
            Err(Failure::usage(format_args!("{flag} is about the lock of --gil, which is not given"))
                .hint("add --gil, or leave it out"))
        } else {
            Ok(None)
        };
    }
    let switch = args.gil_switch.map_or(GIL_SWITCH_DEFAULT, |time| Span(time.as_nanos() as u64));
    if switch == Span::ZERO {
        return Err(Failure::usage(
            "--gil-switch 0: a task that waits for the lock asks for it after some time",
        )
        .hint("give at least 1us"));
    }
    Ok(Some(Gil { domains: args.gil_domains.unwrap_or(1), switch }))
}

fn mismatch(model: &str, has: &str, flag: &str, number: u32) -> Failure {
    Failure::usage(format_args!("--model {model} has {has}, so {flag} {number} does not fit"))
        .hint("--model hybrid takes both -p and -t")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(
        model: Option<Model>,
        processes: Option<u32>,
        threads: Option<u32>,
    ) -> Result<ShapePlan, Failure> {
        ShapePlan::new(&ShapeArgs { model, processes, threads, ..ShapeArgs::default() })
    }

    #[test]
    fn the_model_follows_from_p_and_t() {
        for (processes, threads, model, shape) in [
            (None, None, "thread", "1x4"),
            (None, Some(3), "thread", "1x3"),
            (Some(3), None, "process", "3x1"),
            (Some(2), Some(2), "hybrid", "2x2"),
            (Some(1), Some(2), "thread", "1x2"),
        ] {
            let plan = plan(None, processes, threads).unwrap();
            assert_eq!((plan.request.model(), plan.on(4).to_string().as_str()), (model, shape));
        }
    }

    #[test]
    fn a_hybrid_without_room_is_told_what_it_is() {
        let hybrid = |processes, threads| plan(Some(Model::Hybrid), processes, threads).unwrap();
        let text = hybrid(None, None).not_hybrid(2).unwrap();
        assert!(text.contains("on 2 slots --model hybrid is 2x1, just as --model process;"), "{text}");
        let text = hybrid(None, Some(3)).not_hybrid(3).unwrap();
        assert!(text.contains("is 1x3, just as --model thread;"), "{text}");
        assert_eq!(hybrid(None, None).not_hybrid(4), None);
        assert_eq!(hybrid(Some(2), Some(1)).not_hybrid(2), None, "it was asked for");
        assert_eq!(plan(Some(Model::Process), None, None).unwrap().not_hybrid(2), None);
    }

    #[test]
    fn a_shape_is_described_with_its_model() {
        let text = |args: ShapeArgs, why| ShapePlan::new(&args).unwrap().describe(4, why);
        let model = |model| ShapeArgs { model: Some(model), ..ShapeArgs::default() };
        assert_eq!(text(ShapeArgs::default(), None), "thread: 1 executor x 4 threads on each worker");
        assert_eq!(
            text(model(Model::Spawn), None),
            "spawn: 4 executors x 1 thread on each worker, a new executor for every task"
        );
        assert_eq!(
            text(model(Model::Gil), None),
            "thread: 1 executor x 4 threads on each worker; tasks take turns, 1 lock in each executor"
        );
        let in_flight = ShapeArgs { in_flight: Some(9), ..model(Model::Async) };
        assert_eq!(
            text(in_flight.clone(), None),
            "async: 1 executor x 4 threads on each worker, up to 9 tasks in flight on each thread"
        );
        assert_eq!(
            text(in_flight, Some("it has no async form")),
            "async: 1 executor x 36 threads that stand in for tasks in flight: it has no async form"
        );
        let not_async = text(model(Model::Process), Some("it has no async form"));
        assert_eq!(not_async, "process: 4 executors x 1 thread on each worker");
    }

    #[test]
    fn flags_that_do_not_fit_the_model_are_refused() {
        assert!(plan(Some(Model::Thread), Some(2), None).is_err());
        assert!(plan(Some(Model::Process), None, Some(2)).is_err());
        assert!(plan(Some(Model::Hybrid), Some(2), Some(2)).is_ok());
        assert!(plan(Some(Model::Spawn), Some(2), Some(2)).is_err());
        let text = plan(Some(Model::Gil), Some(2), None).unwrap_err().to_string();
        assert!(
            text.contains("--model gil has one process") && text.contains("--model hybrid --gil"),
            "{text}"
        );
        let in_flight = ShapeArgs { in_flight: Some(9), ..ShapeArgs::default() };
        assert!(ShapePlan::new(&in_flight).is_err());
        let shape = ShapePlan::new(&ShapeArgs { model: Some(Model::Async), ..in_flight }).unwrap().on(4);
        assert_eq!(shape, Shape { flow: Flow::InFlight(9), ..Shape::new(1, 4) });
        let switch =
            ShapeArgs { gil_switch: Some(std::time::Duration::from_millis(2)), ..ShapeArgs::default() };
        assert!(ShapePlan::new(&switch).is_err());
        let gil = ShapePlan::new(&ShapeArgs { gil: true, ..switch.clone() }).unwrap().gil;
        assert_eq!(gil, Some(Gil { domains: 1, switch: Span::from_millis(2) }));
        assert_eq!(ShapePlan::new(&ShapeArgs { model: Some(Model::Gil), ..switch }).unwrap().gil, gil);
    }

    #[test]
    fn more_threads_than_cpus_need_a_flag() {
        let plan = plan(None, Some(2), Some(2)).unwrap();
        assert_eq!(plan.slots(4, 4).ok(), Some(4));
        let text = plan.slots(2, 2).unwrap_err().to_string();
        assert!(text.contains("2x2 makes 4 threads") && text.contains("--oversubscribe"), "{text}");
        let text = worker_slots(Some(4_096), Some(4_096), 2, 2, true).unwrap_err().to_string();
        assert!(text.contains("4096x4096 makes 16777216 threads") && text.contains("at most 4096"), "{text}");
    }
}
