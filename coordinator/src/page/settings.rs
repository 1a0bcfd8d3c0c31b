//! Who may see the page.

use muster_proto::link::{Hosts, Secret};

/// Who may see the page.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Names under which it may be asked for.
    pub hosts: Hosts,
    /// What whoever looks must know; off loopback there is no page without it.
    pub secret: Option<Secret>,
    /// How many may look at the same time.
    pub pages: usize,
}
