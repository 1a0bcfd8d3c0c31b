use super::*;
use crate::crash::CrashFile;
use crate::crash::layout::Layout;
use std::mem::offset_of;
use std::os::unix::fs::FileExt;

/// A record as an executor would write it.
fn record(signal: i32, code: i32, address: u64, changes: &[(usize, u32)]) -> CrashRecord {
    let file = CrashFile::create().unwrap();
    let bytes = std::fs::File::from(file.for_executor().unwrap());
    let word = |at: usize, word: u32| bytes.write_all_at(&word.to_ne_bytes(), at as u64).unwrap();
    word(offset_of!(Layout, signal), signal as u32);
    word(offset_of!(Layout, code), code as u32);
    word(offset_of!(Layout, role), crate::crash::layout::ROLE_TASK);
    bytes.write_all_at(&address.to_ne_bytes(), offset_of!(Layout, address) as u64).unwrap();
    changes.iter().for_each(|&(at, value)| word(at, value));
    word(offset_of!(Layout, stage), crate::crash::layout::STAGE_WHOLE);
    file.read().unwrap()
}

fn signal(signal: i32) -> Option<WaitStatus> {
    Some(WaitStatus::Signal(signal))
}

#[test]
fn each_end_has_its_cause() {
    let none = Circumstances::default();
    let stopped = Circumstances { stopped: true, ..none.clone() };
    let retired = Circumstances { retired: true, ..none.clone() };
    let killed = Circumstances { killed: true, ..none.clone() };
    let late = Circumstances { over_time: Some(Span::from_millis(5)), killed: true, ..none.clone() };
    let terminated = Circumstances { terminated: true, ..none.clone() };
    let refused = Circumstances { refusal: Some(Refusal::of("bad".into())), ..none.clone() };
    let renewed = Circumstances { renewed: true, ..refused.clone() };
    let broken = Circumstances { violation: Some("odd frame".into()), killed: true, ..none.clone() };
    let cut_off = Circumstances { cut_off: true, ..none.clone() };
    let evidence = |oom_kills| Some(MemoryEvidence { peak_bytes: 10, limit_bytes: 9, oom_kills });
    let oom = Circumstances { memory: evidence(1), ..none.clone() };
    let large = Circumstances { memory: evidence(0), ..none.clone() };
    let cases = [
        (Some(WaitStatus::Code(0)), &stopped, ExitCause::Stopped),
        (Some(WaitStatus::Code(0)), &retired, ExitCause::Retired),
        (Some(WaitStatus::Code(0)), &none, ExitCause::Exited),
        (Some(WaitStatus::Code(7)), &stopped, ExitCause::Exited),
        (Some(WaitStatus::Code(3)), &refused, ExitCause::LoadFailed),
        (Some(WaitStatus::Code(3)), &renewed, ExitCause::Stopped),
        (Some(WaitStatus::Code(EXIT_CUT_OFF)), &none, ExitCause::Protocol),
        (signal(libc::SIGKILL), &cut_off, ExitCause::Protocol),
        (signal(libc::SIGSEGV), &cut_off, ExitCause::Signal),
        (signal(libc::SIGKILL), &killed, ExitCause::Killed),
        (signal(libc::SIGKILL), &late, ExitCause::Timeout),
        (signal(libc::SIGKILL), &none, ExitCause::Signal),
        (signal(libc::SIGKILL), &oom, ExitCause::Memory),
        (signal(libc::SIGABRT), &large, ExitCause::Aborted),
        (signal(libc::SIGKILL), &large, ExitCause::Signal),
        (signal(libc::SIGTERM), &terminated, ExitCause::Killed),
        (Some(WaitStatus::Code(0)), &terminated, ExitCause::Killed),
        (signal(libc::SIGTERM), &none, ExitCause::Signal),
        (signal(libc::SIGSEGV), &none, ExitCause::Signal),
        (signal(libc::SIGABRT), &none, ExitCause::Aborted),
        (signal(libc::SIGKILL), &broken, ExitCause::Protocol),
    ];
    for (status, circumstances, expected) in cases {
        let ending = explain(status, circumstances);
        assert_eq!(ending.cause, expected, "{status:?} {circumstances:?}");
        assert!(!ending.text.contains('\n'));
    }
    let outdated = Circumstances { outdated: true, ..killed.clone() };
    assert!(explain(signal(libc::SIGKILL), &killed).text.contains("its job is over"));
    assert!(explain(signal(libc::SIGKILL), &outdated).text.contains("connected anew"));
    let words = Circumstances { last_lines: vec!["first".into(), "second".into()], ..none };
    assert!(explain(signal(libc::SIGSEGV), &words).text.ends_with("it last said: first | second"));
    let printed = ["first", "", "  39:  0x0 - <unknown>", "          at /src/a.rs:3:4", "second"];
    let words = Circumstances { last_lines: printed.map(String::from).to_vec(), ..Circumstances::default() };
    assert!(explain(signal(libc::SIGSEGV), &words).text.ends_with("it last said: first | second"));
    let lines: Vec<String> = (0..50).map(|line| format!("{line}{}", "x".repeat(1_000))).collect();
    assert!(explain(signal(libc::SIGSEGV), &Circumstances { last_lines: lines, ..words }).text.len() < 2_000);
}

