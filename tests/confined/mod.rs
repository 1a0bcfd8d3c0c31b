//! A cluster of one worker at a level of its sandbox, as root or as an ordinary user, with somebody to be attacked by the
//! plugin `hostile`.

#![allow(dead_code, reason = "every test file uses its own part")]

use crate::daemons::{Daemon, SOON, until, workers_up};
use crate::fixture::{Finished, Muster, Started};
use serde_json::Value;
use std::fs::{self, File, Permissions};
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An ordinary user, whom every system has: nobody.
const NOBODY: u32 = 65_534;
/// Where the descriptor is that the worker finds open when it starts.
const INHERITED: i32 = 77;
/// The variable that only the worker is to know.
pub const VARIABLE: &str = "HOSTILE_TEST_SECRET";

/// Who runs the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    Root,
    Nobody,
    /// Who runs the test.
    Mine,
}

/// Whether this test may be both.
pub fn is_root() -> bool {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// A cluster of one worker with two slots.
pub struct Confined {
    pub worker: Daemon,
    _coordinator: Daemon,
    user: User,
    binary: PathBuf,
    /// The last to go: it sees that nobody is left.
    pub muster: Muster,
}

impl Confined {
    /// Starts it; `flags` are those of the worker.
    pub fn start(user: User, flags: &[&str]) -> Self {
        Self::start_on(user, flags, Kernel::Whole)
    }

    /// The same on a kernel that seems to have no landlock, as whoever runs the test.
    pub fn start_without_landlock(flags: &[&str]) -> Self {
        Self::start_on(User::Mine, flags, Kernel::WithoutLandlock)
    }

    /// Another worker there, which is not to start.
    pub fn refused_worker(&self, flags: &[&str]) -> Finished {
        let mut command = program(&self.muster, self.user, &self.binary);
        command.args(["worker", "start", "--http", "none", "--connect"]);
        command.arg(format!("unix:{}", self.muster.path("c.sock").display())).args(flags);
        Kernel::WithoutLandlock.prepare(&mut command);
        Started::new(command).finish()
    }

    fn start_on(user: User, flags: &[&str], kernel: Kernel) -> Self {
        let muster = Muster::new();
        let binary = muster.path("muster");
        copy(Path::new(env!("CARGO_BIN_EXE_muster")), &binary);
        for folder in ["", "tmp", "place", "cache", "outside"] {
            let folder = muster.path(folder);
            fs::create_dir_all(&folder).unwrap();
            give(&folder, user);
        }
        muster.write("open-file", "left open");
        let coordinator = {
            let mut command = program(&muster, user, &binary);
            command.args(["coordinator", "start", "--listen", "none", "--http", "none", "--allow-chaos"]);
            command.args(["--name", "confined", "--socket"]).arg(muster.path("c.sock"));
            Daemon::start("coordinator", &muster.path(""), command)
        };
        let socket = muster.path("c.sock");
        until("socket of the coordinator", SOON, || socket.exists().then_some(()));
        let worker = {
            let mut command = program(&muster, user, &binary);
            command.args(["worker", "start", "--slots", "2", "--http", "none", "--connect"]);
            command.arg(format!("unix:{}", socket.display())).args(flags);
            command.arg("--scratch").arg(muster.path("place")).arg("--cache").arg(muster.path("cache"));
            command.env(VARIABLE, "for the worker alone").env("LC_ALL", "C");
            let file = File::open(muster.path("open-file")).unwrap();
            // SAFETY: the closure makes one system call with numbers. The file is open until the worker has started.
            unsafe {
                command.pre_exec(move || match libc::dup2(file.as_raw_fd(), INHERITED) {
                    INHERITED => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                });
            }
            kernel.prepare(&mut command);
            Daemon::start("worker", &muster.path(""), command)
        };
        let this = Self { muster, worker, _coordinator: coordinator, user, binary };
        workers_up(1, || this.command(&["worker", "ls", "--json"]));
        this
    }

    /// A command on the cluster.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(&self.muster, self.user, &self.binary);
        command
            .args(arguments)
            .arg("--cluster")
            .arg(format!("unix:{}", self.muster.path("c.sock").display()));
        command
    }

    /// Runs a command on the cluster to its end.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        Started::new(self.command(arguments)).finish()
    }

    /// A plugin's file where the user can read it.
    pub fn plugin(&self, file: &str) -> String {
        let copied = self.muster.path(Path::new(file).file_name().unwrap().to_str().unwrap());
        copy(Path::new(file), &copied);
        copied.to_str().unwrap().to_owned()
    }

    /// The worker as `worker ls` lists it.
    pub fn listed(&self) -> Value {
        workers_up(1, || self.command(&["worker", "ls", "--json"])).remove(0)
    }

    /// The executors that are there.
    pub fn executors(&self) -> Vec<u32> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.worker.id())).unwrap().flatten();
        let children =
            |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
        let listed: Vec<String> = tasks.map(children).collect();
        listed.iter().flat_map(|list| list.split_whitespace()).filter_map(|pid| pid.parse().ok()).collect()
    }

    /// Lets `hostile` make all its attacks, with everything there that it could succeed at; gives what it says of each.
    pub fn attack(&self, hostile: &str, keeper: &str) -> Vec<(String, bool)> {
        let victim =
            Started::new(self.command(&["run", &self.plugin(keeper), "-n", "1", "-p", "1", "-t", "1"]));
        let secret = until("file of the other job", SOON, || find(&self.muster.path("place"), "secret"));
        let sibling = self.executors()[0].to_string();
        let targets = Targets::new(self);
        let mut arguments = vec!["run".to_owned(), self.plugin(hostile), "--out".to_owned(), "-".to_owned()];
        arguments.extend(["-p", "1", "-t", "1"].map(str::to_owned));
        arguments.extend(targets.parameters(self, &sibling, &secret));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let done = self.run(&arguments).ok();
        victim.signal(libc::SIGINT);
        victim.finish().exits(130);
        let said = |line: Value| {
            let output = &line["output"];
            println!("  {output}");
            (output["attack"].as_str().unwrap().to_owned(), output["worked"].as_bool().unwrap())
        };
        done.json_lines().into_iter().map(said).collect()
    }
}

