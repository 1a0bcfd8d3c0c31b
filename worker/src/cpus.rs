//! How many CPUs this process may really use: affinity and the quota of its control group.

use std::path::{Path, PathBuf};

/// The CPUs that this process may use: the smaller one of its affinity and its control group's quota, at
/// least 1. A quota of part of a CPU counts as one.
#[must_use]
pub fn usable_cpus() -> u32 {
    let affinity = std::thread::available_parallelism().map_or(1, |count| count.get() as u32);
    let quota = quota_v2(Path::new("/")).or_else(|| quota_v1(Path::new("/")));
    quota.map_or(affinity, |quota| affinity.min(quota.ceil().max(1.0) as u32)).max(1)
}

/// The smallest quota on the way from the process's group to the root, in CPUs.
fn quota_v2(root: &Path) -> Option<f64> {
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mount = root.join("sys/fs/cgroup");
    ancestors(&mount, group)
        .filter_map(|path| {
            let text = std::fs::read_to_string(path.join("cpu.max")).ok()?;
            let (quota, period) = text.trim().split_once(' ')?;
            ratio(quota, period)
        })
        .reduce(f64::min)
}

fn quota_v1(root: &Path) -> Option<f64> {
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let group = groups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers.split(',').any(|name| name == "cpu").then_some(path)
    })?;
    let mount = root.join("sys/fs/cgroup/cpu");
    let read = |path: &Path, name| std::fs::read_to_string(path.join(name)).ok();
    ancestors(&mount, group)
        .filter_map(|path| {
            ratio(read(&path, "cpu.cfs_quota_us")?.trim(), read(&path, "cpu.cfs_period_us")?.trim())
        })
        .reduce(f64::min)
}

/// The folder of a group and of all groups around it, as far as they can be seen from here.
fn ancestors(mount: &Path, group: &str) -> impl Iterator<Item = PathBuf> {
    let inner = mount.join(group.trim_start_matches('/'));
    let count = Path::new(group).components().count();
    let mut folders: Vec<PathBuf> = inner.ancestors().take(count).map(Path::to_path_buf).collect();
    folders.push(mount.to_path_buf());
    folders.into_iter()
}

/// `None`: no limit.
fn ratio(quota: &str, period: &str) -> Option<f64> {
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (quota > 0.0 && period > 0.0).then_some(quota / period)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn the_tightest_group_counts() {
        let machine = machine(&[
            ("proc/self/cgroup", "0::/outer/inner\n"),
            ("sys/fs/cgroup/outer/inner/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/outer/cpu.max", "150000 100000\n"),
        ]);
        assert_eq!(quota_v2(machine.path()), Some(1.5));
        assert_eq!(quota_v1(machine.path()), None);
    }

    #[test]
    fn the_old_layout_is_read_too() {
        let machine = machine(&[
            ("proc/self/cgroup", "4:memory:/m\n3:cpu,cpuacct:/job\n"),
            ("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "400000\n"),
            ("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ]);
        assert_eq!(quota_v1(machine.path()), Some(4.0));
        assert_eq!(quota_v2(machine.path()), None);
    }

    #[test]
    fn there_is_at_least_one() {
        assert!(usable_cpus() >= 1);
        assert_eq!(ratio("0", "100000"), None);
    }
}
