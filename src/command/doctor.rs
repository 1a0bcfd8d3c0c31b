//! `muster doctor`: whether this machine is fit to measure and to run, and what keeps it from that.

use super::worker::up_workers;
use crate::bench::Bench;
use crate::cli::ViewArgs;
use crate::cluster::{Choice, Private, choose};
use crate::compare::{Load, Machine, Usage, steadiness};
use crate::conformance::{Check, Verdict, table};
use crate::exit::{Exit, Outcome};
use crate::interrupt::Interrupt;
use crate::summary::{bytes, counted, seconds};
use crate::terminal::{self, note};
use muster_core::scheduler::PolicySpec;
use muster_proto::link::connect;
use muster_worker::os::cgroup::Cgroups;
use muster_worker::os::proc_file::size;
use std::time::{Duration, Instant};

/// How long the machine is watched while nothing is asked of it.
const WATCH: Duration = Duration::from_millis(500);
/// Others may use so much of it.
const OTHERS_MAX: f64 = 0.05;
/// Its host, or a limit, may take so much.
const TAKEN_MAX: f64 = 0.02;
/// The same work may take times that differ by so much.
const SPREAD_MAX: f64 = 0.05;
/// Fewer open files keep many executors or connections from being there.
const FILES_MIN: u64 = 4_096;
/// Of all memory, so much should be free.
const FREE_MIN: f64 = 0.2;

/// Looks at everything and says what was found.
pub async fn doctor(view: &ViewArgs, strict: bool) -> Outcome {
    let mut interrupt = Interrupt::listen()?;
    let machine = Machine::here();
    let mut checks = interrupt.or(async { Ok(quiet().await) }).await?;
    checks.push(steady());
    checks.extend([processors(&machine), governor(&machine), clock(), memory(), files()]);
    checks.extend(limits());
    checks.push(interrupt.or(async { Ok(starts().await) }).await?);
    checks.push(interrupt.or(async { Ok(cluster(view).await) }).await?);
    let failed = checks.iter().filter(|check| check.verdict == Verdict::Fail).count();
    super::printed(if view.json {
        let rows: Vec<serde_json::Value> = checks.iter().map(Check::to_json).collect();
        terminal::print_json(&serde_json::json!({"machine": machine, "fit": failed == 0, "checks": rows}))
    } else {
        terminal::print(format_args!("{}\n\n{}", machine.describe(), table(&checks)))
    })?;
    note(match failed {
        0 => "this machine is fit to measure".to_owned(),
        failed => format!("{} to look at", counted(failed as u32, "finding", "findings")),
    });
    Ok(if strict && failed > 0 { Exit::Invalid } else { Exit::Ok })
}

/// Whether others leave the processors alone.
async fn quiet() -> Vec<Check> {
    let (load, used) = (Load::now(), Usage::now());
    // Not a wait for something: the time that is watched.
    tokio::time::sleep(WATCH).await;
    let found = Load::now().since(load, Usage::now().since(used).cpu);
    let check = |name: &str, share: f64, most: f64, advice: &str| {
        // The kernel counts in ticks, which begin before and end after what is watched.
        let share = share.min(1.0);
        let measured = format!("{:.1} % of the processors", share * 100.0);
        if share > most { Check::fail(name, measured, advice) } else { Check::pass(name, measured) }
    };
    vec![
        check("other processes", found.others, OTHERS_MAX, "end what else runs here while you measure"),
        check("taken by the host (steal)", found.stolen, TAKEN_MAX, "measure on a machine of your own"),
        check("held back (throttling)", found.throttled, TAKEN_MAX, "raise the CPU limit of the cgroup"),
    ]
}

/// Whether the same work takes the same time.
fn steady() -> Check {
    let spread = steadiness();
    let measured = format!("the same work, 40 times: {:.1} % between quartiles", spread * 100.0);
    if spread > SPREAD_MAX {
        Check::fail(
            "steady speed",
            measured,
            "look for other load, frequency scaling or heat; use more blocks",
        )
    } else {
        Check::pass("steady speed", measured)
    }
}

fn processors(machine: &Machine) -> Check {
    let usable = f64::from(machine.cpus());
    match machine.cpu_limit() {
        Some(limit) if limit < usable => Check::fail(
            "processors",
            format!("{usable} can be used, and the cgroup allows the time of {limit:.1}"),
            "give muster as many processors as it sees, or fewer with taskset",
        ),
        _ if machine.cpus() == 1 => Check::fail(
            "processors",
            "1",
            "with one processor no model computes in parallel: comparisons show only what they cost",
        ),
        _ => Check::pass("processors", format!("{usable} can be used, and nothing limits their time")),
    }
}