/// The kernel as a worker sees it.
#[derive(Clone, Copy, Debug)]
enum Kernel {
    Whole,
    WithoutLandlock,
}

impl Kernel {
    fn prepare(self, command: &mut Command) {
        let Self::WithoutLandlock = self else { return };
        let step = |code: u32, jt, jf, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
        let number = libc::SYS_landlock_create_ruleset as u32;
        let filter = [
            step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
            step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, number),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
        ];
        // SAFETY: the closure makes two system calls. The kernel reads the filter, which the closure owns.
        unsafe {
            command.pre_exec(move || {
                let program = libc::sock_fprog { len: 4, filter: filter.as_ptr().cast_mut() };
                libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
                match libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
    }
}

/// What the attacks are aimed at.
struct Targets {
    tcp: TcpListener,
    _abstract_socket: UnixListener,
    name: String,
    segment: i32,
}

impl Targets {
    fn new(confined: &Confined) -> Self {
        let name = format!("muster-test-{}-{}", std::process::id(), confined.worker.id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        give(Path::new(&confined.muster.write("outside/owned", "the user's")), confined.user);
        let id = confined.muster.path("id");
        // Never a link: the mode is that of the file.
        fs::copy("/usr/bin/id", &id).unwrap();
        fs::set_permissions(&id, Permissions::from_mode(0o4755)).unwrap();
        // SAFETY: takes numbers only.
        let segment = unsafe { libc::shmget(libc::IPC_PRIVATE, 4096, libc::IPC_CREAT | 0o666) };
        assert!(segment >= 0, "{}", std::io::Error::last_os_error());
        Self {
            tcp: TcpListener::bind("127.0.0.1:0").unwrap(),
            _abstract_socket: UnixListener::bind_addr(&address).unwrap(),
            name,
            segment,
        }
    }

    fn parameters(&self, confined: &Confined, sibling: &str, secret: &Path) -> Vec<String> {
        let path = |name: &str| confined.muster.path(name).display().to_string();
        let port = self.tcp.local_addr().unwrap().port();
        vec![
            format!("agent={}", confined.worker.id()),
            format!("sibling={sibling}"),
            format!("secret={}", secret.display()),
            format!("outside={}", path("outside")),
            format!("owned={}", path("outside/owned")),
            format!("socket={}", path("c.sock")),
            format!("abstract_socket={}", self.name),
            format!("port={port}"),
            format!("descriptor={INHERITED}"),
            format!("variable={VARIABLE}"),
            format!("setuid={}", path("id")),
            format!("segment={}", self.segment),
        ]
    }
}

impl Drop for Targets {
    fn drop(&mut self) {
        // SAFETY: takes numbers, and no pointer is read to remove a segment.
        unsafe { libc::shmctl(self.segment, libc::IPC_RMID, std::ptr::null_mut()) };
    }
}

/// A file below a folder.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let path = entry.path();
        if path.file_name().is_some_and(|found| found == name) {
            return Some(path);
        }
        if let Some(found) = path.is_dir().then(|| find(&path, name)).flatten() {
            return Some(found);
        }
    }
    None
}

fn program(muster: &Muster, user: User, binary: &Path) -> Command {
    let mut command = muster.program(binary);
    if user == User::Nobody {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// A copy that everybody may read and run.
fn copy(from: &Path, to: &Path) {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to).unwrap();
        fs::set_permissions(to, Permissions::from_mode(0o755)).unwrap();
    }
}

/// Makes a file or folder the user's own.
fn give(path: &Path, user: User) {
    if user == User::Nobody {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}
