//! From measurements to what is said of them.

use super::across::across;
use super::course::{End, GroupMeasured, Measured};
use super::environment::Machine;
use super::front::front;
use super::group::{Case, Group};
use super::invalid::{OTHERS_MAX, STOLEN_MAX, disturbances, faults, is_overloaded};
use super::latency::latency;
use super::machine::{Interference, processors_online};
use super::measure::Measure;
use super::reading::Reading;
use super::result::{Comparison, GroupResult, Load, Outlier, Overhead, Plugin, Row, Spread, ValueOf};
use super::sample::Sample;
use super::subject::Subject;
use super::usage::Usage;
use super::verdict::{Verdict, name_of, verdict};
use crate::statistics::{Analysis, Enough, median, median_interval, outliers, quantile, warm_up};
use crate::summary::hex;
use muster_plugin_host::F_DETERMINISTIC;
use std::time::Duration;

/// Processor time and the clock are read one after the other.
const CORES_SLACK: f64 = 1.05;

/// The whole result. `experiment`: its name.
pub fn assemble(
    experiment: &str,
    seed: u64,
    groups: &[Group],
    measured: &Measured,
    machine: Machine,
) -> Comparison {
    let judged: Vec<(GroupResult, Vec<Row>)> =
        groups.iter().zip(&measured.groups).map(|(group, found)| judge(group, found, measured)).collect();
    let (results, rows): (Vec<GroupResult>, Vec<Vec<Row>>) = judged.into_iter().unzip();
    let rows: Vec<Row> = rows.into_iter().flatten().collect();
    let floors: Option<Vec<f64>> = results.iter().map(|group| group.noise_floor).collect();
    let (plugin, tasks) = (results[0].plugin.clone(), results[0].tasks);
    let verdict = match results.as_slice() {
        [only] => only.verdict.clone(),
        several => across(several),
    };
    let overhead = overhead(groups, measured);
    let notes = notes(&rows, groups, measured, overhead.as_ref());
    Comparison {
        experiment: experiment.to_owned(),
        plugin: Some(plugin),
        machine,
        tasks,
        seed,
        blocks: measured.blocks,
        stopped_by: measured.end.name(),
        cluster_cpu_s: measured.idle.as_secs_f64(),
        overhead,
        noise_floor: floors.and_then(|floors| floors.into_iter().max_by(f64::total_cmp)),
        enough: results.iter().all(|group| group.enough),
        verdict,
        notes,
        measure: measured.groups[0].measure,
        open_loop: groups[0].baseline().subject.arrivals.map(Load::from),
        groups: if results.len() > 1 { results } else { Vec::new() },
        rows,
        tables: Vec::new(),
        claims: Vec::new(),
        cluster: None,
        run: None,
    }
}

/// What muster itself costs: the row of `null`.
fn overhead(groups: &[Group], measured: &Measured) -> Option<Overhead> {
    let times: Vec<f64> = measured.overhead.iter().map(|sample| sample.time.as_secs_f64()).collect();
    let cpu: Vec<f64> = measured.overhead.iter().filter_map(cpu_s).collect();
    Some(Overhead {
        name: groups[0].baseline().name().to_owned(),
        tasks: measured.groups[0].tasks,
        median_s: median(&times)?,
        time_s: median_interval(&times).map(Spread::from),
        cpu_s: median(&cpu),
    })
}

fn cpu_s(sample: &Sample) -> Option<f64> {
    sample.usage.map(|usage| usage.cpu.as_secs_f64())
}

/// One group, and its rows.
fn judge(group: &Group, found: &GroupMeasured, measured: &Measured) -> (GroupResult, Vec<Row>) {
    let analysis = Analysis::new(&found.blocks);
    let rows: Vec<Row> =
        (0..group.cases.len()).map(|place| row(group, found, place, &analysis, measured.idle)).collect();
    let Verdict { mut sentences, chosen, none } =
        verdict(&rows, &analysis, found.measure, found.blocks.len(), measured.end);
    if chosen.is_some() {
        sentences.extend(front(&rows));
    }
    let result = GroupResult {
        name: group.name.clone(),
        factors: group.factors.clone(),
        plugin: plugin(&group.baseline().subject),
        tasks: found.tasks,
        noise_floor: analysis.noise_floor,
        enough: analysis.enough == Enough::Yes,
        use_row: chosen.map(|place| rows[place].name.clone()),
        no_answer: none,
        verdict: sentences,
    };
    (result, rows)
}

