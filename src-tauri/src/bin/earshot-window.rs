//! The window's process; the resident starts it.

use std::process::ExitCode;

fn main() -> ExitCode {
    earshot::window::program(std::env::args_os().skip(1))
}
