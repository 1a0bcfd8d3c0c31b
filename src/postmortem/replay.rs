//! The command that runs a task again by itself.

use crate::shell::quoted;
use std::path::Path;

/// What the command has to name beside the task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    plugin: String,
    cluster: Option<String>,
}

impl Replay {
    /// With a plugin as `muster run` takes it, and the cluster when it has to be named.
    pub fn new(plugin: impl Into<String>, cluster: Option<String>) -> Self {
        Self { plugin: plugin.into(), cluster }
    }

    /// With a plugin that was named in `folder`, for whoever may be elsewhere.
    pub fn from_folder(plugin: &str, folder: &Path, cluster: Option<String>) -> Self {
        let is_here = std::env::current_dir().is_ok_and(|here| here == folder);
        let path = Path::new(plugin);
        if is_here || path.is_absolute() || folder.as_os_str().is_empty() {
            return Self::new(plugin, cluster);
        }
        Self::new(folder.join(path).to_string_lossy(), cluster)
    }

    /// For a shell.
    pub fn command(&self, job: u64, task: u64) -> String {
        let dashes = if self.plugin.starts_with('-') { "./" } else { "" };
        let plugin = quoted(&format!("{dashes}{}", self.plugin));
        let cluster = self.cluster.as_ref().map(|name| format!(" --cluster {}", quoted(name)));
        format!("muster plugin test {plugin} --case {job}.{task}{}", cluster.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_pasted_anywhere() {
        let replay = Replay::new("my plugin.so", Some("it's".into()));
        assert_eq!(
            replay.command(3, 17),
            "muster plugin test 'my plugin.so' --case 3.17 --cluster 'it'\\''s'"
        );
        let elsewhere = Replay::from_folder("plugins/x", Path::new("/a b"), None);
        assert_eq!(elsewhere.command(1, 2), "muster plugin test '/a b/plugins/x' --case 1.2");
        let here = std::env::current_dir().unwrap();
        assert_eq!(Replay::from_folder("x", &here, None), Replay::new("x", None));
    }
}