fn plugin(subject: &Subject) -> Plugin {
    let manifest = subject.file.manifest();
    Plugin {
        name: manifest.name().to_owned(),
        version: manifest.version().to_owned(),
        digest: hex(subject.file.inspection().digest.as_bytes()),
        params: serde_json::from_slice(&subject.params).unwrap_or_default(),
        deterministic: manifest.has(F_DETERMINISTIC),
    }
}

/// Whether a row's outputs are not those of the first row with the same work, though they should be.
fn is_wrong(group: &Group, found: &GroupMeasured, place: usize) -> bool {
    let subject = &group.cases[place].subject;
    if !subject.file.manifest().has(F_DETERMINISTIC) {
        return false;
    }
    let same = group.cases.iter().position(|case| case.subject.is_same_work(subject)).unwrap_or(place);
    let expected = found.samples[same].first().map(|sample| sample.checksum);
    found.samples[place].iter().any(|sample| Some(sample.checksum) != expected)
}

fn row(group: &Group, measured: &GroupMeasured, place: usize, analysis: &Analysis, idle: Duration) -> Row {
    let case = &group.cases[place];
    let (configuration, standing) = (&case.configuration, &analysis.standings[place]);
    let is_wrong = is_wrong(group, measured, place);
    let samples = &measured.samples[place];
    let middle = |value: &dyn Fn(&Sample) -> f64| {
        let values: Vec<f64> = samples.iter().map(value).collect();
        median(&values).unwrap_or(0.0)
    };
    let used = |value: &dyn Fn(Usage, Duration) -> f64| {
        let of = |sample: &Sample| sample.usage.map(|usage| value(usage, sample.time));
        median(&samples.iter().filter_map(of).collect::<Vec<f64>>())
    };
    let probed = measured.probed.get(place).cloned().flatten().unwrap_or_default();
    let cancels: Vec<f64> = probed.cancels.iter().map(Duration::as_secs_f64).collect();
    let interference = mean(samples);
    let (disturbances, faults) = (disturbances(&interference), faults(samples, is_wrong));
    let is_disturbed = !disturbances.is_empty() && faults.is_empty();
    let invalid_because = [disturbances, faults].concat();
    let is_overloaded = is_overloaded(samples);
    let (latency_s, curve) = latency(samples);
    let times: Vec<f64> = samples.iter().map(|sample| sample.time.as_secs_f64()).collect();
    let ratio_to_best = standing.ratio_to_best.filter(|ratio| ratio.lo < ratio.hi && !is_overloaded);
    let shape = configuration.shape;
    Row {
        name: configuration.name.clone(),
        group: (!group.name.is_empty()).then(|| group.name.clone()),
        factors: case.factors.clone(),
        values: values(case, samples),
        model: configuration.model.name(),
        processes: shape.processes,
        threads: shape.threads,
        in_flight: configuration.in_flight(),
        gil: configuration.has_lock(),
        is_baseline: place == 0,
        valid: invalid_because.is_empty(),
        is_disturbed,
        is_wrong,
        invalid_because,
        median_s: median(measured.blocks.values(place)),
        time_s: median_interval(&times).map(Into::into),
        latency_p95_s: standing.median.filter(|_| measured.measure == Measure::LatencyP95).map(Into::into),
        ratio_to_baseline: to_baseline(analysis, place).filter(|_| !is_overloaded),
        ratio_to_best: ratio_to_best.map(Into::into),
        overload: is_overloaded,
        latency_s,
        latency: curve,
        claim: name_of(standing.claim),
        cpu_s: used(&|usage, _| usage.cpu.as_secs_f64()),
        cores: used(&|usage, time| usage.cpu.saturating_sub(idle).as_secs_f64() / time.as_secs_f64())
            .filter(|&cores| cores <= CORES_SLACK * processors_online()),
        pss_base_bytes: probed.memory.map(|memory| memory.base),
        pss_peak_bytes: probed.memory.map(|memory| memory.peak),
        ctx_switches_per_task: used(&|usage, _| usage.switches as f64 / measured.tasks.max(1) as f64),
        gil_wait_share: configuration.has_lock().then(|| middle(&|sample| sample.lock_wait.unwrap_or(0.0))),
        lost_by_one_crash: probed.lost_by_one_crash,
        cancel_p95_s: quantile(&cancels, 0.95),
        cancel_max_s: cancels.iter().copied().max_by(f64::total_cmp),
        stand_in_threads: samples.first().map_or(0, |sample| sample.stand_ins),
        warm_up_blocks: warm_up(&measured.blocks, place).unwrap_or(0),
        outliers: far_from_others(measured, place),
        interference: interference.into(),
        checksum: samples.first().map(|sample| format!("{:016x}", sample.checksum)).unwrap_or_default(),
    }
}

