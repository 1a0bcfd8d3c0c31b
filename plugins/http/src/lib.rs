//! HTTP for workloads that fetch: URLs, one GET per connection, and what failures mean for a task.
//!
//! Reading and writing are apart from meaning: [`Url`], [`request`] and [`Response`] never touch a socket, so that other
//! ways to wait can share them. [`fetch`] waits in slices of [`SLICE`], so that a task that should stop does soon;
//! `fetch_async` (feature `async`) leaves its thread to others while it waits. There is no TLS, no proxy, no redirect and
//! no connection that is used twice.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod chunks;
mod fetch;
#[cfg(feature = "async")]
mod interleaved;
mod meaning;
mod response;
mod stream;
mod url;
mod waiter;

pub use fetch::{Fetched, SLICE, fetch};
#[cfg(feature = "async")]
pub use interleaved::fetch_async;
pub use meaning::{check_status, from_io, from_response, timed_out};
pub use response::{Response, ResponseError};
pub use url::{Template, Url, UrlError, request};
pub use waiter::{Flag, Waiter};
