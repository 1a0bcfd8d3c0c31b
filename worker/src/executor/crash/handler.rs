//! The handler itself. It runs inside whatever the plugin was doing: everything here is system calls and plain memory.

use super::maps;
use super::thread::identity;
use crate::crash::layout::{
    ACCESS_EXECUTE, ACCESS_READ, ACCESS_UNKNOWN, ACCESS_WRITE, FRAMES_MAX, Layout, NO_SIGNAL, STAGE_FACTS,
    STAGE_WHOLE,
};
use crate::os::monotonic_ns;
use libc::{c_int, c_void, sigaction, siginfo_t, ucontext_t};
use muster_plugin_host::stack;
use std::cell::UnsafeCell;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32};

/// Signals that end a process by something it did.
pub(super) const SIGNALS: [c_int; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT, libc::SIGTRAP, libc::SIGSYS];
/// The unwinder takes locks and believes the stack. One that has not come to its end by then is given up: the kernel kills
/// the process, and the record stays as far as it came.
const UNWIND_MAX_MS: i64 = 200;
/// How long a second thread that crashes lets the first one write.
const WAIT_MAX_MS: i64 = 500;
/// `si_code` of a signal that one thread of a process sent to another, or to itself.
const SI_TKILL: c_int = -6;

/// What the handler works on.
pub(super) static WATCH: Watch = Watch {
    record: AtomicPtr::new(std::ptr::null_mut()),
    process: AtomicU32::new(0),
    crashing: AtomicU32::new(0),
    signal: AtomicU32::new(0),
    previous: [const { Previous::none() }; SIGNALS.len()],
};

pub(super) struct Watch {
    pub record: AtomicPtr<Layout>,
    /// The process that the record is of; children that it forks are none.
    pub process: AtomicU32,
    /// The first thread that crashed.
    crashing: AtomicU32,
    /// And its signal.
    signal: AtomicU32,
    previous: [Previous; SIGNALS.len()],
}

/// The handler that was there before.
struct Previous {
    is_there: AtomicBool,
    action: UnsafeCell<Option<sigaction>>,
}

impl Previous {
    const fn none() -> Self {
        Self { is_there: AtomicBool::new(false), action: UnsafeCell::new(None) }
    }
}

// SAFETY: the action is written once, before `is_there` says so, and only read afterwards.
unsafe impl Sync for Previous {}

impl Watch {
    /// Remembers what was there before muster. Called once per signal, while no other thread runs.
    pub fn keep_previous(&self, at: usize, action: sigaction) {
        if let Some(previous) = self.previous.get(at) {
            // SAFETY: nobody reads it before the line below.
            unsafe { *previous.action.get() = Some(action) };
            previous.is_there.store(true, SeqCst);
        }
    }

    fn previous(&self, signal: c_int) -> Option<sigaction> {
        let previous = &self.previous[SIGNALS.iter().position(|&it| it == signal)?];
        // SAFETY: it was written before and does not change any more.
        previous.is_there.load(SeqCst).then(|| unsafe { *previous.action.get() }).flatten()
    }
}

/// An address in muster's own code.
pub(super) fn own_address() -> usize {
    on_crash as unsafe extern "C" fn(c_int, *mut siginfo_t, *mut c_void) as usize
}

/// Installs the handler; says what was there before.
pub(super) fn install(signal: c_int) -> Option<sigaction> {
    let mut before = default_action();
    let mut action = default_action();
    action.sa_sigaction = own_address();
    // The signal stays deliverable, so that a fault while the record is written is seen, too.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
    // SAFETY: both structs are valid, and the handler is one of three arguments as SA_SIGINFO wants it.
    (unsafe { sigaction(signal, &raw const action, &raw mut before) } == 0).then_some(before)
}

/// The handler that is there now.
pub(super) fn current(signal: c_int) -> Option<sigaction> {
    let mut now = default_action();
    // SAFETY: the struct is valid to write to; nothing is installed.
    (unsafe { sigaction(signal, std::ptr::null(), &raw mut now) } == 0).then_some(now)
}