/// How many times as long a row takes as the first one.
fn to_baseline(analysis: &Analysis, place: usize) -> Option<Spread> {
    let pair = analysis.pairs.iter().find(|pair| (pair.first, pair.second) == (0, place))?;
    pair.ratio.map(Spread::from)
}

/// What the outputs told, over all blocks.
fn values(case: &Case, samples: &[Sample]) -> Vec<ValueOf> {
    let of = |(place, reading): (usize, &Reading)| {
        let told: Vec<f64> =
            samples.iter().filter_map(|sample| sample.readings.get(place)).copied().collect();
        let only = median(&told).map(|median| Spread { median, lo: median, hi: median });
        let spread = median_interval(&told).map(Spread::from).or(only)?;
        Some(ValueOf { name: reading.name, unit: reading.unit, spread })
    };
    case.subject.readings.iter().enumerate().filter_map(of).collect()
}

fn mean(samples: &[Sample]) -> Interference {
    let of = |share: &dyn Fn(&Interference) -> f64| {
        samples.iter().map(|sample| share(&sample.interference)).sum::<f64>() / samples.len().max(1) as f64
    };
    Interference {
        stolen: of(&|it| it.stolen),
        throttled: of(&|it| it.throttled),
        others: of(&|it| it.others),
    }
}

fn far_from_others(measured: &GroupMeasured, place: usize) -> Vec<Outlier> {
    let samples = &measured.samples[place];
    let found = outliers(&measured.blocks.relative(place)).into_iter();
    found
        .map(|block| Outlier {
            block: block + 1,
            time_s: samples[block].time.as_secs_f64(),
            value_s: measured.blocks.values(place)[block],
            likely_cause: likely_cause(samples, block),
        })
        .collect()
}

/// What else was unlike the other runs at the same time.
fn likely_cause(samples: &[Sample], block: usize) -> String {
    let sample = &samples[block];
    let Interference { stolen, throttled, others } = sample.interference;
    let cpu: Vec<f64> = samples.iter().filter_map(cpu_s).collect();
    let usual = median(&cpu).unwrap_or(f64::INFINITY);
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    if stolen > STOLEN_MAX {
        format!("the machine's host took {} of the processors", percent(stolen))
    } else if throttled > STOLEN_MAX {
        format!("a cgroup's limit held back {}", percent(throttled))
    } else if others > OTHERS_MAX {
        format!("other processes used {} of the processors", percent(others))
    } else if block == 0 {
        "the first run: files and caches were cold".to_owned()
    } else if cpu.get(block).is_some_and(|cpu| *cpu > usual * 1.1) {
        "it used more processor time: a slower processor, or colder caches".to_owned()
    } else {
        "not known: it waited longer for the same work".to_owned()
    }
}

/// Why rows are invalid: each row by itself, or all of them in one line where there are more than a few.
fn invalid(rows: &[Row]) -> Vec<String> {
    const FEW: usize = 4;
    let invalid: Vec<&Row> = rows.iter().filter(|row| !row.valid).collect();
    let why = |row: &Row| format!("{}: {}", row.full_name(), row.invalid_because.join("; "));
    match invalid.as_slice() {
        [first, ..] if invalid.len() > FEW => {
            let (count, all) = (invalid.len(), rows.len());
            vec![format!("{count} of {all} rows are invalid, the first is {}", why(first))]
        }
        few => few
            .iter()
            .map(|row| format!("{} is invalid: {}", row.full_name(), row.invalid_because.join("; ")))
            .collect(),
    }
}

