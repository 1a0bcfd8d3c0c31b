//! What a report says of one run: the answer first, then what it rests on.

mod claims;
mod costs;
mod latency;
mod machine;
mod method;
mod quantities;
mod times;

use super::html::{bullets, escape, paragraph};
use super::part::{Part, parts};
use super::words::params;
use super::{grid, sweep};
use crate::compare::tasks_text;
use crate::kept::{Bundle, Comparison};
use crate::summary::measured;
use std::fmt::Write as _;

/// All but the raw data.
pub fn section(bundle: &Bundle) -> String {
    let comparison = &bundle.comparison;
    let parts = parts(bundle);
    let notes = bullets("notes", &comparison.notes);
    let mut html = verdict(bundle);
    // Those of an experiment are about many rows, and long: what people claim goes first.
    let is_long = comparison.groups.len() > 1 || !comparison.claims.is_empty();
    if !is_long {
        html.push_str(&notes);
    }
    html.push_str(&titled("What people claim", &claims::of(comparison)));
    if let Some(sweep) = sweep::section(&comparison.rows) {
        html.push_str(&titled("Where the answer changes", &sweep));
    }
    html.push_str(&titled("Times", &each(&parts, times::of)));
    html.push_str(&titled(
        "Processes and threads",
        &each(&parts, |part| grid::section(part).unwrap_or_default()),
    ));
    html.push_str(&titled("Latency", &each(&parts, latency::of)));
    html.push_str(&titled("What it costs", &each(&parts, costs::of)));
    html.push_str(&titled("Measured quantities", &quantities::of(comparison)));
    if is_long {
        html.push_str(&titled("Notes", &notes));
    }
    html.push_str(&titled("How it was measured", &method::of(bundle, &parts)));
    html.push_str(&titled("Environment", &machine::of(comparison)));
    html
}

/// What a run is called: `Run 3: loop 0.1.0`, `Run 4: cpu`.
pub fn title(bundle: &Bundle) -> String {
    let mut words = vec![experiment(bundle).map(str::to_owned)];
    if !has_several_workloads(bundle) {
        let plugin = bundle.comparison.plugin.as_ref();
        words.push(plugin.map(|plugin| format!("{} {}", plugin.name, plugin.version).trim_end().to_owned()));
    }
    let words: Vec<String> = words.into_iter().flatten().collect();
    let number = bundle.run.number;
    if words.is_empty() { format!("Run {number}") } else { format!("Run {number}: {}", words.join(", ")) }
}

/// The experiment that has a name of its own.
fn experiment(bundle: &Bundle) -> Option<&str> {
    bundle.comparison.experiment.as_deref().filter(|name| *name != "compare")
}

/// What it is about: an experiment, or a plugin with its parameters.
pub fn about(bundle: &Bundle) -> String {
    let named = experiment(bundle).filter(|_| has_several_workloads(bundle)).map(str::to_owned);
    named.unwrap_or_else(|| {
        let plugin = bundle.comparison.plugin.clone().unwrap_or_default();
        format!("{} ({})", plugin.name, params(&plugin.params))
    })
}

/// The first plugin is not what an experiment with groups is about.
fn has_several_workloads(bundle: &Bundle) -> bool {
    experiment(bundle).is_some() && bundle.comparison.groups.len() > 1
}

/// What was run, in a line.
pub fn subtitle(bundle: &Bundle) -> String {
    let Comparison { plugin, tasks, groups, blocks, .. } = &bundle.comparison;
    let mut words = Vec::new();
    if groups.len() > 1 {
        // Each has parameters and tasks of its own.
        words.push(format!("{} groups", groups.len()));
    } else {
        words.extend(plugin.as_ref().map(|plugin| format!("parameters: {}", params(&plugin.params))));
        words.extend(tasks.map(|tasks| format!("{} a run", tasks_text(tasks))));
    }
    words.push(format!("{blocks} {}", if *blocks == 1 { "block" } else { "blocks" }));
    words.join(" · ")
}

fn verdict(bundle: &Bundle) -> String {
    let comparison = &bundle.comparison;
    let mut html = String::new();
    let mut sentences = comparison.verdict.iter();
    if let Some(first) = sentences.next() {
        html.push_str(&paragraph("answer", first));
    }
    html.extend(sentences.map(|sentence| paragraph("", sentence)));
    if html.is_empty() {
        // The answers of groups stand with their times as well; here they are the only ones.
        for group in comparison.groups.iter().filter(|group| !group.verdict.is_empty()) {
            let (name, verdict) = (escape(&group.name), escape(&group.verdict.join(" ")));
            let _ = writeln!(html, "<p><strong>{name}</strong>: {verdict}</p>");
        }
    }
    if html.is_empty() {
        html.push_str(&paragraph("answer", "No verdict was kept."));
    }
    format!("<div class=\"verdict\">\n{html}</div>\n")
}

fn each(parts: &[Part<'_>], of: impl Fn(&Part<'_>) -> String) -> String {
    parts.iter().map(of).collect()
}

/// With a heading, unless there is nothing to say.
fn titled(title: &str, html: &str) -> String {
    if html.is_empty() { String::new() } else { format!("<h3>{title}</h3>\n{html}") }
}

/// A share of something, with a digit where it is small.
fn share(share: f64) -> String {
    format!("{} %", measured(share * 100.0))
}
