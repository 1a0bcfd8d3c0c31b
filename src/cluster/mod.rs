//! Clusters: which one a command talks to, private ones for a single job, and those in the background.

mod choose;
pub mod clients;
pub mod family;
mod folder;
mod orphans;
mod private;
mod process;
mod processes;
mod record;

pub use choose::{Choice, Session, choose, is_alive, session};
pub use folder::{TempFolder, private_folder, socket_path};
pub use orphans::Orphans;
pub use private::{HOLD_ARGUMENT, Private, private_slots};
pub use process::{Child, Start, die_with, gone, send, signal};
pub use processes::Processes;
pub use record::Record;
