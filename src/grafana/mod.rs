//! Grafana's dashboards, written by one generator from tables, and the folder that brings Prometheus and Grafana up with
//! them. The form is Grafana's "classic" JSON (schema 39), which its provisioning reads from files.

mod folder;
mod overview;
mod panel;
mod plugin;
mod worker;

pub use folder::{Monitoring, files};

use panel::{Choice, Dashboard, Panel, Query, Row, Shape, Shown};
use serde_json::{Value, json};

/// All dashboards.
const DASHBOARDS: [&Dashboard; 3] = [&overview::OVERVIEW, &worker::WORKER, &plugin::PLUGIN];
/// A line is so wide.
const COLUMNS: u32 = 24;
/// What the reader can choose from before there is anything.
const ALL: &str = ".+";

/// File names and contents of all dashboards. `coordinator`: where its HTTP port is for the reader's browser, as in
/// `http://127.0.0.1:7078`.
pub fn dashboards(coordinator: &str) -> Vec<(String, String)> {
    let text = |dashboard: &Dashboard| {
        let json = serde_json::to_string_pretty(&rendered(dashboard, coordinator)).unwrap_or_default();
        (format!("{}.json", dashboard.name), json + "\n")
    };
    DASHBOARDS.into_iter().map(text).collect()
}

fn rendered(dashboard: &Dashboard, coordinator: &str) -> Value {
    let mut place = Place::default();
    let mut panels = Vec::new();
    for row in dashboard.rows {
        let (id, at) = place.line(1);
        panels.push(heading(row, id, at));
        for panel in row.panels {
            let (id, at) = place.take(panel.width, height(panel));
            panels.push(drawn(panel, id, at));
        }
    }
    let others = DASHBOARDS.into_iter().filter(|other| other.name != dashboard.name);
    let mut links: Vec<Value> = others
        .map(|other| link(&format!("muster {}", other.name), &format!("/d/{}", uid(other)), false))
        .collect();
    links.push(link("Live page", "${coordinator}/", true));
    links.push(link("Runbook", "${coordinator}/runbook", true));
    let choice = dashboard.choice.as_ref().map(choice);
    let variables: Vec<Value> = [source()].into_iter().chain(choice).chain([address(coordinator)]).collect();
    json!({
        "uid": uid(dashboard),
        "title": format!("muster {}", dashboard.name),
        "description": format!("{} Needs the scrape jobs of muster's prometheus.yml.", dashboard.description),
        "tags": ["muster"],
        "editable": true,
        "graphTooltip": 1,
        "schemaVersion": 39,
        "version": 1,
        "refresh": "5s",
        "timezone": "browser",
        "fiscalYearStartMonth": 0,
        "time": {"from": "now-15m", "to": "now"},
        "links": links,
        "annotations": {"list": []},
        "templating": {"list": variables},
        "panels": panels,
    })
}

fn uid(dashboard: &Dashboard) -> String {
    format!("muster-{}", dashboard.name)
}

/// Where the next panel goes.
#[derive(Default)]
struct Place {
    id: u32,
    x: u32,
    y: u32,
    /// Of the panels in the line that is not full yet.
    height: u32,
}

impl Place {
    fn take(&mut self, width: u32, height: u32) -> (u32, Value) {
        if self.x + width > COLUMNS {
            self.end_line();
        }
        let at = json!({"x": self.x, "y": self.y, "w": width, "h": height});
        self.x += width;
        self.height = self.height.max(height);
        self.id += 1;
        (self.id, at)
    }

    /// A whole line.
    fn line(&mut self, height: u32) -> (u32, Value) {
        self.end_line();
        let taken = self.take(COLUMNS, height);
        self.end_line();
        taken
    }

    fn end_line(&mut self) {
        self.y += std::mem::take(&mut self.height);
        self.x = 0;
    }
}

const fn height(panel: &Panel) -> u32 {
    match panel.shape {
        Shape::Number | Shape::Bad => 4,
        Shape::Lines => 8,
        Shape::Table(_) => 6,
    }
}

fn heading(row: &Row, id: u32, at: Value) -> Value {
    json!({"id": id, "type": "row", "title": row.title, "collapsed": false, "gridPos": at, "panels": []})
}

