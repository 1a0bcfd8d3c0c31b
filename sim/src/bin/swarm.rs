//! Runs swarms of faults against scheduler and agents: many seeds, or one to look at.

#![allow(clippy::print_stdout)]

use muster_sim::swarm::{self, Fault, Options, Params, Report, Struck};
use std::ops::Range;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const USAGE: &str = "\
Runs the scheduler and the agents in virtual time under swarms of faults and checks everything after each step.

  swarm --seeds A..B     run these seeds; the first violation is shrunk and ends it with exit code 1
  swarm --seed N         run one seed and print its digest
    --params TEXT        instead of what the seed draws, as a failure prints it
    --trace              print every step
  --mutation NAME        take a guarantee away (only when built with --features mutations)
  --threads N            threads for --seeds; default 2
  --json                 the summary as JSON";

/// From one line of progress to the next.
const PROGRESS: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Arguments {
    seeds: Option<Range<u64>>,
    seed: Option<u64>,
    params: Option<Params>,
    trace: bool,
    mutation: Option<String>,
    threads: Option<u64>,
    json: bool,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(what) => {
            eprintln!("swarm: {what}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let options = match options(&arguments) {
        Ok(options) => options,
        Err(what) => {
            eprintln!("swarm: {what}");
            return ExitCode::from(2);
        }
    };
    match (arguments.seed, arguments.seeds.clone()) {
        (Some(seed), _) => one(seed, &arguments, options),
        (None, Some(seeds)) => many(seeds, &arguments, options),
        (None, None) => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments::default();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--seeds" => arguments.seeds = Some(range(&value()?)?),
            "--seed" => arguments.seed = Some(number(&value()?)?),
            "--params" => arguments.params = Some(value()?.parse()?),
            "--mutation" => arguments.mutation = Some(value()?),
            "--threads" => arguments.threads = Some(number(&value()?)?.clamp(1, 256)),
            "--trace" => arguments.trace = true,
            "--json" => arguments.json = true,
            _ => return Err(format!("{word:?} is not known")),
        }
    }
    Ok(arguments)
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number"))
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or_else(|| format!("{text:?} is not of the form A..B"))?;
    let range = number(from)?..number(to)?;
    if range.is_empty() { Err(format!("{text:?} holds no seed")) } else { Ok(range) }
}

#[cfg(feature = "mutations")]
fn options(arguments: &Arguments) -> Result<Options, String> {
    let mutation = arguments.mutation.as_deref().map(str::parse).transpose()?;
    Ok(Options { mutation, ..Options::default() })
}

#[cfg(not(feature = "mutations"))]
fn options(arguments: &Arguments) -> Result<Options, String> {
    match arguments.mutation {
        None => Ok(Options::default()),
        Some(_) => Err("this build keeps every guarantee: build with --features mutations".to_owned()),
    }
}

fn one(seed: u64, arguments: &Arguments, options: Options) -> ExitCode {
    let params = arguments.params.unwrap_or_else(|| Params::draw(seed));
    println!("seed {seed}: {params}");
    let trace: fn(&str) = |line| println!("{line}");
    let report = swarm::run(seed, &params, options.with_trace(arguments.trace.then_some(trace)));
    let Report { events, inputs, digest, mutated, jobs, committed, second_leases, .. } = report;
    println!(
        "{events} events, {inputs} inputs, {jobs} jobs ended, {committed} tasks committed, {second_leases} second leases, digest {digest:016x}"
    );
    println!("faults: {}", kinds(&report.struck));
    if arguments.mutation.is_some() {
        println!("the mutation made a difference {mutated} times");
    }
    match &report.violation {
        None => ExitCode::SUCCESS,
        Some(violation) => {
            println!("VIOLATION {violation}");
            ExitCode::FAILURE
        }
    }
}

/// What all runs came to.
#[derive(Default)]
struct Sum {
    runs: u64,
    events: u64,
    inputs: u64,
    committed: u64,
    second_leases: u64,
    jobs: u64,
    struck: Struck,
    mutated: u64,
    patience_used: u64,
    digest: u64,
}

impl Sum {
    fn add(&mut self, report: &Report) {
        self.runs += 1;
        self.events += report.events;
        self.inputs += report.inputs;
        self.committed += report.committed;
        self.second_leases += report.second_leases;
        self.jobs += report.jobs;
        self.struck.add(&report.struck);
        self.mutated += report.mutated;
        self.patience_used = self.patience_used.max(report.patience_used);
        // Whatever order threads finish in.
        self.digest = self.digest.wrapping_add(report.digest.rotate_left((report.seed % 64) as u32));
    }
}

