//! pending
use crate::exit::{Failure, Outcome};
use std::path::Path;
#[derive(Debug, clap::Args)]
pub struct CoordinatorArgs {}
#[derive(Debug, clap::Args)]
pub struct WorkerArgs {}
impl WorkerArgs {
    pub fn target(&self) -> Result<muster_proto::link::Target, Failure> {
        Err(Failure::usage("pending"))
    }
}
pub fn coordinator(_args: CoordinatorArgs) -> Outcome {
    Err(Failure::usage("pending"))
}
pub fn worker(_args: WorkerArgs) -> Outcome {
    Err(Failure::usage("pending"))
}
pub struct InProcess;
impl InProcess {
    pub fn start(_socket: &Path, _state: Option<&Path>) -> Result<Self, Failure> {
        Err(Failure::usage("pending"))
    }
    pub fn stop(self) {}
}
pub fn usable_cpus() -> u32 {
    2
}
pub fn run_if_executor() {
    let a: Vec<_> = std::env::args_os().collect();
    if a.len() == 3 && a[1] == "__probe" {
        muster_plugin_host::probe_main(Path::new(&a[2]))
    }
}
