//! Both ends in this process, through every kind, and what goes wrong with them.

use super::spec::{Asked, Kind, Spec};
use super::table::Table;
use super::waiting::Waiting;
use super::{ChannelError, Channels, Queues, Side};
use crate::services::StderrServices;
use muster_plugin_abi::{self as abi, Str, status};
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

const KINDS: [Kind; 4] = [Kind::Queue, Kind::Shared, Kind::Pipe, Kind::Socket];

fn spec(name: &str, kind: Kind, side: Option<Side>, wait_ms: u64) -> Spec {
    let asked = Asked { kind, name: name.to_owned(), capacity: 4, message_max: 1_000 };
    Spec { asked, side, wait: Duration::from_millis(wait_ms) }
}

fn waiting(cancel: &AtomicU32) -> Waiting<'_> {
    Waiting { services: &StderrServices, slot: 0, cancel, deadline_ns: u64::MAX }
}

/// Runs a sender and a receiver on threads of their own.
fn pair(
    name: &str,
    kind: Kind,
    send: impl FnOnce(&mut Channels, u32, &Waiting<'_>) + Send,
    receive: impl FnOnce(&mut Channels, u32, &Waiting<'_>) + Send,
) {
    let (queues, cancel) = (Queues::default(), AtomicU32::new(0));
    let open = |side: Side| {
        let mut channels = Channels::default();
        let opened = channels.open(1, &spec(name, kind, Some(side), 10_000), &queues, &waiting(&cancel));
        let (number, got) = opened.unwrap_or_else(|error| panic!("{kind:?} {side}: {error}")).unwrap();
        assert_eq!(got, side);
        (channels, number)
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut channels, number) = open(Side::Sender);
            send(&mut channels, number, &waiting(&cancel));
        });
        let (mut channels, number) = open(Side::Receiver);
        receive(&mut channels, number, &waiting(&cancel));
    });
}

#[test]
fn messages_pass_in_order_and_both_part() {
    for kind in KINDS {
        pair(
            "in order",
            kind,
            |channels, number, waiting| {
                for len in (0..1_000).chain([0, 1_000]) {
                    channels.send(number, &vec![len as u8; len], waiting).unwrap();
                }
                let too_long = channels.send(number, &[0; 1_001], waiting).unwrap_err();
                assert!(matches!(too_long, ChannelError::TooLong { len: 1_001, max: 1_000 }));
                channels.close(number, true, waiting).unwrap();
                assert!(matches!(channels.send(number, b"", waiting), Err(ChannelError::NotOpen { .. })));
            },
            |channels, number, waiting| {
                let mut room = [0; 1_000];
                for len in (0..1_000).chain([0, 1_000]) {
                    let small = len.min(3);
                    if len > small {
                        let refused = channels.receive(number, &mut room[..small], waiting).unwrap_err();
                        assert_eq!(refused.status(), status::LIMIT, "{kind:?}");
                    }
                    assert_eq!(channels.receive(number, &mut room, waiting).unwrap(), Some(len), "{kind:?}");
                    assert!(room[..len].iter().all(|byte| *byte == len as u8));
                }
                assert_eq!(channels.receive(number, &mut room, waiting).unwrap(), None);
                assert!(matches!(channels.send(number, b"", waiting), Err(ChannelError::WrongSide { .. })));
                channels.close(number, true, waiting).unwrap();
            },
        );
    }
}

#[test]
fn who_gives_up_is_missed_by_the_other() {
    for kind in KINDS {
        let gave_up = |result: Result<(), ChannelError>| {
            let error = result.unwrap_err();
            assert_eq!(error.status(), status::TRANSIENT, "{kind:?}: {error}");
            assert!(error.to_string().contains("has left before its end"), "{kind:?}: {error}");
        };
        // After what it has sent.
        pair(
            "sender",
            kind,
            |channels, number, waiting| {
                channels.send(number, b"last", waiting).unwrap();
                channels.clear();
            },
            |channels, number, waiting| {
                let mut room = [0; 1_000];
                assert_eq!(channels.receive(number, &mut room, waiting).unwrap(), Some(4), "{kind:?}");
                gave_up(channels.receive(number, &mut room, waiting).map(drop));
            },
        );
        pair(
            "receiver",
            kind,
            |channels, number, waiting| {
                let sent = (0..1_000_000).try_for_each(|_| channels.send(number, &[7; 1_000], waiting));
                gave_up(sent);
            },
            |channels, number, waiting| channels.close(number, false, waiting).unwrap(),
        );
        // Everything was sent, and not all of it was wanted.
        pair(
            "finished",
            kind,
            |channels, number, waiting| {
                channels.send(number, b"one", waiting).unwrap();
                gave_up(channels.close(number, true, waiting));
            },
            |channels, number, waiting| {
                channels.receive(number, &mut [0; 1_000], waiting).unwrap();
                channels.clear();
            },
        );
    }
}

#[test]
fn nobody_comes_and_nothing_is_left_of_it() {
    let (queues, cancel) = (Queues::default(), AtomicU32::new(0));
    for kind in KINDS {
        for _ in 0..100 {
            let mut channels = Channels::default();
            let opened = channels.open(2, &spec("alone", kind, None, 0), &queues, &waiting(&cancel));
            assert!(opened.unwrap().is_none(), "{kind:?}");
        }
    }
}