fn many(seeds: Range<u64>, arguments: &Arguments, options: Options) -> ExitCode {
    let (start, next, failed) = (Instant::now(), AtomicU64::new(seeds.start), AtomicBool::new(false));
    let state = Mutex::new((Sum::default(), Vec::<Report>::new(), start));
    eprintln!(
        "seeds {}..{}, {}",
        seeds.start,
        seeds.end,
        arguments.mutation.as_deref().unwrap_or("no mutation")
    );
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads.unwrap_or(2) {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let report = swarm::run(seed, &Params::draw(seed), options);
                    let Ok(mut state) = state.lock() else { return };
                    let (sum, violations, said) = &mut *state;
                    sum.add(&report);
                    if report.violation.is_some() {
                        violations.push(report);
                        failed.store(true, Ordering::Relaxed);
                    }
                    if said.elapsed() > PROGRESS {
                        *said = Instant::now();
                        eprintln!(
                            "{} seeds, {:.0} a minute",
                            sum.runs,
                            per_minute(sum.runs, start.elapsed())
                        );
                    }
                }
            });
        }
    });
    let Ok((sum, mut violations, _)) = state.into_inner() else { return ExitCode::FAILURE };
    violations.sort_by_key(|report| report.seed);
    print(&sum, violations.first(), start.elapsed(), arguments);
    let Some(report) = violations.first() else { return ExitCode::SUCCESS };
    show(report, arguments, options);
    ExitCode::FAILURE
}

/// Shows a violation, how to make it again, and a smaller run with it.
fn show(report: &Report, arguments: &Arguments, options: Options) {
    let Some(violation) = &report.violation else { return };
    let mutation = arguments.mutation.as_deref();
    eprintln!("\nVIOLATION in seed {} by {violation}", report.seed);
    eprintln!("  {}", report.params);
    eprintln!("  again: {}", report.command(mutation));
    let small = swarm::shrink(report, options);
    if let Some(violation) = &small.violation {
        eprintln!("shrunk from {} to {} events: {violation}", report.events, small.events);
        eprintln!("  {}", small.params);
        eprintln!("  again: {}", small.command(mutation));
    }
}

fn per_minute(runs: u64, time: Duration) -> f64 {
    runs as f64 * 60.0 / time.as_secs_f64().max(1e-9)
}

fn kinds(struck: &Struck) -> String {
    let kinds: Vec<String> =
        Fault::ALL.iter().map(|&fault| format!("{} {}", fault.name(), struck.of(fault))).collect();
    kinds.join(", ")
}

fn print(sum: &Sum, violation: Option<&Report>, time: Duration, arguments: &Arguments) {
    let Sum {
        runs,
        events,
        inputs,
        committed,
        second_leases,
        jobs,
        ref struck,
        mutated,
        patience_used,
        digest,
    } = *sum;
    let (rate, violations) = (per_minute(runs, time), u64::from(violation.is_some()));
    if arguments.json {
        let faults: Vec<String> =
            Fault::ALL.iter().map(|&fault| format!("\"{}\":{}", fault.name(), struck.of(fault))).collect();
        let seed = violation.map_or("null".to_owned(), |report| report.seed.to_string());
        let checker = violation.and_then(|report| report.violation.as_ref());
        let checker = checker.map_or("null".to_owned(), |violation| format!("\"{}\"", violation.checker));
        println!(
            "{{\"seeds\":{runs},\"seconds\":{:.3},\"seeds_per_minute\":{rate:.0},\"events\":{events},\"inputs\":{inputs},\
             \"jobs\":{jobs},\"committed\":{committed},\"second_leases\":{second_leases},\"faults_total\":{},\"faults\":{{{}}},\"mutated\":{mutated},\
             \"patience_used_max\":{:.3},\"digest\":\"{digest:016x}\",\"violations\":{violations},\
             \"violation_seed\":{seed},\"violation_checker\":{checker}}}",
            time.as_secs_f64(),
            struck.total(),
            faults.join(","),
            patience_used as f64 / 1e3,
        );
        return;
    }
    println!("{runs} seeds in {:.1} s, {rate:.0} a minute; {violations} violations", time.as_secs_f64());
    println!(
        "{events} events, {inputs} inputs, {jobs} jobs ended, {committed} tasks committed, {second_leases} second leases, digest {digest:016x}"
    );
    println!("{} faults: {}", struck.total(), kinds(struck));
    println!("at most {:.1} % of the time that was left to the end was needed", patience_used as f64 / 10.0);
    if arguments.mutation.is_some() {
        println!("the mutation made a difference {mutated} times");
    }
}
