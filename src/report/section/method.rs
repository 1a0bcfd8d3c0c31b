//! What makes a comparison fair, how sure it is, and what disturbed it.

use crate::compare::{tasks_text, time_text};
use crate::kept::{Bundle, Plugin, Row};
use crate::report::html::{Table, bullets, paragraph};
use crate::report::part::Part;
use crate::report::words::{or_dash, params, stopped};
use crate::summary::{percent, seconds};

/// Sentences, a table of what is the same for all, and one of what else happened.
pub fn of(bundle: &Bundle, parts: &[Part<'_>]) -> String {
    if bundle.comparison.rows.is_empty() {
        return String::new();
    }
    let blocks = paragraph(
        "",
        "A block runs every configuration once, in a random order, and the first of them a second time: what the two \
         runs differ by is the noise floor, and no smaller effect is claimed. Ratios compare runs of the same block only. \
         Each run has fresh processes, the same plugin file, parameters, number of tasks and seed.",
    );
    blocks + &facts(bundle, parts) + &disturbances(parts) + &ranges(bundle, parts)
}

fn facts(bundle: &Bundle, parts: &[Part<'_>]) -> String {
    let comparison = &bundle.comparison;
    let mut table = Table::new("The same for all");
    table.text("What").text("Value");
    let mut fact = |name: &str, value: String| table.row(vec![name.to_owned(), value]);
    // Groups have plugins and tasks of their own; files of other versions may not say so.
    let of_groups = || parts.iter().filter_map(|part| Some((part.name?, part.group?)));
    if of_groups().next().is_none() || of_groups().any(|(_, group)| group.plugin.is_none()) {
        if let Some(found) = &comparison.plugin {
            plugin(&mut fact, found);
        }
        fact("Tasks of a run", or_dash(comparison.tasks, tasks_text));
    }
    for (name, group) in of_groups() {
        let Some(found) = &group.plugin else { continue };
        let digest = found.digest.get(..12).unwrap_or_default();
        let of_it = [
            format!("{} {} ({digest})", found.name, found.version),
            params(&found.params),
            format!("{} a run", or_dash(group.tasks, tasks_text)),
        ];
        fact(&format!("Group {name}"), of_it.join(", "));
    }
    fact(
        "Where",
        comparison.cluster.as_ref().map_or_else(
            || "on private clusters of this machine".to_owned(),
            |it| format!("on cluster {}: {} workers, {} slots", it.name, it.workers, it.slots),
        ),
    );
    if let Some(found) = &comparison.overhead {
        let time = or_dash(time_text(found.time_s.as_ref(), found.median_s), |text| text);
        let tasks = tasks_text(found.tasks);
        fact("What muster itself takes", format!("{tasks} that do nothing, {}: {time}", found.name));
    }
    fact("Seed", or_dash(comparison.seed, |seed| seed.to_string()));
    fact("Blocks", comparison.blocks.to_string());
    fact("It ended because", stopped(comparison));
    for part in parts {
        fact(&part.titled("Noise floor"), or_dash(part.noise_floor, percent));
    }
    let is_enough = if parts.iter().all(|part| part.enough) { "yes" } else { "no" };
    fact("Enough blocks to show that one is slower", is_enough.to_owned());
    table.html()
}

fn plugin(fact: &mut impl FnMut(&str, String), found: &Plugin) {
    fact("Plugin", format!("{} {}", found.name, found.version));
    fact("Plugin file (BLAKE3)", found.digest.clone());
    fact("Parameters", params(&found.params));
    let deterministic =
        if found.deterministic { "yes: outputs were compared" } else { "no: outputs may differ" };
    fact("Declared deterministic", deterministic.to_owned());
}

fn disturbances(parts: &[Part<'_>]) -> String {
    let mut table = Table::new("What else used the processors while a configuration was measured");
    table.text("Configuration");
    for name in [
        "Taken by the host",
        "Held back by a cgroup",
        "Other processes",
        "Slow first blocks",
        "Stand-in threads",
    ] {
        table.number(name);
    }
    table.text("Output checksum").text("Counts");
    for row in parts.iter().flat_map(|part| &part.rows) {
        let found = row.interference;
        let counts =
            if row.valid { "yes".to_owned() } else { format!("no: {}", row.invalid_because.join("; ")) };
        table.row_if(
            row.valid,
            vec![
                row.full_name(),
                percent(found.stolen),
                percent(found.throttled),
                percent(found.others),
                row.warm_up_blocks.to_string(),
                row.stand_in_threads.to_string(),
                row.checksum.clone(),
                counts,
            ],
        );
    }
    table.html()
}

/// What the samples themselves span, for those who want to see more than a median.
fn ranges(bundle: &Bundle, parts: &[Part<'_>]) -> String {
    let range = |row: &Row| {
        let times = bundle.values(row);
        let least = times.iter().copied().fold(f64::INFINITY, f64::min);
        let most = times.iter().copied().fold(0.0, f64::max);
        let count = times.len();
        (count > 0)
            .then(|| format!("{}: {count} runs, from {} to {}", row.name, seconds(least), seconds(most)))
    };
    let ranges: Vec<String> =
        parts.iter().flat_map(|part| part.rows.iter().copied()).filter_map(range).collect();
    bullets("ranges", &ranges)
}
