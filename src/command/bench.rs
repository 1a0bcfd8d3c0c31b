//! `muster bench overhead`: pending
use crate::cli::OverheadArgs;
use crate::exit::{Failure, Outcome};
pub async fn overhead(_args: &OverheadArgs) -> Outcome {
    Err(Failure::usage("pending"))
}
