//! Earshot without a window: the roles of a network as processes.

use std::process::ExitCode;

use earshot_node::run::ROLES;
use earshot_node::start::program;

fn main() -> ExitCode {
    program(std::env::args_os().skip(1), ROLES).into()
}
