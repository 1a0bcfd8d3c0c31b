//! Reads a crash record.

use super::layout::{
    ACCESS_EXECUTE, ACCESS_READ, ACCESS_WRITE, FRAMES_MAX, Layout, MAPS_BYTES, NO_SIGNAL, RECORD_BYTES,
    ROLE_CONTROL, ROLE_TASK, STAGE_FACTS, STAGE_WHOLE,
};
use super::modules::{Module, Place};
use std::mem::offset_of;
use std::ops::Range;

/// Signals that end a process by something it did.
const SIGNALS: [i32; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT, libc::SIGTRAP, libc::SIGSYS];
/// How far below its stack a thread may reach at once and is still taken to have outgrown it.
const BELOW_STACK_BYTES: u64 = 64 << 10;

/// What an executor wrote about its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashRecord {
    /// The signal; `None`: the plugin called `exit`.
    pub signal: Option<i32>,
    /// Why it was raised, as the kernel says (`si_code`).
    pub code: i32,
    /// The process that sent it; `None`: the executor's own doing.
    pub sender: Option<u32>,
    /// The thread.
    pub tid: u32,
    /// What the thread was for.
    pub role: Role,
    /// The address of the fault.
    pub address: Option<u64>,
    /// What was being done there.
    pub access: Option<Access>,
    /// How long the executor took to write all of this, as far as it came.
    pub took_ns: u64,
    /// The stack was deeper than what was kept, or the unwinder did not come to its end.
    pub is_cut: bool,
    sp: u64,
    stack: Option<Range<u64>>,
    guard_bytes: u64,
    own_code: u64,
    frames: Vec<u64>,
    modules: Vec<Module>,
}

/// What a thread was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It ran the tasks of this slot.
    Task {
        /// The slot in the job's page.
        slot: u32,
    },
    /// It was the executor's first, which opens and closes jobs.
    Control,
    /// The plugin started it.
    Other,
}

/// What was done at the address of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It was read.
    Read,
    /// It was written.
    Write,
    /// It was called.
    Execute,
}

impl CrashRecord {
    /// Reads a copy of the file.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; RECORD_BYTES] = bytes.try_into().ok()?;
        let stage = word(bytes, offset_of!(Layout, stage));
        if stage != STAGE_FACTS && stage != STAGE_WHOLE {
            return None;
        }
        let signal = word(bytes, offset_of!(Layout, signal));
        let signal = (signal != NO_SIGNAL).then_some(signal as i32);
        let code = word(bytes, offset_of!(Layout, code)) as i32;
        let sender = word(bytes, offset_of!(Layout, sender));
        let count = word(bytes, offset_of!(Layout, frame_count)) as usize;
        let maps_len = word(bytes, offset_of!(Layout, maps_len)) as usize;
        if signal.is_some_and(|signal| !SIGNALS.contains(&signal))
            || count > FRAMES_MAX
            || maps_len > MAPS_BYTES
        {
            return None;
        }
        let role = match word(bytes, offset_of!(Layout, role)) {
            ROLE_TASK => Role::Task { slot: word(bytes, offset_of!(Layout, slot)) },
            ROLE_CONTROL => Role::Control,
            _ => Role::Other,
        };
        let access = match word(bytes, offset_of!(Layout, access)) {
            ACCESS_READ => Some(Access::Read),
            ACCESS_WRITE => Some(Access::Write),
            ACCESS_EXECUTE => Some(Access::Execute),
            _ => None,
        };
        let stack = long(bytes, offset_of!(Layout, stack_low))..long(bytes, offset_of!(Layout, stack_high));
        let frames_at = offset_of!(Layout, frames);
        let maps_at = offset_of!(Layout, maps);
        let times = [long(bytes, offset_of!(Layout, facts_ns)), long(bytes, offset_of!(Layout, whole_ns))];
        Some(Self {
            signal,
            code,
            sender: (sender != 0).then_some(sender),
            tid: word(bytes, offset_of!(Layout, tid)),
            role,
            address: signal
                .is_some_and(|signal| has_address(signal, code))
                .then(|| long(bytes, offset_of!(Layout, address))),
            access,
            took_ns: times[0].max(times[1]),
            is_cut: stage != STAGE_WHOLE || count == FRAMES_MAX,
            sp: long(bytes, offset_of!(Layout, sp)),
            stack: (stack.start != 0 && stack.start < stack.end).then_some(stack),
            guard_bytes: long(bytes, offset_of!(Layout, guard_bytes)),
            own_code: long(bytes, offset_of!(Layout, own_code)),
            frames: (0..count).map(|at| long(bytes, frames_at + at * size_of::<u64>())).collect(),
            modules: Module::parse_all(&bytes[maps_at..maps_at + maps_len]),
        })
    }

    /// Whether the thread outgrew its stack.
    #[must_use]
    pub fn is_stack_overflow(&self) -> bool {
        let (Some(stack), Some(address)) = (&self.stack, self.address) else { return false };
        if self.signal != Some(libc::SIGSEGV) && self.signal != Some(libc::SIGBUS) {
            return false;
        }
        // Systems differ in whether the guard counts as a part of the stack.
        let guard = self.guard_bytes.min(1 << 30);
        let below = stack.start.saturating_sub(guard.max(BELOW_STACK_BYTES));
        let zone = below..stack.start.saturating_add(guard);
        let left = self.sp < zone.end && self.sp >= below.saturating_sub(1 << 20);
        zone.contains(&address) || (left && address.abs_diff(self.sp) < 1 << 20)
    }

    /// Whether the kernel raised it for an address that no pointer can have.
    #[must_use]
    pub fn is_impossible_address(&self) -> bool {
        self.signal == Some(libc::SIGSEGV) && self.code == SI_KERNEL
    }

    /// The stack of the plugin's calls, innermost first: muster's own calls at its outer end are left out.
    #[must_use]
    pub fn places(&self) -> Vec<Place> {
        if self.signal.is_none() {
            // First comes what wrote the record.
            return without_own_start(&self.frames, &self.modules, self.own_code);
        }
        places(&self.frames, &self.modules, self.own_code)
    }
}

