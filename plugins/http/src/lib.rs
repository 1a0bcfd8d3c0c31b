//! HTTP for workloads that fetch: URLs, one GET per connection, and what failures mean for a task.
//!
//! Reading and writing are apart from meaning: [`Url`], [`request`] and [`Response`] never touch a socket, so that other
//! ways to wait can share them. [`fetch`] waits in slices of [`SLICE`], so that a task that should stop does soon. There
//! is no TLS, no proxy, no redirect and no connection that is used twice.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod chunks;
mod fetch;
mod meaning;
mod response;
mod stream;
mod url;
mod waiter;

pub use fetch::{Fetched, SLICE, fetch};
pub use meaning::{check_status, from_io, from_response, timed_out};
pub use response::{Response, ResponseError};
pub use url::{Template, Url, UrlError, request};
pub use waiter::{Flag, Waiter};
