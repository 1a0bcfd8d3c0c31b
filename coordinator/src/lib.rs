//! The coordinator.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod checksum;
pub mod items;
pub mod store;
