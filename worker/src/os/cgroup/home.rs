//! The group below which groups with a controller can be made.

use super::group;
use super::mounts::Mounts;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A place for groups with a controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Home {
    V1(PathBuf),
    V2(PathBuf),
}

impl Home {
    pub(super) const fn version(&self) -> u32 {
        match self {
            Self::V1(_) => 1,
            Self::V2(_) => 2,
        }
    }

    pub(super) fn folder(&self) -> &Path {
        match self {
            Self::V1(folder) | Self::V2(folder) => folder,
        }
    }
}

/// Finds a place where groups with this controller can be made, or says why there is none.
pub(super) fn find(mounts: &Mounts, controller: &str) -> Result<Home, String> {
    let unified = mounts.unified().filter(|folder| lists(&folder.join("cgroup.controllers"), controller));
    if let Some(folder) = unified {
        return match hand_down(&folder, controller) {
            Ok(()) => Ok(Home::V2(folder)),
            Err(error) => Err(format!("the group {} does not give it on: {error}", folder.display())),
        };
    }
    match mounts.legacy(controller) {
        Some(folder) if can_make_groups(&folder) => Ok(Home::V1(folder)),
        Some(folder) => Err(format!("no group can be made in {}", folder.display())),
        None => Err(format!("there is no {controller} controller")),
    }
}

/// Why no groups with this controller can be made by any process beside this one; `None`: perhaps they can. Changes
/// nothing.
pub(super) fn missing(mounts: &Mounts, controller: &str) -> Option<String> {
    let unified = mounts.unified().filter(|folder| lists(&folder.join("cgroup.controllers"), controller));
    match unified.or_else(|| mounts.legacy(controller)) {
        Some(folder) if can_make_groups(&folder) => None,
        Some(folder) => Some(format!("no group can be made in {}", folder.display())),
        None => Some(format!("there is no {controller} controller")),
    }
}

/// Whether this process may make groups there.
pub(super) fn can_make_groups(folder: &Path) -> bool {
    let trial = folder.join(format!("{}-trial", group::own_prefix()));
    let made = fs::create_dir(&trial).is_ok();
    made && fs::remove_dir(&trial).is_ok()
}

/// Lets groups below this one have a controller. In version 2 that wants a group without processes of its own.
fn hand_down(folder: &Path, controller: &str) -> io::Result<()> {
    let control = folder.join("cgroup.subtree_control");
    if !can_make_groups(folder) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    if lists(&control, controller) {
        return Ok(());
    }
    let give = || fs::write(&control, format!("+{controller}"));
    match give() {
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            move_into_leaf(folder)?;
            give().map_err(|error| match error.kind() {
                io::ErrorKind::ResourceBusy => io::Error::other(
                    "other processes are in it; start the worker in a group of its own (systemd: Delegate=yes)",
                ),
                _ => error,
            })
        }
        other => other,
    }
}

/// Makes room above: this process goes into a group below its own one.
fn move_into_leaf(folder: &Path) -> io::Result<()> {
    let leaf = folder.join(format!("{}-worker", group::own_prefix()));
    match fs::create_dir(&leaf) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    fs::write(leaf.join("cgroup.procs"), std::process::id().to_string())
}

fn lists(file: &Path, word: &str) -> bool {
    fs::read_to_string(file).is_ok_and(|text| text.split_whitespace().any(|other| other == word))
}
