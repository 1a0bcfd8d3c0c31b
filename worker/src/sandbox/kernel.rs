//! What the kernel of this machine can keep.

use muster_core::sandbox::Level;
use std::fmt;

/// The oldest landlock that holds what `standard` says: before it, a file that cannot be opened can be truncated.
const ABI_MIN: i32 = 3;
/// From this one on landlock holds signals and abstract sockets.
pub const ABI_SCOPES: i32 = 6;

/// What the kernel can keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The version of landlock; 0: there is none, or it is not enabled.
    pub landlock: i32,
    /// Whether system calls can be filtered.
    pub filters: bool,
}

impl Kernel {
    /// That of this machine.
    #[must_use]
    pub fn here() -> Self {
        Self { landlock: landlock_abi(), filters: has_filters() }
    }

    /// The strongest level that it can keep.
    #[must_use]
    pub const fn most(self) -> Level {
        if self.landlock >= ABI_MIN && self.filters { Level::Standard } else { Level::Limits }
    }

    /// Whether it holds what programs do that a plugin has started.
    #[must_use]
    pub const fn holds_programs(self) -> bool {
        self.landlock >= ABI_SCOPES
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.landlock {
            0 => f.write_str("no landlock")?,
            version => write!(f, "landlock {version}")?,
        }
        f.write_str(if self.filters { ", seccomp" } else { ", no seccomp" })
    }
}

/// The version of landlock, 0 when there is none.
pub(super) fn landlock_abi() -> i32 {
    const VERSION: libc::c_uint = 1;
    let nothing = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag the call takes no attributes and only says a number.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0, VERSION) };
    i32::try_from(version).unwrap_or(0).max(0)
}

fn has_filters() -> bool {
    let action: u32 = libc::SECCOMP_RET_ERRNO;
    // SAFETY: the kernel reads one number from the pointer.
    let known =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) };
    known == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_landlock_or_filters_there_is_no_standard() {
        let most = |landlock, filters| Kernel { landlock, filters }.most();
        assert_eq!(most(ABI_MIN, true), Level::Standard);
        assert_eq!([most(ABI_MIN - 1, true), most(0, true), most(7, false)], [Level::Limits; 3]);
        assert_eq!(Kernel { landlock: 0, filters: true }.to_string(), "no landlock, seccomp");
        assert!(!Kernel { landlock: 5, filters: true }.holds_programs());
    }
}
