//! What people claim about threads and processes, held against tables of quantities.

use super::claim::{Claim, Holds};
use super::name::Name;
use super::{Cell, Findings, Table};
use crate::compare::Spread;
use crate::summary::{bytes, number, seconds};

/// What became of the claim that an experiment is about. Where its table is missing, nothing is known.
pub fn stated(name: Name, findings: &Findings) -> Vec<Claim> {
    let (topic, claim, found) = match name {
        Name::Lifecycle => ("creation cost", "threads start faster than processes", starts(findings)),
        Name::Switch => ("context switches", "threads switch faster than processes", switches(findings)),
        Name::Memory => ("memory", "processes use more memory than threads", memory(findings)),
        Name::Isolate => (
            "error isolation",
            "a crash takes down all threads of its process, and no other process",
            faults(findings),
        ),
        Name::Interrupt => {
            ("interruptibility", "a process can be terminated, a thread must cooperate", stops(findings))
        }
        Name::Cpu
        | Name::Gil
        | Name::Io
        | Name::Mixed
        | Name::Shared
        | Name::Exchange
        | Name::Hybrid
        | Name::Overhead => return Vec::new(),
    };
    let (measured, verdict) =
        found.unwrap_or_else(|| ("there was no time to measure it".to_owned(), Holds::Unknown));
    let command = format!("muster compare {}", name.word());
    vec![Claim { topic, claim: claim.to_owned(), measured, verdict, command }]
}

/// What was measured, and whether the claim holds.
type Found = (String, Holds);

fn starts(findings: &Findings) -> Option<Found> {
    let table = table(findings, "Start and end, without muster")?;
    let [thread, fork, program] =
        ["thread", "process, copied (fork)", "program, by posix_spawn"].map(|row| spread(table, row, 0));
    let (thread, fork, program) = (thread?, fork?, program?);
    let measured = format!(
        "start and end of a thread take {}, of a forked process {}, of a program {}",
        seconds(thread.median),
        seconds(fork.median),
        seconds(program.median)
    );
    Some((measured, apart(fork, thread)))
}

fn switches(findings: &Findings) -> Option<Found> {
    let table = table(findings, "One switch, both on one processor")?;
    let (threads, processes) = (spread(table, "futex, threads", 0)?, spread(table, "futex, processes", 0)?);
    let measured = format!(
        "a switch between threads takes {}, between processes {}",
        seconds(threads.median),
        seconds(processes.median)
    );
    // What nobody would notice is no difference.
    let is_noticed = processes.median > 1.2 * threads.median;
    let verdict = if is_noticed { apart(processes, threads) } else { Holds::No };
    Some((measured, verdict))
}

fn memory(findings: &Findings) -> Option<Found> {
    let table = table(findings, "Memory (PSS) of all of muster, by how many there are")?;
    let (thread, process) = (spread(table, "thread", 0)?, spread(table, "process", 0)?);
    let size = |spread: Spread| bytes(spread.median.max(0.0) as u64);
    let measured = format!("one more thread takes {}, one more process {}", size(thread), size(process));
    Some((measured, apart(process, thread)))
}

fn faults(findings: &Findings) -> Option<Found> {
    let table = table(findings, "Other tasks that ran again")?;
    let most = |place: usize| {
        table.rows.iter().filter_map(|row| value(row.cells.get(place)?)).max_by(f64::total_cmp)
    };
    let (thread, process) = (most(0)?, most(1)?);
    let count = |count: f64| number(count.max(0.0) as u64);
    let measured = format!(
        "tasks of others that had to run again after a fault: up to {} under thread, up to {} under process",
        count(thread),
        count(process)
    );
    let verdict = if thread > process { Holds::Yes } else { Holds::No };
    Some((measured, verdict))
}

fn stops(findings: &Findings) -> Option<Found> {
    let table = table(findings, "From cancelling a job to the end of its last task")?;
    let row = |model: &str, way: &str| {
        let row = table.rows.iter().find(|row| row.name.starts_with(model) && row.name.ends_with(way))?;
        value(&row.cells[0])
    };
    let [asked, thread, process] =
        [row("thread", "asked"), row("thread", "SIGKILL"), row("process", "SIGKILL")];
    let (asked, thread, process) = (asked?, thread?, process?);
    let measured = format!(
        "a thread that looks at its flag stops in {}; one that does not ends with its whole process, killed after {}, a process \
         by itself after {}",
        seconds(asked),
        seconds(thread),
        seconds(process)
    );
    Some((measured, Holds::Yes))
}

/// Whether something takes more than something else, for sure.
fn apart(more: Spread, less: Spread) -> Holds {
    if more.lo > less.hi {
        Holds::Yes
    } else if more.hi < less.lo {
        Holds::No
    } else {
        Holds::Unknown
    }
}

fn table<'a>(findings: &'a Findings, title: &str) -> Option<&'a Table> {
    findings.tables.iter().find(|table| table.title == title)
}

fn spread(table: &Table, row: &str, column: usize) -> Option<Spread> {
    let row = table.rows.iter().find(|other| other.name == row)?;
    match row.cells.get(column)? {
        Cell::Measured { median, lo, hi, .. } => Some(Spread { median: *median, lo: *lo, hi: *hi }),
        Cell::Number { number } => Some(Spread { median: *number, lo: *number, hi: *number }),
        Cell::Text { .. } | Cell::Unknown => None,
    }
}

fn value(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Measured { median: value, .. } | Cell::Number { number: value } => Some(*value),
        Cell::Text { .. } | Cell::Unknown => None,
    }
}
