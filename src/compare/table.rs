//! A comparison for people.

use super::measure::Measure;
use super::result::{Cluster, Comparison, Plugin, Row, ValueOf};
use super::verdict::{time_text, with_interval};
use crate::experiment::{Claim, tables_text};
use crate::summary::{Column, bytes, counted, list, number, paragraph, percent, quantity, seconds};

/// Tables, what makes them fair, the verdict, and what to do next.
pub fn text(comparison: &Comparison) -> String {
    let mut parts = Vec::new();
    let rows: Vec<&Row> = comparison.rows.iter().collect();
    if comparison.groups.is_empty() && !rows.is_empty() {
        parts.extend([times(&rows, comparison.enough, comparison.measure), costs(&rows)]);
        parts.extend(latencies(comparison));
    }
    for group in &comparison.groups {
        let is_of = |row: &&Row| row.group.as_deref() == Some(&group.name);
        let rows: Vec<&Row> = comparison.rows.iter().filter(is_of).collect();
        parts.push(format!("{} ({}, {})", group.name, group.plugin.name, tasks_text(group.tasks)));
        parts.push(times(&rows, group.enough, comparison.measure));
        let has_more = |row: &&Row| !row.values.is_empty() || row.pss_peak_bytes.is_some();
        parts.extend(rows.iter().any(has_more).then(|| costs(&rows)));
    }
    if !rows.is_empty() {
        parts.push(fairness(comparison));
    }
    parts.extend(tables_text(&comparison.tables));
    let notes: Vec<String> =
        comparison.notes.iter().map(|note| paragraph(&format!("note: {note}"))).collect();
    parts.extend((!notes.is_empty()).then(|| notes.join("\n")));
    for claim in &comparison.claims {
        let Claim { claim, measured, verdict, .. } = claim;
        parts.push(paragraph(&format!("\"{claim}\": {}. Here: {measured}.", verdict.words())));
    }
    parts.push(comparison.verdict.iter().map(|line| paragraph(line)).collect::<Vec<_>>().join("\n"));
    parts.join("\n\n")
}

fn times(rows: &[&Row], enough: bool, measure: Measure) -> String {
    let columns = [
        Column::text("CONFIGURATION"),
        Column::number(measure.head()),
        Column::number("TIMES THE BEST (95 %)"),
        Column::text(""),
    ];
    let row = |row: &&Row| {
        let dash = || "-".to_owned();
        vec![
            row.name.clone(),
            time_text(row.compared(measure).as_ref(), row.median_s).unwrap_or_else(dash),
            row.ratio_to_best.as_ref().map_or_else(dash, with_interval),
            if enough || !row.valid || row.overload { words(row, measure).to_owned() } else { String::new() },
        ]
    };
    list(&columns, rows.iter().map(row).collect())
}

/// What may be said of a row.
fn words(row: &Row, measure: Measure) -> &'static str {
    match row.claim {
        _ if row.is_wrong => "WRONG",
        _ if !row.valid => "invalid",
        _ if row.overload => "overload",
        "best" => "best",
        "slower" => measure.more(),
        "no_difference" => "no difference",
        _ => "unclear",
    }
}

/// What runs cost beside their time. Columns without anything in them are left out.
fn costs(rows: &[&Row]) -> String {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let mut columns =
        vec![(Column::text("A RUN"), rows.iter().map(|row| row.name.clone()).collect::<Vec<_>>())];
    let mut optional = |name: &'static str, of: &dyn Fn(&Row) -> Option<String>| {
        let cells: Vec<Option<String>> = rows.iter().map(|row| of(row)).collect();
        if cells.iter().any(Option::is_some) {
            columns.push((Column::number(name), cells.into_iter().map(or_dash).collect()));
        }
    };
    optional("CPU", &|row| row.cpu_s.map(seconds));
    optional("CORES", &|row| row.cores.map(|cores| format!("{cores:.2}")));
    optional("MEMORY", &|row| row.pss_base_bytes.map(bytes));
    optional("PEAK", &|row| row.pss_peak_bytes.map(bytes));
    optional("SWITCHES", &|row| row.ctx_switches_per_task.map(|switches| format!("{switches:.2}")));
    optional("LOCK", &|row| row.gil_wait_share.map(|share| format!("{:.0} %", share * 100.0)));
    optional("LOST", &|row| row.lost_by_one_crash.map(|lost| lost.to_string()));
    optional("CANCEL", &|row| row.cancel_p95_s.or(row.cancel_max_s).map(seconds));
    for value in rows.first().map(|row| row.values.as_slice()).unwrap_or_default() {
        let amount = |value: &ValueOf| quantity(value.spread.median, value.unit);
        let of = |row: &Row| row.values.iter().find(|other| other.name == value.name).map(amount);
        optional(value.name, &of);
    }
    let lines = (0..rows.len()).map(|line| columns.iter().map(|(_, cells)| cells[line].clone()).collect());
    let lines = lines.collect();
    list(&columns.into_iter().map(|(column, _)| column).collect::<Vec<_>>(), lines)
}

