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
use crate::kept::Bundle;
use crate::summary::measured;
use std::fmt::Write as _;

/// All but the raw data.
pub fn section(bundle: &Bundle) -> String {
    let parts = parts(bundle);
    let mut html = verdict(bundle);
    html.push_str(&titled("What people claim", &claims::of(&bundle.comparison)));
    if let Some(sweep) = sweep::section(&bundle.comparison.rows) {
        html.push_str(&titled("Where the answer changes", &sweep));
    }
    html.push_str(&titled("Times", &each(&parts, times::of)));
    html.push_str(&titled(
        "Processes and threads",
        &each(&parts, |part| grid::section(part).unwrap_or_default()),
    ));
    html.push_str(&titled("Latency", &each(&parts, latency::of)));
    html.push_str(&titled("What it costs", &each(&parts, costs::of)));
    html.push_str(&titled("Measured quantities", &quantities::of(&bundle.comparison)));
    html.push_str(&titled("How it was measured", &method::of(bundle, &parts)));
    html.push_str(&titled("Environment", &machine::of(&bundle.comparison)));
    html
}

/// What a run is called: `Run 3: loop 0.1.0`.
pub fn title(bundle: &Bundle) -> String {
    let comparison = &bundle.comparison;
    let mut title = format!("Run {}", bundle.run.number);
    let named = comparison.experiment.as_deref().filter(|name| *name != "compare");
    if let Some(experiment) = named {
        let _ = write!(title, ": {experiment}");
    }
    if let Some(plugin) = &comparison.plugin {
        let _ =
            write!(title, "{} {} {}", if named.is_some() { "," } else { ":" }, plugin.name, plugin.version);
    }
    title.trim_end().to_owned()
}

/// What was run, in a line.
pub fn subtitle(bundle: &Bundle) -> String {
    let comparison = &bundle.comparison;
    let mut words = Vec::new();
    if let Some(plugin) = &comparison.plugin {
        words.push(format!("parameters: {}", params(&plugin.params)));
    }
    words.extend(comparison.tasks.map(|tasks| format!("{} a run", tasks_text(tasks))));
    words.push(format!("{} {}", comparison.blocks, if comparison.blocks == 1 { "block" } else { "blocks" }));
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
    format!("<div class=\"verdict\">\n{html}</div>\n{}", bullets("notes", &comparison.notes))
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