#[test]
fn a_task_that_should_stop_does_not_wait_on() {
    let (queues, cancel) = (Queues::default(), AtomicU32::new(1));
    let over = AtomicU32::new(0);
    for kind in KINDS {
        let (begun, spec) = (Instant::now(), spec("cancelled", kind, None, 60_000));
        let cancelled = Channels::default().open(3, &spec, &queues, &waiting(&cancel));
        assert!(matches!(cancelled, Err(ChannelError::Cancelled)), "{kind:?}");
        let late = Waiting { deadline_ns: 1, ..waiting(&over) };
        let late = Channels::default().open(3, &spec, &queues, &late);
        assert!(matches!(late, Err(ChannelError::Cancelled)), "{kind:?}");
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
    // One that waits already.
    for kind in KINDS {
        pair(
            "waits",
            kind,
            |channels, number, waiting| {
                let flag = AtomicU32::new(0);
                std::thread::scope(|scope| {
                    scope.spawn(|| flag.store(1, std::sync::atomic::Ordering::Relaxed));
                    let told = Waiting { cancel: &flag, ..super::tests::waiting(waiting.cancel) };
                    let stopped = (0..1_000_000).try_for_each(|_| channels.send(number, &[1; 1_000], &told));
                    assert!(matches!(stopped, Err(ChannelError::Cancelled)), "{kind:?}: {stopped:?}");
                });
            },
            |channels, number, waiting| {
                let mut room = [0; 1_000];
                let ended = loop {
                    match channels.receive(number, &mut room, waiting) {
                        Ok(Some(_)) => {}
                        ended => break ended,
                    }
                };
                assert!(matches!(ended, Err(ChannelError::PeerLeft { .. })), "{kind:?}: {ended:?}");
            },
        );
    }
}

#[test]
fn who_asks_for_something_else_is_not_met() {
    let (queues, cancel) = (Queues::default(), AtomicU32::new(0));
    for kind in KINDS {
        std::thread::scope(|scope| {
            let wait = |changed: fn(&mut Spec)| {
                let mut asked = spec("one", kind, Some(Side::Sender), 100);
                changed(&mut asked);
                let (queues, cancel) = (&queues, &cancel);
                scope.spawn(move || {
                    let opened = Channels::default().open(4, &asked, queues, &waiting(cancel));
                    assert!(opened.unwrap().is_none(), "{asked:?}");
                });
            };
            wait(|_| {});
            wait(|spec| spec.asked.name = "other".to_owned());
            wait(|spec| spec.asked.capacity = 5);
            wait(|spec| (spec.asked.message_max, spec.side) = (999, Some(Side::Receiver)));
        });
    }
}

#[test]
fn rows_of_the_dead_are_used_again() {
    let cancel = AtomicU32::new(0);
    let table = Table::of(5, &StderrServices).unwrap();
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let dead = child.id();
    child.wait().unwrap();
    table.fill_for_test(dead);
    let mut channels = Channels::default();
    let spec = spec("again", Kind::Shared, None, 0);
    assert!(channels.open(5, &spec, &Queues::default(), &waiting(&cancel)).unwrap().is_none());
    table.fill_for_test(std::process::id());
    let full = channels.open(5, &spec, &Queues::default(), &waiting(&cancel));
    assert!(matches!(full, Err(ChannelError::Full)));
}

#[test]
fn specs_are_checked() {
    let good = abi::ChannelSpec {
        struct_size: abi::size_of_table::<abi::ChannelSpec>(),
        kind: 1,
        side: 0,
        capacity: 64,
        message_max: 1_024,
        wait_ns: 0,
        name: Str::new("name"),
    };
    // SAFETY: all names are there until the end of the test.
    let check = |spec: abi::ChannelSpec| unsafe { Spec::check(&spec) };
    assert!(check(good).is_ok());
    assert!(check(abi::ChannelSpec { message_max: 65_528, ..good }).is_ok());
    let long = "x".repeat(65);
    let bad = [
        (abi::ChannelSpec { struct_size: 8, ..good }, "struct_size 8"),
        (abi::ChannelSpec { kind: 0, ..good }, "kind 0: 1 to 4"),
        (abi::ChannelSpec { kind: 5, ..good }, "kind 5"),
        (abi::ChannelSpec { side: 3, ..good }, "side 3"),
        (abi::ChannelSpec { capacity: 0, ..good }, "capacity 0: 1 to 65536"),
        (abi::ChannelSpec { capacity: 65_537, ..good }, "capacity 65537"),
        (abi::ChannelSpec { message_max: 65_529, ..good }, "at most 65528"),
        (abi::ChannelSpec { message_max: u64::MAX, ..good }, "lower one of the two"),
        (abi::ChannelSpec { name: Str::new(""), ..good }, "a name of 0 bytes: 1 to 64"),
        (abi::ChannelSpec { name: Str::new(&long), ..good }, "65 bytes"),
    ];
    for (spec, words) in bad {
        let error = check(spec).unwrap_err();
        assert_eq!(error.status(), status::PARAMS);
        assert!(error.to_string().contains(words), "{error}");
    }
}
