//! The binary of the `muster` command; see the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    muster::main()
}
