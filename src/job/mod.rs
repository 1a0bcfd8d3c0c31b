//! One job from the command line to its end.

mod drive;
mod feed;
mod line;
mod plan;
mod progress;
mod results;
mod shape;
mod stop;
mod take;
mod watch;

pub use drive::{Drive, Ended, request, submit, submit_request, what_happened};
pub use feed::feed;
pub use line::Line;
pub use plan::{Given, Plan, check_inputs, check_procs};
pub use progress::{Progress, progress_bar, short};
pub use results::{Results, results};
pub use shape::{ShapePlan, worker_slots};
pub use stop::{how_it_stopped, wait_until_stopped};
pub use take::take;
pub use watch::{
    cancel, follow_until_still, is_final, is_paused, status, subject, unfinished, wait_until_final,
    wait_until_still,
};
