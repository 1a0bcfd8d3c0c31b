//! The child process that reads debug information, and how the agent asks it.

use super::object;
use super::request::{Answer, Request};
use crate::crash::Place;
use crate::executor::SYMBOLS_ARGUMENT;
use crate::os::{orphans, process};
use muster_proto::convert::Frame;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// What a child may say.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// What a child may ask for, of memory and of files that it maps.
const MEMORY_BYTES_MAX: u64 = 8 << 30;
/// Time that a child may compute, in seconds: for one that its agent has lost sight of.
const CPU_SECONDS_MAX: u64 = 5;

/// Asks a child, until the deadline; whether it answered all, or ended by itself and will not answer more another time.
pub(super) fn ask(request: &Request, deadline: Instant) -> (HashMap<Place, Vec<Frame>>, bool) {
    let mut found = HashMap::new();
    let Ok(mut child) = start(request) else { return (found, false) };
    let (bytes, has_ended) = read_until(&mut child, deadline);
    // Whatever it has not said by now is not waited for.
    end(&mut child);
    let lines =
        bytes.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice::<Answer>(line).ok());
    found.extend(lines.filter_map(|answer| request.take(answer)));
    (found, has_ended)
}

fn start(request: &Request) -> io::Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("muster-symbols")
        .args([SYMBOLS_ARGUMENT, &std::process::id().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = orphans::start_own(&mut command)?;
    let asked = serde_json::to_vec(request).map_err(io::Error::from).and_then(|text| {
        // A few KiB: the pipe holds them. The end of the pipe is the end of the question.
        child.stdin.take().map_or(Ok(()), |mut pipe| pipe.write_all(&text))
    });
    if let Err(error) = asked {
        end(&mut child);
        return Err(error);
    }
    Ok(child)
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
    orphans::forget_own(child.id());
}

/// What a child says until the deadline, and whether it came to its end.
fn read_until(child: &mut Child, deadline: Instant) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let Some(mut pipe) = child.stdout.take() else { return (bytes, false) };
    let mut room = [0u8; 16 << 10];
    while bytes.len() < ANSWER_BYTES_MAX {
        let left_ms = deadline.saturating_duration_since(Instant::now()).as_millis() as libc::c_int;
        let mut poll = libc::pollfd { fd: pipe.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid pollfd.
        if unsafe { libc::poll(&raw mut poll, 1, left_ms) } <= 0 {
            return (bytes, false);
        }
        match pipe.read(&mut room) {
            Ok(0) => return (bytes, true),
            Ok(len) => bytes.extend_from_slice(&room[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return (bytes, false),
        }
    }
    (bytes, false)
}

/// The child: reads what is wanted from standard input, answers on standard output, and ends.
pub(crate) fn answer(agent: &OsStr) -> ! {
    if let Some(agent) = agent.to_str().and_then(|text| text.parse().ok()) {
        process::die_with_parent(agent);
    }
    process::name_thread("symbols");
    limit(libc::RLIMIT_AS, MEMORY_BYTES_MAX);
    limit(libc::RLIMIT_CPU, CPU_SECONDS_MAX);
    limit(libc::RLIMIT_CORE, 0);
    let code = if answer_all().is_ok() { 0 } else { 1 };
    std::process::exit(code)
}

fn answer_all() -> io::Result<()> {
    let mut text = Vec::new();
    io::stdin().lock().read_to_end(&mut text)?;
    let request: Request = serde_json::from_slice(&text)?;
    let mut out = io::stdout().lock();
    for (module, asked) in request.modules.iter().enumerate() {
        object::look_up(&asked.path, &asked.offsets, |offset, address, calls| {
            let line = serde_json::to_string(&Answer { module, offset, address, calls })?;
            // Line by line: the next one may end this process.
            writeln!(out, "{line}")?;
            out.flush()
        })?;
    }
    Ok(())
}

fn limit(resource: libc::__rlimit_resource_t, most: u64) {
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: the struct is valid to read. A limit that is lower already stays.
    unsafe { libc::setrlimit(resource, &raw const limit) };
}
