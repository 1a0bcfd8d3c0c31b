//! System calls that a plugin has no business with: a list of what is refused. What is on it fails as if the user had no
//! right to it, so that programs that only try still work.

use super::kernel::ABI_SCOPES;
use super::{Sandbox, SandboxError};
use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::SeccompCmpOp::{Eq, MaskedEq, Ne};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};
use std::collections::BTreeMap;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;
type Made<T> = Result<T, BackendError>;

/// Refused whatever is granted. Most of it is for administrators anyway; the rest reaches other processes, or is where
/// kernels have been broken.
const NEVER: &[i64] = &[
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    // Memory and messages that are found by number or name, by all processes of a user.
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_msgget,
    libc::SYS_msgctl,
    libc::SYS_semget,
    libc::SYS_semctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // What files are mounted, and files without their paths.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_quotactl,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    // Namespaces; `clone` with new ones is below.
    libc::SYS_unshare,
    libc::SYS_setns,
    // Calls that pass by this filter, and programs in the kernel.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    // The machine.
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_vhangup,
    libc::SYS_personality,
    // Landlock does not hold who owns a file and what is said about it.
    libc::SYS_fchmodat,
    SYS_FCHMODAT2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    SYS_SETXATTRAT,
    SYS_REMOVEXATTRAT,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utimes,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_futimesat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_kexec_file_load,
];

// The same number on both machines that muster runs on, as of all calls since Linux 5.1.
const SYS_FCHMODAT2: i64 = 452;
const SYS_SETXATTRAT: i64 = 463;
const SYS_REMOVEXATTRAT: i64 = 466;

/// New namespaces, each by itself.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
];

/// What may be had where the network is granted: the internet, and what the C library asks about interfaces.
const FAMILIES: [libc::c_int; 3] = [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// The bits of a socket's type that say what it is; the others are flags.
const SOCKET_TYPE_BITS: u64 = 0xf;

/// Refuses this process, which has one thread, what is on the list.
pub fn restrict(sandbox: &Sandbox, landlock: i32) -> Result<(), SandboxError> {
    let eperm = SeccompAction::Errno(libc::EPERM as u32);
    // The C library then does without it, by a call whose flags can be looked at.
    let enosys = SeccompAction::Errno(libc::ENOSYS as u32);
    #[cfg(target_arch = "x86_64")]
    apply_filter(&no_second_numbers())?;
    apply_filter(&compiled(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), enosys)?)?;
    apply_filter(&compiled(refused(sandbox, landlock)?, eperm)?)?;
    Ok(())
}

fn compiled(rules: Rules, action: SeccompAction) -> Made<BpfProgram> {
    let machine: TargetArch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::Allow, action, machine)?.try_into()
}

/// What is refused.
fn refused(sandbox: &Sandbox, landlock: i32) -> Made<Rules> {
    let mut rules: Rules = NEVER.iter().map(|&number| (number, Vec::new())).collect();
    let itself = u64::from(std::process::id());
    // Times of files: by descriptor only.
    rules.insert(libc::SYS_utimensat, vec![rule([SeccompCondition::new(1, Qword, Ne, 0)?])?]);
    // Limits and ranks of other processes.
    rules.insert(libc::SYS_prlimit64, vec![rule([condition(0, Ne, 0)?, condition(0, Ne, itself)?])?]);
    rules.insert(libc::SYS_setpriority, vec![rule([condition(1, Ne, 0)?])?]);
    rules.insert(libc::SYS_ioprio_set, vec![rule([condition(1, Ne, 0)?])?]);
    for number in [libc::SYS_sched_setscheduler, libc::SYS_sched_setparam, libc::SYS_sched_setattr] {
        rules.insert(number, vec![rule([condition(0, Ne, 0)?])?]);
    }
    // Words into somebody's terminal.
    let types = [libc::TIOCSTI, TIOCLINUX].map(|request| rule([condition(1, Eq, request)?]));
    rules.insert(libc::SYS_ioctl, types.into_iter().collect::<Made<_>>()?);
    if is_root() {
        // Of whatever it can read, and root owns nearly everything.
        rules.insert(libc::SYS_fchmod, Vec::new());
    }
    processes(&mut rules, sandbox)?;
    sockets(&mut rules, sandbox)?;
    if landlock < ABI_SCOPES {
        signals(&mut rules, itself)?;
    }
    Ok(rules)
}

