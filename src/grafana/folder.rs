//! The folder that Prometheus and Grafana read.

use super::dashboards;
use std::path::{Path, PathBuf};

/// Where the units in deploy/systemd put the coordinator's HTTP port.
pub const COORDINATOR: &str = "http://127.0.0.1:7078";
/// Prometheus' own default.
const PROMETHEUS: &str = "http://127.0.0.1:9090";
/// Where deploy/README.md puts the dashboards.
const DASHBOARDS: &str = "/var/lib/grafana/dashboards/muster";

/// Where things are.
#[derive(Clone, Debug)]
pub struct Monitoring {
    /// Host and port of the coordinator's HTTP port.
    pub coordinator: String,
    /// The address of Prometheus, for Grafana.
    pub prometheus: String,
}

/// Paths below `folder`, an absolute path, and what they say.
pub fn files(folder: &Path, of: &Monitoring) -> Vec<(PathBuf, String)> {
    let host = COORDINATOR.trim_start_matches("http://");
    let config = folder.join("prometheus.yml").to_string_lossy().into_owned();
    let prometheus = include_str!("../../deploy/prometheus.yml").replace(host, &of.coordinator);
    let prometheus = prometheus.replace("deploy/prometheus.yml", &config);
    let source = include_str!("../../deploy/grafana/provisioning/datasources/prometheus.yml");
    let provider = include_str!("../../deploy/grafana/provisioning/dashboards/muster.yml");
    let boards = folder.join("grafana/dashboards");
    let mut files = vec![
        ("prometheus.yml".into(), prometheus),
        ("rules/muster.yml".into(), include_str!("../../deploy/rules/muster.yml").to_owned()),
        ("runbook.md".into(), include_str!("../../docs/runbook.md").to_owned()),
        (
            "grafana/provisioning/datasources/prometheus.yml".into(),
            source.replace(PROMETHEUS, &of.prometheus),
        ),
        ("grafana/provisioning/dashboards/muster.yml".into(), provider.replace(DASHBOARDS, &quoted(&boards))),
    ];
    let named = |(name, text): (String, String)| (PathBuf::from("grafana/dashboards").join(name), text);
    files.extend(dashboards(&format!("http://{}", of.coordinator)).into_iter().map(named));
    files
}

/// A path as YAML reads it, whatever it has.
fn quoted(path: &Path) -> String {
    serde_json::Value::from(path.to_string_lossy()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_say_where_things_are() {
        let of = Monitoring { coordinator: "c.lan:80".to_owned(), prometheus: "http://p.lan:81".to_owned() };
        let files = files(Path::new("/srv/a \"b\""), &of);
        let text = |name: &str| &files.iter().find(|(path, _)| path == Path::new(name)).unwrap().1;
        let prometheus = text("prometheus.yml");
        assert!(prometheus.contains("targets: [\"c.lan:80\"]"), "{prometheus}");
        assert!(
            prometheus.contains("url: http://c.lan:80/sd") && !prometheus.contains("7078/"),
            "{prometheus}"
        );
        assert!(text("grafana/provisioning/datasources/prometheus.yml").contains("url: http://p.lan:81\n"));
        let provider = text("grafana/provisioning/dashboards/muster.yml");
        assert!(provider.contains(r#"path: "/srv/a \"b\"/grafana/dashboards""#), "{provider}");
        assert!(text("grafana/dashboards/worker.json").contains("\"http://c.lan:80\""));
        assert!(prometheus.contains("--config.file=/srv/a \"b\"/prometheus.yml\n"), "{prometheus}");
        assert_eq!(files.len(), 8);
    }
}