/// Where calls of this process lie, innermost first, without muster's own at both ends.
pub(crate) fn places_of(stack: &[u64]) -> Vec<Place> {
    if stack.is_empty() {
        return Vec::new();
    }
    let Ok(maps) = std::fs::read("/proc/self/maps") else { return Vec::new() };
    let own_code = places_of as fn(&[u64]) -> Vec<Place> as usize as u64;
    without_own_start(stack, &Module::parse_all(&maps), own_code)
}

/// Where addresses lie, without muster's own calls at both ends.
fn without_own_start(stack: &[u64], modules: &[Module], own_code: u64) -> Vec<Place> {
    let own = Module::file_of(modules, own_code);
    let first = stack.iter().position(|&address| Module::file_of(modules, address) != own);
    places(&stack[first.unwrap_or(0)..], modules, own_code)
}

/// Where addresses lie, without muster's own calls at the outer end.
fn places(frames: &[u64], modules: &[Module], own_code: u64) -> Vec<Place> {
    let own = Module::file_of(modules, own_code);
    let is_own = |address: &u64| own.is_some() && Module::file_of(modules, *address) == own;
    // Behind muster's calls nothing follows but what starts threads.
    let is_system = |address: &u64| Module::file_of(modules, *address).is_some_and(starts_threads);
    let outer = frames.iter().rev().take_while(|address| is_own(address) || is_system(address)).count();
    let inner = frames.len() - outer;
    let end = frames[inner..].iter().position(is_own).map_or(frames.len(), |at| inner + at);
    // Without anything else it was muster's own call that went wrong.
    let end = if end == 0 { frames.len() } else { end };
    frames[..end].iter().map(|&address| Module::place_of(modules, address)).collect()
}

/// Whether a file is the C library or the dynamic linker.
fn starts_threads(path: &std::path::Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    ["libc.so", "libc-", "libpthread", "ld-", "ld.so"].iter().any(|start| name.starts_with(start))
}

/// The kernel raised the signal, and says no address.
const SI_KERNEL: i32 = 0x80;

/// Whether a signal came with the address of a fault.
const fn has_address(signal: i32, code: i32) -> bool {
    let faults = matches!(signal, libc::SIGSEGV | libc::SIGBUS | libc::SIGFPE | libc::SIGILL | libc::SIGTRAP);
    faults && code > 0 && code != SI_KERNEL
}

fn word(bytes: &[u8; RECORD_BYTES], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_ne_bytes(word)
}

fn long(bytes: &[u8; RECORD_BYTES], at: usize) -> u64 {
    let mut long = [0; 8];
    long.copy_from_slice(&bytes[at..at + 8]);
    u64::from_ne_bytes(long)
}

#[cfg(test)]
mod tests;
