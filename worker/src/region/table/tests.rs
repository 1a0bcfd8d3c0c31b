use super::super::RegionFile;
use super::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// Two executors of one job.
fn two() -> (Regions, Regions, RegionFile) {
    let file = RegionFile::create().unwrap();
    let open = || Regions::new(7, file.fd().try_clone_to_owned().unwrap());
    (open(), open(), file)
}

fn words(start: NonNull<u8>) -> &'static AtomicU64 {
    // SAFETY: the region is aligned to a page, has at least eight bytes, and lives as long as the test's objects.
    unsafe { start.cast::<AtomicU64>().as_ref() }
}

#[test]
fn a_name_is_the_same_memory_everywhere_and_zero_at_first() {
    let (one, other, _file) = two();
    let (here, there) = (one.region("sum", 8).unwrap(), other.region("sum", 8).unwrap());
    assert_ne!(here, there, "mapped twice");
    assert_eq!(words(here).load(Ordering::SeqCst), 0);
    words(here).store(42, Ordering::SeqCst);
    assert_eq!(words(there).load(Ordering::SeqCst), 42);
    assert_eq!(one.region("sum", 8).unwrap(), here);
    let second = other.region("second", 10_000).unwrap();
    assert_eq!(words(second).load(Ordering::SeqCst), 0);
    assert_eq!(words(one.region("second", 10_000).unwrap()).load(Ordering::SeqCst), 0);
    drop(one);
    assert_eq!(words(there).load(Ordering::SeqCst), 42, "it survives executors");
}

#[test]
fn what_cannot_be_is_said() {
    let (one, other, _file) = two();
    one.region("a", 100).unwrap();
    for regions in [&one, &other] {
        let error = regions.region("a", 101).unwrap_err();
        assert!(matches!(error, RegionError::OtherLength { has: 100, asked: 101, .. }), "{error}");
    }
    let error = other.region("b", REGIONS_BYTES_MAX as usize).unwrap_err();
    assert!(matches!(error, RegionError::Full { used: PAGE_BYTES, .. }), "{error}");
    for number in 1..REGIONS_MAX {
        one.region(&format!("n{number}"), 1).unwrap();
    }
    let error = other.region("more", 1).unwrap_err();
    assert!(matches!(error, RegionError::TooMany { .. }), "{error}");
    other.region("n5", 1).unwrap();
}

#[test]
fn a_table_that_was_written_over_is_noticed() {
    let (one, other, file) = two();
    one.region("a", 100).unwrap();
    let raw = File::from(file.fd().try_clone_to_owned().unwrap());
    let whole = u64::MAX.to_le_bytes();
    for at in [0, row_at(0), row_at(0) + WORD + NAME_BYTES, row_at(0) + 2 * WORD + NAME_BYTES] {
        let mut before = [0; WORD];
        raw.read_exact_at(&mut before, at as u64).unwrap();
        raw.write_all_at(&whole, at as u64).unwrap();
        assert!(matches!(other.region("a", 100), Err(RegionError::Overwritten)), "{at}");
        raw.write_all_at(&before, at as u64).unwrap();
    }
    other.region("a", 100).unwrap();
    raw.set_len(10).unwrap_err();
    raw.set_len(2 << 30).unwrap_err();
}

#[test]
fn a_table_that_a_dead_process_held_is_free_again() {
    let (one, _, _file) = two();
    // SAFETY: the child makes system calls alone and ends at once.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let held = lock(&one.file, libc::F_WRLCK).is_ok();
        // SAFETY: ends the child without running anything else of the test.
        unsafe { libc::_exit(i32::from(!held)) };
    }
    let mut status = 0;
    // SAFETY: the child is this process' own.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child held it");
    one.region("a", 8).unwrap();
}
