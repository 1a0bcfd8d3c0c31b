use super::*;
use std::io::{Seek, Write};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

fn run_facts(base: u64) -> LeaseFacts {
    LeaseFacts { base, attempt: 1, ..LeaseFacts::default() }
}

fn file_with(bytes: &[u8]) -> OwnedFd {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file.into()
}

#[test]
fn both_sides_see_the_same_words() {
    let agent = JobPage::create(3).unwrap();
    let executor = JobPage::map(agent.fd().try_clone_to_owned().unwrap()).unwrap();
    assert_eq!(executor.slots(), 3);
    let generation = agent.publish(5, IndexRange::new(10, 20), run_facts(10)).unwrap();
    let (entry, claim) = executor
        .claim(0, |_, unclaimed, total| if total == 10 { unclaimed - 3 } else { 1 }, |_, _, _| {})
        .unwrap();
    assert_eq!((entry, claim.generation, claim.range), (5, generation, IndexRange::new(10, 17)));
    assert_eq!(agent.entries()[5].word().unclaimed(), 3);
    assert_eq!(agent.busy_slots(), 0);
    executor.slot(2).unwrap().current.store(10, SeqCst);
    assert_eq!(agent.busy_slots(), 1);
    agent.clear_slots(0, 3);
    assert_eq!(agent.busy_slots(), 0);
}

#[test]
fn running_tasks_say_how_far_they_are() {
    let page = JobPage::create(3).unwrap();
    let half = |index: u64| (1 << 62) | index;
    let say = |slot: u32, current: u64, progress: u64| {
        let record = page.slot(slot).unwrap();
        record.current.store(current, SeqCst);
        record.progress.store(progress, SeqCst);
    };
    assert_eq!(page.in_progress(), 0.0);
    say(0, 7, half(7));
    say(1, 0, half(0));
    assert_eq!(page.in_progress(), 1.0);
    say(1, 1, half(0));
    assert_eq!(page.in_progress(), 0.5, "that was the task before");
    // What a plugin scribbles on it: at most a task for each slot, and nothing for a thread without one.
    say(1, (1 << 48) - 1, u64::MAX);
    say(2, SlotRecord::IDLE, u64::MAX);
    assert_eq!(page.in_progress(), 1.5);
    page.clear_slots(0, 3);
    assert_eq!(page.in_progress(), 0.0);
}

/// The last tasks of a lease run while its entry already shows another one.
#[test]
fn a_running_task_keeps_its_attempt_when_its_entry_is_used_again() {
    let page = JobPage::create(1).unwrap();
    page.publish(3, IndexRange::new(0, 2), run_facts(0)).unwrap();
    let record = page.slot(0).unwrap();
    let (entry, claim) = page
        .claim(
            0,
            |_, unclaimed, _| unclaimed,
            |entry, generation, range| record.announce(0, entry, generation, range),
        )
        .unwrap();
    record.attempt.store(claim.facts.attempt, SeqCst);
    record.current.store(1, SeqCst);
    assert_eq!((entry, page.running(0)), (3, Some((1, 1))));
    page.publish(3, IndexRange::new(2, 4), LeaseFacts { attempt: 5, ..run_facts(2) }).unwrap();
    assert_eq!(page.running(0), Some((1, 1)));
    page.clear_slots(0, 1);
    assert_eq!(page.running(0), None);
}

#[test]
fn claims_go_round_so_that_no_lease_starves() {
    let page = JobPage::create(1).unwrap();
    for entry in [2, 9] {
        page.publish(entry, IndexRange::new(0, 2), run_facts(0)).unwrap();
    }
    let claim_from = |cursor| page.claim(cursor, |_, _, _| 1, |_, _, _| {}).map(|(entry, _)| entry);
    assert_eq!(
        [claim_from(3), claim_from(9), claim_from(9), claim_from(2)],
        [Some(9), Some(9), Some(2), Some(2)]
    );
    assert_eq!(claim_from(2), None);
}