fn default_action() -> sigaction {
    // SAFETY: all zero is the default action with an empty mask.
    unsafe { std::mem::zeroed() }
}

unsafe extern "C" fn on_crash(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let record = WATCH.record.load(SeqCst);
    // SAFETY: takes nothing and cannot fail.
    let (process, thread) = unsafe { (libc::getpid() as u32, libc::gettid() as u32) };
    if record.is_null() || process != WATCH.process.load(SeqCst) {
        die(signal);
    }
    match WATCH.crashing.compare_exchange(0, thread, SeqCst, SeqCst) {
        Ok(_) => {
            WATCH.signal.store(signal as u32, SeqCst);
            // SAFETY: the mapping stays until the process ends, and its words are atomic; the kernel gives valid
            // structs.
            unsafe { write(&*record, signal, &*info, context.cast::<ucontext_t>(), thread) };
        }
        // A fault while the record was written: what ends the process is the first one.
        Err(first) if first == thread => die(WATCH.signal.load(SeqCst) as c_int),
        Err(_) => sleep(WAIT_MAX_MS),
    }
    die(signal);
}

/// Has [`on_exit`] called when somebody calls `exit`. Executors themselves end without it.
pub(super) fn watch_exit() {
    // SAFETY: the function takes nothing and stays as long as the process.
    unsafe { libc::atexit(on_exit) };
}

/// Runs in the thread that called `exit`, after what the plugin wants done at the end.
extern "C" fn on_exit() {
    let record = WATCH.record.load(SeqCst);
    // SAFETY: takes nothing and cannot fail.
    let (process, thread) = unsafe { (libc::getpid() as u32, libc::gettid() as u32) };
    let is_own = !record.is_null() && process == WATCH.process.load(SeqCst);
    if !is_own || WATCH.crashing.compare_exchange(0, thread, SeqCst, SeqCst).is_err() {
        return;
    }
    let begun_ns = monotonic_ns();
    // SAFETY: the mapping stays until the process ends, and its words are atomic.
    let record = unsafe { &*record };
    record.signal.store(NO_SIGNAL, Relaxed);
    record_thread(record, thread);
    record.stage.store(STAGE_FACTS, SeqCst);
    maps::copy_to(record);
    record.facts_ns.store(monotonic_ns() - begun_ns, SeqCst);
    let timer = kill_after(UNWIND_MAX_MS);
    stack::walk(|address| add_frame(record, address));
    record.whole_ns.store(monotonic_ns() - begun_ns, SeqCst);
    record.stage.store(STAGE_WHOLE, SeqCst);
    if let Some(timer) = timer {
        // SAFETY: takes the number of a timer that was made.
        unsafe { libc::syscall(libc::SYS_timer_delete, timer) };
    }
}

/// Writes down which thread it is.
fn record_thread(record: &Layout, thread: u32) {
    let identity = identity();
    record.tid.store(thread, Relaxed);
    record.role.store(identity.role, Relaxed);
    record.slot.store(identity.slot, Relaxed);
    record.stack_low.store(identity.stack_low, Relaxed);
    record.stack_high.store(identity.stack_high, Relaxed);
    record.guard_bytes.store(identity.guard_bytes, Relaxed);
    record.own_code.store(own_address() as u64, Relaxed);
}

/// Adds an address on the stack; says whether there is room for another.
fn add_frame(record: &Layout, address: u64) -> bool {
    let at = record.frame_count.load(Relaxed) as usize;
    let Some(frame) = record.frames.get(at) else { return false };
    frame.store(address, Relaxed);
    record.frame_count.store(at as u32 + 1, Relaxed);
    at + 1 < FRAMES_MAX
}