const TIOCLINUX: u64 = 0x541c;

fn is_root() -> bool {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Programs, processes, and namespaces for them.
fn processes(rules: &mut Rules, sandbox: &Sandbox) -> Made<()> {
    let namespaces = NAMESPACES.map(|flag| rule([condition(0, MaskedEq(flag as u64), flag as u64)?]));
    let mut clone: Vec<SeccompRule> = namespaces.into_iter().collect::<Made<_>>()?;
    if !sandbox.exec {
        // Threads go on being possible.
        clone.push(rule([condition(0, MaskedEq(libc::CLONE_THREAD as u64), 0)?])?);
        for number in [libc::SYS_execve, libc::SYS_execveat] {
            rules.insert(number, Vec::new());
        }
        #[cfg(target_arch = "x86_64")]
        for number in [libc::SYS_fork, libc::SYS_vfork] {
            rules.insert(number, Vec::new());
        }
    }
    rules.insert(libc::SYS_clone, clone);
    Ok(())
}

/// Without the network only pairs, whose ends know nobody but each other. Local sockets lead to services that trust the
/// user, muster's own among them, and landlock does not hold their paths.
fn sockets(rules: &mut Rules, sandbox: &Sandbox) -> Made<()> {
    let is = |kind: libc::c_int| condition(1, MaskedEq(SOCKET_TYPE_BITS), kind as u64);
    let pairs = [rule([is(libc::SOCK_DGRAM)?])?, rule([is(libc::SOCK_RAW)?])?];
    rules.insert(libc::SYS_socketpair, pairs.into());
    if !sandbox.network {
        rules.insert(libc::SYS_socket, Vec::new());
        return Ok(());
    }
    let others = FAMILIES.map(|family| condition(0, Ne, family as u64));
    let mut refused = vec![SeccompRule::new(others.into_iter().collect::<Made<_>>()?)?];
    for family in [libc::AF_INET, libc::AF_INET6] {
        refused.push(rule([condition(0, Eq, family as u64)?, is(libc::SOCK_RAW)?])?);
    }
    rules.insert(libc::SYS_socket, refused);
    Ok(())
}

/// Signals to other processes, where landlock does not hold them.
fn signals(rules: &mut Rules, itself: u64) -> Made<()> {
    for number in [libc::SYS_kill, libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo] {
        rules.insert(number, vec![rule([condition(0, Ne, itself)?])?]);
    }
    for number in [libc::SYS_tkill, libc::SYS_pidfd_send_signal] {
        rules.insert(number, Vec::new());
    }
    Ok(())
}

fn rule<const N: usize>(conditions: [SeccompCondition; N]) -> Made<SeccompRule> {
    SeccompRule::new(conditions.into())
}

/// Of the lower half of an argument: what the kernel takes as a number of 32 bits.
fn condition(argument: u8, operator: SeccompCmpOp, value: u64) -> Made<SeccompCondition> {
    SeccompCondition::new(argument, Dword, operator, value)
}

/// On x86-64 every call has a second number in the same table, for programs with short pointers, which a list of numbers
/// would miss.
#[cfg(target_arch = "x86_64")]
fn no_second_numbers() -> BpfProgram {
    use seccompiler::sock_filter;
    const X32_BIT: u32 = 0x4000_0000;
    let step = |code: u32, jt, jf, k| sock_filter { code: code as u16, jt, jf, k };
    vec![
        // The number of the call is the first word of what a filter sees.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 1, X32_BIT),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}
