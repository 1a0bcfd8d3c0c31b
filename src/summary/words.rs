//! How counts, states and models are called.

use muster_proto::v1::{self, JobState};

/// Workers x processes x threads.
pub fn shape(workers: u32, processes: u32, threads: u32) -> String {
    let counted = [
        counted(workers, "worker", "workers"),
        counted(processes, "process", "processes"),
        counted(threads, "thread", "threads"),
    ];
    counted.join(" x ")
}

/// A number with its noun.
pub fn counted(count: u32, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// How large a cluster is, whose workers have so many slots each.
pub fn workers_of_slots(workers: u32, slots: u32) -> String {
    format!("{} of {}", counted(workers, "worker", "workers"), counted(slots, "slot", "slots"))
}

/// Why threads stand in for tasks in flight, where they do.
pub const fn why_stand_ins(reduces: bool) -> &'static str {
    if reduces { "results are combined (--reduce)" } else { "the plugin has no async form" }
}

/// How lists and JSON call a job's state.
pub const fn state_name(state: JobState) -> &'static str {
    match state {
        JobState::Unspecified => "unknown",
        JobState::Waiting => "waiting",
        JobState::Running => "running",
        JobState::Done => "done",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
        JobState::Paused => "paused",
    }
}

pub const fn model_name(model: v1::Model) -> &'static str {
    match model {
        v1::Model::Unspecified | v1::Model::Thread => "thread",
        v1::Model::Process => "process",
        v1::Model::Hybrid => "hybrid",
        v1::Model::Spawn => "spawn",
        v1::Model::Async => "async",
    }
}

pub const fn class_name(class: v1::FailureClass) -> &'static str {
    match class {
        v1::FailureClass::Unspecified | v1::FailureClass::Failed => "failed",
        v1::FailureClass::Transient => "transient",
        v1::FailureClass::Crashed => "crashed",
        v1::FailureClass::Cancelled => "cancelled",
        v1::FailureClass::Panicked => "panicked",
        v1::FailureClass::Limit => "limit",
        v1::FailureClass::Timeout => "timeout",
        v1::FailureClass::Memory => "memory",
    }
}
