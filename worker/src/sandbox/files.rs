//! Files, ports and processes: what landlock holds.

use super::kernel::ABI_SCOPES;
use super::{Sandbox, SandboxError};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr as _,
    RulesetCreated, RulesetCreatedAttr as _, RulesetStatus, Scope,
};
use std::path::Path;

/// Programs, libraries and what belongs to them: where distributions keep them.
const SYSTEM: [&str; 8] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/alternatives"];
/// What the loader, the C library and common languages look up, all of it for everybody to read.
const LOOKED_UP: [&str; 27] = [
    "/dev/random",
    "/dev/urandom",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/fonts",
    "/etc/group",
    "/etc/inputrc",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/locale.alias",
    "/etc/locale.conf",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/vm",
    "/proc/version",
];
/// What tells how much of the machine there is.
const MACHINE: [&str; 3] = ["/sys/devices/system/cpu", "/sys/devices/system/node", "/sys/fs/cgroup"];
/// Names of hosts and services.
const NAMES: [&str; 8] = [
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/networks",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/hostname",
];
/// Bottomless ones. Each is as good to read as to write.
const DEVICES: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/full"];

type Outcome<T = ()> = Result<T, SandboxError>;

/// Takes from this process everything that the sandbox does not name. `plugin` will be loaded, `scratch` is its own.
pub fn restrict(sandbox: &Sandbox, plugin: &Path, scratch: Option<&Path>, abi: i32) -> Outcome {
    let abi = match abi {
        ..=3 => ABI::V3,
        4 => ABI::V4,
        5 => ABI::V5,
        6 => ABI::V6,
        _ => ABI::V7,
    };
    let mut rules = Ruleset::default().handle_access(AccessFs::from_all(abi))?;
    if !sandbox.network && abi >= ABI::V4 {
        rules = rules.handle_access(AccessNet::from_all(abi))?;
    }
    if abi as i32 >= ABI_SCOPES {
        rules = rules.scope(Scope::from_all(abi))?;
    }
    let read =
        if sandbox.exec { AccessFs::from_read(abi) } else { AccessFs::from_read(abi) & !AccessFs::Execute };
    let write = read | written(abi);
    let mut rules = rules.create()?;
    let itself = std::env::current_exe().unwrap_or_default();
    let own = [plugin, itself.as_path(), Path::new("/proc/self")];
    for path in own.into_iter().chain(SYSTEM.iter().chain(&LOOKED_UP).chain(&MACHINE).map(Path::new)) {
        rules = allow_what_is_there(rules, path, read)?;
    }
    for path in NAMES.iter().filter(|_| sandbox.network) {
        rules = allow_what_is_there(rules, Path::new(path), read)?;
    }
    for path in DEVICES {
        rules = allow_what_is_there(rules, Path::new(path), AccessFs::ReadFile | AccessFs::WriteFile)?;
    }
    for path in &sandbox.read {
        rules = allow(rules, Path::new(path), read)?;
    }
    for path in sandbox.write.iter().map(Path::new).chain(scratch) {
        rules = allow(rules, path, write)?;
    }
    let status = rules.restrict_self()?;
    if status.ruleset == RulesetStatus::FullyEnforced { Ok(()) } else { Err(SandboxError::Partial) }
}

/// What may be done in a folder of its own: everything but devices.
fn written(abi: ABI) -> BitFlags<AccessFs> {
    AccessFs::from_write(abi) & !(AccessFs::MakeChar | AccessFs::MakeBlock)
}

/// Systems differ in what they have.
fn allow_what_is_there(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Outcome<RulesetCreated> {
    match PathFd::new(path) {
        Ok(opened) => add(rules, opened, path, access),
        Err(_) => Ok(rules),
    }
}

fn allow(rules: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Outcome<RulesetCreated> {
    let opened =
        PathFd::new(path).map_err(|source| SandboxError::Granted { path: path.to_owned(), source })?;
    add(rules, opened, path, access)
}

fn add(
    rules: RulesetCreated,
    opened: PathFd,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Outcome<RulesetCreated> {
    // What is no folder takes no rights that are about entries.
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(ABI::V7) };
    Ok(rules.add_rule(PathBeneath::new(opened, access))?)
}