fn drawn(panel: &Panel, id: u32, at: Value) -> Value {
    let mut drawn = match panel.shape {
        Shape::Number => number(panel, &json!([{"color": "green", "value": null}])),
        Shape::Bad => {
            number(panel, &json!([{"color": "green", "value": null}, {"color": "red", "value": 1}]))
        }
        Shape::Lines => lines(panel),
        Shape::Table(shown) => table(panel, shown),
    };
    let links: Vec<Value> = panel.alert.map(runbook).into_iter().collect();
    for (key, value) in [
        ("id", json!(id)),
        ("title", json!(panel.title)),
        ("description", json!(panel.description)),
        ("datasource", datasource()),
        ("gridPos", at),
        ("links", json!(links)),
        ("targets", targets(panel)),
    ] {
        drawn[key] = value;
    }
    drawn
}

fn number(panel: &Panel, steps: &Value) -> Value {
    json!({
        "type": "stat",
        "options": {
            "colorMode": "value",
            "graphMode": "area",
            "justifyMode": "auto",
            "orientation": "auto",
            "textMode": "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
        },
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit.id(),
                "color": {"mode": "thresholds"},
                "thresholds": {"mode": "absolute", "steps": steps},
            },
            "overrides": [],
        },
    })
}

fn lines(panel: &Panel) -> Value {
    let fixed = |name: &str, color: &str| {
        json!({
            "matcher": {"id": "byName", "options": name},
            "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}],
        })
    };
    let mut overrides = vec![fixed("ok", "green"), fixed("failed", "red")];
    overrides.extend(panel.capacity.map(|capacity| {
        json!({
            "matcher": {"id": "byName", "options": capacity.legend},
            "properties": [
                {"id": "color", "value": {"mode": "fixed", "fixedColor": "text"}},
                {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 6]}},
                {"id": "custom.fillOpacity", "value": 0},
            ],
        })
    }));
    json!({
        "type": "timeseries",
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit.id(),
                "min": 0,
                "color": {"mode": "palette-classic"},
                "custom": {
                    "drawStyle": "line",
                    "lineWidth": 1,
                    "fillOpacity": 10,
                    "showPoints": "never",
                    "spanNulls": false,
                },
            },
            "overrides": overrides,
        },
    })
}

fn table(panel: &Panel, shown: Shown) -> Value {
    let hidden = match shown {
        Shown::Labels => json!({"Time": true, "Value": true, "__name__": true}),
        Shown::NameAndValue => json!({"Time": true}),
    };
    json!({
        "type": "table",
        "options": {"showHeader": true, "cellHeight": "sm"},
        "transformations": [{
            "id": "organize",
            "options": {"excludeByName": hidden, "indexByName": {}, "renameByName": {"__name__": "metric"}},
        }],
        "fieldConfig": {"defaults": {"unit": panel.unit.id()}, "overrides": []},
    })
}

fn targets(panel: &Panel) -> Value {
    let names = "ABCDEFGH".chars();
    let queries = panel.queries.iter().chain(&panel.capacity);
    let target = |(name, query): (char, &Query)| {
        let mut target = json!({
            "refId": name.to_string(),
            "datasource": datasource(),
            "expr": query.expr,
            "legendFormat": query.legend,
            "range": true,
        });
        if let Shape::Table(_) = panel.shape {
            target["range"] = json!(false);
            target["instant"] = json!(true);
            target["format"] = json!("table");
        }
        target
    };
    names.zip(queries).map(target).collect()
}

fn datasource() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

/// The variable that says which Prometheus.
fn source() -> Value {
    json!({
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
        "regex": "",
        "multi": false,
        "includeAll": false,
        "hide": 0,
        "skipUrlSync": false,
        "options": [],
    })
}

