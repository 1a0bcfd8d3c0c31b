//! For the fuzz targets: whether what was taken up makes sense.

use super::{Driver, Subject};
use muster_core::id::Incarnation;
use muster_core::sandbox::Terms;
use muster_core::trust::Trust;
use muster_proto::convert::Hello;
use tokio::sync::oneshot;

impl Driver {
    /// Compares all records of the scheduler, tells of all jobs, and lets a worker come that has room for their tasks.
    ///
    /// # Panics
    /// Records contradict each other.
    pub fn hold_against_itself(&mut self) {
        self.scheduler.check_invariants();
        drop((self.list(usize::MAX), self.plugins.list(), self.numbers()));
        let hello = Hello {
            features: Vec::new(),
            name: "worker".to_owned(),
            incarnation: Incarnation(1),
            slots: 4,
            target: "x86_64-unknown-linux-gnu".to_owned(),
            version: String::new(),
            host: "host".to_owned(),
            pid: 1,
            metrics_address: String::new(),
            state: 0,
            held: Vec::new(),
            sandbox: Terms::default(),
            trust: Trust::default(),
        };
        let (reply, attached) = oneshot::channel();
        self.attach(hello, reply);
        self.scheduler.await_no_workers();
        self.act_on_outputs(&Subject::Nothing);
        self.settle();
        self.scheduler.check_invariants();
        drop(attached);
    }
}
