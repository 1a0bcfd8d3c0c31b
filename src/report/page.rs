//! The document: one file that loads nothing.

use super::download::{Downloads, PAGE_MAX_BYTES};
use super::html::escape;
use super::section::{section, subtitle, title};
use super::{MARK, across};
use crate::exit::{Exit, Failure, Outcome};
use crate::kept::Bundle;
use std::fmt::Write as _;

const STYLE: &str = include_str!("style.css");

/// Nothing may be loaded from anywhere, and no script runs.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// Areas that are told apart without colour.
const PATTERNS: &str = "<svg width=\"0\" height=\"0\" aria-hidden=\"true\" class=\"patterns\"><defs>\
    <pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
    <rect width=\"1.2\" height=\"6\"/></pattern>\
    <pattern id=\"dots\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\">\
    <circle cx=\"2.5\" cy=\"2.5\" r=\"1.1\"/></pattern></defs></svg>\n";

/// Everything about these runs.
pub fn page(bundles: &[Bundle]) -> Outcome<String> {
    let sections: Vec<String> = bundles.iter().map(section).collect();
    let (head, foot) = (head(bundles), foot());
    let size = head.len() + foot.len() + sections.iter().map(|section| section.len() + 500).sum::<usize>();
    if size as u64 > PAGE_MAX_BYTES {
        let (runs, size) = (bundles.len(), crate::summary::bytes(size as u64));
        return Err(Failure::new(
            Exit::Limit,
            format_args!(
                "a report of {runs} runs has {size} without its data, and a report stays below 2 MB"
            ),
        )
        .hint("report on fewer runs at a time"));
    }
    let mut downloads = Downloads::beside(size as u64);
    let mut page = head;
    for (bundle, section) in bundles.iter().zip(sections) {
        let (number, title, subtitle) =
            (bundle.run.number, escape(&title(bundle)), escape(&subtitle(bundle)));
        // Writing to a String cannot fail.
        let _ = write!(
            page,
            "<section id=\"run-{number}\">\n<h2>{title}</h2>\n<p class=\"soft\">{subtitle}</p>\n{section}\
             <h3>Data</h3>\n{}</section>\n",
            downloads.of(bundle)?
        );
    }
    page.push_str(&foot);
    Ok(page)
}

fn head(bundles: &[Bundle]) -> String {
    let name = match bundles {
        [only] => title(only),
        several => format!("{} runs", several.len()),
    };
    let across = across::section(bundles);
    let contents = if bundles.len() > 1 { contents(bundles, !across.is_empty()) } else { String::new() };
    let name = escape(&name);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n{MARK}\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>muster report: {name}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{PATTERNS}\
         <main>\n<header><h1>muster report</h1></header>\n{contents}{across}"
    )
}

fn contents(bundles: &[Bundle], has_across: bool) -> String {
    let across = if has_across { "<li><a href=\"#across\">From run to run</a></li>\n" } else { "" };
    let entry = |bundle: &Bundle| {
        let (number, title, subtitle) =
            (bundle.run.number, escape(&title(bundle)), escape(&subtitle(bundle)));
        format!("<li><a href=\"#run-{number}\">{title}</a> <span class=\"soft\">{subtitle}</span></li>\n")
    };
    let runs: String = bundles.iter().map(entry).collect();
    format!("<nav aria-label=\"Contents\"><ul>\n{across}{runs}</ul></nav>\n")
}

fn foot() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "</main>\n<footer class=\"soft\">Made by muster {version}. Intervals are of 95 %. Hollow markers and rows in grey \
         italics do not count; the tables say why.</footer>\n</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kept::{Comparison, RunFolder, Sample};
    use serde_json::{Value, json};

    /// Numbers of files that nobody measured.
    const EXTREMES: [f64; 14] = [
        0.0,
        -0.0,
        -1.0,
        5e-324,
        1e-310,
        1e-30,
        0.1,
        1.0,
        1.0 + f64::EPSILON,
        3.0,
        1e15,
        1e300,
        f64::MAX,
        f64::MIN,
    ];

    /// Draws from a list, always in the same order.
    struct Draw(usize);

    impl Draw {
        fn next(&mut self, below: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % below
        }

        fn number(&mut self) -> f64 {
            EXTREMES[self.next(EXTREMES.len())]
        }

        fn spread(&mut self) -> Value {
            json!({"median": self.number(), "lo": self.number(), "hi": self.number()})
        }

        fn row(&mut self, place: usize) -> Value {
            json!({
                "name": format!("row {}", place % 3), "model": "thread", "processes": 1 + place % 2, "threads": 1 + place / 2 % 2,
                "valid": self.next(4) > 0, "claim": "best", "time_s": self.spread(), "ratio_to_best": self.spread(),
                "cpu_s": self.number(), "cores": self.number(), "pss_base_bytes": u64::MAX >> self.next(64),
                "pss_peak_bytes": u64::MAX >> self.next(64), "lost_by_one_crash": self.next(3), "cancel_max_s": self.number(),
                "gil_wait_share": self.number(), "ctx_switches_per_task": self.number(), "group": format!("{}", self.next(2)),
                "factors": {"x": self.number()}, "values": [{"name": "v", "unit": "B", "median": self.number()}],
                "latency": [[self.number(), self.number()], [0.5, self.number()], [0.9, self.number()]],
                "latency_s": {"p50": self.number(), "max": self.number()},
            })
        }

        fn bundle(&mut self, number: u64) -> Bundle {
            let rows: Vec<Value> = (0..1 + self.next(8)).map(|place| self.row(place)).collect();
            let unit = ["s", "B", "share", "ns"][self.next(4)];
            let cells = json!([self.spread(), {"number": self.number()}]);
            let comparison: Comparison = serde_json::from_value(json!({
                "plugin": {"name": "x"}, "rows": rows, "noise_floor": self.number(), "blocks": self.next(3),
                "machine": {"memory_bytes": self.number(), "cpus": self.number()},
                "tables": [{"title": "t", "columns": [{"name": "c", "unit": unit}, {"name": "d", "unit": unit}],
                    "rows": [{"name": "r", "cells": cells}]}],
            }))
            .unwrap();
            let sample = |place: usize| Sample {
                block: place as u64,
                configuration: format!("row {}", place % 3),
                group: None,
                again: false,
                time_s: self.number(),
                latency_p95_s: None,
                more: [None; 5],
            };
            let run = RunFolder { number, path: "/nowhere".into() };
            Bundle { run, comparison, samples: (0..24).map(sample).collect() }
        }
    }

    /// Whatever a file holds becomes a page, with numbers in it and soon.
    #[test]
    fn no_number_is_too_strange() {
        let mut draw = Draw(1);
        for _ in 0..100 {
            let bundles = [draw.bundle(1), draw.bundle(2)];
            let html = page(&bundles).unwrap();
            assert!(html.contains("<section id=\"run-2\">") && html.ends_with("</html>\n"));
            for attribute in ["=\"NaN", "=\"inf", "=\"-inf", "points=\"NaN"] {
                assert!(
                    !html.contains(attribute),
                    "{attribute} with {:?}",
                    bundles.map(|it| it.comparison.rows)
                );
            }
        }
    }
}
