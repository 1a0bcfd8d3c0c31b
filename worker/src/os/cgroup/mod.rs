//! Control groups: what this process may use of them, and one group for an executor that needs one.
//!
//! Both versions may be there at once. Version 2 has the better means (`memory.max`, `cgroup.kill`), but hands a
//! controller to groups below only when no process is left in the one above: a worker that is alone in its group moves
//! into a leaf of it. Version 1 knows no such rule. Groups are made below the worker's own group and named with its
//! process id and start time, so that those of a worker that is gone can be told from others.

mod group;
mod home;
mod mounts;

pub use group::{Bounds, Group, MemoryEvidence};

use home::Home;
use mounts::Mounts;
use std::path::PathBuf;

/// What of control groups can be used here.
#[derive(Clone, Debug)]
pub struct Cgroups {
    memory: Result<Home, String>,
    pids: Result<Home, String>,
    /// The folder below which groups can be killed as one.
    unified: Option<PathBuf>,
}

impl Cgroups {
    /// Looks at what there is, moves this process where it has to be, and removes what workers left that are gone.
    #[must_use]
    pub fn find() -> Self {
        let mounts = match Mounts::read() {
            Ok(mounts) => mounts,
            Err(error) => return Self::none(&format!("/proc does not say which there are: {error}")),
        };
        let unified = mounts.unified().filter(|folder| home::can_make_groups(folder));
        let controller = |name: &str| home::find(&mounts, name);
        let found = Self { memory: controller("memory"), pids: controller("pids"), unified };
        found.folders().for_each(|folder| group::remove_leftovers(&folder));
        found
    }

    /// Why workers that this process starts cannot keep a number of processes, where that is sure.
    #[must_use]
    pub fn no_pids() -> Option<String> {
        home::missing(&Mounts::read().ok()?, "pids")
    }

    fn none(why: &str) -> Self {
        Self { memory: Err(why.to_owned()), pids: Err(why.to_owned()), unified: None }
    }

    /// Which version keeps memory limits, or why none does.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn memory(&self) -> Result<u32, &str> {
        self.memory.as_ref().map(Home::version).map_err(String::as_str)
    }

    /// Which version keeps the number of processes, or why none does.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn pids(&self) -> Result<u32, &str> {
        self.pids.as_ref().map(Home::version).map_err(String::as_str)
    }

    fn folders(&self) -> impl Iterator<Item = PathBuf> {
        let homes = [&self.memory, &self.pids].into_iter().flatten().map(|home| home.folder().to_owned());
        homes.chain(self.unified.clone()).collect::<std::collections::BTreeSet<_>>().into_iter()
    }
}
