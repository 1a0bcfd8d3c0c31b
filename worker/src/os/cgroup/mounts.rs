//! Where control groups are mounted, and where in them this process is.

use std::io;
use std::path::{Path, PathBuf};

/// A hierarchy of groups that is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    /// Its controllers; none for version 2.
    controllers: Option<Vec<String>>,
    /// The group that is seen at `at`.
    root: String,
    at: PathBuf,
}

/// What `/proc` says of them.
#[derive(Clone, Debug)]
pub(super) struct Mounts {
    mounts: Vec<Mount>,
    /// The text of `/proc/self/cgroup`.
    own: String,
}

impl Mounts {
    pub(super) fn read() -> io::Result<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
        Ok(Self::parse(&mounts, &std::fs::read_to_string("/proc/self/cgroup")?))
    }

    fn parse(mounts: &str, own: &str) -> Self {
        Self { mounts: mounts.lines().filter_map(parse_mount).collect(), own: own.to_owned() }
    }

    /// The folder of this process's group in the hierarchy of version 2.
    pub(super) fn unified(&self) -> Option<PathBuf> {
        let mount = self.mounts.iter().find(|mount| mount.controllers.is_none())?;
        let path = self.own.lines().find_map(|line| line.strip_prefix("0::"))?;
        Some(folder(mount, path))
    }

    /// The folder of this process's group in the hierarchy of version 1 that has a controller.
    pub(super) fn legacy(&self, controller: &str) -> Option<PathBuf> {
        let has = |names: &[String]| names.iter().any(|name| name == controller);
        let mount = self.mounts.iter().find(|mount| mount.controllers.as_deref().is_some_and(has))?;
        let path = self.own.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (names, path) = rest.split_once(':')?;
            names.split(',').any(|name| name == controller).then_some(path)
        })?;
        Some(folder(mount, path))
    }
}

/// A group's folder: its path counts from the root of the hierarchy, of which a container may see a part.
fn folder(mount: &Mount, path: &str) -> PathBuf {
    let below = Path::new(path).strip_prefix(&mount.root).unwrap_or(Path::new(""));
    mount.at.join(below.strip_prefix("/").unwrap_or(below))
}

/// A line of `mountinfo`: `36 35 0:30 ROOT AT options [tags] - TYPE source options`.
fn parse_mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(3);
    let (root, at) = (before.next()?, before.next()?);
    let mut after = after.split(' ');
    let controllers = match (after.next()?, after.nth(1)?) {
        ("cgroup2", _) => None,
        ("cgroup", options) => Some(options.split(',').map(str::to_owned).collect()),
        _ => return None,
    };
    Some(Mount { controllers, root: root.to_owned(), at: at.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
        31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
        35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n\
        36 31 0:33 /docker/ab /sys/fs/cgroup/cpu,pids rw,relatime - cgroup cgroup rw,cpu,pids\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn each_hierarchy_has_its_own_folder() {
        let own = "8:cpu,pids:/docker/ab/x\n4:memory:/a/b\n0::/user.slice\n";
        let mounts = Mounts::parse(HYBRID, own);
        assert_eq!(mounts.legacy("memory"), Some("/sys/fs/cgroup/memory/a/b".into()));
        assert_eq!(mounts.legacy("pids"), Some("/sys/fs/cgroup/cpu,pids/x".into()));
        assert_eq!(mounts.unified(), Some("/sys/fs/cgroup/unified/user.slice".into()));
        assert_eq!(mounts.legacy("hugetlb"), None);
        let pure = Mounts::parse("29 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate", "0::/\n");
        assert_eq!((pure.unified(), pure.legacy("memory")), (Some("/sys/fs/cgroup/".into()), None));
        assert_eq!(Mounts::parse("", "").unified(), None);
    }
}
