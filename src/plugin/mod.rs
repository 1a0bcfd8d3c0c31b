//! Plugins on this side: found, built, checked, written anew.

mod build;
mod bundled;
mod error;
mod file;
mod locate;
pub mod scaffold;
mod sources;

pub use build::{Project, build};
pub use bundled::bundled;
pub use error::{PluginFailure, Searched};
pub use file::PluginFile;
pub use locate::{Located, locate, without_cluster};