/// The other percentiles of an open loop.
fn latencies(comparison: &Comparison) -> Option<String> {
    comparison.open_loop?;
    let columns = [
        Column::text("LATENCY OF ALL TASKS"),
        Column::number("P50"),
        Column::number("P95"),
        Column::number("P99"),
        Column::number("LONGEST"),
    ];
    let row = |row: &Row| {
        let latency = row.latency_s.as_ref();
        let times = latency.map_or([None; 4], |it| [it.p50, it.p95, it.p99, it.max]);
        let cells = times.map(|time| time.map_or_else(|| "-".to_owned(), seconds));
        std::iter::once(row.name.clone()).chain(cells).collect()
    };
    Some(list(&columns, comparison.rows.iter().map(row).collect()))
}

/// What is the same for all, and how sure it is.
fn fairness(comparison: &Comparison) -> String {
    let Comparison { blocks, noise_floor, stopped_by, .. } = comparison;
    let floor = noise_floor.map_or_else(
        || "no noise floor yet".to_owned(),
        |floor| format!("noise floor {}: less is not claimed", percent(floor)),
    );
    let own = comparison.overhead.as_ref().map(|own| {
        let time = time_text(own.time_s.as_ref(), Some(own.median_s)).unwrap_or_default();
        let (name, tasks) = (&own.name, tasks_text(own.tasks));
        format!("muster itself: {tasks} that do nothing take {time} under {name}")
    });
    let arrivals = comparison.open_loop.map(|load| {
        let rate = crate::job::short(load.rate_per_s);
        format!(
            "open loop: tasks arrive at {rate}/s, {}, in every run; latency is from the intended start",
            load.arrivals
        )
    });
    let lines = [
        same(comparison),
        format!(
            "{} in random order, until {}; {floor}",
            counted(*blocks as u32, "block", "blocks"),
            until(stopped_by)
        ),
        comparison.cluster.as_ref().map_or_else(|| comparison.machine.describe(), on),
    ];
    lines.into_iter().chain(arrivals).chain(own).map(|line| paragraph(&line)).collect::<Vec<_>>().join("\n")
}

/// A cluster, and what is not known of it.
fn on(cluster: &Cluster) -> String {
    let Cluster { name, workers, slots } = cluster;
    let workers = counted(*workers, "worker", "workers");
    format!("on cluster {name}: {workers} of {slots} slots in all, whose machines are not watched")
}

fn same(comparison: &Comparison) -> String {
    let Comparison { plugin, tasks, rows, groups, .. } = comparison;
    let slots = |row: &Row| row.processes * row.threads;
    let equal = rows.iter().all(|row| slots(row) == slots(&rows[0]));
    let slots = if equal {
        counted(slots(&rows[0]), "slot", "slots")
    } else {
        "different slots (see the names)".to_owned()
    };
    let digest = |plugin: &Plugin| plugin.digest.get(..12).unwrap_or_default().to_owned();
    let called = |plugin: &Plugin| format!("{} {} ({})", plugin.name, plugin.version, digest(plugin));
    if groups.is_empty() {
        let (plugin, tasks) = (plugin.as_ref().map(called).unwrap_or_default(), tasks_text(*tasks));
        return format!("each: {plugin}, {tasks}, the same parameters and seed, {slots}, fresh processes");
    }
    let mut plugins: Vec<String> = groups.iter().map(|group| called(&group.plugin)).collect();
    plugins.dedup();
    let plugins = plugins.join(", ");
    format!("each group: the same work and seed, {slots}, fresh processes; {plugins}")
}

/// `1 task`, `12,000 tasks`.
pub fn tasks_text(tasks: u64) -> String {
    format!("{} {}", number(tasks), if tasks == 1 { "task" } else { "tasks" })
}

fn until(stopped_by: &str) -> &'static str {
    match stopped_by {
        "target" => "the target was reached",
        "blocks" => "there were as many as asked",
        "interrupted" => "it was interrupted",
        _ => "the budget was used up",
    }
}
