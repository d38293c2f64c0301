//! The network laboratory. See [`earshot_tests::netlab`].

use std::process::ExitCode;

use earshot_tests::netlab::options::{Options, USAGE};
use earshot_tests::netlab::run;
use earshot_tests::program::program;

fn main() -> ExitCode {
    program(Options::parse(std::env::args().skip(1)), USAGE, run)
}
