//! Which worker gets which tasks.
//!
//! ```text
//! scheduler.handle(now, Input::..);
//! while let Some(output) = scheduler.poll_output() { .. }
//! sleep_until(scheduler.poll_timeout());   // then handle_timeout(now)
//! ```

mod io;

pub use io::{DropReason, FailureClass, Grant, GrantKind, Input, JobSpec, Loss, Outcome, Output, RecoveredJob};
