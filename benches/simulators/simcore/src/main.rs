//! The reference workload on simcore, the engine of DSLab: W workers of one slot, N tasks of exp(1 s), one task per
//! message, 1 ms to dispatch and 1 ms for the result; the next task leaves when the result arrives. A master and W
//! workers send events to each other; there is no scheduler besides a counter. Prints one JSON object.
//!
//! `reference-simcore WORKERS TASKS`

use serde::Serialize;
use simcore::{Event, EventHandler, Id, Simulation, SimulationContext, cast};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

const SEED: u64 = 42;
const MESSAGE_S: f64 = 0.001;

#[derive(Clone, Serialize)]
struct Task {
    index: u64,
}

#[derive(Clone, Serialize)]
struct Ran {}

#[derive(Clone, Serialize)]
struct Result {}

struct Master {
    ctx: SimulationContext,
    next: u64,
    tasks: u64,
}

impl Master {
    fn dispatch(&mut self, worker: Id) {
        if self.next < self.tasks {
            self.ctx.emit(Task { index: self.next }, worker, MESSAGE_S);
            self.next += 1;
        }
    }
}

impl EventHandler for Master {
    fn on(&mut self, event: Event) {
        cast!(match event.data {
            Result {} => {
                self.dispatch(event.src);
            }
        })
    }
}

struct Worker {
    ctx: SimulationContext,
    master: Id,
}

impl EventHandler for Worker {
    fn on(&mut self, event: Event) {
        cast!(match event.data {
            Task { index } => {
                self.ctx.emit_self(Ran {}, task_ns(index) as f64 / 1e9);
            }
            Ran {} => {
                self.ctx.emit(Result {}, self.master, MESSAGE_S);
            }
        })
    }
}

/// SplitMix64 at a place; the top 53 bits as a number in 0..1; cut to nanoseconds.
fn task_ns(index: u64) -> u64 {
    let z = SEED.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let u = ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64;
    (-libm::log(1.0 - u) * 1e9) as u64
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|word| word.parse::<u64>().expect("a number is wanted"));
    let (workers, tasks) = (arguments.next().expect("WORKERS TASKS"), arguments.next().expect("WORKERS TASKS"));
    let began = Instant::now();
    let mut sim = Simulation::new(SEED);
    let master = Rc::new(RefCell::new(Master { ctx: sim.create_context("master"), next: 0, tasks }));
    let master_id = sim.add_handler("master", master.clone());
    for number in 0..workers {
        let name = format!("worker-{number}");
        let worker = Worker { ctx: sim.create_context(&name), master: master_id };
        let id = sim.add_handler(&name, Rc::new(RefCell::new(worker)));
        master.borrow_mut().dispatch(id);
    }
    sim.step_until_no_events();
    let (makespan, wall) = (sim.time(), began.elapsed().as_secs_f64());
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    println!(
        "{{\"simulator\": \"simcore 0.1.0\", \"workers\": {workers}, \"tasks\": {tasks}, \"makespan_s\": {makespan}, \
         \"wall_s\": {wall}, \"peak_rss_bytes\": {}}}",
        peak.unwrap_or(0) * 1024
    );
}