/// The variable of what the reader chooses.
fn choice(choice: &Choice) -> Value {
    let query = format!("label_values({}, {})", choice.of, choice.name);
    json!({
        "name": choice.name,
        "label": choice.label,
        "type": "query",
        "datasource": datasource(),
        "query": {"query": query, "refId": "choice"},
        "refresh": 2,
        "regex": "",
        "sort": 1,
        "multi": true,
        "includeAll": true,
        "allValue": ALL,
        "current": {"selected": true, "text": ["All"], "value": ["$__all"]},
        "hide": 0,
        "skipUrlSync": false,
        "options": [],
    })
}

/// The variable that says where the coordinator's HTTP port is; links need it.
fn address(coordinator: &str) -> Value {
    json!({
        "name": "coordinator",
        "label": "Coordinator",
        "type": "textbox",
        "query": coordinator,
        "current": {"selected": true, "text": coordinator, "value": coordinator},
        "hide": 2,
        "skipUrlSync": false,
        "options": [{"selected": true, "text": coordinator, "value": coordinator}],
    })
}

fn link(title: &str, url: &str, is_elsewhere: bool) -> Value {
    json!({
        "title": title,
        "type": "link",
        "url": url,
        "icon": "external link",
        "tooltip": "",
        "tags": [],
        "asDropdown": false,
        "includeVars": false,
        "keepTime": !is_elsewhere,
        "targetBlank": is_elsewhere,
    })
}

/// The link of a panel to what to do about it. The runbook is plain text: browsers scroll to the words of a text fragment
/// (<https://wicg.github.io/scroll-to-text-fragment/>).
fn runbook(alert: &str) -> Value {
    let url = format!("${{coordinator}}/runbook#:~:text={alert}");
    json!({"title": format!("Runbook: {alert}"), "url": url, "targetBlank": true})
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn deploy(path: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path)
    }

    fn panels() -> impl Iterator<Item = &'static Panel> {
        DASHBOARDS.into_iter().flat_map(|dashboard| dashboard.rows).flat_map(|row| row.panels)
    }

    /// `MUSTER_REGENERATE=1` writes them.
    #[test]
    fn the_files_in_deploy_are_those_of_the_tables() {
        for (name, text) in dashboards(folder::COORDINATOR) {
            let path = deploy("grafana/dashboards").join(name);
            if std::env::var_os("MUSTER_REGENERATE").is_some() {
                std::fs::write(&path, &text).unwrap();
            }
            let there = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(there == text, "{} is not what the tables say: MUSTER_REGENERATE=1", path.display());
        }
    }

    #[test]
    fn lines_are_full_and_no_panel_is_beside_them() {
        let mut place = Place::default();
        assert_eq!(place.line(1), (1, json!({"x": 0, "y": 0, "w": 24, "h": 1})));
        assert_eq!(place.take(16, 8), (2, json!({"x": 0, "y": 1, "w": 16, "h": 8})));
        assert_eq!(place.take(8, 4), (3, json!({"x": 16, "y": 1, "w": 8, "h": 4})));
        assert_eq!(place.take(8, 4), (4, json!({"x": 0, "y": 9, "w": 8, "h": 4})));
        assert_eq!(place.line(1), (5, json!({"x": 0, "y": 13, "w": 24, "h": 1})));
    }

    #[test]
    fn alerts_that_panels_name_are_in_the_rules_and_the_runbook() {
        let rules = std::fs::read_to_string(deploy("rules/muster.yml")).unwrap();
        let runbook = std::fs::read_to_string(deploy("../docs/runbook.md")).unwrap();
        let named: BTreeSet<&str> = panels().filter_map(|panel| panel.alert).collect();
        assert!(named.len() >= 10, "{named:?}");
        for alert in named {
            assert!(rules.contains(&format!("- alert: {alert}\n")), "no rule {alert}");
            assert!(runbook.contains(&format!("## {alert}\n")), "no lines about {alert}");
        }
    }

    #[test]
    fn legends_name_labels_that_their_query_keeps() {
        for query in panels().flat_map(|panel| panel.queries.iter().chain(&panel.capacity)) {
            for label in query.legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
                let kept = query.expr.split("by (").skip(1).filter_map(|rest| rest.split(')').next());
                let kept: Vec<&str> = kept.flat_map(|labels| labels.split(", ")).collect();
                assert!(kept.contains(&label), "{label} in {}", query.expr);
            }
        }
    }
}