/// What muster itself takes must be little beside what is compared.
fn too_short(rows: &[Row], own: Option<&Overhead>) -> Option<String> {
    const SHARE_MAX: f64 = 0.5;
    let own = own?.median_s;
    let times = rows.iter().filter_map(|row| Some(row.time_s?.median));
    let shortest = times.min_by(f64::total_cmp).filter(|shortest| own > shortest * SHARE_MAX)?;
    let (own, shortest) = (crate::summary::seconds(own), crate::summary::seconds(shortest));
    Some(format!(
        "muster itself takes {own} of runs of {shortest}: what is compared is mostly that; give a larger -n, or longer tasks"
    ))
}

/// Rows that a probe did not meet at work, so that a column is empty.
fn not_met(rows: &[&Row], when: &str, column: &str, is_empty: impl Fn(&Row) -> bool) -> Option<String> {
    let names: Vec<String> = rows.iter().filter(|row| is_empty(row)).map(|row| row.full_name()).collect();
    (!names.is_empty()).then(|| {
        format!(
            "{}: no task was running when {when}, so there is no {column}: give a larger -n, or longer tasks",
            names.join(", ")
        )
    })
}

fn notes(rows: &[Row], groups: &[Group], measured: &Measured, own: Option<&Overhead>) -> Vec<String> {
    let mut notes = invalid(rows);
    // Experiments have groups that are about just that.
    if groups.len() == 1 {
        notes.extend(too_short(rows, own));
    }
    let measure = measured.groups[0].measure;
    let overloaded: Vec<String> = rows.iter().filter(|row| row.overload).map(Row::full_name).collect();
    if !overloaded.is_empty() {
        notes.push(format!(
            "overload: {}: tasks arrived faster than they were run, and the queue grew to the end; such a latency says how long \
             the run was, so it has no ratio",
            overloaded.join("; ")
        ));
    }
    for row in rows {
        if row.warm_up_blocks > 0 {
            notes.push(format!(
                "{} was slower in the first {} of its blocks, which count all the same: it warmed up",
                row.full_name(),
                row.warm_up_blocks
            ));
        }
        if row.ratio_to_best.is_some_and(|ratio| ratio.hi < 1.0) {
            notes.push(format!(
                "{} is ahead in most blocks, and behind on average because of a few: its outliers decide",
                row.full_name()
            ));
        }
        for outlier in &row.outliers {
            notes.push(format!(
                "{} {} in block {}, far from the others of its own; likely cause: {}",
                row.full_name(),
                measure.took(outlier.value_s),
                outlier.block,
                outlier.likely_cause
            ));
        }
        if row.stand_in_threads > 0 {
            let (name, threads) = (&row.name, row.stand_in_threads);
            notes
                .push(format!("{name}: the plugin has no async form, so {threads} threads stood in for one"));
        }
    }
    let probed = measured.groups.iter().flat_map(|group| &group.probed);
    let looked_at: Vec<&Row> =
        rows.iter().zip(probed).filter_map(|(row, probed)| probed.as_ref().map(|_| row)).collect();
    notes
        .extend(not_met(&looked_at, "an executor was killed", "LOST", |row| row.lost_by_one_crash.is_none()));
    notes.extend(not_met(&looked_at, "the job was cancelled", "CANCEL", |row| row.cancel_max_s.is_none()));
    let is_missing = |(group, found): (&Group, &GroupMeasured)| {
        group.cancels.is_some() && found.probed.iter().any(Option::is_none)
    };
    let is_missing = groups.iter().zip(&measured.groups).any(is_missing);
    if is_missing && !matches!(measured.end, End::Interrupted(_)) {
        notes.push(
            "there was no time to look at memory, crashes and cancelling everywhere: give a larger --budget"
                .to_owned(),
        );
    }
    notes
}