/// # Safety
/// `context` must be what the kernel gave to this handler.
unsafe fn write(record: &Layout, signal: c_int, info: &siginfo_t, context: *mut ucontext_t, thread: u32) {
    let begun_ns = monotonic_ns();
    // SAFETY: the caller's promise.
    let registers = unsafe { Registers::of(context) };
    record_thread(record, thread);
    record.signal.store(signal as u32, Relaxed);
    record.code.store(info.si_code as u32, Relaxed);
    record.sender.store(sender(info), Relaxed);
    record.access.store(if signal == libc::SIGSEGV { registers.access } else { ACCESS_UNKNOWN }, Relaxed);
    // SAFETY: for the signals of a fault the kernel sets the address; of others nobody reads it.
    let address = unsafe { info.si_addr() } as u64;
    record.address.store(address, Relaxed);
    record.pc.store(registers.pc, Relaxed);
    record.sp.store(registers.sp, Relaxed);
    if let Some(first) = record.frames.first() {
        first.store(registers.pc, Relaxed);
        record.frame_count.store(1, Relaxed);
    }
    record.stage.store(STAGE_FACTS, SeqCst);
    maps::copy_to(record);
    record.facts_ns.store(monotonic_ns() - begun_ns, SeqCst);
    kill_after(UNWIND_MAX_MS);
    // SAFETY: as above.
    unsafe { unwind(record, &registers, context) };
    record.whole_ns.store(monotonic_ns() - begun_ns, SeqCst);
    record.stage.store(STAGE_WHOLE, SeqCst);
}

/// # Safety
/// `context` must be what the kernel gave to this handler.
unsafe fn unwind(record: &Layout, registers: &Registers, context: *mut ucontext_t) {
    // A call of what is no code: the stack begins with the caller. The unwinder takes the interrupted registers from
    // the very struct that this handler was given.
    // SAFETY: the caller's promise; a stack pointer that leads nowhere ends the process with what is there.
    let caller = unsafe { registers.pretend_to_have_returned(context) };
    let mut is_inside = false;
    stack::walk(|address| {
        if is_inside {
            return add_frame(record, address);
        }
        // First come the handler and what the kernel put there to return from it. The interrupted instruction stands
        // in the record already.
        is_inside = address == caller.unwrap_or(registers.pc);
        !is_inside || caller.is_none() || add_frame(record, address - 1)
    });
}

/// The process that sent a signal; 0: this one itself, by a fault or on purpose in the thread that it names.
fn sender(info: &siginfo_t) -> u32 {
    if info.si_code > 0 {
        return 0;
    }
    // SAFETY: signals that were sent say by whom.
    let sender = unsafe { info.si_pid() } as u32;
    let is_own = info.si_code == SI_TKILL && sender == WATCH.process.load(SeqCst);
    if is_own { 0 } else { sender.max(1) }
}

/// What the interrupted thread was doing.
struct Registers {
    pc: u64,
    sp: u64,
    access: u32,
}

#[cfg(target_arch = "x86_64")]
impl Registers {
    /// # Safety
    /// `context` must be what the kernel gave to a handler.
    unsafe fn of(context: *mut ucontext_t) -> Self {
        // SAFETY: the caller's promise.
        let registers = unsafe { &(*context).uc_mcontext.gregs };
        let error = registers[libc::REG_ERR as usize];
        let is_page_fault = registers[libc::REG_TRAPNO as usize] == 14;
        let access = match is_page_fault.then_some(error) {
            None => ACCESS_UNKNOWN,
            Some(error) if error & 1 << 4 != 0 => ACCESS_EXECUTE,
            Some(error) if error & 1 << 1 != 0 => ACCESS_WRITE,
            Some(_) => ACCESS_READ,
        };
        let (pc, sp) = (registers[libc::REG_RIP as usize] as u64, registers[libc::REG_RSP as usize] as u64);
        // A jump to nowhere without the bit that says so, on older processors.
        let page = registers[libc::REG_CR2 as usize] as u64;
        let access = if access == ACCESS_READ && page == pc { ACCESS_EXECUTE } else { access };
        Self { pc, sp, access }
    }