#[test]
fn each_fault_says_what_it_suggests() {
    const ACCESS: usize = offset_of!(Layout, access);
    const SENDER: usize = offset_of!(Layout, sender);
    type Case = (i32, i32, u64, &'static [(usize, u32)], &'static str);
    let cases: [Case; 12] = [
        (libc::SIGSEGV, 1, 0x10, &[(ACCESS, 2)], "a null pointer was written to (address 0x10)"),
        (libc::SIGSEGV, 1, 0, &[(ACCESS, 3)], "a null pointer was called"),
        (libc::SIGSEGV, 1, 0xdead_0000, &[(ACCESS, 1)], "address 0xdead0000 was read, where no memory is"),
        (libc::SIGSEGV, 2, 0xdead_0000, &[(ACCESS, 2)], "written to, which its memory does not allow"),
        (libc::SIGSEGV, 0x80, 0, &[], "non-canonical address"),
        (libc::SIGFPE, 1, 0x1000, &[], "divided by zero"),
        (libc::SIGILL, 2, 0x1000, &[], "a compiler's trap"),
        (libc::SIGBUS, 2, 0x1000, &[], "the file was truncated"),
        (libc::SIGBUS, 1, 0x1001, &[], "a misaligned address (address 0x1001)"),
        (libc::SIGSYS, 1, 0, &[], "a system call that is not allowed"),
        (libc::SIGSEGV, -6, 0, &[], "the plugin raised it"),
        (libc::SIGSEGV, 0, 0, &[(SENDER, 77)], "process 77 sent it"),
    ];
    for (number, code, address, changes, words) in cases {
        let crash = Some(record(number, code, address, changes));
        let circumstances = Circumstances { crash, ..Circumstances::default() };
        let ending = explain(signal(number), &circumstances);
        assert_eq!((ending.cause, ending.signal), (ExitCause::Signal, Some(number)));
        assert!(ending.text.contains(words), "{}", ending.text);
    }
}

#[test]
fn a_record_counts_only_with_the_end_that_it_tells_of() {
    let crash = Some(record(libc::SIGSEGV, 1, 0, &[]));
    let circumstances = Circumstances { crash, ..Circumstances::default() };
    assert!(circumstances.record(signal(libc::SIGSEGV)).is_some());
    for other in [signal(libc::SIGFPE), signal(libc::SIGKILL), Some(WaitStatus::Code(0)), None] {
        assert_eq!(circumstances.record(other), None, "{other:?}");
    }
    let cut = record(libc::SIGSEGV, 1, 0, &[(offset_of!(Layout, frame_count), 64)]);
    let given_up = Circumstances { crash: Some(cut), ..Circumstances::default() };
    let ending = explain(signal(libc::SIGKILL), &given_up);
    assert_eq!((ending.cause, ending.signal), (ExitCause::Signal, Some(libc::SIGSEGV)));
    assert!(ending.text.contains("SIGSEGV"), "{}", ending.text);
    let killed = Circumstances { killed: true, ..given_up };
    assert_eq!(killed.record(signal(libc::SIGKILL)), None);
}

#[test]
fn an_exit_that_was_recorded_goes_with_an_exit_code() {
    let crash = Some(record(0, 0, 0, &[]));
    let circumstances = Circumstances { crash, ..Circumstances::default() };
    let status = Some(WaitStatus::Code(3));
    assert!(circumstances.record(status).is_some());
    assert_eq!(circumstances.record(signal(libc::SIGSEGV)), None, "another thread was faster");
    let ending = explain(status, &circumstances);
    assert_eq!((ending.cause, ending.signal, ending.exit_code), (ExitCause::Exited, None, Some(3)));
    assert_eq!(ending.text, "the plugin ended its process with exit code 3");
}

#[test]
fn what_ended_it_says_how_its_tasks_stopped() {
    let circumstances = |killed, terminated| Circumstances { killed, terminated, ..Circumstances::default() };
    let code = Some(WaitStatus::Code(0));
    for (killed, terminated, status, how) in [
        (true, true, signal(libc::SIGKILL), StopHow::Killed),
        (true, true, signal(libc::SIGTERM), StopHow::Terminated),
        (true, true, code, StopHow::Terminated),
        (true, false, None, StopHow::Killed),
        (false, true, signal(libc::SIGTERM), StopHow::Terminated),
        (false, false, code, StopHow::Asked),
    ] {
        assert_eq!(
            circumstances(killed, terminated).stop_how(status),
            how,
            "{killed} {terminated} {status:?}"
        );
    }
}

#[test]
fn what_runs_when_a_process_signals_itself_need_not_be_who_did_it() {
    let of = |sender: u32| {
        let crash = Some(record(libc::SIGSEGV, 0, 0, &[(offset_of!(Layout, sender), sender)]));
        Circumstances { crash, pid: 77, ..Circumstances::default() }
    };
    let status = signal(libc::SIGSEGV);
    assert!(of(77).may_be_late(status), "by kill");
    assert!(!of(0).may_be_late(status), "by raise, or a fault");
    assert!(!of(78).may_be_late(status), "from outside");
}
