//! Commands that end well, badly, late and not at all.

use super::*;
use crate::template::Template;
use std::cell::Cell;

/// Stops when a condition holds, which it looks at each time it is asked.
struct Until<F: Fn() -> bool>(F, Cell<u32>);

impl<F: Fn() -> bool> Host for Until<F> {
    fn cancelled(&self) -> bool {
        self.1.set(self.1.get() + 1);
        (self.0)()
    }

    fn blocking<T>(&mut self, wait: impl FnOnce() -> T) -> T {
        wait()
    }
}

fn run_with(
    text: &str,
    input: &[u8],
    limits: &Limits,
    stop: impl Fn() -> bool,
) -> std::result::Result<Report, Failure> {
    let template = Template::new(text).unwrap();
    let word = template.word(input).unwrap();
    let command = Command { script: template.script(7), word, input, index: 7, attempt: 2 };
    run(&command, limits, &mut Until(stop, Cell::new(0)))
}

fn ok(text: &str, input: &[u8]) -> Report {
    run_with(text, input, &Limits::default(), || false).unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// True when no process is left in the group that `pid` led.
fn is_gone(pid: &str) -> bool {
    let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    rustix::process::test_kill_process_group(pid).is_err() || only_zombies(pid.as_raw_nonzero().get())
}

/// A killed orphan stays listed until init collects it, which may take a while in a container.
fn only_zombies(group: i32) -> bool {
    let stats = std::fs::read_dir("/proc").unwrap().flatten();
    let stats = stats.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    stats.filter_map(|stat| stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned())).all(|rest| {
        let mut fields = rest.split(' ');
        let (state, _parent, of) = (fields.next(), fields.next(), fields.next());
        of != Some(&*group.to_string()) || state == Some("Z")
    })
}

fn wait_until_gone(pid: &str) {
    let begin = Instant::now();
    while !is_gone(pid) {
        assert!(begin.elapsed() < Duration::from_secs(10), "group {pid} is still there");
        std::thread::yield_now();
    }
}

#[test]
fn output_and_exit_code_are_kept() {
    let report = ok("cat; echo oops >&2; exit 3", b"hello");
    assert_eq!(report, Report { stdout: "hello".into(), stderr: "oops\n".into(), exit: 3 });
    assert_eq!(ok("kill -9 $$", b"").exit, 137);
    assert_eq!(ok("echo $MUSTER_INDEX $MUSTER_ATTEMPT {#}", b"").stdout, b"7 2 7\n");
}

#[test]
fn inputs_are_words_and_never_code() {
    for input in
        ["a b", "", "'; echo broken; '", "$(echo broken)", "`echo broken`", "\"; echo broken #", "-n\\n*"]
    {
        for command in ["printf %s {}", "printf %s \"\"{}", "x={}; printf %s \"$x\""] {
            assert_eq!(ok(command, input.as_bytes()).stdout, input.as_bytes(), "{command} of {input:?}");
        }
        let report = ok("printf '%s' '{}'; printf \"%s\" \"{}\"", input.as_bytes());
        assert!(!text(&report.stdout).lines().any(|line| line == "broken"), "{input:?} gave {report:?}");
    }
}

#[test]
fn long_inputs_and_outputs_do_not_block_each_other() {
    let input: Vec<u8> = (0..3_000_000_u32).map(|at| b'a' + (at % 26) as u8).collect();
    assert!(ok("cat", &input).stdout == input);
    assert_eq!(text(&ok("wc -c", &input).stdout).trim(), "3000000");
    let report = ok("tee /dev/stderr", &input);
    assert!(report.stdout.len() == input.len() && report.stderr.len() == STDERR_BYTES_MAX);
}

#[test]
fn commands_need_not_read_their_input() {
    assert_eq!(ok("exec <&-; echo done", &vec![b'x'; 1 << 20]).stdout, b"done\n");
}

#[test]
fn what_a_command_leaves_behind_is_killed() {
    let report = ok("sleep 1000 & echo $$", b"");
    wait_until_gone(text(&report.stdout));
}

#[test]
fn too_much_output_is_a_failure() {
    let limits = Limits { stdout: 100_000, ..Limits::default() };
    for command in ["yes", "yes | head -c 100001"] {
        let failure = run_with(command, b"", &limits, || false).unwrap_err();
        assert!(matches!(failure, Failure::TooMuchOutput { limit: 100_000 }), "{failure:?}");
    }
    assert_eq!(run_with("yes | head -c 100000", b"", &limits, || false).unwrap().stdout.len(), 100_000);
}

#[test]
fn a_timeout_kills_the_group_and_keeps_its_last_words() {
    let limits = Limits { timeout: Some(Duration::from_millis(300)), ..Limits::default() };
    let command = "echo $$ >&2; (trap '' TERM; sleep 1000; sleep 1000) & sleep 1000";
    let Err(Failure::TimedOut { stderr, .. }) = run_with(command, b"", &limits, || false) else {
        panic!("it should time out")
    };
    wait_until_gone(text(&stderr));
}

#[test]
fn floods_of_output_do_not_outrun_the_limit_of_time() {
    let limits = Limits { timeout: Some(Duration::from_millis(100)), ..Limits::default() };
    let failure = run_with("yes >&2", b"", &limits, || false).unwrap_err();
    assert!(matches!(failure, Failure::TimedOut { .. }), "{failure:?}");
}

#[test]
fn cancelling_kills_the_group() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pid");
    let command =
        format!("echo $$ > {0}.new && mv {0}.new {0}; trap '' TERM; sleep 1000; sleep 1000", path.display());
    let failure = run_with(&command, b"", &Limits::default(), || path.exists()).unwrap_err();
    assert!(matches!(failure, Failure::Cancelled));
    wait_until_gone(&std::fs::read_to_string(&path).unwrap());
}