fn governor(machine: &Machine) -> Check {
    match machine.governor() {
        Some("performance") => Check::pass("frequency", "governor performance"),
        Some(other) => Check::fail(
            "frequency",
            format!("governor {other}"),
            "cpupower frequency-set -g performance, while you measure",
        ),
        None => Check::not_checked(
            "frequency",
            "the kernel does not scale it here, as in most virtual machines",
            "",
        ),
    }
}

/// Asking a slow clock costs more than short tasks.
fn clock() -> Check {
    const TIMES: u32 = 10_000;
    const SLOW: Duration = Duration::from_nanos(200);
    let began = Instant::now();
    for _ in 0..TIMES {
        std::hint::black_box(Instant::now());
    }
    let each = began.elapsed() / TIMES;
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let source = std::fs::read_to_string(path).unwrap_or_default();
    let measured = format!("{} takes {} to read", source.trim(), seconds(each.as_secs_f64()));
    if each > SLOW {
        Check::fail("clock", measured, "a kernel parameter chooses another: clocksource=tsc")
    } else {
        Check::pass("clock", measured)
    }
}

fn memory() -> Check {
    let (Some(total), Some(free)) = (size("meminfo", "MemTotal"), size("meminfo", "MemAvailable")) else {
        return Check::not_checked("memory", "/proc/meminfo does not say", "");
    };
    let measured = format!("{} of {} available", bytes(free), bytes(total));
    if (free as f64) < total as f64 * FREE_MIN {
        Check::fail("memory", measured, "end what holds it: swapping spoils every measurement")
    } else {
        Check::pass("memory", measured)
    }
}

fn files() -> Check {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call writes one rlimit to the pointer that is given.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0;
    // Coordinators and workers raise theirs to the hard limit.
    let most = limit.rlim_max;
    let measured = format!("up to {most} in each process");
    match known {
        false => Check::not_checked("open files", "the system does not say", ""),
        true if most < FILES_MIN => {
            Check::fail("open files", measured, "raise it: ulimit -Hn, or LimitNOFILE of the unit")
        }
        true => Check::pass("open files", measured),
    }
}

/// How limits of executors are kept.
fn limits() -> [Check; 2] {
    let groups = Cgroups::find();
    let advice = "run muster as root, or in a cgroup that is its own (systemd-run --user -p Delegate=yes)";
    let memory = match groups.memory() {
        Ok(version) => Check::pass("limit of memory (--mem)", format!("by cgroup v{version}")),
        Err(why) => Check::fail("limit of memory (--mem)", format!("by rlimit only: {why}"), advice),
    };
    let processes = match groups.pids() {
        Ok(version) => Check::pass("limit of processes (--procs)", format!("by cgroup v{version}")),
        Err(why) => Check::fail("limit of processes (--procs)", format!("refused: {why}"), advice),
    };
    [memory, processes]
}

/// Whether a cluster of our own can be there, and how soon.
async fn starts() -> Check {
    let began = Instant::now();
    let tried = async {
        let cluster = Private::start(1, 1, None, PolicySpec::default()).await?;
        let up = Bench::new(&cluster).all_workers_up(1).await;
        let took = began.elapsed();
        cluster.stop().await;
        up.map(|()| took)
    };
    match tried.await {
        Ok(took) => Check::pass("private cluster", format!("up in {}", seconds(took.as_secs_f64()))),
        Err(failure) => {
            Check::fail("private cluster", failure.message(), "nothing runs without one: muster up says more")
        }
    }
}

/// The cluster that commands would use.
async fn cluster(view: &ViewArgs) -> Check {
    let name = "cluster";
    let asked = async {
        match choose(&view.cluster)? {
            Choice::Private => Ok(None),
            Choice::Existing { name, target } => {
                let (workers, slots) = up_workers(&connect(&target).await?).await?;
                Ok(Some((name, workers, slots)))
            }
        }
    };
    match asked.await {
        Ok(None) => Check::not_checked(name, "none is up: muster run starts a private one", ""),
        Ok(Some((cluster, 0, _))) => Check::fail(
            name,
            format!("{cluster} can be reached and has no worker"),
            "muster worker start, on each machine",
        ),
        Ok(Some((cluster, workers, slots))) => Check::pass(
            name,
            format!(
                "{cluster} can be reached: {}, {}",
                counted(workers, "worker", "workers"),
                counted(slots, "slot", "slots")
            ),
        ),
        Err::<_, crate::exit::Failure>(failure) => {
            Check::fail(name, failure.message(), "muster up starts one here; --cluster names another")
        }
    }
}
