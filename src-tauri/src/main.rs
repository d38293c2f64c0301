//! The app as people start it: the resident.

use std::process::ExitCode;

fn main() -> ExitCode {
    earshot::resident::program(std::env::args_os().skip(1))
}
