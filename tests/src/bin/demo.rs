//! The demo: two people find each other, write and talk, as real processes. See
//! [`earshot_tests::demo`].

use std::process::ExitCode;

use earshot_tests::demo::options::{Options, USAGE};
use earshot_tests::demo::run;
use earshot_tests::program::program;

fn main() -> ExitCode {
    program(Options::parse(std::env::args().skip(1)), USAGE, run)
}
