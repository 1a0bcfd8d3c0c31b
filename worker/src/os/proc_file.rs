//! What files of `/proc` and of this process's own control group say.

use std::fs::read_to_string;

/// The size in a line `key: N kB` of a file below `/proc`, in bytes.
#[must_use]
pub fn size(file: &str, key: &str) -> Option<u64> {
    let text = read_to_string(format!("/proc/{file}")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

/// The memory of a process (`self`, or its id), with its share of what others have as well (PSS), in bytes.
#[must_use]
pub fn pss_bytes(process: &str) -> Option<u64> {
    size(&format!("{process}/smaps_rollup"), "Pss")
}

/// A file of this process's control group, where it is one of version 2.
#[must_use]
pub fn group_file(name: &str) -> Option<String> {
    let groups = read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    read_to_string(format!("/sys/fs/cgroup{path}/{name}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_bytes() {
        let (total, free) = (size("meminfo", "MemTotal").unwrap(), size("meminfo", "MemAvailable").unwrap());
        assert!(total > free && total.is_multiple_of(1 << 10), "{total} {free}");
        assert_eq!((size("meminfo", "MemTot"), size("no-such-file", "MemTotal")), (None, None));
        assert!(pss_bytes("self").unwrap() > 100 << 10);
        assert_eq!(pss_bytes("0"), None);
    }
}
