//! Which processors a thread may use.

use super::check;
use std::io;

/// The processors that the calling thread may use, by their numbers.
///
/// # Errors
/// The system does not say.
pub fn allowed() -> io::Result<Vec<usize>> {
    // SAFETY: an all-zero set is a valid, empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is valid to write to, with its size.
    check(unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) })?;
    // SAFETY: the numbers are below the size of the set.
    Ok((0..libc::CPU_SETSIZE as usize).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect())
}

/// Lets the calling thread, and threads and processes that it starts from now on, use these processors alone.
///
/// # Errors
/// None of them is there, or it is not allowed.
pub fn pin(cpus: &[usize]) -> io::Result<()> {
    // SAFETY: an all-zero set is a valid, empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for &cpu in cpus.iter().filter(|&&cpu| cpu < libc::CPU_SETSIZE as usize) {
        // SAFETY: the number is below the size of the set.
        unsafe { libc::CPU_SET(cpu, &mut set) };
    }
    // SAFETY: `set` is valid to read, with its size.
    check(unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_kept_on_a_processor() {
        let all = allowed().unwrap();
        // A thread of its own: it cannot harm other tests.
        let kept = std::thread::spawn(move || {
            pin(&all[..1]).unwrap();
            (allowed().unwrap(), all)
        });
        let (now, all) = kept.join().unwrap();
        assert_eq!(now, all[..1]);
        assert!(pin(&[]).is_err());
    }
}
