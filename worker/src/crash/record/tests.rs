use super::super::layout::ROLE_OTHER;
use super::*;
use proptest::prelude::*;

/// A record with some of its words set.
fn record(words: &[(usize, u32)], longs: &[(usize, u64)], maps: &str) -> Option<CrashRecord> {
    let mut bytes = vec![0; RECORD_BYTES];
    for &(at, word) in words {
        bytes[at..at + 4].copy_from_slice(&word.to_ne_bytes());
    }
    for &(at, long) in longs {
        bytes[at..at + 8].copy_from_slice(&long.to_ne_bytes());
    }
    let at = offset_of!(Layout, maps);
    bytes[at..at + maps.len()].copy_from_slice(maps.as_bytes());
    let len = offset_of!(Layout, maps_len);
    bytes[len..len + 4].copy_from_slice(&(maps.len() as u32).to_ne_bytes());
    CrashRecord::parse(&bytes)
}

const STAGE: usize = offset_of!(Layout, stage);
const SIGNAL: usize = offset_of!(Layout, signal);
const CODE: usize = offset_of!(Layout, code);
const SEGV: u32 = libc::SIGSEGV as u32;

#[test]
fn what_was_not_written_is_no_record() {
    assert_eq!(record(&[], &[], ""), None);
    assert_eq!(record(&[(STAGE, 7), (SIGNAL, SEGV)], &[], ""), None);
    assert_eq!(record(&[(STAGE, STAGE_FACTS), (SIGNAL, 99)], &[], ""), None);
    let frames = offset_of!(Layout, frame_count);
    assert_eq!(record(&[(STAGE, STAGE_WHOLE), (SIGNAL, SEGV), (frames, 65)], &[], ""), None);
    let found = record(&[(STAGE, STAGE_FACTS), (SIGNAL, SEGV), (CODE, 1)], &[], "").unwrap();
    assert_eq!((found.address, found.role, found.is_cut), (Some(0), Role::Other, true));
    assert_eq!(ROLE_OTHER, 0, "a thread that says nothing is none of muster's");
    assert_eq!(found.places(), []);
}

#[test]
fn an_address_that_the_kernel_does_not_know_is_none() {
    let kernel = record(&[(STAGE, STAGE_WHOLE), (SIGNAL, SEGV), (CODE, SI_KERNEL as u32)], &[], "").unwrap();
    assert!(kernel.address.is_none() && kernel.is_impossible_address());
    let sent = record(&[(STAGE, STAGE_WHOLE), (SIGNAL, SEGV), (CODE, -6i32 as u32)], &[], "").unwrap();
    assert!(sent.address.is_none() && !sent.is_impossible_address());
}

#[test]
fn a_stack_that_was_outgrown_is_told_from_a_wild_pointer() {
    let of = |address: u64, sp: u64| {
        let longs = [
            (offset_of!(Layout, address), address),
            (offset_of!(Layout, sp), sp),
            (offset_of!(Layout, stack_low), 0x100_0000),
            (offset_of!(Layout, stack_high), 0x120_0000),
            (offset_of!(Layout, guard_bytes), 0x1000),
        ];
        record(&[(STAGE, STAGE_WHOLE), (SIGNAL, SEGV), (CODE, 2)], &longs, "").unwrap().is_stack_overflow()
    };
    assert!(of(0xff_fff8, 0x100_0008), "the guard is below the stack");
    assert!(of(0x100_0ff8, 0x100_1008), "or its lowest page");
    assert!(of(0xf8_0000, 0xf8_0010), "a large frame steps over it");
    assert!(!of(0, 0x110_0000), "null");
    assert!(!of(0x110_0000, 0x110_0010), "memory of the stack");
    assert!(!of(0x4141_4141, 0x110_0000), "elsewhere");
}

#[test]
fn calls_of_muster_at_the_outer_end_are_left_out() {
    let maps = "1000-2000 r-xp 00000000 08:01 1 /bin/muster\n\
                3000-4000 r-xp 00000000 08:01 2 /cache/plugin.so\n\
                5000-6000 r-xp 00000000 08:01 3 /lib/libc.so.6\n";
    let of = |frames: &[u64]| {
        let modules = Module::parse_all(maps.as_bytes());
        places(frames, &modules, 0x1500).iter().map(|place| place.offset).collect::<Vec<_>>()
    };
    assert_eq!(of(&[0x5001, 0x3002, 0x1003, 0x1004, 0x5005]), [0x1, 0x2], "a task");
    assert_eq!(of(&[0x3001, 0x5002, 0x3003, 0x1004, 0x5005]), [0x1, 0x2, 0x3], "a callback of the C library");
    assert_eq!(of(&[0x1001, 0x3002, 0x1003]), [0x1, 0x2], "a call into muster that went wrong");
    assert_eq!(of(&[0x3001, 0x5002, 0x5003]), [0x1, 0x2, 0x3], "a thread of the plugin");
    assert_eq!(of(&[0x1001, 0x5002]), [0x1, 0x2], "muster itself");
    assert_eq!(of(&[0x5001, 0x1002, 0x5003]), [0x1], "a library that muster called");
    assert_eq!(of(&[0x3001]), [0x1], "a stack too deep to see its outer end");
    assert_eq!(of(&[]), [0; 0]);
    assert_eq!(of(&[0x9001]), [0x9001], "nowhere");
}

proptest! {
    #[test]
    fn no_bytes_panic(seed in prop::collection::vec(any::<u8>(), 1..300), stage in 1u32..3, signal in 0u32..32) {
        let mut bytes: Vec<u8> = seed.iter().copied().cycle().take(RECORD_BYTES).collect();
        bytes[STAGE..STAGE + 4].copy_from_slice(&stage.to_ne_bytes());
        bytes[SIGNAL..SIGNAL + 4].copy_from_slice(&signal.to_ne_bytes());
        for limit in [offset_of!(Layout, frame_count), offset_of!(Layout, maps_len)] {
            bytes[limit..limit + 4].copy_from_slice(&60u32.to_ne_bytes());
        }
        if let Some(record) = CrashRecord::parse(&bytes) {
            let _ = (record.is_stack_overflow(), record.places());
        }
    }
}