#[test]
fn what_is_no_page_is_refused_in_words() {
    assert!(matches!(JobPage::map(file_with(b"short")), Err(PageError::NotAPage { len: 5 })));
    assert!(matches!(JobPage::map(file_with(&[0; 65_536])), Err(PageError::NotAPage { .. })));
    assert!(matches!(JobPage::create(0), Err(PageError::WrongSize { slots: 0, .. })));
    assert!(matches!(JobPage::create(SLOTS_MAX + 1), Err(PageError::WrongSize { .. })));
    let page = JobPage::create(2).unwrap();
    page.fixed().header.slots.store(400, SeqCst);
    let again = JobPage::map(page.fd().try_clone_to_owned().unwrap());
    assert!(matches!(again, Err(PageError::WrongSize { slots: 400, .. })));
    page.fixed().header.version.store(7, SeqCst);
    let again = JobPage::map(page.fd().try_clone_to_owned().unwrap());
    assert!(matches!(again, Err(PageError::OtherLayout { found: 7 })));
}

#[test]
fn nobody_can_make_a_page_smaller() {
    let page = JobPage::create(1).unwrap();
    // SAFETY: only a length is passed.
    assert_eq!(unsafe { libc::ftruncate(page.fd().as_raw_fd(), 0) }, -1);
}

#[test]
fn one_task_wakes_one_sleeper_and_none_is_missed() {
    let page = Arc::new(JobPage::create(4).unwrap());
    let (tell, told) = std::sync::mpsc::channel();
    let threads: Vec<_> = (0..4)
        .map(|slot| {
            let (page, tell) = (Arc::clone(&page), tell.clone());
            std::thread::spawn(move || {
                loop {
                    let sequence = page.sequence();
                    match page.claim(0, |_, _, _| 1, |_, _, _| {}) {
                        Some((_, claim)) if claim.range.start == u64::MAX - 1 => return,
                        Some((_, claim)) => tell.send(claim.range.start).unwrap(),
                        None => page.park(slot, sequence),
                    }
                }
            })
        })
        .collect();
    for index in 0..2_000 {
        page.publish((index % 64) as usize, IndexRange::new(index, index + 1), run_facts(index)).unwrap();
        assert_eq!(told.recv_timeout(Duration::from_secs(20)).unwrap(), index);
    }
    for entry in 0..4 {
        page.publish(entry, IndexRange::new(u64::MAX - 1, u64::MAX), run_facts(u64::MAX - 1)).unwrap();
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn slots_that_may_not_claim_are_left_asleep() {
    let page = JobPage::create(2).unwrap();
    page.slot_records().iter().for_each(|slot| slot.parked.store(1, SeqCst));
    page.allow(1);
    page.wake(2);
    let parked = || page.slot_records().iter().map(|slot| slot.parked.load(SeqCst)).collect::<Vec<_>>();
    assert_eq!(parked(), [0, 1]);
    page.allow(2);
    assert_eq!(parked(), [0, 0]);
}

#[test]
fn what_others_wrote_into_the_page_is_seen() {
    let mut known = [Known::default(); ENTRIES];
    let page = || {
        let page = JobPage::create(2).unwrap();
        page.publish(3, IndexRange::new(10, 20), run_facts(10)).unwrap();
        page
    };
    known[3] = Known { generation: 1, end: 10, facts: run_facts(10) };
    let used = page();
    used.claim(0, |_, _, _| 4, |_, _, _| {}).unwrap();
    assert!(used.is_intact(2, 0, &known), "claims leave it intact");
    let len = size_of::<Fixed>();
    let header = [0..8, 8..12, 12..16, 16..20, 20..24];
    let bases = size_of::<[u64; ENTRIES]>() + 128;
    for part in header.into_iter().chain([bases..bases + 8, len - 64..len - 56, len - 56..len - 48]) {
        let page = page();
        for at in part.clone() {
            // SAFETY: inside the mapping, and nobody else uses it.
            unsafe { *page.mapping.start().as_ptr().add(at) ^= 0x5a };
        }
        assert!(!page.is_intact(2, 0, &known), "bytes {part:?}");
    }
    assert!(!page().is_intact(1, 0, &known) && !page().stops_tasks(|_| false));
    used.slot(1).unwrap().cancel.store(1, SeqCst);
    assert!(used.stops_tasks(|_| false));
}
