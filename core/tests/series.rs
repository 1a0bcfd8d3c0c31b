//! docs/metrics.md is what the tables of series say. `MUSTER_REGENERATE=1` writes it anew.
#![allow(clippy::unwrap_used)]

use muster_core::metric::{LABELS, Metric, coordinator, worker};
use std::fmt::Write as _;

const INTRODUCTION: &str = "# Metrics

Every series that muster exports, written from the tables in `core/src/metric` (`MUSTER_REGENERATE=1 cargo test -p muster-core --test series`).
Coordinators serve them at `http://HOST:7078/metrics`, workers at the port of their `--http`; both also export the `process_*` series of their own
process. Nothing is counted per job, task, thread or process: every label has a limit, which stands at the end.

Which worker a series is from says the label `worker`, which service discovery adds: the coordinator lists its workers at `/sd` for Prometheus'
`http_sd_configs`. A worker that left is not listed any more, one that was lost stays for five minutes, so that `up == 0` is seen; after a start the
coordinator answers 503 for a lease's length (10 s), because workers that were there before may not be back. Counters start at 0 with their process.
";

const PLUGINS: &str = "## Metrics of plugins

A plugin declares metrics in its manifest and sets them as it runs (`plugins/abi/include/muster_plugin.h`). Workers export each as
`muster_plugin_<plugin>_<metric>`, dashes as underscores, counters with `_total`, added up over executors, also those that are gone. They have no
labels. A metric whose name another series has already is left out.
";

fn section(page: &mut String, title: &str, table: &[Metric]) {
    write!(page, "\n## {title}\n\n| name | type | unit | labels | meaning |\n|---|---|---|---|---|\n")
        .unwrap();
    for Metric { name, kind, unit, labels, help } in table {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let (kind, labels) = (kind.name(), labels.join(", "));
        writeln!(page, "| `{name}` | {kind} | {unit} | {labels} | {help} |").unwrap();
    }
}

#[test]
fn the_page_lists_what_the_tables_say() {
    let mut page = INTRODUCTION.to_owned();
    section(&mut page, "Coordinator", coordinator::ALL);
    section(&mut page, "Worker", worker::ALL);
    write!(page, "\n{PLUGINS}\n## Labels\n\n| label | values |\n|---|---|\n").unwrap();
    for (label, values) in LABELS {
        writeln!(page, "| `{label}` | {values} |").unwrap();
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    if std::env::var_os("MUSTER_REGENERATE").is_some() {
        std::fs::write(path, page).unwrap();
        return;
    }
    let again = "run MUSTER_REGENERATE=1 cargo test -p muster-core --test series";
    assert!(std::fs::read_to_string(path).unwrap_or_default() == page, "docs/metrics.md is stale: {again}");
}