    /// # Safety
    /// As [`Registers::of`].
    unsafe fn pretend_to_have_returned(&self, context: *mut ucontext_t) -> Option<u64> {
        if self.access != ACCESS_EXECUTE {
            return None;
        }
        // SAFETY: a call put the return address there; where it did not, the fault is caught and ends the process.
        unsafe {
            let caller = (self.sp as *const u64).read_volatile();
            let registers = &mut (*context).uc_mcontext.gregs;
            registers[libc::REG_RIP as usize] = caller as i64;
            registers[libc::REG_RSP as usize] += size_of::<u64>() as i64;
            Some(caller)
        }
    }
}

#[cfg(target_arch = "aarch64")]
impl Registers {
    /// # Safety
    /// `context` must be what the kernel gave to a handler.
    unsafe fn of(context: *mut ucontext_t) -> Self {
        // SAFETY: the caller's promise.
        let registers = unsafe { &(*context).uc_mcontext };
        let access = if registers.fault_address == registers.pc { ACCESS_EXECUTE } else { ACCESS_UNKNOWN };
        Self { pc: registers.pc, sp: registers.sp, access }
    }

    /// # Safety
    /// As [`Registers::of`].
    unsafe fn pretend_to_have_returned(&self, context: *mut ucontext_t) -> Option<u64> {
        if self.access != ACCESS_EXECUTE {
            return None;
        }
        // SAFETY: the caller's promise; a call leaves the return address in the link register.
        unsafe {
            let registers = &mut (*context).uc_mcontext;
            registers.pc = registers.regs[30];
            Some(registers.pc)
        }
    }
}

/// Has the kernel kill this process after a while; gives the timer.
fn kill_after(millis: i64) -> Option<c_int> {
    // SAFETY: the structs are valid, and all zero where nothing is set; a call that fails changes nothing.
    unsafe {
        let mut event: libc::sigevent = std::mem::zeroed();
        event.sigev_notify = libc::SIGEV_SIGNAL;
        event.sigev_signo = libc::SIGKILL;
        let mut timer: c_int = 0;
        let made =
            libc::syscall(libc::SYS_timer_create, libc::CLOCK_MONOTONIC, &raw const event, &raw mut timer);
        if made == 0 {
            let once = libc::itimerspec { it_interval: span(0), it_value: span(millis) };
            let none: *mut libc::itimerspec = std::ptr::null_mut();
            libc::syscall(libc::SYS_timer_settime, timer, 0, &raw const once, none);
        }
        (made == 0).then_some(timer)
    }
}

const fn span(millis: i64) -> libc::timespec {
    libc::timespec { tv_sec: millis / 1_000, tv_nsec: (millis % 1_000) * 1_000_000 }
}

fn sleep(millis: i64) {
    let time = span(millis);
    // SAFETY: the time is valid to read; what is left of it is not asked for.
    unsafe { libc::nanosleep(&raw const time, std::ptr::null_mut()) };
}

/// Ends the process by the signal, as if this handler were not there.
fn die(signal: c_int) -> ! {
    let action = WATCH.previous(signal).unwrap_or_else(default_action);
    // SAFETY: the structs are valid; the calls take numbers.
    unsafe {
        sigaction(signal, &raw const action, std::ptr::null_mut());
        let mut only: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut only);
        libc::sigaddset(&raw mut only, signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const only, std::ptr::null_mut());
        libc::syscall(libc::SYS_tgkill, libc::getpid(), libc::gettid(), signal);
        // A handler from before muster came back: then the signal ends the process.
        let default = default_action();
        sigaction(signal, &raw const default, std::ptr::null_mut());
        libc::syscall(libc::SYS_tgkill, libc::getpid(), libc::gettid(), signal);
        libc::_exit(128 + signal)
    }
}
