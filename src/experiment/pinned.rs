//! Clusters that have a part of the processors.

use crate::cluster::Private;
use crate::exit::Outcome;
use muster_core::scheduler::PolicySpec;
use muster_worker::os::affinity;

/// A cluster whose worker, with all that it starts, is kept on so many processors.
pub async fn pinned(slots: u32, cpus: u32) -> Outcome<Private> {
    let all = affinity::allowed().unwrap_or_default();
    let keeps = all.len() > cpus as usize && affinity::pin(&all[..cpus as usize]).is_ok();
    let cluster = Private::start(1, slots, None, PolicySpec::default()).await;
    if keeps {
        // It was allowed a moment ago.
        let _ = affinity::pin(&all);
    }
    cluster
}
